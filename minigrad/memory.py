"""Values that are computed straight into memory that is there already: kept between calls, or part of something.

Large arrays of the outermost code, and the stacks and buffers of its loops, are asked of `empty`, which `compile` gives
the same memory at every call; what the caller gets is always fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .expressions import INLINE, WIDTH, Expressions, Text
from .graph import Graph, bytes_of, users_of
from .nodes import CONSTANT, Node, Shape
from .primitives.linear_algebra import matmul
from .primitives.structure import join, pick, reshape, stack, transpose
from .primitives.text import ATOM, has_out_form, literal, operator_of, render_into
from .schedule import Plan, handed_on

__all__ = ["Memory"]

LARGE = 1 << 16  # bytes; fresh memory of such arrays costs more than what is computed into it, so they are kept


class Place(NamedTuple):
    """A place in an array: all of it, one part along the first axis, or the parts from `first` to `stop`."""

    array: str
    first: int | None = None
    stop: int | None = None

    @property
    def text(self) -> str:
        """As it is written."""
        if self.first is None:
            return self.array
        return f"{self.array}[{self.first}]" if self.stop is None else f"{self.array}[{self.first}:{self.stop}]"

    def part(self, i: int, stop: int | None = None) -> Place:
        """Part `i` of this place, or the parts from `i` to `stop`."""
        if self.first is not None and self.stop is None:
            return Place(self.text, i, stop)
        shift = self.first or 0
        return Place(self.array, i + shift, None if stop is None else stop + shift)


class Kept(NamedTuple):
    """An array that was asked of `empty`: the values in it, and the variable that has it row by row."""

    values: tuple[Node, ...]
    until: int  # the position of what writes to it
    variable: str
    bytes: int
    dtype: Any


class Memory(Expressions):
    """Writes values into places."""

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__(graph, name)
        self.placed: set[Node] = set()  # computed straight into a part of a buffer, when the buffer's turn comes
        self.buffered: set[Node] = set()  # the buffers
        self.places: dict[Node, str] = {}  # computed straight into a row of a stack
        self.outputs = set(graph.outputs)
        self.pooled = False  # whether memory is kept between calls
        self.kept: list[Kept] = []
        self.position = {node: i for i, node in enumerate(graph.nodes)}
        self.users = users_of(graph.nodes)
        self.replacing: set[Node] = set()  # computed in the place of an operand

    # ---- memory that is kept

    def allocate(self, shape: Shape, dtype: Any, values: Sequence[Node], at: int, name: str) -> tuple[str, str]:
        """An array for some values, and the variable it comes from: one that is free, or a new one."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        for i, old in enumerate(self.kept):
            if old.bytes == size >= LARGE and old.dtype == dtype and self.last_use(old) < at:
                self.kept[i] = Kept(tuple(values), at, old.variable, size, dtype)
                return f"{old.variable}.reshape{literal(shape)}", old.variable
        self.kept.append(Kept(tuple(values), at, name, size, dtype))
        self.pooled = True
        kind = "" if dtype == np.float64 else f", {literal(dtype)}"
        return f"empty({literal(shape)}{kind})", "empty"

    def last_use(self, kept: Kept) -> float:
        """The position of the last node that reads an array, through views of it and carries that may be such, too."""
        last, seen, pending = float(kept.until), set(kept.values), list(kept.values)
        while pending:
            x = pending.pop()
            if x in self.outputs:
                return float("inf")
            for user in self.users.get(x, ()):
                last = max(last, self.position[user])
                text = self.texts.get(user)
                waiting = text is not None and not text.text.isidentifier()  # to be written inside another expression
                same = waiting or user.primitive.view or user in self.replacing
                also: list[Node] = self.passed_on(user) if user.shape is None else []
                for alias in [*[user] * same, *also]:
                    if alias not in seen:
                        seen.add(alias)
                        pending.append(alias)
        return last

    def passed_on(self, loop_node: Node) -> list[Node]:
        """The results of a loop that may be parts of what it was given: carries that a step hands on."""
        same = handed_on(loop_node.params["loop"])
        return [p for p in self.users.get(loop_node, ()) if p.params["position"] in same]

    def is_large(self, node: Node) -> bool:
        """Whether a value goes into memory that is kept between calls; what the caller gets never does."""
        known = node.primitive is matmul or has_out_form(node.primitive)
        return known and bool(node.shape) and bytes_of(node) >= LARGE and node not in self.outputs

    def fill_large(self, node: Node, uses: dict[Node, int], indent: str) -> None:
        """Compute a large value in the place of an operand that nothing else needs, or else in memory that is kept."""
        operand = next((x for x in node.inputs if self.is_free(x, node, uses)), None)
        for x in node.inputs:
            if x is operand or len(self.texts[x].text) > INLINE:
                self.assign(x, self.wish(node if x is operand else x, True), indent)
        texts = [self.texts[x].text for x in node.inputs]
        uses_names = tuple(name for x in node.inputs for name in self.texts[x].uses)
        self.comment(node, indent)
        if operand is not None and node.primitive is not matmul:
            place = self.texts[operand]
            self.texts[node] = Text(place.text, ATOM, place.uses)
            self.replacing.add(node)
            self.lines.append((indent + self.in_place(node, texts, place.text), (), uses_names))
            return
        name = self.names.new(self.wish(node, True))
        kept, source = self.allocate(node.shape, node.dtype, [node], self.position[node], name)
        while True:
            texts = [self.texts[x].text for x in node.inputs]
            into = render_into(node.primitive, texts, kept)
            longest = max(node.inputs, key=lambda x: len(self.texts[x].text))
            if len(indent) + len(name) + len(into) < WIDTH or len(self.texts[longest].text) < 24:
                break
            if self.texts[longest].text.isidentifier() or longest.primitive is CONSTANT:
                break
            self.assign(longest, self.wish(longest, True), indent)
        uses_names = tuple(name for x in node.inputs for name in self.texts[x].uses)
        self.texts[node] = Text(name, ATOM, (name,))
        self.lines.append((f"{indent}{name} = {into}", (name,), (source, *uses_names)))

    def is_free(self, x: Node, node: Node, uses: dict[Node, int]) -> bool:
        """Whether an operand's memory can be written to: made here, like the result, and needed by nothing else."""
        if x.shape != node.shape or x.dtype != node.dtype or node.primitive is matmul:
            return False
        while True:
            if x.is_leaf or x.primitive is pick or uses.get(x) != 1 or x in self.outputs:
                return False
            if x.primitive is not reshape and x.primitive is not transpose:
                return not x.primitive.view and self.is_large(x)
            x = x.inputs[0]

    def empty(
        self, name: str, shape: Shape, dtype: Any, indent: str, values: Sequence[Node] | None, at: Node,
        turned: bool = False,
    ) -> str:  # fmt: skip
        """Make an array for the results of the loop `at`: in memory that is kept, or fresh where `values` is None.

        Of a `turned` array the second axis comes first in memory, since it is used that way afterwards.
        """
        turn = ""
        if turned:
            shape, turn = (shape[1], shape[0], *shape[2:]), f".transpose{literal((1, 0, *range(2, len(shape))))}"
        if values is None or at not in self.position:  # a loop inside a loop makes many, one after the other
            kind = "" if dtype == np.float64 else f", {literal(dtype)}"
            text, source = f"np.empty({literal(shape)}{kind})", None
        else:
            text, source = self.allocate(shape, dtype, values, self.position[at], name)
        if turned and source == "empty":  # the variable itself is not in order
            self.kept.pop()
        note = "" if source in (None, "empty") else "  # memory that is free now"
        self.lines.append((f"{indent}{name} = {text}{turn}{note}", (name,), (source,) if source else ()))
        return name

    def buffers(self, plan: Plan, stacks: dict[int, str], t: str, indent: str, at: Node) -> list[str]:
        """Make the arrays that a step fills, and remember which values go where."""
        self.placed, self.buffered, self.places = plan.placed, set(plan.buffers), {}
        made = []
        for v in plan.buffers:
            if v not in plan.rows:
                name = self.names.new(self.wish(v, True))
                self.places[v] = self.empty(name, v.shape, v.dtype, indent, (), at)
                made.append(name)
        for v, i in plan.rows.items():
            self.places[v] = f"{stacks[i]}[{t}]"
        return made

    def fill_buffer(self, node: Node, indent: str) -> None:
        """Compute all parts of a joined array straight into their places."""
        array = self.places[node]
        self.comment(node, indent)
        if not array.isidentifier():  # a row of a stack
            name = self.names.new(self.wish(node, True))
            self.lines.append((f"{indent}{name} = {array}", (name,), (array.split("[")[0],)))
            array = name
        self.fill(node, Place(array), indent)
        self.texts[node] = Text(array, ATOM, (array,))

    def fill(self, v: Node, place: Place, indent: str) -> None:
        """Compute a value into a place of its shape."""
        array = place.array.split("[")[0]
        joined = v in self.placed or (v in self.buffered and v not in self.texts)  # a buffer that is filled is copied
        if v.primitive is stack and joined:
            for i, x in enumerate(v.inputs):
                self.fill(x, place.part(i), indent)
        elif v.primitive is join and joined:
            start = 0
            for x in v.inputs:
                stop = start + x.shape[0]
                if x in self.placed and x.primitive is reshape:
                    self.fill(x.inputs[0], place.part(start), indent)
                else:
                    self.fill(x, place.part(start, stop), indent)
                start = stop
        elif v in self.placed:
            nested = next((x for x in v.inputs if x in self.placed), None)
            if nested is not None:
                self.fill(nested, place, indent)
            operands = [place.text if x is nested else self.texts[x].text for x in v.inputs]
            uses = (array, *[name for x in v.inputs if x is not nested for name in self.texts[x].uses])
            self.lines.append((indent + self.in_place(v, operands, place.text), (), uses))
        else:
            text = self.texts[v]
            self.lines.append((f"{indent}{place.text} = {text.text}", (), (array, *text.uses)))

    def in_place(self, v: Node, operands: Sequence[str], place: str) -> str:
        """A statement that computes a value into a place: `z *= s` where that is what it does."""
        if v.primitive.is_operator and len(operands) == 2:
            symbol = operator_of(v.primitive)
            if operands[0] == place:
                return f"{place} {symbol}= {operands[1]}"
            if operands[1] == place and symbol in ("+", "*"):
                return f"{place} {symbol}= {operands[0]}"
        return render_into(v.primitive, operands, place)

    def fill_row(self, node: Node, indent: str, scope_result: bool) -> None:
        """Compute a value straight into its row of a stack, and call the row by the value's name."""
        place = self.places[node]
        array = place.split("[")[0]
        self.comment(node, indent)
        if has_out_form(node.primitive):
            uses = (array, *[name for x in node.inputs for name in self.texts[x].uses])
            into = render_into(node.primitive, [self.texts[x].text for x in node.inputs], place)
            name = self.named(node, self.wish(node, scope_result))
            self.lines.append((f"{indent}{name} = {into}", (name,), uses))
        else:
            text = self.expression(node, indent)
            self.lines.append((f"{indent}{place} = {text.text}", (), (array, *text.uses)))
            name = self.named(node, self.wish(node, scope_result))
            self.lines.append((f"{indent}{name} = {place}", (name,), (array,)))
