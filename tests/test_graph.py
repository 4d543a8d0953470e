"""Nodes and graphs as data: immutable, named, found, printed, copied, pickled, and as long as one likes."""

from __future__ import annotations

import copy
import gc
import pickle
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Graph, free_symbols, substitute, topological
from minigrad.nodes import Node, Primitive
from minigrad.primitives.elementwise import elementwise

from .invariants import check_graph

Array = Any

# -------------------------------------------------------------------------------------------------------------- leaves


def test_symbols_and_constants() -> None:
    x = mg.symbol("x", shape=(2, 3), dtype="float32")
    assert (x.name, x.shape, x.dtype, x.ndim, x.size, len(x)) == ("x", (2, 3), np.float32, 2, 6, 2)
    assert mg.symbol("n", 4).shape == (4,)
    assert mg.symbol("z").dtype == np.float64
    array = np.arange(3, dtype=">i4")
    c = mg.constant(array, name="c")
    array[0] = 9
    assert (c.name, c.shape, c.dtype) == ("c", (3,), np.dtype("int32"))
    assert np.asarray(c).tolist() == [0, 1, 2]
    assert mg.constant([[1.0, 2.0]], dtype="float32").dtype == np.float32
    assert mg.constant(c) is c


def test_a_value_is_worked_out_once_and_handed_out_as_a_copy() -> None:
    y = mg.sin(mg.constant([1.0, 2.0]))
    before = np.asarray(y)
    before[:] = 7
    assert np.array_equal(np.asarray(y), np.sin([1.0, 2.0]))
    assert y.cached is not None
    assert float(mg.sum(y)) == mg.sum(y).item()
    assert str(mg.constant([1.0, 2.0])) == "[1. 2.]"
    assert f"{mg.constant(0.5):.3f}" == "0.500"
    assert int(mg.constant(3)) == 3
    assert [1, 2, 3][mg.constant(1)] == 2
    assert bool(mg.constant(1.0) > 0)


def test_a_free_symbol_has_no_value() -> None:
    x = mg.symbol("x", (2,))
    y = mg.sum(mg.sin(x))
    for use in (float, bool, str, int, np.asarray, print, lambda y: y.item(), lambda y: f"{y}", lambda y: y.tolist()):
        with pytest.raises(mg.errors.FreeSymbolError, match="'x'") as caught:
            use(y)
        assert isinstance(caught.value, TypeError)
    assert "sum" in repr(y)
    with pytest.raises(mg.errors.FreeSymbolError, match=r"(?s)mg\.where"):
        if y > 0:
            pass


# -------------------------------------------------------------------------------------------------------- immutability


def test_nodes_cannot_be_changed_in_place() -> None:
    x = mg.constant([1.0, 2.0])
    with pytest.raises(mg.errors.ImmutableError, match=r"mg\.where"):
        x[0] = 5.0
    array = np.ones(2)
    for change in (lambda: array.__iadd__(x), lambda: np.add(array, x, out=array), lambda: np.sum(x, out=np.zeros(()))):
        with pytest.raises(mg.errors.ImmutableError, match="out="):
            change()
    y = x
    y += 1.0
    assert y is not x
    assert np.asarray(x).tolist() == [1, 2]


def test_comparison_is_entry_by_entry_and_hash_is_identity() -> None:
    x, y = mg.constant([1.0, 2.0]), mg.constant([1.0, 3.0])
    assert np.asarray(x == y).tolist() == [True, False]
    assert np.asarray(x != y).tolist() == [False, True]
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_a_node_copies_as_itself() -> None:
    y = mg.sin(mg.symbol("x"))
    assert copy.copy(y) is y
    assert copy.deepcopy(y) is y
    assert copy.deepcopy({"a": [y]})["a"][0] is y
    graph = Graph([y.inputs[0]], [y])
    assert copy.copy(graph) is graph
    assert copy.deepcopy(graph) is graph


# ------------------------------------------------------------------------------------------------ names, scopes, lines


def test_scopes_nest_and_end() -> None:
    with mg.scope("layer"):
        with mg.scope("t=3"):
            a = mg.symbol("a") * 2
        b = a + 1
    c = b + 1
    assert (a.scope, b.scope, c.scope) == ("layer/t=3", "layer", "")
    with pytest.raises(RuntimeError), mg.scope("left by an exception"):
        raise RuntimeError
    assert mg.symbol("x").scope == ""
    for bad in ("", None, 3):
        with pytest.raises(TypeError, match="non-empty string"):
            mg.scope(bad)  # type: ignore[arg-type]


