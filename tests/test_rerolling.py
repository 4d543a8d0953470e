"""Steps that a Python loop wrote into a graph become loops again: where they repeat, and only there.

What is rolled is compared with the graph as it was, walked node by node.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import rnn
from minigrad.graph import Graph, Loop
from minigrad.pytree import flatten_with_paths
from minigrad.rewrites import optimize, reroll, simplify
from minigrad.rewrites.rerolling.repeats import Stretch, repeats
from minigrad.source import generate

from .cell_drawing import Cell, loop, random_cell
from .cell_judge import difference, reference
from .invariants import check_graph, picks_fit

Array = Any
Case = Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]]  # of a length: a function and arguments for it

RNG = np.random.default_rng(0)
CELLS = {"rnn": rnn.RNNCell.init(3, 4, rng=0), "lstm": rnn.LSTMCell.init(3, 4, rng=1), "gru": rnn.GRUCell.init(3, 4, rng=2)}
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=list(CELLS))


def sequence(steps: int) -> Array:
    return np.random.default_rng(steps).normal(size=(steps, 2, 3))


def loops_of(graph: Graph) -> list[Loop]:
    return [node.params["loop"] for node in graph.nodes if node.shape is None]


def lengths(graph: Graph) -> list[int]:
    """The lengths of a graph's loops, below 0 for those that go from the last step to the first."""
    return [-found.length if found.reverse else found.length for found in loops_of(graph)]


def size(graph: Graph) -> int:
    return len(graph) + sum(size(inner) for inner in graph.subgraphs())


def rolled(fn: Callable[..., Any], *args: Any, exact: bool = False) -> Graph:
    """The rolled graph of a function, valid, and with the values of the unrolled one."""
    graph = mg.trace(fn, *args)
    found = reroll(graph)
    check_graph(found)
    picks_fit(found)
    expected, values = mg.tree_leaves(graph.evaluate(*args)), mg.tree_leaves(found.evaluate(*args))
    for a, b in zip(expected, values, strict=True):
        if exact:
            np.testing.assert_array_equal(np.asarray(a).view(np.uint64), np.asarray(b).view(np.uint64))  # to the sign of 0
        else:
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-12 * max(float(np.max(np.abs(a), initial=0)), 1e-300))
    return found


# ----------------------------------------------------------------------------------------------- where marks repeat


def test_a_stretch_is_found_with_its_smallest_period() -> None:
    marks = np.array([9, 9, 8, *[1, 2, 1, 3] * 6, 1, 2, 7])
    assert next(repeats(marks)) == Stretch(3, 29, 4)


@given(st.data())
def test_stretches_repeat(data: st.DataObject) -> None:
    word = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    around = st.lists(st.integers(0, 3), max_size=12)
    marks = np.array([*data.draw(around), *word * data.draw(st.integers(3, 12)), *data.draw(around)])
    found = list(repeats(marks))
    for start, stop, period in found:
        assert 0 <= start < stop <= len(marks)
        assert np.array_equal(marks[start : stop - period], marks[start + period : stop])
        assert stop - start >= 3 * period
    assert any(stretch.size >= 3 * len(word) for stretch in found)


# ------------------------------------------------------------------------------------------------------ the three cells


@every_cell
def test_a_layer_is_one_loop(cell: Any) -> None:
    found = rolled(lambda c, xs: rnn.unroll(c, xs), cell, sequence(9), exact=True)
    assert lengths(found) == [9]


@every_cell
def test_backpropagation_through_time_is_another(cell: Any) -> None:
    def loss(c: Any, xs: Any) -> Any:
        return mg.sum(rnn.unroll(c, xs)[0][-1] ** 2)

    found = rolled(mg.value_and_grad(loss), cell, sequence(9), exact=True)
    assert lengths(found) == [9, -9]


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_a_loss_of_all_outputs(cell: Any, reverse: bool) -> None:
    def loss(c: Any, xs: Any, state: Any) -> Any:
        return mg.mean(rnn.unroll(c, xs, state, reverse=reverse)[0] ** 2)

    state = mg.tree_map(lambda a: a + 0.1, cell.initial_state(2))
    found = rolled(mg.grad(loss, argnums=(0, 1, 2)), cell, sequence(9), state)
    assert lengths(found) == ([-9, 9] if reverse else [9, -9])
    assert not found.find("place")  # the gradients by the inputs of all steps are a stack, not a sum of nine arrays


