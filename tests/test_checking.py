"""`check_gradients` finds what is wrong and only that; `evaluate` checks its feeds; a NaN is traced to its source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.errors import DtypeError, FeedError, GradientCheckError, GradientError, NonFiniteError
from minigrad.loop import scan_primitive
from minigrad.nodes import Primitive

RNG = np.random.default_rng(7)
MATRIX, VECTOR = RNG.normal(size=(3, 3)), RNG.normal(size=3)


def loop(w: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = mg.tanh(h @ w + x)
        return h, h * h

    last, squares = mg.scan(step, xs[0], xs)
    return last.sum() + squares.sum()


def nested_loops(w: Any, xs: Any) -> Any:
    def outer(h: Any, x: Any) -> Any:
        return mg.scan(lambda c, row: (mg.tanh(c * row + x), c), h, w)

    return mg.scan(outer, xs[0], xs)


# ----------------------------------------------------------------------------------------------- what is right passes

SMOOTH: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "tanh": (lambda x: mg.tanh(x).sum(), (VECTOR,)),
    "matmul": (lambda w, x: w @ x, (MATRIX, VECTOR)),
    "python float": (lambda x: mg.sin(x) ** 2, (0.3,)),
    "pytrees": (lambda d: {"y": d["w"] @ d["xs"][0], "z": [mg.exp(d["xs"][1])]}, ({"w": MATRIX, "xs": (VECTOR, 0.5)},)),
    "indices beside floats": (lambda x, i: x[i] ** 2, (VECTOR, np.array([0, 0, 2]))),
    "an integer result beside": (lambda x: (x**3, mg.argmax(x)), (VECTOR,)),
    "a result that is constant": (lambda x: (x * x, mg.constant(3.0)), (VECTOR,)),
    "an argument without effect": (lambda x, y: x * x, (VECTOR, VECTOR)),
    "empty": (lambda x: x * x, (np.zeros((0, 3)),)),
    "zeros": (lambda x: (mg.cos(x) + x).sum(), (np.zeros(3),)),
    "near the edge of a domain": (lambda x: (mg.log(x) + mg.sqrt(x)).sum(), (np.array([1e-8, 3.0, 1e5]),)),
    "large": (mg.sin, (1e6,)),
    "tiny": (lambda x: x + 1, (1e-300,)),
    "sizes far apart": (lambda x: mg.sqrt(x).sum(), (np.array([1e-8, 3.0, 1e300]),)),
    "tiny beside ordinary": (lambda x, y: [x + y, x * 2], (1e-300, 1.0)),
    "next to a kink": (lambda x: mg.relu(x).sum(), (np.array([1e-7, -1e-7]),)),
    "a slope of zero": (lambda x: mg.cos(x).sum(), (np.array([0.0, np.pi]),)),
    "scan": (loop, (MATRIX, RNG.normal(size=(4, 3)))),
    "nested scans": (nested_loops, (MATRIX, RNG.normal(size=(2, 3)))),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_right_gradients_pass(name: str) -> None:
    fn, args = SMOOTH[name]
    mg.check_gradients(fn, *args, order=3)


@pytest.mark.parametrize("run", [rnn.unroll, rnn.scan])
@pytest.mark.parametrize("kind", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_cells_pass(kind: Any, run: Any) -> None:
    cell = kind.init(2, 2, rng=0)
    report = mg.check_gradients(lambda cell, xs: run(cell, xs)[0], cell, RNG.normal(size=(3, 1, 2)))
    assert report.worst is not None
    assert report.worst.ratio < 1


def test_float32_is_checked_with_its_own_step() -> None:
    x = VECTOR.astype("float32")
    report = mg.check_gradients(lambda x: mg.tanh(x).sum(), x)
    assert report.worst is not None
    assert 1e-3 * np.abs(x).min() < report.worst.step < 1e-2


def test_float32_inside_a_float64_function_sets_the_step() -> None:
    mg.check_gradients(lambda x: mg.tanh(x.astype("float32")).astype("float64").sum(), VECTOR)


# ---------------------------------------------------------------------------------------------- what is wrong is found


def with_rule(monkeypatch: pytest.MonkeyPatch, name: str, rule: Callable[..., Any]) -> None:
    monkeypatch.setattr(Primitive.table[name], "rules", (rule,))


def error_of(fn: Callable[..., Any], *args: Any, **options: Any) -> str:
    with pytest.raises(GradientCheckError) as caught:
        mg.check_gradients(fn, *args, **options)
    return str(caught.value)


def test_a_wrong_rule_is_found_and_named_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rule(monkeypatch, "tanh", lambda ct, y, x: ct * (1 - y))
    text = error_of(lambda x: mg.tanh(x).sum(), np.array([[0.0, 2.0]]))
    assert "the gradient (vjp) is wrong at x[0, 1]" in text
    assert "minigrad: 0.0359724" in text
    assert "central differences: 0.0706508" in text
    assert "1 of 2 entries disagree" in text
    assert re.search(r"at .*test_checking\.py:\d+", text)


@pytest.mark.parametrize(("dtype", "factor", "found"), [
    ("float64", 1 + 3e-5, True), ("float64", 1 + 1e-8, False),
    ("float32", 1 + 3e-2, True), ("float32", 1 + 1e-4, False),
])  # fmt: skip
def test_errors_are_found_down_to_the_step(
    monkeypatch: pytest.MonkeyPatch, dtype: str, factor: float, found: bool
) -> None:
    with_rule(monkeypatch, "tanh", lambda ct, y, x: ct * (1 - y * y) * factor)
    x = VECTOR.astype(dtype)
    if found:
        assert "is wrong" in error_of(mg.tanh, x, order=1)
    else:
        mg.check_gradients(mg.tanh, x, order=1)


def test_a_rule_that_is_wrong_in_the_second_order_only_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rule(monkeypatch, "tanh", lambda ct, y, x: ct * mg.stop_gradient(1 - y * y))
    mg.check_gradients(mg.tanh, VECTOR, order=1)
    assert "the gradient of order 2 (vjp) is wrong at x[" in error_of(mg.tanh, VECTOR)


def test_forward_mode_has_its_own_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_primitive, "joint_jvp", lambda node, tangents, selected: [None] * 2)
    text = error_of(loop, MATRIX, VECTOR.reshape(1, 3))
    assert "the tangent (jvp) is wrong at result" in text
    assert "minigrad: 0," in text


def test_a_wrong_rule_inside_a_loop_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rule(monkeypatch, "tanh", lambda ct, y, x: ct * (1 - y))
    assert "is wrong" in error_of(loop, MATRIX, RNG.normal(size=(3, 3)))


def test_a_gradient_that_is_nan_or_infinite_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rule(monkeypatch, "tanh", lambda ct, y, x: ct * mg.log(x))
    assert "minigrad: nan" in error_of(mg.tanh, -1.0)
    assert "minigrad: -inf" in error_of(mg.tanh, 0.0)


def test_the_worst_entry_is_named_by_its_path_in_the_pytree() -> None:
    def stopped(cell: Any, x: Any) -> Any:
        return (mg.stop_gradient(cell.forget.w_h) * mg.constant([[1.0, 2.0], [50.0, 3.0]])).sum() + x.sum()

    assert "is wrong at cell.forget.w_h[1, 0]" in error_of(stopped, rnn.LSTMCell.init(2, 2), VECTOR)


@dataclass
class Pair:
    a: Any
    b: Any


def test_results_are_named_by_their_path_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_primitive, "joint_jvp", lambda node, tangents, selected: [None] * 2)
    text = error_of(lambda x: {"pair": Pair(x, mg.scan(lambda c, v: (c + v, c), 0.0, x)[1])}, VECTOR)
    assert re.search(r"the tangent \(jvp\) is wrong at result\['pair'\]\.b\[\d\]", text)


# ---------------------------------------------------------------------------------------------------- kinks and edges


def test_a_kink_is_called_a_kink() -> None:
    text = error_of(lambda x: mg.relu(x).sum(), np.array([1.0, 0.0]))
    assert "kink at x[1]" in text
    assert "wrong" not in text
    assert "check at another point" in text


def test_a_derivative_beside_the_one_sided_ones_is_wrong_even_at_a_kink(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rule(monkeypatch, "relu", lambda ct, y, x: mg.where(x > 0, ct, -ct))
    assert "is wrong at x" in error_of(mg.relu, 0.0)


def test_curvature_is_no_kink(monkeypatch: pytest.MonkeyPatch) -> None:
    # the one-sided differences of 1e9 x² lie far apart, with the wrong slope between them; but they approach each other
    with_rule(monkeypatch, "square", lambda ct, y, x: ct * (2 * x + 1e-6))
    assert "is wrong at x" in error_of(lambda x: 1e9 * mg.square(x), 0.0)


def test_kinks_of_the_gradient_are_found_in_the_second_order() -> None:
    mg.check_gradients(lambda x: mg.square(mg.relu(x)), 0.0, order=1)
    assert "kink at x" in error_of(lambda x: mg.square(mg.relu(x)), 0.0, order=2)


def test_wrong_goes_before_kink() -> None:
    text = error_of(lambda x, y: mg.relu(x) + mg.stop_gradient(y * 1e-3), 0.0, 1.0)
    assert "is wrong at y" in text


def test_the_edge_of_a_domain_is_neither_wrong_nor_a_kink() -> None:
    text = error_of(lambda x: mg.sqrt(x), 0.0)
    assert "not finite beside x" in text
    assert "domain" in text


# --------------------------------------------------------------------------------------------------- the call itself


def test_the_report_counts_and_names_the_one_furthest_off() -> None:
    report = mg.check_gradients(lambda x: mg.tanh(x).sum(), VECTOR)
    assert report.compared == 3 + 1 + 3 + 3  # gradient, tangent; gradient and tangent of the gradient
    assert str(report).startswith("10 derivatives agree with central differences; furthest off: the ")
    assert "nothing to compare" in str(mg.check_gradients(lambda x: x * x, np.zeros(0)))


def test_entries_limits_the_work() -> None:
    calls = mg.check_gradients(lambda w: mg.tanh(w).sum(), RNG.normal(size=(30, 30)), order=1, entries=5)
    assert calls.compared == 5 + 1


def test_one_seed_one_report() -> None:
    reports = [mg.check_gradients(mg.tanh, VECTOR, seed=seed) for seed in (1, 1, 2)]
    assert reports[0] == reports[1] != reports[2]


def test_arguments_are_left_alone() -> None:
    x = VECTOR.copy()
    x.flags.writeable = False
    mg.check_gradients(mg.tanh, x)
    assert np.array_equal(x, VECTOR)


@pytest.mark.filterwarnings("error")
def test_nothing_is_warned_of() -> None:
    error_of(lambda x: mg.sqrt(x) / x, 0.0)


@pytest.mark.parametrize(("fn", "args", "options", "error", "text"), [
    (3, (), {}, TypeError, "expected a function"),
    (mg.tanh, (1.0,), {"order": 0}, ValueError, "order is a whole number"),
    (mg.tanh, (1.0,), {"order": True}, ValueError, "order is a whole number"),
    (lambda x: x * 1.0, (3,), {}, DtypeError, "no argument is floating point"),
    (lambda x: x * 1.0, (np.arange(3),), {}, DtypeError, "x: int64"),
    (lambda x: x > 0, (VECTOR,), {}, GradientError, "no result is floating point"),
])  # fmt: skip
def test_calls_that_make_no_sense(fn: Any, args: Any, options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        mg.check_gradients(fn, *args, **options)


# ----------------------------------------------------------------------------------- the first value that is not finite


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(NonFiniteError) as caught, np.errstate(all="ignore"):
        call()
    return str(caught.value)


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_first_node_is_named_with_its_operands_ranges_scope_and_line() -> None:
    x = mg.symbol("x", (3,))
    with mg.scope("t=3"), mg.scope("forget"):
        line, y = here(), mg.log(x)
    text = message(lambda: mg.evaluate(mg.exp(y).sum(), {x: np.array([1.0, -0.5, 4.0])}, check_finite=True))
    assert text.startswith("log makes the first NaN, at index [1] of shape (3,), float64")
    assert "operand symbol 'x': shape (3,), from -0.5 to 4" in text
    assert "in scope t=3/forget" in text
    assert f"test_checking.py:{line}" in text


def test_infinities_and_nans_are_told_apart() -> None:
    inverse, log = (mg.compile(fn, check_finite=True) for fn in (lambda x: 1 / x, mg.log))
    assert "divide makes the first infinity, of shape ()" in message(lambda: inverse(0.0))
    assert "log makes the first NaN and infinity, at index [0]" in message(lambda: log(np.array([0.0, -1.0])))


def test_what_comes_in_is_told_from_what_is_made() -> None:
    text = message(lambda: mg.compile(lambda w, x: w * x, check_finite=True)(2.0, np.array([1.0, np.nan])))
    assert "multiply passes on what symbol 'x' brings in, NaN, at index [1]" in text
    assert "1 of 2 not finite" in text


def test_a_backward_pass_names_the_forward_line() -> None:
    x = mg.symbol("x", (2,))
    with mg.scope("norm"):
        line, y = here(), mg.sqrt(x)
    (dx,) = mg.gradients(y.sum(), [x])
    text = message(lambda: mg.evaluate({"y": y, "dx": dx}, {x: np.array([1.0, 0.0])}, check_finite=True))
    assert text.startswith("divide makes the first infinity, at index [1]")
    assert "in scope backward/norm" in text
    assert f"test_checking.py:{line}" in text


@pytest.mark.parametrize("compiled", [False, True])
def test_inside_a_loop_the_step_is_named(compiled: bool) -> None:
    def halves(xs: Any) -> Any:
        return mg.scan(lambda c, x: (mg.log(c) * x, c), 2.0, xs)[0]

    xs = np.ones(4)
    if compiled:
        text = message(lambda: mg.compile(halves, check_finite=True)(xs))
    else:
        text = message(lambda: mg.trace(halves, xs).evaluate(xs, check_finite=True))
    assert text.startswith("log makes the first NaN")  # of log(log(log 2))
    assert "in step t=2 of a loop of 4" in text
    assert "in scope t=*" in text


def test_inside_a_loop_that_goes_back() -> None:
    def f(xs: Any) -> Any:
        return mg.scan(lambda c, x: (mg.sqrt(c) * x, None), 0.0, xs)[0]

    text = message(lambda: mg.compile(mg.grad(f), check_finite=True)(np.ones(3)))
    assert "divide makes the first infinity" in text
    assert "in step t=2 of a loop of 3" in text


def test_without_being_asked_nothing_is_checked() -> None:
    x = mg.symbol("x")
    with np.errstate(all="ignore"):
        assert np.isnan(mg.evaluate(mg.log(x), {x: -1.0}))


def test_finite_values_pass() -> None:
    x = mg.symbol("x", (3,))
    y = mg.evaluate(mg.tanh(x), {x: VECTOR}, check_finite=True)
    np.testing.assert_array_equal(y, np.tanh(VECTOR))
    np.testing.assert_array_equal(mg.compile(mg.tanh, check_finite=True)(VECTOR), np.tanh(VECTOR))


# --------------------------------------------------------------------------------------------------------- evaluate


def test_evaluate_gives_back_the_pytree_that_was_asked_for() -> None:
    x, s = mg.symbol("x", (3,)), mg.symbol("s")
    got = mg.evaluate({"y": x * s, "more": (mg.sum(x), [x])}, {x: VECTOR, s: 2.0})
    np.testing.assert_array_equal(got["y"], VECTOR * 2)
    np.testing.assert_array_equal(got["more"][1][0], VECTOR)
    assert isinstance(got["more"][0], np.ndarray)
    assert got["more"][0].shape == ()


def test_evaluate_of_one_node_is_one_array() -> None:
    y = mg.evaluate(mg.constant([1.0, 2.0]) * 2)
    assert isinstance(y, np.ndarray)
    assert y.tolist() == [2.0, 4.0]


def test_evaluate_hands_out_arrays_of_the_callers_own() -> None:
    x, w = mg.symbol("x", (3,)), mg.constant(VECTOR)
    fed = VECTOR.copy()
    a, b, c = mg.evaluate([x, x.reshape((3, 1)), w], {x: fed})
    for array in (a, b, c):
        array[...] = 0
    assert np.array_equal(fed, VECTOR)
    assert np.array_equal(np.asarray(w), VECTOR)


def test_python_numbers_will_do_for_numbers() -> None:
    s, n, half = mg.symbol("s"), mg.symbol("n", dtype="int64"), mg.symbol("half", dtype="float32")
    assert mg.evaluate([s + 1, n + 1, half + 1], {s: 3, n: 4, half: 0.5}) == [4.0, 5, 1.5]
    assert mg.evaluate(half + 1, {half: 0.5}).dtype == np.float32


X, S = mg.symbol("x", (2,)), mg.symbol("s")
Y = (X * S).sum()
FED = {X: np.ones(2), S: 1.0}


@pytest.mark.parametrize(("feeds", "texts"), [
    ({}, ["no value for the symbol 'x', 's'", "symbol 'x': shape (2,), float64, made at"]),
    ({X: np.ones(2)}, ["no value for the symbol 's'"]),
    ({**FED, mg.symbol("other"): 1.0}, ["do not depend on the symbol 'other'", "there is: 'x', 's'"]),
    ({**FED, "x": 1.0}, ["'x' is no symbol"]),
    ({**FED, Y: 1.0}, ["sum is no symbol"]),
    ([1.0], ["feeds is a dict of symbols and their values, got list"]),
    ({**FED, X: np.ones(3)}, ["symbol 'x' has shape (2,), the value fed to it (3,)"]),
    ({**FED, X: np.ones(1)}, ["symbol 'x' has shape (2,), the value fed to it (1,)", "np.broadcast_to"]),
    ({**FED, X: 1.0}, ["symbol 'x' has shape (2,), the value fed to it ()"]),
    ({**FED, X: np.ones(2, int)}, ["symbol 'x' is float64, the value fed to it int64", "array.astype('float64')"]),
    ({**FED, X: np.ones(2, "float32")}, ["is float64, the value fed to it float32"]),
    ({**FED, S: np.float32(1)}, ["symbol 's' is float64, the value fed to it float32"]),
    ({**FED, S: True}, ["symbol 's' is float64, the value fed to it bool"]),
])  # fmt: skip
def test_feeds_that_do_not_fit(feeds: Any, texts: list[str]) -> None:
    with pytest.raises(FeedError) as caught:
        mg.evaluate(Y, feeds)
    assert all(text in str(caught.value) for text in texts)
    assert re.search(r"at .*test_checking\.py:\d+", str(caught.value))


@pytest.mark.parametrize(("value", "text"), [
    (np.ma.masked_array([1.0, 2.0]), "the value of symbol 'x': masked arrays"),
    ([1j, 2.0], "the value of symbol 'x': complex"),
    (["a", "b"], "the value of symbol 'x': dtype <U1"),
    ([[1.0], 2.0], "the value of symbol 'x': a ragged list"),
])  # fmt: skip
def test_values_that_are_no_arrays_of_numbers(value: Any, text: str) -> None:
    with pytest.raises(mg.errors.MinigradError, match=re.escape(text)):
        mg.evaluate(Y, {**FED, X: value})


def test_what_the_graph_is_evaluated_on_has_to_fit_too() -> None:
    graph = mg.trace(lambda x: x * 2, np.ones(3))
    with pytest.raises(FeedError, match=r"symbol 'x' has shape \(3,\)"):
        graph.evaluate(np.ones(1))
