"""The second table: primitives at their edges, and the slopes that they have there by convention.

    at("sqrt", 0.0, slopes=(INF,))                      the operands, and a slope for each of them
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from minigrad.nodes import Primitive


@dataclasses.dataclass(frozen=True)
class Point:
    """A primitive at an edge: its operands, and the slope for each of them (None: not asked for)."""

    primitive: Primitive
    operands: tuple[Any, ...]
    params: dict[str, Any]
    slopes: tuple[Any, ...]

    def __str__(self) -> str:
        parts = [*map(repr, self.operands), *[f"{key}={value}" for key, value in self.params.items()]]
        return f"{self.primitive.name}({', '.join(parts)})".replace(" ", "")


SINGULAR: list[Point] = []
CURVED: list[Point] = []  # second derivatives, by the same operand twice
INF, NAN = np.inf, np.nan


def at(name: str, *operands: Any, slopes: tuple[Any, ...], **params: Any) -> None:
    """Add a point: all entries of the result get the cotangent 1."""
    SINGULAR.append(Point(Primitive.table[name], operands, params, slopes))


def curved(name: str, *operands: float, slopes: tuple[Any, ...], **params: Any) -> None:
    """Add a point with its second derivatives."""
    CURVED.append(Point(Primitive.table[name], operands, params, slopes))


# Where there is no derivative, the subgradient of least norm; where one side has a slope, that.
for name in ("absolute", "fabs", "sign", "floor", "ceil", "trunc", "rint", "relu", "root"):
    at(name, 0.0, slopes=(0.0,))
    at(name, -0.0, slopes=(0.0,))
for name in ("floor", "ceil", "trunc"):
    at(name, 2.0, slopes=(0.0,))
at("rint", 2.5, slopes=(0.0,))
at("round", 0.25, decimals=1, slopes=(0.0,))
at("sqrt", 0.0, slopes=(INF,))
at("sqrt", -0.0, slopes=(INF,))
at("sqrt", -1.0, slopes=(NAN,))
at("cbrt", 0.0, slopes=(INF,))
at("log", 0.0, slopes=(INF,))
at("log2", 0.0, slopes=(INF,))
at("log10", 0.0, slopes=(INF,))
at("log1p", -1.0, slopes=(INF,))
at("reciprocal", 0.0, slopes=(-INF,))
at("divide", 1.0, 0.0, slopes=(INF, -INF))
at("divide", 1.0, -0.0, slopes=(-INF, -INF))
at("arcsin", 1.0, slopes=(INF,))
at("arcsin", -1.0, slopes=(INF,))
at("arccos", 1.0, slopes=(-INF,))
at("arccos", -1.0, slopes=(-INF,))
at("arccosh", 1.0, slopes=(INF,))
at("arctanh", 1.0, slopes=(INF,))
at("arctanh", -1.0, slopes=(INF,))
at("sinc", 0.0, order=0, slopes=(0.0,))
at("sinc", 0.0, order=1, slopes=(-np.pi**2 / 3,))

# Powers at 0, whether the exponent is known or not.
for p, slope in ((0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (3.0, 0.0), (0.5, INF), (-1.0, -INF)):
    at("power", 0.0, p, slopes=(slope, None))
    at("power", [0.0], [p], slopes=([slope], None))
at("power", 0.0, 2.0, slopes=(None, 0.0))
at("power", 0.0, 0.5, slopes=(None, 0.0))
at("power", 0.0, 0.0, slopes=(None, -INF))
at("power", 0.0, -1.0, slopes=(None, -INF))
at("power", [INF], [0.0], slopes=([0.0], None))
at("power", [NAN], [0.0], slopes=([0.0], None))
at("power", -2.0, 3.0, slopes=(12.0, None))
at("power", -2.0, 0.0, slopes=(0.0, None))
at("remainder", 4.0, 2.0, slopes=(1.0, -2.0))
at("fmod", -5.0, 2.0, slopes=(1.0, 2.0))

# Ties, bounds, and operands that are NaN.
for name in ("maximum", "minimum", "fmax", "fmin"):
    at(name, 1.0, 1.0, slopes=(0.5, 0.5))
    at(name, [0.0, -INF], [-0.0, -INF], slopes=([0.5, 0.5], [0.5, 0.5]))
for name in ("fmax", "fmin"):
    at(name, NAN, 1.0, slopes=(0.0, 1.0))
    at(name, 1.0, NAN, slopes=(1.0, 0.0))
for name in ("max", "min"):
    at(name, [2.0, 2.0], axis=(0,), keepdims=False, slopes=([0.5, 0.5],))
    at(name, [[1.0, 1.0], [1.0, 1.0]], axis=(0, 1), keepdims=True, slopes=([[0.25, 0.25], [0.25, 0.25]],))
at("max", [3.0, 1.0, 3.0, 3.0], axis=(0,), keepdims=False, slopes=([1 / 3, 0.0, 1 / 3, 1 / 3],))
at("min", [[3.0, 1.0], [1.0, 1.0]], axis=(1,), keepdims=False, slopes=([[0.0, 1.0], [0.5, 0.5]],))
at("max", [-INF, -INF], axis=(0,), keepdims=False, slopes=([0.5, 0.5],))
at("order_statistic", [2.0, 1.0, 2.0], k=1, axis=0, slopes=([0.5, 0.0, 0.5],))
at("clip", -1.0, -1.0, 1.0, slopes=(1.0, 0.0, 0.0))
at("clip", 1.0, -1.0, 1.0, slopes=(1.0, 0.0, 0.0))
at("clip", -2.0, -1.0, 1.0, slopes=(0.0, 1.0, 0.0))
at("clip", 2.0, -1.0, 1.0, slopes=(0.0, 0.0, 1.0))
at("clip", 0.0, 1.0, -1.0, slopes=(0.0, 0.0, 1.0))
at("clip", 0.0, 1.0, 1.0, slopes=(0.0, 1.0, 0.0))
at("clip", 2.0, 1.0, 1.0, slopes=(0.0, 0.0, 1.0))
at("clip", 0.0, 0.0, 0.0, slopes=(1.0, 0.0, 0.0))
at("copysign", 0.0, -1.0, slopes=(0.0, 0.0))
at("copysign", 2.0, -0.0, slopes=(-1.0, 0.0))
at("nextafter", 1.0, 2.0, slopes=(1.0, 0.0))
at("heaviside", 0.0, 0.5, slopes=(0.0, 1.0))
at("heaviside", 1.0, 0.5, slopes=(0.0, 0.0))

# Roots of sums of squares, products with zeros, soft maxima far out.
at("hypot", 0.0, 0.0, slopes=(0.0, 0.0))
at("hypot", 3.0, 0.0, slopes=(1.0, 0.0))
at("hypot", 1e200, -1e200, slopes=(0.5**0.5, -(0.5**0.5)))
at("hypot", 1e-200, 1e-200, slopes=(0.5**0.5, 0.5**0.5))
at("vector_norm", [0.0, 0.0], axis=(0,), keepdims=False, slopes=([0.0, 0.0],))
at("vector_norm", [[0.0, 0.0], [3.0, -4.0]], axis=(1,), keepdims=True, slopes=([[0.0, 0.0], [0.6, -0.8]],))
at("p_norm", [0.0, 0.0], axis=(0,), keepdims=False, ord=3.0, slopes=([0.0, 0.0],))
at("p_norm", [0.0, -2.0], axis=(0,), keepdims=False, ord=3.0, slopes=([0.0, -1.0],))
at("p_norm", [0.0, -2.0], axis=(0,), keepdims=False, ord=0.5, slopes=([0.0, -1.0],))
at("p_norm", [0.0, -2.0], axis=(0,), keepdims=False, ord=-1.0, slopes=([0.0, 0.0],))
at("det", [[1.0, 2.0], [2.0, 4.0]], slopes=([[4.0, -2.0], [-2.0, 1.0]],))
at("det", [[0.0, 0.0], [0.0, 0.0]], slopes=([[0.0, 0.0], [0.0, 0.0]],))
at("arctan2", 1e200, 1e200, slopes=(5e-201, -5e-201))
at("arctan2", 1e-200, 1e-200, slopes=(5e199, -5e199))
at("arctan2", 0.0, -1.0, slopes=(-1.0, 0.0))
at("prod", [0.0, 2.0, 3.0], axis=(0,), keepdims=False, slopes=([6.0, 0.0, 0.0],))
at("prod", [0.0, 2.0, 0.0], axis=(0,), keepdims=False, slopes=([0.0, 0.0, 0.0],))
at("prod", [[0.0, 2.0], [3.0, 4.0]], axis=(0, 1), keepdims=False, slopes=([[24.0, 0.0], [0.0, 0.0]],))
at("cumprod", [2.0, 0.0, 3.0], axis=0, slopes=([1.0, 2.0 + 6.0, 0.0],))
for x, slope in ((1e4, 0.0), (-1e4, 0.0), (INF, 0.0), (-INF, 0.0), (0.0, 0.25)):
    at("sigmoid", x, slopes=(slope,))
for x in (1e4, -1e4, INF, -INF):
    at("tanh", x, slopes=(0.0,))
at("logaddexp", -INF, -INF, slopes=(0.0, 0.0))
at("logaddexp", 1e4, 1e4, slopes=(0.5, 0.5))
at("logaddexp", 1e4, -1e4, slopes=(1.0, 0.0))
at("logaddexp", -INF, 0.0, slopes=(0.0, 1.0))
at("logaddexp", INF, 0.0, slopes=(1.0, 0.0))
at("logaddexp", INF, INF, slopes=(0.5, 0.5))
at("logaddexp2", INF, 0.0, slopes=(1.0, 0.0))
at("logaddexp2", INF, INF, slopes=(0.5, 0.5))
at("logaddexp2", -INF, -INF, slopes=(0.0, 0.0))
at("logaddexp2", 1e4, 1e4, slopes=(0.5, 0.5))
at("logaddexp2", 1e4, -1e4, slopes=(1.0, 0.0))
at("logaddexp2", 1.0, 0.0, slopes=(2 / 3, 1 / 3))
at("logsumexp", [-INF, -INF], axis=(0,), slopes=([0.0, 0.0],))
at("logsumexp", [1e4, 1e4], axis=(0,), slopes=([0.5, 0.5],))
at("logsumexp", [1e4, -1e4, -INF], axis=(0,), slopes=([1.0, 0.0, 0.0],))
at("softmax", [-INF, -INF], axis=(0,), slopes=([0.0, 0.0],))
at("softmax", [1e4, -1e4], axis=(0,), slopes=([0.0, 0.0],))
at("log_softmax", [1e4, -1e4], axis=(0,), slopes=([-1.0, 1.0],))
at("log_softmax", [-INF, -INF], axis=(0,), slopes=([1.0, 1.0],))

# A zero cotangent is stronger than any slope; see also test_conventions.py.
at("where", True, 1.0, NAN, slopes=(None, 1.0, 0.0))
at("where", False, INF, 1.0, slopes=(None, 0.0, 1.0))
at("absorb", NAN, 0.0, slopes=(0.0, None))
at("absorb", NAN, 1.0, slopes=(1.0, None))
at("absorb", INF, 0.0, slopes=(1.0, None))

# ---------------------------------------------------------------------------------------------- second derivatives

curved("absolute", 0.0, slopes=(0.0,))
curved("relu", 0.0, slopes=(0.0,))
curved("square", 0.0, slopes=(2.0,))
curved("sinc", 0.0, order=0, slopes=(-np.pi**2 / 3,))
curved("hypot", 0.0, -2.0, slopes=(0.5, 0.0))
curved("hypot", -2.0, 0.0, slopes=(0.0, 0.5))
curved("logaddexp", 0.0, 0.0, slopes=(0.25, 0.25))
curved("logaddexp2", 0.0, 0.0, slopes=(np.log(2) / 4, np.log(2) / 4))
curved("logaddexp", 1e4, 1e4, slopes=(0.25, 0.25))
curved("maximum", 1.0, 1.0, slopes=(0.0, 0.0))
curved("clip", 1.0, 1.0, 2.0, slopes=(0.0, 0.0, 0.0))
for p, second in ((0.0, 0.0), (1.0, 0.0), (2.0, 2.0), (3.0, 0.0), (4.0, 0.0)):
    curved("power", 0.0, p, slopes=(second, None))
    curved("power", -1.0, p, slopes=(p * (p - 1) * (-1.0) ** p, None))
