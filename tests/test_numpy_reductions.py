"""NumPy's reductions, statistics and running reductions, and the soft maxima: as NumPy has them, however run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import AxisError, DtypeError, MinigradError, ShapeError
from minigrad.nodes import Node
from minigrad.numpy_api import reductions, statistics

from .arrays import DTYPES, FLOATS, Array, agree, array, assert_same, reduced

few = settings(max_examples=40, deadline=None)

# By what their arguments are. Together they are the two families; a test says so.
OVER_AXES = ["all", "amax", "amin", "any", "count_nonzero", "max", "mean", "median", "min", "nanmax", "nanmean",
             "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "prod", "ptp", "std", "sum", "var"]  # fmt: skip
OVER_ONE_AXIS = ["argmax", "argmin"]
RUNNING = ["cumprod", "cumsum", "cumulative_prod", "cumulative_sum"]
SOFT = ["log_softmax", "logsumexp", "softmax"]


def test_every_function_is_tested_here() -> None:
    assert {*OVER_AXES, *OVER_ONE_AXIS, *RUNNING, *SOFT, "average"} == {*reductions.__all__, *statistics.__all__}


def loosely(x: Array) -> dict[str, Any]:
    """How far two sums of the entries or of their squares may lie apart for rounding, and that -0.0 is 0.0 to them."""
    finite = np.abs(np.where(np.isfinite(x), x, 0).astype(float))
    return {"rtol": 64, "atol": 16 * float(np.sum(finite * finite + finite)), "signed_zeros": False}


# ------------------------------------------------------------------------------------------------ over several axes


@pytest.mark.parametrize("name", OVER_AXES)
@given(data=st.data(), keepdims=st.booleans())
@few
def test_reduction(name: str, data: st.DataObject, keepdims: bool) -> None:
    x, axis = data.draw(reduced())
    if name == "median" and axis == ():
        return  # NumPy takes that for None
    agree(getattr(mg, name), getattr(np, name), x, axis=axis, keepdims=keepdims, **loosely(x))


@pytest.mark.parametrize("name", OVER_ONE_AXIS)
@given(data=st.data(), keepdims=st.booleans())
@few
def test_position(name: str, data: st.DataObject, keepdims: bool) -> None:
    x, axis = data.draw(reduced(one=True))
    agree(getattr(mg, name), getattr(np, name), x, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("name", [*OVER_AXES, *OVER_ONE_AXIS, "cumsum", "cumprod", "average"])
def test_numpys_own_function_of_a_node_is_ours(name: str) -> None:
    x = np.array([[1.0, 2.0, 0.0], [4.0, 0.5, 3.0]])
    for arguments in ((), (1,), (-1,)):
        found = getattr(np, name)(mg.constant(x), *arguments)
        assert isinstance(found, Node)
        assert_same(found, getattr(np, name)(x, *arguments), rtol=16)
        assert_same(getattr(mg, name)(x.tolist(), *arguments), getattr(np, name)(x, *arguments), rtol=16)


METHODS = ["all", "any", "argmax", "argmin", "cumprod", "cumsum", "max", "mean", "min", "prod", "std", "sum", "var"]


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_functions(name: str) -> None:
    x = np.array([[1.0, 2.0, 0.0], [4.0, 0.5, 3.0]])
    assert_same(getattr(mg.constant(x), name)(1), getattr(x, name)(1), rtol=16)
    assert_same(getattr(mg.constant(x), name)(axis=0), getattr(x, name)(axis=0), rtol=16)


UFUNC_METHODS = ["add.reduce", "multiply.reduce", "maximum.reduce", "minimum.reduce", "logical_and.reduce",
                 "logical_or.reduce", "logaddexp.reduce", "add.accumulate", "multiply.accumulate"]  # fmt: skip


@pytest.mark.parametrize("arguments", [{}, {"axis": 0}, {"axis": 1}, {"axis": None}, {"keepdims": True}], ids=str)
@pytest.mark.parametrize("name", UFUNC_METHODS)
def test_methods_of_numpys_ufuncs(name: str, arguments: dict[str, Any]) -> None:
    ufunc, method = name.split(".")
    if method == "accumulate" and (arguments.get("axis", 0) is None or "keepdims" in arguments):
        return
    x = np.array([[1.0, 2.0, 0.0], [4.0, 0.5, 3.0]])
    found = getattr(getattr(np, ufunc), method)(mg.constant(x), **arguments)
    assert isinstance(found, Node)
    assert_same(found, getattr(getattr(np, ufunc), method)(x, **arguments))


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.subtract, np.less])
def test_outer_of_numpys_ufuncs(ufunc: Any) -> None:
    for a, b in (((2, 3), (4,)), ((), (2, 2)), ((3,), ()), ((2,), (3,))):
        x, y = np.arange(np.prod(a)).reshape(a), np.arange(np.prod(b)).reshape(b) + 0.5
        assert_same(ufunc.outer(mg.constant(x), y), ufunc.outer(x, y))
        assert_same(ufunc.outer(x, mg.constant(y)), ufunc.outer(x, y))


@pytest.mark.parametrize("name", ["mean", "sum", "prod", "var", "std", "median", "nansum", "nanmean"])
@given(data=st.data())
@few
def test_halves(name: str, data: st.DataObject) -> None:
    x = data.draw(array(dtypes=["float16"], tame=True))
    agree(getattr(mg, name), getattr(np, name), x, **loosely(x))


# --------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "all", "any"])
@given(data=st.data())
@few
def test_where(name: str, data: st.DataObject) -> None:
    x, axis = data.draw(reduced())
    shape = x.shape[data.draw(st.integers(0, x.ndim)) :]
    mask = data.draw(array(shape, ["bool"]))
    ours, theirs = getattr(mg, name), getattr(np, name)
    agree(
        lambda x, mask: ours(x, axis=axis, where=mask), lambda x, mask: theirs(x, axis=axis, where=mask), x, mask,
        **loosely(x),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["sum", "prod"])
@given(data=st.data(), initial=st.sampled_from([0, 2, 0.5, -1.0]))
@few
def test_initial(name: str, data: st.DataObject, initial: float) -> None:
    x, axis = data.draw(reduced(["float64", "float32"]))
    agree(getattr(mg, name), getattr(np, name), x, axis=axis, initial=initial, **loosely(x))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod", "mean", "var", "std", "nansum", "nanmean"])
@pytest.mark.parametrize("of", DTYPES)
def test_dtype_is_what_is_computed_in(name: str, dtype: str, of: str) -> None:
    x = np.array([[1, 0, 2], [3, 1, 1]], of)
    if name in ("mean", "var", "std", "nanmean") and np.dtype(dtype).kind != "f":
        with pytest.raises(DtypeError, match=f"dtype {dtype} has no fractions"):
            getattr(mg, name)(x, dtype=dtype)
    elif name == "std" and of == "bool":
        assert mg.evaluate(mg.std(x, dtype=dtype)).dtype == dtype
    else:
        agree(getattr(mg, name), getattr(np, name), x, dtype=dtype)


@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
@given(data=st.data(), ddof=st.sampled_from([0, 1, 2, 0.5]), option=st.sampled_from(["ddof", "correction"]))
@few
def test_degrees_of_freedom(name: str, data: st.DataObject, ddof: float, option: str) -> None:
    if name.startswith("nan"):
        option = "ddof"
    x, axis = data.draw(reduced())
    agree(getattr(mg, name), getattr(np, name), x, axis=axis, **{option: ddof}, **loosely(x))


@given(data=st.data(), returned=st.booleans(), keepdims=st.booleans())
@few
def test_average(data: st.DataObject, returned: bool, keepdims: bool) -> None:
    x, axis = data.draw(reduced())
    options: dict[str, Any] = {"axis": axis, "returned": returned, "keepdims": keepdims}
    if x.size:  # NumPy raises ZeroDivisionError for an empty one
        agree(mg.average, np.average, x, **options, **loosely(x))
        w = data.draw(hnp.arrays(data.draw(st.sampled_from(["float64", "int64"])), x.shape, elements=st.integers(1, 5)))
        agree(
            lambda x, w: mg.average(x, weights=w, **options), lambda x, w: np.average(x, weights=w, **options), x, w,
            **loosely(x),
        )  # fmt: skip


def test_average_with_weights_of_some_axes() -> None:
    x, w = np.arange(12.0).reshape(3, 4), np.array([1.0, 2.0, 5.0])
    agree(lambda x, w: mg.average(x, 0, w), lambda x, w: np.average(x, 0, w), x, w)
    agree(lambda x, w: mg.average(x, 0, w, True), lambda x, w: np.average(x, 0, w, True), x, w)
    with pytest.raises(ShapeError, match=r"(?s)average: weights of shape \(3,\) fit neither.*\(3, 4\)"):
        mg.average(x, 1, w)


# --------------------------------------------------------------------------------------------------------- running


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@given(data=st.data())
@few
def test_running(name: str, data: st.DataObject) -> None:
    x, axis = data.draw(reduced(one=True))
    agree(getattr(mg, name), getattr(np, name), x, axis=axis, **loosely(x))


@pytest.mark.skipif(not hasattr(np, "cumulative_sum"), reason="came with NumPy 2.1")
@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@given(data=st.data(), include_initial=st.booleans())
@few
def test_cumulative(name: str, data: st.DataObject, include_initial: bool) -> None:
    x, axis = data.draw(reduced(one=True))
    if x.ndim:
        options: dict[str, Any] = {"axis": axis, "include_initial": include_initial}
        agree(getattr(mg, name), getattr(np, name), x, **options, **loosely(x))


# ------------------------------------------------------------------------------------------------------- soft maxima


def exact(name: str, x: Array, axis: Any) -> Array:
    """The soft maxima in extended precision."""
    wide = np.asarray(x, np.longdouble)
    top = np.max(wide, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    total = np.sum(np.exp(wide - top), axis, keepdims=True)
    logs = wide - top - np.where(total == 0, 0, np.log(total))
    return {"logsumexp": np.log(total) + top, "log_softmax": logs, "softmax": np.exp(logs)}[name]


@pytest.mark.parametrize("name", SOFT)
@given(data=st.data(), scale=st.sampled_from([1.0, 30.0, 1e4]))
@few
def test_soft_maxima(name: str, data: st.DataObject, scale: float) -> None:
    shape = data.draw(st.sampled_from([(3,), (1,), (2, 3), (3, 1), (2, 1, 3)]))
    axis = data.draw(st.sampled_from([None, -1, 0, tuple(range(len(shape)))]))
    x = data.draw(array(shape, FLOATS, tame=True))
    x = np.where(np.isnan(x) | (x > 9), -np.inf, x).astype(x.dtype) * x.dtype.type(scale)
    keepdims = {"keepdims": True} if name == "logsumexp" else {}
    with np.errstate(all="ignore"):
        expected = exact(name, x, axis).astype(x.dtype)
    agree(getattr(mg, name), lambda *_, **__: expected, x, axis=axis, rtol=64, atol=16 * scale, **keepdims)


def test_soft_maxima_of_integers_are_in_float64_and_of_nothing_empty() -> None:
    for dtype in ("int8", "uint8", "int64", "bool"):
        for name in SOFT:
            assert mg.evaluate(getattr(mg, name)(np.array([1, 0], dtype))).dtype == np.float64
    assert mg.evaluate(mg.softmax(np.zeros((2, 0)))).shape == (2, 0)
    assert mg.evaluate(mg.log_softmax(np.zeros((0, 2)))).shape == (0, 2)
    assert mg.evaluate(mg.softmax(np.float32(3.0), axis=())) == 1
    assert mg.logsumexp(np.zeros((2, 3, 4)), (0, 2)).shape == (3,)


# ------------------------------------------------------------------------------------------------------- gradients


def slope(f: Callable[[Any], Any], x: Any) -> Array:
    """The gradient of the sum of f(x): the same plain, compiled and by forward mode."""
    x = np.asarray(x, float)
    gradient = mg.grad(lambda x: mg.sum(f(x)))
    with np.errstate(all="ignore"):
        plain, compiled = gradient(x), mg.compile(gradient)(x)
        pushed = np.array([
            np.sum(mg.jvp(f, (x,), (unit.reshape(x.shape),))[1]) for unit in np.eye(x.size)
        ]).reshape(x.shape)  # fmt: skip
    np.testing.assert_array_equal(plain, compiled)
    np.testing.assert_allclose(plain, pushed, rtol=1e-13, atol=1e-15)
    return np.asarray(plain)


def squared(name: str, axis: Any) -> Callable[[Any], Any]:
    """A function over an axis, squared, so that its cotangent differs from entry to entry."""
    return lambda x: getattr(mg, name)(x, axis=axis) ** 2


SMOOTH: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(mg, name) for name in OVER_AXES if name not in ("all", "any", "count_nonzero")},
    **{f"{name} over axis 1": squared(name, 1) for name in ("sum", "mean", "std", "prod", "median", "ptp", "max")},
    **{name: squared(name, 0) for name in ("cumsum", "cumprod")},
    **{name: squared(name, (0, 1)) for name in SOFT},
    "cumulative_sum": lambda x: mg.cumulative_sum(x, axis=1, include_initial=True) ** 2,
    "cumulative_prod": lambda x: mg.cumulative_prod(x, axis=1, include_initial=True) ** 2,
    "average": lambda x: mg.average(x, weights=x * x),
    "std, ddof": lambda x: mg.std(x, 0, ddof=1),
    "var, where": lambda x: mg.var(x, 0, where=np.array([[True], [False], [True]])),
    "mean, where": lambda x: mg.mean(x, where=np.array([True, False])),
    "prod, initial": lambda x: mg.prod(x, initial=3.0),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_agrees_with_differences(name: str) -> None:
    x = np.random.default_rng(7).permutation(6).reshape(3, 2) / 3.1 - 0.7
    found = slope(SMOOTH[name], x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        above, below = (np.sum(mg.evaluate(SMOOTH[name](x + s))) for s in (step, -step))
        assert found[index] == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-8)


def test_entries_that_share_the_extremum_share_its_gradient() -> None:
    assert slope(mg.max, [3.0, 1.0, 3.0, 3.0]).tolist() == [1 / 3, 0, 1 / 3, 1 / 3]
    assert slope(mg.min, [[1.0, 1.0], [2.0, 1.0]]).tolist() == [[1 / 3, 1 / 3], [0, 1 / 3]]
    assert slope(mg.ptp, [0.0, 2.0, 2.0, 1.0]).tolist() == [-1, 0.5, 0.5, 0]
    assert slope(mg.ptp, [2.0, 2.0]).tolist() == [0, 0]
    assert slope(mg.nanmax, [np.nan, 2.0, 2.0]).tolist() == [0, 0.5, 0.5]


def test_the_median_of_an_even_number_belongs_to_both_in_the_middle() -> None:
    assert slope(mg.median, [4.0, 1.0, 2.0]).tolist() == [0, 0, 1]
    assert slope(mg.median, [4.0, 1.0, 2.0, 3.0]).tolist() == [0, 0, 0.5, 0.5]
    assert slope(mg.median, [2.0, 1.0, 2.0, 3.0]).tolist() == [0.5, 0, 0.5, 0]
    assert slope(mg.median, [2.0, 2.0, 2.0]).tolist() == [1 / 3, 1 / 3, 1 / 3]
    assert slope(lambda x: mg.median(x, axis=(0, 1)), [[[5.0]], [[7.0]]]).tolist() == [[[0.5]], [[0.5]]]


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e150, 1e-150])
def test_the_std_of_equal_values_has_gradient_0(value: float) -> None:
    for f in (mg.std, mg.nanstd, lambda x: mg.std(x, ddof=1), lambda x: mg.std(x, where=np.array([True, True, False]))):
        np.testing.assert_allclose(slope(f, [value] * 3), 0, atol=1e-15)
    assert not np.any(np.isnan(mg.hessian(mg.std)(np.full(3, value))))


def test_the_std_of_one_value_has_gradient_0() -> None:
    assert slope(mg.std, [5.0]).tolist() == [0]
    assert slope(lambda x: mg.std(x, axis=0), [[5.0, 6.0]]).tolist() == [[0, 0]]


def test_products_with_zeros_are_exact() -> None:
    assert slope(mg.prod, [0.0, 2.0, 3.0]).tolist() == [6, 0, 0]
    assert slope(mg.prod, [0.0, 2.0, 0.0]).tolist() == [0, 0, 0]
    assert slope(mg.cumprod, [2.0, 0.0, 3.0]).tolist() == [1, 8, 0]
    assert mg.hessian(mg.prod)(np.array([0.0, 2.0, 0.0])).tolist() == [[0, 0, 2], [0, 0, 0], [2, 0, 0]]


def test_soft_maxima_far_out_and_where_all_is_masked() -> None:
    inf = np.inf
    assert mg.evaluate(mg.logsumexp([-inf, -inf])) == -inf
    assert slope(mg.logsumexp, [-inf, -inf]).tolist() == [0, 0]
    assert slope(mg.logsumexp, [1e4, -1e4, -inf]).tolist() == [1, 0, 0]
    assert mg.evaluate(mg.softmax([[-inf, -inf], [1e4, 1e4]])).tolist() == [[0, 0], [0.5, 0.5]]
    assert slope(lambda x: mg.softmax(x)[0], [-inf, -inf]).tolist() == [0, 0]
    assert slope(lambda x: mg.softmax(x)[0], [1e4, 1e4]).tolist() == [0.25, -0.25]
    assert mg.evaluate(mg.log_softmax([-inf, -inf])).tolist() == [-inf, -inf]
    assert slope(lambda x: mg.log_softmax(x)[1], [1e4, -1e4]).tolist() == [-1, 1]
    assert not np.any(np.isnan(mg.hessian(lambda x: mg.logsumexp(x))(np.array([1e4, -1e4, -inf]))))


def test_what_a_mask_leaves_out_gets_no_gradient_whatever_it_is() -> None:
    x, mask = [1.0, np.nan, np.inf, 3.0], np.array([True, False, False, True])
    assert slope(lambda x: mg.mean(x, where=mask), x).tolist() == [0.5, 0, 0, 0.5]
    assert slope(lambda x: mg.sum(x**2, where=mask), x).tolist() == [2, 0, 0, 6]
    assert slope(lambda x: mg.var(x, where=mask), x).tolist() == [-1, 0, 0, 1]
    assert slope(lambda x: mg.nanmean(x[:2]), x).tolist() == [1, 0, 0, 0]


# ------------------------------------------------------------------------------------------------------- bad input

ALL = [*OVER_AXES, *OVER_ONE_AXIS, *RUNNING, *SOFT, "average"]


@pytest.mark.parametrize("name", ALL)
def test_an_axis_out_of_range_is_named(name: str) -> None:
    for axis in (2, -3):
        expected = rf"(?s)^{getattr(mg, name).__name__}: axis {axis} is out of bounds for 2 dim.*\(2, 3\)"
        with pytest.raises(AxisError, match=expected) as caught:
            getattr(mg, name)(mg.symbol("x", (2, 3)), axis=axis)
        assert __file__ in str(caught.value)
    with pytest.raises(AxisError, match=rf"{getattr(mg, name).__name__}: axis 0.5 is no integer"):
        getattr(mg, name)(np.ones((2, 3)), axis=0.5)


@pytest.mark.parametrize("name", [*OVER_AXES, *SOFT, "average"])
def test_an_axis_named_twice_is_refused(name: str) -> None:
    expected = rf"(?s)^{getattr(mg, name).__name__}: axis \(0, -2\) names one axis twice.*\(2, 3\)"
    with pytest.raises(ShapeError, match=expected) as caught:
        getattr(mg, name)(np.ones((2, 3)), axis=(0, -2))
    assert __file__ in str(caught.value)


@pytest.mark.parametrize("name", ["max", "min", "amax", "ptp", "argmax", "argmin", "logsumexp"])
def test_nothing_has_no_extremum(name: str) -> None:
    for shape, axis in (((0,), None), ((2, 0), 1), ((0, 3), 0), ((0,), 0)):
        expected = f"^{getattr(mg, name).__name__}: shape .* has no entries along axis"
        with pytest.raises(ShapeError, match=expected) as caught:
            getattr(mg, name)(mg.symbol("x", shape), axis=axis)
        assert str(shape) in str(caught.value)
        assert __file__ in str(caught.value)
    assert getattr(mg, name)(mg.symbol("x", (2, 0)), axis=0).shape == (0,)


@pytest.mark.parametrize("bad", [np.array([1j]), np.array(["a"]), np.array([None])], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_bad_arrays_are_refused(name: str, bad: Array) -> None:
    with pytest.raises(DtypeError, match=rf"(?s)^{getattr(mg, name).__name__}: .*shape \(1,\), {bad.dtype}") as caught:
        getattr(mg, name)(bad)
    assert __file__ in str(caught.value)


def test_options_that_do_not_fit() -> None:
    x = np.ones((2, 3))
    with pytest.raises(DtypeError, match=r"(?s)sum: where is a boolean mask, got int64.*instead: mask != 0"):
        mg.sum(x, where=np.array([1, 0, 1]))
    with pytest.raises(ShapeError, match=r"\(2,\) does not broadcast to \(2, 3\)"):
        mg.mean(x, where=np.array([True, False]))
    with pytest.raises(ValueError, match="std: ddof and correction say the same thing"):
        mg.std(x, ddof=1, correction=1)
    with pytest.raises(ShapeError, match=r"cumulative_sum: axis= is needed where there are 2 axes"):
        mg.cumulative_sum(x)
    with pytest.raises(DtypeError, match="sum: dtype complex128 is not supported"):
        mg.sum(x, dtype=complex)
    with pytest.raises(MinigradError, match=r"ptp|subtract"):
        mg.ptp(np.array([True, False]))
