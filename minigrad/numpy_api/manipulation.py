"""Shapes, axes, joining and splitting, under NumPy's names.

    reshape ravel transpose swapaxes moveaxis squeeze expand_dims         the same entries, seen otherwise
    broadcast_to broadcast_arrays atleast_1d                              the same entries, repeated
    concatenate stack hstack vstack split array_split unstack             several arrays and one

Arguments are handled here; the work is done by the linear primitives of `structure.py`. What takes an array takes a
list, too. An array of several names (concat, permute_dims) has them as in the array API standard.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, AxisError, DtypeError, ShapeError, explain
from ..indexing import take_index
from ..nodes import Node
from ..primitives import structure
from ..primitives.shape_rules import broadcast_shapes, normalize_axes, normalize_axis
from ..primitives.structure import ALL, cast, strong
from ..primitives.text import Cut

__all__ = [
    "append", "array_split", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to",
    "column_stack", "concat", "concatenate", "dsplit", "dstack", "expand_dims", "hsplit", "hstack", "matrix_transpose",
    "moveaxis", "permute_dims", "ravel", "reshape", "rollaxis", "split", "squeeze", "stack", "swapaxes", "transpose",
    "unstack", "vsplit", "vstack",
]  # fmt: skip

Axes = int | Sequence[int]

# -------------------------------------------------------------------------------------------------- shapes and axes


def reshape(a: Any, /, shape: int | Sequence[int], order: str = "C") -> Node:
    """The same entries in another shape; one size may be -1 and is worked out. `order` is "C" or "F".

    Raises ShapeError where the sizes do not multiply to the number of entries.

    >>> import minigrad as mg
    >>> mg.reshape([1, 2, 3, 4, 5, 6], (2, -1)).tolist()
    [[1, 2, 3], [4, 5, 6]]
    """
    x = strong(a, "reshape")
    sizes = _worked_out("reshape", x, shape)
    if order == "F":  # first index fastest: what C order is to the reversed axes
        return transpose(structure.reshape(transpose(x), shape=sizes[::-1]))
    _check_order("reshape", order)
    return structure.reshape(x, shape=sizes)


def ravel(a: Any, order: str = "C") -> Node:
    """All entries in one row; `order` is "C" or "F".

    >>> import minigrad as mg
    >>> mg.ravel([[1, 2], [3, 4]], order="F").tolist()
    [1, 3, 2, 4]
    """
    return reshape(a, -1, order) if order != "C" else _flat(strong(a, "ravel"))


def _flat(x: Node) -> Node:
    return x if len(x.shape) == 1 else structure.reshape(x, shape=(int(np.prod(x.shape, dtype=np.int64)),))


def _check_order(operation: str, order: str) -> None:
    if order != "C":
        problem = f"order is 'C' or 'F', got {order!r}: a node has no memory layout that another could ask for"
        raise ArgumentError(explain(operation, problem))


def _sizes(operation: str, shape: Any) -> tuple[int, ...]:
    # a shape as NumPy takes it: an integer, or a sequence of them
    try:
        return tuple(map(operator.index, shape)) if isinstance(shape, Iterable) else (operator.index(shape),)
    except TypeError:
        raise DtypeError(explain(operation, f"{shape!r} is no shape: sizes are whole numbers")) from None


def _worked_out(operation: str, x: Node, shape: Any) -> tuple[int, ...]:
    # the sizes with -1 replaced by what is left
    sizes = _sizes(operation, shape)
    if all(n >= 0 for n in sizes):
        return sizes
    total, known = int(np.prod(x.shape, dtype=np.int64)), int(np.prod([n for n in sizes if n >= 0], dtype=np.int64))
    if min(sizes) < -1 or sizes.count(-1) > 1 or known == 0 or total % known:
        problem = f"an array of shape {x.shape} has no shape {sizes}"
        raise ShapeError(explain(operation, problem, [x], "sizes whose product is the same, or one -1"))
    return tuple(total // known if n == -1 else n for n in sizes)


def transpose(a: Any, axes: Sequence[int] | None = None) -> Node:
    """The axes in another order; reversed where none is given.

    >>> import minigrad as mg
    >>> mg.transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    x = strong(a, "transpose")
    if axes is None:
        return structure.transpose(x, axes=tuple(range(len(x.shape)))[::-1])
    order = _ordered_axes("transpose", x, axes)
    if len(order) != len(x.shape):
        raise ShapeError(explain("transpose", f"axes {tuple(axes)} do not name each of {len(x.shape)} axes once", [x]))
    return structure.transpose(x, axes=order)


permute_dims = transpose


