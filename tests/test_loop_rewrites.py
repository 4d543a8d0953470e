"""Rewrites of loops: each rule holds for all shapes and lengths, applies where it says and nowhere else.

What `drop_dead_results` drops was not needed, and what `merge_loops` merges was the same. Of every pass of `PASSES` about
loops, properties: over drawn shapes, with the values before and after, and with what the pass is for counted.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
import rnn
from minigrad.graph import Graph, Loop, depending_on
from minigrad.nodes import as_node
from minigrad.primitives.structure import place
from minigrad.rewrites import PASSES, drop_dead_results, merge_loops, optimize

from .cell_drawing import random_cell
from .cell_judge import Judge
from .invariants import check_graph, picks_fit

Array = Any


def loops_of(graph: Graph) -> list[Loop]:
    return [node.params["loop"] for node in graph.nodes if node.shape is None]


def two_sums(xs, ys):
    """A loop of two carries that do not touch, each with its own stack."""
    return mg.scan(lambda c, v: ((c[0] + v[0], c[1] * v[1]), (c[0], c[1])), (0.0, 1.0), (xs, ys))


XS, YS = np.arange(1.0, 5.0), np.arange(2.0, 6.0)


@pytest.mark.parametrize(
    ("result", "carries", "stacks"),
    [
        (lambda r: r[0][0], 1, 0),
        (lambda r: r[0][1], 1, 0),
        (lambda r: r[1][1], 1, 1),
        (lambda r: (r[0][0], r[1][1]), 2, 1),
        (lambda r: r, 2, 2),
    ],
)
def test_what_no_result_needs_falls_away(result, carries, stacks):
    graph = mg.trace(lambda xs, ys: result(two_sums(xs, ys)), XS, YS)
    before, after = graph.evaluate(XS, YS), drop_dead_results(graph)
    (loop,) = loops_of(after)
    assert (loop.carries, len(loop.graph.outputs) - loop.carries) == (carries, stacks)
    for a, b in zip(mg.tree_leaves(before), mg.tree_leaves(after.evaluate(XS, YS)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_carry_that_feeds_a_needed_one_stays():
    def fibonacci(xs):
        (_, b), _ = mg.scan(lambda c, x: ((c[1], c[0] + c[1] + x), c[0]), (1.0, 1.0), xs)
        return b

    graph = drop_dead_results(mg.trace(fibonacci, np.zeros(5)))
    (loop,) = loops_of(graph)
    assert loop.carries == 2 and len(loop.graph.outputs) == 2
    assert graph.evaluate(np.zeros(5)) == 13.0


def test_a_loop_that_only_a_dropped_result_used_is_gone():
    def chained(xs):
        first, _ = mg.scan(lambda c, x: (c + x, c), 0.0, xs)
        (a, _), _ = mg.scan(lambda c, x: ((c[0] + x, c[1] + first), None), (0.0, 0.0), xs)
        return a

    assert len(loops_of(mg.trace(chained, XS))) == 2
    assert len(loops_of(drop_dead_results(mg.trace(chained, XS)))) == 1


def test_the_gradient_of_a_loop_runs_its_step_once():
    cell, xs = rnn.LSTMCell.init(3, 4, rng=0), np.ones((5, 2, 3))

    def loss(cell, xs):
        return mg.sum(rnn.scan(cell, xs)[0] ** 2)

    graph = mg.trace(mg.value_and_grad(loss), cell, xs)
    assert len(loops_of(graph)) == 3  # forward, forward with more results, backward
    merged = merge_loops(graph)
    assert len(loops_of(merged)) == 2
    for a, b in zip(mg.tree_leaves(graph.evaluate(cell, xs)), mg.tree_leaves(merged.evaluate(cell, xs)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_last_states_alone_need_no_stack():
    cell, xs = rnn.GRUCell.init(3, 4, rng=0), np.ones((5, 2, 3))
    source = mg.trace(lambda cell, xs: rnn.scan(cell, xs)[1], cell, xs).source
    assert "np.empty" not in source


def test_the_gradient_of_a_loop_in_a_loop_runs_both_steps_once():
    def nested(w, xs):
        def outer(h, rows):
            return mg.scan(lambda k, x: (mg.tanh(k @ w + x), None), h, rows)[0] * 0.5, None

        return mg.sum(mg.scan(outer, np.ones(3), xs)[0])

    def count(graph, name):
        return sum(count(inner, name) for inner in graph.subgraphs()) + sum(n.primitive.name == name for n in graph.nodes)

    w, xs = np.eye(3), np.ones((5, 4, 3))
    graph = mg.trace(mg.value_and_grad(nested), w, xs)
    merged = merge_loops(graph)
    assert count(merged, "scan") == 4  # forward and backward, the outer loop and the inner one
    assert count(merged, "tanh") == 1
    for a, b in zip(graph.evaluate(w, xs), merged.evaluate(w, xs), strict=True):
        np.testing.assert_array_equal(a, b)


# --------------------------------------------------------------------------------------------- what the properties share


class Case(NamedTuple):
    """Shapes of a loop: `rows` is () for vectors; with `left`, weights are multiplied from the left by columns."""

    rows: tuple[int, ...]
    steps: int
    width: int
    count: int  # of gates, say
    reverse: bool
    left: bool
    seed: int

    @property
    def state(self) -> tuple[int, ...]:
        """The shape of a carry."""
        return (self.width, *self.rows) if self.left else (*self.rows, self.width)

    @property
    def bias(self) -> tuple[int, ...]:
        """The shape of a bias, the same in all rows."""
        return (self.width, *[1] * len(self.rows)) if self.left else (self.width,)

    def draw(self, *shapes: Sequence[int]) -> list[Array]:
        """Arrays of some shapes; positive, so that no sum of them cancels."""
        rng = np.random.default_rng(self.seed)
        return [rng.uniform(0.1, 1.0, shape) / self.width for shape in shapes]

    def times(self, h: Any, w: Any) -> Any:
        """h @ w, or w @ h."""
        return w @ h if self.left else h @ w

    def scan(self, step: Any, init: Any, xs: Any) -> Any:
        return mg.scan(step, init, xs, length=self.steps, reverse=self.reverse)


CASES = st.builds(
    Case,
    rows=st.sampled_from([(), (1,), (2,), (3,)]),
    steps=st.integers(1, 6),
    width=st.integers(1, 4),
    count=st.integers(2, 4),
    reverse=st.booleans(),
    left=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
RIGHT = CASES.filter(lambda case: not case.left)
BATCH = Case((2,), 4, 3, 2, False, False, 0)
few = settings(max_examples=30, deadline=None)


def rewritten(name: str, f: Callable[..., Any], *arrays: Array, earlier: str = "") -> tuple[Graph, Graph]:
    """The graph before and after a pass, which has changed it, but for rounding not its values.

    `earlier` is a pass that goes before.
    """
    before = mg.trace(f, *arrays)
    before = PASSES[earlier](before) if earlier else before
    after = PASSES[name](before)
    assert after is not before, f"{name} leaves the graph alone:\n{before}"
    check_graph(after)
    picks_fit(after)
    pairs = zip(mg.tree_leaves(before.evaluate(*arrays)), mg.tree_leaves(after.evaluate(*arrays)), strict=True)
    for a, b in pairs:
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert np.all(np.isfinite(a))
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12 * np.max(np.abs(a), initial=0.0))
    return before, after


def assert_left_alone(name: str, f: Callable[..., Any], *arrays: Array) -> None:
    graph = mg.trace(f, *arrays)
    assert PASSES[name](graph) is graph


def count(graph: Graph, name: str) -> int:
    """How many nodes of a primitive there are, not counting those in loops."""
    return sum(node.primitive.name == name for node in graph.nodes)


def step_of(graph: Graph, which: int = -1) -> Graph:
    return loops_of(graph)[which].graph


def in_step(name: str, *graphs: Graph) -> tuple[int, ...]:
    """How many nodes of a primitive there are in the step of each graph's last loop."""
    return tuple(count(step_of(graph), name) for graph in graphs)


