"""A graph as things to draw: boxes with a role, in nested places, and arrows between them. No colours, no DOT.

    picture = Picture(graph)               all of the graph, loops opened
    fold(picture, most=300)                what is too much for one page (folding.py)
    boxes, arrows = picture.drawn()        what is left to be seen

Three things are not drawn as the graph has them. A leaf is drawn where it is used, as often as it is used in distant
places: one weight with arrows to a thousand steps is slow to lay out, and nobody could follow them. A bare number is
written into the operation that uses it. And a loop is no box but a place that holds its step, with ports where the
carry and the slices come in and go out; what it uses from outside is drawn in it as what it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..graph import Graph, Loop, matches
from ..nodes import CONSTANT, SYMBOL, Node
from ..primitives.structure import pick
from . import labels
from .places import PASSES, Place, parting, place_of

__all__ = ["Arrow", "Box", "Fold", "Picture"]

REACH = 2  # uses of a leaf that are at most so many operations apart share a copy of it,
MOST_SHARING = 6  # and no more than so many


class Box:
    """One thing to draw: a node, a copy of a leaf, a port of a loop, or (Fold) many nodes as one.

    `key` names it by the position of its node in the graph. `role` decides how it looks: symbol, weight, number,
    operation, state, gradient, carry, slice, junction or fold. `port` is "in" or "out" for the ports of a loop;
    `depth` is the length of the longest way to it.
    """

    __slots__ = ("depth", "fold", "inputs", "is_output", "is_written", "key", "node", "place", "port", "role")

    def __init__(
        self, key: str, role: str, node: Node, place: Place, inputs: Sequence[Box] = (), port: str = ""
    ) -> None:
        self.key, self.role, self.node, self.place, self.inputs, self.port = key, role, node, place, inputs, port
        self.depth: int = 1 + max([box.depth for box in inputs], default=-1)
        self.is_output = False
        self.is_written = False  # a leaf that needs no box: its name or value stands in the box that uses it
        self.fold: Fold | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether the box is drawn where it is used, rather than where it was made."""
        return self.role in ("symbol", "weight", "number")


class Fold(Box):
    """Many boxes drawn as one: whole scopes, or the middle of a long chain; `node` is one of theirs."""

    __slots__ = ("heading", "leaves", "members", "step")

    def __init__(self, key: str, place: Place, node: Node, heading: Sequence[str] = ()) -> None:
        super().__init__(key, "fold", node, place)
        self.heading = list(heading)
        self.step: tuple[str, int] | None = None
        self.members: dict[str, int] = {}  # symbol of an operation -> how often
        self.leaves: dict[Node, None] = {}  # those that are used inside, in order


class Arrow(NamedTuple):
    """From one box to another: "data" that flows, a carry's way "back" to the next step, or the "link" from a node to
    its gradient. `operand` is what the head's operation calls it; where either end is a fold, `times` arrows are one.
    """

    tail: Box
    head: Box
    shape: str = ""
    operand: str = ""
    kind: str = "data"
    times: int = 1

    @property
    def ends(self) -> tuple[Box, Box]:
        """Tail and head as they are laid out: the backward pass goes against its arrows, beside what it answers to."""
        against = self.tail.place.backward and self.head.place.backward and self.kind != "link"
        return (self.head, self.tail) if against else (self.tail, self.head)


