"""A NumPy index becomes index, gather and reshape nodes.

    x[0], x[1:3], x[..., ::2], x[None]     basic: integers, slices, `...`, `None`
    x[i], x[:, i, j], x[[0, 2, 0]]         integer arrays and nodes; a repeated index adds its cotangents up
    x[mask]                                booleans, which must be constants: they decide the shape of the result

Every entry of the index is checked against the axis that it is for, as far as its value is known. An index that is
computed is checked by NumPy when it runs.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import DtypeError, IndexingError, ShapeError, explain
from .graph import free_symbols
from .nodes import CONSTANT, Node, as_node
from .primitives.shape_rules import broadcast_shapes
from .primitives.structure import ALL, gather, index, operand, reshape, stack
from .primitives.text import Cut

__all__ = ["take_index"]


class _Switch(NamedTuple):
    """A 0-d boolean in an index: a new axis of which its one entry is taken (True) or nothing (False)."""

    positions: Node


def take_index(x: Node, key: Any, operation: str = "indexing") -> Node:
    """`x[key]`, as NumPy has it. Indexing a stack by a constant integer gives the operand itself.

    `operation` is what errors name. Raises IndexingError for an index that `x` does not have, or that is none.
    """
    return _taken(x, _complete(operation, x, key if isinstance(key, tuple) else (key,)), operation)


def _taken(x: Node, parts: Sequence[Any], operation: str) -> Node:
    while parts and isinstance(parts[-1], Cut) and parts[-1] == ALL:
        parts = parts[:-1]
    if any(isinstance(part, (Node, _Switch)) for part in parts):
        return _advanced(operation, x, parts)
    parts = [part for part in parts if part is not Ellipsis]
    if not parts:
        return x
    item = _item_of_stack(x, parts)
    if item is not None:
        return _taken(*item, operation)
    basic = tuple([part for part in parts if part is not None])
    taken = index(x, index=basic) if any(part != ALL for part in basic) else x
    return _with_new_axes(taken, parts) if len(basic) < len(parts) else taken


# --------------------------------------------------------------------------------------------- reading the index


def _complete(operation: str, x: Node, key: Sequence[Any]) -> list[Any]:
    # one entry for each axis of x, from the first on: an int that is 0 or more, a Cut or an integer node; and between
    # them None, switches, and `...` where it stands for no axis
    converted: list[Any] = [_converted(operation, x, part) for part in key]
    used = sum([part.ndim if isinstance(part, np.ndarray) else _uses_axis(part) for part in converted])
    dots = [i for i, part in enumerate(converted) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexingError(explain(operation, "an index can have one `...`, this one has more", [x]))
    if used > len(x.shape):
        raise IndexingError(explain(operation, f"{used} indices for {len(x.shape)} dimensions", [x]))
    if dots:
        whole: list[Any] = [ALL] * (len(x.shape) - used)
        converted[dots[0] : dots[0] + 1] = whole or [Ellipsis]
    parts: list[Any] = []
    axis, nothing = 0, any(_picks_nothing(part) for part in converted)
    for part in converted:
        if isinstance(part, np.ndarray):
            parts += _positions(operation, x, part, axis)
            axis += part.ndim
        else:
            parts.append(part if nothing and isinstance(part, Node) else _checked(operation, x, part, axis))
            axis += _uses_axis(part)
    return parts


def _picks_nothing(part: Any) -> bool:
    # an empty index array; NumPy does not check other arrays then, since they are broadcast against it
    return not part.any() if isinstance(part, np.ndarray) else isinstance(part, Node) and 0 in part.shape


def _uses_axis(part: Any) -> int:
    return 0 if part is None or part is Ellipsis else 1


def _converted(operation: str, x: Node, part: Any) -> Any:
    # as it is written -> an int, a Cut, None, Ellipsis, an integer node, or an array of booleans
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        cut = Cut(*[_bound(operation, x, value) for value in (part.start, part.stop, part.step)])
        if cut.step == 0:
            raise ShapeError(explain(operation, "the step of a slice is not 0", [x]))
        return cut
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return int(part)
    try:
        node = operand(part, operation)
    except DtypeError as error:
        raise IndexingError(str(error)) from None
    if isinstance(part, (list, tuple)) and 0 in node.shape:
        node = as_node(np.zeros(node.shape, dtype=np.int64))  # to NumPy an empty list is float64, but a fine index
    if node.dtype.kind == "b":
        if node.primitive is not CONSTANT:
            problem = "a boolean index that is computed has no fixed number of results"
            instead = "mg.where(mask, x, 0), or a mask that is an array"
            raise IndexingError(explain(operation, problem, [x, node], instead))
        return np.asarray(node.cached)
    if node.dtype.kind not in "iu":
        problem = f"an index is an integer or boolean, got {node.dtype}"
        raise IndexingError(explain(operation, problem, [x, node], "index.astype('int64')"))
    return int(node.cached) if node.primitive is CONSTANT and node.shape == () else node


def _bound(operation: str, x: Node, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, Node) and free_symbols([value]):
        problem = "a slice has constant bounds, since they decide the shape of the result"
        instead = "x[start + np.arange(length)], where start may be any node"
        raise IndexingError(explain(operation, problem, [x, value], instead))
    try:
        return operator.index(value)
    except TypeError:
        raise IndexingError(explain(operation, f"a slice's bounds are integers or None, got {value!r}", [x])) from None


def _checked(operation: str, x: Node, part: Any, axis: int) -> Any:
    # an index within the bounds of its axis, as far as that is known
    if isinstance(part, int):
        size = x.shape[axis]
        if not -size <= part < size:
            problem = f"index {part} is out of bounds for axis {axis} with size {size}"
            raise IndexingError(explain(operation, problem, [x]))
        return part % size
    if isinstance(part, Node) and part.primitive is CONSTANT and part.cached.size:
        for extreme in (int(part.cached.min()), int(part.cached.max())):
            _checked(operation, x, extreme, axis)
    return part


def _positions(operation: str, x: Node, mask: np.ndarray[Any, Any], axis: int) -> list[Any]:
    # a mask as the positions of its True entries, an index for each of its axes
    if mask.ndim == 0:
        return [_Switch(as_node(np.zeros(int(mask), dtype=np.int64)))]
    meant = x.shape[axis : axis + mask.ndim]
    if mask.shape != meant:
        problem = f"a mask of shape {mask.shape} stands for axes of shape {meant}"
        raise IndexingError(explain(operation, problem, [x], "a mask of the shape of the axes that it is for"))
    return [as_node(positions) for positions in np.nonzero(mask)]


# ----------------------------------------------------------------------------------------------- making the nodes


def _item_of_stack(x: Node, parts: Sequence[Any]) -> tuple[Node, tuple[Any, ...]] | None:
    # the operand of a stack, or of a slice of one, that a constant picks out, and what is left of the index
    for axis, part in enumerate(parts):
        if part is None:
            return None
        if isinstance(part, int):
            source, position = x, part
            while source.primitive is index and source.params["index"][:axis] == (ALL,) * axis:
                cuts = source.params["index"][axis:]
                if len(cuts) != 1 or not isinstance(cuts[0], Cut):
                    break
                source = source.inputs[0]
                position = range(source.shape[axis])[slice(*cuts[0])][position]
            if source.primitive is stack and source.params["axis"] == axis:
                item = source.inputs[position]
                same = item.dtype == x.dtype and not item.weak
                return (item, (*parts[:axis], *parts[axis + 1 :])) if same else None
    return None


def _with_new_axes(taken: Node, parts: Sequence[Any]) -> Node:
    # `taken` has an axis for every Cut; put length-1 axes where None stands
    sizes = iter(taken.shape)
    shape = [1 if part is None else next(sizes) for part in parts if not isinstance(part, int)]
    return reshape(taken, shape=(*shape, *sizes))


def _advanced(operation: str, x: Node, parts: Sequence[Any]) -> Node:
    # None and switches become axes of length 1 first. Integers count as index arrays, as in NumPy, and `...` between
    # two of them sets them apart, even where it stands for no axis.
    sizes = iter(x.shape)
    picked = [i for i, part in enumerate(parts) if isinstance(part, (int, Node, _Switch))]
    parts = [part for i, part in enumerate(parts) if part is not Ellipsis or picked[0] < i < picked[-1]]
    single = [part is None or isinstance(part, _Switch) for part in parts if part is not Ellipsis]
    widened = [1 if is_new else next(sizes) for is_new in single] + list(sizes)
    x = x if len(widened) == len(x.shape) else reshape(x, shape=tuple(widened))
    indices: list[Node] = []
    pattern: list[Any] = []
    for part in parts:
        if isinstance(part, (Node, _Switch)):
            indices.append(part.positions if isinstance(part, _Switch) else part)
            pattern.append(str(len(indices)))
        else:
            pattern.append(ALL if part is None else part)
    if Ellipsis in pattern:  # is to stand for no axis
        pattern += [ALL] * (len(widened) - len(single))
    try:
        broadcast_shapes(operation, indices)
    except ShapeError as error:
        raise IndexingError(str(error)) from None
    return gather(x, *indices, pattern=tuple(pattern))
