"""The same entries in other places, more often, or in order, under NumPy's names.

    tile repeat roll flip rot90 pad       repeated, moved, turned, surrounded
    take take_along_axis delete           chosen by index
    sort argsort diff                     by size, and by difference
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, IndexingError, ShapeError, explain
from ..indexing import take_index
from ..nodes import Node
from ..primitives import elementwise, reductions, structure
from ..primitives.shape_rules import normalize_axes, normalize_axis
from ..primitives.structure import ALL, strong
from ..primitives.text import Cut
from .manipulation import ravel, transpose, with_axes

__all__ = [
    "argsort", "delete", "diff", "flip", "fliplr", "flipud", "pad", "repeat", "roll", "rot90", "sort", "take",
    "take_along_axis", "tile",
]  # fmt: skip


def _line(operation: str, array: Any, axis: int | None) -> tuple[Node, int]:
    # an array and its axis; without one, all entries in one row
    x = strong(array, operation)
    return (ravel(x), 0) if axis is None else (x, normalize_axis(operation, x, axis))


def _along(x: Node, axis: int, part: Any, operation: str = "indexing") -> Node:
    # x[:, :, part], with `part` at `axis`
    return take_index(x, (*[slice(None)] * axis, part), operation)


# ------------------------------------------------------------------------------------------ repeated, moved, turned


def tile(A: Any, reps: int | Sequence[int]) -> Node:  # noqa: N803
    """The array laid side by side, so many times along each axis.

    >>> import minigrad as mg
    >>> mg.tile([1, 2], 2).tolist(), mg.tile([1, 2], (2, 1)).tolist()
    ([1, 2, 1, 2], [[1, 2], [1, 2]])
    """
    x = strong(A, "tile")
    times = [_count("tile", n) for n in (reps if isinstance(reps, Iterable) else (reps,))]
    ndim = max(len(x.shape), len(times))
    sizes = [1] * (ndim - len(x.shape)) + list(x.shape)
    times = [1] * (ndim - len(times)) + times
    # between the axes one of length 1 each, which is made as long as wanted
    apart = structure.reshape(x, shape=tuple(n for size in sizes for n in (1, size)))
    wide = structure.broadcast_to(apart, shape=tuple(n for pair in zip(times, sizes, strict=True) for n in pair))
    return structure.reshape(wide, shape=tuple(k * n for k, n in zip(times, sizes, strict=True)))


def repeat(a: Any, repeats: int | Sequence[int], axis: int | None = None) -> Node:
    """Each entry along an axis so many times in a row; `repeats` is one number, or one for each entry.

    >>> import minigrad as mg
    >>> mg.repeat([1, 2], 2).tolist(), mg.repeat([1, 2], [0, 3]).tolist()
    ([1, 1, 2, 2], [2, 2, 2])
    """
    x, along = _line("repeat", a, axis)
    counts = [_count("repeat", n) for n in np.ravel(np.asarray(repeats))]
    before, size, after = x.shape[:along], x.shape[along], x.shape[along + 1 :]
    if len(counts) == 1:
        wide = structure.broadcast_to(structure.reshape(x, shape=(*before, size, 1, *after)),
                                      shape=(*before, size, counts[0], *after))  # fmt: skip
        return structure.reshape(wide, shape=(*before, size * counts[0], *after))
    if len(counts) != size:
        raise ShapeError(explain("repeat", f"{len(counts)} repeats for {size} entries along axis {along}", [x]))
    return _along(x, along, np.repeat(np.arange(size), counts))


def _count(operation: str, value: Any) -> int:
    # how often: a whole number that is known now, since it decides the shape
    try:
        count = operator.index(value)
    except TypeError:
        raise DtypeError(explain(operation, f"how often must be a whole number, got {value!r}")) from None
    if count < 0:
        raise ShapeError(explain(operation, f"how often must be 0 or more, got {count}"))
    return count


def roll(a: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Node:
    """Entries moved along an axis; those that leave at one end come in at the other.

    >>> import minigrad as mg
    >>> mg.roll([1, 2, 3, 4], 1).tolist()
    [4, 1, 2, 3]
    """
    x = strong(a, "roll")
    if axis is None:
        return structure.reshape(roll(ravel(x), shift, 0), shape=x.shape)
    shifts, axes = np.broadcast_arrays(np.asarray(shift), np.asarray(axis))
    if shifts.ndim > 1:
        raise ShapeError(explain("roll", "shift and axis are numbers or sequences of numbers", [x]))
    for places, along in zip(shifts.flat, axes.flat, strict=True):
        along = normalize_axis("roll", x, along)
        size = x.shape[along]
        first = size - operator.index(places) % size if size else 0
        if first < size:
            x = structure.join(_along(x, along, slice(first, None)), _along(x, along, slice(first)), axis=along)
    return x


def flip(m: Any, axis: int | Sequence[int] | None = None) -> Node:
    """Entries in reverse order along an axis, several, or all.

    >>> import minigrad as mg
    >>> mg.flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    x = strong(m, "flip")
    turned = normalize_axes("flip", x, axis)
    return structure.index(x, index=tuple(Cut(None, None, -1) if i in turned else ALL for i in range(len(x.shape))))


