"""The inside of a loop is as open as an unrolled graph: every node and every use, at every step, to rounding."""

from __future__ import annotations

import pickle
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import rnn
from minigrad.graph import Graph
from minigrad.nodes import Node
from minigrad.uses import Edge

Array = Any
RNG = np.random.default_rng(0)


def value(node: Any) -> Array:
    return np.asarray(node)


def shares(y: Node, edges: list[Edge]) -> list[Array]:
    """The share of each edge, which has the shape that the edge says."""
    found = [value(share) for share in mg.gradients(y, edges)]
    assert [share.shape for share in found] == [edge.shape for edge in edges]
    return found


def total(y: Node, edges: list[Edge], axes: int = 0) -> Array:
    """The shares added up, over the steps too but for the last `axes` axes."""
    return sum(share.sum(axis=tuple(range(share.ndim - axes))) for share in shares(y, edges))


def close(found: Any, expected: Any, tolerance: float = 1e-12) -> bool:
    np.testing.assert_allclose(value(found), value(expected), rtol=tolerance, atol=tolerance)
    return True


# ------------------------------------------------------------------------------------- random steps, against unrolled
# Every operation stands in a scope of its own, so that a node of the loop and its copies in the unrolled graph are
# found by the same name. Values are vectors of three.

UNARY: list[Callable[[Any], Any]] = [mg.tanh, mg.sin, lambda a: a * 0.5, lambda a: a, lambda a: a * a, mg.relu, mg.stop_gradient]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a * b, lambda a, b: a + b, lambda a, b: a - 0.5 * b, mg.maximum, lambda a, b: mg.where(a > 0, a, b),
    lambda a, b: mg.hypot(a, b + 2.0), lambda a, b: mg.floor(a) + b,
]  # fmt: skip


@dataclass
class Case:
    """A loss of a random loop, and the weights that its step uses."""

    loss: Node
    weights: list[Node]
    length: int

    @property
    def inner(self) -> list[Node]:
        """Nodes of the step, of loops in it, and the symbols for carries and slices; what is computed outside left out."""
        graph = Graph([], [self.loss])
        outside = set(graph.nodes)
        found = [node for node in graph.find("**/t=[*]/**") if node not in outside]
        return [node for node in found if node.shape is not None and node.dtype.kind == "f"]


def operations(rng: np.random.Generator, pool: list[Node], weights: list[Node], count: int, nested: bool) -> list[Node]:
    """The pool, with more values made from it."""
    for n in range(count):
        a, b = (pool[-1 - int(rng.integers(min(len(pool), 6)))] for _ in range(2))
        with mg.scope(f"n{n}"):
            kind = rng.random()
            if kind < 0.15 and nested:
                made = loop_inside(rng, a, b, weights)
            elif kind < 0.4:
                made = mg.tanh(weights[0] @ a)
            elif kind < 0.6:
                made = UNARY[rng.integers(len(UNARY))](a)
            else:
                made = BINARY[rng.integers(len(BINARY))](a, weights[1] if rng.random() < 0.2 else b)
        pool = [*pool, made]
    return pool


def loop_inside(rng: np.random.Generator, a: Node, b: Node, weights: list[Node]) -> Node:
    """A short loop in the step, over slices of a weight, which closes over a value of the step."""

    def step(h: Any, row: Any) -> Any:
        pool = operations(rng, [b, row, h], weights, 2, nested=False)
        return mg.tanh(pool[-1]), pool[-2]

    last, ys = mg.scan(step, a, weights[0][:2], reverse=bool(rng.integers(2)))
    return last if rng.integers(2) else ys[0] + last


def random_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    length, carries = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    weights = [mg.constant(rng.normal(size=shape) / 2, name=name) for name, shape in (("w", (3, 3)), ("b", 3), ("c", 3))]
    start = [weights[2] if rng.random() < 0.3 else mg.constant(rng.normal(size=3), name=f"h{i}") for i in range(carries)]
    xs = mg.constant(rng.normal(size=(length, 3)), name="x")
    count, chosen, ys = int(rng.integers(2, 9)), rng.integers(-6, 0, size=carries), int(rng.integers(-4, 0))
    inside = int(rng.integers(2**31))

    def step(carry: Any, x: Any) -> Any:
        pool = operations(np.random.default_rng(inside), [weights[1], x, *carry], weights, count, nested=True)
        following = [pool[max(i, -len(pool))] for i in chosen]
        return [mg.tanh(node) if node is weights[1] else node for node in following], [pool[ys], pool[-1]]

    last, (some, all_) = mg.scan(step, start, xs, reverse=bool(rng.integers(2)))
    terms = [mg.sum(mg.sin(last[0])), mg.sum(some[0] * some[-1]), mg.sum(all_ * rng.normal(size=(length, 3))), mg.sum(last[-1])]
    kept = [term for term in terms if rng.random() < 0.6] or terms[:1]
    loss = mg.sum(weights[1] * weights[2]) * 0.1 + mg.sum(weights[0])
    for term in kept:
        loss = loss + term
    return Case(loss, weights, length)


