"""A primitive's NumPy text: printed into generated source, and made into the function that evaluates it.

    render(tanh, ["x"], {})            "np.tanh(x)"
    function(tanh, {}, 1)              lambda _0: np.tanh(_0), made from that very text

There is no second implementation of anything, so what is read is what runs.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..nodes import Primitive
from . import helpers

__all__ = [
    "ATOM", "UNARY", "Binding", "Cut", "binding", "function", "has_out_form", "literal", "operator_of", "params_key",
    "render",
    "render_into", "subscript",
]  # fmt: skip

# Python's operator precedence, weakest first. What needs no parentheses anywhere, a name or a call, is an ATOM.
ATOM, UNARY, POWER = 10, 8, 9
_COMPARISON = 1
_BINARY: dict[type[ast.operator], int] = {
    ast.BitOr: 2, ast.BitXor: 3, ast.BitAnd: 4, ast.LShift: 5, ast.RShift: 5, ast.Add: 6, ast.Sub: 6, ast.Mult: 7,
    ast.MatMult: 7, ast.Div: 7, ast.FloorDiv: 7, ast.Mod: 7, ast.Pow: POWER,
}  # fmt: skip


class Cut(NamedTuple):
    """A slice that can be hashed and prints as it is written."""

    start: int | None
    stop: int | None
    step: int | None


def literal(value: Any) -> str:
    """Python source for a parameter or a constant of a few elements."""
    if isinstance(value, Cut):
        text = ":".join("" if part is None else str(part) for part in value[:2])
        return text if value.step is None else f"{text}:{value.step}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if value is Ellipsis:
        return "..."
    if isinstance(value, np.dtype):
        return f"np.{value.name}"
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(float(value))
        return "np.nan" if math.isnan(value) else ("np.inf" if value > 0 else "-np.inf")
    if isinstance(value, (np.ndarray, np.generic)):
        return array_literal(np.asarray(value))
    return repr(value)


def array_literal(array: np.ndarray[Any, Any]) -> str:
    """Python source for a small array, of the same dtype and shape, to the last bit."""
    if array.shape == ():
        return f"np.{array.dtype.name}({literal(array.item())})"
    if is_uniform(array):
        return full_literal(array.shape, array.flat[0].item() if array.size else 0, array.dtype)
    entries = _nested(array)
    implied = {"f": "float64", "i": "int64", "b": "bool"}.get(array.dtype.kind)
    kind = "" if implied == array.dtype.name else f", dtype=np.{array.dtype.name}"
    return f"np.array({entries}{kind})"


def is_uniform(array: np.ndarray[Any, Any]) -> bool:
    """Whether all entries are the same, to the sign of a zero; true of an empty array."""
    data = array.tobytes()
    return array.ndim > 0 and data == data[: array.itemsize] * array.size


def full_literal(shape: tuple[int, ...], value: Any, dtype: np.dtype[Any]) -> str:
    """`np.zeros((3, 4))`, `np.ones(5, dtype=np.float32)` or `np.full(...)`: an array of one value."""
    kind = "" if dtype == np.float64 else f", dtype={literal(dtype)}"
    named = "np.zeros" if value == 0 and math.copysign(1, value) > 0 else "np.ones" if value == 1 else ""
    if named:
        return f"{named}({literal(shape)}{kind})"
    kind = "" if dtype == np.float64 and type(value) is float else f", dtype={literal(dtype)}"
    return f"np.full({literal(shape)}, {literal(value)}{kind})"


def _nested(array: np.ndarray[Any, Any]) -> str:
    if array.ndim == 0:
        return literal(array.item())
    return "[" + ", ".join(_nested(row) for row in array) + "]"


def subscript(index: Sequence[Any], operands: Sequence[str] = ()) -> str:
    """The inside of the brackets: cuts and integers as they are; a string names the operand that stands there."""
    return ", ".join(operands[int(part)] if isinstance(part, str) else literal(part) for part in index) or "()"


def render(primitive: Primitive, operands: Sequence[str], params: dict[str, Any]) -> str:
    """The primitive's NumPy text with these operands."""
    if callable(primitive.text):
        return primitive.text(operands, params)
    return primitive.text.format(*operands, all=", ".join(operands), **{k: literal(v) for k, v in params.items()})


_UFUNCS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "//": "floor_divide", "%": "remainder",
           "**": "power"}  # fmt: skip
