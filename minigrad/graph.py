"""The graph: inputs, outputs, and all nodes between; and the walks over it.

    graph = Graph([x], [y])                what `trace` returns; print(graph) shows one line a node
    graph.find("t=*/forget")               nodes by scope and name, those inside loops too
    topological([y])                       all that y is made from, oldest first
    substitute([y], {x: node})             the same expressions with some nodes replaced

Nodes are numbered as they are made, and inputs are older than what uses them, so sorting by `serial` is a topological
order: no walk is recursive.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ArgumentError, explain
from .nodes import CONSTANT, SYMBOL, Node, Shape
from .pytree import Structure

if TYPE_CHECKING:
    from .interface import GraphMethods
else:  # their bodies live in higher rooms; methods.py binds them
    GraphMethods = object

__all__ = [
    "Graph", "Loop", "bytes_of", "depending_on", "free_symbols", "matches", "rebuild", "substitute", "topological",
    "users_of", "with_steps",
]  # fmt: skip

# --------------------------------------------------------------------------------------------------------- walks


def topological(outputs: Iterable[Node], newer_than: int = -1, ends: Container[Node] = frozenset()) -> list[Node]:
    """All nodes that `outputs` are made from, inputs before what uses them.

    Only those made after `newer_than`, and none that is used to make a node of the set `ends` and nothing else.
    """
    stack = [node for node in outputs if node.serial > newer_than]
    seen = set(stack)
    while stack:
        user = stack.pop()
        if ends and user in ends:
            continue
        for node in user.inputs:
            if node not in seen and node.serial > newer_than:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=_serial)


def users_of(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """Which of these nodes use a node, once for each operand that it is; no entry for a node that none uses."""
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    return users


def bytes_of(node: Node) -> int:
    """How much memory a node's value takes."""
    return math.prod(node.shape) * node.dtype.itemsize


_serial: Callable[[Node], int] = operator.attrgetter("serial")


def depending_on(
    targets: Iterable[Node], outputs: Iterable[Node], ends: Container[Node] = frozenset()
) -> list[Node]:
    """The nodes of `outputs`' graph that are made from any of `targets`, the targets too, in topological order.

    None that is used to make a node of the set `ends` and nothing else.
    """
    found = set(targets)
    if not found:
        return []
    oldest = min(node.serial for node in found)
    order = []
    for node in topological(outputs, oldest - 1, ends):
        if node in found or not found.isdisjoint(node.inputs):
            found.add(node)
            order.append(node)
    return order


def rebuild(node: Node, inputs: Sequence[Node]) -> Node:
    """The same operation on other inputs, under the same name, scope and line."""
    if len(inputs) == len(node.inputs) and all(map(operator.is_, inputs, node.inputs)):
        return node
    for new, old in zip(inputs, node.inputs, strict=True):
        if new is not old and (new.shape != old.shape or new.dtype != old.dtype or new.weak != old.weak):
            break
    else:
        return Node(node.primitive, tuple(inputs), node.params, node.shape, node.dtype, node.weak, like=node)
    if node.primitive.name == "bare" and (not inputs[0].weak or inputs[0].primitive is CONSTANT):
        return inputs[0]
    again = node.primitive(*inputs, **node.params)
    again.name, again.scope, again.origin, again.cotangent_of = node.name, node.scope, node.origin, node.cotangent_of
    return again


def substitute(outputs: Sequence[Node], replacements: dict[Node, Node]) -> list[Node]:
    """The same expressions with some nodes replaced by others."""
    new = dict(replacements)
    for node in depending_on(replacements, outputs, ends=replacements):
        if node not in new:
            made = new[node] = rebuild(node, [new.get(x, x) for x in node.inputs])
            if made is not node and made.cotangent_of is not None:
                made.cotangent_of = new.get(made.cotangent_of, made.cotangent_of)
    return [new.get(node, node) for node in outputs]


