"""`mg.gradients` of nodes and edges: shares, policies, what breaks a path, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Graph
from minigrad.uses import Edge

Array = Any


def value(node: Any) -> Array:
    return np.asarray(node)


@pytest.fixture
def weights() -> Any:
    return weight()


def weight() -> Any:
    """A (3, 3) matrix, as a leaf."""
    return mg.constant(np.random.default_rng(0).normal(size=(3, 3)), name="w")


def unrolled(w: Any, steps: int = 4) -> tuple[Any, list[Any]]:
    """h' = tanh(w h), and all the states."""
    h = mg.constant(np.array([0.5, -0.2, 0.1]))
    states = [h]
    for t in range(steps):
        with mg.scope(f"t={t}"):
            h = mg.tanh(w @ h)
        states.append(h)
    return mg.sum(h * h), states


# -------------------------------------------------------------------------------------------------- any node, any edge


def test_shares_of_the_edges_add_up_to_the_gradient(weights: Any) -> None:
    loss, _ = unrolled(weights)
    edges = mg.edges(weights, loss)
    assert len(edges) == 4
    shares = mg.gradients(loss, edges)
    (whole,) = mg.gradients(loss, [weights])
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    assert np.array_equal(value(total), value(whole)), "added up in order, the shares are the gradient to the bit"
    assert [edge.consumer.scope for edge in edges] == ["t=3", "t=2", "t=1", "t=0"]
    assert all(edge.shape == (3, 3) and edge.dtype == np.float64 and edge.ndim == 2 for edge in edges)


def test_the_share_of_a_step_is_the_gradient_by_its_own_copy(weights: Any) -> None:
    # replace the weight at one step by a copy of its own: the gradient by the copy is the share of that step's edge
    copies = [mg.constant(value(weights)) for _ in range(4)]
    h = mg.constant(np.array([0.5, -0.2, 0.1]))
    for copy in copies:
        h = mg.tanh(copy @ h)
    expected = mg.gradients(mg.sum(h * h), copies)
    loss, _ = unrolled(weights)
    for share, e in zip(mg.gradients(loss, mg.edges(weights, loss)), reversed(expected), strict=True):
        assert np.array_equal(value(share), value(e))


def test_the_gradient_of_a_state_is_what_reaches_it_from_all_later_steps(weights: Any) -> None:
    loss, states = unrolled(weights)
    for t, found in enumerate(mg.gradients(loss, states)):

        def rest(h: Any, first: int = t) -> Any:
            for _ in range(first, 4):
                h = mg.tanh(value(weights) @ h)
            return mg.sum(h * h)

        assert np.allclose(value(found), mg.grad(rest)(value(states[t])), rtol=1e-12, atol=0)


def test_one_node_twice_in_one_operation_has_two_edges() -> None:
    x = mg.constant(3.0)
    y = x * x
    edges = mg.edges(x, y)
    assert [edge.position for edge in edges] == [0, 1]
    assert [float(share) for share in mg.gradients(y, edges)] == [3.0, 3.0]
    (dx,) = mg.gradients(y, [x])
    assert float(dx) == 6.0


def test_edges_and_nodes_together_and_twice(weights: Any) -> None:
    loss, states = unrolled(weights, 2)
    edges = mg.edges(weights, loss)
    a, b, c, d = mg.gradients(loss, [edges[0], weights, edges[0], states[1]])
    assert np.array_equal(value(a), value(c))
    assert value(b).shape == (3, 3)
    assert value(d).shape == (3,)


def test_edges_are_equal_when_they_are_the_same_use() -> None:
    x = mg.constant(3.0)
    y = mg.sin(x) * x
    first, second = mg.edges(x, y), mg.edges(x, y)
    assert first == second
    assert len({*first, *second}) == len(first) == 2
    assert "multiply" in repr(first[0])


def test_edges_leave_out_what_carries_no_derivative() -> None:
    x = mg.constant(np.array([1.0, 2.0]), name="x")
    y = mg.sum(mg.where(x > 1, x, mg.stop_gradient(x)))
    consumers = [edge.consumer.primitive.name for edge in mg.edges(x, y)]
    assert consumers == ["where"]
    assert mg.edges(mg.constant(1.0), y) == []
    assert mg.edges(y, y) == []


def test_shares_of_a_broadcast_operand_have_its_own_shape() -> None:
    b = mg.constant(np.zeros(3), name="b")
    y = mg.sum(b + np.ones((2, 3))) + mg.sum(b * np.ones((4, 1)))
    shares = mg.gradients(y, mg.edges(b, y))
    assert [share.shape for share in shares] == [(3,), (3,)]
    assert [value(s).tolist() for s in shares] == [[4, 4, 4], [2, 2, 2]]


