"""Means, spreads and medians, and the reductions that leave NaN out, under NumPy's names.

    mean average var std median          nansum nanprod nanmean nanvar nanstd nanmax nanmin

Integers and booleans count as float64. A standard deviation's gradient is 0 where all entries are equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, ShapeError, explain
from ..nodes import Node
from ..primitives import elementwise as entrywise
from ..primitives import reductions as table
from ..primitives import structure
from ..primitives.shape_rules import normalize_axes, promote, reduced_shape
from ..primitives.structure import broadcast_to, cast, full, reshape, strong, transpose
from .arguments import floating, in_dtype
from .reductions import Axes, any, mask_of, masked, max, min, number_of_entries, prod, sum

__all__ = [
    "average", "mean", "median", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "std", "var",
]  # fmt: skip

# --------------------------------------------------------------------------------------------------------- means


def mean(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False, where: Any = None) -> Node:
    """The arithmetic mean over the axes; of integers and booleans in float64.

    >>> import minigrad as mg
    >>> mg.mean([[1, 2], [3, 5]], axis=0).tolist()
    [2.0, 3.5]
    """
    x = _fractions("mean", a, dtype)
    axes = normalize_axes("mean", x, axis)
    result = x.dtype
    if dtype is None and x.dtype == np.float16:  # NumPy adds halves up in single precision
        x = cast(x, dtype=np.dtype(np.float32))
    return in_dtype(_mean("mean", x, axes, keepdims, where), result, "mean")


def _fractions(operation: str, a: Any, dtype: Any) -> Node:
    # the array in `dtype`, which must be a float's; in its own where none is given, integers in float64
    x = in_dtype(strong(a, operation), dtype, operation)
    x = floating(x) if dtype is None else x
    if x.dtype.kind != "f":
        raise DtypeError(explain(operation, f"dtype {x.dtype} has no fractions", [x], "a float's, or cast the result"))
    return x


def _mean(operation: str, x: Node, axes: tuple[int, ...], keepdims: bool, where: Any) -> Node:
    total = structure.sum(masked(operation, x, where, 0), axis=axes, keepdims=keepdims)
    return in_dtype(total / _count(operation, x, axes, keepdims, where), x.dtype, operation)


def _count(operation: str, x: Node, axes: tuple[int, ...], keepdims: bool, where: Any) -> Any:
    # how many entries each result is made from: a number, or a node where there is a mask
    if where is None:
        return number_of_entries(x, axes)
    return structure.sum(mask_of(operation, x, where), axis=axes, keepdims=keepdims)


def average(
    a: Any, axis: Axes = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:  # fmt: skip
    """The weighted mean, sum(a * w) / sum(w); with `returned`, the pair of it and the sum of the weights.

    `weights` have the shape of `a`, or that of its axes `axis`.

    >>> import minigrad as mg
    >>> mg.average([1.0, 2.0, 6.0], weights=[3, 2, 1]).item()
    2.167
    """
    x = floating(strong(a, "average"))
    axes = normalize_axes("average", x, axis)
    w = strong(number_of_entries(x, axes)) if weights is None else _weights(x, strong(weights, "average"), axes)
    w = cast(w, dtype=promote([x, w]) if weights is not None else x.dtype)
    if weights is None:
        y = mean(x, axes, keepdims=keepdims)
        total = broadcast_to(w, shape=y.shape)
    else:
        total = structure.sum(w, axis=axes, keepdims=keepdims)
        y = structure.sum(x * w, axis=axes, keepdims=keepdims) / total
    return (y, total) if returned else y


def _weights(x: Node, w: Node, axes: tuple[int, ...]) -> Node:
    # in the shape of x: weights of the axes that are averaged over are the same along the others
    if w.shape == x.shape:
        return w
    if w.shape != tuple([x.shape[i] for i in axes]):
        problem = f"weights of shape {w.shape} fit neither the array, {x.shape}, nor its axes {axes}"
        raise ShapeError(explain("average", problem, [x, w]))
    column = tuple([n if i in axes else 1 for i, n in enumerate(x.shape)])
    return broadcast_to(reshape(w, shape=column), shape=x.shape)


# --------------------------------------------------------------------------------------------- spreads and medians


def var(
    a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False, where: Any = None,
    correction: float | None = None,
) -> Node:  # fmt: skip
    """The variance: squared distances from the mean, added up and divided by n - ddof. (`correction` is `ddof`.)

    >>> import minigrad as mg
    >>> mg.var([1.0, 2.0, 3.0]).item(), mg.var([1.0, 2.0, 3.0], ddof=1).item()
    (0.667, 1.0)
    """
    return _variance("var", a, axis, dtype, ddof, keepdims, where, correction)


def std(
    a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False, where: Any = None,
    correction: float | None = None,
) -> Node:  # fmt: skip
    """The standard deviation: the root of the variance. Its gradient is 0 where all entries are equal.

    >>> import minigrad as mg
    >>> mg.std([[1.0, 3.0], [5.0, 5.0]], axis=1).tolist()
    [1.0, 0.0]
    """
    return entrywise.root(_variance("std", a, axis, dtype, ddof, keepdims, where, correction))


def _variance(
    operation: str, a: Any, axis: Axes, dtype: Any, ddof: float, keepdims: bool, where: Any, correction: float | None
) -> Node:
    if correction is not None and ddof != 0:
        raise ArgumentError(explain(operation, "ddof and correction say the same thing; give one of them"))
    x = _fractions(operation, a, dtype)
    axes = normalize_axes(operation, x, axis)
    distances = entrywise.square(x - _mean(operation, x, axes, True, where))
    total = structure.sum(masked(operation, distances, where, 0), axis=axes, keepdims=keepdims)
    count = _count(operation, x, axes, keepdims, where) - (ddof if correction is None else correction)
    freedom = entrywise.maximum(count, 0) if isinstance(count, Node) else count if count > 0 else 0
    return in_dtype(total / freedom, x.dtype, operation)


def median(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The entry in the middle of the sorted ones, or the mean of the two there; NaN where there is one.

    >>> import minigrad as mg
    >>> mg.median([3, 1, 2]).item(), mg.median([[4.0, 1.0], [2.0, 3.0]]).item()
    (2.0, 2.5)
    """
    x = floating(strong(a, "median"))
    axes = normalize_axes("median", x, axis)
    count, shape = number_of_entries(x, axes), reduced_shape(x.shape, axes, keepdims)
    if count == 0:
        return full(shape=shape, value=math.nan, dtype=x.dtype)
    rest = tuple([i for i in range(len(x.shape)) if i not in axes])
    rows = reshape(transpose(x, axes=rest + axes), shape=(*[x.shape[i] for i in rest], count))
    middle = table.order_statistic(rows, k=(count - 1) // 2, axis=len(rest))
    if count % 2 == 0:
        middle = (middle + table.order_statistic(rows, k=count // 2, axis=len(rest))) / 2
    return reshape(middle, shape=shape)


# ----------------------------------------------------------------------------------------------------- without NaN


def _with_numbers(operation: str, a: Any, axis: Axes) -> tuple[Node, tuple[int, ...], Node | None]:
    # the array, its axes, and where it holds numbers; None where it can hold nothing else
    x = strong(a, operation)
    return x, normalize_axes(operation, x, axis), ~entrywise.isnan(x) if x.dtype.kind == "f" else None


def nansum(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Node:
    """The sum of the entries that are not NaN.

    >>> import minigrad as mg
    >>> mg.nansum([1.0, mg.nan, 2.0]).item()
    3.0
    """
    x, axes, numbers = _with_numbers("nansum", a, axis)
    return sum(x, axes, dtype, keepdims=keepdims, where=numbers)


def nanprod(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Node:
    """The product of the entries that are not NaN.

    >>> import minigrad as mg
    >>> mg.nanprod([3.0, mg.nan, 2.0]).item()
    6.0
    """
    x, axes, numbers = _with_numbers("nanprod", a, axis)
    return prod(x, axes, dtype, keepdims=keepdims, where=numbers)


def nanmean(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Node:
    """The mean of the entries that are not NaN.

    >>> import minigrad as mg
    >>> mg.nanmean([1.0, mg.nan, 2.0]).item()
    1.5
    """
    x, axes, numbers = _with_numbers("nanmean", a, axis)
    return mean(x, axes, dtype, keepdims=keepdims, where=numbers)


def nanvar(a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Node:
    """The variance of the entries that are not NaN.

    >>> import minigrad as mg
    >>> mg.nanvar([1.0, mg.nan, 3.0]).item()
    1.0
    """
    x, axes, numbers = _with_numbers("nanvar", a, axis)
    return var(x, axes, dtype, ddof=ddof, keepdims=keepdims, where=numbers)


def nanstd(a: Any, axis: Axes = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Node:
    """The standard deviation of the entries that are not NaN.

    >>> import minigrad as mg
    >>> mg.nanstd([1.0, mg.nan, 3.0]).item()
    1.0
    """
    x, axes, numbers = _with_numbers("nanstd", a, axis)
    return std(x, axes, dtype, ddof=ddof, keepdims=keepdims, where=numbers)


def nanmax(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The largest entry that is not NaN; NaN where all are.

    >>> import minigrad as mg
    >>> mg.nanmax([1.0, mg.nan, 2.0]).item()
    2.0
    """
    x, axes, numbers = _with_numbers("nanmax", a, axis)
    if numbers is None:
        return max(x, axes, keepdims=keepdims)
    largest = max(structure.where(numbers, x, -math.inf), axes, keepdims=keepdims)
    return structure.where(any(numbers, axes, keepdims=keepdims), largest, math.nan)


def nanmin(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The smallest entry that is not NaN; NaN where all are.

    >>> import minigrad as mg
    >>> mg.nanmin([1.0, mg.nan, 2.0]).item()
    1.0
    """
    x, axes, numbers = _with_numbers("nanmin", a, axis)
    if numbers is None:
        return min(x, axes, keepdims=keepdims)
    smallest = min(structure.where(numbers, x, math.inf), axes, keepdims=keepdims)
    return structure.where(any(numbers, axes, keepdims=keepdims), smallest, math.nan)
