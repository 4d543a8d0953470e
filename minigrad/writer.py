"""A graph as lines of NumPy: straight code, and a `for` for each loop.

A step's values stand where `schedule` puts them; carries are variables that go by their own names as soon as nothing
needs the old value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import FreeSymbolError
from .expressions import INLINE, Text
from .graph import Graph, Loop, topological
from .memory import Memory
from .nodes import CONSTANT, SYMBOL, Node
from .primitives.structure import index, pick, transpose
from .primitives.text import ATOM
from .schedule import bases_of, schedule, shifted_stacks

__all__ = ["Writer", "count_uses"]


class Writer(Memory):
    """Writes one graph. `lines` are (text, names it sets, names it uses); loops write their bodies indented."""

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__(graph, name)
        self.picks: dict[Node, list[Node]] = {}
        self.turned: set[Node] = set()  # stacks that are used with their second axis first
        collect_picks(graph, self.picks, self.turned)

    def is_whole(self, result: Node) -> bool:
        """Whether a loop's result is an array of its own: a stack is, a carry may be anything."""
        return bool(result.params["position"] >= result.inputs[0].params["loop"].carries)

    def body(self, graph: Graph, indent: str, results: set[Node]) -> None:
        """Write all nodes of a graph; the texts of its outputs are in `self.texts` afterwards. `results` get names."""
        given = set(graph.inputs)
        nodes = [node for node in topological(graph.outputs) if node not in given]
        uses, foreign = count_uses(nodes, graph.outputs)
        foreign |= results
        parts = _named_parts(nodes)
        loops = [node for node in nodes if node.shape is None]
        repeated = {x for node in loops for x in node.inputs[node.params["loop"].carries :]}  # written at each step
        for x in graph.inputs:
            self.unpack(x, parts, indent)
        for node in nodes:
            if node in self.texts:
                continue
            if node.primitive is CONSTANT:
                self.constant(node, 2 if self.in_loop or node in repeated else uses[node])
            elif node.primitive is SYMBOL:
                raise FreeSymbolError(f"source: the symbol {node.name!r} is not among the inputs")
            elif node.shape is None:
                self.loop(node, indent)
            elif node in self.buffered:
                self.fill_buffer(node, indent)
            elif node in self.places:
                self.fill_row(node, indent, node in foreign)
            elif graph is self.graph and self.is_large(node):
                self.fill_large(node, uses, indent)
            elif node.primitive is not pick and node not in self.placed:
                text = self.expression(node, indent)
                once = uses[node] == 1 and node not in foreign and len(text.text) <= INLINE
                self.texts[node] = text
                if not once or node in parts:
                    self.assign(node, self.wish(node, node in foreign), indent)
            self.unpack(node, parts, indent)

    def unpack(self, whole: Node, parts: dict[Node, dict[int, Node]], indent: str) -> None:
        """`forget, input_ = gates[0], gates[1]`: parts of an array get names of their own, where several are used."""
        found = parts.get(whole)
        if found is None or whole not in self.texts or any(x in self.texts for x in found.values()):
            return
        text = self.texts[whole].text
        positions = sorted(found)
        names = [self.named(found[i], found[i].name or "part") for i in positions]
        values = ", ".join(f"{text}[{i}]" for i in positions)
        self.lines.append((f"{indent}{', '.join(names)} = {values}", tuple(names), (text,)))

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
        self.carried.update(zip(outputs[:n], carries, strict=True))
        results = count_uses(loop.graph.nodes, outputs)[1] | {y for y in outputs[:n] if y.scope}
        stacks = {i: self.names.new(self.stack_name(loop, i, picks.get(i), results)) for i in range(n, len(outputs))}
        types = loop.result_types()
        handed_out = {p.params["position"] for p in self.picks[node] if p in self.outputs}
        turned = {p.params["position"] for p in self.picks[node] if p in self.turned} - handed_out
        plan = schedule(loop)
        in_rows = {i for i in range(n) if not bases_of(outputs[i]).isdisjoint(plan.rows)}
        ends = [p for p in self.picks[node] if p.params["position"] in in_rows]
        values = {i: None if i in handed_out else [*ends, *[p for p in self.picks[node] if p.params["position"] == i]]
                  for i in stacks}  # fmt: skip
        shifted = shifted_stacks(loop, set(stacks) - turned - handed_out)
        lasting = []
        for i, name in stacks.items():
            if i in shifted:
                both = [*(values[i] or ()), *(values[shifted[i]] or ())]
                lasting += self.empty_shifted(loop, stacks[shifted[i]], name, shifted[i], carries, both, node, indent)
            elif i not in shifted.values():
                lasting.append(self.empty(name, *types[i], indent, values[i], node, i in turned))
        around = self.placed, self.buffered, self.places
        lasting += self.buffers(plan, stacks, t, indent, node)
        steps = f"reversed(range({loop.length}))" if loop.reverse else f"range({loop.length})"
        self.lines.append((f"{indent}for {t} in {steps}:", (), ()))
        start, inside = len(self.lines), indent + "    "
        for x, array in zip(inputs[n : n + m], before[n : n + m], strict=True):
            text = array.text if array.precedence >= ATOM else f"({array.text})"
            known = array.text.isidentifier() and "_steps" in array.text
            name = self.named(x, array.text.replace("_steps", "") if known else x.name or "x")
            self.lines.append((f"{inside}{name} = {text}[{t}]", (name,), array.uses))
        given = {i: stack for i, stack in stacks.items() if outputs[i] in set(inputs) and i not in shifted.values()}
        self.store(given, outputs, t, inside)
        was_in_loop, self.in_loop = self.in_loop, True
        self.body(loop.graph, inside, results)
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

    def empty_shifted(
        self, loop: Loop, before: str, after: str, i: int, carries: Sequence[str], values: Sequence[Node], at: Node,
        indent: str,
    ) -> list[str]:  # fmt: skip
        """One array for a carry's values before and after each step, which are the same but for the first and last."""
        shape, dtype = loop.result_types()[i]
        carry = next(name for x, name in zip(loop.graph.inputs, carries, strict=False) if x is loop.graph.outputs[i])
        every = self.names.new(f"every_{carry}")
        self.empty(every, (shape[0] + 1, *shape[1:]), dtype, indent, values, at)
        first, starts, ends = ("-1", "1:", ":-1") if loop.reverse else ("0", ":-1", "1:")
        self.lines.append((f"{indent}{every}[{first}] = {carry}", (), (every, carry)))
        parts = f"{before}, {after} = {every}[{starts}], {every}[{ends}]"
        self.lines.append((f"{indent}{parts}", (before, after), (every,)))
        return [every, before, after]

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
        """A next value goes by the carry's own name from the line that makes it, if nothing needs the old one then."""
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
                target, equals, value = line.partition(" = ")
                line = pattern.sub(carry, target) + equals + (value if k == made[0] else pattern.sub(carry, value))
                self.lines[k] = (line, *renamed)
            for other in {id(t): t for t in [*following, *self.texts.values()] if text.text in t.uses}.values():
                other.text = pattern.sub(carry, other.text)
                other.uses = tuple(new.get(x, x) for x in other.uses)


def count_uses(nodes: Sequence[Node], outputs: Sequence[Node]) -> tuple[dict[Node, int], set[Node]]:
    """How often each node is used, and which ones are the result of their scope: used from another, or by a loop."""
    uses = dict.fromkeys(nodes, 0)
    foreign: set[Node] = set()
    for node in nodes:
        looped = node.params["loop"].carries if node.shape is None else len(node.inputs)
        for i, x in enumerate(node.inputs):
            if x in uses:
                uses[x] += 1
                elsewhere = node.scope and x.scope and _forward_scope(x) != _forward_scope(node)
                if i >= looped or (elsewhere and not x.primitive.view):
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


def _named_parts(nodes: Sequence[Node]) -> dict[Node, dict[int, Node]]:
    # array -> its parts along the first axis that have names of their own, of arrays with several and few
    parts: dict[Node, dict[int, Node]] = {}
    for node in nodes:
        if node.primitive is index and node.name and len(node.params["index"]) == 1:
            i = node.params["index"][0]
            if isinstance(i, int) and i >= 0:
                parts.setdefault(node.inputs[0], {}).setdefault(i, node)
    return {whole: found for whole, found in parts.items() if len(found) > 1 and whole.shape[0] <= 4}
