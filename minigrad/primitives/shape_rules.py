"""Shape and dtype rules that many primitives share. A node costs what its rule does, so common cases go a short way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, RangeError, ShapeError, explain
from ..nodes import CONSTANT, Node, Primitive
from .text import function

__all__ = ["broadcast_shapes", "elementwise", "normalize_axes", "normalize_axis", "promote", "reduced_shape", "same"]

Shape = tuple[int, ...]


def same(x: Node, *_: Node, **__: Any) -> tuple[Shape, Any]:
    """The shape rule of what changes neither shape nor dtype."""
    return x.shape, x.dtype


def broadcast_shapes(operation: str, inputs: Sequence[Node]) -> Shape:
    """The shape that the operands broadcast to, as NumPy has it; ShapeError where they do not."""
    shape = inputs[0].shape
    for x in inputs[1:]:
        if x.shape == shape or not x.shape:
            continue
        if not shape:
            shape = x.shape
            continue
        try:
            shape = np.broadcast_shapes(*[x.shape for x in inputs])
        except ValueError:
            listed = " and ".join(str(x.shape) for x in inputs)
            problem = f"shapes {listed} do not broadcast together"
            instead = "reshape one of them, or insert axes with x[..., None]"
            raise ShapeError(explain(operation, problem, inputs, instead)) from None
        break
    return shape


_PYTHON = {"f": float, "i": int, "b": bool}
_result_dtypes: dict[Any, np.dtype[Any]] = {}


def _probe(x: Node) -> Any:
    # a weak node acts as a bare Python number, any other as an array of its dtype
    return _PYTHON[x.dtype.kind](1) if x.weak else np.ones((1,), dtype=x.dtype)


def result_dtype(primitive: Primitive, inputs: Sequence[Node], params: dict[str, Any]) -> np.dtype[Any]:
    """The dtype that the primitive's own NumPy text gives, found by running it once on ones and kept."""
    key = (primitive, *[(x.dtype, x.weak) for x in inputs], *params.items())
    dtype = _result_dtypes.get(key)
    if dtype is None:
        try:
            with np.errstate(all="ignore"):
                result = function(primitive, params, len(inputs))(*map(_probe, inputs))
        except TypeError as error:
            raise DtypeError(explain(primitive.name, _dtype_problem(primitive, inputs, error), inputs)) from None
        dtype = _result_dtypes[key] = np.asarray(result).dtype
    return dtype


def check_bare_integers(primitive: Primitive, inputs: Sequence[Node], params: dict[str, Any], dtype: Any) -> None:
    """RangeError where a bare integer does not fit the integers that it meets, and NumPy does not take it."""
    limits = np.iinfo(dtype)
    bare = [x.cached for x in inputs if x.weak and x.primitive is CONSTANT and type(x.cached) is int]
    beyond = [n for n in bare if not limits.min <= n <= limits.max]
    if not beyond:
        return
    probes = [x.cached if x.weak and x.primitive is CONSTANT else _probe(x) for x in inputs]
    try:
        with np.errstate(all="ignore"):
            function(primitive, params, len(inputs))(*probes)
    except OverflowError:
        problem = f"the bare number {beyond[0]} is out of bounds for {dtype}"
        instead = "another dtype: x.astype('int64'), or a float"
        raise RangeError(explain(primitive.name, problem, inputs, instead)) from None


def _dtype_problem(primitive: Primitive, inputs: Sequence[Node], error: Exception) -> str:
    dtypes = " and ".join(str(x.dtype) for x in inputs)
    return f"not defined for {dtypes} ({str(error).splitlines()[0]})"


def promote(inputs: Sequence[Node]) -> np.dtype[Any]:
    """NumPy's common dtype of the operands (NEP 50): bare Python numbers take the dtype of what they meet."""
    first = inputs[0]
    if not first.weak and all(x.dtype is first.dtype and not x.weak for x in inputs):
        return first.dtype
    return np.result_type(*[_PYTHON[x.dtype.kind](1) if x.weak else x.dtype for x in inputs])


def elementwise(
    name: str, text: str, *rules: Callable[..., Any] | None, **flags: bool
) -> Primitive:
    """A primitive that works entry by entry: shapes broadcast, the dtype is what NumPy's function gives."""

    def infer(*inputs: Node, **params: Any) -> tuple[Shape, np.dtype[Any]]:
        shape = inputs[0].shape if len(inputs) == 1 else broadcast_shapes(name, inputs)
        dtype = result_dtype(primitive, inputs, params)
        if dtype.kind in "iu" and len(inputs) > 1:
            check_bare_integers(primitive, inputs, params, dtype)
        return shape, dtype

    primitive = Primitive(name, text, infer, rules, elementwise=True, **flags)
    return primitive


def normalize_axis(operation: str, x: Node, axis: Any, ndim: int | None = None) -> int:
    """One axis as NumPy takes it, as a number from 0; of `x`, or of a result with `ndim` axes that is made from it."""
    ndim = len(x.shape) if ndim is None else ndim
    try:
        number = int(axis.__index__())
    except AttributeError:
        raise AxisError(explain(operation, f"axis {axis!r} is no integer", [x])) from None
    if not -ndim <= number < ndim:
        raise AxisError(explain(operation, f"axis {number} is out of bounds for {ndim} dimensions", [x]))
    return number % ndim


def normalize_axes(operation: str, x: Node, axis: Any) -> tuple[int, ...]:
    """Axes as NumPy takes them (None, an integer, a tuple) as a sorted tuple of axes that are 0 or more."""
    if axis is None:
        return tuple(range(len(x.shape)))
    found = [normalize_axis(operation, x, a) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if len(set(found)) != len(found):
        raise ShapeError(explain(operation, f"axis {axis} names one axis twice", [x]))
    return tuple(sorted(found))


def reduced_shape(shape: Shape, axis: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape after reducing over `axis`."""
    if keepdims:
        return tuple([1 if i in axis else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axis])
