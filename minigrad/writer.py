"""A graph as lines of NumPy: expressions, the names they get, and loops.

An expression is written where it is used if that is its only use and the line stays short; else it gets a name: the
user's, or that of the scope whose result it is (`t=3/forget` gives `forget_3`), or `d_` and the name of the node whose
cotangent it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import FreeSymbolError
from .graph import Graph, Loop, topological
from .naming import RESERVED, Names, clean, scope_name
from .nodes import CONSTANT, SYMBOL, Node, Shape
from .primitives.linear_algebra import matmul
from .primitives.structure import index, join, pick, reshape, stack, transpose
from .primitives.text import (
    ATOM, UNARY, array_literal, binding, has_out_form, is_uniform, literal, render, render_into,
)  # fmt: skip
from .schedule import Plan, bytes_of, schedule

__all__ = ["WIDTH", "Line", "Text", "Writer"]

WIDTH = 100  # of a line
INLINE = 80  # the longest expression that is written inside another
LARGE = 1 << 16  # bytes; fresh memory of such arrays costs more than what is computed into it, so they are kept
LITERAL_SIZE = 16  # a larger constant is a keyword parameter

_TEMPORARIES = {"sum": "total", "max": "largest", "min": "smallest", "any": "some", "all": "every", "index": "part"}

Line = tuple[str, tuple[str, ...], tuple[str, ...]]  # its text, the names it sets, the names it uses


class Text:
    """An expression: its text, how tightly it binds, and the names it uses."""

    __slots__ = ("precedence", "text", "uses")

    def __init__(self, text: str, precedence: int, uses: tuple[str, ...]) -> None:
        self.text, self.precedence, self.uses = text, precedence, uses


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


class Writer:
    """Writes one graph. `lines` are (text, names it sets, names it uses); loops write their bodies indented."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.names = Names(RESERVED)
        self.function = self.names.new(clean(name))
        self.texts: dict[Node, Text] = {}
        self.called: dict[Node, str] = {}  # what the nodes of a finished loop were called: their cotangents remember
        self.lasting: set[str] = set()  # names of constants, which are the same everywhere
        self.lines: list[Line] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.arguments = [self.named(node, node.name or "x") for node in graph.inputs]
        told = {id(tell): tell for tell in told_by(graph)}
        self.progress = {self.names.new("progress", lasting=True): tell for tell in told.values()}
        self.lasting.update(self.progress)
        self.scope = ""
        self.placed: set[Node] = set()  # computed straight into a part of a buffer, when the buffer's turn comes
        self.buffered: set[Node] = set()  # the buffers
        self.places: dict[Node, str] = {}  # computed straight into a row of a stack
        self.outputs = set(graph.outputs)
        self.in_loop = False
        self.pooled = False  # whether memory is kept between calls
        self.picks: dict[Node, list[Node]] = {}
        self.turned: set[Node] = set()  # stacks that are used with their second axis first
        collect_picks(graph, self.picks, self.turned)

    def named(self, node: Node, wish: str, lasting: bool = False) -> str:
        """A name of its own for a node."""
        name = self.names.new(wish, lasting)
        self.texts[node] = Text(name, ATOM, (name,))
        return name

    def name_of(self, node: Node) -> str | None:
        """The name that a node has, or had in its loop; None where it was written inside another's expression."""
        text = self.texts[node].text if node in self.texts else self.called.get(node, "")
        return text if text.isidentifier() else None

    def is_whole(self, result: Node) -> bool:
        """Whether a loop's result is an array of its own: a stack is, a carry may be anything."""
        return bool(result.params["position"] >= result.inputs[0].params["loop"].carries)

    # ---- bodies

    def body(self, graph: Graph, indent: str, results: set[Node]) -> None:
        """Write all nodes of a graph; the texts of its outputs are in `self.texts` afterwards. `results` get names."""
        given = set(graph.inputs)
        nodes = [node for node in topological(graph.outputs) if node not in given]
        uses, foreign = _count_uses(nodes, graph.outputs)
        foreign |= results
        for node in nodes:
            if node in self.texts:
                continue
            if node.primitive is CONSTANT:
                self.constant(node, uses[node])
            elif node.primitive is SYMBOL:
                raise FreeSymbolError(f"source: the symbol {node.name!r} is not among the inputs")
            elif node.shape is None:
                self.loop(node, indent)
            elif node in self.buffered:
                self.fill_buffer(node, indent)
            elif node in self.places:
                self.fill_row(node, indent)
            elif graph is self.graph and self.is_large(node):
                self.fill_large(node, uses, indent)
            elif node.primitive is not pick and node not in self.placed:
                text = self.expression(node, indent)
                once = uses[node] == 1 and node not in foreign and len(text.text) <= INLINE
                self.texts[node] = text
                if not once:
                    self.assign(node, self.wish(node, node in foreign), indent)

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
            self.lines.append((indent + self.in_place(node, texts, place.text), (), uses_names))
            return
        kept = f"empty({literal(node.shape)}, {literal(node.dtype)})"
        into = f"np.matmul({', '.join(texts)}, out={kept})" if node.primitive is matmul else None
        name = self.named(node, self.wish(node, True))
        line = into or render_into(node.primitive, texts, kept)
        self.lines.append((f"{indent}{name} = {line}", (name,), ("empty", *uses_names)))
        self.pooled = True

    def is_free(self, x: Node, node: Node, uses: dict[Node, int]) -> bool:
        """Whether an operand's memory can be written to: made here, of the result's kind, and needed by nothing else."""
        if x.shape != node.shape or x.dtype != node.dtype or node.primitive is matmul:
            return False
        while True:
            if x.is_leaf or x.primitive is pick or uses.get(x) != 1 or x in self.outputs:
                return False
            if x.primitive is not reshape and x.primitive is not transpose:
                return not x.primitive.view and x.primitive.text != "{0}" and self.is_large(x)
            x = x.inputs[0]

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
                single = x in self.placed and x.primitive is reshape
                self.fill(x.inputs[0] if single else x, place.part(start, None if single else start + x.shape[0]), indent)
                start += x.shape[0]
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
            symbol = str(v.primitive.text).replace("{0}", "").replace("{1}", "").strip()
            if operands[0] == place:
                return f"{place} {symbol}= {operands[1]}"
            if operands[1] == place and symbol in ("+", "*"):
                return f"{place} {symbol}= {operands[0]}"
        return render_into(v.primitive, operands, place)

    def fill_row(self, node: Node, indent: str) -> None:
        """Compute a value straight into its row of a stack, and call the row by the value's name."""
        place = self.places[node]
        array = place.split("[")[0]
        self.comment(node, indent)
        if has_out_form(node.primitive):
            uses = (array, *[name for x in node.inputs for name in self.texts[x].uses])
            text = render_into(node.primitive, [self.texts[x].text for x in node.inputs], place)
            self.lines.append((f"{indent}{self.named(node, self.wish(node, True))} = {text}", (self.texts[node].text,), uses))
        else:
            text = self.expression(node, indent)
            self.lines.append((f"{indent}{place} = {text.text}", (), (array, *text.uses)))
            name = self.named(node, self.wish(node, True))
            self.lines.append((f"{indent}{name} = {place}", (name,), (array,)))

    def comment(self, node: Node, indent: str) -> None:
        """Say which scope the next line belongs to, if it is another than before."""
        if node.scope and node.scope != self.scope:
            self.lines.append((f"{indent}# {_comment(node.scope)}", (), ()))
            self.scope = node.scope

    def assign(self, node: Node, wish: str, indent: str) -> None:
        """Give the node's expression a name, in a line of its own."""
        text = self.texts[node]
        if text.precedence == ATOM and text.text.isidentifier():
            return  # a name of another's already
        self.comment(node, indent)
        name = self.named(node, wish)
        self.lines.append((f"{indent}{name} = {text.text}", (name,), text.uses))

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
            is_stack = i >= loop.carries
            return prefix + (self.stack_name(loop, i, None) if is_stack else loop.graph.inputs[i].name or "carry")
        if about.primitive is index and not prefix and (base := self.name_of(about.inputs[0])):
            place = about.params["index"]
            if len(place) == 1 and isinstance(place[0], int):  # xs[3] is x_3
                return f"{base.removesuffix('s') or base}_{place[0]}"
        if about.primitive is transpose and not prefix and (base := self.name_of(about.inputs[0])):
            return f"{base}_T"
        scoped = scope_name(about.scope)
        if scoped and (scope_result or prefix):
            return prefix + scoped
        return prefix + _TEMPORARIES.get(about.primitive.name, about.primitive.name)

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
        if node.primitive.text == "{0}":
            return Text(operands[0].text, operands[0].precedence, uses)
        form = binding(node.primitive, node.params, len(operands))
        parts = [
            operand.text if operand.precedence >= needed else f"({operand.text})"
            for operand, needed in zip(operands, form.operands, strict=True)
        ]
        return Text(render(node.primitive, parts, node.params), form.own, uses)

    # ---- loops

    def loop(self, node: Node, indent: str) -> None:
        """A `for` over the steps: carries in variables, results stacked into arrays made before."""
        loop: Loop = node.params["loop"]
        n, m = loop.carries, loop.slices
        inputs, outputs = loop.graph.inputs, loop.graph.outputs
        picks = {p.params["position"]: p for p in self.picks[node]}
        before = [self.texts[x] for x in node.inputs]
        self.texts.update(zip(inputs[n + m :], before[n + m :], strict=True))
        carries = [self.named(x, x.name or "carry") for x in inputs[:n]]
        for name, value in zip(carries, before[:n], strict=True):
            self.lines.append((f"{indent}{name} = {value.text}", (name,), value.uses))
        outer = set(self.names.taken)  # what is named inside the loop is free again after it
        t = self.names.new("chunk" if loop.recompute else "t")
        stacks = {i: self.names.new(self.stack_name(loop, i, picks.get(i))) for i in range(n, len(outputs))}
        types = loop.result_types()
        handed_out = {p.params["position"] for p in self.picks[node] if p in self.outputs}
        turned = {p.params["position"] for p in self.picks[node] if p in self.turned} - handed_out
        lasting = [self.empty(name, *types[i], indent, i in handed_out, i in turned) for i, name in stacks.items()]
        around = self.placed, self.buffered, self.places
        lasting += self.buffers(schedule(loop), stacks, t, indent)
        steps = f"reversed(range({loop.length}))" if loop.reverse else f"range({loop.length})"
        self.lines.append((f"{indent}for {t} in {steps}:", (), ()))
        start, inside = len(self.lines), indent + "    "
        for x, array in zip(inputs[n : n + m], before[n : n + m], strict=True):
            text = array.text if array.precedence >= ATOM else f"({array.text})"
            known = array.text.isidentifier() and "_steps" in array.text
            name = self.named(x, array.text.replace("_steps", "") if known else x.name or "x")
            self.lines.append((f"{inside}{name} = {text}[{t}]", (name,), array.uses))
        self.store({i: stack for i, stack in stacks.items() if outputs[i] in set(inputs)}, outputs, t, inside)
        was_in_loop, self.in_loop = self.in_loop, True
        self.body(loop.graph, inside, {y for y in outputs[:n] if y.scope})
        self.in_loop = was_in_loop
        self.store({i: stack for i, stack in stacks.items() if outputs[i] not in set(inputs)}, outputs, t, inside)
        self.advance(carries, [self.texts[y] for y in outputs[:n]], inside, start)
        self.tell(loop, t, inside)
        if self.lines[-1][0].endswith(":"):
            self.lines.append((f"{inside}pass", (), ()))
        self.placed, self.buffered, self.places = around
        unused = {name for i, name in enumerate(carries) if i not in picks}
        self.forget(loop.graph)
        self.names.release((outer | set(lasting) | self.lasting) - unused)
        for found in self.picks[node]:
            i = found.params["position"]
            name = carries[i] if i < n else stacks[i]
            self.texts[found] = Text(name, ATOM, (name,))

    def empty(
        self, name: str, shape: Shape, dtype: Any, indent: str, handed_out: bool = False, turned: bool = False
    ) -> str:
        """Make an array to be filled: in memory that is kept between calls, unless the caller gets it.

        Of a `turned` array the second axis comes first in memory, since it is used that way afterwards.
        """
        kept = not handed_out and indent == "    "  # a loop inside a loop makes many, one after the other
        self.pooled |= kept
        kind = "" if dtype == np.float64 else f", {literal(dtype)}"
        turn = ""
        if turned:
            shape, turn = (shape[1], shape[0], *shape[2:]), f".transpose{literal((1, 0, *range(2, len(shape))))}"
        text = f"{'' if kept else 'np.'}empty({literal(shape)}{kind}){turn}"
        self.lines.append((f"{indent}{name} = {text}", (name,), ("empty",) * kept))
        return name

    def buffers(self, plan: Plan, stacks: dict[int, str], t: str, indent: str) -> list[str]:
        """Make the arrays that a step fills, and remember which values go where."""
        self.placed, self.buffered, self.places = plan.placed, set(plan.buffers), {}
        made = []
        for v in plan.buffers:
            if v not in plan.rows:
                name = self.names.new(self.wish(v, True))
                self.places[v] = self.empty(name, v.shape, v.dtype, indent)
                made.append(name)
        for v, i in plan.rows.items():
            self.places[v] = f"{stacks[i]}[{t}]"
        return made

    def store(self, stacks: dict[int, str], outputs: Sequence[Node], t: str, indent: str) -> None:
        """Put this step's results into their rows, but those that were computed there."""
        for i, stack in stacks.items():
            if self.places.get(outputs[i]) != f"{stack}[{t}]":
                step = self.texts[outputs[i]]
                self.lines.append((f"{indent}{stack}[{t}] = {step.text}", (), (stack, *step.uses)))

    def tell(self, loop: Loop, t: str, indent: str) -> None:
        """Say how far the loop is, to whoever asked for it."""
        if (told := loop.progress) is not None:
            name = next(name for name, tell in self.progress.items() if tell is told.tell)
            rounds = f"{loop.length} - {t}" if loop.reverse else f"{t} + 1"
            done = f"({rounds}) * {told.each}" if told.each > 1 else rounds
            done = f"{told.before} + {done}" if told.before else done
            self.lines.append((f"{indent}if {name} is not None:", (), (name,)))
            self.lines.append((f"{indent}    {name}({done}, {told.total})", (), (name, t)))

    def forget(self, step: Graph) -> None:
        """A loop is written. Another may run the same step: there, the same nodes are other values."""
        for node in step.nodes:
            if node in self.texts and node.primitive is not CONSTANT and self.texts[node].text not in self.lasting:
                self.called[node] = self.texts.pop(node).text

    def advance(self, carries: Sequence[str], following: Sequence[Text], indent: str, start: int) -> None:
        """Give the carries their next values: one line each where no other still needs the old value, else together."""
        self.rename(carries, following, start)
        left = {carry: text for carry, text in zip(carries, following, strict=True) if carry != text.text}
        while left:
            ready = [c for c in left if not any(c in text.uses for other, text in left.items() if other != c)]
            for names in [[c] for c in ready] or [list(left)]:
                texts = [left.pop(name) for name in names]
                line = f"{indent}{', '.join(names)} = {', '.join(text.text for text in texts)}"
                self.lines.append((line, tuple(names), tuple(use for text in texts for use in text.uses)))

    def rename(self, carries: Sequence[str], following: Sequence[Text], start: int) -> None:
        """A next value goes by the carry's own name from the line that makes it, where nothing needs the old one then."""
        for carry, text in zip(carries, following, strict=True):
            made = [k for k in range(start, len(self.lines)) if text.text in self.lines[k][1]]
            once = sum(other.text == text.text for other in following) == 1
            if len(made) != 1 or not once or carry == text.text or carry in text.text.split("."):
                continue
            later = self.lines[made[0] + 1 :]
            if any(carry in uses or carry in sets for _, sets, uses in later):
                continue
            if any(carry in other.uses for other in following if other is not text):
                continue
            new = {text.text: carry}
            pattern = re.compile(rf"(?<![\w.]){re.escape(text.text)}\b")
            for k in range(made[0], len(self.lines)):
                line, sets, uses = self.lines[k]
                renamed = tuple(new.get(x, x) for x in sets), tuple(new.get(x, x) for x in uses)
                self.lines[k] = (pattern.sub(carry, line), *renamed) if k > made[0] else (
                    line.replace(f"{text.text} =", f"{carry} =", 1), *renamed)
            for other in {id(t): t for t in [*following, *self.texts.values()] if text.text in t.uses}.values():
                other.text = pattern.sub(carry, other.text)
                other.uses = tuple(new.get(x, x) for x in other.uses)

    def stack_name(self, loop: Loop, i: int, found: Node | None) -> str:
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
        name = self.name_of(output) or self.wish(output, True)
        return f"{name.rstrip('_').removesuffix('_steps')}_{every}"


