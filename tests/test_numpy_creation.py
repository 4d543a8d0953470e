"""Arrays from nothing, dtypes and constants: as NumPy has them, and nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import DtypeError, FreeSymbolError, IndexingError, ShapeError
from minigrad.nodes import Node
from minigrad.numpy_api import creation, dtypes

from .arrays import DTYPES, FLOATS, Array, agree, array, assert_same, operands

some = settings(max_examples=60, deadline=None)

shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


def created(name: str, *args: Any, **kwargs: Any) -> None:
    """Ours and NumPy's make the same array, plain and compiled."""
    expected = getattr(np, name)(*args, **kwargs)
    node = getattr(mg, name)(*args, **kwargs)
    assert isinstance(node, Node)
    assert not node.weak
    assert_same(mg.evaluate(node), expected)
    assert_same(mg.compile(lambda: getattr(mg, name)(*args, **kwargs))(), expected)


# ---------------------------------------------------------------------------------------------------- of one value


@pytest.mark.parametrize("name", ["zeros", "ones"])
@pytest.mark.parametrize("dtype", [None, *DTYPES, float, int, bool, np.float32])
@pytest.mark.parametrize("shape", [(), 3, (2, 3), [2, 1], (0,), (2, 0)])
def test_zeros_and_ones(name: str, dtype: Any, shape: Any) -> None:
    created(name, shape)
    created(name, shape, dtype)
    created(name, shape=shape, dtype=dtype)