_CALL = re.compile(r"np\.(\w+)\(\{0\}(, \{1\})?\)|sigmoid\(\{0\}\)")


def operator_of(primitive: Primitive) -> str:
    """The operator that an operator's text is of: "+"."""
    return str(primitive.text).replace("{0}", "").replace("{1}", "").strip()


def has_out_form(primitive: Primitive) -> bool:
    """Whether the primitive can be computed straight into an array that is there already."""
    return primitive.elementwise and _out_text(primitive) is not None


def render_into(primitive: Primitive, operands: Sequence[str], out: str) -> str:
    """The primitive's NumPy text, its result put into `out`: `np.multiply(a, b, out=c[0])`."""
    text = _out_text(primitive)
    assert text is not None
    return text.format(*operands, out=out)


def _out_text(primitive: Primitive) -> str | None:
    text = primitive.text
    if not isinstance(text, str):
        return None
    if text == "{0} @ {1}":
        return "np.matmul({0}, {1}, out={out})"
    if primitive.is_operator:
        symbol = operator_of(primitive)
        if text == "-{0}":
            return "np.negative({0}, out={out})"
        return f"np.{_UFUNCS[symbol]}({{0}}, {{1}}, out={{out}})" if symbol in _UFUNCS else None
    found = _CALL.fullmatch(text)
    if found is None or (found[1] and not isinstance(getattr(np, found[1]), np.ufunc)):
        return None
    return f"{text[:-1]}, out={{out}})"


_NAMESPACE = {"np": np, **{name: value for name, value in vars(helpers).items() if callable(value)}}


def params_key(params: dict[str, Any]) -> list[Any]:
    """Parameters as parts of a dictionary's key, where 0.0 and -0.0 differ."""
    return [(name, repr(value) if type(value) is float else value) for name, value in params.items()]


class Binding(NamedTuple):
    """How tightly a text binds, and how tightly each operand has to, to stand in it without parentheses.

    `once` says which operands stand in it once only: an expression that stands twice would be computed twice.
    """

    own: int
    operands: tuple[int, ...]
    once: tuple[bool, ...]


def binding(primitive: Primitive, params: dict[str, Any], arity: int) -> Binding:
    """What Python's grammar says of a primitive's text; worked out from the text, and kept."""
    key = (arity, *params_key(params))
    found: Binding | None = primitive.bindings.get(key)
    if found is None:
        names = [f"_{i}" for i in range(arity)]
        tree = ast.parse(render(primitive, names, params), mode="eval")
        needs: dict[str, list[int]] = {name: [] for name in names}
        for parent in ast.walk(tree):
            for field, child in ast.iter_fields(parent):
                for part in child if isinstance(child, list) else [child]:
                    if isinstance(part, ast.Name) and part.id in needs:
                        needs[part.id].append(_needed(parent, field))
        operands, once = [max(needs[name], default=0) for name in names], [len(needs[name]) < 2 for name in names]
        found = primitive.bindings[key] = Binding(_own(tree.body), tuple(operands), tuple(once))
    return found


def _own(tree: ast.AST) -> int:
    # how tightly an expression binds
    if isinstance(tree, ast.BinOp):
        return _BINARY[type(tree.op)]
    return UNARY if isinstance(tree, ast.UnaryOp) else _COMPARISON if isinstance(tree, ast.Compare) else ATOM


def _needed(parent: ast.AST, field: str) -> int:
    # how tightly what stands in a field of an expression has to bind
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Pow):
        return ATOM if field == "left" else UNARY  # a ** -b, but (-a) ** b
    if isinstance(parent, ast.BinOp):
        return _own(parent) + (field == "right")  # a - b - c, but a - (b - c)
    if isinstance(parent, ast.UnaryOp):
        return UNARY
    if isinstance(parent, ast.Compare):
        return _COMPARISON + 1
    if isinstance(parent, (ast.Attribute, ast.Subscript, ast.Call)):
        return ATOM if field in ("value", "func") else 0
    return 0


def function(primitive: Primitive, params: dict[str, Any], arity: int) -> Callable[..., Any]:
    """The function that evaluates a primitive, made from its text and kept."""
    key = (arity, *params_key(params))
    made = primitive.functions.get(key)
    if made is None:
        names = [f"_{i}" for i in range(arity)]
        source = f"lambda {', '.join(names)}: {render(primitive, names, params)}"
        made = primitive.functions[key] = eval(compile(source, f"<{primitive.name}>", "eval"), _NAMESPACE)
    return made
