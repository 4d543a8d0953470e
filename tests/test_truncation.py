"""Truncated BPTT: the values of scan, gradients that reach as far as Williams & Peng say, and the report of their bias."""

from __future__ import annotations

import functools
import math
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.graph import Graph
from rnn.truncation import _deviation

from .invariants import check_graph

Array = Any
STEPS, BATCH, INPUTS, HIDDEN = 7, 2, 3, 4
RNG = np.random.default_rng(0)
XS = RNG.normal(size=(STEPS, BATCH, INPUTS))
WEIGHTS = RNG.normal(size=(STEPS, BATCH, HIDDEN))  # of the outputs, in the loss
KINDS = [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell]
BOUNDS: list[dict[str, int]] = [{"k1": k1, "k2": k2} for k2 in range(1, STEPS + 2) for k1 in range(1, k2 + 1)]
BOUNDS += [{"chunk": size} for size in range(1, STEPS + 2)]
SOME: list[dict[str, int]] = [{"k2": 3}, {"k1": 2, "k2": 3}, {"k1": 3, "k2": 5}, {"k1": 2, "k2": 2}, {"chunk": 3}, {"k2": 1}]


def called(bounds: dict[str, int]) -> str:
    return " ".join(f"{name}={k}" for name, k in bounds.items())


every_bound = pytest.mark.parametrize("bounds", BOUNDS, ids=called)
some_bounds = pytest.mark.parametrize("bounds", SOME, ids=called)
every_kind = pytest.mark.parametrize("kind", KINDS)


def windows(bounds: dict[str, int], steps: int = STEPS) -> list[tuple[int, int, int]]:
    """(the step that a pass starts at, the first and the last + 1 of the outputs that are its own), by definition."""
    if "chunk" in bounds:
        n = bounds["chunk"]
        return [(a, a, min(a + n, steps)) for a in range(0, steps, n)]
    k1, k2 = bounds.get("k1", 1), bounds["k2"]
    ends = [min(a + k1, steps) for a in range(0, steps, k1)]
    return [(max(end - k2, 0), a, end) for a, end in zip(range(0, steps, k1), ends)]


def oldest(bounds: dict[str, int], steps: int = STEPS) -> list[int]:
    """Of each output, the oldest step that its gradient reaches."""
    return [start for start, a, end in windows(bounds, steps) for _ in range(a, end)]


def loss(run: Any, cell: Any, xs: Any, state: Any = None, **more: Any) -> Any:
    """All outputs and the last state, each with a weight of its own."""
    hs, last = run(cell, xs, state, **more)
    total = mg.sum(mg.sin(hs) * WEIGHTS[: hs.shape[0]])
    for i, leaf in enumerate(mg.tree_leaves(last)):
        total = total + mg.sum(mg.cos(leaf)) * (i + 1)
    return total


def by_definition(bounds: dict[str, int]) -> Any:
    """Each pass by itself: from the state that its oldest step starts from, a constant, step after step in Python."""

    def run(cell: Any, xs: Any, state: Any = None, mask: Any = None, lengths: Any = None, reverse: bool = False) -> Any:
        steps, order = xs.shape[0], list(range(xs.shape[0]))
        real = (lambda t: None) if lengths is None else (lambda t: (t < lengths)[:, None])
        if reverse:
            order.reverse()

        def go(state: Any, places: list[int]) -> tuple[Any, list[Any]]:
            outputs = []
            for t in places:
                output, new = cell(xs[t], state)
                if real(t) is not None:
                    new = mg.tree_map(lambda a, b: mg.where(real(t), a, b), new, state)  # noqa: B023
                    output = mg.where(real(t), output, 0)
                state = new
                outputs.append(output)
            return state, outputs

        init = cell.initial_state(xs.shape[1]) if state is None else state
        found: list[Any] = [None] * steps
        for start, a, end in windows(bounds, steps):
            before = init if start == 0 else mg.stop_gradient(go(init, order[:start])[0])
            last, outputs = go(before, order[start:end])
            for place, output in zip(order[a:end], outputs[a - start :]):
                found[place] = output
        return mg.stack(found), last

    return run