def carried(graph: Graph, name: str) -> int:
    """How many nodes of a primitive in the step are made from a carry."""
    loop = loops_of(graph)[-1]
    nodes = depending_on(loop.graph.inputs[: loop.carries], loop.graph.outputs)
    return sum(node.primitive.name == name for node in nodes)


def stacks(loop: Loop) -> int:
    return len(loop.graph.outputs) - loop.carries


def product(values: Sequence[Any]) -> Any:
    return functools.reduce(operator.mul, values)


def total(values: Sequence[Any]) -> Any:
    return functools.reduce(operator.add, values)


# --------------------------------------------------------------------------------------------------------- start_with


def started(case: Case, at: int, zero: bool) -> tuple[Callable[..., Any], list[Array]]:
    """A carry to which a slice is added that is not zero at one step only: what the gradient of one state is."""

    def run(h: Any, x: Any, w: Any) -> Any:
        slices = place(as_node(x), shape=(case.steps, *case.state), index=(at,))
        start = mg.zeros(case.state) if zero else h
        return case.scan(lambda h, x: (mg.tanh(case.times(h + x, w)), None), start, slices)[0]

    return run, case.draw(case.state, case.state, (case.width, case.width))


@few
@given(CASES, st.booleans())
def test_what_enters_at_the_first_step_is_added_to_the_start(case: Case, zero: bool) -> None:
    f, arrays = started(case, case.steps - 1 if case.reverse else 0, zero)
    before, after = rewritten("start_with", f, *arrays)
    assert in_step("add", before, after) == (1, 0)
    assert [loops_of(graph)[0].slices for graph in (before, after)] == [1, 0]
    assert count(after, "add") == (0 if zero else 1)


