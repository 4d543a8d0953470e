"""Random arrays for property tests, and the comparison of a function of ours with NumPy's, however it is run.

    @given(operands(2))                     two arrays whose shapes broadcast, of any dtype and memory layout
    agree(mg.add, np.add, a, b)             same values, shape and dtype: plain, compiled, and where NumPy raises, we do
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import MinigradError
from minigrad.graph import free_symbols
from minigrad.nodes import Node

Array = Any

FLOATS = ("float64", "float32")
DTYPES = (*FLOATS, "int64", "int32", "uint8", "bool")

# ------------------------------------------------------------------------------------------------------- drawing


def extreme(dtype: str) -> list[Any]:
    """Values at which functions are special: zeros of both signs, ends of the range, infinities, NaN."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        limits = np.finfo(kind)
        ends = [limits.max, limits.tiny, -limits.eps, np.inf, -np.inf, np.nan]
        return [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e4, -1e4, *ends]
    if kind.kind == "b":
        return [False, True]
    ends = np.iinfo(kind)
    return [0, 1, 2, 3, 7, 8, int(ends.max), int(ends.min), max(-1, int(ends.min))]


def entries(dtype: str, tame: bool = False) -> st.SearchStrategy[Any]:
    """Ordinary values and extreme ones of a dtype; tame ones can be added up in any order."""
    kind = np.dtype(dtype)
    if tame and kind.kind == "f":
        special = st.sampled_from([0.0, 1.0, 1.0, np.inf, -np.inf, np.nan])
        return st.floats(-2, 2, width=32, allow_subnormal=False) | special
    special = st.sampled_from(extreme(dtype))
    if kind.kind == "f":
        return st.floats(-8, 8, width=32) | special
    return special if kind.kind == "b" else st.integers(0 if kind.kind == "u" else -8, 8) | special


def laid_out(draw: Any, values: Array) -> Array:
    """The same values in rows, in columns, backwards with gaps, or repeated without copies where they are all one."""
    kind = draw(st.sampled_from(["rows", "columns", "strided", "repeated"]))
    if kind == "columns":
        return np.asarray(values, order="F")  # np.asfortranarray makes 0-d arrays 1-d
    if kind == "strided" and values.ndim:
        wide = np.zeros([2 * n for n in values.shape], values.dtype)
        part = wide[tuple(slice(None, None, -2) for _ in values.shape)]
        part[...] = values
        return part
    if kind == "repeated" and values.size:
        return np.broadcast_to(values.reshape(-1)[0], values.shape)
    return values


@st.composite
def array(draw: Any, shape: Any = None, dtypes: Sequence[str] = DTYPES, tame: bool = False) -> Array:
    """One array: 0-d, empty, of length 1, or ordinary; of any layout."""
    if shape is None:
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    dtype = draw(st.sampled_from(dtypes))
    return laid_out(draw, draw(hnp.arrays(dtype, shape, elements=entries(dtype, tame))))


@st.composite
def operands(draw: Any, count: int, dtypes: Sequence[str] = DTYPES) -> list[Array]:
    """Arrays whose shapes broadcast together."""
    if count == 1:
        return [draw(array(dtypes=dtypes))]
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3))
    return [draw(array(shape, dtypes)) for shape in shapes.input_shapes]


@st.composite
def reduced(draw: Any, dtypes: Sequence[str] = DTYPES, one: bool = False) -> tuple[Array, Any]:
    """A tame array, and the axes to reduce it over: all (None), none, one, or several."""
    x = draw(array(dtypes=dtypes, tame=True))
    axes = st.none()
    if x.ndim:
        axes |= st.integers(-x.ndim, x.ndim - 1)
    if not one:
        axes |= hnp.valid_tuple_axes(x.ndim)
    return x, draw(axes)


# ----------------------------------------------------------------------------------------------------- comparing


def assert_same(
    found: Any, expected: Any, how: str = "", rtol: float = 4.0, atol: float = 0.0, signed_zeros: bool = True
) -> None:
    """Equal shape and dtype, NaN, infinities and zeros with their signs at the same places, the rest to so many eps."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype, f"{how}: dtype {found.dtype}, NumPy has {expected.dtype}"
    assert found.shape == expected.shape, f"{how}: shape {found.shape}, NumPy has {expected.shape}"
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, how)
        return
    eps = float(np.finfo(found.dtype).eps)
    np.testing.assert_allclose(found, expected, rtol=rtol * eps, atol=atol * eps, err_msg=how)
    zeros = (expected == 0) & signed_zeros
    np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(expected[zeros]), f"{how}: sign of zero")


def runs(function: Callable[..., Any], *arrays: Array, **params: Any) -> dict[str, Any]:
    """What a function of ours gives on these arrays, by each way of running it."""

    def applied(*nodes: Node) -> Any:
        return function(*nodes, **params)

    nodes = [mg.constant(x) for x in arrays]
    symbols = [mg.symbol(f"x{i}", x.shape, x.dtype) for i, x in enumerate(map(np.asarray, arrays))]
    symbolic = applied(*symbols)
    used = set(free_symbols(mg.tree_leaves(symbolic)))
    return {
        "of constants": mg.evaluate(applied(*nodes)),
        "of arrays": mg.evaluate(applied(*arrays)),
        "of symbols": mg.evaluate(symbolic, {s: x for s, x in zip(symbols, arrays, strict=True) if s in used}),
        "compiled": mg.compile(applied)(*arrays),
    }


# Which of two zeros is the larger is NumPy's choice, and it chooses differently for scalars and for vectors.
UNSIGNED = {"amax", "amin", "clip", "fmax", "fmin", "max", "maximum", "min", "minimum", "nanmax", "nanmin"}


def agree(
    ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: Array, rtol: float = 4.0, atol: float = 0.0,
    signed_zeros: bool = True, **params: Any,
) -> None:  # fmt: skip
    """Both give the same, or both raise: NumPy's TypeError is an error of minigrad's, its ValueError one or its own."""
    signed_zeros = signed_zeros and theirs.__name__ not in UNSIGNED
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = theirs(*arrays, **params)
        except TypeError:
            with pytest.raises(MinigradError):
                runs(ours, *arrays, **params)
            return
        except ValueError:
            with pytest.raises(ValueError):  # its text is another test's matter
                runs(ours, *arrays, **params)
            return
        for how, found in runs(ours, *arrays, **params).items():
            several = isinstance(expected, (tuple, list))
            for part, wanted in zip(found, expected, strict=True) if several else [(found, expected)]:
                assert_same(part, wanted, how, rtol, atol, signed_zeros)