def same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    for a, b in zip(mg.tree_leaves(found), mg.tree_leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        scale = float(np.max(np.abs(b), initial=1e-3))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


# --------------------------------------------------------------------------------------------------------- the values


@every_kind
@some_bounds
@pytest.mark.parametrize(
    "more", [{}, {"reverse": True}, {"lengths": np.array([3, 7])}, {"lengths": np.array([0, 5]), "reverse": True}], ids=str
)
def test_values_are_those_of_scan(kind: Any, bounds: dict[str, int], more: dict[str, Any]) -> None:
    cell = kind.init(INPUTS, HIDDEN, rng=0)
    state = mg.tree_map(lambda leaf: leaf + 0.3, cell.initial_state(BATCH))
    found = mg.evaluate(rnn.truncated(cell, XS, state, **more, **bounds))
    for a, b in zip(mg.tree_leaves(found), mg.tree_leaves(mg.evaluate(rnn.scan(cell, XS, state, **more)))):
        assert np.array_equal(a, b)


@every_bound
def test_values_are_those_of_scan_for_all_bounds(bounds: dict[str, int]) -> None:
    cell = rnn.GRUCell.init(INPUTS, HIDDEN, rng=0)
    for steps in (0, 1, 2, 5, 7):
        found = mg.evaluate(rnn.truncated(cell, XS[:steps], **bounds))
        assert all(np.array_equal(a, b) for a, b in zip(found, mg.evaluate(rnn.scan(cell, XS[:steps]))))


def test_without_a_batch() -> None:
    cell = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=0)
    run = lambda run: mg.evaluate(run(cell, XS[:, 0]))  # noqa: E731
    found, expected = run(functools.partial(rnn.truncated, k1=2, k2=3)), run(rnn.scan)
    assert all(np.array_equal(a, b) for a, b in zip(mg.tree_leaves(found), mg.tree_leaves(expected)))


# ------------------------------------------------------------------------------------------------------- the gradients


@every_bound
def test_each_output_reaches_exactly_the_steps_of_its_pass(bounds: dict[str, int]) -> None:
    # within reach the gradient is the full one, beyond it is exactly 0; inputs tell, since each enters at one step
    cell = rnn.RNNCell.init(INPUTS, HIDDEN, rng=0)

    def slopes(run: Any) -> Callable[..., Any]:
        return mg.compile(mg.grad(lambda xs, weights: mg.sum(run(cell, xs)[0] * weights)))

    truncated, full = slopes(functools.partial(rnn.truncated, **bounds)), slopes(rnn.scan)
    for s, start in enumerate(oldest(bounds)):
        weights = np.zeros((STEPS, BATCH, HIDDEN))
        weights[s] = WEIGHTS[s]
        found, expected = truncated(XS, weights), full(XS, weights)
        assert not found[:start].any()
        assert not found[s + 1 :].any()
        assert found[start : s + 1].all()
        np.testing.assert_allclose(found[start:], expected[start:], rtol=1e-12)


