"""Reductions that are not linear: extrema, products, soft maxima, order. Sums stand in `structure.py`.

Products are differentiated without dividing by the factors, so zeros among them are exact in all orders.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError, explain
from ..nodes import Node, Primitive
from .elementwise import exp
from .shape_rules import reduced_shape
from .structure import ALL, _infer_sum, _reduction_text, cast, full, index, join, spread, sum, where
from .text import Cut

INT = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


def _infer_extremum(x: Node, *, axis: tuple[int, ...], keepdims: bool) -> tuple[tuple[int, ...], Any]:
    if any(x.shape[a] == 0 for a in axis):
        raise ShapeError(explain("max, min", f"axis {axis} has no entries, so there is no extremum", [x]))
    return reduced_shape(x.shape, axis, keepdims), x.dtype


def _shared_by_winners(ct: Node, y: Node, x: Node, axis: tuple[int, ...]) -> Node:
    # where k entries equal the result, each gets 1/k
    wins = x == spread(y, x, axis)
    count = cast(sum(wins, axis=axis, keepdims=True), dtype=ct.dtype)
    return where(wins, spread(ct, x, axis) / count, 0)


def _extremum(name: str) -> Primitive:
    return Primitive(
        name, _reduction_text(f"np.{name}"), _infer_extremum,
        [lambda ct, y, x, *, axis, keepdims: _shared_by_winners(ct, y, x, axis)],
        selects=True,
    )  # fmt: skip


max, min = map(_extremum, ("max", "min"))

order_statistic = Primitive(
    "order_statistic", "order_statistic({0}, k={k}, axis={axis})",
    lambda x, *, k, axis: (reduced_shape(x.shape, (axis,), keepdims=True), x.dtype),
    [lambda ct, y, x, *, k, axis: _shared_by_winners(ct, y, x, (axis,))],
    selects=True,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------- products


def _shifted(x: Node, first: float, axis: int) -> Node:
    # x moved on by one place along axis, with `first` put in front
    front = full(shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]), value=first, dtype=x.dtype)
    return join(front, index(x, index=(*[ALL] * axis, Cut(None, -1, None))), axis=axis)


def _flip(x: Node, axis: int) -> Node:
    return index(x, index=(*[ALL] * axis, Cut(None, None, -1)))


def _product_of_others(x: Node, axis: tuple[int, ...]) -> Node:
    # what multiplies each entry in a product over axis: the product before it times the product after it
    from_left = from_right = None
    others: Node | None = None
    for a in axis:
        if x.shape[a] == 0:
            return x
        from_left = cumprod(_shifted(x, 1.0, a), axis=a)
        from_right = _flip(cumprod(_shifted(_flip(x, a), 1.0, a), axis=a), a)
        line = from_left * from_right
        others = line if others is None else others * line
        x = prod(x, axis=(a,), keepdims=True)
    assert others is not None
    return others


prod = Primitive(
    "prod", _reduction_text("np.prod"), _infer_sum,
    [lambda ct, y, x, *, axis, keepdims: spread(ct, x, axis) * _product_of_others(x, axis) if axis else ct],
)  # fmt: skip


def _cumprod_rule(ct: Node, y: Node, x: Node, *, axis: int) -> Node:
    # c[j] = c[j-1] x[j]; all that reaches c[j] is g[j] = ct[j] + x[j+1] g[j+1], so x[j] gets g[j] c[j-1]
    if x.shape[axis] == 0:
        return ct
    following = _shifted(_flip(x, axis), 0.0, axis)
    reaching = _flip(linear_recurrence(following, _flip(ct, axis), axis=axis), axis)
    return reaching * _shifted(y, 1.0, axis)


cumprod = Primitive(
    "cumprod", "np.cumprod({0}, axis={axis})", lambda x, *, axis: (x.shape, _infer_sum(x, axis=(), keepdims=False)[1]),
    [_cumprod_rule],
)  # fmt: skip


def _reversed_recurrence(ct: Node, a: Node, axis: int) -> Node:
    # g[j] = ct[j] + a[j+1] g[j+1]
    following = _shifted(_flip(a, axis), 0.0, axis)
    return _flip(linear_recurrence(following, _flip(ct, axis), axis=axis), axis)


def _infer_recurrence(a: Node, b: Node, *, axis: int) -> tuple[tuple[int, ...], Any]:
    if a.shape != b.shape:
        raise ShapeError(explain("linear_recurrence", f"shapes {a.shape} and {b.shape} differ", [a, b]))
    return b.shape, b.dtype


# s[0] = b[0], s[j] = a[j] s[j-1] + b[j]: closed under differentiation, and no factor is divided by.
linear_recurrence = Primitive(
    "linear_recurrence", "linear_recurrence({0}, {1}, {axis})", _infer_recurrence,
    [
        lambda ct, s, a, b, *, axis: _reversed_recurrence(ct, a, axis) * _shifted(s, 0.0, axis),
        lambda ct, s, a, b, *, axis: _reversed_recurrence(ct, a, axis),
    ],
)  # fmt: skip

# --------------------------------------------------------------------------------------------------- soft maxima


def _float_dtype(x: Node) -> Any:
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def _infer_logsumexp(x: Node, *, axis: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
    if any(x.shape[a] == 0 for a in axis):
        raise ShapeError(explain("logsumexp", f"axis {axis} has no entries", [x]))
    return reduced_shape(x.shape, axis, keepdims=True), _float_dtype(x)


logsumexp = Primitive(
    "logsumexp", _reduction_text("logsumexp"), _infer_logsumexp,
    [lambda ct, y, x, *, axis: ct * softmax(x, axis=axis)],
)  # fmt: skip

softmax = Primitive(
    "softmax", _reduction_text("softmax"), lambda x, *, axis: (x.shape, _float_dtype(x)),
    [lambda ct, y, x, *, axis: y * (ct - sum(ct * y, axis=axis, keepdims=True))],
)  # fmt: skip

log_softmax = Primitive(
    "log_softmax", _reduction_text("log_softmax"), lambda x, *, axis: (x.shape, _float_dtype(x)),
    [lambda ct, y, x, *, axis: ct - exp(y) * sum(ct, axis=axis, keepdims=True)],
)  # fmt: skip

# ---------------------------------------------------------------------------------- order, truth: no derivative


def _position_text(name: str) -> Any:
    return lambda operands, params: f"np.{name}({operands[0]}, axis={params['axis']})"


def _infer_position(x: Node, *, axis: int) -> tuple[tuple[int, ...], Any]:
    if x.shape[axis] == 0:
        raise ShapeError(explain("argmax, argmin", f"axis {axis} has no entries", [x]))
    return reduced_shape(x.shape, (axis,), keepdims=False), INT


argmax = Primitive("argmax", _position_text("argmax"), _infer_position)
argmin = Primitive("argmin", _position_text("argmin"), _infer_position)
argsort = Primitive(
    "argsort", 'np.argsort({0}, axis={axis}, kind="stable")', lambda x, *, axis: (x.shape, INT)
)  # fmt: skip


def _infer_truth(x: Node, *, axis: tuple[int, ...], keepdims: bool) -> tuple[tuple[int, ...], Any]:
    return reduced_shape(x.shape, axis, keepdims), BOOL


any_ = Primitive("any", _reduction_text("np.any"), _infer_truth)
all_ = Primitive("all", _reduction_text("np.all"), _infer_truth)