def test_one_scope_object_can_be_entered_inside_itself() -> None:
    forget = mg.scope("forget")
    with forget:
        with forget:
            assert mg.symbol("x").scope == "forget/forget"
        assert mg.symbol("x").scope == "forget"
    assert mg.symbol("x").scope == ""


def test_scopes_belong_to_their_thread() -> None:
    seen: list[str] = []
    with mg.scope("here"):
        thread = threading.Thread(target=lambda: seen.append(mg.symbol("x").scope))
        thread.start()
        thread.join()
    assert seen == [""]


def test_every_node_knows_the_line_that_made_it() -> None:
    x = mg.symbol("x")
    y = mg.tanh(
        x
    )
    assert Path(y.origin.filename).name == "test_graph.py"  # type: ignore[union-attr]
    assert y.origin.line == x.origin.line + 1  # type: ignore[union-attr]
    (dx,) = mg.gradients(y, [x])
    assert str(dx.origin) == str(y.origin), "a cotangent belongs to the line of its node"
    f = lambda x: mg.sin(x * x)  # noqa: E731
    graph = mg.trace(lambda x: mg.jvp(f, (x,), (1.0,)), 0.5)
    lines = {node.origin.line for node in graph.nodes if node.scope.startswith("forward")}  # type: ignore[union-attr]
    assert lines == {f.__code__.co_firstlineno}, "and a tangent too"


def test_find() -> None:
    def f(x: Any) -> Any:
        for t in range(3):
            with mg.scope(f"t={t}"):
                with mg.scope("forget"):
                    gate = mg.sigmoid(x)
                x = gate * x
        return x

    graph = mg.trace(f, np.ones(2))
    assert [n.primitive.name for n in graph.find("t=*/forget")] == ["sigmoid"] * 3
    assert len(graph.find("t=1/*")) == 2
    assert len(graph.find("**/sigmoid")) == 3
    assert len(graph.find("**/forget/**")) == 3
    assert [n.name for n in graph.find("x")] == ["x"]
    assert len(graph.find("t=[02]/multiply")) == 2
    assert graph.find("forget") == []
    assert len(graph.find("**")) == len(graph)
    gradient = mg.trace(mg.grad(lambda x: mg.sum(f(x))), np.ones(2))
    assert gradient.find("backward/t=*/forget")


# ------------------------------------------------------------------------------------------------------------ printing


def test_repr_of_a_graph_is_one_line_a_node() -> None:
    def f(x: Any, w: Any) -> Any:
        with mg.scope("layer"):
            y = mg.sum(mg.tanh(x @ w), axis=0)
        return y * 2.0, mg.astype(x, "float32")

    text = repr(mg.trace(f, np.ones(3), np.ones((3, 2))))
    assert text.splitlines() == [
        "x            = symbol                                   float64[3]",
        "w            = symbol                                   float64[3,2]",
        "v2           = matmul(x, w)                             float64[2]  # layer",
        "v3           = tanh(v2)                                 float64[2]  # layer",
        "v4           = sum(v3, axis=(0,), keepdims=False)       float64[]  # layer",
        "2.0          = constant                                 float64[]",
        "v6           = multiply(v4, 2.0)                        float64[]",
        "v7           = cast(x, dtype=dtype('float32'))          float32[3]",
        "return v6, v7",
    ]  # fmt: skip


def test_repr_of_loops_and_of_nodes() -> None:
    graph = mg.trace(lambda h: mg.scan(lambda h, _: (mg.sin(h), h), h, length=3), np.ones(2))
    text = repr(graph)
    assert "scan(h, loop=3 steps)" in text
    assert "loop 0:" in text
    assert "sin(h)" in text
    assert repr(mg.symbol("x", (2,))) == "<symbol 'x' shape=(2,), dtype=float64>"
    assert "several results" in repr(graph.nodes[1])
    assert "1., 2." in repr(mg.constant([1.0, 2.0]))
    assert len(repr(mg.constant(np.zeros(100_000)))) < 300
    assert repr(Primitive.table["tanh"]) == "<primitive tanh>"


def test_a_name_that_is_taken_is_told_apart_in_print() -> None:
    a, b = mg.symbol("x"), mg.symbol("x")
    assert "add(x, x#1)" in repr(Graph([a, b], [a + b]))


