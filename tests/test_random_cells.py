"""Random steps of up to thirty operations give the same however they are run: see `random_cells` and `cell_judge`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import rewrites, source
from minigrad.graph import Graph, Loop, rebuild
from minigrad.nodes import Node
from minigrad.primitives.elementwise import tanh
from minigrad.pytree import flatten_with_paths
from minigrad.rewrites import PASSES, simplify
from minigrad.source import generate

from . import cell_judge
from .cell_drawing import loop, random_cell
from .cell_judge import Judge, compiled, difference, reference
from .cell_operations import OPERATIONS
from .random_cells import main

QUICK, MANY = 20, 200


@pytest.mark.parametrize("first", range(0, QUICK, 5))
def test_all_ways_to_run_a_cell_agree(first: int) -> None:
    judge = Judge(subsets=4)
    for seed in range(first, first + 5):
        cell = random_cell(seed)
        failure = judge.failure(cell, seed)
        assert failure is None, judge.report(cell, failure, seed)
    assert judge.skipped <= 1


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, QUICK + MANY, 20))
def test_all_ways_to_run_many_cells_agree(first: int) -> None:
    judge = Judge(subsets=12)
    for seed in range(first, first + 20):
        cell = random_cell(seed)
        failure = judge.failure(cell, seed)
        assert failure is None, judge.report(cell, failure, seed)
    assert judge.skipped <= 3


# ------------------------------------------------------------------------------------------------- what cells are like


def test_the_same_seed_gives_the_same_cell() -> None:
    assert str(random_cell(3)) == str(random_cell(3)) != str(random_cell(4))


def test_cells_are_of_all_kinds() -> None:
    cells = [random_cell(seed) for seed in range(300)]
    assert {cell.length for cell in cells} == {0, 1, 2, 3, 5, 9}
    assert {cell.twice for cell in cells} == {"once", "on", "back"}
    assert {len(cell.carry) for cell in cells} == {0, 1, 2, 3, 4}
    assert {len(cell.xs) for cell in cells} == {0, 1, 2, 3}
    assert max(len(cell.inside) for cell in cells) >= 30
    assert any(cell.reverse for cell in cells)
    assert any(value in cell.carry and value != name for cell in cells for name, value in cell.following.items())
    assert any(cell.following.get(name) == name for cell in cells for name in cell.carry)
    assert any(len(set(cell.ys)) < len(cell.ys) for cell in cells)
    assert {a.dtype.kind for cell in cells for a in cell.xs.values()} == {"f", "i", "b"}
    texts = " ".join(str(cell) for cell in cells)
    for word in ("@", ".T", "where", "softmax", "einsum", "one_hot", "argmax", "float32", "stop_gradient", "grad(", "rows(",
                 "times(", "concatenate", "stack", "split", "reshape", "transpose", "take", "cumsum", "full"):  # fmt: skip
        assert word in texts, word


def test_every_operation_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = dict.fromkeys([operation.__name__ for operation, _ in OPERATIONS], 0)

    def counted(operation: Any) -> Any:
        def apply(draft: Any) -> Any:
            made = operation(draft)
            counts[operation.__name__] += made is not None
            return made

        return apply

    monkeypatch.setattr("tests.cell_operations.OPERATIONS", [(counted(o), weight) for o, weight in OPERATIONS])
    for seed in range(150):
        random_cell(seed)
    assert min(counts.values()) > 2, counts


def test_values_stay_small() -> None:
    for seed in range(60):
        cell = random_cell(seed)
        results = cell.results(mg.scan, {name: mg.constant(a) for name, a in cell.arguments.items()})
        assert all(np.all(np.abs(np.asarray(y)) < 50) for y in mg.tree_leaves(results))


# ----------------------------------------------------------------------------------------- the judge notices what is wrong


def spoil(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let `simplify` change nodes for which `change(node, inputs)` gives another."""

    def rewrite(graph: Graph) -> Graph:
        new: dict[Node, Node] = {}
        for node in graph.nodes:
            inputs = [new[x] for x in node.inputs]
            changed = change(node, inputs)
            new[node] = changed if changed is not None else node if node.is_leaf else rebuild(node, inputs)
        return Graph(graph.inputs, [new[y] for y in graph.outputs], graph.in_structure, graph.out_structure)

    monkeypatch.setitem(rewrites.PASSES, "simplify", lambda graph: rewrite(simplify(graph)))


def always_forward(node: Node, inputs: list[Node]) -> Node | None:
    looped: Loop | None = node.params.get("loop")
    if looped is None or not looped.reverse or looped.length < 2:
        return None
    turned = Loop(looped.graph, looped.carries, looped.slices, looped.length, False)
    return Node(node.primitive, tuple(inputs), {"loop": turned}, None, None, like=node)


def a_bit_less(node: Node, inputs: list[Node]) -> Node | None:
    return tanh(inputs[0]) * (1 - 1e-9) if node.primitive is tanh else None


@pytest.mark.parametrize("change", [always_forward, a_bit_less])
def test_a_wrong_rewrite_is_found_and_shown_small(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, change)
    for seed in range(40):
        judge = Judge(subsets=2)
        cell = random_cell(seed)
        failure = judge.failure(cell, seed, ("gradient", "scan, compiled"))
        if failure is not None:
            break
    assert failure is not None
    left_out = f"scan, compiled without {', '.join(PASSES)}"
    assert judge.failure(cell, seed, ("gradient", left_out)) is None  # with that rewrite left out, all is well
    small, _ = judge.smaller(cell, failure, seed)
    assert judge.failure(small, seed, (failure.question, failure.way)) is not None
    assert len(small.inside) <= 3
    report = judge.report(cell, failure, seed)
    assert f"--seed {seed}" in report
    assert "loop 0:" in report or "tanh" in report


