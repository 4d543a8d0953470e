"""What each primitive computes, said a second time, by other means than its own text where there are any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.primitives.structure import Cut

Array = Any


def _index(index: Any, operands: tuple[Array, ...] = ()) -> tuple[Any, ...]:
    # a stored index or pattern as NumPy takes it
    parts = [slice(*part) if isinstance(part, Cut) else part for part in index]
    return tuple(operands[int(part) - 1] if isinstance(part, str) else part for part in parts)


def _place(x: Array, shape: Any, index: Any) -> Array:
    positions = np.arange(np.prod(shape)).reshape(shape)[_index(index)]
    out = np.zeros(int(np.prod(shape)))
    out[positions.ravel()] = np.ravel(x)
    return out.reshape(shape)


def _scatter_add(x: Array, *indices: Array, shape: Any, pattern: Any) -> Array:
    positions = np.arange(np.prod(shape)).reshape(shape)[_index(pattern, indices)]
    values = np.broadcast_to(x, positions.shape)
    return np.bincount(positions.ravel(), values.ravel(), minlength=np.prod(shape)).reshape(shape)


def _linear_recurrence(a: Array, b: Array, axis: int) -> Array:
    total, rows = np.zeros_like(np.take(b, 0, axis)), []
    for j in range(b.shape[axis]):
        total = np.take(a, j, axis) * total * (j > 0) + np.take(b, j, axis)
        rows.append(total)
    return np.stack(rows, axis)


def _sinc(x: Array, order: int) -> Array:
    # sinc(x) is the integral of cos(pi s x) over s from 0 to 1, so each derivative is one too
    nodes, weights = np.polynomial.legendre.leggauss(80)
    s = (nodes + 1) / 2 * np.pi
    return np.sum(weights / 2 * s**order * np.cos(s * np.asarray(x)[..., None] + order * np.pi / 2), axis=-1)


def _cumsum(x: Array, axis: int, reverse: bool) -> Array:
    if not reverse:
        return np.cumsum(x, axis=axis)
    return np.sum(x, axis=axis, keepdims=True) - np.cumsum(x, axis=axis) + x


def _cofactors(a: Array) -> Array:
    # entry by entry the determinant of what is left without its row and column, with alternating signs
    out = np.empty_like(a)
    for i, j in np.ndindex(a.shape[-2:]):
        minor = np.delete(np.delete(a, i, -2), j, -1)
        out[..., i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return out


def _logsumexp(x: Array, axis: Any) -> Array:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


REFERENCES: dict[str, Callable[..., Array]] = {
    "absorb": lambda share, cotangent: share + 0 * cotangent,
    "absorbed": lambda share, cotangent: np.zeros(np.broadcast_shapes(share.shape, cotangent.shape), bool),
    "argsort": lambda x, axis: np.argsort(x, axis, kind="stable"),
    "bare": lambda x: x,
    "cast": lambda x, dtype: x.astype(dtype),
    "cumsum": _cumsum,
    "cholesky": np.linalg.cholesky,
    "cofactors": _cofactors,
    "det": np.linalg.det,
    "det_sign": lambda a: np.sign(np.linalg.det(a)),
    "eigenvalues": np.linalg.eigvalsh,
    "eigenvectors": lambda a: np.linalg.eigh(a)[1],
    "einsum": lambda *xs, subscripts: np.einsum(subscripts, *xs),
    "full": lambda shape, value, dtype: np.full(shape, value, dtype),
    "gather": lambda x, *indices, pattern: x[_index(pattern, indices)],
    "index": lambda x, index: x[_index(index)],
    "inv": lambda a: np.linalg.solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape)),
    "join": lambda *xs, axis: np.concatenate(xs, axis),
    "left_vectors": lambda a: np.linalg.svd(a, full_matrices=False)[0],
    "linear_recurrence": _linear_recurrence,
    "log_abs_det": lambda a: np.log(np.abs(np.linalg.det(a))),
    "log_softmax": lambda x, axis: x - _logsumexp(x, axis),
    "logsumexp": _logsumexp,
    "order_statistic": lambda x, k, axis: np.take(np.sort(x, axis), [k], axis),
    "p_norm": lambda x, axis, keepdims, ord: np.sum(np.abs(x) ** ord, axis, keepdims=keepdims) ** (1 / ord),
    "pinv": lambda a, rcond: np.linalg.pinv(a),
    "place": _place,
    "qr_q": lambda a: np.linalg.qr(a)[0],
    "qr_r": lambda a: np.linalg.qr(a)[1],
    "relu": lambda x: np.where(x > 0, x, 0),
    "right_vectors": lambda a: np.linalg.svd(a, full_matrices=False)[2],
    "root": np.sqrt,
    "scatter_add": _scatter_add,
    "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2,
    "contiguous": lambda x: x,
    "singular_values": lambda a: np.linalg.svd(a)[1],
    "sinc": _sinc,
    "softmax": lambda x, axis: np.exp(x - _logsumexp(x, axis)),
    "solve": lambda a, b: np.linalg.inv(a) @ b,
    "stack": lambda *xs, axis: np.stack(xs, axis),
    "stop_gradient": lambda x: x,
    "vector_norm": lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}


def reference(name: str) -> Callable[..., Array]:
    """The function that a primitive's value is compared with: the one given here, else NumPy's of the same name."""
    found: Callable[..., Array] = REFERENCES.get(name) or getattr(np, name)
    return found
