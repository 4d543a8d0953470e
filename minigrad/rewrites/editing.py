"""Loops taken apart and put together again: what the rewrites of loops share.

    edit_loops(graph, edit)      every loop, the innermost first, replaced by what `edit` makes of it
    LoopEditor                   a loop whose carries, slices, closures and results go by name instead of by position
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..graph import Graph, Loop, depending_on, rebuild, substitute
from ..loop import stand_in
from ..nodes import Node
from ..primitives.structure import pick

__all__ = ["LoopEditor", "edit_loops", "replaced", "terms_of"]


def replaced(values: Sequence[Node], new: dict[Node, Node]) -> list[Node]:
    """The same expressions with some nodes replaced, also where they stand in what replaces another."""
    done: dict[Node, Node] = {}
    pending = list(values)
    while pending:
        node = pending[-1]
        instead = new.get(node, node)
        parts = node.inputs if instead is node else (instead,)
        missing = [x for x in parts if x not in done]
        if missing:
            pending += missing
            continue
        pending.pop()
        if node not in done:
            done[node] = rebuild(node, [done[x] for x in parts]) if instead is node else done[instead]
    return [done[v] for v in values]


def terms_of(total: Node, inner: set[Node]) -> list[Node]:
    """(a + b) + (c + d) -> [a, b, c, d], where the sums among `inner` are taken apart too."""
    terms: list[Node] = []
    pending = [total]
    while pending:
        x = pending.pop()
        if x is total or x in inner:
            pending += reversed(x.inputs)
        else:
            terms.append(x)
    return terms


class LoopEditor:
    """A loop that is being taken apart.

    By the symbol of the step, `start` and `following` give a carry's first and next value, `slices` and `closures` the
    array outside. `ys` are the values to be stacked. `results` says what stands for a result of the old loop where
    that is no result of the new one: an expression outside, made from `stack_of` values of the step.
    """

    def __init__(self, node: Node, inputs: Sequence[Node]) -> None:
        loop: Loop = node.params["loop"]
        n, m = loop.carries, loop.slices
        symbols, outputs = loop.graph.inputs, loop.graph.outputs
        self.node, self.loop = node, loop
        self.start = dict(zip(symbols[:n], inputs[:n], strict=True))
        self.following = dict(zip(symbols[:n], outputs[:n], strict=True))
        self.slices = dict(zip(symbols[n : n + m], inputs[n : n + m], strict=True))
        self.closures = dict(zip(symbols[n + m :], inputs[n + m :], strict=True))
        self.ys = dict(enumerate(outputs[n:], start=n))
        self.results: dict[int, Node] = {}
        self.stacks: dict[Node, Node] = {}  # value of the step -> what stands for all its steps until it is built

    @property
    def values(self) -> list[Node]:
        """What the step has to compute: the next carries and all that is stacked."""
        return [*self.following.values(), *self.ys.values(), *self.stacks]

    def varying(self) -> set[Node]:
        """The nodes of the step that change from step to step, being made from a carry or a slice."""
        return set(depending_on([*self.start, *self.slices], self.values))

    def carried(self) -> set[Node]:
        """The nodes of the step that are made from a carry."""
        return set(depending_on(list(self.start), self.values))

    def stack_of(self, value: Node) -> Node:
        """All steps of a value of the step, as a node outside with a leading axis."""
        if value in self.slices:
            return self.slices[value]
        if value not in self.stacks:
            self.stacks[value] = stand_in(value, (self.loop.length, *value.shape))
        return self.stacks[value]

    def replace(self, new: dict[Node, Node]) -> None:
        """Put other nodes in the place of some nodes of the step."""
        before = self.values
        after = dict(zip(before, replaced(before, new), strict=True))
        self.following = {carry: after[y] for carry, y in self.following.items()}
        self.ys = {i: after[y] for i, y in self.ys.items()}
        self.stacks = {after[y]: stack for y, stack in self.stacks.items()}

    def built(self) -> dict[int, Node]:
        """Put together again: what stands for each result of the old loop, by its position there."""
        ys = list(dict.fromkeys([*self.ys.values(), *self.stacks]))
        used = set(depending_on([*self.slices, *self.closures], [*self.following.values(), *ys]))
        slices, closures = [x for x in self.slices if x in used], [x for x in self.closures if x in used]
        graph = Graph([*self.start, *slices, *closures], [*self.following.values(), *ys])
        inputs = [*self.start.values(), *[self.slices[x] for x in slices], *[self.closures[x] for x in closures]]
        loop = self.loop.repeating(graph, len(self.start), len(slices))
        node = Node(self.node.primitive, tuple(inputs), {"loop": loop}, None, None, like=self.node)
        place = {y: pick(node, position=len(self.start) + i) for i, y in enumerate(ys)}
        carried = {carry: pick(node, position=i) for i, carry in enumerate(self.start)}
        found = {i: carried[x] for i, x in enumerate(self.loop.graph.inputs[: self.loop.carries]) if x in carried}
        found.update({i: place[y] for i, y in self.ys.items()})
        stacks = {stack: place[y] for y, stack in self.stacks.items()}
        return {**found, **dict(zip(self.results, substitute(list(self.results.values()), stacks), strict=True))}


def edit_loops(graph: Graph, edit: Callable[[LoopEditor], bool]) -> Graph:
    """The graph with all its loops edited, those inside loops first. `edit` says whether it changed anything."""
    new: dict[Node, Node] = {}
    edited: dict[Node, dict[int, Node]] = {}
    for node in graph.nodes:
        if node.shape is None:
            inputs = [new[x] for x in node.inputs]
            editor = LoopEditor(_with_edited_step(node, edit), inputs)
            if edit(editor):
                edited[node] = editor.built()
            else:
                new[node] = rebuild(editor.node, inputs)
        elif node.primitive is pick and node.inputs[0] in edited:
            new[node] = _called_like(edited[node.inputs[0]][node.params["position"]], node)
        else:
            new[node] = node if node.is_leaf else rebuild(node, [new[x] for x in node.inputs])
    if all(a is b for a, b in new.items()) and not edited:
        return graph
    return Graph(graph.inputs, [new[y] for y in graph.outputs], graph.in_structure, graph.out_structure)


def _with_edited_step(node: Node, edit: Callable[[LoopEditor], bool]) -> Node:
    loop: Loop = node.params["loop"]
    step = edit_loops(loop.graph, edit) if any(True for _ in loop.graph.subgraphs()) else loop.graph
    if step is loop.graph:
        return node
    again = loop.repeating(step, loop.carries, loop.slices)
    return Node(node.primitive, node.inputs, {"loop": again}, None, None, like=node)


def _called_like(made: Node, node: Node) -> Node:
    if made.serial > node.serial and made.name is None and made.cotangent_of is None:
        made.cotangent_of, made.name, made.scope, made.origin = node.cotangent_of, node.name, node.scope, node.origin
    return made