# ----------------------------------------------------------------------------------------------------- walks and graphs


def test_topological_order_and_substitution() -> None:
    x, y = mg.symbol("x"), mg.symbol("y")
    a = mg.sin(x)
    b = a * y
    order = topological([b])
    assert all(found is node for found, node in zip(order, (x, y, a, b)))
    position = {node: i for i, node in enumerate(order)}
    assert all(position[i] < position[node] for node in order for i in node.inputs)
    assert [s.name for s in free_symbols([b])] == ["x", "y"]
    (replaced,) = substitute([b], {a: y})
    assert {s.name for s in free_symbols([replaced])} == {"y"}
    (wider,) = substitute([b], {x: mg.symbol("v", (3,))})
    assert wider.shape == (3,)
    check_graph(Graph([], [wider]))


def test_substitute_makes_nothing_that_only_replaced_nodes_are_made_from() -> None:
    x, y, z = (mg.symbol(name, (2,)) for name in "xyz")
    between = mg.sin(x)
    replaced = mg.exp(between)
    above = replaced * x
    above.cotangent_of = between
    (made,) = substitute([above], {x: y, replaced: z})
    assert [a.name for a in made.inputs] == ["z", "y"]
    assert made.cotangent_of is between, "no copy of it is in the new expression"
    assert topological([above], ends={replaced}) == [x, replaced, above]


def test_graph_has_its_parts() -> None:
    graph = mg.trace(lambda x, s: {"y": x * s, "n": [s]}, np.ones(2), np.array(2.0))
    assert [node.name for node in graph.inputs] == ["x", "s"]
    assert len(graph.outputs) == 2
    assert len(graph) == len(graph.nodes) == 3
    assert graph.free == []
    result = graph.evaluate(np.ones(2), 3.0)
    assert (result["y"].tolist(), result["n"][0]) == ([3, 3], 3)
    with pytest.raises(TypeError, match="expected arguments"):
        graph.evaluate(np.ones(2))


def test_a_primitive_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="'tanh' already"):
        elementwise("tanh", "np.tanh({0})")
    assert Primitive.table["tanh"].text == "np.tanh({0})"


def test_public_modules_do_not_hide_functions() -> None:
    # a module named as a function would be found in its place once it is imported
    for name in ("scan", "render", "trace", "gradients", "compile", "grad", "evaluate", "constant"):
        assert callable(getattr(mg, name))
        assert f"minigrad.{name}" not in sys.modules


# ------------------------------------------------------------------------------------------------------------ pickling


def program(x: Any, w: Any) -> Any:
    with mg.scope("cell"):
        h, hs = mg.scan(lambda h, x: (mg.tanh(h @ w + x), h), np.zeros(3), x)
    return mg.sum(h * h) + mg.sum(hs[1]) * mg.constant(2.0, name="two") + mg.sum(x[:, np.array([0, 0])] ** 2)


def test_pickle_keeps_sharing_names_lines_and_values() -> None:
    x, w = np.random.default_rng(0).normal(size=(4, 3)), np.random.default_rng(1).normal(size=(3, 3))
    graph = mg.trace(mg.value_and_grad(program, argnums=(0, 1)), x, w)
    again = pickle.loads(pickle.dumps(graph))
    assert len(again) == len(graph)
    assert repr(again) == repr(graph)
    for old, new in zip(graph.nodes, again.nodes, strict=True):
        assert (old.scope, old.origin, old.name, old.weak) == (new.scope, new.origin, new.name, new.weak)
    check_graph(again)
    assert again.source.count("for ") == graph.source.count("for ") == 2
    for a, b in zip(mg.tree_leaves(again.evaluate(x, w)), mg.tree_leaves(graph.evaluate(x, w)), strict=True):
        assert np.array_equal(a, b)
    position = {node: i for i, node in enumerate(graph.nodes)}
    about = [position.get(node.cotangent_of) for node in graph.nodes if node.cotangent_of is not None]
    position = {node: i for i, node in enumerate(again.nodes)}
    assert [i for i in (position.get(n.cotangent_of) for n in again.nodes if n.cotangent_of is not None) if i is not None] == [
        i for i in about if i is not None
    ]  # fmt: skip