def fliplr(m: Any) -> Node:
    """Columns in reverse order.

    >>> import minigrad as mg
    >>> mg.fliplr([[1, 2], [3, 4]]).tolist()
    [[2, 1], [4, 3]]
    """
    return flip(with_axes("fliplr", m, 2), 1)


def flipud(m: Any) -> Node:
    """Rows in reverse order.

    >>> import minigrad as mg
    >>> mg.flipud([[1, 2], [3, 4]]).tolist()
    [[3, 4], [1, 2]]
    """
    return flip(with_axes("flipud", m, 1), 0)


def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Node:
    """Turned `k` times by a quarter, in the plane of two axes, from the first towards the second.

    >>> import minigrad as mg
    >>> mg.rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    x = with_axes("rot90", m, 2)
    if len(axes) != 2:
        raise ShapeError(explain("rot90", f"a plane has two axes, got {tuple(axes)}", [x]))
    normalize_axes("rot90", x, tuple(axes))
    first, second = (normalize_axis("rot90", x, axis) for axis in axes)
    turns = operator.index(k) % 4
    if turns in (0, 2):
        return flip(x, (first, second)) if turns else x
    order = list(range(len(x.shape)))
    order[first], order[second] = second, first
    return flip(transpose(x, order), first) if turns == 1 else transpose(flip(x, first), order)


# --------------------------------------------------------------------------------------------------- surrounded

_BY_POSITION = ("edge", "reflect", "symmetric", "wrap")


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Node:
    """The array with entries put around it: `pad_width` before and after each axis.

    `mode` is "constant" (of `constant_values`, one number, or one for each side), "edge", "reflect", "symmetric" or
    "wrap".

    >>> import minigrad as mg
    >>> mg.pad([1, 2, 3], (1, 2)).tolist(), mg.pad([1, 2, 3], 2, mode="reflect").tolist()
    ([0, 1, 2, 3, 0, 0], [3, 2, 1, 2, 3, 2, 1])
    """
    x = strong(array, "pad")
    widths = _sides("pad", "pad_width", x, pad_width)
    if any(operator.index(n) < 0 for side in widths for n in side):
        raise ShapeError(explain("pad", f"widths must be 0 or more, got {pad_width}", [x]))
    if mode == "constant":
        values = _sides("pad", "constant_values", x, constant_values)
        return _padded_with_constants(x, widths, values)
    if mode not in _BY_POSITION:
        problem = f"mode {mode!r} is not supported; there are 'constant', {', '.join(map(repr, _BY_POSITION))}"
        raise ArgumentError(explain("pad", problem, [x], "mg.concatenate with the entries to be put there"))
    for axis, (before, after) in enumerate(widths):
        if before or after:
            if x.shape[axis] == 0:
                raise ShapeError(explain("pad", f"axis {axis} is empty: mode {mode!r} has nothing to repeat", [x]))
            positions = np.pad(np.arange(x.shape[axis]), (before, after), mode=mode)  # type: ignore[call-overload]
            x = _along(x, axis, positions)
    return x


def _sides(operation: str, what: str, x: Node, value: Any) -> list[tuple[Any, Any]]:
    # (before, after) for each axis, from one number, one pair, or pairs; {axis: pair} leaves the other axes alone
    if isinstance(value, dict):
        pairs = [(0, 0)] * len(x.shape)
        for axis, pair in value.items():
            pairs[normalize_axis(operation, x, axis)] = _sides(operation, what, x, pair)[0]
        return pairs
    try:
        return [tuple(pair) for pair in np.broadcast_to(np.asarray(value), (len(x.shape), 2)).tolist()]
    except ValueError:
        problem = f"{what} {value!r} is neither one number, nor a pair, nor a pair for each of {len(x.shape)} axes"
        raise ShapeError(explain(operation, problem, [x])) from None


def _padded_with_constants(x: Node, widths: Sequence[tuple[int, int]], values: Sequence[tuple[Any, Any]]) -> Node:
    if all(value == 0 for side in values for value in side):
        inner = tuple(Cut(before, before + n, None) for (before, after), n in zip(widths, x.shape, strict=True))
        outer = tuple(before + n + after for (before, after), n in zip(widths, x.shape, strict=True))
        return structure.place(x, shape=outer, index=inner) if outer != x.shape else x
    for axis, (width, value) in enumerate(zip(widths, values, strict=True)):
        shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in width]
        before, after = (structure.full(shape=shape, value=x.dtype.type(v).item(), dtype=x.dtype)
                         for shape, v in zip(shapes, value, strict=True))  # fmt: skip
        x = structure.join(before, x, after, axis=axis)
    return x


# ---------------------------------------------------------------------------------------------- chosen by index


def take(a: Any, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Node:
    """The entries at `indices` along an axis; with `axis=None`, of all entries in one row.

    An index out of bounds is an error, or with `mode="wrap"` starts again, or with `mode="clip"` means the nearest.

    >>> import minigrad as mg
    >>> mg.take([10, 20, 30], [[2, 0], [0, 0]]).tolist()
    [[30, 10], [10, 10]]
    """
    x, along = _line("take", a, axis)
    positions = strong(_whole_numbers(indices), "take")
    if positions.dtype.kind not in "iu":
        problem = f"indices are integers, got {positions.dtype}"
        raise DtypeError(explain("take", problem, [x, positions], "x[mask], or indices.astype('int64')"))
    if mode == "wrap":
        positions = elementwise.remainder(positions, x.shape[along])
    elif mode == "clip":
        positions = elementwise.clip(positions, 0, x.shape[along] - 1)
    elif mode != "raise":
        raise ArgumentError(explain("take", f"mode is 'raise', 'wrap' or 'clip', got {mode!r}"))
    return _along(x, along, positions, "take")


def _whole_numbers(indices: Any) -> Any:
    # an empty list is float64 to NumPy, but a fine list of indices
    empty = isinstance(indices, (list, tuple)) and np.size(indices) == 0
    return np.zeros(np.shape(indices), np.int64) if empty else indices


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Node:
    """The entries at `indices` along an axis, every line with indices of its own: what `argsort` gives, say.

    >>> import minigrad as mg
    >>> mg.take_along_axis([[10, 20], [30, 40]], [[1], [0]], axis=1).tolist()
    [[20], [30]]
    """
    x, along = _line("take_along_axis", arr, axis)
    positions = strong(indices, "take_along_axis")
    if len(positions.shape) != len(x.shape):
        problem = f"the array has {len(x.shape)} axes, the indices have {len(positions.shape)}"
        raise ShapeError(explain("take_along_axis", problem, [x, positions]))
    if positions.dtype.kind not in "iu":
        raise IndexingError(explain("take_along_axis", f"indices are integers, got {positions.dtype}", [x, positions]))
    grid: list[Any] = list(np.ogrid[tuple(map(slice, x.shape))])
    grid[along] = positions
    return take_index(x, tuple(grid), "take_along_axis")


def delete(arr: Any, obj: Any, axis: int | None = None) -> Node:
    """The array without the entries at `obj`: an index, several, a slice or a mask, all constant.

    >>> import minigrad as mg
    >>> mg.delete([10, 20, 30], 1).tolist()
    [10, 30]
    """
    x, along = _line("delete", arr, axis)
    try:
        kept = np.delete(np.arange(x.shape[along]), np.asarray(obj) if isinstance(obj, Node) else obj)
    except (IndexError, ValueError) as error:
        raise IndexingError(explain("delete", str(error), [x])) from None
    return _along(x, along, kept)


# ---------------------------------------------------------------------------------------- by size and by difference


def argsort(a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None) -> Node:
    """The positions that the entries along an axis have in order, smallest first, NaN last.

    Every `kind` is answered by a stable sort: of equal entries the first stays first.

    >>> import minigrad as mg
    >>> mg.argsort([30, 10, 20]).tolist()
    [1, 2, 0]
    """
    x, along = _line("argsort", a, axis)
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ArgumentError(explain("argsort", f"kind {kind!r} is not known; leave it out, all sorts here are stable"))
    return reductions.argsort(x, axis=along)


def sort(a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None) -> Node:
    """The entries along an axis in order, smallest first, NaN last. The gradient follows the permutation.

    >>> import minigrad as mg
    >>> mg.sort([[3, 1, 2]]).tolist()
    [[1, 2, 3]]
    """
    x, along = _line("sort", a, axis)
    return take_along_axis(x, argsort(x, along, kind, stable=stable), along)


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Node:
    """The differences of neighbours along an axis, `n` times; `prepend` and `append` are put at the ends before.

    >>> import minigrad as mg
    >>> mg.diff([1, 4, 9, 16]).tolist(), mg.diff([1, 4, 9, 16], n=2).tolist()
    ([3, 5, 7], [2, 2])
    """
    x = strong(a, "diff")
    along, times = normalize_axis("diff", x, axis), operator.index(n)
    if times < 0:
        raise ArgumentError(explain("diff", f"the order must be 0 or more, got {times}", [x]))
    if times == 0:
        return x
    line = (*x.shape[:along], 1, *x.shape[along + 1 :])
    ends = [None if e is None else strong(e, "diff") for e in (prepend, append)]
    ends = [structure.broadcast_to(e, shape=line) if e is not None and not e.shape else e for e in ends]
    parts = [part for part in (ends[0], x, ends[1]) if part is not None]
    structure.joined_shape("diff", parts, along)
    x = structure.join(*parts, axis=along) if len(parts) > 1 else x
    minus: Callable[..., Node] = elementwise.not_equal if x.dtype.kind == "b" else elementwise.subtract
    for _ in range(times):
        x = minus(_along(x, along, slice(1, None)), _along(x, along, slice(None, -1)))
    return x