def test_an_exception_is_found_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Graph) -> Graph:
        raise KeyError("nobody expects this")

    monkeypatch.setitem(rewrites.PASSES, "simplify", broken)
    failure = Judge(subsets=2).failure(random_cell(1), 1)
    assert failure is not None
    assert failure.problem.strip().endswith("KeyError: 'nobody expects this'")


def test_results_that_a_later_call_changes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cell_judge.module

    def careless(*arguments: Any) -> Any:
        generated, kept = made(*arguments), {}

        def run(*leaves: Any) -> Any:
            results = generated(*leaves)
            for i, result in enumerate(results):
                buffer = kept.setdefault(i, np.empty_like(result))
                buffer[...] = result
            return tuple(kept.values())

        return run

    monkeypatch.setattr(cell_judge, "module", careless)
    failure = Judge(subsets=2).failure(random_cell(1), 1)
    assert failure is not None
    assert "a later call changed what was handed out" in failure.problem


def test_the_command_counts_and_names_the_rewrites(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "2", "--subsets", "2"]) == 0
    assert re.search(r"2 cells, 0 failed; \d+ runs compared, 0 cells skipped.*\n?.*simplify", capsys.readouterr().out)


def test_the_command_prints_the_cell_that_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, a_bit_less)
    assert main(["--count", "20", "--subsets", "2"]) == 1
    printed = capsys.readouterr().out
    assert "times what rounding allows" in printed
    assert "again: python -m tests.random_cells --seed" in printed


# ------------------------------------------------------------------------------------------------- what it has found


def test_a_result_that_a_loop_gives_twice_is_two_arrays() -> None:
    def f(h: Any) -> Any:
        _, (hs, again) = mg.scan(lambda h, _: (mg.tanh(h), (h, h)), h, length=2)
        return mg.sum(hs * hs), (hs, again)

    graph = mg.trace(mg.grad(f, has_aux=True), np.ones(3))  # two loops over the same step, which become one
    _, a, b = generate(graph, without=PASSES)(np.ones(3))
    assert np.array_equal(a, b)
    assert not np.shares_memory(a, b)


def test_a_stack_is_not_called_as_one_of_a_loop_inside() -> None:
    def inner(h: Any, x: Any, w: Any, how: Any) -> Any:
        return how(lambda h, row: (mg.tanh(h @ w + row), h * row), h[0], x, None, True)[1]

    def f(w: Any, h: Any, xs: Any, how: Any) -> Any:
        return how(lambda h, x: (inner(h, x, w, how), (h**3, x)), h, xs)[1][0]

    rng = np.random.default_rng(0)
    given = [rng.normal(size=shape) for shape in [(2, 2), (1, 2), (2, 1, 2)]]
    in_chunks = lambda *a: mg.scan(*a, checkpoint="sqrt")  # noqa: E731
    along = lambda how: lambda *a: mg.jvp(lambda *a: f(*a, how), a, given)[1]  # noqa: E731
    assert np.allclose(mg.compile(along(in_chunks))(*given), along(loop)(*given), rtol=1e-13)


def test_a_loop_of_no_steps_in_a_long_function() -> None:
    def f(x: Any) -> Any:
        h, _ = mg.scan(lambda h, _: ((s := mg.tanh(h)) * s, None), x, length=0)
        for _ in range(900):
            h = mg.sin(h) + h
        last = mg.tanh(h)  # called as the one in the loop
        return last * last

    assert np.allclose(generate(mg.trace(f, 0.5), without=PASSES)(0.5)[0], f(0.5))


@pytest.mark.parametrize("part", [2, 3, 7])
def test_long_functions_may_be_cut_anywhere(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PART", part)
    for seed in range(40, 60):
        cell = random_cell(seed)
        graph = mg.trace(cell.gradient(mg.scan), cell.moving, cell.fixed)
        truth = reference(cell.gradient(loop), cell)
        for without in ((), PASSES):
            found = compiled(graph, cell, tuple(without))
            problem = difference(dict(flatten_with_paths(found)[0]), truth)
            assert problem is None, f"cell {seed}: {problem}"


def test_columns_of_products_are_joined_whatever_the_slice() -> None:
    def f(w: Any, h: Any) -> Any:
        columns = [h @ w[:, 1:4], h @ w[:, 3:], h @ w[:, ::-2], h @ w[:, :3]]
        return mg.scan(lambda c, _: (mg.tanh(c + sum(columns)), None), columns[0], length=3)[0]

    rng = np.random.default_rng(0)
    w, h = rng.normal(size=(3, 6)), rng.normal(size=(2, 3))
    assert np.allclose(mg.compile(f)(w, h), f(w, h), rtol=1e-12)


def test_single_entries_are_joined() -> None:
    def f(xs: Any) -> Any:
        step = lambda c, x: (mg.sum(x) * 0.5, mg.concatenate([mg.stack([c * c, mg.sin(c)]), mg.reshape(c + x[0], (1,)), x]))  # noqa: E731
        return mg.scan(step, mg.constant(0.3), xs)[1]

    xs = np.random.default_rng(0).normal(size=(3, 2))
    for without in ((), PASSES):
        assert np.allclose(generate(mg.trace(f, xs), without=without)(xs)[0], f(xs), rtol=1e-13)