def test_pickled_nodes_work_in_another_process(tmp_path: Path) -> None:
    y = mg.sin(mg.constant([1.0, 2.0], name="x")) * 2
    (tmp_path / "node").write_bytes(pickle.dumps(y))
    script = "import sys, pickle, minigrad as mg, numpy as np; print(np.asarray(pickle.load(open(sys.argv[1], 'rb'))).tolist())"
    found = subprocess.run([sys.executable, "-c", script, str(tmp_path / "node")], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == str((np.sin([1.0, 2.0]) * 2).tolist())


# --------------------------------------------------------------------------------------------------------- long chains


def chain(length: int) -> tuple[Node, Node]:
    """A leaf, and the last node of a chain of so many operations on it."""
    x = y = mg.symbol("x", (2,))
    for i in range(length):
        y = mg.sin(y) if i % 2 else y * 1.0001
    return x, y


VERBS = ("build", "gradients", "evaluate", "simplify", "repr", "copy", "pickle", "free")


def walk_a_chain(length: int) -> dict[str, float]:
    """Do all that one does with graphs to a chain; the seconds that each took."""
    times: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        times[name], clock = now - clock, now

    x, y = chain(length)
    lap("build")
    (dx,) = mg.gradients(mg.sum(y), [x])
    lap("gradients")
    values = np.array([0.5, 0.25])
    first, slope = mg.evaluate([y, dx], {x: values})
    assert np.all(np.isfinite(slope))
    lap("evaluate")
    graph = Graph([x], [y, dx])
    assert length < len(graph.simplify()) <= len(graph)
    lap("simplify")
    assert "more nodes" in repr(graph)
    lap("repr")
    assert copy.deepcopy(graph) is graph
    lap("copy")
    again = pickle.loads(pickle.dumps(graph))
    assert len(again) == len(graph)
    lap("pickle")
    assert np.array_equal(again.evaluate(values)[0], first)
    lap("evaluate again")
    del x, y, dx, graph, again
    gc.collect()
    lap("free")
    return times


def test_a_chain_of_100_000_nodes() -> None:
    times = walk_a_chain(100_000)
    assert sum(times.values()) < 60, times


def test_a_stack_of_many_items_costs_what_they_cost() -> None:
    def seconds(items: int) -> float:
        start = time.perf_counter()
        f = lambda x: mg.sum(mg.stack([mg.sin(x * float(i)) for i in range(items)]) ** 2)  # noqa: E731
        mg.trace(mg.grad(f), np.ones(2))
        mg.trace(lambda x: mg.jvp(f, (x,), (x,))[1], np.ones(2))
        return time.perf_counter() - start

    seconds(10)
    small, large = seconds(500), seconds(10_000)
    assert large < 60 * small, f"{small:.3f} s for 500, {large:.3f} s for 10,000: twenty times as many"


def test_compiling_a_chain() -> None:
    def f(x: Any) -> Any:
        for i in range(20_000):
            x = mg.sin(x) if i % 2 else x * 1.0001
        return x

    x = np.array([0.5, 0.25])
    assert np.array_equal(mg.compile(f)(x), mg.trace(f, x).evaluate(x))


@pytest.mark.slow
def test_a_chain_of_1_000_000_nodes_in_linear_time_and_6_gb() -> None:
    small, large = walk_a_chain(100_000), walk_a_chain(1_000_000)
    for verb, seconds in large.items():
        assert seconds < 25 * small[verb] + 1.0, f"{verb}: {small[verb]:.2f} s for 100,000, {seconds:.2f} s for 1,000,000"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert peak < 6.0, f"{peak:.1f} GB"


def test_a_deep_expression_of_every_direction_is_no_recursion() -> None:
    # a wide tree, and a chain through a loop, at a low recursion limit
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        x, y = chain(5_000)
        total = mg.sum(y)
        (dx,) = mg.gradients(total, [x])
        graph = Graph([x], [total, dx])
        assert np.all(np.isfinite(graph.evaluate(np.ones(2))[1]))
        repr(graph), repr(total), pickle.loads(pickle.dumps(graph)), graph.simplify()
        _ = mg.jvp(lambda x: chain_from(x, 1_000), (np.ones(2),), (np.ones(2),))
        assert mg.edges(x, total)
    finally:
        sys.setrecursionlimit(limit)


def chain_from(x: Any, length: int) -> Any:
    for _ in range(length):
        x = mg.sin(x)
    return x
