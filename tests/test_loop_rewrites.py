"""Rewrites of whole loops: what is dropped was not needed, what is merged was the same, and the values stay."""

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.graph import Graph, Loop
from minigrad.rewrites import drop_dead_results, merge_loops


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
