"""Arrays from nothing, or from what is no array yet: nodes.

    zeros ones full empty and their _like   eye identity tri   arange linspace meshgrid   one_hot   array asarray

Shapes and ranges are fixed when the node is made; fill values and the ends of a `linspace` may be nodes, and have
gradients.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, IndexingError, ShapeError, explain
from ..nodes import CONSTANT, Node, constant, contains_node
from ..primitives import structure
from ..primitives.elementwise import floor
from ..primitives.shape_rules import normalize_axis
from ..primitives.structure import broadcast_to, cast, operand, reshape, strong
from .arguments import floating, in_dtype, known_dtype

__all__ = [
    "arange", "array", "asarray", "empty", "empty_like", "eye", "full", "full_like", "identity", "linspace",
    "meshgrid", "one_hot", "ones", "ones_like", "tri", "zeros", "zeros_like",
]  # fmt: skip

Shape = int | Sequence[int]

# --------------------------------------------------------------------------------------------------- of one value


def zeros(shape: Shape, dtype: Any = None) -> Node:
    """All zeros; float64 unless said.

    >>> import minigrad as mg
    >>> mg.zeros((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _filled("zeros", shape, 0, dtype)


def ones(shape: Shape, dtype: Any = None) -> Node:
    """All ones; float64 unless said.

    >>> import minigrad as mg
    >>> mg.ones(3, dtype="int32").tolist()
    [1, 1, 1]
    """
    return _filled("ones", shape, 1, dtype)


def empty(shape: Shape, dtype: Any = None) -> Node:
    """An array whose entries do not matter. They are zeros, so that equal programs give equal results.

    >>> import minigrad as mg
    >>> mg.empty((2, 0)).shape
    (2, 0)
    """
    return _filled("empty", shape, 0, dtype)


def full(shape: Shape, fill_value: Any, dtype: Any = None) -> Node:
    """One value everywhere, or an array that broadcasts to the shape; nodes keep their gradient.

    >>> import minigrad as mg
    >>> mg.full((2, 2), mg.constant([1.0, 2.0])).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    value = in_dtype(strong(fill_value, "full"), dtype, "full")
    if isinstance(fill_value, (bool, int, float)):
        return structure.full(shape=_sizes("full", shape), value=_plain(fill_value, value.dtype), dtype=value.dtype)
    return broadcast_to(value, shape=_sizes("full", shape))


def _filled(operation: str, shape: Shape, value: int, dtype: Any) -> Node:
    kind = np.dtype(np.float64) if dtype is None else known_dtype(operation, dtype)
    return structure.full(shape=_sizes(operation, shape), value=_plain(value, kind), dtype=kind)


def _plain(value: Any, dtype: np.dtype[Any]) -> Any:
    # a Python number as the dtype has it
    return dtype.type(value).item()


def _sizes(operation: str, shape: Any) -> tuple[int, ...]:
    try:
        sizes = (operator.index(shape),) if np.ndim(shape) == 0 else tuple(map(operator.index, shape))
    except TypeError:
        raise ShapeError(explain(operation, f"{shape!r} is no shape: sizes are whole numbers")) from None
    if any(n < 0 for n in sizes):
        raise ShapeError(explain(operation, f"{shape!r} is no shape: sizes are 0 or more"))
    return sizes


def zeros_like(a: Any, dtype: Any = None, *, shape: Shape | None = None) -> Node:
    """All zeros, in the shape and dtype of `a` unless said.

    >>> import minigrad as mg
    >>> mg.zeros_like([1, 2]).tolist()
    [0, 0]
    """
    return _filled("zeros_like", *_like("zeros_like", a, 0, dtype, shape))


def ones_like(a: Any, dtype: Any = None, *, shape: Shape | None = None) -> Node:
    """All ones, in the shape and dtype of `a` unless said.

    >>> import minigrad as mg
    >>> mg.ones_like([1.0, 2.0]).tolist()
    [1.0, 1.0]
    """
    return _filled("ones_like", *_like("ones_like", a, 1, dtype, shape))


def empty_like(prototype: Any, /, dtype: Any = None, *, shape: Shape | None = None) -> Node:
    """An array whose entries do not matter (zeros), in the shape and dtype of `prototype` unless said.

    >>> import minigrad as mg
    >>> mg.empty_like([1.0, 2.0]).shape
    (2,)
    """
    return _filled("empty_like", *_like("empty_like", prototype, 0, dtype, shape))


def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Shape | None = None) -> Node:
    """One value everywhere (or what broadcasts), in the shape and dtype of `a` unless said.

    >>> import minigrad as mg
    >>> mg.full_like([1.0, 2.0], 7).tolist()
    [7.0, 7.0]
    """
    sizes, _, kind = _like("full_like", a, 0, dtype, shape)
    return full(sizes, fill_value, kind)


def _like(operation: str, a: Any, value: int, dtype: Any, shape: Shape | None) -> tuple[Shape, int, Any]:
    node = operand(a, operation)
    return node.shape if shape is None else shape, value, node.dtype if dtype is None else dtype


# ------------------------------------------------------------------------------------------------------- patterns


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Node:  # noqa: N803
    """Ones on the k-th diagonal of an N by M matrix (M is N unless said), zeros elsewhere.

    >>> import minigrad as mg
    >>> mg.eye(2, 3, k=1).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows, columns = _sizes("eye", (N, N if M is None else M))
    return _leaf(np.eye(rows, columns, operator.index(k), dtype=known_dtype("eye", dtype)))


def identity(n: int, dtype: Any = None) -> Node:
    """The identity matrix: ones on the diagonal.

    >>> import minigrad as mg
    >>> mg.identity(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(n, dtype=float if dtype is None else dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Node:  # noqa: N803
    """Ones on and below the k-th diagonal, zeros above.

    >>> import minigrad as mg
    >>> mg.tri(2, 3).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    rows, columns = _sizes("tri", (N, N if M is None else M))
    return _leaf(np.tri(rows, columns, operator.index(k), dtype=known_dtype("tri", dtype)))


def one_hot(labels: Any, num_classes: int, *, dtype: Any = float, axis: int = -1) -> Node:
    """Ones at the labels, zeros elsewhere, along a new axis of length `num_classes`.

    Raises IndexingError for a constant label that is no class; a computed one that is none gives zeros.

    >>> import minigrad as mg
    >>> mg.one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    x = strong(labels, "one_hot")
    if x.dtype.kind not in "iu":
        raise IndexingError(explain("one_hot", f"labels are integers, got {x.dtype}", [x], "labels.astype('int64')"))
    (count,) = _sizes("one_hot", num_classes)
    if x.primitive is CONSTANT and np.any((x.cached < 0) | (x.cached >= count)):
        raise IndexingError(explain("one_hot", f"labels must be from 0 to {count - 1}", [x]))
    place = normalize_axis("one_hot", x, axis, len(x.shape) + 1)
    column = reshape(x, shape=(*x.shape[:place], 1, *x.shape[place:]))
    classes = np.arange(count, dtype=x.dtype).reshape((count,) + (1,) * (len(x.shape) - place))
    return cast(column == classes, dtype=known_dtype("one_hot", dtype))


# --------------------------------------------------------------------------------------------------------- ranges


def arange(start_or_stop: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None) -> Node:
    """Numbers from start up to but not including stop: `arange(stop)` from 0, `arange(start, stop, step=1)`.

    >>> import minigrad as mg
    >>> mg.arange(3).tolist(), mg.arange(1, 2, 0.25).tolist()
    ([0, 1, 2], [1.0, 1.25, 1.5, 1.75])
    """
    ends: list[Any] = [None if end is None else _number("arange", end) for end in (start_or_stop, stop, step)]
    numbers = np.arange(*ends)
    return _leaf(numbers if dtype is None else np.arange(*ends, dtype=known_dtype("arange", dtype)))


def _number(operation: str, value: Any) -> Any:
    # the value of an argument that decides a shape
    node = operand(value, operation)
    if node.shape != ():
        raise ShapeError(explain(operation, f"start, stop and step are numbers, got shape {node.shape}", [node]))
    return node.item()


def _leaf(array: np.ndarray[Any, Any]) -> Node:
    node: Node = constant(array)
    return node


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, dtype: Any = None, axis: int = 0
) -> Node:  # fmt: skip
    """`num` evenly spaced numbers from `start` to `stop`, both included unless `endpoint` is false.

    `start` and `stop` may be arrays: `axis` is then where the new axis stands. They may be nodes.

    >>> import minigrad as mg
    >>> mg.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    (count,) = _sizes("linspace", num)
    first, last = floating(strong(start, "linspace")), floating(strong(stop, "linspace"))
    width = last - first
    wanted = width.dtype if dtype is None else known_dtype("linspace", dtype)
    if not contains_node((start, stop)):
        return _leaf(np.linspace(start, stop, count, endpoint, dtype=wanted, axis=axis))
    place = normalize_axis("linspace", width, axis, len(width.shape) + 1)
    number = np.arange(count, dtype=width.dtype).reshape((count,) + (1,) * (len(width.shape) - place))
    before = (*width.shape[:place], 1, *width.shape[place:])
    first, last, width = (reshape(broadcast_to(x, shape=width.shape), shape=before) for x in (first, last, width))
    gaps = count - 1 if endpoint else count
    y = number * (width / gaps if gaps > 0 else width) + first
    y = structure.where(number == count - 1, last, y) if endpoint and count > 1 else y
    return in_dtype(floor(y) if wanted.kind in "iu" else y, wanted, "linspace")


def meshgrid(*xi: Any, sparse: bool = False, indexing: str = "xy") -> tuple[Node, ...]:
    """The coordinates of a grid: for each vector an array that varies along its own axis.

    `indexing="xy"` has the first vector along the columns, "ij" along the rows; with `sparse` the other axes have
    length 1.

    >>> import minigrad as mg
    >>> [x.tolist() for x in mg.meshgrid([1, 2], [3, 4])]
    [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(explain("meshgrid", f"indexing is 'xy' or 'ij', got {indexing!r}"))
    vectors = [strong(x, "meshgrid") for x in xi]
    sizes = [int(np.prod(x.shape, dtype=np.int64)) for x in vectors]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        places[:2] = [1, 0]
    lines = [
        reshape(x, shape=tuple([n if axis == place else 1 for axis in range(len(vectors))]))
        for x, n, place in zip(vectors, sizes, places, strict=True)
    ]
    if sparse:
        return tuple(lines)
    shape = tuple([sizes[place] for place in places])
    return tuple([broadcast_to(line, shape=shape) for line in lines])


# ------------------------------------------------------------------------------------------------- from anything


def asarray(a: Any, dtype: Any = None) -> Node:
    """A node of what NumPy takes for an array; a list that holds nodes is stacked, a node stays itself.

    >>> import minigrad as mg
    >>> mg.asarray([mg.constant(1.0), 2.0]).tolist()
    [1.0, 2.0]
    """
    return in_dtype(strong(a, "asarray"), dtype, "asarray")


def array(object: Any, dtype: Any = None, *, ndmin: int = 0) -> Node:
    """A node of what NumPy takes for an array, as `asarray`, with at least `ndmin` axes.

    >>> import minigrad as mg
    >>> mg.array([1, 2], ndmin=2).tolist()
    [[1, 2]]
    """
    x = in_dtype(strong(object, "array"), dtype, "array")
    return reshape(x, shape=(1,) * (ndmin - len(x.shape)) + x.shape) if ndmin > len(x.shape) else x
