"""Nodes as NumPy expressions, and the names that they get.

An expression is written where it is used if that is its only use and the line stays short; else it gets a name: the
user's, or that of the scope whose result it is (`t=3/forget` gives `forget_3`), or `d_` and the name of the node whose
cotangent it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .graph import Graph, Loop
from .naming import RESERVED, Names, clean, scope_name
from .nodes import CONSTANT, Node, Primitive
from .primitives.linear_algebra import matmul
from .primitives.structure import index, pick, reshape, transpose
from .primitives.structure import sum as sum_over
from .primitives.text import ATOM, UNARY, array_literal, binding, is_uniform, literal, render

__all__ = ["INLINE", "WIDTH", "Expressions", "Line", "Text"]

WIDTH = 100  # of a line
INLINE = 80  # the longest expression that is written inside another
LITERAL_SIZE = 16  # a larger constant is a keyword parameter

_TEMPORARIES = {"sum": "total", "max": "largest", "min": "smallest", "any": "some", "all": "every", "index": "part"}

Line = tuple[str, tuple[str, ...], tuple[str, ...]]  # its text, the names it sets, the names it uses


class Text:
    """An expression: its text, how tightly it binds, and the names it uses."""

    __slots__ = ("precedence", "text", "uses")

    def __init__(self, text: str, precedence: int, uses: tuple[str, ...]) -> None:
        self.text, self.precedence, self.uses = text, precedence, uses


class Expressions:
    """Writes the nodes of one graph as expressions. `lines` are the statements so far."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.names = Names(RESERVED)
        self.function = self.names.new(clean(name))
        self.texts: dict[Node, Text] = {}
        self.carried: dict[Node, str] = {}  # the next values of carries, by the carries' names
        self.called: dict[Node, str] = {}  # what the nodes of a finished loop were called: their cotangents remember
        self.lasting: set[str] = set()  # names of constants, which are the same everywhere
        self.lines: list[Line] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.arguments = [self.named(node, node.name or "x") for node in graph.inputs]
        told = {id(tell): tell for tell in told_by(graph)}
        self.progress = {self.names.new("progress", lasting=True): tell for tell in told.values()}
        self.lasting.update(self.progress)
        self.scope = ""
        self.in_loop = False

    def named(self, node: Node, wish: str, lasting: bool = False) -> str:
        """A name of its own for a node."""
        name = self.names.new(wish, lasting)
        self.texts[node] = Text(name, ATOM, (name,))
        return name

    def name_of(self, node: Node) -> str | None:
        """The name that a node has, or had in its loop; None where it was written inside another's expression."""
        text = self.texts[node].text if node in self.texts else self.called.get(node, "")
        return text if text.isidentifier() else None

    def name_to_be(self, node: Node) -> str | None:
        """The name that a node has or will have, as far as it is known."""
        own = None if node.name in Primitive.table else node.name
        return self.carried.get(node) or self.name_of(node) or (own and clean(own))

    def wish(self, node: Node, scope_result: bool) -> str:
        """What a node would like to be called."""
        about, prefix = node, ""
        while about.cotangent_of is not None:
            about, prefix = about.cotangent_of, prefix + "d_"
        if about.name:
            return prefix + about.name
        if prefix and (known := self.name_of(about)):
            return prefix + known
        if about.primitive is pick:
            loop, i = about.inputs[0].params["loop"], about.params["position"]
            if i >= loop.carries:
                return prefix + self.stack_name(loop, i, None, set(loop.graph.outputs))
            return prefix + (loop.graph.inputs[i].name or "carry")
        if about.primitive is index and not prefix and (base := self.name_of(about.inputs[0])):
            place = about.params["index"]
            if len(place) == 1 and isinstance(place[0], int):  # xs[3] is x_3
                return f"{base.removesuffix('s') or base}_{place[0]}"
        if about.primitive is transpose and not prefix and (base := self.name_of(about.inputs[0])):
            return f"{base}_T"
        scoped = scope_name(about.scope)
        if scoped and (scope_result or prefix):
            return prefix + scoped
        if len(about.inputs) == 1 and not prefix:
            base = self.name_to_be(about.inputs[0])
            if base and about.primitive.elementwise:
                return f"{about.primitive.name}_{base}"
            if base and about.primitive is reshape:
                return f"{base}_reshaped"
        if about.primitive.name == "subtract" and not prefix and (base := self.name_to_be(about.inputs[1])):
            one = about.inputs[0]
            if one.primitive is CONSTANT and one.shape == () and one.cached == 1:
                return f"one_minus_{base}"
        return prefix + _TEMPORARIES.get(about.primitive.name, about.primitive.name)

    def stack_name(self, loop: Loop, i: int, found: Node | None, results: set[Node]) -> str:
        """What the stack of a step's results is called: `forget_steps`, `h_steps`, `previous_h_steps`."""
        output = loop.graph.outputs[i]
        if found is not None and (found.name or (found.cotangent_of is not None and self.name_of(found.cotangent_of))):
            return self.wish(found, False)
        every = "chunks" if loop.recompute else "steps"
        for carry, following in zip(loop.graph.inputs, loop.graph.outputs[: loop.carries], strict=False):
            if output is following:
                return f"{carry.name}_{every}"
            if output is carry:
                return f"{carry.name}_kept" if loop.recompute else f"previous_{carry.name}_steps"
        name = self.name_of(output) or self.wish(output, output in results)
        return f"{name.rstrip('_').removesuffix('_steps')}_{every}"

    def comment(self, node: Node, indent: str) -> None:
        """Say which scope the next line belongs to, if it is another than before."""
        if node.scope and node.scope != self.scope:
            if said := _comment(node.scope):
                self.lines.append((f"{indent}# {said}", (), ()))
            self.scope = node.scope

    def assign(self, node: Node, wish: str, indent: str) -> None:
        """Give the node's expression a name, in a line of its own."""
        text = self.texts[node]
        if text.precedence == ATOM and text.text.isidentifier():
            return  # a name of another's already
        self.comment(node, indent)
        name = self.named(node, wish)
        self.lines.append((f"{indent}{name} = {text.text}", (name,), text.uses))

    def constant(self, node: Node, uses: int) -> None:
        """A literal where it is short, else a keyword parameter."""
        value = node.cached
        if node.weak:  # written as it is, wherever it stands
            text = literal(value)
            self.texts[node] = Text(text, UNARY if text.startswith("-") else ATOM, ())
        elif value.ndim == 0 or (uses < 2 and (is_uniform(value) or (value.size <= LITERAL_SIZE and not node.name))):
            text = array_literal(value)
            if value.ndim == 0 and value.dtype == np.float64:
                text = f"np.float64({literal(value.item())})"
            self.texts[node] = Text(text, ATOM, ())
        elif is_uniform(value) or value.size <= LITERAL_SIZE:
            name = self.named(node, node.name or "constant", lasting=True)
            self.lasting.add(name)
            self.lines.insert(0, (f"    {name} = {array_literal(value)}", (name,), ()))
        else:
            name = self.named(node, node.name or "constant", lasting=True)
            self.lasting.add(name)
            self.constants[name] = value

    def expression(self, node: Node, indent: str) -> Text:
        """The node's NumPy text on its operands; a line that would be too long gives its longest operands names."""
        for x, once in zip(node.inputs, binding(node.primitive, node.params, len(node.inputs)).once, strict=True):
            if not once and x.primitive is not CONSTANT:  # an expression that stands twice would be computed twice
                self.assign(x, self.wish(x, False), indent)
        while True:
            operands = [self.texts[x] for x in node.inputs]
            text = self.rendered(node, operands)
            longest = max(node.inputs, key=lambda x: len(self.texts[x].text), default=None)
            if len(text.text) + len(indent) <= WIDTH or longest is None or self.texts[longest].text.isidentifier():
                return text
            if longest.primitive is CONSTANT or len(self.texts[longest].text) < 24:
                return text
            self.assign(longest, self.wish(longest, False), indent)

    def rendered(self, node: Node, operands: Sequence[Text]) -> Text:
        """The node's NumPy text on these operands, in parentheses where they need them."""
        uses = tuple(name for operand in operands for name in operand.uses)
        if node.primitive is matmul and self.in_loop and _is_small_product(node):
            a = operands[0].text if operands[0].precedence >= ATOM else f"({operands[0].text})"
            return Text(f"{a}.dot({operands[1].text})", ATOM, uses)
        if node.primitive is sum_over and self.in_loop:  # the method is called in half the time of the function
            a, axis = operands[0].text, node.params["axis"]
            a = a if operands[0].precedence >= ATOM else f"({a})"
            keep = ", keepdims=True" if node.params["keepdims"] else ""
            return Text(f"{a}.sum(axis={literal(axis[0] if len(axis) == 1 else axis)}{keep})", ATOM, uses)
        if node.primitive.text == "{0}":
            return Text(operands[0].text, operands[0].precedence, uses)
        form = binding(node.primitive, node.params, len(operands))
        parts = [
            operand.text if operand.precedence >= needed else f"({operand.text})"
            for operand, needed in zip(operands, form.operands, strict=True)
        ]
        return Text(render(node.primitive, parts, node.params), form.own, uses)


def told_by(graph: Graph) -> Iterator[Callable[[int, int], object]]:
    # the functions that loops tell their progress
    for node in graph.nodes:
        if node.shape is None:
            loop: Loop = node.params["loop"]
            if loop.progress is not None:
                yield loop.progress.tell
            yield from told_by(loop.graph)


def _comment(scope: str) -> str:
    # "t=*/forget" -> "forget", "backward/t=*/forget" -> "back through forget"
    parts = [part for part in scope.split("/") if part != "t=*"]
    way = {"backward": "back through ", "forward": "forward through "}.get(parts[0], "") if parts else ""
    said = "/".join(part for part in parts if part not in ("backward", "forward"))
    return re.sub(r"[^\x20-\x7e]+", " ", way + said if said else "")


def _is_small_product(node: Node) -> bool:
    # of two matrices, or a vector and a matrix, where calling `@` takes longer than multiplying
    a, b = node.inputs
    small = int(np.prod(a.shape, dtype=np.int64)) * (b.shape[-1] if b.shape else 1) < 1 << 19
    return small and len(b.shape) == 2 and len(a.shape) in (1, 2) and a.dtype == b.dtype and a.dtype.kind == "f"