@pytest.mark.parametrize("value", [0, 1, 2.5, -0.0, np.inf, np.nan, True, 1 + 1e-10, np.float32(0.1), [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("dtype", [None, "float64", "float32", "int64", "bool"])
def test_full(value: Any, dtype: Any) -> None:
    if dtype in ("int64",) and not np.all(np.isfinite(value)):
        return
    created("full", (2, 3), value, dtype)
    created("full", 3, fill_value=value, dtype=dtype)


@pytest.mark.parametrize("name", ["zeros_like", "ones_like"])
@given(xs=operands(1), dtype=st.sampled_from([None, *DTYPES]), shape=st.none() | shapes)
@some
def test_zeros_like_and_ones_like(name: str, xs: list[Array], dtype: Any, shape: Any) -> None:
    created(name, xs[0], dtype, shape=shape)
    assert_same(getattr(np, name)(mg.constant(xs[0])), getattr(np, name)(xs[0]))


@given(x=array(), value=st.sampled_from([0, 1, 2.5, True]), shape=st.none() | shapes)
@some
def test_full_like(x: Array, value: Any, shape: Any) -> None:
    created("full_like", x, value, shape=shape)
    created("full_like", x, value, "float32", shape=shape)
    assert_same(np.full_like(mg.constant(x), value), np.full_like(x, value))


def test_empty_is_zeros() -> None:
    assert mg.evaluate(mg.empty((2, 3))).tolist() == np.zeros((2, 3)).tolist()
    assert mg.empty(2, "int32").dtype == np.int32
    assert mg.empty_like(np.ones((2, 1), "float32")).dtype == np.float32
    assert np.empty_like(mg.symbol("x", (4,))).shape == (4,)


def test_of_symbols_and_bare_numbers() -> None:
    x = mg.symbol("x", (2, 3), "float32")
    assert mg.evaluate(mg.ones_like(x)).tolist() == np.ones((2, 3)).tolist()
    assert mg.zeros_like(x).dtype == np.float32
    assert mg.zeros_like(0.5).dtype == np.float64
    assert mg.full_like(2, 3).dtype == np.int64


def test_a_fill_value_that_is_a_node_has_a_gradient() -> None:
    assert mg.grad(lambda v: mg.sum(mg.full((2, 3), v) * np.arange(3.0)))(2.0) == 6
    assert mg.grad(lambda v: mg.sum(mg.full((2, 3), v)))(np.ones(3)).tolist() == [2, 2, 2]
    assert mg.grad(lambda v: mg.sum(mg.full_like(np.ones(4), v)))(2.0) == 4
    assert mg.grad(lambda x: mg.sum(mg.ones_like(x) * x))(np.ones(3)).tolist() == [1, 1, 1]


# -------------------------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize("args", [(3,), (2, 4), (4, 2), (0,), (3, None, 1), (3, 4, -1), (2, 2, 9)])
@pytest.mark.parametrize("name", ["eye", "tri"])
def test_eye_and_tri(name: str, args: Any) -> None:
    created(name, *args)
    for dtype in ("float32", int, bool):
        created(name, *args, dtype=dtype)


def test_identity() -> None:
    created("identity", 3)
    created("identity", 2, "int64")
    created("identity", 0)


@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bool", int])
def test_one_hot(axis: int, dtype: Any) -> None:
    labels = np.array([[0, 2, 1], [1, 1, 3]])
    expected = np.moveaxis(np.eye(4, dtype=dtype)[labels], -1, axis)
    for how in (mg.one_hot(labels, 4, dtype=dtype, axis=axis), mg.one_hot(labels.tolist(), 4, dtype=dtype, axis=axis)):
        assert_same(mg.evaluate(how), expected)
    assert_same(mg.compile(lambda k: mg.one_hot(k, 4, dtype=dtype, axis=axis))(labels), expected)


def test_one_hot_of_one_label_and_of_none() -> None:
    assert mg.evaluate(mg.one_hot(1, 3)).tolist() == [0, 1, 0]
    assert mg.one_hot(np.zeros((0, 2), int), 3).shape == (0, 2, 3)
    assert mg.one_hot(np.array([1, 0], "uint8"), 300).shape == (2, 300)
    assert mg.evaluate(mg.one_hot(np.array([1], "uint8"), 300))[0, 1] == 1


def test_labels_that_are_no_classes() -> None:
    for labels in ([0, 3], [-1]):
        with pytest.raises(IndexingError, match=r"one_hot: labels must be from 0 to 2"):
            mg.one_hot(labels, 3)
    with pytest.raises(IndexingError, match=r"(?s)one_hot: labels are integers, got float64.*astype"):
        mg.one_hot([0.0], 3)
    # known only when run: no class, so zeros
    assert mg.compile(lambda k: mg.one_hot(k, 3))(np.array([5, 1])).tolist() == [[0, 0, 0], [0, 1, 0]]


# ---------------------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    "args", [(3,), (0,), (2, 5), (5, 2, -1), (0.0, 1.0, 0.25), (2.5,), (-3,), (1, 2, 0.3), (3, None, 2)]
)
def test_arange(args: Any) -> None:
    created("arange", *args)
    created("arange", *args, dtype="float32")
    created("arange", *args, dtype=int)


def test_arange_of_nodes_with_values() -> None:
    n = mg.constant(np.array([1.0, 2.0, 3.0])).shape[0]
    assert mg.evaluate(mg.arange(mg.constant(2), n + mg.constant(2))).tolist() == [2, 3, 4]
    assert mg.evaluate(mg.arange(mg.constant(0.25), 1.0, mg.constant(0.5))).tolist() == [0.25, 0.75]
    with pytest.raises(FreeSymbolError, match="'n'"):
        mg.arange(mg.symbol("n", (), "int64"))
    with pytest.raises(ShapeError, match=r"(?s)arange: start, stop and step are numbers, got shape \(2,\)"):
        mg.arange([1, 2])


@given(
    ends=operands(2, FLOATS), num=st.integers(0, 5), endpoint=st.booleans(),
    dtype=st.sampled_from([None, "float32", "float64"]), last=st.booleans(),
)  # fmt: skip
@some
def test_linspace(ends: list[Array], num: int, endpoint: bool, dtype: Any, last: bool) -> None:
    # tame ends: NumPy takes another way where a step rounds to 0
    start, stop = (np.clip(np.nan_to_num(x), -1e3, 1e3).round(2) for x in ends)
    params = {"num": num, "endpoint": endpoint, "dtype": dtype, "axis": -1 if last else 0}
    scale = float(np.max(np.abs(start), initial=1) + np.max(np.abs(stop), initial=1))
    agree(mg.linspace, np.linspace, start, stop, **params, atol=4 * scale, signed_zeros=False)


def test_linspace_of_numbers_is_a_constant_and_of_nodes_has_gradients() -> None:
    created("linspace", 0, 1, 5)
    created("linspace", 0, 10, 4, dtype=int)
    created("linspace", [0, 1], [1, 3], 3, axis=1)
    created("linspace", 2, 2, 3)
    assert mg.linspace(0, 1).is_leaf
    weights = np.arange(4.0)
    slopes = mg.grad(lambda a, b: mg.sum(mg.linspace(a, b, 4) * weights), (0, 1))(1.0, 2.0)
    np.testing.assert_allclose(slopes, [2 / 3 + 2 / 3, 1 / 3 + 4 / 3 + 3])
    assert mg.evaluate(mg.linspace(mg.constant(0.0), 10, 4, dtype=int)).tolist() == [0, 3, 6, 10]
    assert isinstance(np.linspace(mg.constant(0.0), 1.0, 3), Node)


@given(st.data(), st.booleans(), st.sampled_from(["xy", "ij"]))
@some
def test_meshgrid(data: st.DataObject, sparse: bool, indexing: str) -> None:
    xs = [data.draw(array((n,))) for n in data.draw(st.lists(st.integers(0, 3), max_size=3))]
    if xs:
        agree(mg.meshgrid, lambda *a, **k: tuple(np.meshgrid(*a, **k)), *xs, sparse=sparse, indexing=indexing)


def test_meshgrid_of_numbers_and_of_nothing() -> None:
    agree(mg.meshgrid, lambda *a: tuple(np.meshgrid(*a)), np.array(2.0), np.arange(3))
    assert mg.meshgrid() == ()
    with pytest.raises(ValueError, match="indexing is 'xy' or 'ij', got 'yx'"):
        mg.meshgrid([1, 2], indexing="yx")


# --------------------------------------------------------------------------------------------------- from anything


@pytest.mark.parametrize("value", [2, 0.5, True, [1, 2], [[1.0], [2.0]], (1, 2.5), np.float32(3), np.arange(3), []])
@pytest.mark.parametrize("dtype", [None, "float32", int])
@pytest.mark.parametrize("name", ["array", "asarray"])
def test_array_and_asarray(name: str, dtype: Any, value: Any) -> None:
    created(name, value, dtype)
    created(name, value, dtype=dtype)


def test_array_of_nodes_is_a_stack() -> None:
    a, b = mg.constant(1.0), mg.symbol("b")
    stacked = mg.array([[a, 2], [b, 3.0]])
    assert stacked.shape == (2, 2)
    assert mg.evaluate(stacked, {b: 5.0}).tolist() == [[1, 2], [5, 3]]
    assert mg.grad(lambda x: mg.sum(mg.array([x, x * x, 1.0])))(3.0) == 7
    assert mg.asarray([mg.constant(np.float32(1)), np.float32(2)]).dtype == np.float32
    assert mg.asarray(a) is a
    assert mg.array(a, ndmin=2).shape == (1, 1)
    created("array", [1, 2], ndmin=3)
    with pytest.raises(ShapeError, match="stack"):
        mg.array([[a, a], [a]])


def test_an_array_handed_in_is_copied() -> None:
    x = np.ones(3)
    node = mg.asarray(x)
    x[0] = 5
    assert mg.evaluate(node).tolist() == [1, 1, 1]


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_shapes_that_are_none(name: str) -> None:
    for shape in (-1, (2, -3), 1.5, (2, 0.5), "ab", None):
        with pytest.raises(ShapeError, match=rf"{name}: .* is no shape: sizes are") as caught:
            getattr(mg, name)(shape)
        assert __file__ in str(caught.value)
    with pytest.raises(ShapeError, match=r"full: .* is no shape"):
        mg.full((2, -1), 1.0)
    with pytest.raises(ShapeError, match=r"full: .*\(3,\) does not broadcast to \(2,\)|broadcast_to.*\(3,\)"):
        mg.full(2, np.ones(3))
    with pytest.raises(ShapeError, match=r"eye: .* is no shape"):
        mg.eye(-1)


@pytest.mark.parametrize("dtype", [complex, object, "U3", "datetime64[D]", "flout"])
def test_dtypes_that_are_none(dtype: Any) -> None:
    calls = {
        "zeros": lambda: mg.zeros(2, dtype), "full": lambda: mg.full(2, 1.0, dtype),
        "eye": lambda: mg.eye(2, dtype=dtype), "arange": lambda: mg.arange(2, dtype=dtype),
        "linspace": lambda: mg.linspace(0, 1, dtype=dtype), "ones_like": lambda: mg.ones_like([1.0], dtype),
        "one_hot": lambda: mg.one_hot(0, 2, dtype=dtype),
        "asarray": lambda: mg.asarray([1.0], dtype), "array": lambda: mg.array([1.0], dtype),
    }  # fmt: skip
    for name, call in calls.items():
        with pytest.raises(DtypeError, match=f"^{name}: ") as caught:
            call()
        assert __file__ in str(caught.value)


# ------------------------------------------------------------------------------------------- dtypes and constants


def test_every_function_is_tested_here() -> None:
    tested = {"arange", "array", "asarray", "empty", "empty_like", "eye", "full", "full_like", "identity", "linspace",
              "meshgrid", "one_hot", "ones", "ones_like", "tri", "zeros", "zeros_like"}  # fmt: skip
    assert tested == set(creation.__all__)


def test_names_that_are_numpys_own() -> None:
    for name in set(dtypes.__all__) - {"result_type", "can_cast", "shape", "ndim", "size", "nan", "newaxis"}:
        assert getattr(mg, name) is getattr(np, name) or getattr(mg, name) == getattr(np, name)
    assert np.isnan(mg.nan)
    assert mg.newaxis is None


def test_result_type_counts_a_weak_node_as_a_bare_number() -> None:
    x, y = mg.symbol("x", (2,), "float32"), mg.symbol("y", (), "int64")
    assert mg.result_type(x, 0.5) == np.float32
    assert mg.result_type(x, y) == np.float64
    assert mg.result_type(x, mg.constant(0.5)) == np.float64
    assert np.result_type(x, np.int8) == np.float32
    assert mg.trace(lambda a: x * mg.asarray(1, mg.result_type(a, x)), 0.5).outputs[0].dtype == np.float32


def test_can_cast_shape_ndim_and_size() -> None:
    x = mg.symbol("x", (2, 3), "float32")
    assert mg.can_cast(x, "float64")
    assert not mg.can_cast(x, "int64")
    assert mg.can_cast("float64", "float32", "same_kind")
    assert np.can_cast(x, np.float64)
    assert (mg.shape(x), mg.ndim(x), mg.size(x)) == ((2, 3), 2, 6)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    assert (mg.shape([[1, 2]]), mg.ndim(1.0), mg.size([1, 2])) == ((1, 2), 0, 2)
