"""A NumPy index becomes index, gather and reshape nodes.

    x[0], x[1:3], x[..., ::2], x[None]     basic: integers, slices, `...`, `None`
    x[i], x[:, i, j], x[[0, 2, 0]]         integer arrays and nodes; a repeated index adds its cotangents up
    x[mask]                                booleans, which must be constants: they decide the shape of the result
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import IndexingError, ShapeError, explain
from .graph import CONSTANT, Node, as_node
from .primitives.structure import ALL, Cut, gather, index, reshape, stack

__all__ = ["take_index"]


def take_index(x: Node, key: Any) -> Node:
    """`x[key]`, as NumPy has it. Indexing a stack by a constant integer gives the operand itself."""
    parts = _complete(x, list(key) if isinstance(key, tuple) else [key])
    if not parts:
        return x
    if any(isinstance(part, Node) for part in parts):
        return _advanced(x, parts)
    if x.primitive is stack and x.params["axis"] == 0 and isinstance(parts[0], int):
        item = x.inputs[parts[0]]
        if item.dtype == x.dtype and not item.weak:
            return take_index(item, tuple(parts[1:]))
    return _basic(x, parts)


def _complete(x: Node, key: list[Any]) -> list[Any]:
    # every entry an int that is 0 or more, a Cut, None, or an integer node; `...` and booleans written out
    parts: list[Any] = []
    for part in key:
        parts += _converted(x, part)
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexingError(explain("indexing", "an index can have one `...`, this one has more", [x]))
    used = len([part for part in parts if part is not None and part is not Ellipsis])
    if used > len(x.shape):
        raise IndexingError(explain("indexing", f"{used} indices for {len(x.shape)} dimensions", [x]))
    missing = [ALL] * (len(x.shape) - used)
    parts = parts[: dots[0]] + missing + parts[dots[0] + 1 :] if dots else parts
    axis = 0
    for i, part in enumerate(parts):
        if part is None:
            continue
        size = x.shape[axis]
        if isinstance(part, int):
            if not -size <= part < size:
                problem = f"index {part} is out of bounds for axis {axis} with size {size}"
                raise IndexingError(explain("indexing", problem, [x]))
            parts[i] = part % size
        elif isinstance(part, Node) and part.primitive is CONSTANT:
            _check_bounds(x, part, axis)
        axis += 1
    while parts and parts[-1] == ALL and not isinstance(parts[-1], Node):
        parts.pop()
    return parts


def _converted(x: Node, part: Any) -> list[Any]:
    if part is None or part is Ellipsis:
        return [part]
    if isinstance(part, slice):
        try:
            return [Cut(*[None if v is None else v.__index__() for v in (part.start, part.stop, part.step)])]
        except AttributeError:
            problem = f"slice indices are integers or None, got {part}"
            raise IndexingError(explain("indexing", problem, [x], "integers; a slice's bounds are part of the shape")) from None
    if isinstance(part, (bool, np.bool_)):
        return _from_mask(x, np.asarray(part))
    if isinstance(part, (int, np.integer)):
        return [int(part)]
    if isinstance(part, (list, tuple)) and len(part) == 0:
        part = np.zeros(0, dtype=np.int64)
    node = as_node(part)
    if node.dtype.kind == "b":
        if node.primitive is not CONSTANT:
            problem = "a boolean index that is computed has no fixed number of results"
            raise IndexingError(explain("indexing", problem, [x, node], "mg.where(mask, x, 0), or a mask that is an array"))
        return _from_mask(x, np.asarray(node.cached))
    if node.dtype.kind not in "iu":
        problem = f"an index is an integer or boolean, got {node.dtype}"
        raise IndexingError(explain("indexing", problem, [x, node], "index.astype('int64')"))
    if node.primitive is CONSTANT and node.shape == () and not node.name:
        return [int(np.asarray(node.cached))]
    return [node]


def _from_mask(x: Node, mask: np.ndarray[Any, Any]) -> list[Any]:
    if mask.ndim == 0:
        if mask:
            return [None]
        raise IndexingError(explain("indexing", "x[False] selects nothing", [x], "x[None][:0]"))
    if mask.ndim > len(x.shape):
        raise IndexingError(explain("indexing", f"the mask has {mask.ndim} axes, the operand {len(x.shape)}", [x]))
    return [as_node(positions) for positions in np.nonzero(mask)]


def _check_bounds(x: Node, part: Node, axis: int) -> None:
    positions, size = np.asarray(part.cached), x.shape[axis]
    if positions.size and (positions.min() < -size or positions.max() >= size):
        worst = int(positions.max() if positions.max() >= size else positions.min())
        raise IndexingError(explain("indexing", f"index {worst} is out of bounds for axis {axis} with size {size}", [x]))


def _basic(x: Node, parts: list[Any]) -> Node:
    taken = index(x, index=tuple(part for part in parts if part is not None))
    if not any(part is None for part in parts):
        return taken
    return _with_new_axes(taken, parts)


def _with_new_axes(taken: Node, parts: list[Any]) -> Node:
    # `taken` has an axis for every Cut; put length-1 axes where None stands
    sizes, shape = iter(taken.shape), []
    for part in parts:
        if part is None:
            shape.append(1)
        elif not isinstance(part, int):
            shape.append(next(sizes))
    return reshape(taken, shape=(*shape, *sizes))


def _advanced(x: Node, parts: list[Any]) -> Node:
    # None becomes a length-1 axis first; integers count as index arrays, as in NumPy
    sizes, shape = iter(x.shape), []
    for part in parts:
        shape.append(1 if part is None else next(sizes))
    widened = (*shape, *sizes)
    x = x if widened == x.shape else reshape(x, shape=widened)
    indices: list[Node] = []
    pattern: list[Any] = []
    for part in parts:
        if part is None:
            pattern.append(ALL)
        elif isinstance(part, Cut):
            pattern.append(part)
        else:
            indices.append(part if isinstance(part, Node) else as_node(np.asarray(part)))
            pattern.append(str(len(indices)))
    try:
        return gather(x, *indices, pattern=tuple(pattern))
    except ShapeError as error:
        raise IndexingError(str(error)) from None
