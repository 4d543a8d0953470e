"""Arithmetic, comparisons and scalar functions: the NumPy text, then the slope for each operand.

A rule reads as in the textbook: `ct` is the cotangent of the result `y`. Using `y` where it can be used is not only
shorter: `1 - y * y` is the slope of tanh at 1e4 too, where `1 / cosh(x) ** 2` overflows.

`bounded=True` marks slopes that are finite wherever the value is: past a selection they need no guard.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..nodes import CONSTANT, Node
from .shape_rules import elementwise
from .structure import where, zeros_like

LN2, LN10 = math.log(2.0), math.log(10.0)

# Flat almost everywhere: the derivative is 0, at the steps too.
_flat = lambda ct, *_, **__: zeros_like(ct)  # noqa: E731

# ---------------------------------------------------------------------------------------------------- arithmetic

#                        name        NumPy          slope, by operand
add      = elementwise("add",      "{0} + {1}",  lambda ct, y, a, b: ct,
                                                 lambda ct, y, a, b: ct,               bounded=True)
subtract = elementwise("subtract", "{0} - {1}",  lambda ct, y, a, b: ct,
                                                 lambda ct, y, a, b: -ct,              bounded=True)
multiply = elementwise("multiply", "{0} * {1}",  lambda ct, y, a, b: ct * b,
                                                 lambda ct, y, a, b: ct * a)
divide   = elementwise("divide",   "{0} / {1}",  lambda ct, y, a, b: ct / b,
                                                 lambda ct, y, a, b: -ct * y / b)
negative = elementwise("negative", "-{0}",       lambda ct, y, x: -ct,                 bounded=True)
floor_divide = elementwise("floor_divide", "{0} // {1}", _flat, _flat)
remainder = elementwise("remainder", "{0} % {1}", lambda ct, y, a, b: ct,
                                                 lambda ct, y, a, b: -ct * floor_divide(a, b))
fmod     = elementwise("fmod", "np.fmod({0}, {1})", lambda ct, y, a, b: ct,
                                                 lambda ct, y, a, b: -ct * trunc(a / b))


def _power_by_base(ct: Node, y: Node, x: Node, p: Node) -> Node:
    # p x^(p-1), where p = 0 has slope 0 even at x = 0, in all orders. A literal exponent is decided here.
    if p.primitive is CONSTANT and p.shape == ():
        value = np.asarray(p.cached).item()
        return zeros_like(ct) if value == 0 else ct if value == 1 else ct * (value * x ** (value - 1))
    return ct * where(p == 0, 0, p * x ** where(p == 0, 1, p - 1))


power = elementwise(
    "power", "{0} ** {1}",
    _power_by_base,
    lambda ct, y, x, p: ct * y * log(where((x == 0) & (p > 0), 1, x)),
)  # fmt: skip

# -------------------------------------------------------------------------------------------- of one variable

#                          name          NumPy                    slope
square     = elementwise("square",     "np.square({0})",        lambda ct, y, x: ct * (2 * x))
reciprocal = elementwise("reciprocal", "np.reciprocal({0})",    lambda ct, y, x: -ct * y * y)
absolute   = elementwise("absolute",   "np.abs({0})",           lambda ct, y, x: ct * sign(x),          bounded=True)
fabs       = elementwise("fabs",       "np.fabs({0})",          lambda ct, y, x: ct * sign(x),          bounded=True)
positive   = elementwise("positive",   "+{0}",                  lambda ct, y, x: ct, bounded=True)
# sqrt(-0.0) is -0.0, and its slope is inf all the same
sqrt       = elementwise("sqrt",       "np.sqrt({0})",          lambda ct, y, x: ct / (2 * absolute(y)))
cbrt       = elementwise("cbrt",       "np.cbrt({0})",          lambda ct, y, x: ct / (3 * square(y)))
exp        = elementwise("exp",        "np.exp({0})",           lambda ct, y, x: ct * y)
exp2       = elementwise("exp2",       "np.exp2({0})",          lambda ct, y, x: ct * y * LN2)
expm1      = elementwise("expm1",      "np.expm1({0})",         lambda ct, y, x: ct * (y + 1))
log        = elementwise("log",        "np.log({0})",           lambda ct, y, x: ct / x)
log2       = elementwise("log2",       "np.log2({0})",          lambda ct, y, x: ct / (LN2 * x))
log10      = elementwise("log10",      "np.log10({0})",         lambda ct, y, x: ct / (LN10 * x))
log1p      = elementwise("log1p",      "np.log1p({0})",         lambda ct, y, x: ct / (1 + x))

sin        = elementwise("sin",        "np.sin({0})",           lambda ct, y, x: ct * cos(x),           bounded=True)
cos        = elementwise("cos",        "np.cos({0})",           lambda ct, y, x: -ct * sin(x),          bounded=True)
tan        = elementwise("tan",        "np.tan({0})",           lambda ct, y, x: ct * (1 + square(y)))
arcsin     = elementwise("arcsin",     "np.arcsin({0})",        lambda ct, y, x: ct / sqrt((1 - x) * (1 + x)))
arccos     = elementwise("arccos",     "np.arccos({0})",        lambda ct, y, x: -ct / sqrt((1 - x) * (1 + x)))
arctan     = elementwise("arctan",     "np.arctan({0})",        lambda ct, y, x: ct / (1 + square(x)))
sinh       = elementwise("sinh",       "np.sinh({0})",          lambda ct, y, x: ct * cosh(x))
cosh       = elementwise("cosh",       "np.cosh({0})",          lambda ct, y, x: ct * sinh(x))
tanh       = elementwise("tanh",       "np.tanh({0})",          lambda ct, y, x: ct * (1 - y * y),      bounded=True)
arcsinh    = elementwise("arcsinh",    "np.arcsinh({0})",       lambda ct, y, x: ct / hypot(x, 1))
arccosh    = elementwise("arccosh",    "np.arccosh({0})",       lambda ct, y, x: ct / (sqrt(x - 1) * sqrt(x + 1)))
arctanh    = elementwise("arctanh",    "np.arctanh({0})",       lambda ct, y, x: ct / ((1 - x) * (1 + x)))

sigmoid    = elementwise("sigmoid",    "sigmoid({0})",          lambda ct, y, x: ct * (y * (1 - y)),    bounded=True)
relu       = elementwise("relu",       "np.maximum({0}, 0)",    lambda ct, y, x: where(x > 0, ct, 0),   selects=True)
# The root of a sum of squares, whose slope at 0 is 0 by convention (std of equal values, say).
root       = elementwise("root",       "np.sqrt({0})",          lambda ct, y, x: ct * (0.5 / where(y == 0, np.inf, y)))
deg2rad    = elementwise("deg2rad",    "np.deg2rad({0})",       lambda ct, y, x: ct * (math.pi / 180),  bounded=True)
rad2deg    = elementwise("rad2deg",    "np.rad2deg({0})",       lambda ct, y, x: ct * (180 / math.pi),  bounded=True)


def _sinc_text(operands: Any, params: dict[str, Any]) -> str:
    order = params["order"]
    return f"sinc_derivative({operands[0]}, {order})" if order else f"np.sinc({operands[0]})"


sinc = elementwise("sinc", _sinc_text, lambda ct, y, x, *, order: ct * sinc(x, order=order + 1), bounded=True)  # type: ignore[arg-type]

sign       = elementwise("sign",       "np.sign({0})",          _flat,                                  bounded=True)
floor      = elementwise("floor",      "np.floor({0})",         _flat,                                  bounded=True)
ceil       = elementwise("ceil",       "np.ceil({0})",          _flat,                                  bounded=True)
trunc      = elementwise("trunc",      "np.trunc({0})",         _flat,                                  bounded=True)
rint       = elementwise("rint",       "np.rint({0})",          _flat,                                  bounded=True)
round      = elementwise("round",      "np.round({0}, {decimals})", _flat,                              bounded=True)

# ------------------------------------------------------------------------------------------- of two variables


def _winner(ct: Node, y: Node, mine: Node, other: Node) -> Node:
    # all to the operand that the result equals, half where it equals both, nothing to a NaN
    return where(mine == y, where(other == y, ct * 0.5, ct), 0)


def _extremum(name: str) -> Any:
    return elementwise(
        name, f"np.{name}({{0}}, {{1}})",
        lambda ct, y, a, b: _winner(ct, y, a, b),
        lambda ct, y, a, b: _winner(ct, y, b, a),
        selects=True,
    )  # fmt: skip


maximum, minimum, fmax, fmin = map(_extremum, ("maximum", "minimum", "fmax", "fmin"))

clip = elementwise(
    "clip", "np.clip({0}, {1}, {2})",
    lambda ct, y, x, low, high: where((x >= low) & (x <= high), ct, 0),
    lambda ct, y, x, low, high: where((x < low) & (low <= high), ct, 0),
    lambda ct, y, x, low, high: where((x > high) | (low > high), ct, 0),
    selects=True,
)  # fmt: skip

# b / (a^2 + b^2), without the squares, which overflow where the slope does not
arctan2 = elementwise(
    "arctan2", "np.arctan2({0}, {1})",
    lambda ct, y, a, b: ct * (b / hypot(a, b)) / hypot(a, b),
    lambda ct, y, a, b: -ct * (a / hypot(a, b)) / hypot(a, b),
)  # fmt: skip

hypot = elementwise(
    "hypot", "np.hypot({0}, {1})",
    lambda ct, y, a, b: ct * (a / where(y == 0, 1, y)),
    lambda ct, y, a, b: ct * (b / where(y == 0, 1, y)),
    bounded=True,
)  # fmt: skip

copysign = elementwise(
    "copysign", "np.copysign({0}, {1})",
    lambda ct, y, a, b: ct * sign(a) * copysign(1.0, b),
    _flat,
    bounded=True,
)  # fmt: skip


# A step of one unit in the last place: as smooth as x itself.
nextafter = elementwise(
    "nextafter", "np.nextafter({0}, {1})",
    lambda ct, y, a, b: ct,
    _flat,
    bounded=True,
)  # fmt: skip

heaviside = elementwise(
    "heaviside", "np.heaviside({0}, {1})",
    _flat,
    lambda ct, y, a, b: where(a == 0, ct, 0),
    selects=True,
)  # fmt: skip


def _softer(ct: Node, y: Node, mine: Node, other: Node, scale: float) -> Node:
    # the share of log(e^a + e^b) that belongs to `mine`: the sigmoid of the difference. Of equal infinities there is
    # none: -inf gives no share, inf half. (Equal finite ones need the sigmoid, for the second derivative's sake.)
    slope = sigmoid((mine - other) * scale)
    return ct * where((mine == other) & isinf(y), where(y == -np.inf, zeros_like(y), 0.5), slope)


logaddexp = elementwise(
    "logaddexp", "np.logaddexp({0}, {1})",
    lambda ct, y, a, b: _softer(ct, y, a, b, 1.0),
    lambda ct, y, a, b: _softer(ct, y, b, a, 1.0),
    bounded=True,
)  # fmt: skip

logaddexp2 = elementwise(
    "logaddexp2", "np.logaddexp2({0}, {1})",
    lambda ct, y, a, b: _softer(ct, y, a, b, LN2),
    lambda ct, y, a, b: _softer(ct, y, b, a, LN2),
    bounded=True,
)  # fmt: skip

# ------------------------------------------------------- without a derivative: the result is a boolean or an integer

equal         = elementwise("equal",         "{0} == {1}")
not_equal     = elementwise("not_equal",     "{0} != {1}")
less          = elementwise("less",          "{0} < {1}")
less_equal    = elementwise("less_equal",    "{0} <= {1}")
greater       = elementwise("greater",       "{0} > {1}")
greater_equal = elementwise("greater_equal", "{0} >= {1}")

bitwise_and   = elementwise("bitwise_and",   "{0} & {1}")
bitwise_or    = elementwise("bitwise_or",    "{0} | {1}")
bitwise_xor   = elementwise("bitwise_xor",   "{0} ^ {1}")
left_shift    = elementwise("left_shift",    "{0} << {1}")
right_shift   = elementwise("right_shift",   "{0} >> {1}")
invert        = elementwise("invert",        "~{0}")

logical_and   = elementwise("logical_and",   "np.logical_and({0}, {1})")
logical_or    = elementwise("logical_or",    "np.logical_or({0}, {1})")
logical_xor   = elementwise("logical_xor",   "np.logical_xor({0}, {1})")
logical_not   = elementwise("logical_not",   "np.logical_not({0})")
isnan         = elementwise("isnan",         "np.isnan({0})")
isinf         = elementwise("isinf",         "np.isinf({0})")
isfinite      = elementwise("isfinite",      "np.isfinite({0})")
signbit       = elementwise("signbit",       "np.signbit({0})")
