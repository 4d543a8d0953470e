"""Sample rows: for every primitive, operands on which its rules can be compared with differences.

    row("log", POSITIVE)                                one row an entrywise primitive; shapes are varied for it
    row("matmul", REAL(3, 4), REAL(4), analytic=True)   others say their shapes, in as many rows as they have cases

Rows draw their operands where the primitive is smooth. What happens at the edges stands in `singular.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.nodes import Node, Primitive, constant
from minigrad.primitives.structure import ALL, Cut

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
F32, F64, I64 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)

# ------------------------------------------------------------------------------------------------------- operands


@dataclasses.dataclass(frozen=True)
class Operand:
    """How to draw one operand. `fixed` operands have no derivative; integers and booleans never have."""

    draw: Callable[[np.random.Generator, Shape], Array]
    shape: Shape | None = None
    fixed: bool = False
    narrow: bool = True  # may be drawn as float32

    def __call__(self, *shape: int) -> Operand:
        return dataclasses.replace(self, shape=shape)


def between(low: float, high: float) -> Operand:
    """Uniform numbers."""
    return Operand(lambda rng, shape: rng.uniform(low, high, shape))


def around(*centres: float, width: float = 0.3) -> Operand:
    """Numbers at most `width` away from one of the centres, each as often as the others: kinks can be kept out."""

    def draw(rng: np.random.Generator, shape: Shape) -> Array:
        return np.resize(rng.permutation(centres), shape) + rng.uniform(-width, width, shape)

    return Operand(draw)


def integers(low: int, high: int) -> Operand:
    """Whole numbers from low to high."""
    return Operand(lambda rng, shape: rng.integers(low, high, shape, endpoint=True), fixed=True)


def _apart(rng: np.random.Generator, shape: Shape) -> Array:
    size = int(np.prod(shape))
    return (rng.permutation(size) * 0.5 - size / 5 + rng.uniform(0.0, 0.2, size)).reshape(shape)


def _invertible(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.uniform(-1, 1, shape) + 2 * np.eye(shape[-1])


def _symmetric(rng: np.random.Generator, shape: Shape) -> Array:
    # with eigenvalues that are apart
    x = rng.uniform(-1, 1, shape) / 4
    return x + x.swapaxes(-1, -2) + np.diag(np.arange(shape[-1]) - 0.5)


def _positive_definite(rng: np.random.Generator, shape: Shape) -> Array:
    x = rng.uniform(-1, 1, shape)
    return x @ x.swapaxes(-1, -2) + np.eye(shape[-1])


def fixed(operand: Operand) -> Operand:
    """The same operand, which the primitive has no derivative by."""
    return dataclasses.replace(operand, fixed=True)


REAL = between(-2.0, 2.0)
UNIT = between(-0.9, 0.9)
POSITIVE = between(0.3, 2.5)
NONZERO = around(-1.5, -0.7, 0.7, 1.5)
OFF_INTEGERS = around(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
APART = Operand(_apart)  # no two entries are close: one winner, one order
INVERTIBLE = Operand(_invertible)
SYMMETRIC = Operand(_symmetric)
POSITIVE_DEFINITE = Operand(_positive_definite)
TRUTH = Operand(lambda rng, shape: rng.integers(0, 2, shape).astype(bool), fixed=True)
SMALL = integers(-3, 3)

# ----------------------------------------------------------------------------------------------------------- rows


@dataclasses.dataclass(frozen=True)
class Case:
    """A primitive with drawable operands of given shapes. A bare number among them is a literal."""

    primitive: Primitive
    operands: tuple[Operand | float, ...]
    params: dict[str, Any]
    analytic: bool  # its text takes complex numbers, and is differentiable as a function of them

    def __str__(self) -> str:
        parts = [str(x.shape) if isinstance(x, Operand) else repr(x) for x in self.operands]
        parts += [f"{key}={value}" for key, value in self.params.items()]
        return f"{self.primitive.name}({', '.join(parts)})".replace(" ", "")

    def draw(self, seed: int = 0, dtype: Any = np.float64) -> list[Any]:
        """The operands: arrays, with floats in the given dtype, and literals as they are."""
        rng = np.random.default_rng([seed, *str(self).encode()])
        drawn: list[Any] = list(self.operands)
        for i, operand in enumerate(self.operands):
            if isinstance(operand, Operand):
                x = np.asarray(operand.draw(rng, operand.shape or ()))
                drawn[i] = x.astype(dtype) if x.dtype.kind == "f" and operand.narrow else x
        return drawn

    @property
    def smooth(self) -> list[int]:
        """The positions of the operands that the primitive has a derivative by."""
        return [i for i, x in enumerate(self.operands) if isinstance(x, Operand) and not x.fixed]

    def function(self, operands: list[Any]) -> Callable[..., Node]:
        """The primitive as a function of its smooth operands, the others fixed to those given."""

        def apply(*arguments: Any) -> Node:
            full = list(operands)
            for position, value in zip(self.smooth, arguments, strict=True):
                full[position] = value
            return self.primitive(*[x if isinstance(x, (Node, int, float)) else constant(x) for x in full], **self.params)

        return apply


# Shapes for entrywise primitives, by the number of operands: equal, broadcast in each way, 0-d, empty, length 1.
SHAPES: dict[int, list[tuple[Shape, ...]]] = {
    1: [((),), ((3,),), ((2, 3),), ((0, 3),), ((1, 1),)],
    2: [
        ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (3,)), ((), (2, 3)), ((3,), ()), ((), ()),
        ((1, 1), (3,)), ((0, 3), (1, 3)), ((1,), (2, 1)), ((2, 1), (2, 2, 3)), ((1, 3), (1, 2, 3)), ((1, 1), (2, 3, 1)),
    ],
    3: [((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ()), ((), (2, 1), (3,)), ((2, 1), (1, 3), (1, 1)), ((0,), (1,), ())],
}  # fmt: skip

SAMPLES: dict[str, list[Case]] = {}


def row(name: str, *operands: Operand | float, analytic: bool = False, **params: Any) -> None:
    """Add cases of a primitive: one for these operands or, where they say no shapes, one for each choice of shapes."""
    cases = SAMPLES.setdefault(name, [])
    shapeless = [i for i, x in enumerate(operands) if isinstance(x, Operand) and x.shape is None]
    for shapes in SHAPES[len(shapeless)] if shapeless else [()]:
        shaped = list(operands)
        for i, shape in zip(shapeless, shapes, strict=True):
            shaped[i] = operands[i](*shape)  # type: ignore[operator]
        cases.append(Case(Primitive.table[name], tuple(shaped), params, analytic))


def all_cases() -> Iterator[Case]:
    """Every case of every primitive."""
    for cases in SAMPLES.values():
        yield from cases


# Entries of the table that have no rows here: they are no functions of arrays. Their tests stand elsewhere.
ELSEWHERE = {"symbol": "test_graph.py", "constant": "test_graph.py", "scan": "test_loop.py", "pick": "test_loop.py"}

# ----------------------------------------------------------------------------------------------------- arithmetic
#    name            operands

row("add",          REAL, REAL, analytic=True)
row("subtract",     REAL, REAL, analytic=True)
row("multiply",     REAL, REAL, analytic=True)
row("divide",       REAL, NONZERO, analytic=True)
row("negative",     REAL, analytic=True)
row("positive",     REAL, analytic=True)
row("floor_divide", OFF_INTEGERS, around(1.0, width=0.02))
row("remainder",    OFF_INTEGERS, around(1.0, width=0.02))
row("remainder",    OFF_INTEGERS, around(-1.0, width=0.02))
row("fmod",         OFF_INTEGERS, around(-1.0, 1.0, width=0.02))
row("power",        POSITIVE, REAL, analytic=True)
for exponent in (-2, 0, 1, 2, 3, 2.0, 0.5, -1.5):
    row("power",    POSITIVE, exponent, analytic=True)
row("power",        NONZERO, 3, analytic=True)
row("power",        1.5, REAL, analytic=True)
row("power",        NONZERO(2, 3), integers(0, 4)(3))
row("square",       REAL, analytic=True)
row("reciprocal",   NONZERO, analytic=True)
row("absolute",     NONZERO)
row("fabs",         NONZERO)
row("sqrt",         POSITIVE, analytic=True)
row("root",         POSITIVE, analytic=True)
row("cbrt",         NONZERO)

row("exp",          REAL, analytic=True)
row("exp2",         REAL, analytic=True)
row("expm1",        REAL, analytic=True)
row("log",          POSITIVE, analytic=True)
row("log2",         POSITIVE, analytic=True)
row("log10",        POSITIVE, analytic=True)
row("log1p",        POSITIVE, analytic=True)
row("sin",          REAL, analytic=True)
row("cos",          REAL, analytic=True)
row("tan",          UNIT, analytic=True)
row("arcsin",       UNIT, analytic=True)
row("arccos",       UNIT, analytic=True)
row("arctan",       REAL, analytic=True)
row("sinh",         REAL, analytic=True)
row("cosh",         REAL, analytic=True)
row("tanh",         REAL, analytic=True)
row("arcsinh",      REAL, analytic=True)
row("arccosh",      between(1.3, 3.0), analytic=True)
row("arctanh",      UNIT, analytic=True)
row("sigmoid",      REAL, analytic=True)
row("relu",         NONZERO)
row("deg2rad",      REAL)
row("rad2deg",      REAL)
for order in (0, 1, 2, 5):
    row("sinc",     around(-7.5, -1.5, -0.5, 0.5, 1.5, 7.5), order=order)
row("sign",         NONZERO)
row("floor",        OFF_INTEGERS)
row("ceil",         OFF_INTEGERS)
row("trunc",        OFF_INTEGERS)
row("rint",         around(-1.0, 0.0, 1.0))
row("round",        around(-1.0, 0.0, 1.0), decimals=0)
row("round",        around(-0.1, 0.2, width=0.03), decimals=1)

row("maximum",      around(-1.5, 0.5, 2.5), around(-0.5, 1.5))
row("minimum",      around(-1.5, 0.5, 2.5), around(-0.5, 1.5))
row("fmax",         around(-1.5, 0.5, 2.5), around(-0.5, 1.5))
row("fmin",         around(-1.5, 0.5, 2.5), around(-0.5, 1.5))
row("clip",         around(-2.0, 0.0, 2.0), around(-1.0), around(1.0))
row("clip",         around(-2.0, 0.0, 2.0), around(1.0), around(-1.0))
row("arctan2",      NONZERO, NONZERO)
row("hypot",        NONZERO, REAL)
row("copysign",     NONZERO, NONZERO)
row("nextafter",    REAL, around(5.0))
row("heaviside",    NONZERO, REAL)
row("logaddexp",    REAL, REAL)
row("logaddexp2",   REAL, REAL)
row("where",        TRUTH, REAL, REAL)
row("absorb",       REAL, fixed(around(-1.0, 0.0, 1.0, width=0.0)))

# --------------------------------------------------------------------------------------- truth values and integers

for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    row(name,       SMALL, SMALL)
    row(name,       fixed(REAL), SMALL)
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    row(name,       SMALL, SMALL)
    row(name,       TRUTH, TRUTH)
for name in ("left_shift", "right_shift"):
    row(name,       SMALL, integers(0, 4))
row("invert",       SMALL)
row("invert",       TRUTH)
for name in ("logical_and", "logical_or", "logical_xor"):
    row(name,       TRUTH, SMALL)
row("logical_not",  SMALL)
for name in ("isnan", "isinf", "isfinite", "signbit"):
    row(name,       fixed(REAL))
row("absorbed",     fixed(REAL), SMALL)

# ------------------------------------------------------------------------------------------------------ structure

row("full", shape=(2, 3), value=0.0, dtype=F64)
row("full", shape=(), value=1.0, dtype=F32)
row("full", shape=(0, 2), value=-np.inf, dtype=F64)
row("full", shape=(3,), value=7, dtype=I64)
row("full", shape=(2,), value=True, dtype=np.dtype(bool))

row("reshape", REAL(2, 3), shape=(3, 2), analytic=True)
row("reshape", REAL(), shape=(1, 1), analytic=True)
row("reshape", REAL(1), shape=(), analytic=True)
row("reshape", REAL(0, 3), shape=(3, 0, 2), analytic=True)
row("contiguous", REAL(2, 3), analytic=True)
row("contiguous", REAL(2, 0), analytic=True)
row("transpose", REAL(2, 3), axes=(1, 0), analytic=True)
row("transpose", REAL(2, 3, 4), axes=(1, 2, 0), analytic=True)
row("transpose", REAL(2, 0), axes=(1, 0), analytic=True)
row("transpose", REAL(), axes=(), analytic=True)

row("sum", REAL(2, 3), axis=(0,), keepdims=False, analytic=True)
row("sum", REAL(2, 3), axis=(0, 1), keepdims=True, analytic=True)
row("sum", REAL(2, 3, 4), axis=(0, 2), keepdims=False, analytic=True)
row("sum", REAL(2, 3, 2), axis=(1,), keepdims=True, analytic=True)
row("sum", REAL(0, 3), axis=(0,), keepdims=False, analytic=True)
row("sum", REAL(), axis=(), keepdims=False, analytic=True)
row("sum", SMALL(2, 3), axis=(1,), keepdims=False)
row("sum", TRUTH(2, 3), axis=(1,), keepdims=False)
row("broadcast_to", REAL(3), shape=(2, 3), analytic=True)
row("broadcast_to", REAL(2, 1), shape=(4, 2, 3), analytic=True)
row("broadcast_to", REAL(), shape=(2,), analytic=True)
row("broadcast_to", REAL(1), shape=(0,), analytic=True)
row("broadcast_to", REAL(1, 1), shape=(3, 1), analytic=True)
row("cumsum", REAL(4), axis=0, reverse=False, analytic=True)
row("cumsum", REAL(3, 2), axis=0, reverse=True, analytic=True)
row("cumsum", REAL(2, 0), axis=1, reverse=False, analytic=True)
row("cumsum", SMALL(3), axis=0, reverse=True)

row("index", REAL(4, 3), index=(1,), analytic=True)
row("index", REAL(4, 3), index=(Cut(None, None, -1), 2), analytic=True)
row("index", REAL(5, 3), index=(Cut(1, 5, 2),), analytic=True)
row("index", REAL(5), index=(Cut(4, None, -2),), analytic=True)
row("index", REAL(5), index=(Cut(3, 3, None),), analytic=True)
row("index", REAL(5), index=(Cut(-9, 9, None),), analytic=True)
row("index", REAL(2, 3, 2), index=(0, ALL, 1), analytic=True)
row("index", REAL(2, 3), index=(), analytic=True)
row("place", REAL(2), shape=(4, 2), index=(1,), analytic=True)
row("place", REAL(2, 3), shape=(5, 3), index=(Cut(1, 5, 2),), analytic=True)
row("place", REAL(4), shape=(4, 3), index=(Cut(None, None, -1), 2), analytic=True)
row("place", REAL(), shape=(3,), index=(0,), analytic=True)
row("place", REAL(0), shape=(3,), index=(Cut(3, 3, None),), analytic=True)

row("gather", REAL(4), integers(0, 3)(6), pattern=("1",), analytic=True)
row("gather", REAL(4, 3), integers(-4, 3)(2, 2), pattern=("1",), analytic=True)
row("gather", REAL(4, 3), integers(0, 3)(5), integers(0, 2)(5), pattern=("1", "2"), analytic=True)
row("gather", REAL(4, 3, 2), integers(0, 2)(2), pattern=(3, "1"), analytic=True)
row("gather", REAL(4, 3, 2), integers(0, 1)(2), pattern=(0, ALL, "1"), analytic=True)
row("gather", REAL(2, 4, 3), integers(0, 3)(5), integers(0, 2)(5), pattern=(ALL, "1", ..., "2"), analytic=True)
row("gather", REAL(2, 4, 3), integers(0, 3)(5, 1), integers(0, 2)(2), pattern=(ALL, "1", "2"), analytic=True)
row("gather", REAL(3, 4, 3), integers(0, 2)(5), integers(0, 2)(5), pattern=("1", Cut(1, 3, None), "2"), analytic=True)
row("gather", REAL(4, 3), integers(0, 3)(), pattern=("1",), analytic=True)
row("gather", REAL(4, 3), integers(0, 3)(0), pattern=("1",), analytic=True)
row("scatter_add", REAL(6), integers(0, 3)(6), shape=(4,), pattern=("1",))
row("scatter_add", REAL(2, 2, 3), integers(-4, 3)(2, 2), shape=(4, 3), pattern=("1",))
row("scatter_add", REAL(5), integers(0, 3)(5), integers(0, 2)(5), shape=(4, 3), pattern=("1", "2"))
row("scatter_add", REAL(2, 5, 2), integers(0, 3)(5, 1), integers(0, 2)(2), shape=(2, 4, 3), pattern=(ALL, "1", "2"))
row("scatter_add", REAL(3), integers(0, 3)(), shape=(4, 3), pattern=("1",))
row("scatter_add", REAL(0, 3), integers(0, 3)(0), shape=(4, 3), pattern=("1",))

row("join", REAL(2), REAL(0), REAL(3), axis=0, analytic=True)
row("join", REAL(2, 1), REAL(2, 3), axis=1, analytic=True)
row("join", REAL(2, 1, 2), REAL(2, 1, 2), axis=1, analytic=True)
row("join", REAL(2), SMALL(2), axis=0)
row("stack", REAL(2), REAL(2), REAL(2), axis=0, analytic=True)
row("stack", REAL(2, 3), REAL(2, 3), axis=1, analytic=True)
row("stack", REAL(), REAL(), axis=0, analytic=True)
row("stack", REAL(0), axis=1, analytic=True)

row("cast", REAL(2, 3), dtype=F64)
row("cast", fixed(REAL)(3), dtype=I64)
row("cast", SMALL(3), dtype=F64)
row("cast", TRUTH(3), dtype=F32)
row("bare", dataclasses.replace(REAL, narrow=False)())
row("stop_gradient", fixed(REAL)(2, 3))
row("stop_gradient", SMALL(2))

# ----------------------------------------------------------------------------------------------------- reductions

for name in ("max", "min"):
    row(name, APART(2, 3), axis=(1,), keepdims=False)
    row(name, APART(2, 3), axis=(0, 1), keepdims=True)
    row(name, APART(2, 3, 2), axis=(0, 2), keepdims=False)
    row(name, APART(2, 1), axis=(1,), keepdims=True)
    row(name, APART(2, 0), axis=(0,), keepdims=False)
    row(name, APART(), axis=(), keepdims=False)
    row(name, SMALL(2, 3), axis=(1,), keepdims=False)
row("order_statistic", APART(5), k=2, axis=0)
row("order_statistic", APART(2, 4), k=0, axis=1)
row("order_statistic", APART(4, 2), k=3, axis=0)
row("order_statistic", APART(1), k=0, axis=0)

row("prod", NONZERO(2, 3), axis=(1,), keepdims=False, analytic=True)
row("prod", NONZERO(2, 3), axis=(0, 1), keepdims=True, analytic=True)
row("prod", NONZERO(2, 3, 2), axis=(0, 2), keepdims=False, analytic=True)
row("prod", NONZERO(1, 3), axis=(0,), keepdims=False, analytic=True)
row("prod", NONZERO(0, 3), axis=(0,), keepdims=False, analytic=True)
row("prod", NONZERO(2, 0, 3), axis=(0, 1), keepdims=False, analytic=True)
row("prod", NONZERO(), axis=(), keepdims=False, analytic=True)
row("prod", SMALL(2, 3), axis=(1,), keepdims=False)
row("cumprod", NONZERO(4), axis=0, analytic=True)
row("cumprod", NONZERO(2, 3), axis=0, analytic=True)
row("cumprod", NONZERO(2, 3), axis=1, analytic=True)
row("cumprod", NONZERO(1), axis=0, analytic=True)
row("cumprod", NONZERO(2, 0), axis=1, analytic=True)
row("cumprod", SMALL(3), axis=0)
row("linear_recurrence", REAL(4), REAL(4), axis=0, analytic=True)
row("linear_recurrence", REAL(2, 3), REAL(2, 3), axis=1, analytic=True)
row("linear_recurrence", REAL(3, 2), REAL(3, 2), axis=0, analytic=True)
row("linear_recurrence", REAL(1), REAL(1), axis=0, analytic=True)

row("logsumexp", REAL(4), axis=(0,))
row("logsumexp", REAL(2, 3), axis=(1,))
row("logsumexp", REAL(2, 3), axis=(0, 1))
row("logsumexp", SMALL(2, 3), axis=(1,))
row("softmax", REAL(4), axis=(0,))
row("softmax", REAL(2, 3), axis=(1,))
row("softmax", REAL(2, 3), axis=(0, 1))
row("softmax", REAL(2, 1), axis=(1,))
row("softmax", SMALL(2, 3), axis=(1,))
row("log_softmax", REAL(4), axis=(0,))
row("log_softmax", REAL(2, 3), axis=(1,))
row("log_softmax", REAL(2, 3), axis=(0, 1))
row("log_softmax", SMALL(2, 3), axis=(1,))

for name in ("argmax", "argmin", "argsort"):
    row(name, fixed(APART)(2, 3), axis=1)
    row(name, fixed(APART)(4), axis=0)
    row(name, SMALL(6), axis=0)
for name in ("any", "all"):
    row(name, TRUTH(2, 3), axis=(1,), keepdims=False)
    row(name, TRUTH(2, 3), axis=(0, 1), keepdims=True)
    row(name, SMALL(0, 3), axis=(0,), keepdims=False)

# ------------------------------------------------------------------------------------------------- linear algebra

row("matmul", REAL(3), REAL(3), analytic=True)
row("matmul", REAL(2, 3), REAL(3), analytic=True)
row("matmul", REAL(3), REAL(3, 2), analytic=True)
row("matmul", REAL(2, 3), REAL(3, 4), analytic=True)
row("matmul", REAL(5, 2, 3), REAL(3, 4), analytic=True)
row("matmul", REAL(2, 3), REAL(5, 3, 4), analytic=True)
row("matmul", REAL(5, 2, 3), REAL(5, 3, 4), analytic=True)
row("matmul", REAL(5, 1, 2, 3), REAL(4, 3, 2), analytic=True)
row("matmul", REAL(1, 2, 3), REAL(4, 3, 2), analytic=True)
row("matmul", REAL(5, 2, 3), REAL(3), analytic=True)
row("matmul", REAL(2, 2, 2, 3), REAL(3, 2), analytic=True)
row("matmul", REAL(3), REAL(5, 3, 4), analytic=True)
row("matmul", REAL(2, 0), REAL(0, 3), analytic=True)
row("matmul", REAL(0, 2), REAL(2, 3), analytic=True)
row("matmul", REAL(0), REAL(0), analytic=True)
row("matmul", REAL(1, 1), REAL(1, 1), analytic=True)
row("matmul", SMALL(2, 3), SMALL(3, 2))
row("matmul", REAL(2, 3), SMALL(3, 2))

row("einsum", REAL(2, 3), REAL(3, 4), subscripts="ij,jk->ik", analytic=True)
row("einsum", REAL(2, 3), subscripts="ij->j", analytic=True)
row("einsum", REAL(2, 3), subscripts="ij->", analytic=True)
row("einsum", REAL(3), REAL(2), subscripts="i,j->ji", analytic=True)
row("einsum", REAL(5, 2, 3), REAL(5, 3), subscripts="bij,bj->bi", analytic=True)
row("einsum", REAL(2, 3), REAL(3), REAL(2), subscripts="ij,j,i->", analytic=True)
row("einsum", REAL(1, 3), REAL(2, 3), subscripts="ij,ij->i", analytic=True)
row("einsum", REAL(2, 4), REAL(2), subscripts="ij,i->", analytic=True)
row("einsum", REAL(), REAL(2), subscripts=",i->i", analytic=True)

row("vector_norm", NONZERO(4), axis=(0,), keepdims=False)
row("vector_norm", NONZERO(2, 3), axis=(1,), keepdims=True)
row("vector_norm", NONZERO(2, 3), axis=(1,), keepdims=False)
row("vector_norm", NONZERO(2, 3), axis=(1,), keepdims=False)
row("vector_norm", NONZERO(2, 3), axis=(0, 1), keepdims=False)
row("inv", INVERTIBLE(2, 2), analytic=True)
row("inv", INVERTIBLE(3, 2, 2), analytic=True)
row("inv", INVERTIBLE(1, 1), analytic=True)
row("solve", INVERTIBLE(2, 2), REAL(2, 3), analytic=True)
row("solve", INVERTIBLE(3, 2, 2), REAL(2, 1), analytic=True)
row("solve", INVERTIBLE(2, 2), REAL(3, 2, 1), analytic=True)
row("solve", INVERTIBLE(3, 1, 2, 2), REAL(4, 2, 1), analytic=True)
row("solve", INVERTIBLE(0, 2, 2), REAL(2, 1), analytic=True)
row("einsum", REAL(2, 1), REAL(2, 3), subscripts="ij,ij->i", analytic=True)
row("einsum", REAL(3), REAL(1), subscripts="i,i->", analytic=True)
row("einsum", REAL(1, 2), REAL(3, 1), REAL(3, 2), subscripts="ij,ij,ij->ji", analytic=True)
row("einsum", REAL(0, 2), REAL(2), subscripts="ij,j->i", analytic=True)
row("einsum", SMALL(2, 3), REAL(3), subscripts="ij,j->i")
row("vector_norm", NONZERO(2, 3, 2), axis=(0, 1, 2), keepdims=True)
row("p_norm", NONZERO(4), axis=(0,), keepdims=False, ord=3.0)
row("p_norm", NONZERO(2, 3), axis=(1,), keepdims=True, ord=1.5)
row("p_norm", NONZERO(2, 3), axis=(1,), keepdims=False, ord=3.0)
row("p_norm", NONZERO(2, 3), axis=(0, 1), keepdims=False, ord=0.5)
row("p_norm", NONZERO(2, 3, 2), axis=(0, 1, 2), keepdims=False, ord=-2.0)
row("det", INVERTIBLE(2, 2), analytic=True)
row("det", INVERTIBLE(3, 3, 3), analytic=True)
row("det", REAL(4, 4), analytic=True)
row("det", REAL(1, 1), analytic=True)
row("cofactors", INVERTIBLE(2, 2))
row("cofactors", REAL(3, 3))
row("cofactors", INVERTIBLE(2, 3, 3))
row("det_sign", fixed(INVERTIBLE)(2, 3, 3))
row("log_abs_det", REAL(3, 3))
row("log_abs_det", INVERTIBLE(2, 2, 2))
row("pinv", REAL(3, 2), rcond=None)
row("pinv", REAL(2, 2, 3), rcond=None)
row("pinv", INVERTIBLE(2, 2), rcond=1e-6)
row("cholesky", POSITIVE_DEFINITE(2, 2))
row("cholesky", POSITIVE_DEFINITE(2, 3, 3))
row("eigenvalues", SYMMETRIC(2, 2))
row("eigenvalues", SYMMETRIC(2, 3, 3))
row("eigenvectors", SYMMETRIC(2, 2))
row("eigenvectors", SYMMETRIC(2, 3, 3))
row("eigenvectors", SYMMETRIC(2, 1, 3, 3))
row("singular_values", INVERTIBLE(3, 3))
row("singular_values", REAL(2, 4, 2))
row("left_vectors", INVERTIBLE(3, 3))
row("left_vectors", REAL(2, 4, 2))
row("left_vectors", REAL(2, 4))
row("right_vectors", INVERTIBLE(3, 3))
row("right_vectors", REAL(2, 4, 2))
row("right_vectors", REAL(3, 2, 4))
row("qr_q", INVERTIBLE(3, 3))
row("qr_q", REAL(2, 4, 2))
row("qr_r", INVERTIBLE(3, 3))
row("qr_r", REAL(2, 4, 2))