@every_cell
def test_the_same_source_as_a_scan(cell: Any) -> None:
    def text(run: Any, steps: int) -> str:
        def loss(c: Any, xs: Any) -> Any:
            return mg.mean(run(c, xs)[0] ** 2)

        return generate(mg.trace(mg.grad(loss, argnums=(0, 1)), cell, sequence(steps)), "bptt").text

    unrolled = [text(rnn.unroll, steps) for steps in (9, 17)]
    assert re.sub(r"\b\d+\b", "N", unrolled[0]) == re.sub(r"\b\d+\b", "N", unrolled[1])
    scanned = text(rnn.scan, 9)
    assert len(unrolled[0].splitlines()) <= len(scanned.splitlines()) + 3
    for name in ("h_steps", "previous_h_steps", "d_h"):
        assert name in unrolled[0] and name in scanned, name


def test_names_come_back() -> None:
    def loss(c: Any, xs: Any) -> Any:
        return mg.mean(rnn.unroll(c, xs)[0] ** 2)

    left_out = [name for name in mg.rewrites.PASSES if name not in ("reroll", "simplify")]
    text = generate(mg.trace(mg.grad(loss, argnums=(0, 1)), CELLS["lstm"], sequence(9)), "bptt", left_out).text
    for line in (
        "x = xs[t]", "# forget", "forget = sigmoid(x.dot(cell_forget_w_x) + h.dot(cell_forget_w_h)", "d_h_2 = d_h_steps[t]",
        "# back through candidate", "d_candidate_2 = d_candidate * (1 - candidate * candidate)",
        "d_cell_forget_w_x = d_cell_forget_w_x + x_T.dot(d_forget_2)", "d_h = np.full((2, 4), -0.0)",
    ):  # fmt: skip
        assert line.replace("cell_", "c_") in text, text
    assert "t=8" not in text and "t=0" not in text


# ------------------------------------------------------------------------------------------------- whatever has steps


@dataclass(frozen=True)
class Stepwise:
    """A case, and the loops that are found in it for nine steps."""

    case: Case
    loops: list[int]
    grows: int = 0  # by how many nodes the rolled graph grows with each step


def masked(steps: int) -> Any:
    mask = np.random.default_rng(1).random((steps, 2)) < 0.7

    def loss(c: Any, xs: Any, mask: Any) -> Any:
        return mg.mean(rnn.unroll(c, xs, mask=mask)[0] ** 2)

    return mg.grad(loss, argnums=(0, 1)), (CELLS["gru"], sequence(steps), mask)


def layers(steps: int) -> Any:
    upper = rnn.LSTMCell.init(4, 5, rng=3)

    def loss(c: Any, d: Any, xs: Any) -> Any:
        return mg.mean(rnn.unroll(d, rnn.unroll(c, xs)[0])[0] ** 2)

    return mg.grad(loss, argnums=(0, 1, 2)), (CELLS["gru"], upper, sequence(steps))


def both_ways(steps: int) -> Any:
    other = rnn.LSTMCell.init(3, 4, rng=3)

    def loss(c: Any, d: Any, xs: Any) -> Any:
        return mg.mean(mg.concatenate([rnn.unroll(c, xs)[0], rnn.unroll(d, xs, reverse=True)[0]], axis=2) ** 2)

    return mg.grad(loss, argnums=(0, 1, 2)), (CELLS["lstm"], other, sequence(steps))


def plain_python(steps: int) -> Any:
    # no scope says that there are steps
    def loss(w: Any, u: Any, b: Any, xs: Any, ys: Any) -> Any:
        h, total = np.zeros(4), 0.0
        for t in range(steps):
            h = mg.tanh(xs[t] @ w + h @ u + b)
            total = total + mg.sum((h[:2] - ys[t]) ** 2)
        return total / steps

    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=shape) for shape in ((3, 4), (4, 4), (4,), (steps, 3), (steps, 2))]
    return mg.value_and_grad(loss, argnums=(0, 1, 2, 3)), tuple(arrays)


