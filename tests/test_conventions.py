"""Gradients at the hard points: each test is one line of the conventions, named after it.

All derivatives are taken four ways, reverse and forward, plain and compiled: what a call gives must not depend on how
it is run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg

Array = Any
Derivative = Callable[..., Array]
INF, NAN = np.inf, np.nan


def _reverse(f: Callable[[Any], Any], x: Array, run: Callable[..., Any]) -> Array:
    return run(mg.grad(lambda x: mg.sum(f(x))))(x)


def _forward(f: Callable[[Any], Any], x: Array, run: Callable[..., Any]) -> Array:
    push = run(lambda x, t: mg.jvp(f, (x,), (t,))[1])
    slopes = np.zeros_like(x)
    for entry in np.ndindex(x.shape):
        unit = np.zeros_like(x)
        unit[entry] = 1.0
        slopes[entry] = np.sum(push(x, unit))
    return slopes


MODES = {
    "reverse": lambda f, x: _reverse(f, x, lambda g: g),
    "forward": lambda f, x: _forward(f, x, lambda g: g),
    "reverse, compiled": lambda f, x: _reverse(f, x, mg.compile),
    "forward, compiled": lambda f, x: _forward(f, x, mg.compile),
}


@pytest.fixture(params=list(MODES))
def derivative(request: pytest.FixtureRequest) -> Derivative:
    """derivative(f, x): of the sum of f(x), by every entry of x."""

    def quietly(f: Callable[[Any], Any], x: Any) -> Array:
        with np.errstate(all="ignore"):
            return MODES[request.param](f, np.asarray(x, dtype=getattr(x, "dtype", np.float64)))

    return quietly


def equal(found: Array, expected: Any) -> bool:
    """To the last few bits; a NaN only where one is expected."""
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=0)
    return True


def nth(f: Callable[[Any], Any], order: int) -> Callable[[Any], Any]:
    """The derivative of a function of one number, of some order."""
    for _ in range(order):
        f = mg.grad(f)
    return f


# ------------------------------------------------------------------------------------------------------ the table


def test_abs_at_0_sign_and_floor_anywhere(derivative: Derivative) -> None:
    assert equal(derivative(mg.abs, [0.0, -0.0, 2.0, -2.0]), [0, 0, 1, -1])
    for flat in (mg.sign, mg.floor, mg.ceil, mg.trunc, mg.rint):
        assert equal(derivative(flat, [-1.0, 0.0, 0.5, 3.0]), np.zeros(4))


def test_maximum_and_minimum_at_a_tie(derivative: Derivative) -> None:
    for f in (mg.maximum, mg.minimum):
        assert equal(derivative(lambda x, f=f: f(x, 1.0), [1.0]), [0.5])
        assert equal(derivative(lambda x, f=f: f(1.0, x), [1.0]), [0.5])
        assert equal(derivative(lambda x, f=f: f(x, x), [1.0]), [1.0])
    assert equal(derivative(lambda x: mg.maximum(x, 0.0), [-1.0, 1.0]), [0, 1])
    assert equal(derivative(lambda x: mg.minimum(x, 0.0), [-1.0, 1.0]), [1, 0])


def test_max_and_min_over_an_axis_with_k_winners(derivative: Derivative) -> None:
    x = np.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
    assert equal(derivative(lambda x: mg.max(x, axis=1), x), [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    assert equal(derivative(mg.max, x), [[0.5, 0, 0.5], [0, 0, 0]])
    assert equal(derivative(lambda x: mg.min(x, axis=0), x), [[0, 1, 0], [1, 0, 1]])


def test_clip_at_a_bound(derivative: Derivative) -> None:
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert equal(derivative(lambda x: mg.clip(x, -1.0, 1.0), x), [0, 1, 1, 1, 0])
    assert equal(derivative(lambda low: mg.clip(x, low, 1.0), -1.0), 1.0)
    assert equal(derivative(lambda high: mg.clip(x, -1.0, high), 1.0), 1.0)


def test_relu_at_0(derivative: Derivative) -> None:
    assert equal(derivative(mg.relu, [-1.0, -0.0, 0.0, 1.0]), [0, 0, 0, 1])


@pytest.mark.parametrize("p, slope", [(0, 0), (1, 1), (2, 0), (3, 0), (0.5, INF), (0.25, INF)])
def test_power_at_0_by_the_base(derivative: Derivative, p: float, slope: float) -> None:
    exponents: list[Any] = [p, float(p), np.float64(p), mg.constant(float(p)), np.array([p], dtype=float)]
    for exponent in exponents:
        assert equal(derivative(lambda x, p=exponent: x**p, [0.0]), [slope])
    assert equal(derivative(lambda x: mg.power(x, p), [0.0]), [slope])


def test_power_at_0_by_the_exponent(derivative: Derivative) -> None:
    assert equal(derivative(lambda p: 0.0**p, [0.5, 1.0, 2.0]), [0, 0, 0])
    assert equal(derivative(lambda p: mg.constant(np.zeros(3)) ** p, [0.5, 1.0, 2.0]), [0, 0, 0])


def test_power_of_a_negative_base_has_a_slope_by_the_base(derivative: Derivative) -> None:
    # the slope by p, which has a logarithm of x in it, is built only when asked for
    with np.errstate(all="raise"):
        assert equal(mg.grad(lambda x, p: x**p)(-2.0, 3.0), 12)
        assert equal(mg.compile(mg.grad(lambda x, p: x**p))(-2.0, 3.0), 12)
    assert "log" not in mg.trace(mg.grad(lambda x, p: x**p), -2.0, 3.0).source


@pytest.mark.parametrize("array", [False, True], ids=["literal", "array"])
@pytest.mark.parametrize("p", [0, 1, 2, 3])
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_power_is_exact_in_all_orders_for_whole_exponents(p: int, array: bool, compiled: bool) -> None:
    exponent: Any = np.array([float(p)]) if array else p
    factorial = 1.0
    for order in range(1, 5):
        factorial *= max(p - order + 1, 0)
        f = nth(lambda x: mg.sum(x**exponent), order)
        f = mg.compile(f) if compiled else f
        with np.errstate(all="raise"):
            assert equal(f(0.0), factorial if order == p else 0.0)


def test_sqrt_at_0_and_1_over_x_at_0_and_log_at_0(derivative: Derivative) -> None:
    for zero in (0.0, -0.0):
        assert equal(derivative(mg.sqrt, [zero]), [INF])
        assert equal(derivative(lambda x: 1 / x, [zero]), [-INF])
    assert equal(derivative(mg.reciprocal, [0.0]), [-INF])
    assert equal(derivative(mg.log, [0.0]), [INF])


def test_norms_at_0_are_never_nan(derivative: Derivative) -> None:
    assert equal(derivative(mg.linalg.norm, np.zeros(3)), np.zeros(3))
    assert equal(derivative(mg.linalg.norm, np.zeros((2, 2))), np.zeros((2, 2)))
    assert equal(derivative(lambda x: mg.linalg.norm(x, axis=1), [[0.0, 0.0], [3.0, 4.0]]), [[0, 0], [0.6, 0.8]])
    assert equal(derivative(lambda x: mg.hypot(x, 0.0), [0.0]), [0])
    assert equal(derivative(lambda x: mg.hypot(x, x), [0.0]), [0])
    assert equal(derivative(mg.std, np.full(4, 2.5)), np.zeros(4))
    assert equal(derivative(lambda x: mg.std(x, axis=0), np.ones((3, 2))), np.zeros((3, 2)))
    assert equal(derivative(mg.var, np.full(4, 2.5)), np.zeros(4))


def closed_over(s: Any) -> Any:
    """A loop that uses s in a branch which it never takes."""
    return mg.scan(lambda c, _: (mg.where(c > 5, c * s, 0.0), None), np.zeros(1), length=2)[0]


WHERE: dict[str, Callable[[Any], Any]] = {
    "sqrt": lambda x: mg.where(x > 0, mg.sqrt(x), 0.0),
    "x log x": lambda x: mg.where(x > 0, x * mg.log(x), 0.0),
    "1 / x": lambda x: mg.where(x > 0, 1 / x, 0.0),
    "nan inside": lambda x: mg.where(x > 0, mg.log(x - 1.0), 0.0),
    "two deep": lambda x: mg.where(x > 0, mg.exp(3.0 * mg.log(mg.sqrt(x))), 0.0),
    "power": lambda x: mg.where(x > 0, x**0.5, 0.0),
    "arcsin": lambda x: mg.where(x > 0, mg.arcsin(x - 1.0), 0.0),
    "sin(1 / x)": lambda x: mg.where(x > 0, mg.sin(1 / x), 0.0),
    "tanh of nan": lambda x: mg.where(x > 0, mg.tanh(mg.log(x - 1.0)) + 1.0, 0.0),
    "sqrt(relu)": lambda x: mg.sqrt(mg.relu(x - 1.0)),
    "log(relu) after a sum": lambda x: mg.log(mg.sum(mg.relu(x - 1.0), keepdims=True)),
    "sin(1 / relu)": lambda x: mg.sin(1 / mg.relu(x - 1.0)),
    "a scan after relu": lambda x: mg.scan(lambda c, _: (mg.sqrt(c), None), mg.relu(x - 1.0), length=2)[0],
    "relu in a scan": lambda x: mg.scan(lambda c, _: (mg.sqrt(mg.relu(c)), None), x - 1.0, length=2)[0],
    "relu of a closure": lambda x: mg.scan(lambda c, s: (c + mg.sqrt(s), None), np.zeros(1), mg.stack([mg.relu(x - 1.0)] * 2))[0],
    "sum inside": lambda x: mg.where(mg.sum(x) > 0, mg.sum(mg.sqrt(x)), 0.0),
    "reshape inside": lambda x: mg.where(mg.sum(x) > 0, mg.reshape(mg.log(mg.reshape(x, (1, -1))), (-1,)), 0.0),
    "norm inside": lambda x: mg.where(mg.sum(x) > 0, mg.linalg.norm(mg.sqrt(x)), 0.0),
    "maximum": lambda x: mg.maximum(mg.sqrt(x), 1.0),
    "max": lambda x: mg.max(mg.stack([mg.sqrt(x[0]), 1.0 + 0.0 * x[0]])),
    "clip": lambda x: mg.clip(mg.log(x), -1.0, 1.0) * 1.0,
    "relu": lambda x: mg.relu(mg.log(x)),
    "scan": lambda x: mg.scan(lambda c, _: (mg.where(c > 0, mg.sqrt(c), 0.0), None), x, length=3)[0],
    "broadcast": lambda x: mg.where(np.array([False, False]), mg.sqrt(x), 0.0),
    "before a scan": lambda x: mg.scan(lambda c, _: (mg.where(c > 5, c, 0.0), None), mg.sqrt(x), length=2)[0],
    "closed over": lambda x: mg.scan(lambda c, s: (mg.where(c > 5, c * s, 0.0), None), 0.0 * x, mg.stack([mg.sqrt(x)] * 2))[0],
    "closure": lambda x: closed_over(mg.sqrt(x)),
    "scan in a scan": lambda x: mg.scan(lambda c, _: (mg.scan(lambda k, _: (mg.where(k > 5, k, 0.0), None), mg.sqrt(c), length=1)[0], None), x, length=2)[0],
    "around a scan": lambda x: mg.where(x > 0, mg.scan(lambda c, _: (mg.sqrt(c), None), x, length=3)[0], 0.0),
}


@pytest.mark.parametrize("f", WHERE.values(), ids=WHERE)
def test_where_gives_the_branch_not_taken_exactly_0(derivative: Derivative, f: Callable[[Any], Any]) -> None:
    if f is WHERE["clip"]:
        found = derivative(lambda x: mg.where(x > 0, f(x), 0.0), [0.0])
    else:
        found = derivative(f, [0.0])
    assert found.tolist() == [0.0]


def test_where_as_the_last_operation() -> None:
    with np.errstate(all="ignore"):
        for f in (WHERE["sqrt"], WHERE["two deep"], WHERE["maximum"], WHERE["before a scan"]):
            assert mg.vjp(f, np.zeros(1))[1](np.ones(1))[0].tolist() == [0.0]


# Operations that work entry by entry, with infinite or undefined slopes or values at 0 and below; and selections.
STEEP: dict[str, Callable[[Any], Any]] = {
    "sqrt": mg.sqrt, "log": mg.log, "1/x": lambda x: 1 / x, "x/x": lambda x: x / x, "x log x": lambda x: x * mg.log(x),
    "power": lambda x: x**0.5, "arcsin": lambda x: mg.arcsin(2.0 + x), "tanh": mg.tanh, "sin": mg.sin, "-x": lambda x: -x,
    "square": mg.square, "exp": mg.exp, "total": lambda x: mg.broadcast_to(mg.sum(x), (1,)), "reshape": lambda x: mg.reshape(x, (1, 1))[0],
    "loop": lambda x: mg.scan(lambda c, _: (mg.sqrt(c), None), x, length=2)[0],
    "loop of tanh": lambda x: mg.scan(lambda c, _: (mg.tanh(mg.log(c)), c), x, length=2)[1][-1],
}  # fmt: skip
SELECTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": mg.relu, "where": lambda x: mg.where(x > 0, x, 0.0), "never": lambda x: mg.where(False, x, -1.0),
    "maximum": lambda x: mg.maximum(x, 0.0), "clip": lambda x: mg.clip(x, 0.0, 5.0), "max": lambda x: mg.max(mg.stack([x, np.zeros(1)]), axis=0),
    "loop of relu": lambda x: mg.scan(lambda c, _: (mg.relu(c), None), x, length=2)[0],
}  # fmt: skip
DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "reverse": mg.grad,
    "forward": lambda f: lambda x: mg.jvp(f, (x,), (np.ones(1),))[1],
    "forward over reverse": lambda f: lambda x: mg.hvp(f, (x,), (np.ones(1),))[1],
    "reverse over reverse": lambda f: mg.grad(lambda x: mg.sum(mg.grad(f)(x))),
    "reverse over forward": lambda f: mg.grad(lambda x: mg.jvp(f, (x,), (np.ones(1),))[1]),
    "forward over forward": lambda f: lambda x: mg.jvp(lambda x: mg.jvp(f, (x,), (np.ones(1),))[1], (x,), (np.ones(1),))[1],
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVATIVES)
@given(
    before=st.lists(st.sampled_from(sorted(STEEP)), max_size=2),
    selection=st.sampled_from(sorted(SELECTIONS)),
    after=st.lists(st.sampled_from(sorted(STEEP)), min_size=1, max_size=3),
    compiled=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_what_a_selection_lets_not_through_is_0_before_and_after_it(
    name: str, before: list[str], selection: str, after: list[str], compiled: bool
) -> None:
    def f(x: Any) -> Any:
        for step in (*[STEEP[b] for b in before], SELECTIONS[selection], *[STEEP[a] for a in after]):
            x = step(x)
        return mg.sum(x)

    def reaches(x: Any) -> Any:
        for step in before:
            x = STEEP[step](x)
        return x

    x = np.array([-1.0])
    with np.errstate(all="ignore"):
        assume(np.asarray(reaches(mg.constant(x))) < 0)
        slope = DERIVATIVES[name](f)
        assert (mg.compile(slope) if compiled else slope)(x) == 0


def test_a_selection_absorbs_nothing_beside_it(derivative: Derivative) -> None:
    assert equal(derivative(lambda x: mg.sqrt(x) + mg.relu(x), [0.0]), [INF])
    assert equal(derivative(lambda x: mg.sqrt(x) + mg.sqrt(mg.relu(x)), [0.0]), [INF])
    assert equal(derivative(lambda x: mg.sqrt(mg.relu(x)), [4.0]), [0.25])


def test_where_lets_a_nan_or_infinity_in_the_branch_taken_survive(derivative: Derivative) -> None:
    assert equal(derivative(lambda x: mg.where(x < 1, mg.sqrt(x), 0.0), [-1.0]), [NAN])
    assert equal(derivative(lambda x: mg.where(x < 1, mg.sqrt(x), 0.0), [0.0]), [INF])
    assert equal(derivative(lambda x: mg.where(x < 1, x, mg.log(x)), [0.0]), [1.0])


@pytest.mark.parametrize("mode", MODES)
def test_without_a_selection_ieee_arithmetic_decides(mode: str) -> None:
    # a zero that no selection made absorbs nothing: 0 * inf is NaN, in a loop too
    functions: list[Callable[[Any], Any]] = [
        lambda x: mg.sqrt(x) * 0.0,
        lambda x: mg.scan(lambda c, _: (mg.sqrt(c) * 0.0, None), x, length=1)[0],
        lambda x: mg.scan(lambda c, _: (c * 0.0, None), mg.sqrt(x), length=1)[0],
        lambda x: mg.scan(lambda c, s: (c, mg.sqrt(s) * 0.0), 0.0, x)[1],
    ]
    with np.errstate(all="ignore"):
        for f in functions:
            assert np.isnan(MODES[mode](f, np.zeros(1))).all()


def test_a_zero_tangent_that_no_selection_made_absorbs_nothing() -> None:
    functions: list[Callable[[Any], Any]] = [
        mg.sqrt,
        lambda x: mg.scan(lambda c, _: (mg.sqrt(c), None), x, length=1)[0],
        lambda x: mg.scan(lambda c, s: (c + mg.sqrt(s), None), 0.0, x)[0],
    ]
    with np.errstate(all="ignore"):
        for f in functions:
            assert np.isnan(mg.jvp(f, (np.zeros(1),), (np.zeros(1),))[1]).all()


def test_slopes_that_are_finite_need_no_guard() -> None:
    for f in (mg.tanh, mg.sigmoid, mg.sin, lambda x: -x, lambda x: mg.tanh(x + 1.0)):
        slope = mg.trace(mg.grad(lambda x, f=f: mg.sum(mg.where(x > 0, f(x), 0.0))), np.ones(2))
        push = mg.trace(lambda x, f=f: mg.jvp(lambda x: f(mg.relu(x)), (x,), (np.ones(2),)), np.ones(2))
        assert not [node for graph in (slope, push) for node in graph.nodes if node.primitive.name == "absorb"]


def test_prod_and_cumprod_with_zeros_are_exact_in_all_orders(derivative: Derivative) -> None:
    assert equal(derivative(mg.prod, [2.0, 0.0, 3.0]), [0, 6, 0])
    assert equal(derivative(mg.prod, [0.0, 0.0, 3.0]), [0, 0, 0])
    assert equal(derivative(mg.cumprod, [2.0, 0.0, 3.0]), [1, 2 + 6, 0])
    for x in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]):
        a, b, c = x
        expected = [[0, c, b], [c, 0, a], [b, a, 0]]
        assert equal(mg.hessian(mg.prod)(np.array(x)), expected)
        assert equal(mg.hessian(lambda x: mg.cumprod(x)[-1])(np.array(x)), expected)
        third = mg.jacobian(mg.hessian(mg.prod))(np.array(x))
        assert third[0, 1, 2] == third[2, 1, 0] == 1.0
        assert np.sum(third) == 6


def test_sinc_at_0_is_exact_in_all_orders() -> None:
    # sinc(x) = sum of (-1)^k (pi x)^(2k) / (2k + 1)!
    for order, expected in enumerate([1, 0, -(np.pi**2) / 3, 0, np.pi**4 / 5, 0, -(np.pi**6) / 7]):
        for f in (nth(mg.sinc, order), mg.compile(nth(mg.sinc, order))):
            np.testing.assert_allclose(f(0.0), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "log_sigmoid", "logsumexp", "softmax", "log_softmax"])
def test_soft_functions_are_finite_far_out(derivative: Derivative, name: str) -> None:
    f = getattr(mg, name)
    for x in (np.array([1e4, -1e4]), np.array([1e4, 1e4]), np.array([-1e4, -1e4]), np.array([1e4, 0.0, -1e4])):
        assert np.all(np.isfinite(mg.compile(f)(x)))
        assert np.all(np.isfinite(mg.evaluate(f(mg.constant(x)))))
        assert np.all(np.isfinite(derivative(f, x)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mg.compile(mg.grad(lambda x: mg.sum(f(x))))(x)


def test_soft_functions_far_out_have_the_right_values(derivative: Derivative) -> None:
    x = np.array([1e4, -1e4])
    assert equal(mg.compile(mg.softplus)(x), [1e4, 0])
    assert equal(mg.compile(mg.log_sigmoid)(x), [0, -1e4])
    assert equal(mg.compile(mg.sigmoid)(x), [1, 0])
    assert equal(mg.compile(mg.log_softmax)(x), [0, -2e4])
    assert equal(derivative(mg.softplus, x), [1, 0])
    assert equal(derivative(mg.log_sigmoid, x), [0, 1])
    assert equal(derivative(lambda x: mg.log_softmax(x)[1], x), [-1, 1])


def test_a_fully_masked_row(derivative: Derivative) -> None:
    x = np.array([-INF, -INF])
    assert equal(mg.compile(mg.logsumexp)(x), -INF)
    assert equal(derivative(mg.logsumexp, x), [0, 0])
    assert equal(mg.compile(mg.softmax)(x), [0, 0])
    assert equal(derivative(lambda x: mg.softmax(x)[0], x), [0, 0])


def test_median_and_ptp_share_as_max_does(derivative: Derivative) -> None:
    assert equal(derivative(mg.median, [3.0, 1.0, 2.0]), [0, 0, 1])
    assert equal(derivative(mg.median, [4.0, 1.0, 2.0, 3.0]), [0, 0, 0.5, 0.5])
    assert equal(derivative(mg.median, [1.0, 2.0, 2.0, 2.0, 5.0]), [0, 1 / 3, 1 / 3, 1 / 3, 0])
    assert equal(derivative(mg.ptp, [1.0, 3.0, 1.0, 3.0]), [-0.5, 0.5, -0.5, 0.5])


def test_fmax_and_fmin_give_all_to_the_one_that_is_no_nan(derivative: Derivative) -> None:
    for f in (mg.fmax, mg.fmin):
        assert equal(derivative(lambda x, f=f: f(x, NAN), [2.0]), [1])
        assert equal(derivative(lambda x, f=f: f(NAN, x), [2.0]), [1])
        assert equal(derivative(lambda x, f=f: f(x, 2.0), [2.0]), [0.5])


def test_cross_entropy_from_logits_with_integer_targets(derivative: Derivative) -> None:
    logits, targets = np.array([[1e4, -1e4, 0.0], [0.5, 0.25, -1.0]]), np.array([1, 2])

    def loss(logits: Any) -> Any:
        chosen = mg.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
        return mg.mean(mg.logsumexp(logits, axis=1) - chosen)

    value = mg.compile(loss)(logits)
    weights = np.exp(logits[1]) / np.sum(np.exp(logits[1]))
    assert equal(value, (2e4 - np.log(weights[2])) / 2)
    assert np.allclose(derivative(loss, logits), [[0.5, -0.5, 0], (weights - [0, 0, 1]) / 2], rtol=1e-14, atol=1e-300)


def test_repeated_indices_add_their_cotangents_up(derivative: Derivative) -> None:
    assert equal(derivative(lambda x: x[np.array([0, 2, 0, 0])], [1.0, 2.0, 3.0]), [3, 0, 1])
    assert equal(derivative(lambda x: mg.take(x, [1, 1], axis=0), [[1.0, 2.0], [3.0, 4.0]]), [[0, 0], [2, 2]])
    assert equal(derivative(lambda x: x[[0, 0], [1, 1]], np.ones((2, 2))), [[0, 2], [0, 0]])


@pytest.mark.parametrize("shape, other", [((), (2, 3)), ((), (0,)), ((1, 1), (3,)), ((3, 1), (2,)), ((1,), (0, 1)),
                                          ((0, 1), (1, 3)), ((2, 3), ()), ((1, 3), (2, 1, 1))])  # fmt: skip
def test_broadcasting_is_summed_back(derivative: Derivative, shape: Any, other: Any) -> None:
    weights = np.random.default_rng(0).normal(size=other)
    x = np.ones(shape)
    found = derivative(lambda x: x * weights, x)
    expected = np.zeros(shape)
    product = np.broadcast_to(weights, np.broadcast_shapes(shape, other))
    for entry in np.ndindex(product.shape):
        mine = tuple(i if n > 1 else 0 for i, n in zip(entry[len(entry) - len(shape) :], shape, strict=True))
        expected[mine] += product[entry]
    assert found.shape == shape
    assert np.allclose(found, expected, rtol=1e-13)


def test_one_node_used_under_two_broadcast_shapes(derivative: Derivative) -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(4.0).reshape(4, 1)
    assert equal(derivative(lambda x: mg.sum(x * a) + mg.sum(x * b) + mg.sum(x), [1.0, 2.0, 3.0]), a.sum(0) + b.sum() + 1)


def test_tanh_and_sigmoid_are_saturated_in_float32_beyond_9_and_17(derivative: Derivative) -> None:
    assert derivative(mg.tanh, np.array([10.0, -10.0], "float32")).tolist() == [0, 0]
    assert derivative(mg.sigmoid, np.array([17.5], "float32")).tolist() == [0]
    assert np.all(derivative(mg.tanh, np.array([8.5], "float32")) > 0)
    assert np.all(derivative(mg.tanh, np.array([10.0, 17.0])) > 0)
    x = np.array([0.3])
    assert equal(derivative(mg.tanh, x), 1 - np.tanh(x) * np.tanh(x))


def test_sort_is_stable_and_its_gradient_follows_the_permutation(derivative: Derivative) -> None:
    weights = np.array([1.0, 10.0, 100.0, 1000.0])
    x = np.array([2.0, 1.0, 2.0, 1.0])
    order = np.argsort(x, kind="stable")
    expected = np.zeros(4)
    expected[order] = weights
    assert equal(derivative(lambda x: mg.sort(x) * weights, x), expected)
    assert mg.compile(mg.argsort)(x).tolist() == order.tolist()


def test_integer_and_boolean_inputs_are_an_error_that_names_the_path() -> None:
    for leaf in (np.arange(3), np.array([True]), np.uint8(3)):
        with pytest.raises(mg.errors.DtypeError, match=r"params\['layers'\]\[1\].*derivative") as caught:
            mg.grad(lambda params: 1.0)({"layers": [1.0, leaf]})
        assert isinstance(caught.value, TypeError)
        assert "test_conventions.py:" in str(caught.value)
    gradient = mg.grad(lambda x, i: mg.sum(x[i] * np.arange(2)))(np.ones(3), np.array([1, 1]))
    assert gradient.tolist() == [0, 1, 0]


def test_an_output_that_is_no_scalar_points_to_vjp_and_jacobian() -> None:
    with pytest.raises(mg.errors.GradientError, match=r"(?s)shape \(3,\).*vjp.*jacobian"):
        mg.grad(lambda x: x * 2)(np.ones(3))
    with pytest.raises(mg.errors.GradientError, match=r"(?s)shape \(3,\).*vjp.*jacobian"):
        x = mg.constant(np.ones(3))
        mg.gradients(x * 2, [x])


def test_what_the_output_does_not_depend_on_has_zeros_or_an_error() -> None:
    x, z = mg.constant(np.ones(2), name="x"), mg.constant(np.ones((2, 3), "float32"), name="z")
    y = mg.sum(x * x)
    (zeros,) = mg.gradients(y, [z])
    assert np.array_equal(zeros, np.zeros((2, 3)))
    assert zeros.dtype == np.float32
    assert mg.grad(lambda x, z: mg.sum(x), argnums=1)(np.ones(2), np.ones((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]
    with pytest.raises(mg.errors.GradientError, match="'z'.*no path"):
        mg.gradients(y, [z], unused="error")
    between = x + 1
    for unused in ("zeros", "error"):
        with pytest.raises(mg.errors.GradientError, match="no path"):
            mg.gradients(y, [between], unused=unused)


def test_errors_say_where_the_path_broke() -> None:
    x = mg.constant(np.ones(2), name="x")
    stopped = mg.sum(mg.stop_gradient(x * 2) * 3)
    with pytest.raises(mg.errors.GradientError, match="stop_gradient"):
        mg.gradients(stopped, [x], unused="error")
    rounded = mg.sum(x.astype("int64").astype("float64"))
    with pytest.raises(mg.errors.GradientError, match="cast.*int64"):
        mg.gradients(rounded, [x], unused="error")
    assert mg.gradients(stopped, [x])[0].tolist() == [0, 0]


def test_dtype_of_a_gradient_is_that_of_what_it_is_the_gradient_of() -> None:
    for dtype in ("float16", "float32", "float64"):
        x, w = np.ones(3, dtype), np.ones((3, 2))
        gradient = mg.grad(lambda x, w: mg.sum(x @ w), argnums=(0, 1))
        for g in (gradient, mg.compile(gradient)):
            dx, dw = g(x, w)
            assert (dx.dtype, dw.dtype) == (np.dtype(dtype), np.float64)
    assert mg.compile(lambda x: x * 0.5 + 1)(np.ones(2, "float32")).dtype == np.float32
    assert mg.compile(lambda x: x * np.float64(0.5))(np.ones(2, "float32")).dtype == np.float64
    assert mg.compile(lambda x: x * mg.constant(0.5))(np.ones(2, "float32")).dtype == np.float64


def test_complex_numbers_are_a_clear_error_at_the_leaf() -> None:
    for make in (lambda: mg.constant(1j), lambda: mg.symbol("z", (2,), "complex128"), lambda: mg.constant(1.0) * 1j,
                 lambda: mg.grad(lambda z: z)(1j), lambda: mg.compile(lambda z: z)(np.ones(2, complex))):  # fmt: skip
        with pytest.raises(mg.errors.DtypeError, match="(?s)complex.*test_conventions.py:"):
            make()


@pytest.mark.parametrize("run", [lambda f: f, mg.compile], ids=["plain", "compiled"])
def test_errstate_in_force_decides_about_warnings(run: Callable[..., Any]) -> None:
    gradient = run(mg.grad(lambda x: mg.sum(1 / x)))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        gradient(np.zeros(2))
    with np.errstate(divide="ignore"):
        assert gradient(np.zeros(2)).tolist() == [-INF, -INF]
    with np.errstate(divide="warn"), pytest.warns(RuntimeWarning, match="divide by zero"):
        gradient(np.zeros(2))
    overflowing = run(mg.grad(lambda x: mg.sum(mg.exp(x))))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        overflowing(np.array([1e3]))


def test_an_array_handed_in_is_copied() -> None:
    array = np.ones(3)
    node = mg.constant(array)
    implied = mg.constant(1.0) * array
    captured = mg.compile(lambda x: x + array)
    before = captured(np.zeros(3))
    array[:] = 7
    assert np.asarray(node).tolist() == [1, 1, 1]
    assert np.asarray(implied).tolist() == [1, 1, 1]
    assert before.tolist() == captured(np.zeros(3)).tolist() == [1, 1, 1]


def test_check_gradients_says_kink_only_at_a_kink() -> None:
    mg.check_gradients(lambda x: mg.sum(mg.tanh(x)), np.array([0.3, 1e3, -2.0]))
    with pytest.raises(mg.errors.GradientCheckError, match="kink"):
        mg.check_gradients(lambda x: mg.sum(mg.relu(x)), np.array([0.0]))
    # a wrong derivative at a smooth point: 2 x passed off as constant
    wrong = lambda x: mg.sum(mg.stop_gradient(x) * x)  # noqa: E731
    with pytest.raises(mg.errors.GradientCheckError) as caught:
        mg.check_gradients(wrong, np.array([0.3, 2.0]))
    assert "kink" not in str(caught.value)