@few
@given(CASES, st.integers(0, 5))
def test_what_enters_at_another_step_stays(case: Case, at: int) -> None:
    assume(at < case.steps and at != (case.steps - 1 if case.reverse else 0))
    f, arrays = started(case, at, False)
    assert_left_alone("start_with", f, *arrays)


@pytest.mark.parametrize(
    "step",
    [
        lambda h, x: (mg.tanh(h + x) * h, None),  # the carry is used twice
        lambda h, x: (mg.tanh(h + x) * x, None),  # the slice is used twice
        lambda h, x: (mg.tanh(h + x), x),  # the slice is stacked
        lambda h, x: (mg.tanh(h + x), h),  # the carry is stacked
        lambda h, x: (mg.tanh(h) + x, None),  # added to what is made from the carry
        lambda h, x: (mg.tanh(x + x) + h, None),
        lambda h, x: (mg.tanh(h * x), None),
    ],
)
def test_only_a_slice_that_is_added_to_the_carry_and_no_more_is_its_start(step: Any) -> None:
    def run(h: Any, x: Any) -> Any:
        return mg.scan(step, h, place(as_node(x), shape=(4, 3), index=(0,)))

    assert_left_alone("start_with", run, *BATCH.draw((3,), (3,)))


# ---------------------------------------------------------------------------------------------------------- sum_after

TERMS = {
    "product": lambda u, v: u.T @ v,
    "outer": lambda u, v: u[:, None] * v[None, :],
    "sum of rows": lambda u, v: mg.sum(u * v, axis=0),
    "sum of all": lambda u, v: mg.sum(u * v),
}


