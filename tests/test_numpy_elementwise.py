"""NumPy's entrywise functions, and those of networks: values, shapes and dtypes as NumPy has them, however run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import DtypeError, ShapeError
from minigrad.nodes import Node
from minigrad.numpy_api import activations, elementwise

from .arrays import DTYPES, FLOATS, Array, agree, assert_same, extreme, operands

# Left out: NumPy gives the conjugate of a boolean as int8.
UFUNCS = [name for name in elementwise.__all__ if "conj" not in name and isinstance(getattr(np, name, None), np.ufunc)]
few = settings(max_examples=25, deadline=None)
some = settings(max_examples=60, deadline=None)


def arity(name: str) -> int:
    return int(getattr(np, name).nin)


def test_most_of_the_family_are_ufuncs() -> None:
    others = set(elementwise.__all__) - set(UFUNCS)
    assert others == {"conj", "conjugate", "allclose", "around", "array_equal", "astype", "clip", "fix", "isclose", "isneginf",
                                "isposinf", "nan_to_num", "real", "imag", "round", "select", "sinc", "where"}  # fmt: skip


# -------------------------------------------------------------------------------------------------------- ufuncs


@pytest.mark.parametrize("name", UFUNCS)
@given(data=st.data())
@few
def test_ufunc(name: str, data: st.DataObject) -> None:
    agree(getattr(mg, name), getattr(np, name), *data.draw(operands(arity(name))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in UFUNCS if arity(name) == 1])
def test_ufunc_of_extremes(name: str, dtype: str) -> None:
    agree(getattr(mg, name), getattr(np, name), np.array(extreme(dtype), dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
@pytest.mark.parametrize("name", [name for name in UFUNCS if arity(name) == 2 and "shift" not in name])
def test_ufunc_of_pairs_of_extremes(name: str, dtype: str) -> None:
    values = np.array(extreme(dtype), dtype)
    if dtype == "int64" and name in ("power", "pow"):
        values = values[values >= 0]
    agree(getattr(mg, name), getattr(np, name), values[:, None], values)


@pytest.mark.parametrize("number", [0.5, 3, True, -1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in UFUNCS if arity(name) == 2])
def test_bare_numbers_take_the_dtype_of_what_they_meet(name: str, dtype: str, number: float) -> None:
    x = np.array([1, 0, 1, 1], dtype)
    agree(lambda x: getattr(mg, name)(x, number), lambda x: getattr(np, name)(x, number), x)
    agree(lambda x: getattr(mg, name)(number, x), lambda x: getattr(np, name)(number, x), x)


@pytest.mark.parametrize("name", UFUNCS)
def test_numpys_own_ufunc_of_a_node_is_ours(name: str) -> None:
    x = np.array([1, 0, 1]) if "shift" in name or "bit" in name or "invert" in name else np.array([0.5, 1.0, 1.0])
    node, other = mg.constant(x), [x] * (arity(name) - 1)
    with np.errstate(all="ignore"):
        found, expected = getattr(np, name)(node, *other), getattr(np, name)(x, *other)
        for part, wanted in zip(found, expected, strict=True) if name == "divmod" else [(found, expected)]:
            assert isinstance(part, Node)
            assert_same(part, wanted)


@pytest.mark.parametrize("name", UFUNCS)
def test_lists_are_arrays_and_lists_of_nodes_are_stacked(name: str) -> None:
    ints = any(part in name for part in ("shift", "bit", "invert"))
    values: list[Any] = [1, 2] if ints else [1.0, 0.5]
    nodes = [mg.constant(values[0]), values[1]]
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(*[values] * arity(name))
        for given_ in (values, tuple(values), nodes, np.array(values)):
            found = getattr(mg, name)(*[given_] * arity(name))
            for part, wanted in zip(found, expected, strict=True) if name == "divmod" else [(found, expected)]:
                assert_same(part, wanted)


# ------------------------------------------------------------------------------------------- composed of several


@given(operands(3))
@some
def test_where(xs: list[Array]) -> None:
    agree(mg.where, np.where, *xs)


@given(operands(4))
@some
def test_select(xs: list[Array]) -> None:
    def selected(select: Any) -> Callable[..., Any]:
        return lambda a, b, x, y: select([a > 1, b > a], [x, y], default=2)

    agree(selected(mg.select), selected(np.select), *xs)
    agree(lambda a: mg.select([a > 0], [a]), lambda a: np.select([a > 0], [a]), xs[0])


def test_select_of_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="select: 1 conditions go with 2 choices"):
        mg.select([mg.symbol("x", (2,)) > 0], [1.0, 2.0])
    with pytest.raises(DtypeError, match="select: conditions are booleans, got float64"):
        mg.select([np.ones(2)], [1.0])
    (x,) = slopes(lambda x: mg.select([x > 0, x > -1], [mg.log(x), x * x], 7.0), [2.0, -0.5, -3.0])
    assert x.tolist() == [0.5, -1, 0]


@given(operands(1, ["float64", "float32", "int64"]))
@few
def test_parts_of_real_numbers(xs: list[Array]) -> None:
    for name in ("conj", "conjugate", "real", "imag"):
        agree(getattr(mg, name), getattr(np, name), *xs)
        assert isinstance(getattr(np, name)(mg.constant(xs[0])), Node)


@given(operands(3), st.sampled_from(["both", "low", "high", "keywords", "low keyword"]))
@some
def test_clip(xs: list[Array], kind: str) -> None:
    calls = {
        "both": lambda f: lambda x, low, high: f(x, low, high),
        "low": lambda f: lambda x, low, high: f(x, low, None),
        "high": lambda f: lambda x, low, high: f(x, None, high),
        "keywords": lambda f: lambda x, low, high: f(x, min=low, max=high),
        "low keyword": lambda f: lambda x, low, high: f(x, min=low),
    }
    theirs = calls[kind](np.clip)
    theirs.__name__ = "clip"
    agree(calls[kind](mg.clip), theirs, *xs)


def test_clip_without_bounds_is_the_array() -> None:
    agree(mg.clip, np.clip, np.array([1, 2, 3]), a_min=None, a_max=None)
    assert mg.clip(mg.symbol("x", (2,)), max=1.0).shape == (2,)
    with pytest.raises(ValueError, match="given twice"):
        mg.clip([1.0], 0.0, max=2.0)


@given(operands(1), st.integers(-2, 3))
@some
def test_round(xs: list[Array], decimals: int) -> None:
    agree(mg.round, np.round, *xs, decimals=decimals)
    agree(mg.around, np.around, *xs)
    agree(lambda x: mg.asarray(x).round(decimals), lambda x: np.asarray(x).round(decimals), *xs)


@pytest.mark.parametrize("name", ["fix", "sinc", "isposinf", "isneginf"])
@given(xs=operands(1))
@few
def test_function_of_one_array(name: str, xs: list[Array]) -> None:
    agree(getattr(mg, name), getattr(np, name), *xs, rtol=8)


@given(operands(1), st.sampled_from([{}, {"nan": 2.5}, {"posinf": 7.0, "neginf": -7.0}, {"nan": -1.0, "posinf": 3}]))
@some
def test_nan_to_num(xs: list[Array], values: dict[str, float]) -> None:
    agree(mg.nan_to_num, np.nan_to_num, *xs, **values)


@given(operands(1, DTYPES), st.sampled_from([*DTYPES, float, int, bool, np.float32]))
@some
def test_astype(xs: list[Array], dtype: Any) -> None:
    x = np.nan_to_num(xs[0], posinf=9, neginf=-9).clip(0, 100)  # a NaN or an overflow is undefined as an integer
    agree(lambda x: mg.astype(x, dtype), lambda x: np.asarray(x).astype(dtype), x)
    agree(lambda x: mg.asarray(x).astype(dtype), lambda x: np.asarray(x).astype(dtype), x)


@given(operands(2), st.booleans(), st.sampled_from([0.0, 1e-5, 0.5]), st.sampled_from([0.0, 1e-8, 2.0]))
@some
def test_isclose(xs: list[Array], equal_nan: bool, rtol: float, atol: float) -> None:
    params = {"rtol_": rtol, "atol": atol, "equal_nan": equal_nan}
    for ours, theirs in ((mg.isclose, np.isclose), (mg.allclose, np.allclose)):
        agree(lambda a, b, f=ours: _close(f, a, b, **params), lambda a, b, f=theirs: _close(f, a, b, **params), *xs)


def _close(function: Callable[..., Any], a: Any, b: Any, rtol_: float, atol: float, equal_nan: bool) -> Any:
    return function(a, b, rtol=rtol_, atol=atol, equal_nan=equal_nan)


@given(operands(2), st.booleans())
@some
def test_array_equal(xs: list[Array], equal_nan: bool) -> None:
    agree(mg.array_equal, np.array_equal, *xs, equal_nan=equal_nan)
    agree(mg.array_equal, np.array_equal, xs[0], xs[0], equal_nan=equal_nan)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("where", ([True, False], [1.0, 2.0], 0.0)), ("clip", ([1.0, 5.0], 0, 2)), ("round", ([1.26], 1)),
     ("around", ([1.6],)), ("fix", ([1.6],)), ("sinc", ([0.5],)), ("isposinf", ([1.0],)), ("isneginf", ([1.0],)),
     ("nan_to_num", ([np.nan],)), ("astype", (np.ones(2), "float32")), ("isclose", ([1.0], [1.0])), ("allclose", ([1.0], [1.0])),
     ("array_equal", ([1.0], [1.0]))],
)  # fmt: skip
def test_numpys_own_function_of_a_node_is_ours(name: str, arguments: Any) -> None:
    first, *rest = arguments
    found = getattr(np, name)(mg.constant(first), *rest)
    assert isinstance(found, Node)
    assert_same(found, getattr(np, name)(first, *rest))


# ------------------------------------------------------------------------------------------------------ activations

# What each is, in extended precision and by a formula that cannot overflow where it is used.
EXACT: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "log_sigmoid": lambda x: -(np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "relu": lambda x: np.where(x > 0, x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, x * 0.01),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x / (1 + np.exp(-2 * np.sqrt(2 / np.longdouble(np.pi)) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}
FAR = [-1e4, -50.0, -20.0, -1.0, -1e-3, -0.0, 0.0, 1e-3, 0.5, 1.0, 20.0, 50.0, 1e4]


def test_every_activation_has_its_formula_here() -> None:
    assert set(EXACT) == set(activations.__all__)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", EXACT)
def test_activation(name: str, dtype: str) -> None:
    x = np.array(FAR, dtype)
    with np.errstate(all="ignore"):
        expected = EXACT[name](x.astype(np.longdouble)).astype(dtype)
        eps = float(np.finfo(dtype).eps)
        for found in (mg.evaluate(getattr(mg, name)(x)), mg.compile(getattr(mg, name))(x)):
            assert found.dtype == dtype
            # far on the left gelu and silu are a difference of numbers of size x
            atol = 60 * eps if name in ("gelu", "silu") else 1e-40
            np.testing.assert_allclose(found, expected, rtol=60 * eps, atol=atol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", EXACT)
def test_activation_has_a_finite_slope_that_agrees_with_differences(name: str, dtype: str) -> None:
    f = getattr(mg, name)
    x = np.array([v for v in FAR if v != 0], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slopes = [mg.grad(lambda x: mg.sum(f(x)))(x), mg.compile(mg.grad(lambda x: mg.sum(f(x))))(x)]
    wide = x.astype(np.longdouble)
    step = np.longdouble(1e-6) * np.minimum(np.maximum(abs(wide), 1e-2), 1)
    with np.errstate(all="ignore"):
        expected = ((EXACT[name](wide + step) - EXACT[name](wide - step)) / (2 * step)).astype(np.float64)
    for found in slopes:
        assert found.dtype == dtype
        assert np.all(np.isfinite(found))
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float64" else 1e-4, atol=1e-6)


def test_slopes_at_0_are_of_least_norm() -> None:
    slope = {name: float(mg.grad(getattr(mg, name))(0.0)) for name in EXACT}
    assert slope == {"sigmoid": 0.25, "log_sigmoid": 0.5, "softplus": 0.5, "relu": 0.0, "leaky_relu": 0.01, "elu": 1.0,
                     "gelu": 0.5, "silu": 0.5}  # fmt: skip


def test_parameters_of_activations() -> None:
    x = np.array([-2.0, 3.0])
    np.testing.assert_allclose(mg.evaluate(mg.leaky_relu(x, 0.2)), [-0.4, 3])
    np.testing.assert_allclose(mg.evaluate(mg.leaky_relu(x, negative_slope=0.2)), [-0.4, 3])
    np.testing.assert_allclose(mg.evaluate(mg.elu(x, alpha=2.0)), [2 * np.expm1(-2), 3])
    np.testing.assert_allclose(mg.grad(lambda s: mg.sum(mg.leaky_relu(x, s)))(0.2), -2)


# -------------------------------------------------------------------------------------------- gradients, hard points


def slopes(f: Callable[..., Any], *arrays: Any) -> list[Array]:
    """The gradients of the sum of f by all arguments, plain; and the same compiled."""
    gradient = mg.grad(lambda *xs: mg.sum(f(*xs)), tuple(range(len(arrays))))
    given_ = [np.asarray(x, dtype=float) for x in arrays]
    with np.errstate(all="ignore"):
        plain, compiled = gradient(*given_), mg.compile(gradient)(*given_)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_array_equal(a, b)
    return list(plain)


def test_clip_gives_the_bound_its_gradient_outside_only() -> None:
    x, low, high = slopes(mg.clip, [-2.0, -1.0, 0.0, 1.0, 2.0], [-1.0] * 5, [1.0] * 5)
    assert (x.tolist(), low.tolist(), high.tolist()) == ([0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1])


def test_clip_with_one_bound_keeps_the_convention_of_two() -> None:
    x, low = slopes(lambda x, low: mg.clip(x, low), [-2.0, -1.0, 0.0], [-1.0] * 3)
    assert (x.tolist(), low.tolist()) == ([0, 1, 1], [1, 0, 0])
    x, high = slopes(lambda x, high: mg.clip(x, max=high), [2.0, 1.0, np.inf], [1.0] * 3)
    assert (x.tolist(), high.tolist()) == ([0, 1, 0], [1, 0, 1])


def test_nan_to_num_passes_gradient_to_numbers_only() -> None:
    (x,) = slopes(mg.nan_to_num, [1.0, np.nan, np.inf, -np.inf])
    assert x.tolist() == [1, 0, 0, 0]


def test_where_gives_the_branch_not_taken_nothing() -> None:
    (x,) = slopes(lambda x: mg.where(x > 0, mg.log(x), 0.0), [0.0, 2.0])
    assert x.tolist() == [0, 0.5]


def test_fmax_and_fmin_give_all_to_the_number_where_the_other_is_nan() -> None:
    for f in (mg.fmax, mg.fmin):
        a, b = slopes(f, [np.nan, 1.0, 2.0], [1.0, np.nan, 2.0])
        assert (a.tolist(), b.tolist()) == ([0, 1, 0.5], [1, 0, 0.5])


def test_a_broadcast_operand_gets_its_cotangent_summed() -> None:
    for a, b in (((), (3,)), ((1, 1), (3,)), ((2, 1), (1, 3)), ((0, 3), (1, 3)), ((1,), ())):
        da, db = slopes(mg.multiply, np.full(a, 2.0), np.full(b, 3.0))
        size = int(np.prod(np.broadcast_shapes(a, b)))
        np.testing.assert_array_equal(da, np.full(a, 3.0 * size / max(np.prod(a), 1)) if 0 not in a else np.zeros(a))
        np.testing.assert_array_equal(db, np.full(b, 2.0 * size / max(np.prod(b), 1)) if 0 not in b else np.zeros(b))


# ------------------------------------------------------------------------------------------------------- bad input

BAD = {
    "complex": np.array([1j]), "strings": np.array(["a", "b"]), "objects": np.array([None, object()]),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", [*UFUNCS, "where", "clip", "round", "fix", "sinc", "nan_to_num", "isclose", *EXACT])
def test_bad_arrays_are_named_with_the_operation_and_the_line(name: str, kind: str) -> None:
    count = {"where": 3, "isclose": 2}.get(name) or (arity(name) if name in UFUNCS else 1)
    with pytest.raises(DtypeError) as caught:
        getattr(mg, name)(*[BAD[kind]] * count)
    text = str(caught.value)
    assert __file__ in text
    assert f"shape {BAD[kind].shape}" in text
    name = "floor_divide" if name == "divmod" else getattr(mg, name).__name__
    assert text.startswith(f"{name}: ")


@pytest.mark.parametrize("name", [name for name in UFUNCS if arity(name) == 2])
def test_shapes_that_do_not_broadcast_are_named(name: str) -> None:
    dtype = int if any(part in name for part in ("shift", "bit")) else float
    expected = r"(?s)\(3,\) and \(4,\) do not broadcast.*shape \(3,\).*shape \(4,\)"
    with pytest.raises(ShapeError, match=expected) as caught:
        getattr(mg, name)(np.ones(3, dtype), mg.symbol("x", (4,), dtype))
    assert __file__ in str(caught.value)


def test_ragged_lists_and_unknown_dtypes() -> None:
    with pytest.raises(ShapeError, match=r"(?s)exp.*ragged"):
        mg.exp([[1.0], [2.0, 3.0]])
    with pytest.raises(DtypeError, match=r"(?s)astype.*complex128"):
        mg.astype([1.0], complex)
    with pytest.raises(DtypeError, match=r"(?s)astype.*flout"):
        mg.astype([1.0], "flout")
    with pytest.raises(TypeError, match=r"(?s)where.*static shape.*instead: mg\.where"):
        mg.where(mg.symbol("x", (3,)) > 0)
    with pytest.raises(DtypeError, match=r"(?s)bitwise_and: not defined for float64"):
        mg.bitwise_and(1.5, 2.5)


def test_division_by_zero_follows_ieee_even_between_bare_numbers() -> None:
    with np.errstate(all="ignore"):
        assert mg.evaluate(mg.divide(1.0, 0.0)) == np.inf
        assert mg.evaluate(mg.floor_divide(1.0, 0.0)) == np.inf
        assert np.isnan(mg.evaluate(mg.remainder(1.0, 0.0)))
        assert np.isnan(mg.evaluate(mg.power(-1.0, 0.5)))
        assert mg.compile(lambda x: mg.divide(1.0, x))(0.0) == np.inf
        assert np.isnan(mg.compile(lambda x: x**0.5)(-1.0))