def test_edges_of_a_node_in_between() -> None:
    x = mg.constant(2.0)
    h = mg.sin(x)
    y = h * 3.0 + mg.exp(h)
    shares = mg.gradients(y, mg.edges(h, y))
    assert sorted(float(s) for s in shares) == [3.0, float(np.exp(np.sin(2.0)))][:: 1 if np.exp(np.sin(2.0)) > 3 else -1]


def test_the_gradient_of_y_by_y_is_one() -> None:
    y = mg.sin(mg.constant(1.0))
    assert [float(g) for g in mg.gradients(y, [y])] == [1.0]
    z = mg.sin(mg.constant(np.ones(2)))
    assert value(mg.gradients(z, [z], cotangent=np.array([3.0, 4.0]))[0]).tolist() == [3, 4]


def test_wrt_is_any_pytree() -> None:
    w, b = mg.constant(np.ones(2)), mg.constant(np.ones(2))
    y = mg.sum(w * w + b)
    found = mg.gradients(y, {"w": w, "more": [b, (w,)]})
    assert value(found["w"]).tolist() == [2, 2]
    assert value(found["more"][0]).tolist() == [1, 1]
    assert value(found["more"][1][0]).tolist() == [2, 2]
    assert isinstance(mg.gradients(y, [w, b]), tuple)


def test_gradients_are_differentiated_again() -> None:
    x = mg.constant(0.7)
    y = mg.sin(x)
    for expected in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)):
        (y,) = mg.gradients(y, [x])
        assert np.isclose(float(y), expected, rtol=1e-14)


def test_the_share_of_an_edge_is_differentiated_again(weights: Any) -> None:
    loss, _ = unrolled(weights, 3)
    share, *_ = mg.gradients(loss, mg.edges(weights, loss))
    (second,) = mg.gradients(mg.sum(share * share), [weights])

    def by_values(w: Any) -> Any:
        loss, _ = unrolled(w, 3)
        share, *_ = mg.gradients(loss, mg.edges(w, loss))
        return mg.sum(share * share)

    h = 1e-6
    numeric = np.zeros((3, 3))
    for entry in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[entry] = h
        ahead, behind = (float(by_values(mg.constant(value(weights) + s))) for s in (step, -step))
        numeric[entry] = (ahead - behind) / (2 * h)
    assert np.allclose(value(second), numeric, rtol=1e-6, atol=1e-9)


def test_a_cotangent_weighs_the_entries_of_y() -> None:
    x = mg.constant(np.array([1.0, 2.0]))
    y = x * x
    assert value(mg.gradients(y, [x], cotangent=np.array([10.0, 1.0]))[0]).tolist() == [20, 4]
    cotangent = mg.constant(np.array([10.0, 1.0]))
    (dx,) = mg.gradients(y, [x], cotangent=cotangent)
    assert value(mg.gradients(mg.sum(dx), [cotangent])[0]).tolist() == [2, 4]


# ----------------------------------------------------------------------------------------------------- stop_gradient


def test_stop_gradient_stops_both_modes() -> None:
    f = lambda x: mg.sum(mg.stop_gradient(x) * x)  # noqa: E731
    x = np.array([2.0, 3.0])
    assert mg.grad(f)(x).tolist() == [2, 3]
    assert mg.jvp(f, (x,), (np.ones(2),))[1] == 5
    assert mg.compile(mg.grad(f))(x).tolist() == [2, 3]
    assert mg.hessian(f)(x).tolist() == [[0, 0], [0, 0]]
    assert mg.stop_gradient(np.ones(2)).shape == (2,)


def test_integers_carry_no_derivative_in_either_mode() -> None:
    f = lambda x: mg.sum(x.astype("int64").astype("float64") * x + mg.floor(x) + (x > 1) * x)  # noqa: E731
    x = np.array([1.5, 2.5])
    assert mg.grad(f)(x).tolist() == [2, 3]
    assert mg.jvp(f, (x,), (np.array([1.0, 10.0]),))[1] == 32


def test_two_seeds_of_one_output_add_up_in_its_scope() -> None:
    def twice(x: Any) -> Any:
        with mg.scope("here"):
            y = x * x
        return y, y

    found = mg.trace(lambda x, a, b: mg.vjp(twice, x)[1]((a, b))[0], *map(np.array, (3.0, 1.0, 10.0)))
    assert found.evaluate(3.0, 1.0, 10.0) == 66
    (total,) = [node for node in found.nodes if node.primitive.name == "add" and node.inputs[0] is found.inputs[1]]
    assert total.scope == "backward/here"


