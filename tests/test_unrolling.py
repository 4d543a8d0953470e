"""`mg.unroll_scan` writes loops out: same values to the bit, same graph as the Python loop, one scope for each step."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import rnn
from minigrad.graph import Graph

from .invariants import check_graph
from .random_cells import random_cell
from .test_loop import CASES, XS, B, Case, H, W, every_case, loop, same, scalar

Array = Any
ARGUMENTS = (W, B, H, XS)


def turned(reverse: bool) -> Any:
    """`mg.scan`, from the last step to the first where asked."""
    return lambda step, init, xs=None, length=None: mg.scan(step, init, xs, length, reverse)


def written_out(graph: Graph) -> Graph:
    """The graph unrolled, having checked it: no loop is left, its inputs are the same, each value is to the bit."""
    unrolled = mg.unroll_scan(graph)
    check_graph(unrolled)
    assert all(node.shape is not None for node in unrolled.nodes)
    assert unrolled.inputs == graph.inputs
    assert (unrolled.in_structure, unrolled.out_structure) == (graph.in_structure, graph.out_structure)
    return unrolled


def equal_to_the_bit(graph: Graph, *arguments: Any) -> Graph:
    """The graph unrolled gives the very bits of the loop."""
    unrolled = written_out(graph)
    with np.errstate(all="ignore"):
        pairs = zip(*[mg.tree_leaves(g.evaluate(*arguments)) for g in (unrolled, graph)], strict=True)
    for found, expected in pairs:
        assert (found.shape, found.dtype, found.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())
    return unrolled


# ------------------------------------------------------------------------------------------------------------- values


@every_case
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_values_and_gradients_to_the_bit(case: Case, reverse: bool) -> None:
    equal_to_the_bit(mg.trace(lambda *args: case(turned(reverse), *args), *ARGUMENTS), *ARGUMENTS)
    gradient = mg.value_and_grad(lambda *args: scalar(case, turned(reverse), *args), argnums=(0, 1, 2, 3))
    unrolled = equal_to_the_bit(mg.trace(gradient, *ARGUMENTS), *ARGUMENTS)
    simplified = unrolled.simplify().evaluate(*ARGUMENTS)
    same(simplified, mg.trace(gradient, *ARGUMENTS).evaluate(*ARGUMENTS), 1e-12)


@every_case
def test_forward_mode_and_second_order_to_the_bit(case: Case) -> None:
    tangents = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate(ARGUMENTS)]
    product = mg.trace(lambda *args: mg.hvp(lambda *a: scalar(case, mg.scan, *a), args, tangents), *ARGUMENTS)
    equal_to_the_bit(product, *ARGUMENTS)


# Where Python knows the numbers of a step, or differentiates inside it, the graphs differ before anything is unrolled.
DIFFERENT = {"integers_in_the_carry", "integer_xs", "weak_floats", "the_carry_becomes_a_constant", "scan_in_a_gradient_in_a_scan"}


@pytest.mark.parametrize("case", [case for case in CASES if case.__name__ not in DIFFERENT], ids=lambda case: case.__name__)
def test_the_graph_is_that_of_the_python_loop(case: Case) -> None:
    scanned, by_hand = (mg.trace(lambda *args, how=how: case(how, *args), *ARGUMENTS) for how in (mg.scan, loop))
    counts = [Counter(node.primitive.name for node in graph.simplify().nodes if node.inputs)
              for graph in (scanned.unroll_scan(), by_hand)]  # fmt: skip
    assert counts[0] == counts[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_cells(seed: int) -> None:
    cell = random_cell(seed)
    for run in (cell.gradient, cell.tangent):
        equal_to_the_bit(mg.trace(run(mg.scan), cell.moving, cell.fixed), cell.moving, cell.fixed)


@pytest.mark.parametrize("length", [0, 1, 2])
@pytest.mark.parametrize("name", ["rnn", "nested", "weak_floats", "the_carry_passes_through"])
def test_short_loops(name: str, length: int) -> None:
    (case,) = [case for case in CASES if case.__name__ == name]
    arguments = (W, B, H, XS[:length])
    graph = mg.trace(mg.value_and_grad(lambda *args: scalar(case, mg.scan, *args), argnums=(0, 1, 2, 3)), *arguments)
    equal_to_the_bit(graph, *arguments)


@pytest.mark.parametrize("checkpoint", [1, 2, "sqrt", (3, 2), 4])
def test_checkpointed_loops(checkpoint: Any) -> None:
    def f(w: Any, h: Any, xs: Any) -> Any:
        last, hs = mg.scan(lambda h, x: ((s := mg.tanh(h @ w + x)), s), h, xs, checkpoint=checkpoint)
        return mg.sum(last) + mg.sum(mg.sin(hs))

    gradient = mg.value_and_grad(f, argnums=(0, 1, 2))
    equal_to_the_bit(mg.trace(gradient, W, H, XS), W, H, XS)


def test_the_rows_of_a_jacobian_and_float32() -> None:
    arguments = [x.astype("float32") for x in (W, H, XS)]
    f = lambda w, h, xs: mg.scan(lambda h, x: (mg.tanh(h @ w + x), None), h, xs)[0]  # noqa: E731
    equal_to_the_bit(mg.trace(mg.jacobian(f, argnums=(0, 1)), *arguments), *arguments)


# ------------------------------------------------------------------------------------------------------------- scopes


def gated(h: Any, xs: Any) -> Any:
    """A loop whose step has a scope, in a loop whose step has one."""

    def step(h: Any, x: Any) -> Any:
        with mg.scope("inner"):
            k, _ = mg.scan(lambda k, entry: (mg.tanh(k + entry), None), h, x)
        with mg.scope("gate"):
            return h * mg.sigmoid(k), None

    with mg.scope("layer"):
        return mg.scan(step, h, xs)[0]


def test_each_step_has_a_scope_of_its_own() -> None:
    unrolled = mg.trace(gated, H, XS).unroll_scan()
    assert [node.scope for node in unrolled.find("**/sigmoid")] == [f"layer/t={t}/gate" for t in range(4)]
    scopes = [node.scope for node in unrolled.find("**/tanh")]
    assert scopes == [f"layer/t={t}/inner/t={k}" for t in range(4) for k in range(3)]
    assert len(unrolled.find("layer/t=2/inner/t=1")) == 3  # the slice, the sum, tanh
    assert unrolled.find("**/t=[*]/**") == []


def test_the_backward_pass_goes_through_the_same_scopes() -> None:
    graph = mg.trace(mg.grad(lambda w, h, xs: mg.sum(mg.scan(lambda h, x: (mg.tanh(h @ w + x), None), h, xs)[0])), W, H, XS)
    unrolled = graph.unroll_scan()
    assert [node for node in unrolled.nodes if "*" in node.scope and not node.is_leaf] == []
    known = set(unrolled.nodes)
    for node in unrolled.find("backward/t=[0-9]/**"):
        if node.cotangent_of is not None and node.cotangent_of.inputs:
            assert node.cotangent_of in known
            assert node.cotangent_of.scope in {node.scope.removeprefix("backward/"), f"t={int(node.scope[-1]) - 1}"}


@pytest.mark.parametrize("cell", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_a_scanned_cell_is_the_unrolled_one(cell: Any) -> None:
    made, xs = cell.init(2, 3, rng=0), np.random.default_rng(0).normal(size=(4, 2, 2))
    graphs = [mg.trace(lambda cell, xs, how=how: how(cell, xs), made, xs) for how in (rnn.scan, rnn.unroll)]
    operations = [Counter((node.scope, node.primitive.name) for node in g.simplify().nodes if node.inputs)
                  for g in (graphs[0].unroll_scan(), graphs[1])]  # fmt: skip
    assert operations[0] == operations[1]


def test_a_loop_in_chunks_says_which_chunk() -> None:
    xs = np.ones((7, 3))
    graph = mg.trace(lambda h, xs: mg.scan(lambda h, x: (mg.tanh(h + x), None), h, xs, checkpoint=3)[0], H, xs)
    scopes = [node.scope for node in graph.unroll_scan().find("**/tanh")]
    assert scopes == [f"chunk={c}/t={t}" for c in range(2) for t in range(3)] + ["t=0"]


def test_a_step_can_be_asked_and_drawn_and_saved() -> None:
    h, xs = mg.constant(H), mg.constant(XS)
    last, _ = mg.scan(lambda h, x: (mg.tanh(h @ W + x), None), h, xs)
    y = mg.sum(last * last)
    (inside,) = mg.gradients(y, Graph([], [y]).find("t=[*]/tanh"))
    unrolled = Graph([], [y]).unroll_scan()
    each = mg.gradients(unrolled.outputs[0], unrolled.find("t=[0-9]/tanh"))
    assert np.allclose(np.asarray(inside), np.stack([np.asarray(g) for g in each]), rtol=1e-12, atol=0)
    assert "t=3" in str(mg.render(unrolled))
    again = pickle.loads(pickle.dumps(unrolled))
    assert repr(again) == repr(unrolled)


def test_a_graph_without_loops_stays_as_it_is() -> None:
    graph = mg.trace(lambda w, x: mg.tanh(x @ w), W, H)
    unrolled = mg.unroll_scan(graph)
    assert all(a is b for a, b in zip(unrolled.nodes, graph.nodes, strict=True))


def test_only_a_graph_can_be_unrolled() -> None:
    with pytest.raises(mg.errors.ArgumentError, match=r"(?s)unroll_scan.*Node.*mg\.Graph\(\[\], \[y\]\)"):
        mg.unroll_scan(mg.constant(1.0))  # type: ignore[arg-type]