def batch_first(steps: int) -> Any:
    def loss(c: Any, xs: Any) -> Any:
        state, hs = c.initial_state(2), []
        for t in range(steps):
            h, state = c(xs[:, t], state)
            hs.append(h)
        return mg.mean(mg.stack(hs, axis=1) ** 2)

    return mg.grad(loss, argnums=(0, 1)), (CELLS["lstm"], np.swapaxes(sequence(steps), 0, 1).copy())


def list_of_arrays(steps: int) -> Any:
    def loss(c: Any, xs: Any) -> Any:
        state = c.initial_state(2)
        for x in xs:
            h, state = c(x, state)
        return mg.sum(h**2)

    return mg.grad(loss), (CELLS["rnn"], list(sequence(steps)))


def two_steps_back(steps: int) -> Any:
    def loss(w: Any, xs: Any) -> Any:
        before, h = mg.constant(np.zeros(4)), mg.constant(np.ones(4))
        for t in range(steps):
            before, h = h, mg.tanh(xs[t] + h * w + before * 0.3)
        return mg.sum(h)

    return mg.value_and_grad(loss, argnums=(0, 1)), (np.linspace(0, 1, 4), np.random.default_rng(5).normal(size=(steps, 4)))


def inner_loops(steps: int) -> Any:
    def loss(w: Any, xs: Any) -> Any:
        h = np.zeros(4)
        for t in range(steps):
            for _ in range(5):
                h = mg.sin(h * w + 0.2) + mg.cos(h)
            h, _ = mg.scan(lambda h, _: (mg.tanh(h + w), None), h + xs[t], length=3)
        return mg.sum(h)

    return loss, (np.linspace(0, 1, 4), np.random.default_rng(6).normal(size=(steps, 4)))


def numbers(steps: int) -> Any:
    # bare numbers that change from step to step
    def loss(x: Any) -> Any:
        for t in range(steps):
            x = mg.sin(x * (0.1 * t + 1) + t) / (t + 1)
        return x

    return loss, (np.linspace(0, 1, 4),)


def gradients_inside(steps: int) -> Any:
    def found(c: Any, xs: Any) -> Any:
        hs, _ = rnn.unroll(c, xs)
        return mg.gradients(mg.mean(hs**2), [hs[t] for t in range(steps)])

    return found, (CELLS["gru"], sequence(steps))


def shares_of_edges(steps: int) -> Any:
    def found(c: Any, xs: Any) -> Any:
        loss = mg.mean(rnn.unroll(c, xs)[0] ** 2)
        return mg.gradients(loss, mg.edges(c.hidden.w_h, loss))

    return found, (CELLS["rnn"], sequence(steps))


def products_with_the_hessian(steps: int) -> Any:
    along = mg.tree_map(lambda a: np.random.default_rng(7).normal(size=a.shape), CELLS["lstm"])

    def product(c: Any, along: Any, xs: Any) -> Any:
        return mg.hvp(lambda c: mg.mean(rnn.unroll(c, xs)[0] ** 2), (c,), (along,))[1]

    return product, (CELLS["lstm"], along, sequence(steps))


STEPWISE = {
    "masked": Stepwise(masked, [9, -8]),
    "layers": Stepwise(layers, [9, 9, -9, -9]),
    "both ways": Stepwise(both_ways, [9, -9, -9, 9]),
    "plain python": Stepwise(plain_python, [9, -9]),
    "batch first": Stepwise(batch_first, [9, -9]),
    "list of arrays": Stepwise(list_of_arrays, [9, -8], grows=1),
    "two steps back": Stepwise(two_steps_back, [9, -9]),
    "inner loops": Stepwise(inner_loops, [9]),
    "numbers": Stepwise(numbers, [9]),
    "gradients inside": Stepwise(gradients_inside, [9, -8], grows=1),
    "shares of edges": Stepwise(shares_of_edges, [9, -9], grows=1),
    "products with the hessian": Stepwise(products_with_the_hessian, [9, -9, 9, 8, -8]),
}


