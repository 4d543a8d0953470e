"""What a drawing writes on its boxes and arrows: the symbols of a textbook, the user's names, shapes as 3×4.

Nothing that a user named can break the drawing: `clean` is the only way of foreign text into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from ..graph import Loop
from ..nodes import CONSTANT, SYMBOL, Node, Primitive
from ..primitives.structure import full, pick
from ..primitives.text import literal, subscript

__all__ = [
    "clean", "counts", "detail", "is_gradient", "is_number", "kind", "letters", "literals", "name", "operation",
    "result", "shape", "title", "tooltip", "value",
]  # fmt: skip

# What students know operations by, where it is not the name.
SYMBOLS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "negative": "−( )", "power": "^", "matmul": "@",
    "floor_divide": "//", "remainder": "%", "square": "( )²", "reciprocal": "1/( )", "absolute": "| |", "sqrt": "√",
    "root": "√", "cbrt": "∛", "sigmoid": "σ", "sum": "Σ", "prod": "Π", "vector_norm": "‖ ‖", "equal": "=",
    "not_equal": "≠", "less": "<", "less_equal": "≤", "greater": ">", "greater_equal": "≥", "bitwise_and": "&",
    "bitwise_or": "|", "bitwise_xor": "^", "invert": "~", "logical_and": "and", "logical_or": "or",
    "logical_xor": "xor", "logical_not": "not", "join": "concatenate", "broadcast_to": "broadcast", "scan": "loop",
}  # fmt: skip
# Operations of several operands whose order does not matter, or is the order in which they are drawn.
UNORDERED = {
    "add", "multiply", "maximum", "minimum", "fmax", "fmin", "equal", "not_equal", "bitwise_and", "bitwise_or",
    "bitwise_xor", "logical_and", "logical_or", "logical_xor", "hypot", "logaddexp", "logaddexp2", "join", "stack",
    "scan", "einsum",
}  # fmt: skip
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def clean(text: str, most: int = 28) -> str:
    """Foreign text, fit to be drawn: one line, printable, not too long, and without the backslash.

    (Graphviz reads escapes in labels once and in tooltips twice, so a look-alike stands for the backslash.)

    >>> clean("a\\\\N\\nb" + "c" * 40)
    'a∖N·bcccccccccccc…cccccccccc'
    """
    shortened = text if len(text) <= most else f"{text[: most - 11]}…{text[-10:]}"
    return "".join([c if c.isprintable() else "·" for c in shortened]).replace("\\", "∖")


def shape(node: Node) -> str:
    """A shape as it is said: 3×4, or 5 for a vector; nothing for a scalar.

    >>> from minigrad.nodes import symbol
    >>> shape(symbol("x", (3, 4)))
    '3×4'
    """
    return "×".join(map(str, node.shape or ()))


def is_gradient(node: Node) -> bool:
    """Whether a node is the cotangent of another, made in a backward pass or to start one."""
    in_backward = node.scope.startswith("backward") and not node.scope.startswith("backward/forward")
    return node.cotangent_of is not None and (in_backward or not node.inputs)


def is_number(node: Node) -> bool:
    """Whether a node is a number of the formula rather than somebody's data: a scalar, or one value all over."""
    return node.primitive is full or (node.primitive is CONSTANT and not node.name and node.shape == ())


def literals(node: Node) -> list[int]:
    """Which inputs are written as part of a node's operation: the 1 of `1 − x`. Those of a binary operator."""
    if len(node.inputs) != 2 or not node.primitive.is_operator:
        return []
    return [i for i, x in enumerate(node.inputs) if x.shape == () and is_number(x) and not is_gradient(x)]


def letters(node: Node) -> list[str]:
    """What each operand is called in `a − b`: letters where their order matters and cannot be seen, else nothing."""
    inputs, primitive = node.inputs, node.primitive.name
    if len(inputs) not in (2, 3) or primitive in UNORDERED or primitive in INDICES or literals(node):
        return [""] * len(inputs)
    if primitive == "matmul" and (len(inputs[0].shape) < 2 or inputs[0].shape != inputs[1].shape):
        return ["", ""]  # only one order fits
    return ["a", "b", "c"][: len(inputs)]


def value(node: Node) -> str:
    """The value of a constant, to four digits, where it is short; else nothing."""
    found = node.params["value"] if node.primitive is full else node.cached
    if found is None or np.size(found) == 0:
        return ""
    entries = np.asarray(found)
    if entries.size > 4:
        return f"all {entries.flat[0]:.4g}" if np.all(entries == entries.flat[0]) else ""
    return np.array2string(entries, formatter={"float_kind": lambda x: f"{x:.4g}"}, separator=", ").replace("\n", "")


