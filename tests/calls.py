"""Random calls of NumPy's functions, and what has to hold when ours is called in the same way.

    @call("roll")                           how to draw one: arrays, and a function (module, *arrays) -> result,
    def _(draw, numbers): ...               where the module is numpy or minigrad
    check_values(a_call)                    what ours gives is what NumPy gives: of nodes, arrays and lists, compiled,
                                            or called by NumPy's own name
    check_derivatives(a_call)               both modes and second order, against differences of NumPy's function

Entries are multiples of a quarter, so sums and products are exact in float32 too, in any order.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import MinigradError
from minigrad.nodes import Node

from .arrays import laid_out
from .differences import directional

Array = Any
Shape = tuple[int, ...]
Numbers = Callable[..., Array]  # a shape -> an array

DTYPES = ("float64", "float32", "int64", "int32", "bool")


@dataclasses.dataclass
class Call:
    """A function of a module (numpy or minigrad) and arrays, and arrays to call it on."""

    apply: Callable[..., Any]
    arrays: Sequence[Array]
    exact: bool = True

    @property
    def smooth(self) -> list[int]:
        """The positions of the arrays that can be differentiated by."""
        return [i for i, x in enumerate(self.arrays) if x.dtype.kind == "f"]


CALLS: dict[str, Callable[..., Call]] = {}


def call(name: str) -> Callable[[Callable[..., Call]], Callable[..., Call]]:
    """Register how a call of a function is drawn, under the function's name."""

    def register(drawn: Callable[..., Call]) -> Callable[..., Call]:
        assert name not in CALLS
        CALLS[name] = drawn
        return drawn

    return register


# ------------------------------------------------------------------------------------------------------- drawing


@st.composite
def calls(draw: Any, name: str, smooth: bool = False) -> Call:
    """A call of the function; if it is to be smooth, all numbers are float64, apart from each other and from 0."""

    def numbers(shape: Shape, dtypes: Sequence[str] = DTYPES) -> Array:
        size = int(np.prod(shape))
        if smooth:
            order = draw(st.permutations(range(size)))
            values = (np.array(order, "float64") - size // 2) / 4 + 0.0625  # no two of the same size, nor sums of them
            values += 0.03 * np.sin(np.arange(1, size + 1) ** 2)
        else:
            values = np.array(draw(st.lists(st.integers(-8, 8), min_size=size, max_size=size)), "float64") / 4
        values = values.astype("float64" if smooth else draw(st.sampled_from(dtypes)))
        return laid_out(draw, values.reshape(shape)) if not smooth else values.reshape(shape)

    return CALLS[name](draw, numbers)


def shapes(least: int = 0, most: int = 3, side: int = 0) -> st.SearchStrategy[Shape]:
    """Shapes of so many axes, each at least `side` long."""
    return st.lists(st.integers(side, 3), min_size=least, max_size=most).map(tuple)


def axis_of(draw: Any, ndim: int) -> int:
    """An axis, counted from either end."""
    return int(draw(st.integers(-ndim, ndim - 1)))


def some_axes(draw: Any, ndim: int) -> tuple[int, ...]:
    """Different axes in any order, counted from either end."""
    order = draw(st.permutations(range(ndim)))[: draw(st.integers(0, ndim))]
    return tuple(i - ndim if draw(st.booleans()) else i for i in order)


# ------------------------------------------------------------------------------------------------------- checking


def _parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def _same(found: Any, expected: Any, exact: bool, how: str) -> None:
    for kind in (list, tuple):
        assert isinstance(found, kind) == isinstance(expected, kind), how
    assert len(_parts(found)) == len(_parts(expected)), how
    for part, wanted in zip(map(np.asarray, _parts(found)), map(np.asarray, _parts(expected)), strict=True):
        assert (part.shape, part.dtype) == (wanted.shape, wanted.dtype), how
        if exact:
            np.testing.assert_array_equal(part, wanted, how)
        else:
            scale = float(np.max(np.abs(wanted), initial=1.0))
            tolerance = scale * (1e-4 if wanted.dtype == np.float32 else 1e-11)
            np.testing.assert_allclose(part, wanted, rtol=0, atol=tolerance, err_msg=how)


def check_values(drawn: Call) -> None:
    """What ours gives is what NumPy gives, in values, shapes, dtypes and containers, however it is called."""
    apply, arrays = drawn.apply, drawn.arrays
    before = [x.copy() for x in arrays]
    expected = apply(np, *arrays)
    nodes = [mg.constant(x) for x in arrays]
    result = apply(mg, *nodes)
    for part, wanted in zip(_parts(result), map(np.asarray, _parts(expected)), strict=True):
        assert (part.shape, part.dtype) == (wanted.shape, wanted.dtype)
    _same(result, expected, drawn.exact, "of constants")
    _same(apply(mg, *arrays), expected, drawn.exact, "of arrays")
    by_name = apply(np, *nodes)
    assert all(isinstance(part, Node) for part in _parts(by_name))
    _same(by_name, expected, drawn.exact, "by NumPy's name")
    compiled = mg.compile(lambda *xs: apply(mg, *xs))(*arrays)
    _same(compiled, expected, drawn.exact, "compiled")
    for i, part in enumerate(_parts(compiled)):
        others = [*arrays, *_parts(compiled)[:i]]
        assert not any(np.shares_memory(part, other) for other in others), "a compiled result shares memory"
    if all(x.size and x.dtype.name in ("float64", "int64", "bool") for x in arrays):
        lists = [x.tolist() for x in arrays]
        _same(apply(mg, *lists), apply(np, *map(np.asarray, lists)), drawn.exact, "of lists")
    for x, was in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, was, "an array handed in was changed")