def test_every_total_is_called_after_its_node() -> None:
    def loss(x: Any, y: Any) -> Any:
        return mg.sum(mg.sin(x) * mg.cos(x) * x) + mg.sum(y * 2.0)

    x, y = mg.symbol("x", (2,)), mg.symbol("y", (2,))
    h = mg.sin(x)
    total = mg.sum(h * mg.cos(h) * h + y * h)
    for node, ct in zip((x, y, h), mg.gradients(total, [x, y, h]), strict=True):
        assert ct.cotangent_of is node
    graph = mg.trace(mg.grad(loss, argnums=(0, 1)), np.ones(2), np.ones(2))
    assert graph.outputs[0].cotangent_of is graph.inputs[0]
    w = mg.symbol("w", (2,))
    y = mg.sum(mg.sin(w * x) * (w * y))
    assert all(share.cotangent_of is w for share in mg.gradients(y, mg.edges(w, y)))


def test_stop_gradient_inside_a_scan() -> None:
    def f(x: Any) -> Any:
        return mg.sum(mg.scan(lambda c, _: (mg.stop_gradient(c) * x, None), x, length=3)[0])

    # c3 = stop(c2) x, so only the last factor counts
    assert mg.grad(f)(np.array([2.0])).tolist() == [8.0]


# -------------------------------------------------------------------------------------------------------- inside loops


def test_gradients_at_nodes_inside_a_loop_have_a_time_axis(weights: Any) -> None:
    loss, states = unrolled(weights, 4)
    h, _ = mg.scan(lambda h, _: (mg.tanh(weights @ h), None), value(states[0]), length=4)
    looped = mg.sum(h * h)
    (found,) = Graph([], [looped]).find("t=[*]/tanh")
    (inside,) = mg.gradients(looped, [found])
    expected = np.stack([value(g) for g in mg.gradients(loss, states[1:])])
    assert inside.shape == (4, 3)
    assert np.allclose(value(inside), expected, rtol=1e-12, atol=0)


# -------------------------------------------------------------------------------------------------------------- errors


def test_a_node_made_twice_is_two_nodes() -> None:
    x = mg.constant(np.ones(2), name="x")
    y = mg.sum(mg.sin(x))
    with pytest.raises(mg.errors.GradientError, match="(?s)no path.*another node"):
        mg.gradients(y, [mg.sin(x)])


def test_a_stack_whose_items_were_taken_singly(weights: Any) -> None:
    _, states = unrolled(weights)
    hs = mg.stack(states)
    loss = mg.sum(hs[-1])
    with pytest.raises(mg.errors.GradientError, match="items of this stack"):
        mg.gradients(loss, [hs])
    assert value(mg.gradients(loss, [hs[-1]])[0]).tolist() == [1, 1, 1]


def test_a_slice_of_a_loops_results(weights: Any) -> None:
    _, hs = mg.scan(lambda h, _: (mg.tanh(weights @ h), h), np.ones(3), length=4)
    loss = mg.sum(hs[2] * hs[2])
    with pytest.raises(mg.errors.GradientError, match="slice of a loop's results"):
        mg.gradients(loss, [hs[2]])
    (whole,) = mg.gradients(loss, [hs])
    assert np.array_equal(value(whole)[2], 2 * value(hs)[2])


def test_an_edge_that_leads_elsewhere() -> None:
    x = mg.constant(2.0)
    y, z = mg.sin(x), mg.cos(x)
    (edge,) = mg.edges(x, z)
    with pytest.raises(mg.errors.GradientError, match="(?s)no derivative.*mg.edges"):
        mg.gradients(y, [edge])


def test_bad_arguments() -> None:
    x = mg.constant(np.ones(2), name="x")
    i = mg.constant(np.arange(2), name="i")
    y = mg.sum(x * x)
    cases: list[tuple[type[Exception], str, Any]] = [
        (mg.errors.DtypeError, r"'i'.*int64", lambda: mg.gradients(y, [i])),
        (mg.errors.DtypeError, r"int64 has no derivative", lambda: mg.gradients(mg.sum(i), [x])),
        (mg.errors.ShapeError, r"\(3,\).*\(\)", lambda: mg.gradients(y, [x], cotangent=np.ones(3))),
        (TypeError, "ndarray", lambda: mg.gradients(y, [np.ones(2)])),
        (ValueError, "unused", lambda: mg.gradients(y, [x], unused="ignore")),
    ]
    for kind, pattern, call in cases:
        with pytest.raises(kind, match=pattern):
            call()


def test_the_order_of_edges_is_that_of_the_reverse_pass() -> None:
    x = mg.constant(2.0)
    y = mg.sin(x) + x * x
    found = [(e.consumer.primitive.name, e.position) for e in mg.edges(x, y)]
    assert found == [("multiply", 0), ("multiply", 1), ("sin", 0)]
    assert all(isinstance(e, Edge) for e in mg.edges(x, y))
