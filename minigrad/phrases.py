"""Nodes in a sentence, as the user would write and call them.

    phrase(node)               "(reset * h) @ candidate.w_h"; expression(node) even of what has a name
    called(node)               "d_forget" for the cotangent of what the scope `forget` made; None for what has no name
    short_names(names)         (["forget", "input"], "w_h") of ["cell.forget.w_h", "cell.input.w_h"]
    listed(names)              "a, b, c and 4 more"
    size_text(bytes), count_text(number)
"""

from __future__ import annotations

from collections.abc import Sequence

from .naming import scope_name
from .nodes import CONSTANT, SYMBOL, Node, Primitive
from .primitives.linear_algebra import matmul
from .primitives.structure import pick
from .primitives.text import ATOM, binding, literal, render

__all__ = ["called", "count_text", "expression", "listed", "phrase", "short_names", "size_text"]

LONGEST = 48  # of an expression in a sentence


def called(node: Node) -> str | None:
    """What the user calls a node: its name, or `d_` and that, or the scope, of what it is the cotangent of."""
    prefix = ""
    while node.cotangent_of is not None and _own_name(node) is None:
        node, prefix = node.cotangent_of, prefix + "d_"
    own = _own_name(node) or (scope_name(node.scope) if prefix else None)
    return prefix + own if own else None


def _own_name(node: Node) -> str | None:
    # what stands for an unnamed node in a loop is called like its operation
    return None if node.name in Primitive.table else node.name


def phrase(node: Node, user: Node | None = None) -> str:
    """An expression down to what has a name; what another scope made than the node's, or its user's, goes by its name.

    >>> import minigrad as mg
    >>> h, w = mg.symbol("h", 4), mg.symbol("w", (4, 4))
    >>> with mg.scope("reset"):
    ...     r = mg.sigmoid(h @ w)
    >>> phrase((r * h) @ w)
    '(reset * h) @ w'
    """
    if user is not None and scope_name(node.scope) not in ("", scope_name(user.scope)):
        return called(node) or scope_name(node.scope)
    return called(node) or expression(node)


def expression(node: Node) -> str:
    """How a node is computed, whatever it is called; as deep as fits into a sentence."""
    texts = [_computed(node, depth, scope_name(node.scope))[0] for depth in (3, 2, 1)]
    return next((text for text in texts if len(text) <= LONGEST), scope_name(node.scope) or texts[-1])


def _written(node: Node, depth: int, home: str) -> tuple[str, int]:
    # an expression, and how tightly it binds
    scope = scope_name(node.scope)
    name = called(node) or (scope if scope != home else None)
    return (name, ATOM) if name else _computed(node, depth, home)


def _computed(node: Node, depth: int, home: str) -> tuple[str, int]:
    if node.primitive is CONSTANT:
        short = node.shape == ()
        return (literal(node.cached if node.weak else node.cached.item()) if short else "a constant"), ATOM
    if node.primitive is pick:
        return _result_of_loop(node), ATOM
    if not node.inputs or node.shape is None or (depth == 0 and not node.primitive.view):
        operation = node.name or "x" if node.primitive is SYMBOL else node.primitive.name
        return scope_name(node.scope) or f"{operation}(...)", ATOM
    form = binding(node.primitive, node.params, len(node.inputs))
    parts = []
    for x, needed in zip(node.inputs, form.operands, strict=True):
        text, precedence = _written(x, depth - (not node.primitive.view), home)
        parts.append(text if precedence >= (ATOM if node.primitive is matmul else needed) else f"({text})")
    return render(node.primitive, parts, node.params), form.own


def _result_of_loop(node: Node) -> str:
    loop, i = node.inputs[0].params["loop"], node.params["position"]
    if i < loop.carries:
        return loop.graph.inputs[i].name or "carry"
    name = called(loop.graph.outputs[i])
    return f"{name}_steps" if name else "stack"


def short_names(names: Sequence[str]) -> tuple[list[str], str]:
    """Names without the parts that all of them begin or end with, and those that they end with.

    >>> short_names(["cell.forget.w_h", "cell.input.w_h"])
    (['forget', 'input'], 'w_h')
    """
    parts = [name.split(".") for name in names]
    ends: list[str] = []
    while len(parts) > 1 and all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    while len(parts) > 1 and all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
        ends.insert(0, parts[0][-1])
        parts = [p[:-1] for p in parts]
    return [".".join(p) for p in parts], ".".join(ends)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names one after the other; of many, the first few."""
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def count_text(number: float) -> str:
    """A number with commas; a large one in three digits.

    >>> count_text(1234), count_text(123_456_789)
    ('1,234', '123 M')
    """
    if number < 1e6:
        return f"{number:,.0f}"
    return _in_units(number, ("", "k", "M", "G", "T", "P"))


def size_text(size: float) -> str:
    """A number of bytes, in three digits.

    >>> size_text(262_144)
    '262 kB'
    """
    return _in_units(size, ("B", "kB", "MB", "GB", "TB", "PB"))


def _in_units(number: float, units: Sequence[str]) -> str:
    k = 0
    while number >= 999.5 and k < len(units) - 1:
        number, k = number / 1000, k + 1
    digits = 0 if k == 0 or number >= 99.5 else 1 if number >= 9.95 else 2
    return f"{number:.{digits}f} {units[k]}".rstrip()
