"""Products of matrices, vectors and stacks, and systems of equations: one rule for all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError, explain
from ..graph import Node, Primitive
from .shape_rules import promote, reduced_shape
from .structure import _reduction_text, broadcast_to, reshape, spread, sum, transpose, where

Shape = tuple[int, ...]

# --------------------------------------------------------------------------------------------------------- matmul


def _infer_matmul(a: Node, b: Node) -> tuple[Shape, Any]:
    if not a.shape or not b.shape:
        problem = "operands need at least one axis; a 0-d operand is a factor"
        raise ShapeError(explain("matmul", problem, [a, b], "a * b"))
    inner = b.shape[0] if len(b.shape) == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        problem = f"shapes {a.shape} and {b.shape} do not fit: {a.shape[-1]} columns meet {inner} rows"
        raise ShapeError(explain("matmul", problem, [a, b], "transpose one of them, with .T"))
    try:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        problem = f"the stacks {a.shape[:-2]} and {b.shape[:-2]} do not broadcast"
        raise ShapeError(explain("matmul", problem, [a, b])) from None
    return (*stack, *a.shape[-2:-1], *(b.shape[-1:] if len(b.shape) > 1 else ())), promote([a, b])


def matrix_transpose(x: Node) -> Node:
    """The last two axes swapped."""
    last = len(x.shape) - 1
    return transpose(x, axes=(*range(last - 1), last, last - 1))


def _as_matrix(x: Node) -> Node:
    # a stack of rows as one tall matrix
    return reshape(x, shape=(int(np.prod(x.shape[:-1], dtype=np.int64)), x.shape[-1]))


def _column(x: Node) -> Node:
    return reshape(x, shape=(*x.shape, 1))


def _row(x: Node) -> Node:
    return reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def _by_left(ct: Node, y: Node, a: Node, b: Node) -> Node:
    if len(a.shape) == len(b.shape) == 1:
        return ct * b
    if len(b.shape) == 1:
        return _column(ct) * b
    if len(a.shape) == 1:
        return reshape(matmul(b, _column(ct)), shape=b.shape[:-1])
    return matmul(ct, matrix_transpose(b))


def _by_right(ct: Node, y: Node, a: Node, b: Node) -> Node:
    if len(a.shape) == len(b.shape) == 1:
        return ct * a
    if len(b.shape) == 1:
        return matmul(reshape(ct, shape=(-1 if not ct.shape else int(np.prod(ct.shape)),)), _as_matrix(a))
    if len(a.shape) == 1:
        return _column(a) * _row(ct)
    if len(b.shape) == 2 and len(a.shape) > 2:  # one tall product instead of a stack of products that is summed
        return matmul(transpose(_as_matrix(a), axes=(1, 0)), _as_matrix(ct))
    return matmul(matrix_transpose(a), ct)


matmul = Primitive("matmul", "{0} @ {1}", _infer_matmul, [_by_left, _by_right], operator="*")

# --------------------------------------------------------------------------------------------------------- einsum
# subscripts: explicit, without dots; within one operand each label stands once (products.py sees to that).


def _infer_einsum(*xs: Node, subscripts: str) -> tuple[Shape, Any]:
    terms, result = subscripts.split("->")
    sizes: dict[str, int] = {}
    for term, x in zip(terms.split(","), xs, strict=True):
        for label, size in zip(term, x.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                raise ShapeError(explain("einsum", f"label {label!r} has sizes {known} and {size} in {subscripts!r}", xs))
    return tuple([sizes[label] for label in result]), promote(xs)


def _einsum_rule(i: int) -> Callable[..., Node]:
    def rule(ct: Node, y: Node, *xs: Node, subscripts: str) -> Node:
        terms, result = subscripts.split("->")
        mine = terms.split(",")[i]
        others = [(x, term) for j, (x, term) in enumerate(zip(xs, terms.split(","), strict=True)) if j != i]
        known = set(result).union(*[term for _, term in others])
        reached = "".join(label for label in mine if label in known)
        inputs = [ct, *[x for x, _ in others]]
        share = einsum(*inputs, subscripts=",".join([result, *[term for _, term in others]]) + "->" + reached)
        # a label of this operand alone was summed over: its entries all get the same; one of size 1 was broadcast
        alone = tuple(k for k, label in enumerate(mine) if label not in known)
        sizes = iter(share.shape)
        share = reshape(share, shape=tuple(1 if k in alone else next(sizes) for k in range(len(mine))))
        wide = tuple(xs[i].shape[k] if k in alone else share.shape[k] for k in range(len(mine)))
        share = broadcast_to(share, shape=wide)
        narrow = tuple(k for k in range(len(mine)) if xs[i].shape[k] == 1 and wide[k] != 1)
        return sum(share, axis=narrow, keepdims=True) if narrow else share

    return rule


einsum = Primitive("einsum", 'np.einsum("{subscripts}", {all})', _infer_einsum, _einsum_rule)
einsum.text = lambda operands, params: f'np.einsum("{params["subscripts"]}", {", ".join(operands)})'

# ---------------------------------------------------------------------------------------- norms, systems, inverse

vector_norm = Primitive(
    "vector_norm", _reduction_text("np.linalg.norm"),
    lambda x, *, axis, keepdims: (reduced_shape(x.shape, axis, keepdims), _float(x.dtype)),
    [lambda ct, y, x, *, axis, keepdims:
        spread(ct, x, axis) * (x / spread(where(y == 0, 1, y), x, axis))],
)  # fmt: skip


def _infer_square(operation: str, a: Node) -> None:
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(explain(operation, f"needs square matrices, got shape {a.shape}", [a]))


def _infer_inv(a: Node) -> tuple[Shape, Any]:
    _infer_square("inv", a)
    return a.shape, _float(promote([a]))


def _infer_solve(a: Node, b: Node) -> tuple[Shape, Any]:
    _infer_square("solve", a)
    if len(b.shape) < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(explain("solve", f"shapes {a.shape} and {b.shape} do not fit", [a, b]))
    return (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), _float(promote([a, b]))


def _float(dtype: Any) -> Any:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


inv = Primitive(
    "inv", "np.linalg.inv({0})", _infer_inv,
    [lambda ct, y, a: -(matrix_transpose(y) @ ct @ matrix_transpose(y))],
)  # fmt: skip

# b is a stack of matrices here; `linalg.solve` makes a vector into one.
solve = Primitive(
    "solve", "np.linalg.solve({0}, {1})", _infer_solve,
    [
        lambda ct, y, a, b: -(solve(matrix_transpose(a), ct) @ matrix_transpose(y)),
        lambda ct, y, a, b: solve(matrix_transpose(a), ct),
    ],
)  # fmt: skip