@pytest.mark.parametrize("name", STEPWISE)
def test_whatever_has_steps_is_rolled(name: str) -> None:
    stepwise = STEPWISE[name]
    short, long = (stepwise.case(steps) for steps in (9, 15))
    found = rolled(short[0], *short[1])
    assert lengths(found) == stepwise.loops
    more = simplify(rolled(long[0], *long[1]))
    assert size(more) - size(simplify(found)) <= 6 * stepwise.grows


def test_loops_inside_steps_are_loops() -> None:
    fn, args = inner_loops(9)
    (outer,) = loops_of(rolled(fn, *args))
    assert sorted(lengths(outer.graph)) == [3, 5]


@pytest.mark.parametrize("name", STEPWISE)
def test_all_rewrites_after_it(name: str) -> None:
    fn, args = STEPWISE[name].case(9)
    compiled, plain = mg.compile(fn), mg.trace(fn, *args)
    for found, expected in zip(mg.tree_leaves(compiled(*args)), mg.tree_leaves(plain.evaluate(*args)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1.0, float(np.max(np.abs(expected)))))


# --------------------------------------------------------------------------------------------------------- random steps


def lengthened(cell: Cell, steps: int) -> Cell:
    """A random cell with as many steps; what there is of its sequences is repeated."""

    def tiled(array: Array) -> Array:
        return np.concatenate([array] * -(-steps // cell.length))[:steps]

    xs = {name: tiled(array) for name, array in cell.xs.items()}
    whole = [term.kind == "all" and term.result.startswith("y") for term in cell.terms]
    terms = [replace(t, weights=tiled(t.weights)) if w else t for t, w in zip(cell.terms, whole, strict=True)]
    return replace(cell, length=steps, xs=xs, terms=tuple(terms))


ROLLED: dict[str, int] = {"graphs": 0, "with loops": 0, "nodes": 0, "left": 0}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 5000), steps=st.integers(4, 14), question=st.sampled_from(["gradient", "tangent", "second"]),
       simple=st.booleans())  # fmt: skip