class Picture:
    """All boxes of a graph, in topological order, each in its place."""

    def __init__(self, graph: Graph) -> None:
        self.root = Place(None, "")
        self.boxes: list[Box] = []
        self.back: list[tuple[Box, Box]] = []  # (carry out, carry in)
        self.of_node: dict[Node, Box] = {}
        self.weights, self.prefix = _parameters(graph)
        self._add(graph.nodes, self.of_node, "n", self.root, [])
        for node in graph.outputs:
            self.of_node[node].is_output = True
        _mark_states(self.boxes)

    def places_like(self, pattern: str) -> list[Place]:
        """The scopes that fit a pattern, as in `graph.find`."""
        parts = pattern.split("/")
        return [place for place in self.root.walk() if place.parent and matches(place.path, parts)]

    # ------------------------------------------------------------------------------------------- from nodes to boxes

    def _add(
        self, nodes: Sequence[Node], boxes: dict[Node, Box], prefix: str, base: Place, base_path: Sequence[str]
    ) -> None:
        # Recursive in the nesting of loops only, as tracing them was.
        places: dict[str, Place] = {"": base}
        ports: dict[Node, list[Box]] = {}
        for position, node in enumerate(nodes):
            if node in boxes:
                continue
            role, scope, key = self._role(node), node.scope, f"{prefix}{position}"
            if role == "gradient" and not scope:
                scope = "backward"  # the seed, which was made before the backward pass began
            place = places.get(scope)
            if place is None:
                place = places[scope] = place_of(scope, base, base_path)
            if node.shape is None:
                ports[node] = self._add_loop(node, boxes, key, place)
                continue
            if node.primitive is pick:
                inputs = [ports[node.inputs[0]][node.params["position"]]]
            else:
                inputs = [boxes[x] for x in node.inputs]
                for i in reversed(labels.literals(node)):
                    inputs.pop(i).is_written = True
            boxes[node] = box = Box(key, role, node, place, inputs)
            self.boxes.append(box)

    def _add_loop(self, node: Node, boxes: dict[Node, Box], key: str, place: Place) -> list[Box]:
        # the step's boxes in a place of their own, and the ports of its results
        loop: Loop = node.params["loop"]
        step = place.children[key,] = Place(place, "t=*", loop)
        inner: dict[Node, Box] = {}
        for i, (symbol, outer) in enumerate(zip(loop.graph.inputs, node.inputs, strict=True)):
            if i < loop.carries + loop.slices:
                role = "carry" if i < loop.carries else "slice"
                inner[symbol] = self._port(Box(f"{key}i{i}", role, symbol, step, [boxes[outer]], "in"))
            else:
                inner[symbol] = boxes[outer]
        self._add(loop.graph.nodes, inner, f"{key}_", step, node.scope.split("/") if node.scope else [])
        ports = []
        for i, result in enumerate(loop.graph.outputs):
            role, about = "carry" if i < loop.carries else "slice", labels.result(loop, i)
            ports.append(self._port(Box(f"{key}o{i}", role, about, step, [inner[result]], "out")))
        self.back += [(ports[i], inner[loop.graph.inputs[i]]) for i in range(loop.carries)]
        return ports

    def _port(self, port: Box) -> Box:
        self.boxes.append(port)
        return port

    def _role(self, node: Node) -> str:
        if labels.is_gradient(node):
            return "gradient"
        if node.primitive is SYMBOL:
            return "weight" if node in self.weights else "symbol"
        if labels.is_number(node):
            return "number"
        return "weight" if node.primitive is CONSTANT else "operation"

    # ----------------------------------------------------------------------------------------- what is to be seen

    def drawn(self) -> tuple[list[Box], list[Arrow]]:
        """The boxes and arrows to draw: leaves are copied to where they are used, folded boxes left out."""
        boxes: dict[Box, None] = {}
        arrows: list[Arrow] = []
        bundles: dict[tuple[Box, Box], list[Box]] = {}
        uses: dict[Box, list[int]] = {}  # leaf -> its arrows
        for box in self.boxes:
            if box.is_leaf:
                uses.setdefault(box, [])
                continue
            head = box.fold or box
            boxes[head] = None
            names = labels.letters(box.node) if len(box.inputs) == len(box.node.inputs) else [""] * len(box.inputs)
            for source, name in zip(box.inputs, names, strict=True):
                tail = source.fold or source
                if source.is_leaf and isinstance(head, Fold):
                    head.leaves[source.node] = None
                    source.is_written = True
                elif tail is source and head is box:
                    if source.is_leaf:
                        uses[source].append(len(arrows))
                    arrows.append(Arrow(source, box, labels.shape(source.node), name))
                elif tail is not head:
                    bundles.setdefault((tail, head), []).append(source)
        for leaf, used in uses.items():
            for copy, served in _copies(leaf, [(i, arrows[i].head) for i in used]):
                boxes[copy] = None
                for i in served:
                    arrows[i] = arrows[i]._replace(tail=copy)
        for (tail, head), sources in bundles.items():
            shapes = {labels.shape(source.node) for source in sources}
            arrows.append(Arrow(tail, head, shapes.pop() if len(shapes) == 1 else "", times=len(sources)))
        arrows += [Arrow(out, into, kind="back") for out, into in self.back if out.fold is None]
        return list(boxes), arrows + self._links(boxes)

    def _links(self, drawn: dict[Box, None]) -> list[Arrow]:
        # from a node to its gradient, the last of the sums that lead to it, where both are to be seen
        links: dict[Box, Box] = {}
        for box in drawn:
            about = box.node.cotangent_of if box.role == "gradient" else None
            source = None if about is None else self.of_node.get(about)
            if source is not None and source in drawn and not source.is_leaf and not source.place.in_pass:
                links[source] = box
        return [Arrow(source, box, kind="link") for source, box in links.items()]