def numbered(scope: str) -> tuple[str, tuple[int, ...]]:
    """A scope of the unrolled graph as that of the loop, and the steps: t=1/n0/t=2 -> t=*/n0/t=*, (1, 2)."""
    return re.sub(r"t=\d+", "t=*", scope), tuple(int(t) for t in re.findall(r"t=(\d+)", scope))


def gradient_or_zeros(y: Node, node: Node) -> Array:
    try:
        return value(mg.gradients(y, [node])[0])
    except mg.errors.GradientError:
        return np.zeros(node.shape)


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_inside_of_random_loops(seed: int) -> None:
    case = random_case(seed)
    check_weights_by_step(case)
    check_nodes_inside(case)


def check_weights_by_step(case: Case) -> None:
    """The share of each use of a weight at each step is that of the use in the unrolled graph."""
    (unrolled,) = Graph([], [case.loss]).unroll_scan().outputs
    for weight in case.weights:
        (whole,) = mg.gradients(case.loss, [weight])
        edges = mg.edges(weight, case.loss)
        assert close(total(case.loss, edges, weight.ndim), whole), "over uses and steps they add up"
        by_step, expected = defaultdict[Any, Array](float), defaultdict[Any, Array](float)  # what is not there is 0
        for edge, share in zip(edges, shares(case.loss, edges), strict=True):
            if edge.hands_on or edge.consumer.shape is None:
                continue  # the start of a carry, an array of slices: other uses in the unrolled graph
            for steps in np.ndindex(share.shape[: len(edge.loops)]):
                by_step[edge.consumer.scope, edge.consumer.primitive, edge.position, steps] += share[steps]
        own = mg.edges(weight, unrolled)
        for edge, share in zip(own, shares(unrolled, own), strict=True):
            scope, steps = numbered(edge.consumer.scope)
            expected[scope, edge.consumer.primitive, edge.position, steps] += share
        for use, share in by_step.items():
            assert close(share, expected[use]), use


def check_nodes_inside(case: Case) -> None:
    """What reaches a node inside a loop is what reaches its copies in the unrolled graph, and the sum over its uses."""
    unrolled = Graph([], [case.loss]).unroll_scan()
    copies: dict[Any, Array] = {}
    for node in unrolled.find("**/t=[0-9]/**"):
        if node.dtype.kind == "f" and node.primitive.name not in ("index", "stack"):
            scope, steps = numbered(node.scope)
            copies[scope, node.primitive, steps] = (node, copies.get((scope, node.primitive, steps)))
    for node in case.inner:
        edges = mg.edges(node, case.loss)
        if not edges:
            with pytest.raises(mg.errors.GradientError):
                mg.gradients(case.loss, [node])
            continue
        (found,) = mg.gradients(case.loss, [node])
        around = found.ndim - node.ndim  # a use in a loop in the step has further axes
        by_step = [share.sum(axis=tuple(range(around, share.ndim - node.ndim))) for share in shares(case.loss, edges)]
        assert close(sum(by_step), found), "the shares of the uses add up, step by step"
        for steps in np.ndindex(found.shape[:around]):
            copy = copies.get((node.scope, node.primitive, steps))
            if copy is not None and copy[1] is None:  # one of this kind in its scope
                assert close(value(found)[steps], gradient_or_zeros(unrolled.outputs[0], copy[0])), (node.scope, steps)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_compiled_shares_are_the_same(seed: int) -> None:
    case = random_case(seed)
    edges = mg.edges(case.weights[0], case.loss)
    nodes = mg.gradients(case.loss, edges)
    for found, node in zip(mg.compile(lambda: nodes)(), nodes, strict=True):
        assert close(found, node)