def free_symbols(outputs: Iterable[Node]) -> list[Node]:
    """The symbols that `outputs` depend on, oldest first."""
    return [node for node in topological(outputs) if node.primitive is SYMBOL]


# --------------------------------------------------------------------------------------------------------- graph


class Graph(GraphMethods):
    """Inputs, outputs, and all nodes between, in topological order; what `trace` returns. Immutable.

    `inputs` are symbols, `outputs` nodes; `in_structure` and `out_structure` are the pytrees they came from.
    `print(graph)` shows one line a node; `len(graph)` counts the nodes.
    """

    __slots__ = ("_nodes", "_products", "in_structure", "inputs", "out_structure", "outputs")

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        in_structure: Structure | None = None,
        out_structure: Structure | None = None,
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.in_structure, self.out_structure = in_structure, out_structure
        self._nodes: tuple[Node, ...] | None = None
        self._products: dict[str, Any] = {}  # what higher rooms made of this graph, by name: its source, say

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, inputs before what uses them."""
        if self._nodes is None:
            self._nodes = tuple(topological((*self.inputs, *self.outputs)))
        return self._nodes

    @property
    def free(self) -> list[Node]:
        """The symbols that the outputs depend on and that are no inputs."""
        inputs = set(self.inputs)
        return [node for node in self.nodes if node.primitive is SYMBOL and node not in inputs]

    def __len__(self) -> int:
        return len(self.nodes)

    def __copy__(self) -> Graph:
        return self

    def __deepcopy__(self, memo: object) -> Graph:
        return self

    def subgraphs(self) -> Iterator[Graph]:
        """The graphs inside this one's loops, one level down."""
        for node in self.nodes:
            for value in node.params.values():
                inner = getattr(value, "graph", None)
                if isinstance(inner, Graph):
                    yield inner

    def find(self, pattern: str) -> list[Node]:
        """The nodes whose scope, or scope and name, match a pattern; those inside loops too.

        Parts are separated by `/`; `*`, `?` and `[...]` match within a part, `**` matches any number of parts.
        A node's name is the one the user gave, else that of its operation.

        >>> import minigrad as mg
        >>> with mg.scope("t=0"), mg.scope("forget"):
        ...     x = mg.symbol("x")
        >>> Graph([x], [x]).find("t=*/forget/x")[0] is x
        True

        Inside a loop one node stands for all steps, under the scope `t=*`: `graph.find("t=*/forget")`. The gradient at
        it is stacked over the steps, `[5]` of it is that of step 5. So no node is that of step 5 alone, and asking for
        `t=5` raises ArgumentError where only a loop has such steps; `graph.unroll_scan()` gives each a node.
        """
        found = self._found(pattern.split("/"))
        of_all = "/".join(["t=*" if part.startswith("t=") else part for part in pattern.split("/")])
        parts = of_all.replace("t=*", "t=[*]").split("/")
        if not found and of_all != pattern and any(inner._found(parts) for inner in self.subgraphs()):
            problem = f"{pattern!r} asks for one step of a loop, where one node stands for all steps"
            instead = (
                f"graph.find({of_all!r}): the gradient at it is stacked over the steps, so take the row of that step; "
                f"or graph.unroll_scan().find({pattern!r})"
            )
            raise ArgumentError(explain("graph.find", problem, instead=instead))
        return found

    def _found(self, parts: Sequence[str], hidden: Container[Node] = frozenset()) -> list[Node]:
        # a closure's symbol in a step is hidden: what it stands for is found outside
        found = []
        for node in self.nodes:
            path = node.scope.split("/") if node.scope else []
            named = matches(path, parts) or matches([*path, node.name or node.primitive.name], parts)
            if named and node not in hidden:
                found.append(node)
        for node in self.nodes:
            if node.shape is None:
                loop: Loop = node.params["loop"]
                closures = loop.graph.inputs[loop.carries + loop.slices :]
                found += loop.graph._found(parts, frozenset(closures))
        return found

    def __repr__(self) -> str:
        names = _display_names(self.nodes)
        lines = [_line(node, names) for node in _elided(self.nodes, 1000)]
        if len(lines) < len(self):
            lines.insert(500, f"... {len(self) - len(lines):,} more nodes ...")
        for number, inner in enumerate(self.subgraphs()):
            lines += [f"loop {number}:"] + ["  " + line for line in repr(inner).splitlines()]
        results = ", ".join(names[node] for node in self.outputs)
        return "\n".join([*lines, f"return {results}"])

    def __reduce__(self) -> tuple[Any, ...]:
        nodes = with_steps(self)
        position = {node: i for i, node in enumerate(nodes)}
        records = [
            (n.primitive, tuple(position[x] for x in n.inputs), _packed(n.params, position), n.shape, n.dtype, n.weak,
             n.name, n.scope, n.origin, n.cached if n.primitive is CONSTANT else None,
             i if n.cotangent_of is None else position.get(n.cotangent_of, i))
            for i, n in enumerate(nodes)
        ]  # fmt: skip
        ends = ([position[n] for n in self.inputs], [position[n] for n in self.outputs])
        return _unpickle_graph, (records, *ends, self.in_structure, self.out_structure)


