"""NumPy's reductions: over all axes, one, or several, with `keepdims`, and running ones along one axis.

    sum prod count_nonzero     max min ptp argmax argmin     all any
    logsumexp softmax log_softmax                            cumsum cumprod cumulative_sum cumulative_prod

Means and spreads stand in `statistics.py`. `dtype` is what is computed in: the entries are cast before they are
reduced. `where` is a boolean mask of the entries that count; `initial` is one more entry in front.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import DtypeError, ShapeError, explain
from ..nodes import Node, Primitive
from ..primitives import reductions as table
from ..primitives import structure
from ..primitives.shape_rules import normalize_axes, normalize_axis, reduced_shape
from ..primitives.structure import broadcast_to, full, join, operand, reshape, strong
from .arguments import floating, in_dtype

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "cumulative_prod",
    "cumulative_sum", "log_softmax", "logsumexp", "max", "min", "prod", "ptp", "softmax", "sum",
]  # fmt: skip

Axes = int | tuple[int, ...] | None

# ------------------------------------------------------------------------------------------------- sums and products


def sum(
    a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Node:
    """The sum over the axes. Integers add up in 64 bits.

    >>> import minigrad as mg
    >>> x = mg.constant([[1, 2, 3], [4, 5, 6]])
    >>> mg.sum(x).item(), mg.sum(x, axis=1, keepdims=True).tolist()
    (21, [[6], [15]])
    """
    x = masked("sum", in_dtype(strong(a, "sum"), dtype, "sum"), where, 0)
    y = structure.sum(x, axis=normalize_axes("sum", x, axis), keepdims=keepdims)
    y = in_dtype(y, dtype, "sum")
    return y if initial is None else operand(initial, "sum") + y


def prod(
    a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Node:
    """The product over the axes. Its gradient is exact where factors are zero.

    >>> import minigrad as mg
    >>> mg.prod([[1, 2, 3], [4, 5, 6]], axis=0).tolist()
    [4, 10, 18]
    """
    x = masked("prod", in_dtype(strong(a, "prod"), dtype, "prod"), where, 1)
    y = table.prod(x, axis=normalize_axes("prod", x, axis), keepdims=keepdims)
    y = in_dtype(y, dtype, "prod")
    return y if initial is None else operand(initial, "prod") * y


def number_of_entries(x: Node, axes: tuple[int, ...]) -> int:
    """How many entries of `x` are reduced to one."""
    return math.prod([x.shape[i] for i in axes])


def masked(operation: str, x: Node, where: Any, neutral: float) -> Node:
    """`x` with what the mask leaves out replaced by what changes nothing."""
    return x if where is None else structure.where(mask_of(operation, x, where), x, neutral)


def mask_of(operation: str, x: Node, where: Any) -> Node:
    """A boolean mask in the shape of `x`."""
    mask = operand(where, operation)
    if mask.dtype.kind != "b":
        raise DtypeError(explain(operation, f"where is a boolean mask, got {mask.dtype}", [x, mask], "mask != 0"))
    return broadcast_to(mask, shape=x.shape)


def count_nonzero(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """How many entries are not zero.

    >>> import minigrad as mg
    >>> mg.count_nonzero([[0, 1, 7], [0, 0, 2]], axis=1).tolist()
    [2, 1]
    """
    x = strong(a, "count_nonzero")
    return structure.sum(x != 0, axis=normalize_axes("count_nonzero", x, axis), keepdims=keepdims)


# ------------------------------------------------------------------------------------------------ extremes and order


def max(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The largest entry; NaN where there is one. Entries that share it share the gradient.

    Raises ShapeError where there is no entry.

    >>> import minigrad as mg
    >>> mg.max([[1, 5], [7, 2]], axis=1).tolist()
    [5, 7]
    """
    x, axes = _some("max", a, axis)
    return table.max(x, axis=axes, keepdims=keepdims)