def test_how_far_each_output_reaches() -> None:
    # the formula of the docstring, and what it comes to
    for bounds in BOUNDS:
        if "chunk" in bounds:
            assert oldest(bounds) == [s // bounds["chunk"] * bounds["chunk"] for s in range(STEPS)]
        else:
            k1, k2 = bounds["k1"], bounds["k2"]
            ends = [min(k1 * (s // k1 + 1), STEPS) for s in range(STEPS)]
            assert oldest(bounds) == [max(end - k2, 0) for end in ends]
    reach = lambda **bounds: [s - a + 1 for s, a in enumerate(oldest(bounds, 12))]  # noqa: E731
    assert reach(k2=3) == [1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    assert reach(k1=2, k2=3) == [1, 2, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3]
    assert reach(chunk=3) == reach(k1=3, k2=3) == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]


@every_kind
@some_bounds
@pytest.mark.parametrize("more", [{}, {"reverse": True}, {"lengths": np.array([3, 7])}], ids=str)
def test_gradients_are_those_of_the_passes_one_by_one(kind: Any, bounds: dict[str, int], more: dict[str, Any]) -> None:
    cell = kind.init(INPUTS, HIDDEN, rng=1)
    state = mg.tree_map(lambda leaf: leaf + 0.3, cell.initial_state(BATCH))
    asked = lambda run: mg.grad(lambda *a: loss(run, *a, **more), argnums=(0, 1, 2))  # noqa: E731
    expected = mg.compile(asked(by_definition(bounds)))(cell, XS, state)
    truncated = asked(functools.partial(rnn.truncated, **bounds))
    graph = mg.trace(truncated, cell, XS, state)
    check_graph(graph)
    same(graph.evaluate(cell, XS, state), expected)
    same(mg.compile(truncated)(cell, XS, state), expected)


@every_bound
def test_the_gradient_is_the_sum_of_the_shares_within_reach(bounds: dict[str, int]) -> None:
    # the full graph, unrolled: dL/dW by output and by step at which W is used; those within reach add up
    cell = rnn.RNNCell.init(INPUTS, HIDDEN, rng=2)
    node = mg.constant(cell)
    hs, _ = rnn.unroll(node, XS)
    expected = np.zeros((HIDDEN, HIDDEN))
    for s, start in enumerate(oldest(bounds)):
        y = mg.sum(hs[s] * WEIGHTS[s])
        uses = mg.edges(node.hidden.w_h, y)
        shares = dict(zip([edge.consumer.scope.split("/")[0] for edge in uses], mg.gradients(y, uses)))
        expected += sum(np.asarray(share) for step, share in shares.items() if int(step[2:]) >= start)
    run = functools.partial(rnn.truncated, **bounds)
    found = mg.grad(lambda cell: mg.sum(run(cell, XS)[0] * WEIGHTS))(cell)
    np.testing.assert_allclose(found.hidden.w_h, expected, rtol=1e-12, atol=1e-14)


@every_bound
@pytest.mark.parametrize("steps", [1, 4, 11])
def test_a_linear_network_in_closed_form(bounds: dict[str, int], steps: int) -> None:
    # h[t] = w h[t-1] + x[t], so h[s] has the derivative sum of w**(s - j) h[j-1] over the steps j within reach
    rng = np.random.default_rng(steps)
    w, xs, weights = 0.8, rng.normal(size=(steps, 1, 1)), rng.normal(size=(steps, 1, 1))
    cell = rnn.RNNCell(rnn.Affine(w_x=np.ones((1, 1)), w_h=np.full((1, 1), w)), activation="identity")
    h = [0.0]
    for x in xs.ravel():
        h.append(w * h[-1] + x)
    expected = sum(
        weights[s, 0, 0] * w ** (s - j) * h[j] for s, start in enumerate(oldest(bounds, steps)) for j in range(start, s + 1)
    )
    found = mg.grad(lambda cell: mg.sum(rnn.truncated(cell, xs, **bounds)[0] * weights))(cell).hidden.w_h.item()
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


@every_kind
@pytest.mark.parametrize("bounds", [{"k2": STEPS}, {"k1": 3, "k2": STEPS}, {"k1": 9, "k2": 9}, {"chunk": STEPS}, {"k2": 10**9}], ids=called)
def test_exact_where_nothing_is_out_of_reach(kind: Any, bounds: dict[str, int]) -> None:
    cell = kind.init(INPUTS, HIDDEN, rng=0)
    found, expected = (mg.grad(functools.partial(loss, run))(cell, XS) for run in (functools.partial(rnn.truncated, **bounds), rnn.scan))
    assert all(np.array_equal(a, b) for a, b in zip(mg.tree_leaves(found), mg.tree_leaves(expected)))


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_chunks_are_passes_that_do_not_overlap(size: int) -> None:
    cell, xs = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=0), XS[:6]
    found, expected = (
        mg.grad(functools.partial(loss, functools.partial(rnn.truncated, **bounds)))(cell, xs)
        for bounds in ({"chunk": size}, {"k1": size, "k2": size})
    )
    same(found, expected)


def test_chunks_are_calls_one_after_the_other() -> None:
    # what a training loop does that keeps the state as arrays
    cell, state = rnn.GRUCell.init(INPUTS, HIDDEN, rng=0), np.zeros((BATCH, HIDDEN))
    total = mg.tree_map(np.zeros_like, cell)
    for start in range(0, STEPS, 3):
        weights = WEIGHTS[start : start + 3]
        one = lambda cell, state, xs, weights=weights: ((r := rnn.scan(cell, xs, state)), mg.sum(r[0] * weights))[::-1]  # noqa: E731
        slope, (_, state) = mg.grad(one, has_aux=True)(cell, state, XS[start : start + 3])
        total = mg.tree_map(np.add, total, slope)
    same(mg.grad(lambda cell: mg.sum(rnn.truncated(cell, XS, chunk=3)[0] * WEIGHTS))(cell), total)


@some_bounds
def test_second_derivatives(bounds: dict[str, int]) -> None:
    cell = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=1)
    rng = np.random.default_rng(3)
    along = mg.tree_map(lambda leaf: rng.normal(size=leaf.shape), cell)
    product = lambda run: lambda cell: mg.hvp(lambda cell: loss(run, cell, XS), (cell,), (along,))[1]  # noqa: E731
    expected = mg.compile(product(by_definition(bounds)))(cell)
    same(mg.compile(product(functools.partial(rnn.truncated, **bounds)))(cell), expected, 1e-11)


@some_bounds
@pytest.mark.parametrize("checkpoint", [1, "sqrt"])
def test_checkpoints_change_nothing(bounds: dict[str, int], checkpoint: Any) -> None:
    cell = rnn.GRUCell.init(INPUTS, HIDDEN, rng=1)
    run = functools.partial(rnn.truncated, **bounds)
    expected = mg.compile(mg.grad(functools.partial(loss, run)))(cell, XS)
    same(mg.compile(mg.grad(functools.partial(loss, run)))(cell, XS, checkpoint=checkpoint), expected)


@dataclass(frozen=True)
class Reader:
    """A cell of the user's own: letters are numbers, the state is a dict that counts the steps too."""

    table: Any
    w: Any

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        h = mg.tanh(self.table[x] + state["h"] @ self.w + 0.01 * state["n"])
        return {"h": h, "n": state["n"]}, {"h": h, "n": state["n"] + 1}

    def initial_state(self, batch: int) -> Any:
        return {"h": np.zeros((batch, 3)), "n": np.array(0)}


@some_bounds
def test_a_cell_of_the_users_own(bounds: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    cell, letters = Reader(rng.normal(size=(5, 3)), rng.normal(size=(3, 3)) / 2), rng.integers(0, 5, (STEPS, BATCH, 1))[..., 0]
    letters = letters[..., None]  # (T, batch, 1)
    weights = rng.normal(size=(STEPS, BATCH, 3))
    read = lambda run: lambda cell: mg.sum(run(Letters(cell), letters)[0]["h"] * weights)  # noqa: E731
    expected = np.zeros((5, 3))
    node = mg.constant(cell)
    for s, start in enumerate(oldest(bounds)):
        outputs, _ = rnn.unroll(Letters(node), letters)
        y = mg.sum(outputs["h"][s] * weights[s])
        uses = mg.edges(node.table, y)
        for edge, share in zip(uses, mg.gradients(y, uses)):
            if int(edge.consumer.scope.split("/")[0][2:]) >= start:
                expected += np.asarray(share)
    found = mg.grad(read(functools.partial(rnn.truncated, **bounds)))(cell)
    np.testing.assert_allclose(found.table, expected, rtol=1e-12, atol=1e-14)


@dataclass(frozen=True)
class Letters:
    """Takes the last axis away, which sequences of letters have for the sake of their shape."""

    cell: Any

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        return self.cell(x[:, 0], state)

    def initial_state(self, batch: int) -> Any:
        return self.cell.initial_state(batch)


# ------------------------------------------------------------------------------------------------------------ the cost


def steps_run(graph: Graph, times: int = 1) -> int:
    """How often the innermost loops' steps run."""
    total = 0
    for node in graph.nodes:
        if node.shape is None:
            loop = node.params["loop"]
            inner = steps_run(loop.graph, times * loop.length)
            total += inner or times * loop.length
    return total


@pytest.mark.parametrize("k1", [1, 2, 5, 20])
def test_passes_cost_what_they_must(k1: int) -> None:
    cell, steps, k2 = rnn.RNNCell.init(INPUTS, HIDDEN, rng=0), 200, 20
    graph = mg.trace(lambda xs: rnn.truncated(cell, xs, k1=k1, k2=k2)[0], np.ones((steps, BATCH, INPUTS))).simplify()
    assert steps_run(graph) <= steps * k2 / k1 + k2 + k1
    chunks = mg.trace(lambda xs: rnn.truncated(cell, xs, chunk=k2)[0], np.ones((steps, BATCH, INPUTS))).simplify()
    assert steps_run(chunks) == steps


def test_the_graph_does_not_grow_with_the_sequence() -> None:
    def size(steps: int, **bounds: int) -> int:
        cell, xs = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=0), np.ones((steps, BATCH, INPUTS))
        graph = mg.trace(mg.grad(functools.partial(total, functools.partial(rnn.truncated, **bounds))), cell, xs)
        return len(graph) + sum(len(inner) for inner in graph.subgraphs())

    def total(run: Any, cell: Any, xs: Any) -> Any:
        return mg.sum(run(cell, xs)[0])

    assert size(53, k1=3, k2=10) == size(1003, k1=3, k2=10)
    assert size(53, chunk=10) == size(1003, chunk=10)


def test_memory_with_checkpoints_is_that_of_one_pass() -> None:
    cell, xs = rnn.LSTMCell.init(2, 16, rng=0), np.random.default_rng(0).normal(size=(60, 4, 2))

    def peak(checkpoint: Any) -> int:
        graph = mg.trace(mg.grad(lambda cell: mg.sum(rnn.truncated(cell, xs, k2=15, checkpoint=checkpoint)[0])), cell)
        graph.evaluate(cell)
        tracemalloc.start()
        graph.evaluate(cell)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(1) < peak(None) / 4


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("bounds", "pattern"),
    [
        ({"k2": 0}, "k2 is a number of steps, 1 or more, got 0"),
        ({"k1": 0, "k2": 3}, "k1 is a number of steps, 1 or more, got 0"),
        ({"k1": -1, "k2": 3}, "got -1"),
        ({"k2": True}, "got True"),
        ({"k1": True, "k2": 3}, "got True"),
        ({"k2": 2.5}, "got 2.5"),
        ({"k2": "3"}, "got '3'"),
        ({"chunk": 0}, "chunk is a number of steps, 1 or more, got 0"),
        ({"chunk": False}, "got False"),
        ({"k1": 4, "k2": 3}, "k1=4 is larger than k2=3(?s:.*)k1=3, or k2=4"),
        ({}, "got neither"),
        ({"k1": 4}, "got k1=4"),
        ({"k2": 3, "chunk": 3}, "got k2=3, chunk=3"),
        ({"k1": 3, "chunk": 3}, "got k1=3, chunk=3"),
    ],
    ids=lambda value: called(value) if isinstance(value, dict) else "",
)
def test_bad_bounds(bounds: dict[str, Any], pattern: str) -> None:
    cell = rnn.RNNCell.init(INPUTS, HIDDEN, rng=0)
    with pytest.raises(mg.errors.ArgumentError, match=pattern) as caught:
        rnn.truncated(cell, XS, **bounds)
    assert "test_truncation.py:" in str(caught.value)
    with pytest.raises(mg.errors.ArgumentError, match=pattern):
        rnn.truncation_bias(functools.partial(loss), cell, XS, **bounds)


def test_other_arguments_are_checked_as_by_scan() -> None:
    cell = rnn.RNNCell.init(INPUTS, HIDDEN, rng=0)
    with pytest.raises(mg.errors.ShapeError, match="truncated: xs has the shape"):
        rnn.truncated(cell, np.ones(3), k2=2)
    with pytest.raises(TypeError, match="truncated"):
        rnn.truncated("cell", XS, k2=2)


def test_numpy_integers_are_numbers_of_steps() -> None:
    cell = rnn.RNNCell.init(INPUTS, HIDDEN, rng=0)
    hs, _ = rnn.truncated(cell, XS, k1=np.int64(1), k2=np.int32(2))
    assert hs.shape == (STEPS, BATCH, HIDDEN)


# ----------------------------------------------------------------------------------------------------------- the bias


def scaled(run: Any, cell: Any, xs: Any, factor: float = 1.0) -> Any:
    return mg.sum(run(cell, xs)[0] * WEIGHTS) * factor


@every_kind
def test_there_is_no_bias_where_nothing_is_cut_off(kind: Any) -> None:
    bias = rnn.truncation_bias(scaled, kind.init(INPUTS, HIDDEN, rng=0), XS, k2=STEPS)
    assert [(found.angle, found.ratio) for found in (*bias.parts.values(), bias.total)] == [(0.0, 1.0)] * (len(bias.parts) + 1)


@some_bounds
def test_angles_and_ratios_are_those_of_the_two_gradients(bounds: dict[str, int]) -> None:
    cell = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=0)
    bias = rnn.truncation_bias(scaled, cell, XS, **bounds)
    found, full = (mg.grad(functools.partial(scaled, run))(cell, XS) for run in (functools.partial(rnn.truncated, **bounds), rnn.scan))
    pairs = dict(zip(bias.parts, zip(mg.tree_leaves(found), mg.tree_leaves(full))))
    assert list(pairs)[:2] == ["forget.w_x", "forget.w_h"]
    everything = [np.concatenate([leaf.ravel() for leaf in mg.tree_leaves(tree)]) for tree in (found, full)]
    for name, (a, b), measured in [*((n, p, bias.parts[n]) for n, p in pairs.items()), ("all", everything, bias.total)]:
        a, b = np.ravel(a), np.ravel(b)
        assert measured.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12), name
        assert measured.ratio == pytest.approx(np.linalg.norm(a) / np.linalg.norm(b), rel=1e-10)
        assert measured.log10_norm == pytest.approx(np.log10(np.linalg.norm(a)))
        assert measured.log10_full == pytest.approx(np.log10(np.linalg.norm(b)))
    assert bias.total.angle > 1