def check_derivatives(drawn: Call) -> None:
    """Gradients, tangents and products with the Hessian, against differences of NumPy's function."""
    smooth, apply = drawn.smooth, drawn.apply
    xs = [drawn.arrays[i] for i in smooth]
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=np.shape(part)) for part in _parts(apply(np, *drawn.arrays))]
    tangents = [rng.normal(size=x.shape) for x in xs]

    def weighted(module: Any, power: int) -> Callable[..., Any]:
        def scalar(*floats: Any) -> Any:
            operands = list(drawn.arrays)
            for i, x in zip(smooth, floats, strict=True):
                operands[i] = x
            parts = _parts(apply(module, *operands))
            return sum(module.sum(w * part**power) for part, w in zip(parts, weights, strict=True))

        return scalar

    every = tuple(range(len(xs)))
    gradient = mg.grad(weighted(mg, 1), every)
    found = gradient(*xs)
    slope = directional(weighted(np, 1), xs, tangents)
    _close(_inner(found, tangents), slope, "gradient")
    _close(mg.jvp(weighted(mg, 1), xs, tangents)[1], slope, "tangent")
    for part, other in zip(mg.compile(gradient)(*xs), found, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-12, atol=1e-12, err_msg="compiled gradient")
    curved = mg.grad(weighted(mg, 2), every)
    others = [rng.normal(size=x.shape) for x in xs]
    product = mg.hvp(weighted(mg, 2), xs, tangents)[1]
    bent = directional(lambda *xs: _inner(curved(*xs), others), xs, tangents)
    _close(_inner(product if len(xs) > 1 else [product], others), bent, "product with the Hessian")


def _inner(a: Sequence[Array], b: Sequence[Array]) -> float:
    return float(np.sum([np.sum(x * y) for x, y in zip(a, b, strict=True)]))


def _close(found: Any, expected: Any, what: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7, err_msg=what)


def check_refused(case: str, refused: Callable[[Any], Any], message: str) -> None:
    """A call that NumPy refuses is refused, by a message that names the operation of the case and the caller's line."""
    with pytest.raises((ValueError, TypeError, IndexError)) as theirs:
        refused(np)
    with pytest.raises((ValueError, TypeError, IndexError), match=message) as caught:
        refused(mg)
    assert isinstance(caught.value, MinigradError)
    if isinstance(theirs.value, ValueError):  # as LinAlgError is; others come from inside NumPy
        assert isinstance(caught.value, ValueError)
    text = str(caught.value)
    assert f"{os.path.basename(refused.__code__.co_filename)}:{refused.__code__.co_firstlineno}" in text
    assert text.startswith(case.split(",")[0].removeprefix("linalg.")), "the operation that was called"
