"""NumPy's entrywise functions: the operands broadcast, the dtype is NumPy's.

    add(x1, x2)      tanh(x)      maximum(x1, x2)      where(condition, x, y)      clip(a, min=0)      isnan(x)

Most are primitives under NumPy's name and signature. They stand in two tables: what the function gives, and an
example, from which its docstring is made. What is composed of several primitives is written out below the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, ShapeError, explain
from ..nodes import Node, Primitive, constant
from ..primitives import elementwise as table
from ..primitives import structure
from ..primitives.reductions import all_
from ..primitives.shape_rules import promote
from ..primitives.structure import cast, operand, strong
from .arguments import floating, in_dtype, known_dtype

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "allclose", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "around", "array_equal", "asin", "asinh", "astype", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "cbrt",
    "ceil", "clip", "conj", "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees", "divide", "divmod", "equal",
    "exp", "exp2", "expm1", "fabs", "fix", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "greater",
    "greater_equal", "heaviside", "hypot", "imag", "invert", "isclose", "isfinite", "isinf", "isnan", "isneginf",
    "isposinf", "left_shift", "less", "less_equal", "log", "log1p", "log2", "log10", "logaddexp", "logaddexp2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "nan_to_num",
    "negative", "nextafter", "not_equal", "positive", "pow", "power", "rad2deg", "radians", "real", "reciprocal",
    "remainder", "right_shift", "rint", "round", "select", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square",
    "subtract", "tan", "tanh", "true_divide", "trunc", "where",
]  # fmt: skip


def _documented(function: Callable[..., Any], name: str, meaning: str, arguments: str, result: str) -> Any:
    function.__name__ = function.__qualname__ = name
    example = f">>> import minigrad as mg\n    >>> mg.{name}({arguments}).tolist()\n    {result}"
    function.__doc__ = f"{meaning}\n\n    {example}\n    "
    return function


def _of_one(primitive: Primitive, meaning: str, arguments: str, result: str) -> Callable[[Any], Node]:
    # a ufunc of one operand
    def function(x: Any, /) -> Node:
        return primitive(x if type(x) is Node else operand(x, primitive.name))

    return _documented(function, primitive.name, meaning, arguments, result)  # type: ignore[no-any-return]


def _power(x1: Any, x2: Any, /) -> Node:
    base, exponent = (x if type(x) is Node else operand(x, "power") for x in (x1, x2))
    if base.dtype.kind == "b" and exponent.dtype.kind == "i":
        exponent = strong(exponent)  # as np.power has it; by ** 2, an array of booleans is int8, one boolean int64
    return table.power(base, exponent)


def _of_two(primitive: Primitive, meaning: str, arguments: str, result: str) -> Callable[[Any, Any], Node]:
    # a ufunc of two operands
    def function(x1: Any, x2: Any, /) -> Node:
        a = x1 if type(x1) is Node else operand(x1, primitive.name)
        return primitive(a, x2 if type(x2) is Node else operand(x2, primitive.name))

    return _documented(function, primitive.name, meaning, arguments, result)  # type: ignore[no-any-return]


# fmt: off
# ------------------------------------------------------------------------------------------------------- arithmetic
#                         primitive            what it gives, entry by entry                  example          result

add          = _of_two(table.add,          "The sum x1 + x2.",                         "[1, 2], 10", "[11, 12]")
subtract     = _of_two(table.subtract,     "The difference x1 - x2.",                  "[1, 2], 10", "[-9, -8]")
multiply     = _of_two(table.multiply,     "The product x1 * x2.",                     "[1, 2], 10", "[10, 20]")
divide       = _of_two(table.divide,       "The quotient x1 / x2, a float.",           "[1, 2], 2",  "[0.5, 1.0]")
floor_divide = _of_two(table.floor_divide, "The largest integer up to x1 / x2.",       "[7, -7], 2", "[3, -4]")
remainder    = _of_two(table.remainder,    "What is left of x1, with the sign of x2.", "[7, -7], 2", "[1, 1]")
fmod         = _of_two(table.fmod,         "What is left of x1, with its own sign.",   "[7, -7], 2", "[1, -1]")
power        = _documented(_power, "power", "x1 to the power of x2.",                   "[2, 3], 2",  "[4, 9]")
negative     = _of_one(table.negative,     "The opposite, -x.",                        "[1, -2]",    "[-1, 2]")
positive     = _of_one(table.positive,     "x itself.",                                "[1, -2]",    "[1, -2]")
absolute     = _of_one(table.absolute,     "The magnitude |x|.",                       "[1, -2]",    "[1, 2]")
fabs         = _of_one(table.fabs,         "The magnitude |x|, a float.",              "[1, -2]",    "[1.0, 2.0]")
sign         = _of_one(table.sign,         "-1, 0 or 1, by the sign of x.",            "[-3, 0, 2]", "[-1, 0, 1]")
square       = _of_one(table.square,       "The square x * x.",                        "[1, -2]",    "[1, 4]")
reciprocal   = _of_one(table.reciprocal,   "1 / x, in the dtype of x.",                "[0.5, 4.0]", "[2.0, 0.25]")
sqrt         = _of_one(table.sqrt,         "The square root.",                         "[4, 2]",     "[2.0, 1.414]")
cbrt         = _of_one(table.cbrt,         "The cube root.",                           "[-8, 1]",    "[-2.0, 1.0]")
abs, mod, pow, true_divide = absolute, remainder, power, divide

# ------------------------------------------------------------------------------------------- exponents and logarithms

exp        = _of_one(table.exp,        "e to the power of x.",                       "[0, 1]",       "[1.0, 2.718]")
exp2       = _of_one(table.exp2,       "2 to the power of x.",                       "[0, 3]",       "[1.0, 8.0]")
expm1      = _of_one(table.expm1,      "exp(x) - 1, precise for small x.",           "[0, 1]",       "[0.0, 1.718]")
log        = _of_one(table.log,        "The natural logarithm.",                     "[1, 2]",       "[0.0, 0.693]")
log2       = _of_one(table.log2,       "The logarithm to base 2.",                   "[1, 8]",       "[0.0, 3.0]")
log10      = _of_one(table.log10,      "The logarithm to base 10.",                  "[1, 100]",     "[0.0, 2.0]")
log1p      = _of_one(table.log1p,      "log(1 + x), precise for small x.",           "[0, 1]",       "[0.0, 0.693]")
logaddexp  = _of_two(table.logaddexp,  "log(exp(x1) + exp(x2)), without overflow.",  "[0, 1000], 0", "[0.693, 1000.0]")
logaddexp2 = _of_two(table.logaddexp2, "log2(2 ** x1 + 2 ** x2), without overflow.", "[0, 2000], 0", "[1.0, 2000.0]")

# ------------------------------------------------------------------------------------------------------ trigonometry

sin     = _of_one(table.sin,     "The sine of x, in radians.",                       "[0, 1]",      "[0.0, 0.841]")
cos     = _of_one(table.cos,     "The cosine of x, in radians.",                     "[0, 1]",      "[1.0, 0.540]")
tan     = _of_one(table.tan,     "The tangent of x, in radians.",                    "[0, 1]",      "[0.0, 1.557]")
arcsin  = _of_one(table.arcsin,  "The angle whose sine is x.",                       "[0, 1]",      "[0.0, 1.571]")
arccos  = _of_one(table.arccos,  "The angle whose cosine is x.",                     "[0, 1]",      "[1.571, 0.0]")
arctan  = _of_one(table.arctan,  "The angle whose tangent is x.",                    "[0, 1]",      "[0.0, 0.785]")
arctan2 = _of_two(table.arctan2, "The angle of the point (x2, x1), from -pi to pi.", "[1, -1], -1", "[2.356, -2.356]")
hypot   = _of_two(table.hypot,   "The length of the vector (x1, x2).",               "[3, 0], 4",   "[5.0, 4.0]")
sinh    = _of_one(table.sinh,    "The hyperbolic sine.",                             "[0, 1]",      "[0.0, 1.175]")
cosh    = _of_one(table.cosh,    "The hyperbolic cosine.",                           "[0, 1]",      "[1.0, 1.543]")
tanh    = _of_one(table.tanh,    "The hyperbolic tangent.",                          "[0, 1]",      "[0.0, 0.762]")
arcsinh = _of_one(table.arcsinh, "The number whose hyperbolic sine is x.",           "[0, 1]",      "[0.0, 0.881]")
arccosh = _of_one(table.arccosh, "The number whose hyperbolic cosine is x.",         "[1, 2]",      "[0.0, 1.317]")
arctanh = _of_one(table.arctanh, "The number whose hyperbolic tangent is x.",        "[0.0, 0.5]",  "[0.0, 0.549]")
deg2rad = _of_one(table.deg2rad, "Degrees as radians.",                              "[0, 180]",    "[0.0, 3.142]")
rad2deg = _of_one(table.rad2deg, "Radians as degrees.",                              "[0, 1]",      "[0.0, 57.296]")
radians, degrees = deg2rad, rad2deg
asin, acos, atan, atan2, asinh, acosh, atanh = arcsin, arccos, arctan, arctan2, arcsinh, arccosh, arctanh

# -------------------------------------------------------------------------------------------- whole numbers, extrema

floor     = _of_one(table.floor,     "The largest integer up to x.",                 "[1.7, -1.7]", "[1.0, -2.0]")
ceil      = _of_one(table.ceil,      "The smallest integer from x on.",              "[1.7, -1.7]", "[2.0, -1.0]")
trunc     = _of_one(table.trunc,     "The integer next to x towards zero.",          "[1.7, -1.7]", "[1.0, -1.0]")
rint      = _of_one(table.rint,      "The nearest integer, of two the even one.",    "[1.7, 2.5]",  "[2.0, 2.0]")
maximum   = _of_two(table.maximum,   "The larger one; NaN where one is NaN.",        "[1, 5], 3",   "[3, 5]")
minimum   = _of_two(table.minimum,   "The smaller one; NaN where one is NaN.",       "[1, 5], 3",   "[1, 3]")
fmax      = _of_two(table.fmax,      "The larger one; the other where one is NaN.",  "[1, 5], 3",   "[3, 5]")
fmin      = _of_two(table.fmin,      "The smaller one; the other where one is NaN.", "[1, 5], 3",   "[1, 3]")
copysign  = _of_two(table.copysign,  "The magnitude of x1 with the sign of x2.",     "[1, -2], -1", "[-1.0, -2.0]")
nextafter = _of_two(table.nextafter, "The next float after x1 towards x2.",          "0.0, 1.0",    "5e-324")
heaviside = _of_two(table.heaviside, "0 below 0, x2 at 0, 1 above.",                 "[0, 3], 0.5", "[0.5, 1.0]")

# -------------------------------------------------------------------------------------------------- truth, and bits

equal         = _of_two(table.equal,         "Whether x1 == x2.",                     "[1, 2], 2",      "[False, True]")
not_equal     = _of_two(table.not_equal,     "Whether x1 != x2.",                     "[1, 2], 2",      "[True, False]")
less          = _of_two(table.less,          "Whether x1 < x2.",                      "[1, 2], 2",      "[True, False]")
less_equal    = _of_two(table.less_equal,    "Whether x1 <= x2.",                     "[1, 3], 2",      "[True, False]")
greater       = _of_two(table.greater,       "Whether x1 > x2.",                      "[2, 3], 2",      "[False, True]")
greater_equal = _of_two(table.greater_equal, "Whether x1 >= x2.",                     "[1, 2], 2",      "[False, True]")
logical_and   = _of_two(table.logical_and,   "Whether both are true (not zero).",     "[0, 2], 3",      "[False, True]")
logical_or    = _of_two(table.logical_or,    "Whether at least one is true.",         "[0, 2], 0",      "[False, True]")
logical_xor   = _of_two(table.logical_xor,   "Whether exactly one is true.",          "[0, 2], 3",      "[True, False]")
logical_not   = _of_one(table.logical_not,   "Whether x is false (zero).",            "[0, 2]",         "[True, False]")
isnan         = _of_one(table.isnan,         "Whether x is NaN.",                     "[0.0, mg.nan]",  "[False, True]")
isinf         = _of_one(table.isinf,         "Whether x is inf or -inf.",             "[0.0, -mg.inf]", "[False, True]")
isfinite      = _of_one(table.isfinite,      "Whether x is neither NaN nor inf.",     "[0.0, mg.nan]",  "[True, False]")
signbit       = _of_one(table.signbit,       "Whether the sign is set; of -0.0 too.", "[0.0, -0.0]",    "[False, True]")
bitwise_and   = _of_two(table.bitwise_and,   "The bits that are set in both.",        "[1, 6], 3",      "[1, 2]")
bitwise_or    = _of_two(table.bitwise_or,    "The bits that are set in one or both.", "[1, 6], 3",      "[3, 7]")
bitwise_xor   = _of_two(table.bitwise_xor,   "The bits that are set in just one.",    "[1, 6], 3",      "[2, 5]")
left_shift    = _of_two(table.left_shift,    "The bits of x1 moved up by x2.",        "[1, 6], 3",      "[8, 48]")
right_shift   = _of_two(table.right_shift,   "The bits of x1 moved down by x2.",      "[8, 50], 3",     "[1, 6]")
invert        = _of_one(table.invert,        "All bits flipped; of a boolean, not.",  "[0, 6]",         "[-1, -7]")
bitwise_invert = bitwise_not = invert
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
# fmt: on

# -------------------------------------------------------------------------------------------- composed of several


def where(condition: Any, x: Any = None, y: Any = None, /) -> Node:
    """`x` where the condition is true (not zero), `y` elsewhere. The gradient goes to what was taken, only.

    >>> import minigrad as mg
    >>> mg.where([True, False, True], [1, 2, 3], 0).tolist()
    [1, 0, 3]
    """
    if x is None or y is None:
        problem = "of a condition alone, the number of results depends on the values, so it has no static shape"
        raise ArgumentError(explain("where", problem, [operand(condition, "where")], "mg.where(condition, x, y)"))
    return structure.where(operand(condition, "where"), operand(x, "where"), operand(y, "where"))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Node:
    """At each place the choice of the first condition that is true there, and `default` where none is.

    >>> import minigrad as mg
    >>> x = mg.constant([-2.0, 0.5, 3.0])
    >>> mg.select([x < 0, x < 1], [-x, x * x], default=1.0).tolist()
    [2.0, 0.25, 1.0]
    """
    conditions, choices = [operand(c, "select") for c in condlist], [operand(x, "select") for x in choicelist]
    if not conditions or len(conditions) != len(choices):
        problem = f"{len(conditions)} conditions go with {len(choices)} choices; there must be one or more of each"
        raise ShapeError(explain("select", problem))
    for condition in conditions:
        if condition.dtype.kind != "b":
            raise DtypeError(explain("select", f"conditions are booleans, got {condition.dtype}", [condition]))
    chosen = operand(default, "select")
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        chosen = structure.where(condition, choice, chosen)
    return chosen


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Node:
    """Entries below the lower bound raised to it, and those above the upper one lowered; None is no bound.

    An entry at a bound keeps its gradient; outside, the bound gets it.

    >>> import minigrad as mg
    >>> mg.clip([-5, 1, 9], 0, 4).tolist(), mg.clip([-5, 1, 9], max=4).tolist()
    ([0, 1, 4], [-5, 1, 4])
    """
    if (a_min is not None or a_max is not None) and (min is not None or max is not None):
        raise ArgumentError(explain("clip", "the bounds are given twice", instead="a_min and a_max, or min and max"))
    x = operand(a, "clip")
    bounds = (a_min if min is None else min, a_max if max is None else max)
    if x.dtype.kind in "iu" and not x.weak:  # a bare integer at the end of the dtype's range, or beyond, is no bound
        limits = np.iinfo(x.dtype)
        bounds = (None if type(bounds[0]) is int and bounds[0] <= limits.min else bounds[0],
                  None if type(bounds[1]) is int and bounds[1] >= limits.max else bounds[1])  # fmt: skip
    low, high = (None if bound is None else operand(bound, "clip") for bound in bounds)
    if low is None and high is None:
        return strong(x)
    if promote([node for node in (x, low, high) if node is not None]).kind == "f":
        return table.clip(x, -np.inf if low is None else low, np.inf if high is None else high)
    if low is None or high is None:  # integers have no infinity; nor have they gradients that would tell the difference
        bounded: Node = table.minimum(x, high) if low is None else table.maximum(x, low)
        return bounded
    return table.clip(x, low, high)


def round(a: Any, decimals: int = 0) -> Node:
    """Rounded to so many decimals; halves go to the even digit. Negative `decimals` round to tens, hundreds, ...

    >>> import minigrad as mg
    >>> mg.round([1.26, 2.5]).tolist(), mg.round([1.26, 2.5], 1).tolist()
    ([1.0, 2.0], [1.3, 2.5])
    """
    return table.round(operand(a, "round"), decimals=decimals.__index__())


around = round


def fix(x: Any) -> Node:
    """The integer next to x towards zero: `trunc` by another name.

    >>> import minigrad as mg
    >>> mg.fix([1.7, -1.7]).tolist()
    [1.0, -1.0]
    """
    return table.trunc(operand(x, "fix"))


def sinc(x: Any) -> Node:
    """sin(pi x) / (pi x), and 1 at 0.

    >>> import minigrad as mg
    >>> mg.sinc([0.0, 0.5]).tolist()
    [1.0, 0.637]
    """
    return table.sinc(operand(x, "sinc"), order=0)


def float_power(x1: Any, x2: Any, /) -> Node:
    """x1 to the power of x2, in float64 whatever the operands are: negative powers of integers too.

    >>> import minigrad as mg
    >>> mg.float_power([2, 3], -1).tolist()
    [0.5, 0.333]
    """
    double = np.dtype(np.float64)
    base, exponent = operand(x1, "float_power"), operand(x2, "float_power")
    return table.power(cast(base, dtype=double), cast(exponent, dtype=double))


def conjugate(x: Any, /) -> Node:
    """The complex conjugate, which of a real number is itself.

    >>> import minigrad as mg
    >>> mg.conj([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    node = strong(x, "conjugate")
    return cast(node, dtype=np.dtype(np.int8)) if node.dtype.kind == "b" else node  # as NumPy has it


conj = conjugate


def real(val: Any) -> Node:
    """The real part, which of a real number is itself.

    >>> import minigrad as mg
    >>> mg.real([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return strong(val, "real")


def imag(val: Any) -> Node:
    """The imaginary part, which of a real number is 0.

    >>> import minigrad as mg
    >>> mg.imag([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """
    return structure.zeros_like(strong(val, "imag"))


def divmod(x1: Any, x2: Any, /) -> tuple[Node, Node]:
    """Floor quotient and remainder.

    >>> import minigrad as mg
    >>> [part.tolist() for part in mg.divmod([7, -7], 2)]
    [[3, -4], [1, 1]]
    """
    return floor_divide(x1, x2), remainder(x1, x2)


def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Node:
    """The entries in another dtype. (A node never changes, so `copy` makes no difference.)

    >>> import minigrad as mg
    >>> mg.astype([1.5, -1.5], "int64").tolist()
    [1, -1]
    """
    return cast(operand(x, "astype"), dtype=known_dtype("astype", dtype))


def nan_to_num(x: Any, *, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Node:
    """NaN replaced by `nan`, inf and -inf by the largest and smallest finite number, or by what is given.

    >>> import minigrad as mg
    >>> mg.nan_to_num([1.0, mg.nan, mg.inf], posinf=9.0).tolist()
    [1.0, 0.0, 9.0]
    """
    node = strong(x, "nan_to_num")
    if node.dtype.kind != "f":
        return node
    largest = float(np.finfo(node.dtype).max)
    finite = structure.where(node == np.inf, largest if posinf is None else operand(posinf), node)
    finite = structure.where(node == -np.inf, -largest if neginf is None else operand(neginf), finite)
    return in_dtype(structure.where(table.isnan(node), operand(nan), finite), node.dtype, "nan_to_num")


def isposinf(x: Any) -> Node:
    """Whether x is inf.

    >>> import minigrad as mg
    >>> mg.isposinf([mg.inf, -mg.inf]).tolist()
    [True, False]
    """
    return table.equal(strong(x, "isposinf"), np.inf)


def isneginf(x: Any) -> Node:
    """Whether x is -inf.

    >>> import minigrad as mg
    >>> mg.isneginf([mg.inf, -mg.inf]).tolist()
    [False, True]
    """
    return table.equal(strong(x, "isneginf"), -np.inf)


def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Node:
    """Whether |a - b| <= atol + rtol * |b|; infinities are close to themselves only, NaN to none unless `equal_nan`.

    >>> import minigrad as mg
    >>> mg.isclose([1.0, 1.1], [1.0 + 1e-9, 1.0]).tolist()
    [True, False]
    """
    x, y = strong(a, "isclose"), floating(strong(b, "isclose"))
    finite = structure.where(table.isfinite(y), y, 0)  # so that no infinity is subtracted from itself
    tolerance = operand(atol) + operand(rtol) * table.absolute(finite)
    close = (table.absolute(x - finite) <= tolerance) & table.isfinite(y) | (x == y)
    return close | table.isnan(x) & table.isnan(y) if equal_nan else close


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Node:
    """Whether all entries are close, as `isclose` has it; a boolean node.

    >>> import minigrad as mg
    >>> bool(mg.allclose([1.0, 2.0], [1.0 + 1e-9, 2.0]))
    True
    """
    close = isclose(a, b, rtol, atol, equal_nan)
    return all_(close, axis=tuple(range(len(close.shape))), keepdims=False)


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Node:
    """Whether the shapes and all entries are equal; a boolean node. NaN equals NaN only with `equal_nan`.

    >>> import minigrad as mg
    >>> bool(mg.array_equal([1, 2], [1, 2])), bool(mg.array_equal([1, 2], [1]))
    (True, False)
    """
    x, y = strong(a1, "array_equal"), strong(a2, "array_equal")
    if x.shape != y.shape:
        different: Node = constant(np.False_)
        return different
    same = (x == y) | (table.isnan(x) & table.isnan(y)) if equal_nan else x == y
    return all_(same, axis=tuple(range(len(x.shape))), keepdims=False)