def _is_small_product(node: Node) -> bool:
    # of two matrices, or a vector and a matrix, where calling `@` takes longer than multiplying
    a, b = node.inputs
    small = int(np.prod(a.shape, dtype=np.int64)) * (b.shape[-1] if b.shape else 1) < 1 << 19
    return small and len(b.shape) == 2 and len(a.shape) in (1, 2) and a.dtype == b.dtype and a.dtype.kind == "f"


def _count_uses(nodes: Sequence[Node], outputs: Sequence[Node]) -> tuple[dict[Node, int], set[Node]]:
    # how often each node is used, and which ones are the result of their scope: used from another, or by a loop
    uses = dict.fromkeys(nodes, 0)
    foreign: set[Node] = set()
    for node in nodes:
        looped = node.params["loop"].carries if node.shape is None else len(node.inputs)
        for i, x in enumerate(node.inputs):
            if x in uses:
                uses[x] += 1
                if i >= looped or (node.scope and x.scope and _forward_scope(x) != _forward_scope(node)):
                    foreign.add(x)
    for y in outputs:
        if y in uses:
            uses[y] += 1
    return uses, foreign


def _forward_scope(node: Node) -> str:
    # the scope without what the reverse and forward passes put before it
    return re.sub(r"^((backward|forward)(/|$))+", "", node.scope)


def collect_picks(graph: Graph, picks: dict[Node, list[Node]], turned: set[Node]) -> None:
    for node in graph.nodes:
        if node.primitive is transpose and node.params["axes"][:2] == (1, 0) and node.inputs[0].primitive is pick:
            turned.add(node.inputs[0])
        if node.shape is None:
            picks.setdefault(node, [])
        elif node.primitive is pick:
            picks.setdefault(node.inputs[0], []).append(node)
    for inner in graph.subgraphs():
        collect_picks(inner, picks, turned)


def told_by(graph: Graph) -> Iterator[Callable[[int, int], object]]:
    # the functions that loops tell their progress
    for node in graph.nodes:
        if node.shape is None:
            loop: Loop = node.params["loop"]
            if loop.progress is not None:
                yield loop.progress.tell
            yield from told_by(loop.graph)


def _comment(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", text)