def test_random_steps_mean_the_same(seed: int, steps: int, question: str, simple: bool) -> None:
    cell = random_cell(seed)
    if cell.length == 0:
        return
    cell = lengthened(cell, steps)
    asked = getattr(cell, question)(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph, truth = mg.trace(asked, cell.moving, cell.fixed), reference(asked, cell)
        if not truth.certain:  # rounding alone decides something
            return
        before = simplify(graph) if simple else graph
        after = reroll(before)
        check_graph(after)
        picks_fit(after)
        assert graph.out_structure is not None
        leaves = mg.tree_leaves(after.evaluate(cell.moving, cell.fixed))
        text = mg.tree_leaves(generate(graph)(*mg.tree_leaves((cell.moving, cell.fixed))))
    for values in (leaves, [np.asarray(x) for x in text]):
        problem = difference(dict(flatten_with_paths(graph.out_structure.rebuild(values))[0]), truth)
        assert problem is None, f"cell {seed}, {question}: {problem}"
    ROLLED["graphs"] += 1
    ROLLED["with loops"] += len(loops_of(after)) > len(loops_of(before))
    ROLLED["nodes"] += size(before)
    ROLLED["left"] += size(after)


def test_most_random_steps_were_rolled() -> None:
    if ROLLED["graphs"] < 20:
        pytest.skip("says something only after the test before it")
    assert ROLLED["with loops"] > 0.3 * ROLLED["graphs"]
    assert ROLLED["left"] < 0.6 * ROLLED["nodes"]


@st.composite
def outputs_used(draw: st.DrawFn) -> tuple[int, list[int], list[int], str]:
    steps = draw(st.integers(6, 16))
    some = st.lists(st.integers(0, steps - 1), max_size=4, unique=True)
    return steps, draw(some), draw(some), draw(st.sampled_from(list(CELLS)))


@settings(max_examples=60, deadline=None)
@given(outputs_used(), st.booleans())
def test_losses_of_any_outputs(used: tuple[int, list[int], list[int], str], all_of_them: bool) -> None:
    steps, single, asked, name = used

    def found(c: Any, xs: Any, state: Any) -> Any:
        hs, _ = rnn.unroll(c, xs, state)
        loss = mg.mean(hs**2) if all_of_them else mg.sum(hs[-1] ** 3)
        for t in single:
            loss = loss + mg.sum(mg.sin(hs[t]) * (t + 1.0))
        by = [*mg.tree_leaves(c), xs, *mg.tree_leaves(state), *[hs[t] for t in asked], hs[-1]]
        return loss, mg.gradients(loss, by) if all_of_them else mg.gradients(loss, by[: -len(asked) - 1])

    state = mg.tree_map(lambda a: a + 0.2, CELLS[name].initial_state(2))
    graph = rolled(found, CELLS[name], sequence(steps), state)
    assert steps in lengths(graph)  # forward, at least


# -------------------------------------------------------------------------------------------------- never wrong


def test_the_sign_of_zero_survives() -> None:
    def sums(xs: Any, w: Any) -> Any:
        total = mg.tanh(xs[0] * w)
        for t in range(1, 9):
            total = total + mg.tanh(xs[t] * w)
        return total

    graph = rolled(sums, np.zeros((9, 2)), np.array([-1.0, 1.0]), exact=True)
    assert lengths(graph) == [9]
    assert np.signbit(graph.evaluate(np.zeros((9, 2)), np.array([-1.0, 1.0]))).tolist() == [True, False]


def first_result_goes_on(xs: Any, w: Any) -> Any:
    first = h = mg.tanh(xs[0] * w)
    around = mg.exp(first) * 2
    for t in range(1, len(xs)):
        h = mg.tanh(xs[t] * w + h) * first + around
    return h


def weights_change(xs: Any, w: Any) -> Any:
    h, u = xs[0], w * 2 + 1
    for t in range(len(xs)):
        h = mg.tanh(h * (u if t < 5 else w) + xs[t]) - mg.sin(h)
    return h


def all_before(xs: Any, w: Any) -> Any:
    hs = [xs[0]]
    for t in range(len(xs)):
        hs.append(mg.tanh(xs[t] * w + sum(hs)))
    return hs[-1]


def one_step_is_different(xs: Any, w: Any) -> Any:
    h = xs[0]
    for t in range(len(xs)):
        h = mg.tanh(h * w + xs[t]) * 0.5 if t != 7 else mg.sin(h * w - xs[t])
    return h


def order_is_random(xs: Any, w: Any) -> Any:
    h = xs[0]
    for t in [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]:
        h = mg.tanh(h * w + xs[t]) * 0.5
    return h


def every_third(xs: Any, w: Any) -> Any:
    h, hs = xs[0], []
    for t in range(len(xs)):
        h = mg.tanh(h * w + xs[t])
        if t % 3 == 0:
            h = h - mg.exp(-h)
            hs.append(h)
    return h, mg.stack(hs)


def windows(xs: Any, w: Any) -> Any:
    h = xs[0]
    for t in range(len(xs) - 2):
        h = mg.tanh(h * w + mg.sum(xs[t : t + 3], axis=0)) - xs[t + 1]
    return h


def powers(xs: Any, w: Any) -> Any:
    for t in range(len(xs)):
        w = mg.tanh(xs[t] ** (t + 1) + w) ** t
    return w


def selections(xs: Any, w: Any) -> Any:
    h = xs[0]
    for t in range(len(xs)):
        h = mg.where(h > xs[t], mg.sqrt(mg.abs(h)), mg.maximum(h * w, xs[t]))
    return h


def no_step_needs_another(xs: Any, w: Any) -> Any:
    return mg.stack([mg.sum(mg.tanh(xs[t] * w) ** 2) for t in range(len(xs))])[::-1]


def joined_instead_of_stacked(xs: Any, w: Any) -> Any:
    h, hs = xs[0], []
    for t in range(len(xs)):
        h = mg.tanh(h * w + xs[t])
        hs.append(h[None] * 2)
    return mg.concatenate(hs[::-1]), mg.concatenate(hs[2:], axis=1)


def weak_state(xs: Any, w: Any) -> Any:
    s, decay = 0.0, 1.0
    for t in range(len(xs)):
        s, decay = s * 0.5 + xs[t].sum(), decay * 0.9
        w = w * decay + s
    return w


def integers(xs: Any, w: Any) -> Any:
    n, h = 0, xs[0]
    for t in range(len(xs)):
        n = (mg.argmax(xs[t]) + n) % 3
        h = mg.tanh(h + w[n])
    return h, n


AWKWARD = [
    first_result_goes_on, weights_change, all_before, one_step_is_different, order_is_random, every_third, windows, powers,
    selections, no_step_needs_another, joined_instead_of_stacked, weak_state, integers,
]  # fmt: skip


@pytest.mark.parametrize("fn", AWKWARD)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_repeats_only_in_part(fn: Callable[..., Any], dtype: str) -> None:
    xs, w = np.random.default_rng(8).uniform(0.1, 1, (10, 4)).astype(dtype), np.linspace(0.2, 0.9, 4).astype(dtype)

    def loss(xs: Any, w: Any) -> Any:
        return sum(mg.sum(mg.sin(y)) for y in mg.tree_leaves(fn(xs, w)) if y.dtype.kind == "f")

    for asked in (fn, mg.value_and_grad(loss, argnums=(0, 1))):
        graph = mg.trace(asked, xs, w)
        for found in (reroll(graph), reroll(simplify(graph)), optimize(graph)):
            check_graph(found)
            pairs = zip(mg.tree_leaves(graph.evaluate(xs, w)), mg.tree_leaves(found.evaluate(xs, w)), strict=True)
            for a, b in pairs:
                assert a.dtype == b.dtype
                np.testing.assert_allclose(b, a, rtol=1e-11 if dtype == "float64" else 1e-4)


def test_layers_of_their_own_weights_stay() -> None:
    def network(weights: Any, x: Any) -> Any:
        for w in weights:
            x = mg.tanh(x @ w)
        return x

    weights = [np.eye(40) * (i + 1) for i in range(8)]
    assert lengths(rolled(network, weights, np.ones((2, 40)))) == []  # to stack them would be to copy them


def test_three_steps_stay() -> None:
    assert lengths(rolled(lambda xs: rnn.unroll(CELLS["lstm"], xs)[0], sequence(3))) == []


def test_nothing_repeats() -> None:
    graph = mg.trace(lambda x: mg.sum(mg.tanh(x) * mg.exp(x)), np.ones(3))
    assert reroll(graph) is graph


# --------------------------------------------------------------------------------------------------- where it is done


def test_what_one_looks_at_stays_unrolled() -> None:
    cell, xs = CELLS["gru"], sequence(9)
    graph = mg.trace(lambda c, xs: rnn.unroll(c, xs)[0], cell, xs)
    assert len(graph.find("t=3/reset")) == len(graph.simplify().find("t=3/reset")) > 0
    assert not loops_of(graph.simplify())
    assert "for t in range(9):" in graph.source
    assert "for t in" not in mg.compile(lambda c, xs: rnn.unroll(c, xs)[0], without=["reroll"]).source(cell, xs)


def test_the_given_graph_stays_as_it_is() -> None:
    def loss(c: Any, xs: Any) -> Any:
        return mg.mean(rnn.unroll(c, xs)[0] ** 2)

    graph = mg.trace(mg.grad(loss, argnums=(0, 1)), CELLS["lstm"], sequence(9))
    about = [(node.name, node.scope, node.cotangent_of) for node in graph.nodes]
    reroll(graph)
    assert all(a[:2] == b[:2] and a[2] is b[2] for a, b in zip(
        about, [(node.name, node.scope, node.cotangent_of) for node in graph.nodes], strict=True))  # fmt: skip


def calls(fn: Callable[[], Any]) -> int:
    """How many functions of Python's own are called: the same each time, unlike a time."""
    count = 0

    def see(frame: Any, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        fn()
    finally:
        sys.setprofile(None)
    return count


def test_work_is_linear_in_the_steps() -> None:
    def loss(c: Any, xs: Any) -> Any:
        return mg.mean(rnn.unroll(c, xs)[0] ** 2)

    graphs = [mg.trace(mg.grad(loss, argnums=(0, 1)), CELLS["lstm"], sequence(steps)) for steps in (100, 200, 400)]
    once, twice, four = (calls(lambda graph=graph: reroll(graph)) for graph in graphs)  # type: ignore[misc]
    assert twice < 2.1 * once and four < 2.1 * twice