def test_a_longer_reach_has_less_bias() -> None:
    cell = rnn.GRUCell.init(INPUTS, HIDDEN, rng=0)
    angles = [rnn.truncation_bias(scaled, cell, XS, k2=k2).total.angle for k2 in range(1, STEPS + 1)]
    assert angles[0] > 10 * angles[4] > 0
    assert angles[-1] == 0


def test_tiny_gradients_are_compared_as_well_as_others() -> None:
    # plain squares of these would be 0
    cell = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=0)
    tiny, plain = (rnn.truncation_bias(scaled, cell, XS, factor, k2=2).total for factor in (1e-200, 1.0))
    assert tiny.angle == pytest.approx(plain.angle)
    assert tiny.ratio == pytest.approx(plain.ratio)
    assert tiny.log10_norm == pytest.approx(plain.log10_norm - 200)


def test_float32_models_are_compared_in_float64() -> None:
    cell = rnn.LSTMCell.init(INPUTS, HIDDEN, rng=0, dtype="float32")
    found = rnn.truncation_bias(scaled, cell, XS.astype("float32"), k2=STEPS - 1).total
    wide = mg.tree_map(lambda leaf: leaf.astype("float64"), cell)
    assert found == rnn.truncation_bias(scaled, wide, XS.astype("float32").astype("float64"), k2=STEPS - 1).total