def min(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The smallest entry; NaN where there is one. Entries that share it share the gradient.

    Raises ShapeError where there is no entry.

    >>> import minigrad as mg
    >>> mg.min([[1, 5], [7, 2]], axis=1).tolist()
    [1, 2]
    """
    x, axes = _some("min", a, axis)
    return table.min(x, axis=axes, keepdims=keepdims)


amax, amin = max, min


def _some(operation: str, a: Any, axis: Any) -> tuple[Node, tuple[int, ...]]:
    # the array, and the axes to reduce, along which there must be something
    x = strong(a, operation)
    axes = normalize_axes(operation, x, axis)
    if number_of_entries(x, axes) == 0:
        problem = f"shape {x.shape} has no entries along axis {axes}, so there is none to choose"
        raise ShapeError(explain(operation, problem, [x]))
    return x, axes


def ptp(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """The range, "peak to peak": the largest entry minus the smallest.

    >>> import minigrad as mg
    >>> mg.ptp([[1, 5], [7, 2]], axis=1).tolist()
    [4, 5]
    """
    x, axes = _some("ptp", a, axis)
    return table.max(x, axis=axes, keepdims=keepdims) - table.min(x, axis=axes, keepdims=keepdims)


def argmax(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Node:
    """The position of the largest entry along an axis, of the first where there are several.

    >>> import minigrad as mg
    >>> mg.argmax([[1, 5], [7, 2]], axis=1).tolist(), mg.argmax([[1, 5], [7, 2]]).item()
    ([1, 0], 2)
    """
    return _position("argmax", table.argmax, a, axis, keepdims)


def argmin(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Node:
    """The position of the smallest entry along an axis, of the first where there are several.

    >>> import minigrad as mg
    >>> mg.argmin([[1, 5], [7, 2]], axis=1).tolist(), mg.argmin([[1, 5], [7, 2]]).item()
    ([0, 1], 0)
    """
    return _position("argmin", table.argmin, a, axis, keepdims)


def _position(operation: str, primitive: Primitive, a: Any, axis: int | None, keepdims: bool) -> Node:
    x, axes = _some(operation, a, None if axis is None else normalize_axis(operation, strong(a, operation), axis))
    line = x if axis is not None else reshape(x, shape=(number_of_entries(x, axes),))
    found = primitive(line, axis=0 if axis is None else axes[0])
    return reshape(found, shape=reduced_shape(x.shape, axes, True)) if keepdims else found


# ------------------------------------------------------------------------------------------------------------- truth


def all(a: Any, axis: Axes = None, *, keepdims: bool = False, where: Any = None) -> Node:
    """Whether all entries are true (not zero); of none, True.

    >>> import minigrad as mg
    >>> mg.all([[1, 0], [2, 3]], axis=1).tolist()
    [False, True]
    """
    x = masked("all", strong(a, "all"), where, 1)
    return table.all_(x, axis=normalize_axes("all", x, axis), keepdims=keepdims)


def any(a: Any, axis: Axes = None, *, keepdims: bool = False, where: Any = None) -> Node:
    """Whether at least one entry is true (not zero); of none, False.

    >>> import minigrad as mg
    >>> mg.any([[0, 0], [2, 3]], axis=1).tolist()
    [False, True]
    """
    x = masked("any", strong(a, "any"), where, 0)
    return table.any_(x, axis=normalize_axes("any", x, axis), keepdims=keepdims)


# ------------------------------------------------------------------------------------------------------- soft maxima


def logsumexp(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """log(sum(exp(a))), without overflow: a smooth maximum, whose gradient is softmax. -inf where all are -inf.

    >>> import minigrad as mg
    >>> mg.logsumexp([1000.0, 1000.0]).item()
    1000.693
    """
    x, axes = _some("logsumexp", a, axis)
    y = table.logsumexp(floating(x), axis=axes)
    return y if keepdims else reshape(y, shape=reduced_shape(x.shape, axes, False))


def softmax(x: Any, axis: Axes = -1) -> Node:
    """exp(x) / sum(exp(x)) along the axis, without overflow; 0 where all are -inf, as in a fully masked row.

    >>> import minigrad as mg
    >>> mg.softmax([1000.0, 1000.0]).tolist(), mg.softmax([-mg.inf, -mg.inf]).tolist()
    ([0.5, 0.5], [0.0, 0.0])
    """
    return _soft("softmax", table.softmax, x, axis)


def log_softmax(x: Any, axis: Axes = -1) -> Node:
    """log(softmax(x)) along the axis, precise where softmax rounds to 0 or 1.

    >>> import minigrad as mg
    >>> mg.log_softmax([1000.0, 0.0]).tolist()
    [0.0, -1000.0]
    """
    return _soft("log_softmax", table.log_softmax, x, axis)


def _soft(operation: str, primitive: Primitive, a: Any, axis: Axes) -> Node:
    x = floating(strong(a, operation))
    axes = normalize_axes(operation, x, axis)
    return primitive(x, axis=axes) if number_of_entries(x, axes) else x


# ------------------------------------------------------------------------------------------------------ running ones


def cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Node:
    """The sum of all entries up to each one, along an axis; without one, of all entries in a row.

    >>> import minigrad as mg
    >>> mg.cumsum([[1, 2], [3, 4]]).tolist(), mg.cumsum([[1, 2], [3, 4]], axis=0).tolist()
    ([1, 3, 6, 10], [[1, 2], [4, 6]])
    """
    x, along = _line("cumsum", a, axis, dtype)
    return in_dtype(structure.cumsum(x, axis=along, reverse=False), dtype, "cumsum")


def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Node:
    """The product of all entries up to each one, along an axis; without one, of all entries in a row.

    >>> import minigrad as mg
    >>> mg.cumprod([1, 2, 3, 4]).tolist()
    [1, 2, 6, 24]
    """
    x, along = _line("cumprod", a, axis, dtype)
    return in_dtype(table.cumprod(x, axis=along), dtype, "cumprod")


def _line(operation: str, a: Any, axis: int | None, dtype: Any) -> tuple[Node, int]:
    x = in_dtype(strong(a, operation), dtype, operation)
    if axis is None:
        return reshape(x, shape=(number_of_entries(x, tuple(range(len(x.shape)))),)), 0
    return x, normalize_axis(operation, x, axis)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Node:
    """`cumsum` as the array API standard has it: with `include_initial`, it starts from 0.

    >>> import minigrad as mg
    >>> mg.cumulative_sum([1, 2, 3], include_initial=True).tolist()
    [0, 1, 3, 6]
    """
    along = _only_axis("cumulative_sum", x, axis)
    return _from_first(cumsum(x, along, dtype), along, 0.0, include_initial)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Node:
    """`cumprod` as the array API standard has it: with `include_initial`, it starts from 1.

    >>> import minigrad as mg
    >>> mg.cumulative_prod([2, 3], include_initial=True).tolist()
    [1, 2, 6]
    """
    along = _only_axis("cumulative_prod", x, axis)
    return _from_first(cumprod(x, along, dtype), along, 1.0, include_initial)


def _only_axis(operation: str, x: Any, axis: int | None) -> int:
    node = operand(x, operation)
    if axis is None and len(node.shape) != 1:
        raise ShapeError(explain(operation, f"axis= is needed where there are {len(node.shape)} axes", [node]))
    return normalize_axis(operation, node, 0 if axis is None else axis)


def _from_first(y: Node, axis: int, first: float, included: bool) -> Node:
    # the running result, with what it starts from in front if that is wanted
    if not included:
        return y
    front = full(shape=(*y.shape[:axis], 1, *y.shape[axis + 1 :]), value=first, dtype=y.dtype)
    return join(front, y, axis=axis)
