"""Products of vectors, matrices and stacks, and what has to do with a diagonal, under NumPy's names.

    matmul dot vdot vecdot matvec vecmat inner outer tensordot einsum kron cross
    trace diagonal diag diagflat tril triu

`matmul` and `einsum` are primitives; the other products transpose and reshape their operands for one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, explain
from ..indexing import take_index
from ..nodes import Node
from ..primitives import elementwise, linear_algebra, structure
from ..primitives.shape_rules import broadcast_shapes, normalize_axes, normalize_axis
from ..primitives.structure import ALL, strong
from ..primitives.text import Cut
from .arguments import in_dtype
from .manipulation import moveaxis, ravel, stack, with_axes

__all__ = [
    "cross", "diag", "diagflat", "diagonal", "dot", "einsum", "inner", "kron", "matmul", "matvec", "outer", "tensordot",
    "trace", "tril", "triu", "vdot", "vecdot", "vecmat",
]  # fmt: skip

# ------------------------------------------------------------------------------------- vectors, matrices and stacks


def matmul(x1: Any, x2: Any, /) -> Node:
    """The matrix product, as the operator `@`: vectors, matrices, and stacks of matrices that broadcast.

    >>> import minigrad as mg
    >>> mg.matmul([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    return linear_algebra.matmul(strong(x1, "matmul"), strong(x2, "matmul"))


def dot(a: Any, b: Any) -> Node:
    """The product of matrices and vectors; of more axes, over the last of `a` and the last but one of `b`.

    >>> import minigrad as mg
    >>> mg.dot([1, 2], [3, 4]).item()
    11
    """
    x, y = strong(a, "dot"), strong(b, "dot")
    if not x.shape or not y.shape:
        return elementwise.multiply(x, y)
    _check_sizes("dot", x, len(x.shape) - 1, y, max(len(y.shape) - 2, 0))
    if len(x.shape) <= 2 and len(y.shape) <= 2:
        return linear_algebra.matmul(x, y)
    return tensordot(x, y, (-1, max(len(y.shape) - 2, 0)))


def _check_sizes(operation: str, a: Node, i: int, b: Node, j: int) -> None:
    if a.shape[i] != b.shape[j]:
        sizes = f"axis {i} has size {a.shape[i]}, axis {j} has {b.shape[j]}"
        problem = f"shapes {a.shape} and {b.shape} do not fit: {sizes}"
        raise ShapeError(explain(operation, problem, [a, b]))


def vdot(a: Any, b: Any, /) -> Node:
    """The dot product of all entries, whatever the shapes.

    >>> import minigrad as mg
    >>> mg.vdot([[1, 2]], [[3], [4]]).item()
    11
    """
    x, y = ravel(a), ravel(b)
    _check_sizes("vdot", x, 0, y, 0)
    return linear_algebra.matmul(x, y)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Node:
    """The dot product of vectors that lie along `axis`; the other axes broadcast.

    >>> import minigrad as mg
    >>> mg.vecdot([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    a, b = _vectors("vecdot", x1, axis), _vectors("vecdot", x2, axis)
    _check_sizes("vecdot", a, len(a.shape) - 1, b, len(b.shape) - 1)
    broadcast_shapes("vecdot", [a, b])
    return einsum("...i,...i->...", a, b)


def _vectors(operation: str, array: Any, axis: int) -> Node:
    # the axis moved to the end
    x = with_axes(operation, array, 1)
    axis = normalize_axis(operation, x, axis)
    return x if axis == len(x.shape) - 1 else moveaxis(x, axis, -1)


def matvec(x1: Any, x2: Any, /) -> Node:
    """Matrices times vectors, both in stacks that broadcast: (..., m, n) and (..., n) give (..., m).

    >>> import minigrad as mg
    >>> mg.matvec([[1, 2], [3, 4]], [[1, 0], [0, 1]]).tolist()
    [[1, 3], [2, 4]]
    """
    matrices, vectors = with_axes("matvec", x1, 2), with_axes("matvec", x2, 1)
    _check_sizes("matvec", matrices, len(matrices.shape) - 1, vectors, len(vectors.shape) - 1)
    return take_index(linear_algebra.matmul(matrices, take_index(vectors, (..., None))), (..., 0))


def vecmat(x1: Any, x2: Any, /) -> Node:
    """Vectors times matrices, both in stacks that broadcast: (..., n) and (..., n, m) give (..., m).

    >>> import minigrad as mg
    >>> mg.vecmat([[1, 0], [0, 1]], [[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    vectors, matrices = with_axes("vecmat", x1, 1), with_axes("vecmat", x2, 2)
    _check_sizes("vecmat", vectors, len(vectors.shape) - 1, matrices, len(matrices.shape) - 2)
    rows = take_index(vectors, (..., None, slice(None)))
    return take_index(linear_algebra.matmul(rows, matrices), (..., 0, slice(None)))


def inner(a: Any, b: Any, /) -> Node:
    """The dot products of all vectors along the last axis of `a` with all along the last of `b`.

    >>> import minigrad as mg
    >>> mg.inner([[1, 2], [3, 4]], [[1, 0], [1, 1]]).tolist()
    [[1, 3], [3, 7]]
    """
    x, y = strong(a, "inner"), strong(b, "inner")
    if not x.shape or not y.shape:
        return elementwise.multiply(x, y)
    _check_sizes("inner", x, len(x.shape) - 1, y, len(y.shape) - 1)
    return tensordot(x, y, (-1, -1))


def outer(a: Any, b: Any) -> Node:
    """The products of all entries of `a` with all entries of `b`: shape (a.size, b.size).

    >>> import minigrad as mg
    >>> mg.outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    return elementwise.multiply(take_index(ravel(a), (slice(None), None)), ravel(b))


def kron(a: Any, b: Any) -> Node:
    """The Kronecker product: every entry of `a` times the whole of `b`, laid out as `a` is.

    >>> import minigrad as mg
    >>> mg.kron([1, 10], [[1, 2]]).tolist()
    [[1, 2, 10, 20]]
    """
    x, y = strong(a, "kron"), strong(b, "kron")
    ndim = max(len(x.shape), len(y.shape))
    rows, cells = ((1,) * (ndim - len(z.shape)) + z.shape for z in (x, y))
    spread = structure.reshape(x, shape=tuple(n for size in rows for n in (size, 1)))
    repeated = structure.reshape(y, shape=tuple(n for size in cells for n in (1, size)))
    return structure.reshape(spread * repeated, shape=tuple(m * n for m, n in zip(rows, cells, strict=True)))


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Node:
    """The vector product of vectors of length 3, which lie along the last axis, or along those given.

    >>> import minigrad as mg
    >>> mg.cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = _vectors("cross", a, axisa), _vectors("cross", b, axisb)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        problem = f"vectors have length 3, these have {x.shape[-1]} and {y.shape[-1]}"
        raise ShapeError(explain("cross", problem, [x, y], "for the plane: a[0] * b[1] - a[1] * b[0]"))
    (x0, x1, x2), (y0, y1, y2) = ([take_index(z, (..., i)) for i in range(3)] for z in (x, y))
    parts = stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], -1)
    return parts if axisc == -1 else moveaxis(parts, -1, axisc)


def tensordot(a: Any, b: Any, axes: int | Sequence[Any] = 2) -> Node:
    """The sum of products over axes of `a` and as many of `b`: the other axes of `a`, then those of `b`, are left.

    `axes` is a number (so many last axes of `a` with as many first axes of `b`), or a pair of axes or lists of axes.

    >>> import minigrad as mg
    >>> mg.tensordot([[1, 2], [3, 4]], [[1, 1], [1, 1]]).item()
    10
    """
    x, y = strong(a, "tensordot"), strong(b, "tensordot")
    summed_x, summed_y = _summed_axes(x, y, axes)
    free_x = [i for i in range(len(x.shape)) if i not in summed_x]
    free_y = [i for i in range(len(y.shape)) if i not in summed_y]
    rows, columns = [x.shape[i] for i in free_x], [y.shape[i] for i in free_y]
    inside = _size(x.shape[i] for i in summed_x)
    left = structure.reshape(structure.transpose(x, axes=(*free_x, *summed_x)), shape=(_size(rows), inside))
    right = structure.reshape(structure.transpose(y, axes=(*summed_y, *free_y)), shape=(inside, _size(columns)))
    return structure.reshape(linear_algebra.matmul(left, right), shape=(*rows, *columns))


def _size(sizes: Iterable[int]) -> int:
    return int(np.prod(list(sizes), dtype=np.int64))


def _summed_axes(x: Node, y: Node, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, Iterable):
        pair = tuple(axes)
        if len(pair) != 2:
            raise ShapeError(explain("tensordot", f"axes is a number or a pair, got {axes}", [x, y]))
        chosen = [list(part) if isinstance(part, Iterable) else [part] for part in pair]
    else:
        if not 0 <= axes <= min(len(x.shape), len(y.shape)):
            problem = f"axes={axes} for shapes {x.shape} and {y.shape}: neither has so many axes to be summed over"
            raise ShapeError(explain("tensordot", problem, [x, y]))
        chosen = [list(range(len(x.shape) - axes, len(x.shape))), list(range(axes))]
    for operand, part in zip((x, y), chosen, strict=True):
        normalize_axes("tensordot", operand, part)  # none twice, none out of bounds
    found = [[normalize_axis("tensordot", z, i) for i in part] for z, part in zip((x, y), chosen, strict=True)]
    if len(found[0]) != len(found[1]):
        raise ShapeError(explain("tensordot", f"axes {axes}: as many of one operand as of the other", [x, y]))
    for i, j in zip(*found, strict=True):
        _check_sizes("tensordot", x, i, y, j)
    return found[0], found[1]


# --------------------------------------------------------------------------------------------------------- einsum

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DOTS = "…"  # one character for the three of `...`


def einsum(*operands: Any, optimize: bool | str = False) -> Node:
    """The sum of products that subscripts describe, `einsum("ij,jk->ik", a, b)`: one letter for each axis.

    Labels that the result lacks are summed over; one that stands twice in an operand takes its diagonal; `...` stands
    for axes without a label, which broadcast. Without `->` the result has the labels that occur once, in the order of
    the alphabet. The form with lists, `einsum(a, [0, 1], b, [1, 2], [0, 2])`, is understood, too. With `optimize`,
    more than two operands are multiplied pair by pair, in the order that `numpy.einsum_path` finds.

    >>> import minigrad as mg
    >>> mg.einsum("ii", [[1, 2], [3, 4]]).item(), mg.einsum("ij->ji", [[1, 2], [3, 4]]).tolist()
    (5, [[1, 3], [2, 4]])
    """
    if operands and isinstance(operands[0], str):
        subscripts, arrays = operands[0], list(operands[1:])
    else:
        subscripts, arrays = _from_lists(operands)
    nodes = [strong(x, "einsum") for x in arrays]
    terms, result = _explicit(subscripts, nodes)
    for i, term in enumerate(terms):
        for label in dict.fromkeys(term):
            while term.count(label) > 1:
                nodes[i], term = _diagonal_of_label(nodes[i], term, label, subscripts)
        terms[i] = term
    if len(nodes) == 1 and len(terms[0]) == len(result):
        return structure.transpose(nodes[0], axes=tuple(terms[0].index(label) for label in result))
    if optimize and len(nodes) > 2:
        return _pair_by_pair(nodes, terms, result, optimize)
    return linear_algebra.einsum(*nodes, subscripts=f"{','.join(terms)}->{result}")


def _pair_by_pair(nodes: list[Node], terms: list[str], result: str, optimize: Any) -> Node:
    stand_ins = [np.broadcast_to(0.0, x.shape) for x in nodes]
    path = np.einsum_path(f"{','.join(terms)}->{result}", *stand_ins, optimize=optimize)[0][1:]
    for positions in path:
        chosen = [(nodes.pop(i), terms.pop(i)) for i in sorted(positions, reverse=True)]
        given, needed = ",".join(term for _, term in chosen), set(result).union(*terms)
        term = "".join(label for label in dict.fromkeys(given) if label in needed) if terms else result
        nodes.append(linear_algebra.einsum(*[x for x, _ in chosen], subscripts=f"{given}->{term}"))
        terms.append(term)
    return nodes[0]


def _from_lists(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    # einsum(a, [0, 1], b, [1, 2], [0, 2]) -> "ab,bc->ac", [a, b]
    if len(operands) < 2:
        raise ShapeError(explain("einsum", "takes subscripts and operands", instead='mg.einsum("ij,jk->ik", a, b)'))
    terms = ["".join("..." if n is Ellipsis else LETTERS[n] for n in labels) for labels in operands[1::2]]
    if len(operands) % 2:
        result = "".join("..." if n is Ellipsis else LETTERS[n] for n in operands[-1])
        return f"{','.join(terms)}->{result}", list(operands[:-1:2])
    return ",".join(terms), list(operands[::2])


def _explicit(subscripts: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    # one string a term and one for the result, with letters in place of `...`
    text = subscripts.replace(" ", "").replace("...", DOTS)
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    _check_terms(subscripts, terms, result, nodes)
    free = [letter for letter in LETTERS if letter not in text]
    dots = max([len(x.shape) - len(term) + 1 for x, term in zip(nodes, terms, strict=True) if DOTS in term], default=0)
    wide = "".join(free[:dots])
    for i, (x, term) in enumerate(zip(nodes, terms, strict=True)):
        own = len(x.shape) - len(term) + 1
        terms[i] = term.replace(DOTS, wide[dots - own :] if DOTS in term else "")
    if not arrow:
        labels = left.replace(",", "").replace(DOTS, "")
        result = DOTS + "".join(sorted(label for label in set(labels) if labels.count(label) == 1))
    elif dots and DOTS not in result:
        problem = f"{subscripts!r} leaves out the {dots} axes that `...` stands for"
        raise ShapeError(explain("einsum", problem, nodes, "`...` in the result, or labels for what is summed over"))
    return terms, result.replace(DOTS, wide)


def _check_terms(subscripts: str, terms: Sequence[str], result: str, nodes: Sequence[Node]) -> None:
    def fail(problem: str) -> None:
        raise ShapeError(explain("einsum", f"{subscripts!r}: {problem}", nodes))

    if len(terms) != len(nodes):
        fail(f"{len(terms)} terms for {len(nodes)} operands")
    for term in (*terms, result):
        if any(label not in LETTERS + DOTS for label in term) or term.count(DOTS) > 1:
            fail("labels are single letters, `...` stands at most once in a term, and `->` at most once")
    for label in set(result) - {DOTS}:
        if result.count(label) > 1:
            fail(f"the result has the label {label!r} twice")
        if not any(label in term for term in terms):
            fail(f"the label {label!r} of the result belongs to no operand")
    for term, x in zip(terms, nodes, strict=True):
        labels = len(term.replace(DOTS, ""))
        if labels > len(x.shape) or (labels < len(x.shape) and DOTS not in term):
            fail(f"the term {term.replace(DOTS, '...')!r} has {labels} labels, its operand has shape {x.shape}")


def _diagonal_of_label(x: Node, term: str, label: str, subscripts: str) -> tuple[Node, str]:
    # the first two axes of a label replaced by their diagonal, which goes to the end
    i = term.index(label)
    j = term.index(label, i + 1)
    if x.shape[i] != x.shape[j]:
        problem = f"{subscripts!r}: label {label!r} has sizes {x.shape[i]} and {x.shape[j]} in one operand"
        raise ShapeError(explain("einsum", problem, [x]))
    return diagonal(x, 0, i, j), term[:i] + term[i + 1 : j] + term[j + 1 :] + label


# -------------------------------------------------------------------------------------------------------- diagonals


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The entries on a diagonal of two axes, put along a new last axis; `offset` counts to the right of the main one.

    >>> import minigrad as mg
    >>> mg.diagonal([[1, 2], [3, 4]]).tolist(), mg.diagonal([[1, 2], [3, 4]], 1).tolist()
    ([1, 4], [2])
    """
    return _diagonal("diagonal", a, offset, axis1, axis2)


def _diagonal(operation: str, a: Any, offset: int, axis1: int, axis2: int) -> Node:
    x = with_axes(operation, a, 2)
    normalize_axes(operation, x, (axis1, axis2))
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    top, left, n = _diagonal_square(x.shape[-2], x.shape[-1], offset)
    before = (*[ALL] * (len(x.shape) - 2),)
    square = structure.index(x, index=(*before, Cut(top, top + n, None), Cut(left, left + n, None)))
    line = structure.reshape(square, shape=(*x.shape[:-2], n * n))
    return structure.index(line, index=(*before, Cut(None, None, n + 1)))  # n + 1 entries further is the next one


def _diagonal_square(rows: int, columns: int, offset: int) -> tuple[int, int, int]:
    # the square whose main diagonal is the one that is meant: its first row, first column, and size
    top, left = max(-offset, 0), max(offset, 0)
    n = max(min(rows - top, columns - left), 0)
    return (top, left, n) if n else (0, 0, 0)


def diag(v: Any, k: int = 0) -> Node:
    """A vector as the `k`-th diagonal of a matrix of zeros; of a matrix, its `k`-th diagonal.

    >>> import minigrad as mg
    >>> mg.diag([1, 2]).tolist(), mg.diag([[1, 2], [3, 4]]).tolist()
    ([[1, 0], [0, 2]], [1, 4])
    """
    x = strong(v, "diag")
    if len(x.shape) == 2:
        return diagonal(x, k)
    if len(x.shape) != 1:
        raise ShapeError(explain("diag", f"takes a vector or a matrix, got shape {x.shape}", [x], "mg.diagonal"))
    n, whole = x.shape[0], x.shape[0] + abs(k)
    line = structure.place(x, shape=(n * n,), index=(Cut(None, None, n + 1),))
    square = structure.reshape(line, shape=(n, n))
    top, left = max(-k, 0), max(k, 0)
    inside = (Cut(top, top + n, None), Cut(left, left + n, None))
    return structure.place(square, shape=(whole, whole), index=inside) if k else square


def diagflat(v: Any, k: int = 0) -> Node:
    """All entries, in one row, as the `k`-th diagonal of a matrix.

    >>> import minigrad as mg
    >>> mg.diagflat([[1], [2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(ravel(v), k)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Node:
    """The sum of a diagonal. Integers add up in 64 bits.

    >>> import minigrad as mg
    >>> mg.trace([[1, 2], [3, 4]]).item()
    5
    """
    line = in_dtype(_diagonal("trace", a, offset, axis1, axis2), dtype, "trace")
    return in_dtype(structure.sum(line, axis=(len(line.shape) - 1,), keepdims=False), dtype, "trace")


def tril(m: Any, k: int = 0) -> Node:
    """Matrices with zeros above the `k`-th diagonal.

    >>> import minigrad as mg
    >>> mg.tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    return _triangle("tril", m, k, below=True)


def triu(m: Any, k: int = 0) -> Node:
    """Matrices with zeros below the `k`-th diagonal.

    >>> import minigrad as mg
    >>> mg.triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    return _triangle("triu", m, k - 1, below=False)


def _triangle(operation: str, matrices: Any, k: int, below: bool) -> Node:
    x = with_axes(operation, matrices, 1)
    mask = np.tri(x.shape[max(len(x.shape) - 2, 0)], x.shape[-1], k, dtype=bool)
    zero = False if x.dtype.kind == "b" else 0
    return structure.where(mask, x, zero) if below else structure.where(mask, zero, x)