def _ordered_axes(operation: str, x: Node, axes: Any) -> tuple[int, ...]:
    # axes of x as numbers from 0, in the order given, none twice
    normalize_axes(operation, x, axes)
    return tuple(normalize_axis(operation, x, axis) for axis in (axes if isinstance(axes, Iterable) else (axes,)))


def matrix_transpose(x: Any, /) -> Node:
    """The last two axes swapped: a stack of matrices, each transposed.

    >>> import minigrad as mg
    >>> mg.matrix_transpose(mg.constant([[[1, 2, 3], [4, 5, 6]]])).shape
    (1, 3, 2)
    """
    return swapaxes(with_axes("matrix_transpose", x, 2), -1, -2)


def swapaxes(a: Any, axis1: int, axis2: int) -> Node:
    """Two axes exchanged.

    >>> import minigrad as mg
    >>> mg.swapaxes(mg.symbol("x", (2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = strong(a, "swapaxes")
    i, j = normalize_axis("swapaxes", x, axis1), normalize_axis("swapaxes", x, axis2)
    order = list(range(len(x.shape)))
    order[i], order[j] = j, i
    return structure.transpose(x, axes=tuple(order))


def moveaxis(a: Any, source: Axes, destination: Axes) -> Node:
    """Axes moved to other places; the rest keep their order.

    >>> import minigrad as mg
    >>> mg.moveaxis(mg.symbol("x", (2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = strong(a, "moveaxis")
    old, new = _ordered_axes("moveaxis", x, source), _ordered_axes("moveaxis", x, destination)
    if len(old) != len(new):
        problem = f"source {source} and destination {destination} differ in length"
        raise ShapeError(explain("moveaxis", problem, [x]))
    order = [axis for axis in range(len(x.shape)) if axis not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return structure.transpose(x, axes=tuple(order))


def rollaxis(a: Any, axis: int, start: int = 0) -> Node:
    """One axis moved back until it lies before axis `start`. (`moveaxis` is easier to read.)

    >>> import minigrad as mg
    >>> mg.rollaxis(mg.symbol("x", (2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    x = strong(a, "rollaxis")
    moved, end = normalize_axis("rollaxis", x, axis), len(x.shape)
    if not -end <= start <= end:
        raise AxisError(explain("rollaxis", f"start {start} is out of bounds for {end} dimensions", [x]))
    start = start + end if start < 0 else start
    return moveaxis(x, moved, start - 1 if moved < start else start)


def expand_dims(a: Any, axis: Axes) -> Node:
    """Axes of length 1 put in, so that they stand at the places `axis` of the result.

    >>> import minigrad as mg
    >>> mg.expand_dims([1, 2, 3], (0, 2)).shape
    (1, 3, 1)
    """
    x = strong(a, "expand_dims")
    places = axis if isinstance(axis, Iterable) else (axis,)
    ndim = len(x.shape) + len(tuple(places))
    new = [normalize_axis("expand_dims", x, place, ndim) for place in places]
    if len(set(new)) != len(new):
        raise ShapeError(explain("expand_dims", f"axis {axis} names one axis twice", [x]))
    sizes = iter(x.shape)
    return structure.reshape(x, shape=tuple(1 if i in new else next(sizes) for i in range(ndim)))


def squeeze(a: Any, axis: Axes | None = None) -> Node:
    """Axes of length 1 left out: all of them, or those given.

    Raises ShapeError where an axis that is named has another length.

    >>> import minigrad as mg
    >>> mg.squeeze(mg.symbol("x", (1, 3, 1)), axis=0).shape
    (3, 1)
    """
    x = strong(a, "squeeze")
    gone = normalize_axes("squeeze", x, [i for i, n in enumerate(x.shape) if n == 1] if axis is None else axis)
    for i in gone:
        if x.shape[i] != 1:
            problem = f"axis {i} has length {x.shape[i]}, only length 1 can be left out"
            raise ShapeError(explain("squeeze", problem, [x]))
    return structure.reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in gone))


def atleast_1d(*arys: Any) -> Any:
    """The array with at least one axis; of several, a tuple.

    >>> import minigrad as mg
    >>> mg.atleast_1d(2.0).shape
    (1,)
    """
    nodes = [strong(x, "atleast_1d") for x in arys]
    return _each([x if x.shape else structure.reshape(x, shape=(1,)) for x in nodes])


def atleast_2d(*arys: Any) -> Any:
    """The array with at least two axes, a vector as one row; of several, a tuple.

    >>> import minigrad as mg
    >>> mg.atleast_2d([1.0, 2.0]).shape
    (1, 2)
    """
    return _each([_row(strong(x, "atleast_2d")) for x in arys])


def atleast_3d(*arys: Any) -> Any:
    """The array with at least three axes: a vector as (1, n, 1), a matrix as (m, n, 1); of several, a tuple.

    >>> import minigrad as mg
    >>> mg.atleast_3d([1.0, 2.0]).shape
    (1, 2, 1)
    """
    rows = [_row(strong(x, "atleast_3d")) for x in arys]
    return _each([x if len(x.shape) > 2 else structure.reshape(x, shape=(*x.shape, 1)) for x in rows])


def _row(x: Node) -> Node:
    return x if len(x.shape) > 1 else structure.reshape(x, shape=(1, *(x.shape or (1,))))


def _each(nodes: Sequence[Node]) -> Any:
    return nodes[0] if len(nodes) == 1 else tuple(nodes)


# --------------------------------------------------------------------------------------------------- broadcasting


def broadcast_to(array: Any, shape: int | Sequence[int]) -> Node:
    """The array repeated along new axes, and along those of length 1, to the given shape.

    >>> import minigrad as mg
    >>> mg.broadcast_to([1, 2], (3, 2)).tolist()
    [[1, 2], [1, 2], [1, 2]]
    """
    return structure.broadcast_to(strong(array, "broadcast_to"), shape=_sizes("broadcast_to", shape))


def broadcast_arrays(*args: Any) -> tuple[Node, ...]:
    """The arrays, each repeated to the shape that they all broadcast to.

    >>> import minigrad as mg
    >>> [x.shape for x in mg.broadcast_arrays([1, 2, 3], [[1], [2]])]
    [(2, 3), (2, 3)]
    """
    nodes = [strong(x, "broadcast_arrays") for x in args]
    shape = broadcast_shapes("broadcast_arrays", nodes) if nodes else ()
    return tuple(structure.broadcast_to(x, shape=shape) for x in nodes)


# -------------------------------------------------------------------------------------------------------- joining


def concatenate(arrays: Any, /, axis: int | None = 0, *, dtype: Any = None) -> Node:
    """Arrays one after the other along an axis that they have; with `axis=None`, all their entries in one row.

    Raises ShapeError where the other axes differ, or where there is nothing to join.

    >>> import minigrad as mg
    >>> mg.concatenate([mg.constant([1, 2]), [3]]).tolist()
    [1, 2, 3]
    """
    nodes = _listed("concatenate", arrays)
    return _joined("concatenate", [_flat(x) for x in nodes] if axis is None else nodes, axis or 0, dtype)


concat = concatenate


def _joined(operation: str, nodes: Sequence[Node], axis: int, dtype: Any = None) -> Node:
    if not nodes[0].shape:
        problem = "0-d operands have no axis to be joined along"
        raise ShapeError(explain(operation, problem, nodes[:3], "mg.stack"))
    along = normalize_axis(operation, nodes[0], axis)
    structure.joined_shape(operation, nodes, along)
    joined = structure.join(*nodes, axis=along)
    return joined if dtype is None else cast(joined, dtype=np.dtype(dtype))


def stack(arrays: Any, axis: int = 0, *, dtype: Any = None) -> Node:
    """Arrays of equal shape, side by side along a new axis. Indexing the stack gives the operand itself.

    >>> import minigrad as mg
    >>> a, b = mg.constant([1, 2]), mg.constant([3, 4])
    >>> mg.stack([a, b], axis=1).tolist(), mg.stack([a, b])[1] is b
    ([[1, 3], [2, 4]], True)
    """
    nodes = _listed("stack", arrays)
    stacked = structure.stack(*nodes, axis=normalize_axis("stack", nodes[0], axis, len(nodes[0].shape) + 1))
    return stacked if dtype is None else cast(stacked, dtype=np.dtype(dtype))


def _listed(operation: str, arrays: Any) -> list[Node]:
    # a sequence of arrays, or an array that is taken apart along its first axis
    if not isinstance(arrays, Iterable) or (isinstance(arrays, (Node, np.ndarray)) and not arrays.shape):
        raise ArgumentError(explain(operation, "takes a sequence of arrays, not one", [arrays], "[a, b]"))
    nodes = [strong(x, operation) for x in arrays]
    if not nodes:
        raise ShapeError(explain(operation, "needs at least one array, got an empty sequence"))
    return nodes


def hstack(tup: Any, *, dtype: Any = None) -> Node:
    """Arrays side by side: along the second axis, vectors along their only one.

    >>> import minigrad as mg
    >>> mg.hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    nodes = [atleast_1d(x) for x in _listed("hstack", tup)]
    return _joined("hstack", nodes, 0 if len(nodes[0].shape) == 1 else 1, dtype)


def vstack(tup: Any, *, dtype: Any = None) -> Node:
    """Arrays below each other, vectors as rows.

    >>> import minigrad as mg
    >>> mg.vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    return _joined("vstack", [atleast_2d(x) for x in _listed("vstack", tup)], 0, dtype)


def dstack(tup: Any) -> Node:
    """Arrays behind each other, along the third axis.

    >>> import minigrad as mg
    >>> mg.dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return _joined("dstack", [atleast_3d(x) for x in _listed("dstack", tup)], 2)


def column_stack(tup: Any) -> Node:
    """Arrays side by side, vectors as columns.

    >>> import minigrad as mg
    >>> mg.column_stack([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    nodes = _listed("column_stack", tup)
    return _joined("column_stack", [x if len(x.shape) > 1 else transpose(atleast_2d(x)) for x in nodes], 1)


def append(arr: Any, values: Any, axis: int | None = None) -> Node:
    """`values` put after `arr` along an axis; with `axis=None`, all entries of both in one row.

    >>> import minigrad as mg
    >>> mg.append([1, 2], [[3], [4]]).tolist()
    [1, 2, 3, 4]
    """
    nodes = [strong(arr, "append"), strong(values, "append")]
    return _joined("append", [_flat(x) for x in nodes] if axis is None else nodes, axis or 0)


# ------------------------------------------------------------------------------------------------------ splitting


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Node]:
    """Parts along an axis: so many, the first ones longer by one where it does not come out even, or cut at indices.

    >>> import minigrad as mg
    >>> [part.tolist() for part in mg.array_split([1, 2, 3, 4, 5], 2)]
    [[1, 2, 3], [4, 5]]
    """
    x = strong(ary, "array_split")
    along = normalize_axis("array_split", x, axis)
    size = x.shape[along]
    if isinstance(indices_or_sections, Iterable):
        cuts = [None, *map(operator.index, indices_or_sections), None]
    else:
        parts = operator.index(indices_or_sections)
        if parts <= 0:
            raise ShapeError(explain("array_split", f"the number of parts must be 1 or more, got {parts}", [x]))
        longer, rest = divmod(size, parts)
        cuts = [i * longer + min(i, rest) for i in range(parts + 1)]
    before = (*[ALL] * along,)
    return [structure.index(x, index=(*before, Cut(a, b, None))) for a, b in itertools.pairwise(cuts)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Node]:
    """Parts along an axis, of equal size, or cut at indices.

    Raises ShapeError where equal parts are not possible (`array_split` allows that).

    >>> import minigrad as mg
    >>> [part.tolist() for part in mg.split([1, 2, 3, 4], [1, 3])]
    [[1], [2, 3], [4]]
    """
    x = strong(ary, "split")
    size = x.shape[normalize_axis("split", x, axis)]
    if not isinstance(indices_or_sections, Iterable) and indices_or_sections > 0 and size % indices_or_sections:
        problem = f"axis {axis} of size {size} cannot be cut into {indices_or_sections} equal parts"
        raise ShapeError(explain("split", problem, [x], "mg.array_split, or the indices to cut at"))
    return array_split(x, indices_or_sections, axis)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Node]:
    """Parts side by side: along the second axis, those of a vector along its only one.

    >>> import minigrad as mg
    >>> [part.tolist() for part in mg.hsplit([[1, 2], [3, 4]], 2)]
    [[[1], [3]], [[2], [4]]]
    """
    x = with_axes("hsplit", ary, 1)
    return split(x, indices_or_sections, 0 if len(x.shape) == 1 else 1)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Node]:
    """Parts below each other, along the first axis of two or more.

    >>> import minigrad as mg
    >>> [part.tolist() for part in mg.vsplit([[1, 2], [3, 4]], 2)]
    [[[1, 2]], [[3, 4]]]
    """
    return split(with_axes("vsplit", ary, 2), indices_or_sections, 0)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Node]:
    """Parts behind each other, along the third axis.

    >>> import minigrad as mg
    >>> [part.shape for part in mg.dsplit(mg.symbol("x", (2, 3, 4)), 2)]
    [(2, 3, 2), (2, 3, 2)]
    """
    return split(with_axes("dsplit", ary, 3), indices_or_sections, 2)


def with_axes(operation: str, array: Any, ndim: int) -> Node:
    """An array as a node with so many axes at least.

    Raises ShapeError where it has fewer.
    """
    x = strong(array, operation)
    if len(x.shape) < ndim:
        raise ShapeError(explain(operation, f"needs {ndim} axes at least, got shape {x.shape}", [x]))
    return x


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Node, ...]:
    """The items along an axis, as a tuple: what `stack` put together.

    >>> import minigrad as mg
    >>> [row.tolist() for row in mg.unstack([[1, 2], [3, 4]], axis=1)]
    [[1, 3], [2, 4]]
    """
    node = strong(x, "unstack")
    along = normalize_axis("unstack", node, axis)
    return tuple(take_index(node, (*[slice(None)] * along, i)) for i in range(node.shape[along]))