def test_a_gradient_that_is_cut_off_whole() -> None:
    # the loss is of the last output, and the input that matters came before
    def late(run: Any, weights: Any, xs: Any) -> Any:
        cell = rnn.RNNCell(rnn.Affine(w_x=weights["in"], w_h=np.full((1, 1), 0.5)), activation="identity")
        return mg.sum(run(cell, xs)[0][-1])

    xs = np.zeros((5, 1, 1))
    xs[0] = 1
    bias = rnn.truncation_bias(late, {"in": np.ones((1, 1))}, xs, k2=2)
    found = bias.parts["['in']"]
    assert math.isnan(found.angle)
    assert (found.ratio, found.log10_norm, found.log10_full) == (0, -math.inf, pytest.approx(4 * math.log10(0.5)))
    assert " -  " in str(bias)
    nothing = rnn.truncation_bias(late, {"in": np.ones((1, 1))}, np.zeros((5, 1, 1)), k2=2).total
    assert math.isnan(nothing.angle)
    assert math.isnan(nothing.ratio)


def test_angles_are_exact_however_small() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=50)
    b = rng.normal(size=50)
    b -= a * (a @ b) / (a @ a)
    for angle in (1e-12, 1e-8, 1e-3, 1.0, math.pi / 2, 3.0):
        turned = math.cos(angle) * a / np.linalg.norm(a) + math.sin(angle) * b / np.linalg.norm(b)
        assert math.radians(_deviation([a], [turned]).angle) == pytest.approx(angle, rel=1e-3 if angle < 1e-10 else 1e-7)
    assert _deviation([a], [a]).angle == 0
    assert _deviation([a], [-a]).angle == 180
    assert _deviation([a * 1e-300], [a * 1e300]).ratio == 0
    assert _deviation([a], [np.zeros(50)]).ratio == math.inf


def test_the_report_is_a_table() -> None:
    text = str(rnn.truncation_bias(scaled, rnn.RNNCell.init(INPUTS, HIDDEN, rng=0), XS, k1=2, k2=3))
    first, *rows = text.splitlines()
    assert first == "truncated (k1=2, k2=3) against full gradient"
    assert [row.split()[0] for row in rows] == ["parameter", "hidden.w_x", "hidden.w_h", "hidden.b", "all"]
    assert len({len(row) for row in rows}) == 1
    assert "chunk=3" in str(rnn.truncation_bias(scaled, rnn.RNNCell.init(INPUTS, HIDDEN, rng=0), XS, chunk=3))
