"""Small NumPy functions that primitives call by name where NumPy has none.

They are ordinary functions of arrays. Generated source carries a verbatim copy of those that it uses, so they may
lean on nothing but NumPy and on each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


@np.errstate(over="ignore")
def sigmoid(x: Array, out: Array = None) -> Array:
    """1 / (1 + exp(-x)). Where exp overflows, the quotient is 0, which is right, so the warning is not."""
    return np.divide(1, 1 + np.exp(-x), out=out)


def logsumexp(x: Array, axis: Any) -> Array:
    """log(sum(exp(x))) along axis, kept as length 1; -inf where all are -inf."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore", over="ignore"):
        return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top


def softmax(x: Array, axis: Any) -> Array:
    """exp(x) / sum(exp(x)) along axis; 0 where all are -inf, as in a fully masked row."""
    top = np.max(x, axis=axis, keepdims=True)
    weights = np.exp(x - np.where(top == -np.inf, 0, top))
    total = np.sum(weights, axis=axis, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def log_softmax(x: Array, axis: Any) -> Array:
    """x - log(sum(exp(x))) along axis, precise where softmax is about 0 or 1; -inf where all are -inf."""
    top = np.max(x, axis=axis, keepdims=True)
    x = x - np.where(top == -np.inf, 0, top)
    total = np.sum(np.exp(x), axis=axis, keepdims=True)
    return x - np.log(np.where(total == 0, 1, total))


def absorb(share: Array, cotangent: Array) -> Array:
    """The share, where a zero cotangent counts as stronger than an infinite slope: 0 for 0 * inf and 0 * nan."""
    return np.where(np.isnan(share) & (cotangent == 0), 0, share)


def place(values: Array, shape: tuple[int, ...], index: Any) -> Array:
    """Zeros with values at a basic index: the transpose of taking a slice."""
    out = np.zeros(shape, dtype=np.asarray(values).dtype)
    out[index] = values
    return out


def scatter_add(values: Array, shape: tuple[int, ...], index: Any) -> Array:
    """Zeros with values added at an index of integer arrays; where an entry is named twice, both are added."""
    out = np.zeros(shape, dtype=np.asarray(values).dtype)
    np.add.at(out, index, values)
    return out


def cofactors(a: Array) -> Array:
    """What multiplies each entry in the determinant, det(a) * inv(a).T, without dividing by det(a), which may be 0."""
    u, s, vt = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.prod(np.where(np.eye(n, dtype=bool), s.dtype.type(1), s[..., None, :]), axis=-1)
    orientation = np.linalg.det(u) * np.linalg.det(vt)
    return (orientation[..., None, None] * u * others[..., None, :]) @ vt


def linear_recurrence(a: Array, b: Array, axis: int) -> Array:
    """s[0] = b[0], s[j] = a[j] * s[j - 1] + b[j] along axis."""
    a, s = np.moveaxis(a, axis, 0), np.moveaxis(np.array(b), axis, 0)
    for j in range(1, len(s)):
        s[j] += a[j] * s[j - 1]
    return np.moveaxis(s, 0, axis)


def order_statistic(x: Array, k: int, axis: int) -> Array:
    """The k-th smallest along axis, kept as length 1; NaN where there is one."""
    ordered = np.partition(x, [k, -1], axis=axis)
    largest = np.take(ordered, [-1], axis=axis)  # a NaN counts as the largest
    return np.where(largest == largest, np.take(ordered, [k], axis=axis), largest)


def sinc_derivative(x: Array, order: int) -> Array:
    """The derivative of np.sinc of any order, by series near 0 and by recurrence elsewhere.

    With j_n the n-th derivative of sin(u)/u: u j_n = sin(u + n pi/2) - n j_(n-1), which is stable for u > n. All in
    float64: the powers in the series would overflow a float32.
    """
    u = np.pi * np.asarray(x, dtype=np.float64)
    near = np.abs(u) < order + 3
    v = np.where(near, 1, u)
    far = np.sin(v) / v
    for n in range(1, order + 1):
        far = (np.sin(v + n * np.pi / 2) - n * far) / v
    v = np.where(near, u, 0)
    series, first = np.zeros_like(v), (order + 1) // 2
    coefficient = (-1.0) ** first / (2 * first + 1)  # of u^(2k), over (2k - order)!
    for k in range(first, first + 25 + order):
        power = 2 * k - order
        series = series + coefficient * v**power
        coefficient *= -(2 * k + 1) / ((2 * k + 3) * (power + 1) * (power + 2))
    return (np.pi**order * np.where(near, series, far)).astype(np.asarray(x).dtype)
