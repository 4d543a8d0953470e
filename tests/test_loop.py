"""`mg.scan` is the loop written out: same values, same derivatives of both modes and all orders, plain and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Graph
from minigrad.nodes import as_node

from .invariants import check_graph
from .test_primitives import assert_close

Array = Any
RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3)) / 2
B = RNG.normal(size=3) / 2
H = RNG.normal(size=3)
XS = RNG.normal(size=(4, 3))


def loop(step: Any, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """What scan must equal: the same step in a Python loop, each step a part of the graph."""
    if length is None:
        length = len(mg.tree_leaves(xs)[0])
    carry, ys = init, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, ys[t] = step(carry, mg.tree_map(lambda x, t=t: x[t], xs))
    stacked = mg.tree_map(lambda *rows: mg.stack([as_node(r) for r in rows]), *ys) if ys else None
    return mg.tree_map(as_node, carry), stacked


class State(NamedTuple):
    h: Any
    c: Any


# A case: (loop, arguments) -> result. The first argument of each is scan, or the Python loop above.
Case = Callable[..., Any]


def rnn(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda h, x: ((s := mg.tanh(h @ w + x + b)), s * 2), h, xs)


def two_closures_one_used_twice(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    outside = mg.exp(b) * 0.5
    return scan(lambda h, x: (mg.sin(outside * h + outside) + x @ w, h[0]), h, xs)


def only_the_last_carry(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda h, x: (mg.tanh(h * b + x), None), h, xs)[0] @ w


def only_the_stack(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    _, ys = scan(lambda h, x: (mg.tanh(h @ w), h * x + b), h, xs)
    return ys


def the_carry_passes_through(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda h, x: (h, h @ w + x * b), h, xs)


def the_carry_is_forgotten(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda h, x: (x @ w + b, h), h, xs)


def the_carry_becomes_a_constant(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda pair, x: ((np.ones(3), pair[1] * b), pair[0] * x + pair[1] @ w), (h, b), xs)


def carries_swap(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda pair, x: ((pair[1], pair[0] * x), mg.sum(pair[0] @ w)), (h, b), xs)


def pytrees_everywhere(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    def step(state: State, inputs: Any) -> Any:
        c = state.c["c"] * 0.5 + inputs["x"] * inputs["pair"][0]
        return State(mg.tanh(c @ w), {"c": c}), {"out": (c + b, [state.h])}

    return scan(step, State(h, {"c": b}), {"x": xs, "pair": (mg.cos(xs), 1.0 * xs)})


def one_output_used_by_two(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    carry, ys = scan(lambda h, x: (mg.tanh(h + x), h * b), h, xs)
    return mg.sin(carry) @ w + carry * carry, mg.sum(ys, axis=0) * ys[-1] + ys[0] + mg.cos(ys)


def the_stack_of_one_feeds_another(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    _, ys = scan(lambda h, x: ((s := mg.tanh(h @ w + x)), s), h, xs)
    return scan(lambda h, y: (mg.sin(h * y + b), h + y), b, ys)


def nested(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    def outer(h: Any, x: Any) -> Any:
        inner, zs = scan(lambda k, row: (mg.tanh(k * b + row @ h), k * x), x, w)
        return h * 0.5 + inner, (mg.sum(zs), inner)

    return scan(outer, h, xs)


def nested_with_the_same_closure(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    def outer(h: Any, x: Any) -> Any:
        once, _ = scan(lambda k, _: (mg.tanh(k @ w + x), None), h, None, 2)
        twice, _ = scan(lambda k, _: (mg.sin(k @ w + b), None), once, None, 2)
        return twice, once

    return scan(outer, h, xs)


def integers_in_the_carry(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        i, h = carry
        return ((i + 1) % 3, mg.tanh(h * w[i] + x)), (i, h + b)

    (i, h), (_, ys) = scan(step, (np.array(1), h), xs)
    return h, ys, 1.0 * i


def integer_xs(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda h, i: (mg.tanh(h @ w + xs[i]), b[i % 3]), h, np.array([3, 0, 0, 2, 1]))


def branches_with_infinite_slopes(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        safe = mg.where(h > 0, mg.sqrt(mg.maximum(h, 0.0)), 0.0)
        return mg.tanh(safe @ w + mg.where(x > 0, mg.log(mg.where(x > 0, x, 1.0)), x) + b), safe

    return scan(step, mg.relu(h), xs)


def selections(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    return scan(lambda h, x: (mg.maximum(h * b, x) + mg.relu(x @ w), mg.max(h) * mg.clip(x, -0.5, 0.5)), h, xs)


def weak_floats(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    total, ys = scan(lambda s, x: (s * 0.5 + mg.sum(x * b), s), 0.0, xs)
    return total * mg.sum(w), ys * mg.sum(h)


def gradient_inside_the_step(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    energy = lambda h, x: mg.sum(mg.cos(h @ w) * x) + mg.sum(h * h * b)  # noqa: E731
    return scan(lambda h, x: (h - 0.1 * mg.grad(energy)(h, x), energy(h, x)), h, xs)


def scan_in_a_gradient_in_a_scan(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    def energy(h: Any, x: Any) -> Any:
        k, zs = scan(lambda k, row: (mg.tanh(k + row * x), k * b), h, w)
        return mg.sum(k * k) + mg.sum(zs)

    return scan(lambda h, x: (h - 0.1 * mg.grad(energy)(h, x), None), h, xs)[0]


def unused_input_and_output(scan: Any, w: Any, b: Any, h: Any, xs: Any) -> Any:
    (h, _), ys = scan(lambda pair, x: ((mg.tanh(pair[0] @ w), pair[1] + x), (x * b, mg.exp(pair[1]))), (h, b), xs)
    return h + ys[0][1]


CASES: list[Case] = [
    rnn, two_closures_one_used_twice, only_the_last_carry, only_the_stack, the_carry_passes_through,
    the_carry_is_forgotten, the_carry_becomes_a_constant, carries_swap, pytrees_everywhere, one_output_used_by_two, the_stack_of_one_feeds_another,
    nested, nested_with_the_same_closure, integers_in_the_carry, integer_xs, branches_with_infinite_slopes, selections,
    weak_floats, gradient_inside_the_step, scan_in_a_gradient_in_a_scan, unused_input_and_output,
]  # fmt: skip
QUIET = pytest.mark.filterwarnings("ignore:(invalid value|divide by zero):RuntimeWarning")  # in branches not taken
every_case = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.__name__, marks=QUIET) for case in CASES]
)


def scalar(case: Case, how: Any, *arguments: Any) -> Any:
    """A random weighted sum of all that a case returns."""
    rng, total = np.random.default_rng(7), 0.0
    for leaf in mg.tree_leaves(case(how, *arguments)):
        total = total + mg.sum(mg.sin(leaf) * rng.normal(size=np.shape(leaf)))
    return total


def same(found: Any, expected: Any, tolerance: float = 1e-11) -> None:
    for a, b in zip(mg.tree_leaves(found), mg.tree_leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert_close(a, b, "scan and loop", tolerance)


def runs(f: Any) -> list[Any]:
    """Ways to run a function: node by node, and as generated source."""
    return [lambda *args: mg.trace(f, *args).evaluate(*args), mg.compile(f)]


# ---------------------------------------------------------------------------------------------------- scan and the loop


@every_case
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_values(case: Case, reverse: bool) -> None:
    def turned(how: Any) -> Any:
        return lambda step, init, xs=None, length=None: how(step, init, xs, length, reverse)

    f = lambda *args: case(turned(mg.scan), *args)  # noqa: E731
    expected = mg.trace(lambda *args: case(turned(loop), *args), W, B, H, XS).evaluate(W, B, H, XS)
    check_graph(mg.trace(f, W, B, H, XS))
    for run in runs(f):
        same(run(W, B, H, XS), expected, 1e-13)


@every_case
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_gradients(case: Case, reverse: bool) -> None:
    def gradient(how: Any) -> Any:
        turned = lambda step, init, xs=None, length=None: how(step, init, xs, length, reverse)  # noqa: E731
        return mg.value_and_grad(lambda *args: scalar(case, turned, *args), argnums=(0, 1, 2, 3))

    expected = mg.trace(gradient(loop), W, B, H, XS).evaluate(W, B, H, XS)
    graph = mg.trace(gradient(mg.scan), W, B, H, XS)
    check_graph(graph)
    check_graph(graph.simplify())
    for run in runs(gradient(mg.scan)):
        same(run(W, B, H, XS), expected)


@every_case
def test_forward_mode(case: Case) -> None:
    tangents = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate((W, B, H, XS))]
    push = lambda how: lambda *args: mg.jvp(lambda *a: case(how, *a), args, tangents)  # noqa: E731
    expected = mg.trace(push(loop), W, B, H, XS).evaluate(W, B, H, XS)
    for run in runs(push(mg.scan)):
        same(run(W, B, H, XS), expected)


@every_case
def test_second_order(case: Case) -> None:
    tangents = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate((W, B, H, XS))]

    def product(how: Any) -> Any:
        return lambda *args: mg.hvp(lambda *a: scalar(case, how, *a), args, tangents)

    def twice(how: Any) -> Any:
        gradient = mg.grad(lambda *a: scalar(case, how, *a), argnums=(0, 1, 2, 3))
        along = lambda *args: sum(mg.sum(g * t) for g, t in zip(gradient(*args), tangents, strict=True))  # noqa: E731
        return mg.grad(along, argnums=(0, 1, 2, 3))

    gradient, expected = mg.compile(product(loop))(W, B, H, XS)
    for run in runs(product(mg.scan)):
        same(run(W, B, H, XS), (gradient, expected), 1e-10)
    for run in runs(twice(mg.scan)):
        same(run(W, B, H, XS), expected, 1e-10)


@pytest.mark.parametrize("case", [rnn, carries_swap, nested, only_the_stack], ids=lambda case: case.__name__)
@pytest.mark.parametrize("argument", [0, 2], ids=["by rows", "by columns"])
def test_jacobian_and_hessian(case: Case, argument: int) -> None:
    jacobian = lambda how: mg.jacobian(lambda *a: case(how, *a), argnums=argument)(W, B, H, XS)  # noqa: E731
    same(jacobian(mg.scan), jacobian(loop))
    hessian = lambda how: mg.hessian(lambda h: scalar(case, how, W, B, h, XS))(H)  # noqa: E731
    same(hessian(mg.scan), hessian(loop), 1e-10)


@pytest.mark.parametrize("length", [0, 1, 2])
@pytest.mark.parametrize("case", [rnn, carries_swap, one_output_used_by_two, nested, weak_floats], ids=lambda case: case.__name__)
def test_short_loops(case: Case, length: int) -> None:
    xs = XS[:length]
    if length == 0 and case is one_output_used_by_two:
        return  # takes the last of no rows
    gradient = lambda how: mg.value_and_grad(lambda *a: scalar(case, how, *a), argnums=(0, 1, 2, 3))  # noqa: E731
    if length:
        expected = mg.compile(gradient(loop))(W, B, H, xs)
    for run in runs(gradient(mg.scan)):
        found = run(W, B, H, xs)
        if length:
            same(found, expected)
        else:
            assert np.isfinite(found[0])
            assert found[1][3].shape == (0, 3)
    tangents = [np.ones(x.shape) for x in (W, B, H, xs)]
    mg.compile(lambda *a: mg.jvp(lambda *a: case(mg.scan, *a), a, tangents))(W, B, H, xs)


def test_no_step_at_all_gives_the_start_and_empty_stacks() -> None:
    for run in runs(lambda h, xs: mg.scan(lambda h, x: (h * 2, (h, x)), h, xs)):
        h, (hs, ys) = run(H, XS[:0])
        assert np.array_equal(h, H)
        assert hs.shape == (0, 3)
        assert ys.shape == (0, 3)
    assert mg.grad(lambda h: mg.sum(mg.scan(lambda h, _: (h * 2, None), h, length=0)[0]))(H).tolist() == [1, 1, 1]


# ------------------------------------------------------------------------------------------------------------- details


def test_the_example_of_cumulative_sums() -> None:
    total, partial = mg.scan(lambda s, x: (s + x, s + x), 0.0, np.array([1.0, 2.0, 3.0]))
    assert float(total) == 6
    assert np.asarray(partial).tolist() == [1, 3, 6]
    _, partial = mg.scan(lambda s, x: (s + x, s + x), 0.0, np.array([1.0, 2.0, 3.0]), reverse=True)
    assert np.asarray(partial).tolist() == [6, 5, 3]


def test_a_bare_number_takes_the_dtype_of_the_steps() -> None:
    total, _ = mg.scan(lambda s, x: (s + x, None), 0.0, np.ones(3, "float32"))
    assert total.dtype == np.float32
    total, ys = mg.scan(lambda s, x: (s * 0.5, s), 1.0, np.ones(3, "float32"))
    assert (total.dtype, ys.dtype) == (np.float64, np.float64)


def test_float32_stays_float32() -> None:
    args = [x.astype("float32") for x in (W, B, H, XS)]
    value, gradients = mg.compile(mg.value_and_grad(lambda *a: mg.sum(rnn(mg.scan, *a)[0]), argnums=(0, 1, 2, 3)))(*args)
    assert value.dtype == np.float32
    assert all(g.dtype == np.float32 for g in gradients)


def test_two_picks_of_one_result_add_up() -> None:
    def f(x: Any) -> Any:
        carry, ys = mg.scan(lambda c, _: (c * 2, c), x, length=2)
        node = carry.inputs[0]
        again = mg.primitives.structure.pick(node, position=0)
        return mg.sum(carry) + mg.sum(again * 10) + mg.sum(ys) + mg.sum(mg.primitives.structure.pick(node, position=1))

    # carry = 4 x, ys = (x, 2 x): 4 + 40 + 3 + 3
    for run in runs(mg.grad(f)):
        assert run(np.ones(1)).tolist() == [50.0]


def test_what_does_not_depend_on_the_carry_is_computed_outside() -> None:
    graph = mg.trace(lambda x: mg.scan(lambda c, _: (c * mg.exp(x), None), x, length=3)[0], np.ones(2))
    (inner,) = graph.subgraphs()
    assert "exp" not in [node.primitive.name for node in inner.nodes]
    assert "exp" in [node.primitive.name for node in graph.nodes]


def test_a_step_without_operations() -> None:
    for run in runs(lambda h, xs: mg.scan(lambda h, x: (h, x), h, xs)):
        h, ys = run(H, XS)
        assert np.array_equal(h, H)
        assert np.array_equal(ys, XS)
    for run in runs(lambda h: mg.scan(lambda h, _: (h, None), h, length=2)):
        assert np.array_equal(run(H)[0], H)
    for run in runs(lambda h: mg.scan(lambda h, _: (h, 1.0), h, length=2)):
        assert run(H)[1].tolist() == [1, 1]


def test_carries_that_wait_for_each_other() -> None:
    # a rotation of three: none can be overwritten before the others have been read
    for run in runs(lambda a, b, c: mg.scan(lambda s, _: ((s[1], s[2], s[0] + s[1]), s[0]), (a, b, c), length=5)):
        (a, b, c), ys = run(1.0, 2.0, 3.0)
        assert (a, b, c, ys.tolist()) == (6.0, 8.0, 11.0, [1.0, 2.0, 3.0, 3.0, 5.0])


def test_the_same_step_in_two_loops() -> None:
    step = lambda h, x: (mg.tanh(h * x), h)  # noqa: E731

    def f(h: Any, xs: Any) -> Any:
        a, ya = mg.scan(step, h, xs)
        b, yb = mg.scan(step, h, xs, reverse=True)
        c, yc = mg.scan(step, a, xs)
        return mg.sum(a * b) + mg.sum(ya * yb * yc) + mg.sum(c)

    expected = mg.value_and_grad(lambda h, xs: _with(loop, f)(h, xs), argnums=(0, 1))(H, XS)
    for run in runs(mg.value_and_grad(f, argnums=(0, 1))):
        same(run(H, XS), expected)


def _with(how: Any, f: Any) -> Any:
    def g(h: Any, xs: Any) -> Any:
        step = lambda h, x: (mg.tanh(h * x), h)  # noqa: E731
        a, ya = how(step, h, xs)
        b, yb = how(step, h, xs, None, True)
        c, yc = how(step, a, xs)
        return mg.sum(a * b) + mg.sum(ya * yb * yc) + mg.sum(c)

    return g


def test_find_reaches_into_loops() -> None:
    def step(h: Any, x: Any) -> Any:
        with mg.scope("forget"):
            f = mg.sigmoid(h + x)
        return h * f, None

    graph = mg.trace(lambda h, xs: mg.scan(step, h, xs)[0], H, XS)
    assert [node.primitive.name for node in graph.find("t=[*]/forget")] == ["add", "sigmoid"]
    assert len(graph.find("**/sigmoid")) == 1
    assert graph.find("forget") == []


def test_gradients_at_nodes_of_the_step_come_with_a_time_axis() -> None:
    h = mg.constant(H)
    last, ys = mg.scan(lambda h, x: (mg.tanh(h @ W + x), mg.sin(h)), h, mg.constant(XS))
    y = mg.sum(last * last) + mg.sum(ys[1])
    (found,) = Graph([], [y]).find("t=[*]/tanh")
    (by_state,) = mg.gradients(y, [found])
    states: list[Any] = []

    def unrolled(h: Any) -> Any:
        for t, x in enumerate(XS):
            extra = mg.sum(mg.sin(h)) if t == 1 else 0.0
            h = mg.tanh(h @ W + x)
            states.append((h, extra))
        return mg.sum(h * h) + states[1][1]

    loss = unrolled(mg.constant(H))
    expected = mg.gradients(loss, [h for h, _ in states])
    assert by_state.shape == (4, 3)
    assert_close(np.asarray(by_state), np.stack([np.asarray(g) for g in expected]), "by the states", 1e-12)


def test_gradients_at_nodes_of_a_step_that_two_loops_run() -> None:
    # the gradient of a loop runs its step again: what reaches a node inside comes by both
    h = mg.constant(H)
    last, _ = mg.scan(lambda h, x: (mg.tanh(h @ W + x), None), h, mg.constant(XS))
    (slope,) = mg.gradients(mg.sum(last * last), [h])
    y = mg.sum(slope * slope) + mg.sum(mg.sin(last))
    (found,) = Graph([], [last]).find("t=[*]/tanh")
    (by_state,) = mg.gradients(y, [found])
    start = mg.constant(H)
    states, state = [], start
    for x in XS:
        state = mg.tanh(state @ W + x)
        states.append(state)
    (slope,) = mg.gradients(mg.sum(state * state), [start])
    expected = mg.gradients(mg.sum(slope * slope) + mg.sum(mg.sin(state)), states)
    assert_close(np.asarray(by_state), np.stack([np.asarray(g) for g in expected]), "by the states", 1e-12)


def test_the_backward_loop_takes_what_is_at_hand_and_stacks_the_rest() -> None:
    graph = mg.trace(mg.grad(lambda h, xs: mg.sum(mg.scan(lambda h, x: (mg.sin(h * x * W[0]), None), h, xs)[0]), argnums=(0, 1)), H, XS)
    forward, backward = [node.params["loop"] for node in graph.simplify().nodes if node.shape is None]
    # the carry, then the stacks of h and of what cos is taken of; x is at hand, the constant stays the same
    assert len(forward.graph.outputs) == 3
    assert [x.name for x in backward.graph.inputs] == ["d_h", "x", "multiply", "h", "constant"]


def test_long_loops_are_short_graphs() -> None:
    graph = mg.trace(mg.grad(lambda w: mg.sum(mg.scan(lambda h, _: (mg.tanh(h @ w), None), np.ones(3), length=100_000)[0])), W)
    assert len(graph) < 60
    assert len(graph.source.splitlines()) < 40


# --------------------------------------------------------------------------------------------------------------- errors


def test_bad_arguments() -> None:
    identity = lambda h, x: (h, None)  # noqa: E731
    cases: list[tuple[type[Exception], str, Any]] = [
        (mg.errors.ShapeError, r"x\['a'\]: 4, x\['b'\]: 3", lambda: mg.scan(identity, H, {"a": XS, "b": XS[:3]})),
        (mg.errors.ShapeError, "0-d", lambda: mg.scan(identity, H, np.ones(()))),
        (mg.errors.ShapeError, "length is 3, xs have 4", lambda: mg.scan(identity, H, XS, length=3)),
        (ValueError, "length=...", lambda: mg.scan(identity, H)),
        (ValueError, "-1", lambda: mg.scan(identity, H, length=-1)),
        (ValueError, "1.5", lambda: mg.scan(identity, H, length=1.5)),  # type: ignore[arg-type]
        (ValueError, "True", lambda: mg.scan(identity, H, length=True)),
        (mg.errors.StructureError, r"\(carry, y\)", lambda: mg.scan(lambda h, x: h, H, XS)),
        (mg.errors.StructureError, "structure of the carry", lambda: mg.scan(lambda h, x: ((h, h), None), H, XS)),
        (mg.errors.StructureError, "floats or arrays, not int", lambda: mg.scan(lambda n, x: (n + 1, None), 0, XS)),
        (mg.errors.ShapeError, r"carry from shape \(3,\), float64 to shape \(1, 3\)", lambda: mg.scan(lambda h, x: (h[None], None), H, XS)),
        (mg.errors.ShapeError, "float64 to .*float32", lambda: mg.scan(lambda h, x: (h.astype("float32"), None), H, XS)),
        (mg.errors.ShapeError, r"carry\['a'\]", lambda: mg.scan(lambda h, x: ({"a": h["a"] * XS}, None), {"a": H}, XS)),
    ]  # fmt: skip
    for kind, pattern, call in cases:
        with pytest.raises(kind, match=f"(?s){pattern}") as caught:
            call()
        assert "scan" in str(caught.value)
        assert "test_loop.py:" in str(caught.value)