class Loop:
    """What a `scan` node repeats: a graph inside the graph. Data of the node, in its params.

    `graph.inputs` are the carry, a slice of each array in `xs`, and closures, which stay the same in all steps;
    `graph.outputs` are the next carry and what is stacked over the steps. The node's inputs stand in that order too,
    and its results are the last carry and the stacks. With `recompute`, the gradient keeps nothing of a step but the
    carry it started from, and runs the step again. `progress` is told after each step.
    """

    __slots__ = ("carries", "graph", "length", "progress", "recompute", "reverse", "slices")

    def __init__(
        self,
        graph: Graph,
        carries: int,
        slices: int,
        length: int,
        reverse: bool = False,
        recompute: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.graph, self.carries, self.slices = graph, carries, slices
        self.length, self.reverse, self.recompute, self.progress = length, reverse, recompute, progress

    def repeating(self, graph: Graph, carries: int, slices: int) -> Loop:
        """The same loop around another step."""
        return Loop(graph, carries, slices, self.length, self.reverse, self.recompute, self.progress)

    @property
    def manner(self) -> tuple[Any, ...]:
        """What two loops over one step have to share to be one loop."""
        return self.length, self.reverse, self.recompute, self.progress

    @property
    def selects(self) -> bool:
        """Whether a step selects anywhere (see `Primitive`), in a loop inside it perhaps."""
        inside = (node.params["loop"] if node.shape is None else node.primitive for node in self.graph.nodes)
        return any(part.selects for part in inside)

    def result_types(self) -> list[tuple[Shape, np.dtype[Any]]]:
        """Shape and dtype of each result: the last carry, then the stacks."""
        last = [(node.shape, node.dtype) for node in self.graph.outputs[: self.carries]]
        return last + [((self.length, *node.shape), node.dtype) for node in self.graph.outputs[self.carries :]]

    def __repr__(self) -> str:
        manner = (", last to first" if self.reverse else "") + (", recomputed" if self.recompute else "")
        return f"{self.length} steps{manner}"


class Progress:
    """Whom a loop tells how far it is: `tell(done, total)`, where each of its rounds counts as `each` steps.

    `before` steps were done by loops before it.
    """

    __slots__ = ("before", "each", "tell", "total")

    def __init__(self, tell: Callable[[int, int], object], total: int, each: int = 1, before: int = 0) -> None:
        self.tell, self.total, self.each, self.before = tell, total, each, before

    def __call__(self, rounds: int) -> None:
        """So many rounds are done."""
        self.tell(self.before + rounds * self.each, self.total)

    def by(self, each: int) -> Progress:
        """The same, told by a loop whose rounds are chunks of `each` steps."""
        return Progress(self.tell, self.total, each, self.before)

    def after(self, steps: int) -> Progress:
        """The same, told by the loop that follows when `steps` steps are done."""
        return Progress(self.tell, self.total, self.each, self.before + steps)

    def backward(self, rounds: int) -> Progress:
        """What the backward loop tells: it has `rounds` rounds, and begins at the end."""
        return Progress(self.tell, self.total, self.each, self.total - self.before - rounds * self.each)


# A pickled graph is a list of nodes that name each other by their positions. The nodes of loops' steps stand in the
# same list, since loops share them: a loop and the one that its gradient runs again have one step. Whom a loop tells
# its progress stays behind: it belongs to the process, and may be anything.


def with_steps(graph: Graph) -> list[Node]:
    """All nodes in topological order, those of the loops' steps among them."""
    found, pending = set(graph.nodes), [graph]
    while pending:
        for inner in pending.pop().subgraphs():
            found.update(inner.nodes)
            pending.append(inner)
    return sorted(found, key=_serial)


def _packed(params: dict[str, Any], position: dict[Node, int]) -> dict[str, Any]:
    if "loop" not in params:
        return params
    loop: Loop = params["loop"]
    ends = [[position[n] for n in nodes] for nodes in (loop.graph.inputs, loop.graph.outputs)]
    return {"loop": (ends, loop.carries, loop.slices, loop.length, loop.reverse, loop.recompute)}


def _unpacked(params: dict[str, Any], nodes: Sequence[Node]) -> dict[str, Any]:
    if "loop" not in params:
        return params
    ends, *numbers = params["loop"]
    inputs, outputs = ([nodes[i] for i in positions] for positions in ends)
    return {"loop": Loop(Graph(inputs, outputs), *numbers)}


def _unpickle_graph(
    records: list[Any], inputs: list[int], outputs: list[int], in_structure: Any, out_structure: Any
) -> Graph:
    nodes: list[Node] = []
    like = Node(SYMBOL, (), {}, (), np.dtype(np.float64))  # so that nobody looks for the line that makes these nodes
    for primitive, positions, packed, shape, dtype, weak, name, path, origin, cached, _ in records:
        params = _unpacked(packed, nodes)
        node = Node(primitive, tuple([nodes[i] for i in positions]), params, shape, dtype, weak, None, cached, like)
        node.name, node.scope, node.origin = name, path, origin
        nodes.append(node)
    for i, (node, record) in enumerate(zip(nodes, records, strict=True)):
        if record[-1] != i:
            node.cotangent_of = nodes[record[-1]]
    return Graph([nodes[i] for i in inputs], [nodes[i] for i in outputs], in_structure, out_structure)


def matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path of names fits a pattern, part by part, as `Graph.find` describes."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(matches(path[i:], pattern[1:]) for i in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and matches(path[1:], pattern[1:])


def _display_names(nodes: Iterable[Node]) -> dict[Node, str]:
    names: dict[Node, str] = {}
    taken: set[str] = set()
    for number, node in enumerate(nodes):
        name = node.name if node.is_leaf and node.name else f"v{number}"
        if node.primitive is CONSTANT and node.shape == () and not node.name:
            names[node] = repr(np.asarray(node.cached).item())
            continue
        names[node] = name if name not in taken else f"{name}#{number}"
        taken.add(names[node])
    return names


def _line(node: Node, names: dict[Node, str]) -> str:
    params = [f"{key}={value!r}" for key, value in node.params.items()]
    arguments = ", ".join([names[x] for x in node.inputs] + params)
    what = node.primitive.name if node.is_leaf else f"{node.primitive.name}({arguments})"
    kind = "tuple" if node.shape is None else f"{node.dtype}[{','.join(map(str, node.shape))}]"
    return f"{names[node]:<12} = {what:<40} {kind}" + (f"  # {node.scope}" if node.scope else "")


def _elided(nodes: Sequence[Node], most: int) -> Sequence[Node]:
    return nodes if len(nodes) <= most else [*nodes[: most // 2], *nodes[-most // 2 :]]
