"""Products of matrices, vectors and stacks; norms, systems of equations, determinants, factors and eigenvalues.

One rule for all ranks. Transposed axes are always the last two; what stands before them is a stack that broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError, explain
from ..nodes import Node, Primitive
from .elementwise import absolute, sign
from .shape_rules import promote, reduced_shape
from .structure import _reduction_text, broadcast_to, reshape, spread, sum, transpose, where
from .text import literal

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
        return matmul(reshape(ct, shape=(int(np.prod(ct.shape, dtype=np.int64)),)), _as_matrix(a))
    if len(a.shape) == 1:
        return _column(a) * _row(ct)
    if len(b.shape) == 2 and len(a.shape) > 2:  # one tall product instead of a stack of products that is summed
        return matmul(transpose(_as_matrix(a), axes=(1, 0)), _as_matrix(ct))
    return matmul(matrix_transpose(a), ct)


matmul = Primitive("matmul", "{0} @ {1}", _infer_matmul, [_by_left, _by_right])

# --------------------------------------------------------------------------------------------------------- einsum
# subscripts: explicit, without dots; within one operand each label stands once, and one operand alone is not merely
# transposed (products.py sees to that).


def _infer_einsum(*xs: Node, subscripts: str) -> tuple[Shape, Any]:
    terms, result = subscripts.split("->")
    sizes: dict[str, int] = {}
    for term, x in zip(terms.split(","), xs, strict=True):
        for label, size in zip(term, x.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                problem = f"label {label!r} has sizes {known} and {size} in {subscripts!r}"
                raise ShapeError(explain("einsum", problem, xs))
    return tuple([sizes[label] for label in result]), promote(xs)


def _einsum_rule(i: int) -> Callable[..., Node]:
    # ij,jk->ik: the share of ij is ik,jk->ij. A label of length 1 here was stretched, so its cotangent is summed; one
    # that no other term has was summed over, so all its entries get the same.
    def rule(ct: Node, y: Node, *, subscripts: str) -> Node:
        terms, result = subscripts.split("->")
        mine, x = terms.split(",")[i], y.inputs[i]
        others = [(y.inputs[j], term) for j, term in enumerate(terms.split(",")) if j != i]
        known = set(result).union(*[term for _, term in others])
        reached = [k for k, label in enumerate(mine) if label in known and x.shape[k] != 1]
        given = ",".join([result, *[term for _, term in others]])
        share = einsum(ct, *[other for other, _ in others], subscripts=f"{given}->{''.join(mine[k] for k in reached)}")
        sizes = iter(share.shape)
        share = reshape(share, shape=tuple([next(sizes) if k in reached else 1 for k in range(len(mine))]))
        return broadcast_to(share, shape=x.shape)

    return rule


einsum = Primitive(
    "einsum", lambda operands, params: f'np.einsum("{params["subscripts"]}", {", ".join(operands)})',
    _infer_einsum, _einsum_rule,
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- norms


def _infer_norm(x: Node, *, axis: tuple[int, ...], keepdims: bool, **_: Any) -> tuple[Shape, Any]:
    return reduced_shape(x.shape, axis, keepdims), x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def _norm_text(operands: Sequence[str], params: dict[str, Any]) -> str:
    # np.linalg.norm takes two axes at most
    name = "np.linalg.norm" if len(params["axis"]) <= 2 else "np.linalg.vector_norm"
    return _reduction_text(name)(operands, params)


# The root of a sum of squares; at 0, where every direction is uphill, the slope is 0.
vector_norm = Primitive(
    "vector_norm", _norm_text, _infer_norm,
    [lambda ct, y, x, *, axis, keepdims: x * spread(ct / where(y == 0, np.inf, y), x, axis)],
)  # fmt: skip


def _p_norm_rule(ct: Node, y: Node, x: Node, *, axis: tuple[int, ...], keepdims: bool, ord: float) -> Node:
    # sign(x) (|x| / y)^(ord - 1); where x is 0, so is its sign, and the power must not be infinite
    ratio = where(x == 0, 1, absolute(x)) / where(x == 0, 1, spread(y, x, axis))
    return spread(ct, x, axis) * sign(x) * ratio ** (ord - 1)


# sum(|x|^ord)^(1/ord) for any order but 2, 0 and the infinite ones.
p_norm = Primitive(
    "p_norm", lambda operands, params: _reduction_text("np.linalg.vector_norm")(operands, params)[:-1]
        + f", ord={literal(params['ord'])})",
    _infer_norm, [_p_norm_rule],
)  # fmt: skip

# ------------------------------------------------------------------------------------- systems, inverse, determinant


def _infer_square(operation: str, a: Node) -> None:
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(explain(operation, f"needs square matrices, got shape {a.shape}", [a]))


def _factor_dtype(operation: str, *xs: Node) -> Any:
    # LAPACK computes in float32 or float64; whatever is no float counts as float64
    if any(x.dtype == np.float16 for x in xs):
        problem = "float16 is too coarse for factors of matrices"
        raise DtypeError(explain(operation, problem, xs, "x.astype('float32')"))
    return promote(xs) if all(x.dtype.kind == "f" for x in xs) else np.dtype(np.float64)


def _square_to_square(operation: str) -> Callable[..., tuple[Shape, Any]]:
    def infer(a: Node) -> tuple[Shape, Any]:
        _infer_square(operation, a)
        return a.shape, _factor_dtype(operation, a)

    return infer


def _square_to_number(operation: str) -> Callable[..., tuple[Shape, Any]]:
    def infer(a: Node) -> tuple[Shape, Any]:
        _infer_square(operation, a)
        return a.shape[:-2], _factor_dtype(operation, a)

    return infer


def _infer_solve(a: Node, b: Node) -> tuple[Shape, Any]:
    _infer_square("solve", a)
    if len(b.shape) < 2 or b.shape[-2] != a.shape[-1]:
        problem = f"shapes {a.shape} and {b.shape} do not fit: {a.shape[-1]} unknowns, right sides of shape {b.shape}"
        raise ShapeError(explain("solve", problem, [a, b]))
    try:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        problem = f"the stacks {a.shape[:-2]} and {b.shape[:-2]} do not broadcast"
        raise ShapeError(explain("solve", problem, [a, b])) from None
    return (*stack, *b.shape[-2:]), _factor_dtype("solve", a, b)


def _times_matrix(ct: Node) -> Node:
    # a number for each matrix, shaped to multiply the matrices
    return reshape(ct, shape=(*ct.shape, 1, 1))


inv = Primitive(
    "inv", "np.linalg.inv({0})", _square_to_square("inv"),
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

det = Primitive(
    "det", "np.linalg.det({0})", _square_to_number("det"),
    [lambda ct, y, a: _times_matrix(ct) * cofactors(a)],
)  # fmt: skip


def _total(x: Node) -> Node:
    # the sum of all entries of each matrix, as a matrix of one entry
    return sum(x, axis=(len(x.shape) - 2, len(x.shape) - 1), keepdims=True)


def _cofactors_rule(ct: Node, y: Node, a: Node) -> Node:
    # y = det(a) t with t = inv(a).T, so dy = <t, da> y - t da.T y
    t = matrix_transpose(inv(a))
    return _total(ct * y) * t - y @ matrix_transpose(ct) @ t


# What multiplies each entry in the determinant; exact for singular matrices too (but not its own derivative).
cofactors = Primitive("cofactors", "cofactors({0})", _square_to_square("det"), [_cofactors_rule])

# det = sign * exp(log of its size)
det_sign = Primitive(
    "det_sign", "np.linalg.slogdet({0})[0]", _square_to_number("slogdet"),
    [None],
)  # fmt: skip
log_abs_det = Primitive(
    "log_abs_det", "np.linalg.slogdet({0})[1]", _square_to_number("slogdet"),
    [lambda ct, y, a: _times_matrix(ct) * matrix_transpose(inv(a))],
)  # fmt: skip


def _infer_pinv(a: Node, *, rcond: float | None) -> tuple[Shape, Any]:
    if len(a.shape) < 2:
        raise ShapeError(explain("pinv", f"needs matrices, got shape {a.shape}", [a]))
    return (*a.shape[:-2], a.shape[-1], a.shape[-2]), _factor_dtype("pinv", a)


def _pinv_rule(ct: Node, y: Node, a: Node, *, rcond: float | None) -> Node:
    # Golub and Pereyra (1973): -y' ct y' + (1 - a y) ct' y y' + y' y ct' (1 - y a), where ' transposes; ct' here is c
    t, c = matrix_transpose(y), matrix_transpose(ct)
    left, right = c @ y @ t, t @ y @ c
    return left - a @ (y @ left) + right - (right @ y) @ a - t @ ct @ t


pinv = Primitive(
    "pinv", lambda operands, params: f"np.linalg.pinv({operands[0]}"
        + (")" if params["rcond"] is None else f", rcond={literal(params['rcond'])})"),
    _infer_pinv, [_pinv_rule],
)  # fmt: skip

# ---------------------------------------------------------------------- factors and eigenvalues of symmetric matrices
# LAPACK reads the lower triangle only, so the lower triangle gets the gradient of both: the derivative of what runs.


def _lower(x: Node) -> Node:
    # the lower triangle with half the diagonal: added to its transpose, it is a symmetric matrix
    return x * (np.tri(*x.shape[-2:], dtype=x.dtype) - np.eye(*x.shape[-2:], dtype=x.dtype) / 2)


def _mirrored(x: Node) -> Node:
    # the symmetric matrix that has the lower triangle of x
    return _lower(x) + matrix_transpose(_lower(x))


def _by_lower(share: Node) -> Node:
    # the gradient by a symmetric matrix as one by its lower triangle
    return _lower(share + matrix_transpose(share))


def _closeness(w: Node) -> Node:
    # 1 / (w[j] - w[i]) where i and j differ: vectors turn towards each other the faster, the nearer their values are
    return 1 / where(np.eye(w.shape[-1], dtype=bool), np.inf, _row(w) - _column(w))


def _cholesky_rule(ct: Node, y: Node, a: Node) -> Node:
    # y dl = lower(inv(y) da inv(y).T), by y y.T = a
    upper = matrix_transpose(y)
    return _lower(solve(upper, matrix_transpose(solve(upper, _mirrored(upper @ ct)))))


cholesky = Primitive("cholesky", "np.linalg.cholesky({0})", _square_to_square("cholesky"), [_cholesky_rule])


def _eigenvalues_rule(ct: Node, y: Node, a: Node) -> Node:
    vectors = eigenvectors(a)
    return _by_lower((vectors * _row(ct)) @ matrix_transpose(vectors))


def _eigenvectors_rule(ct: Node, y: Node, a: Node) -> Node:
    return _by_lower(y @ (matrix_transpose(y) @ ct * _closeness(eigenvalues(a))) @ matrix_transpose(y))


def _infer_eigenvalues(a: Node) -> tuple[Shape, Any]:
    _infer_square("eigvalsh", a)
    return a.shape[:-1], _factor_dtype("eigvalsh", a)


eigenvalues = Primitive("eigenvalues", "np.linalg.eigvalsh({0})", _infer_eigenvalues, [_eigenvalues_rule])
eigenvectors = Primitive("eigenvectors", "np.linalg.eigh({0})[1]", _square_to_square("eigh"), [_eigenvectors_rule])

# ------------------------------------------------------------------------------------- singular values, and factors
# a = u diag(s) vt, with k = min(m, n) singular values: u is (m, k), vt is (k, n). a = q r, with q (m, n), r (n, n).


def _infer_svd(shape: Callable[[int, int, int], tuple[int, ...]]) -> Callable[[Node], tuple[Shape, Any]]:
    def infer(a: Node) -> tuple[Shape, Any]:
        if len(a.shape) < 2:
            raise ShapeError(explain("svd", f"needs matrices, got shape {a.shape}", [a]))
        m, n = a.shape[-2:]
        return (*a.shape[:-2], *shape(m, n, m if m < n else n)), _factor_dtype("svd", a)

    return infer


def _turned(s: Node, towards: Node) -> Node:
    return (towards - matrix_transpose(towards)) * _closeness(s * s)


def _left_vectors_rule(ct: Node, u: Node, a: Node) -> Node:
    s, along = singular_values(a), matrix_transpose(u) @ ct
    share = u @ (_turned(s, along) * _row(s))
    if u.shape[-2] > u.shape[-1]:  # the part outside the space that u spans
        share = share + (ct - u @ along) / _row(s)
    return share @ right_vectors(a)


def _right_vectors_rule(ct: Node, vt: Node, a: Node) -> Node:
    s, along = singular_values(a), ct @ matrix_transpose(vt)
    share = _column(s) * _turned(s, matrix_transpose(along)) @ vt
    if vt.shape[-1] > vt.shape[-2]:
        share = share + (ct - along @ vt) / _column(s)
    return left_vectors(a) @ share


singular_values = Primitive(
    "singular_values", "np.linalg.svd({0}, compute_uv=False)", _infer_svd(lambda m, n, k: (k,)),
    [lambda ct, y, a: left_vectors(a) @ (_column(ct) * right_vectors(a))],
)  # fmt: skip
left_vectors = Primitive(
    "left_vectors", "np.linalg.svd({0}, full_matrices=False)[0]", _infer_svd(lambda m, n, k: (m, k)),
    [_left_vectors_rule],
)  # fmt: skip
right_vectors = Primitive(
    "right_vectors", "np.linalg.svd({0}, full_matrices=False)[2]", _infer_svd(lambda m, n, k: (k, n)),
    [_right_vectors_rule],
)  # fmt: skip


def _by_triangle(x: Node, q: Node, r: Node, more: Node | None = None) -> Node:
    # (more + q mirrored(x)) inv(r).T
    share = q @ _mirrored(x)
    return matrix_transpose(solve(r, matrix_transpose(share if more is None else more + share)))


def _infer_qr(shape: Callable[[int, int], tuple[int, ...]]) -> Callable[[Node], tuple[Shape, Any]]:
    def infer(a: Node) -> tuple[Shape, Any]:
        if len(a.shape) < 2 or a.shape[-2] < a.shape[-1]:
            problem = f"needs matrices with as many rows as columns at least, got shape {a.shape}"
            raise ShapeError(explain("qr", problem, [a]))
        return (*a.shape[:-2], *shape(*a.shape[-2:])), _factor_dtype("qr", a)

    return infer


qr_q = Primitive(
    "qr_q", "np.linalg.qr({0})[0]", _infer_qr(lambda m, n: (m, n)),
    [lambda ct, q, a: _by_triangle(-(matrix_transpose(ct) @ q), q, qr_r(a), ct)],
)  # fmt: skip
qr_r = Primitive(
    "qr_r", 'np.linalg.qr({0}, mode="r")', _infer_qr(lambda m, n: (n, n)),
    [lambda ct, r, a: _by_triangle(r @ matrix_transpose(ct), qr_q(a), r)],
)  # fmt: skip