def operation(node: Node) -> str:
    """The symbol of a node's operation: +, @, σ, tanh, [0], 1 −."""
    primitive, params = node.primitive.name, node.params
    if primitive in ("index", "gather"):
        return clean(f"[{subscript(params[INDICES[primitive]], OPERANDS)}]")
    if primitive == "cast":
        return f"to {params['dtype'].name}"
    if node.primitive is pick:
        loop, position = node.inputs[0].params["loop"], node.params["position"]
        return f"{'last' if position < loop.carries else 'all'} {name(result(loop, position))}"
    if node.is_leaf or node.primitive is full:
        return value(node) or node.primitive.name
    sign = _sign(primitive)
    names = letters(node)
    if names and names[0]:
        infix = node.primitive.is_operator
        return f"a {sign} b" if infix else "a ? b : c" if primitive == "where" else f"{sign}({', '.join(names)})"
    numbers = {i: value(node.inputs[i]) for i in literals(node)}
    if primitive == "power" and 1 in numbers:
        exponent = numbers[1]
        return f"( ){exponent.translate(SUPERSCRIPTS)}" if exponent.lstrip("-").isdigit() else f"( ) ^ {exponent}"
    return " ".join([*([numbers[0]] if 0 in numbers else []), sign, *([numbers[1]] if 1 in numbers else [])])


def kind(node: Node) -> str:
    """The symbol of an operation without its operands: − for `1 − x` and `a − b`, [ ] for [0] and [1]."""
    primitive = node.primitive.name
    if primitive in ("index", "gather"):
        return "[ ]"
    return operation(node) if node.is_leaf or node.primitive in (full, pick) else _sign(primitive)


@cache
def _sign(primitive: str) -> str:
    return SYMBOLS.get(primitive, clean(primitive.replace("_", " ")))


INDICES = {"index": "index", "gather": "pattern", "place": "index", "scatter_add": "pattern"}
OPERANDS = ["", *"ijklmnopqrstuvwxyz", *(f"i{k}" for k in range(64))]


def result(loop: Loop, position: int) -> Node:
    """The node that names a result of a loop: a carry, also where the carry is stacked; else what is stacked."""
    found = loop.graph.outputs[position]
    carries = [i for i in range(loop.carries) if i == position or (loop.graph.outputs[i] is found and not found.name)]
    return loop.graph.inputs[position if position in carries else carries[0]] if carries else found


def detail(node: Node) -> str:
    """What else there is to say about an operation: the axis it goes along, and the like."""
    params, primitive = node.params, node.primitive.name
    if "axis" in params and (len(node.inputs[0].shape) > 1 if node.inputs else False):
        axis = params["axis"]
        axes = axis if isinstance(axis, tuple) else (axis,)
        return f"axis {', '.join(map(str, axes))}" if len(axes) < len(node.inputs[0].shape) else ""
    if "subscripts" in params:
        return clean(params["subscripts"])
    if primitive in ("place", "scatter_add"):
        return clean(f"at [{subscript(params[INDICES[primitive]], OPERANDS)}]")
    return ""


def name(node: Node, drop: str = "") -> str:
    """The user's name for a node, without the prefix `drop`; else the symbol of its operation."""
    if not node.name:
        return operation(node)
    given = node.name[len(drop) :] if drop and node.name.startswith(drop) else node.name
    # a stand-in for a value of another graph is named after the operation that made it
    return SYMBOLS.get(given, clean(given)) if given in Primitive.table else clean(given)


def title(node: Node, drop: str = "") -> str:
    """What a box is called: a node's name, or `d_name` for its cotangent."""
    about = node.cotangent_of if is_gradient(node) else None
    if about is None:
        return name(node, drop)
    return f"d_{name(about, drop) if about.name or not any(letters(about)) else kind(about)}"


def tooltip(node: Node) -> str:
    """Everything there is to know of a node, for a reader who points at it."""
    result = "several results" if node.shape is None else f"shape {node.shape}, {node.dtype}"
    parts = [f"{node.primitive.name}{' ' + clean(node.name, 200) if node.name else ''}: {result}"]
    parts += [f"in {clean(node.scope, 200)}"] if node.scope else []
    if node.primitive not in (CONSTANT, SYMBOL, pick) and node.params:
        parts.append(clean(", ".join(f"{key}={_param(given)}" for key, given in node.params.items()), 200))
    if node.origin:
        file = node.origin.filename.replace("\\", "/").rsplit("/", 1)[-1]
        parts.append(f"line {node.origin.line} of {clean(file, 60)}")
    return " · ".join(parts)


def _param(given: Any) -> str:
    return literal(given) if isinstance(given, (tuple, int, float, str, np.dtype)) else type(given).__name__


def counts(members: Mapping[str, int], most: int = 8) -> list[str]:
    """`8 @ · 8 + · 3 σ`, most frequent first, four to a line.

    >>> counts({"tanh": 1, "@": 2})
    ['2 @ · 1 tanh']
    """
    ordered = sorted(members.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count:,} {what}" for what, count in ordered[:most]]
    if len(ordered) > most:
        shown.append(f"{sum(count for _, count in ordered[most:]):,} others")
    return [" · ".join(shown[i : i + 4]) for i in range(0, len(shown), 4)]