# ---------------------------------------------------------------------------------------------------- uses of a weight


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_weight_by_time_step(reverse: bool) -> None:
    w, h, xs = mg.constant(RNG.normal(size=(3, 3)), "w"), mg.constant(RNG.normal(size=3)), RNG.normal(size=(4, 3))
    last, hs = mg.scan(lambda h, x: ((s := mg.tanh(h @ w + x)), s * 2.0), h, xs, reverse=reverse)
    y = mg.sum(mg.sin(last)) + mg.sum(hs[1])
    (edge,) = mg.edges(w, y)
    (by_step,) = shares(y, [edge])
    assert by_step.shape == (4, 3, 3)
    copies, state, rows = [mg.constant(value(w)) for _ in range(4)], h, {}
    for t in reversed(range(4)) if reverse else range(4):
        state = mg.tanh(state @ copies[t] + xs[t])
        rows[t] = state * 2.0
    expected = mg.gradients(mg.sum(mg.sin(state)) + mg.sum(rows[1]), copies)
    assert close(by_step, np.stack([value(g) for g in expected]))


@pytest.mark.parametrize("cell", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_a_cell_scanned_gives_by_step_what_it_gives_unrolled(cell: Any) -> None:
    made = mg.constant(cell.init(input_size=2, hidden_size=3, rng=0))
    xs = RNG.normal(size=(5, 2, 2))
    scanned, unrolled = (mg.sum(how(made, xs)[0][-1] ** 2) for how in (rnn.scan, rnn.unroll))
    for weight in mg.tree_leaves(made):
        by_step = sum(shares(scanned, mg.edges(weight, scanned)))
        expected = np.zeros((5, *weight.shape))
        edges = mg.edges(weight, unrolled)
        for edge, share in zip(edges, shares(unrolled, edges), strict=True):
            expected[numbered(edge.consumer.scope)[1]] += share
        assert close(by_step, expected), weight.name


def test_uses_in_two_loops_and_outside_stay_apart() -> None:
    w, x = mg.constant(RNG.normal(size=3), "w"), mg.constant(RNG.normal(size=3))
    a, _ = mg.scan(lambda h, _: (mg.sin(h * w), None), x, length=2)
    b, _ = mg.scan(lambda h, _: (mg.cos(h) + w, None), a, length=3)
    y = mg.sum(b * w)
    edges = mg.edges(w, y)
    assert [edge.shape for edge in edges] == [(3,), (3, 3), (2, 3)]
    assert [edge.consumer.primitive.name for edge in edges] == ["multiply", "add", "multiply"]
    assert len({edge.loops for edge in edges}) == 3
    assert close(total(y, edges, 1), mg.gradients(y, [w])[0])


def test_one_weight_as_carry_slices_and_closure() -> None:
    w = mg.constant(RNG.normal(size=(3, 3)), "w")
    last, _ = mg.scan(lambda h, row: (mg.tanh(h @ w + row), None), w, w)
    y = mg.sum(last)
    edges = mg.edges(w, y)
    assert [edge.shape for edge in edges] == [(3, 3), (3, 3), (3, 3, 3)]
    assert [edge.consumer.primitive.name for edge in edges] == ["scan", "scan", "matmul"]
    assert [len(edge.loops) for edge in edges] == [0, 0, 1]
    assert close(total(y, edges, 2), mg.gradients(y, [w])[0])


def test_every_edge_of_a_closure_is_from_the_node_outside() -> None:
    w = mg.constant(RNG.normal(size=(3, 3)), "w")

    def step(h: Any, x: Any) -> Any:
        k, _ = mg.scan(lambda k, row: (mg.tanh(k @ w + row * x), None), w, w)  # a carry, slices and a closure of the step
        return h + k, w

    last, ws = mg.scan(step, mg.constant(np.zeros((3, 3))), mg.constant(RNG.normal(size=(2, 3))))
    y = mg.sum(last) + mg.sum(ws)
    edges = mg.edges(w, y)
    assert all(edge.node is w for edge in edges)
    assert [edge.shape for edge in edges] == [(2, 3, 3), (2, 3, 3), (2, 3, 3), (2, 3, 3, 3)]
    assert [edge.hands_on for edge in edges] == [True, False, False, False]
    assert [len(edge.loops) for edge in edges] == [1, 1, 1, 2]
    assert close(total(y, edges, 2), mg.gradients(y, [w])[0])


def test_the_same_step_run_by_two_loops() -> None:
    # a gradient runs the step again, with other inputs perhaps: each loop has edges of its own
    w, x = mg.constant(RNG.normal(size=3), "w"), mg.constant(RNG.normal(size=3), "x")
    last, _ = mg.scan(lambda h, _: (mg.tanh(h * w), None), x, length=3)
    (slope,) = mg.gradients(mg.sum(last * last), [x])
    y = mg.sum(slope * slope) + mg.sum(last)
    edges = mg.edges(w, y)
    assert len({edge.loops for edge in edges}) > 1
    assert close(total(y, edges, 1), mg.gradients(y, [w])[0])
    (state,) = Graph([], [last]).find("t=[*]/tanh")
    edges = mg.edges(state, y)
    assert len({edge.loops for edge in edges}) == 2
    assert close(sum(shares(y, edges)), mg.gradients(y, [state])[0])


def test_shares_are_differentiated_again_and_compiled() -> None:
    w = mg.constant(RNG.normal(size=3), "w")
    x = RNG.normal(size=3)

    def by_step(w: Any) -> Any:
        last, _ = mg.scan(lambda h, _: (mg.tanh(h * w), None), x, length=3)
        y = mg.sum(last * last)
        (share,) = mg.gradients(y, mg.edges(w, y))
        return mg.sum(share[1] * share[2])

    (second,) = mg.gradients(by_step(w), [w])
    unit = 1e-6 * np.eye(3)
    numeric = [(float(by_step(mg.constant(value(w) + u))) - float(by_step(mg.constant(value(w) - u)))) / 2e-6 for u in unit]
    assert close(second, numeric, 1e-8)


def test_a_checkpointed_loop_has_an_axis_for_its_chunks() -> None:
    w, h, xs = mg.constant(RNG.normal(size=3), "w"), RNG.normal(size=3), RNG.normal(size=(6, 3))
    plain, chunked = (mg.scan(lambda h, x: (mg.tanh(h * w + x), None), h, xs, checkpoint=k)[0] for k in (None, 2))
    (by_step,), (by_chunk,) = (shares(y, mg.edges(w, y)) for y in (mg.sum(plain), mg.sum(chunked)))
    assert by_chunk.shape == (3, 2, 3)
    assert close(by_chunk.reshape(6, 3), by_step)
    with_rest = mg.sum(mg.scan(lambda h, x: (mg.tanh(h * w + x), None), h, xs, checkpoint=4)[0])
    whole, rest = sorted(mg.edges(w, with_rest), key=lambda edge: -edge.shape[1])
    assert (whole.shape, rest.shape) == ((1, 4, 3), (1, 2, 3))
    assert close(np.concatenate([share[0] for share in shares(with_rest, [whole, rest])]), by_step)


# ------------------------------------------------------------------------------------------------------ nodes inside


def stepped() -> tuple[Node, Graph]:
    def step(h: Any, x: Any) -> Any:
        with mg.scope("gate"):
            g = mg.sigmoid(h + x)
        return mg.tanh(h * g), g

    last, gates = mg.scan(step, mg.constant(RNG.normal(size=3), "h"), mg.constant(RNG.normal(size=(4, 3)), "x"))
    y = mg.sum(last * last) + mg.sum(gates[2])
    return y, Graph([], [y])


def test_carries_and_slices_are_nodes_inside() -> None:
    y, graph = stepped()
    (h,), (x,) = graph.find("t=[*]/h"), graph.find("t=[*]/x")
    for symbol, outside in ((h, graph.find("h")), (x, graph.find("x"))):
        (found,), (start,) = mg.gradients(y, [symbol]), mg.gradients(y, outside)
        edges = mg.edges(symbol, y)
        assert {edge.consumer.scope for edge in edges} <= {"t=*", "t=*/gate"}
        assert close(sum(shares(y, edges)), found)
        assert close(found if symbol is x else found[0], start)


def test_what_is_handed_on_is_an_edge() -> None:
    y, graph = stepped()
    ((state, gate),) = zip(graph.find("t=[*]/tanh"), graph.find("t=[*]/gate/sigmoid"), strict=True)
    (edge,) = mg.edges(state, y)
    assert edge.hands_on
    assert edge.consumer is edge.loops[0]
    names = [repr(edge) for edge in mg.edges(gate, y)]
    assert names == [
        "<edge from sigmoid to the stack of its values, at each of 4 steps>",
        "<edge from sigmoid to input 1 of multiply in t=*, at each of 4 steps>",
    ]
    assert repr(edge) == "<edge from tanh to h of the next step, at each of 4 steps>"
    stacked, used = shares(y, mg.edges(gate, y))
    assert stacked[2].tolist() == [1, 1, 1]
    assert not stacked[[0, 1, 3]].any()
    assert close(stacked + used, mg.gradients(y, [gate])[0])


def test_two_loops_deep_there_are_two_axes() -> None:
    w = mg.constant(RNG.normal(size=(3, 3)), "w")

    def step(h: Any, x: Any) -> Any:
        with mg.scope("inner"):
            k, _ = mg.scan(lambda k, row: (mg.tanh(k * row + w @ x), None), h, w[:2])
        return k, None

    last, _ = mg.scan(step, mg.constant(np.ones(3)), mg.constant(RNG.normal(size=(4, 3))))
    y = mg.sum(last)
    graph = Graph([], [y])
    (deep,) = graph.find("**/tanh")
    assert deep.scope == "t=*/inner/t=*"
    (edge,) = mg.edges(deep, y)
    assert (edge.shape, [loop.params["loop"].length for loop in edge.loops]) == ((4, 2, 3), [4, 2])
    assert "at each of 4 × 2 steps" in repr(edge)
    (found,) = mg.gradients(y, [deep])
    assert found.shape == (4, 2, 3)
    unrolled = graph.unroll_scan()
    for t in range(4):
        copies = unrolled.find(f"t={t}/inner/t=*/tanh")
        assert close(value(found)[t], np.stack([value(g) for g in mg.gradients(unrolled.outputs[0], copies)]))
    by_step = {edge.shape: share for edge in mg.edges(w, y) for share in shares(y, [edge])}
    assert set(by_step) == {(3, 3), (4, 3, 3)}  # w @ x needs no step of the inner loop; rows enter as slices


def test_a_node_that_the_loss_does_not_depend_on_is_an_error() -> None:
    def step(pair: Any, x: Any) -> Any:
        with mg.scope("dead"):
            dead = mg.cos(pair[1] + x)
        return (mg.tanh(pair[0]), dead), mg.sin(pair[0])

    start = mg.constant(np.ones(3), "a"), mg.constant(np.ones(3), "b")
    (last, _), ys = mg.scan(step, start, mg.constant(np.ones((2, 3)), "x"))
    y = mg.sum(last)
    graph = Graph([], [y])
    for pattern in ("t=[*]/dead/cos", "t=[*]/b", "t=[*]/x", "t=[*]/sin"):
        for node in graph.find(pattern):
            assert mg.edges(node, y) == []
            with pytest.raises(mg.errors.GradientError):
                mg.gradients(y, [node])
    assert [edge.consumer.primitive.name for edge in mg.edges(start[0], y)] == ["scan"]
    assert mg.edges(start[1], y) == []
    del ys


def test_a_cotangent_that_is_zero_throughout_an_inner_loop() -> None:
    # floor has slope 0: what reaches the inner loop depends on nothing, and is still stacked over both
    def step(h: Any, x: Any) -> Any:
        k, _ = mg.scan(lambda k, _: (mg.tanh(k * h), None), x, length=2)
        return h + mg.floor(k), None

    last, _ = mg.scan(step, mg.constant(np.ones(3)), mg.constant(np.ones((4, 3))))
    y = mg.sum(last)
    (deep,) = Graph([], [y]).find("**/tanh")
    (found,) = mg.gradients(y, [deep])
    assert found.shape == (4, 2, 3)
    assert not value(found).any()


def test_no_step_at_all() -> None:
    w, h = mg.constant(np.ones(3), "w"), mg.constant(np.ones(3), "h")
    last, hs = mg.scan(lambda h, _: ((s := mg.tanh(h * w)), s), h, length=0)
    y = mg.sum(last) + mg.sum(hs)
    (enters,) = mg.edges(h, y)
    assert value(mg.gradients(y, [enters])[0]).tolist() == [1, 1, 1]
    assert mg.edges(w, y) == []
    assert value(mg.gradients(y, [w])[0]).tolist() == [0, 0, 0]
    forgotten, _ = mg.scan(lambda h, _: (mg.tanh(w), None), h, length=0)
    assert value(mg.gradients(mg.sum(forgotten), [h])[0]).tolist() == [1, 1, 1]


def test_the_start_of_a_carry_that_no_step_reads() -> None:
    start = mg.sin(mg.constant(np.ones(3)))
    for length in (1, 3):
        last, _ = mg.scan(lambda h, x: (mg.tanh(x), None), start, mg.constant(np.ones((length, 3))))
        y = mg.sum(last)
        assert mg.edges(start, y) == []
        with pytest.raises(mg.errors.GradientError):
            mg.gradients(y, [start])


def test_what_ends_in_a_stopped_gradient_is_no_edge() -> None:
    w = mg.constant(np.ones(3), "w")
    y = mg.sum(mg.stop_gradient(mg.sin(w)) * w)
    assert [edge.consumer.primitive.name for edge in mg.edges(w, y)] == ["multiply"]
    last, _ = mg.scan(lambda h, _: (h * mg.stop_gradient(mg.sin(h * w)) + w, None), mg.constant(np.ones(3)), length=2)
    assert [edge.consumer.primitive.name for edge in mg.edges(w, mg.sum(last))] == ["add"]


def test_integers_and_stopped_gradients_are_no_edges() -> None:
    w, i = mg.constant(np.ones(3), "w"), mg.constant(np.array(1), "i")

    def step(carry: Any, _: Any) -> Any:
        n, h = carry
        return (n + 1, h * mg.stop_gradient(w) + w.astype(int) * 2.0), None

    (_, last), _ = mg.scan(step, (i, mg.constant(np.ones(3))), length=2)
    y = mg.sum(last)
    assert mg.edges(w, y) == []
    assert mg.edges(i, y) == []


# -------------------------------------------------------------------------------------------------- edges as objects


def test_edges_are_equal_when_they_are_the_same_use_in_the_same_loop() -> None:
    w = mg.constant(np.ones(3), "w")
    step = lambda h, _: (mg.tanh(h * w), None)  # noqa: E731
    last, _ = mg.scan(step, np.ones(3), length=2)
    y = mg.sum(last)
    (first,), (second,) = mg.edges(w, y), mg.edges(w, y)
    assert first == second
    assert len({first, second}) == 1
    assert first != first.in_step
    assert first.node is w
    assert (first.ndim, first.dtype) == (2, np.float64)
    a, b = mg.gradients(y, [first, second])
    assert a is b


def test_an_edge_of_another_loop_is_an_error() -> None:
    w = mg.constant(np.ones(3), "w")
    y, z = (mg.sum(mg.scan(lambda h, _: (mg.tanh(h * w), None), np.ones(3), length=2)[0]) for _ in range(2))
    with pytest.raises(mg.errors.GradientError, match=r"(?s)edge from constant 'w' to input 1 of multiply in t=\*.*mg\.edges"):
        mg.gradients(y, mg.edges(w, z))


# ------------------------------------------------------------------------------------------------------------- finding


def test_a_single_step_of_a_loop_is_pointed_to() -> None:
    _, graph = stepped()
    message = r"(?s)'t=2/gate/\*'.*one node stands for all steps.*find\('t=\*/gate/\*'\).*unroll_scan\(\).find\('t=2/gate/\*'\)"
    with pytest.raises(mg.errors.ArgumentError, match=message):
        graph.find("t=2/gate/*")
    assert len(graph.find("t=*/gate/*")) == 2
    assert len(graph.unroll_scan().find("t=2/gate/*")) == 2
    assert graph.find("t=2/no such scope") == []
    assert graph.unroll_scan().find("t=9/gate/*") == []


def test_what_stands_for_a_closure_is_not_found_twice() -> None:
    w = mg.constant(np.ones(3), "w")
    last, _ = mg.scan(lambda h, _: (mg.tanh(h * w), None), np.ones(3), length=2)
    (found,) = Graph([], [last]).find("w")
    assert found is w


def test_pickled_graphs_can_be_asked_inside() -> None:
    y, graph = stepped()
    again = pickle.loads(pickle.dumps(graph))
    for one, other in zip(graph.find("t=[*]/**"), again.find("t=[*]/**"), strict=True):
        assert close(gradient_or_zeros(y, one).sum(), gradient_or_zeros(again.outputs[0], other).sum())