# -------------------------------------------------------------------------------------------------- small questions


def _copies(leaf: Box, uses: list[tuple[int, Box]]) -> Iterator[tuple[Box, list[int]]]:
    # The copies of a leaf, each with the arrows that it serves. One for each step or pass that it is used in, and
    # more where uses in the same step are far apart.
    if not uses and (leaf.is_output or not leaf.is_written):
        yield leaf, []
    groups: dict[Place | None, list[tuple[int, Box]]] = {}
    for i, box in uses:
        own = next((place for place in box.place.around() if place.loop or place.step or place.name in PASSES), None)
        groups.setdefault(own, []).append((i, box))
    count = 0
    for group in groups.values():
        group.sort(key=lambda use: use[1].depth)
        while group:
            first = group[0][1]
            most = 1 if leaf.role == "number" else MOST_SHARING
            near = [use for use in group[:most] if use[1].depth <= first.depth + REACH]
            group = group[len(near) :]
            place = first.place
            for _, box in near[1:]:
                place = parting(place, box.place)[0]
            copy = Box(f"{leaf.key}u{count}" if count else leaf.key, leaf.role, leaf.node, place)
            copy.is_output = leaf.is_output and not count
            count += 1
            yield copy, [i for i, _ in near]


def _parameters(graph: Graph) -> tuple[set[Node], str]:
    # The inputs that come in a dataclass or a dict: a model's weights, rather than data. And what all their names
    # start with, where they are all of one argument: "cell." of "cell.forget.w_h".
    if graph.in_structure is None:
        return set(), ""
    arguments = [argument for kind in graph.in_structure.children for argument in kind.children]  # by position, by name
    found: set[Node] = set()
    position = 0
    stack = [(argument, False) for argument in reversed(arguments)]
    while stack:
        structure, inside = stack.pop()
        if structure.kind == "leaf":
            if inside:
                found.add(graph.inputs[position])
            position += 1
        inside = inside or structure.kind is dict or dataclasses.is_dataclass(structure.kind)
        stack.extend((child, inside) for child in reversed(structure.children))
    prefixes = {(node.name or "").partition(".")[0] for node in found}
    return found, f"{prefixes.pop()}." if len(prefixes) == 1 else ""


def _mark_states(boxes: Sequence[Box]) -> None:
    # What one step hands to the next is a state; and what stands at the same place in the last step, too.
    states: dict[Place, set[Box]] = {}
    of_step: dict[Place, list[Box]] = {}
    for box in boxes:
        if box.is_leaf or box.place.in_pass:
            continue
        for place in box.place.around():
            if place.step:
                of_step.setdefault(place, []).append(box)
        for source in box.inputs:
            if source.place is not box.place and source.role == "operation" and not source.place.in_pass:
                _, a, b = parting(source.place, box.place)
                if a.step and b.step and a.step[0] == b.step[0]:
                    states.setdefault(a, set()).add(source)
    for step, found in list(states.items()):
        for sibling in _neighbours(step):
            twin = of_step.get(sibling, [])
            if sibling not in states and len(twin) == len(of_step[step]):
                pairs = [(new, old) for new, old in zip(twin, of_step[step], strict=True) if old in found]
                if all(new.node.primitive is old.node.primitive for new, old in pairs):
                    states[sibling] = {new for new, _ in pairs}
    for found in states.values():
        for box in found:
            box.role = "state"


def _neighbours(step: Place) -> list[Place]:
    if step.parent is None or step.step is None:
        return []
    siblings, (family, number) = step.parent.children, step.step
    return [siblings[key] for key in (f"{family}={number + 1}", f"{family}={number - 1}") if key in siblings]