@few
@given(RIGHT, st.sampled_from(sorted(TERMS)), st.booleans(), st.booleans())
def test_a_carry_that_only_adds_up_leaves_the_loop(case: Case, kind: str, zero: bool, several: bool) -> None:
    assume((kind == "outer") == (not case.rows) or kind == "sum of all")
    term = TERMS[kind]
    h, w, xs = case.draw(case.state, (case.width, case.width), (case.steps, *case.state))
    (start,) = case.draw(np.shape(term(h, h)))

    def run(h: Any, start: Any, w: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, added = carry
            new = mg.tanh(h @ w + x)
            added = added + term(x, new)
            return (new, term(new, h) + added if several else added), None

        return case.scan(step, (h, mg.zeros(start.shape) if zero else start), xs)[0]

    before, after = rewritten("sum_after", run, h, start, w, xs)
    assert [loops_of(graph)[0].carries for graph in (before, after)] == [2, 1]
    assert in_step("matmul", after) == (1,)
    if kind in ("product", "outer"):
        assert count(after, "matmul") == 1 + several
    else:
        assert in_step("sum", after) == (0,) and count(after, "sum") == 1 + several


def outer_sum(xs: Any, term: Any = TERMS["product"], **how: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        h, added = carry
        return (mg.tanh(h + x), added + term(x, h)), None

    return mg.scan(step, (mg.zeros(xs.shape[1:]), mg.zeros((3, 3))), xs, **how)[0]


@pytest.mark.parametrize(
    "step",
    [
        lambda h, s, x: ((mg.tanh(h + x), s + x.T @ s), None),  # the term is made from the sum
        lambda h, s, x: ((mg.tanh(h @ s + x), s + x.T @ h), None),  # another carry is made from the sum
        lambda h, s, x: ((mg.tanh(h + x), s + x.T @ h), s),  # the sum is stacked
        lambda h, s, x: ((mg.tanh(h + x), (new := s + x.T @ h)), new),
        lambda h, s, x: ((mg.tanh(h + (new := s + x.T @ h)), new), None),
        lambda h, s, x: ((mg.tanh(h + x), s * 0.5 + x.T @ h), None),  # it forgets
        lambda h, s, x: ((mg.tanh(h + x), s + mg.sum(x * h)), None),  # a term of another shape
        lambda h, s, x: ((mg.tanh(h + x), s + mg.tanh(x.T @ h)), None),  # neither a product nor a sum
    ],
)
def test_a_carry_that_does_more_than_add_up_stays(step: Any) -> None:
    def run(h: Any, s: Any, xs: Any) -> Any:
        return mg.scan(lambda carry, x: step(*carry, x), (h, s), xs)

    assert_left_alone("sum_after", run, *BATCH.draw((3, 3), (3, 3), (4, 3, 3)))


def test_sums_of_no_steps_stay() -> None:
    assert_left_alone("sum_after", outer_sum, np.ones((0, 2, 3)))


def test_sums_stay_in_a_loop_that_keeps_nothing() -> None:
    xs = BATCH.draw((6, 2, 3))[0]
    _, after = rewritten("sum_after", functools.partial(outer_sum, checkpoint=2), xs)
    (outer,) = loops_of(after)
    assert outer.recompute and outer.carries == 2 and not count(after, "matmul")
    assert loops_of(outer.graph)[0].carries == 1  # one product a chunk


# ------------------------------------------------------------------------------------------------------ join_products


@few
@given(CASES)
def test_products_that_share_an_operand_become_one(case: Case) -> None:
    ws = [(case.width, case.width)] * case.count

    def run(h: Any, xs: Any, *ws: Any) -> Any:
        return case.scan(lambda h, x: (mg.tanh(product([case.times(h, w) for w in ws]) + x), h), h, xs)

    before, after = rewritten("join_products", run, *case.draw(case.state, (case.steps, *case.state), *ws))
    assert in_step("matmul", before, after) == (case.count, 1)


@pytest.mark.parametrize(
    "step",
    [
        lambda h, x, w, v, u: (mg.tanh(h @ w) + x, None),  # one product
        lambda h, x, w, v, u: (mg.tanh(h @ w) * (h @ w) + x, None),  # of the same weights
        lambda h, x, w, v, u: (mg.tanh(h @ w) * (x @ v), None),  # of two operands
        lambda h, x, w, v, u: (mg.tanh(h @ w), h @ u),  # of different shapes
        lambda h, x, w, v, u: (mg.tanh(h @ w) * (w @ h), None),  # on different sides
        lambda h, x, w, v, u: (mg.tanh((h @ w) @ v) + x, None),  # one of the other
        lambda h, x, w, v, u: (mg.tanh(h @ (w * x)) * (h @ (v * x)), None),  # weights that change from step to step
    ],
)
def test_products_that_share_nothing_stay(step: Any) -> None:
    def run(h: Any, xs: Any, w: Any, v: Any, u: Any) -> Any:
        return mg.scan(lambda h, x: step(h, x, w, v, u), h, xs)

    assert_left_alone("join_products", run, *BATCH.draw((3, 3), (4, 3, 3), (3, 3), (3, 3), (3, 2)))


# ----------------------------------------------------------------------------------------------------------- regroup


@few
@given(CASES, st.permutations([0, 1, 2]), st.booleans())
def test_terms_that_need_no_carry_are_added_first(case: Case, order: list[int], twice: bool) -> None:
    shapes = case.draw(case.state, (case.width, case.width), (case.steps, *case.state), (case.steps, *case.state), case.bias)

    def run(h: Any, w: Any, xs: Any, us: Any, b: Any) -> Any:
        def step(h: Any, slices: Any) -> Any:
            free = [*slices, b]
            made = [case.times(h, w), mg.tanh(h)][: 1 + twice]
            return mg.tanh(total([*made, *[free[i] for i in order]])), None

        return case.scan(step, h, (xs, us))[0]

    before, after = rewritten("regroup", run, *shapes)
    assert (carried(before, "add"), carried(after, "add")) == (3 + twice, 1 + twice)
    assert in_step("add", before) == in_step("add", after)


@pytest.mark.parametrize(
    "step",
    [
        lambda h, x, w, b: (mg.tanh(h @ w + x), None),  # one term is free
        lambda h, x, w, b: (mg.tanh((s := h @ w + x) + b) * s, None),  # the inner sum is used twice
        lambda h, x, w, b: (mg.tanh(h @ w + x) + (s := x + b) * s, None),  # no carry in the sum
        lambda h, x, w, b: (mg.tanh((h @ w + x) * b), None),  # no sum of three
    ],
)
def test_sums_that_gain_nothing_stay(step: Any) -> None:
    def run(h: Any, xs: Any, w: Any, b: Any) -> Any:
        return mg.scan(lambda h, x: step(h, x, w, b), h, xs)[0]

    assert_left_alone("regroup", run, *BATCH.draw((2, 3), (4, 2, 3), (3, 3), (3,)))


def test_terms_of_another_precision_stay_where_they_are() -> None:
    def run(h: Any, xs: Any, b: Any) -> Any:
        return mg.scan(lambda h, x: (mg.tanh(h + x + b), None), h, xs)[0]

    h, xs, b = BATCH.draw((2, 3), (4, 2, 3), (3,))
    assert_left_alone("regroup", run, h, xs.astype("float32"), b.astype("float32"))


# ------------------------------------------------------------------------------------------------------- join_entries


def gates(case: Case, step: Any) -> tuple[Callable[..., Any], list[Array]]:
    """A loop whose step has parts of one product: step(z, x, bias) -> the next carry."""

    def run(h: Any, ws: Any, xs: Any, *bias: Any) -> Any:
        return case.scan(lambda h, x: (step(case.times(h, ws), x, bias), None), h, xs)[0]

    shapes = [(case.count, case.width, case.width), (case.steps, *case.state), *[case.bias] * case.count]
    return run, case.draw(case.state, *shapes)


@few
@given(CASES)
def test_equal_operations_on_neighbouring_parts_become_one(case: Case) -> None:
    f, arrays = gates(case, lambda z, x, bias: product([mg.tanh(z[i] + b + x) for i, b in enumerate(bias)]))
    before, after = rewritten("join_entries", f, *arrays)
    assert in_step("tanh", before, after) == (case.count, 1)
    assert in_step("add", before, after) == (2 * case.count, 2)


@pytest.mark.parametrize(
    "step",
    [
        lambda z, x, bias: mg.tanh(z[0]) * mg.tanh(z[2]),  # no neighbours
        lambda z, x, bias: mg.tanh(z[0]) * mg.sin(z[1]),  # other operations
        lambda z, x, bias: mg.tanh(z[0]) - mg.tanh(z[0]),  # one part
        lambda z, x, bias: mg.tanh(mg.sin(mg.tanh(z[0])) + z[1]),  # one of the other
        lambda z, x, bias: z[1] + mg.sin(z[0] + mg.sin(x)),
        lambda z, x, bias: mg.tanh(z[0]) * mg.tanh(mg.sin(z)[1]),  # parts of two arrays
    ],
)
def test_operations_that_are_no_neighbours_or_not_equal_stay(step: Any) -> None:
    f, arrays = gates(BATCH._replace(count=3), step)
    assert_left_alone("join_entries", f, *arrays)


# -------------------------------------------------------------------------------------------------------- join_slices


@few
@given(CASES)
def test_parts_enter_a_loop_as_the_array(case: Case) -> None:
    def run(h: Any, whole: Any) -> Any:
        parts = [whole[:, i] for i in range(case.count)]
        return case.scan(lambda h, xs: (mg.tanh(h + product(xs)), None), h, parts)[0]

    before, after = rewritten("join_slices", run, *case.draw(case.state, (case.steps, case.count, *case.state)))
    assert [loops_of(graph)[0].slices for graph in (before, after)] == [case.count, 1]


@few
@given(CASES)
def test_parts_leave_a_loop_as_the_array(case: Case) -> None:
    def run(h: Any, ws: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            z = case.times(h, ws)
            return mg.tanh(z[0] + x), [z[i] for i in range(case.count)]

        return case.scan(step, h, xs)

    arrays = case.draw(case.state, (case.count, case.width, case.width), (case.steps, *case.state))
    before, after = rewritten("join_slices", run, *arrays)
    assert [stacks(loops_of(graph)[0]) for graph in (before, after)] == [case.count, 1]


@pytest.mark.parametrize(
    "run",
    [
        lambda h, a, b: mg.scan(lambda h, x: (mg.tanh(h + x), None), h, a[:, 0]),  # one part
        lambda h, a, b: mg.scan(lambda h, x: (mg.tanh(h + x[0] * x[1]), None), h, (a[:, 0], b[:, 1])),  # of two arrays
        lambda h, a, b: mg.scan(lambda h, x: (mg.tanh(h + x[0] * x[1]), None), h, (a[:2, 0], a[2:, 0])),
        lambda h, a, b: mg.scan(lambda h, x: (mg.tanh(h), (x + h, x * h)), h, a[:, 0]),  # no parts
        lambda h, a, b: mg.scan(lambda h, x: (mg.tanh(h), mg.sin(x * h)[0]), h, a),  # one part of the array leaves
        lambda h, a, b: mg.scan(lambda h, x: (mg.tanh(h), (x[0], x[1])), h, a),  # parts of what came in
    ],
)
def test_slices_that_are_no_parts_of_one_array_stay(run: Any) -> None:
    assert_left_alone("join_slices", run, *BATCH.draw((3,), (4, 2, 3), (4, 2, 3)))


# ---------------------------------------------------------------------------------------------------------- join_sums


@few
@given(CASES)
def test_a_sum_of_products_becomes_one(case: Case) -> None:
    assume(not (case.left and case.rows))

    def run(h: Any, xs: Any, *ws: Any) -> Any:
        values = [mg.tanh, mg.sin, mg.exp, mg.sqrt]
        step = lambda h, x: mg.tanh(total([case.times(f(h), w) for f, w in zip(values, ws, strict=False)]) + x)  # noqa: E731
        return case.scan(lambda h, x: (step(h, x), h), h, xs)

    ws = [(case.width, case.width)] * case.count
    before, after = rewritten("join_sums", run, *case.draw(case.state, (case.steps, *case.state), *ws))
    assert in_step("matmul", before, after) == (case.count, 1)


@pytest.mark.parametrize(
    "step",
    [
        lambda h, x, w, v, b: (mg.tanh(h @ w + x), None),  # one product
        lambda h, x, w, v, b: (mg.tanh(h @ w - x @ v), None),  # no sum
        lambda h, x, w, v, b: (mg.tanh(h @ w + mg.sin(x @ v)), None),  # no product
        lambda h, x, w, v, b: (mg.tanh((p := h @ w) + x @ v) * p, None),  # a product that is needed by itself
        lambda h, x, w, v, b: (mg.tanh((p := h @ w) + x @ v), p),
        lambda h, x, w, v, b: (mg.tanh(h @ w + x @ v + b), None),  # a term that is broadcast
        lambda h, x, w, v, b: (mg.tanh(h @ w + h @ x.T), None),  # no weights
        lambda h, x, w, v, b: (mg.tanh(w @ h + v @ x), None),  # columns: each product is of its own
    ],
)
def test_sums_of_other_terms_stay(step: Any) -> None:
    def run(h: Any, xs: Any, w: Any, v: Any, b: Any) -> Any:
        return mg.scan(lambda h, x: step(h, x, w, v, b), h, xs)

    assert_left_alone("join_sums", run, *BATCH.draw((3, 3), (4, 3, 3), (3, 3), (3, 3), (3,)))


# ---------------------------------------------------------------------------------------------------------- recompute

CHEAP = [lambda z, s: 1 - z, lambda z, s: z * s, lambda z, s: z + s, lambda z, s: s - z, lambda z, s: -z]


def kept(case: Case, stacked: Any, backward: bool, steps: int | None = None) -> tuple[Callable[..., Any], list[Array]]:
    """A loop that stacks z, s and what is made from them, and a loop that reads the three."""

    def run(h: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            z, s = mg.sigmoid(h + x), mg.tanh(h)
            return z * s, (z, s, stacked(z, s))

        zs, ss, made = case.scan(step, h, xs)[1]
        read = lambda h, k: (mg.tanh(h * k[0] + k[1] * k[2]), None)  # noqa: E731
        return mg.scan(read, h, (zs[:steps], ss[:steps], made[:steps]), reverse=backward)[0], zs, ss

    return run, case.draw(case.state, (case.steps, *case.state))


@few
@given(CASES, st.sampled_from(CHEAP), st.booleans())
def test_what_is_cheap_to_make_again_is_not_read(case: Case, stacked: Any, backward: bool) -> None:
    f, arrays = kept(case, stacked, backward)
    before, after = rewritten("recompute", f, *arrays)
    assert [loops_of(graph)[-1].slices for graph in (before, after)] == [3, 2]
    assert [stacks(loops_of(PASSES["simplify"](graph))[0]) for graph in (before, after)] == [3, 2]


@pytest.mark.parametrize("stacked", [lambda z, s: mg.tanh(z), lambda z, s: z / s, lambda z, s: mg.exp(s) * z])
def test_what_is_dear_or_made_from_what_is_not_kept_is_read(stacked: Any) -> None:
    f, arrays = kept(BATCH, stacked, True)
    assert_left_alone("recompute", f, *arrays)


def test_stacks_of_another_length_are_read() -> None:
    f, arrays = kept(BATCH, CHEAP[0], True, steps=2)
    assert_left_alone("recompute", f, *arrays)


# -------------------------------------------------------------------------------------------------------------- hoist


@few
@given(RIGHT, st.booleans())
def test_what_needs_no_carry_is_done_before_the_loop(case: Case, stacked: bool) -> None:
    square = (case.width, case.width)

    def run(h: Any, xs: Any, w: Any, v: Any, b: Any) -> Any:
        step = lambda h, x: (mg.tanh((x @ v + b) + h @ w), x @ v if stacked else h)  # noqa: E731
        return case.scan(step, h, xs)

    arrays = case.draw(case.state, (case.steps, *case.state), square, square, case.bias)
    before, after = rewritten("hoist", run, *arrays)
    assert (count(before, "matmul"), count(after, "matmul")) == (0, 1 + stacked)
    assert in_step("matmul", before, after) == (2 + stacked, 1) and in_step("add", before, after) == (2, 1)


@few
@given(CASES)
def test_what_is_the_same_in_all_steps_is_done_once(case: Case) -> None:
    ws = [(case.width, case.width)] * case.count

    def run(h: Any, xs: Any, *ws: Any) -> Any:
        return case.scan(lambda h, x: (mg.tanh(product([case.times(h, w) for w in ws]) + x), None), h, xs)[0]

    arrays = case.draw(case.state, (case.steps, *case.state), *ws)
    before, after = rewritten("hoist", run, *arrays, earlier="join_products")
    joined = "join" if not case.left and case.rows in ((), (1,)) else "stack"  # one row times one wide matrix
    assert in_step(joined, before, after) == (1, 0) and (count(before, joined), count(after, joined)) == (0, 1)


def projected(h: Any, xs: Any, w: Any, **how: Any) -> Any:
    return mg.scan(lambda h, x: (mg.tanh(x @ w + h), h), h, xs, **how)


def test_what_needs_a_carry_stays() -> None:
    def run(h: Any, xs: Any, w: Any) -> Any:
        return mg.scan(lambda h, x: (mg.tanh((x * h) @ w), h @ x.T), h, xs)

    assert_left_alone("hoist", run, *BATCH.draw((2, 3), (4, 2, 3), (3, 3)))


def test_entries_of_large_arrays_stay() -> None:
    def run(h: Any, xs: Any) -> Any:
        return mg.scan(lambda h, x: (h * mg.tanh(x), None), h, xs)[0]

    small, large = (BATCH.draw((width,), (8, width)) for width in (3, 1 << 13))
    assert_left_alone("hoist", run, *large)
    before, after = rewritten("hoist", run, *small)
    assert in_step("tanh", before, after) == (1, 0)


def test_nothing_is_done_before_a_loop_of_no_steps() -> None:
    assert_left_alone("hoist", projected, np.ones((2, 3)), np.ones((0, 2, 3)), np.ones((3, 3)))


def test_a_loop_that_keeps_nothing_gets_no_stacks() -> None:
    arrays = BATCH.draw((2, 3), (6, 2, 3), (3, 3))
    _, after = rewritten("hoist", functools.partial(projected, checkpoint=2), *arrays)
    (outer,) = loops_of(after)
    assert outer.recompute and not count(after, "matmul")
    assert count(outer.graph, "matmul") == 1 and in_step("matmul", outer.graph) == (0,)  # for the steps of a chunk


# ----------------------------------------------------------------------------------------------------------- postpone


def readout(h: Any, xs: Any, w: Any, **how: Any) -> Any:
    return mg.scan(lambda h, x: (mg.tanh(h + x), mg.tanh(h @ w)), h, xs, **how)


@few
@given(RIGHT)
def test_what_no_carry_needs_is_done_after_the_loop(case: Case) -> None:
    run = functools.partial(readout, reverse=case.reverse)
    arrays = case.draw(case.state, (case.steps, *case.state), (case.width, case.width))
    before, after = rewritten("postpone", run, *arrays)
    assert in_step("matmul", before, after) == (1, 0) and in_step("tanh", before, after) == (2, 1)
    assert count(after, "matmul") == 1


@pytest.mark.parametrize(
    "step",
    [
        lambda h, x, w: (y := mg.tanh(h @ w + x), y),  # the carry needs it
        lambda h, x, w: (mg.tanh(h + x), mg.sin(h) * x),  # no product
        lambda h, x, w: (mg.tanh(h + x), h @ w[:, :1] @ w[:1, :1]),  # what would be stacked is much larger
        lambda h, x, w: (mg.tanh(h + x), None),  # nothing is stacked
    ],
)
def test_what_gains_nothing_is_not_postponed(step: Any) -> None:
    def run(h: Any, xs: Any, w: Any) -> Any:
        return mg.scan(lambda h, x: step(h, x, w), h, xs)

    assert_left_alone("postpone", run, *BATCH.draw((2, 5), (4, 2, 5), (5, 5)))


def test_nothing_is_postponed_in_a_loop_of_no_steps() -> None:
    assert_left_alone("postpone", readout, np.ones((2, 3)), np.ones((0, 2, 3)), np.ones((3, 3)))


def test_a_loop_that_keeps_nothing_postpones_nothing() -> None:
    arrays = BATCH.draw((2, 3), (6, 2, 3), (3, 3))
    _, after = rewritten("postpone", functools.partial(readout, checkpoint=2), *arrays)
    (outer,) = loops_of(after)
    assert outer.recompute and not count(after, "matmul") and count(outer.graph, "matmul") == 1


# ------------------------------------------------------------------------------------------------------- join_columns


def cut(x: Any, count: int) -> list[Any]:
    """The columns of an array in so many parts."""
    width = x.shape[-1] // count
    return [x[..., i * width : (i + 1) * width] for i in range(count)]


@few
@given(CASES)
def test_products_of_columns_become_one(case: Case) -> None:
    wide = (case.steps, case.width * case.count)
    run = lambda a, b: [a @ part for part in cut(b, case.count)]  # noqa: E731
    before, after = rewritten("join_columns", run, *case.draw((case.width, case.steps), wide))
    assert (count(before, "matmul"), count(after, "matmul")) == (case.count, 1)
    run = lambda a, b: [part.T @ a for part in cut(b, case.count)]  # noqa: E731
    before, after = rewritten("join_columns", run, *case.draw((case.steps, case.width), wide))
    assert (count(before, "matmul"), count(after, "matmul")) == (case.count, 1)


@few
@given(CASES)
def test_sums_of_columns_become_one(case: Case) -> None:
    axes = tuple(range(1 + len(case.rows)))
    run = lambda a: [mg.sum(part, axis=axes) for part in cut(a, case.count)]  # noqa: E731
    before, after = rewritten("join_columns", run, *case.draw((case.steps, *case.rows, case.width * case.count)))
    assert (count(before, "sum"), count(after, "sum")) == (case.count, 1)


@few
@given(CASES)
def test_sums_of_parts_of_a_stack_become_one(case: Case) -> None:
    run = lambda a: [mg.sum(a[:, i], axis=(0, 1)) for i in range(case.count)]  # noqa: E731
    arrays = case.draw((case.steps, case.count, *(case.rows or (1,)), case.width))
    before, after = rewritten("join_columns", run, *arrays)
    assert (count(before, "sum"), count(after, "sum")) == (case.count, 1)


@pytest.mark.parametrize(
    "run",
    [
        lambda a, b: a @ b[:, :2],  # one
        lambda a, b: (a @ b[:, :1], a @ b[:, 1:2]),  # of a few columns of many
        lambda a, b: (a @ b[:, :4], (a + 1) @ b[:, 4:]),  # of two arrays
        lambda a, b: (a @ b[:, :4], a @ (b + 1)[:, 4:]),
        lambda a, b: (mg.sum(b[:, :4], axis=0), mg.sum(b[:, 4:], axis=1)),  # over other axes
        lambda a, b: (mg.sum(b[:4], axis=0), mg.sum(b[4:], axis=0)),  # rows
    ],
)
def test_products_and_sums_of_other_parts_stay(run: Any) -> None:
    assert_left_alone("join_columns", run, *BATCH.draw((3, 6), (6, 8)))


# ----------------------------------------------------------------------------------------------------------- together


@pytest.mark.parametrize(
    ("kind", "outside"),
    [
        (rnn.LSTMCell, 3),  # x for all gates; the gradients of both weights, for all gates
        (rnn.GRUCell, 4),  # and the candidate's product with h is of another h than that of the gates
        (rnn.RNNCell, 3),
    ],
)
def test_a_gradient_step_has_one_product_a_loop(kind: Any, outside: int) -> None:
    cell, xs = kind.init(3, 4, rng=0), np.random.default_rng(0).normal(size=(5, 3, 3))

    def loss(cell: Any, xs: Any) -> Any:
        return mg.sum(rnn.scan(cell, xs)[0] ** 2)

    graph = mg.trace(mg.value_and_grad(loss), cell, xs)
    best = optimize(merge_loops(graph))
    check_graph(best)
    assert [count(loop.graph, "matmul") for loop in loops_of(best)] == [1, 1]
    assert count(best, "matmul") == outside
    for a, b in zip(mg.tree_leaves(graph.evaluate(cell, xs)), mg.tree_leaves(best.evaluate(cell, xs)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12 * np.max(np.abs(a)))


@pytest.mark.parametrize("seed", [23, 31, 32, 58])
def test_memory_that_is_kept_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, judge = random_cell(seed), Judge(subsets=2)
    fewer = mg.trace(cell.gradient(mg.scan), cell.moving, cell.fixed).source.count("empty(")
    monkeypatch.setattr("minigrad.memory.LARGE", 1)  # so that arrays of any size are kept between calls
    assert mg.trace(cell.gradient(mg.scan), cell.moving, cell.fixed).source.count("empty(") > fewer
    failure = judge.failure(cell, seed)
    assert failure is None, judge.report(cell, failure, seed)
    assert judge.comparisons and not judge.skipped


@pytest.mark.parametrize("name", [name for name in PASSES if name not in ("simplify", "reroll")])
def test_every_pass_says_what_becomes_what(name: str) -> None:
    assert " -> " in (PASSES[name].__doc__ or "")
