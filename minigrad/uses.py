"""Where a node is used, and by which of its uses a derivative reaches a result.

    edges(w, y)                the uses of w along which it reaches y; `gradients` takes them, and gives each its share

A use inside a loop is one edge for all steps: its share has a leading axis for the steps, as the gradient at a node
inside a loop has. So `edges(w, loss)` splits the gradient of a weight by use and step, unrolled or scanned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from .graph import Loop, topological, with_steps
from .nodes import Node, Primitive, Shape
from .primitives.structure import pick

__all__ = ["Edge", "edges", "holds", "live_outputs", "passes"]


class Edge:
    """One use of a node: `node` is input number `position` of `consumer`. Equal when it is the same use.

    Inside a loop one use stands for those of all steps. `loops` are the loops around it, outermost first, and the share
    has a leading axis for each. Where the consumer is the innermost of them, the step hands the node on, to the next
    step or to be stacked: `position` is then that of an output of the step.
    """

    __slots__ = ("consumer", "loops", "node", "position")

    def __init__(self, node: Node, consumer: Node, position: int, loops: tuple[Node, ...] = ()) -> None:
        self.node, self.consumer, self.position, self.loops = node, consumer, position, loops

    @property
    def shape(self) -> Shape:
        """The shape of the share: that of the node, behind an axis for each loop."""
        return (*[_loop(node).length for node in self.loops], *self.node.shape)

    dtype = property(lambda self: self.node.dtype, doc="The dtype of the node, and of the share.")
    ndim = property(lambda self: len(self.shape), doc="The number of axes of the share.")
    origin = property(lambda self: self.consumer.origin, doc="The line that made the consumer.")

    @property
    def hands_on(self) -> bool:
        """Whether the node is handed on by the step that it is in, to the next one or to be stacked."""
        return bool(self.loops) and self.consumer is self.loops[-1]

    @property
    def in_step(self) -> Edge:
        """The same edge, as it is called within a step of the outermost loop around it."""
        return Edge(self.node, self.consumer, self.position, self.loops[1:])

    @property
    def label(self) -> str:
        """What errors call this edge."""
        if self.hands_on:
            loop = _loop(self.consumer)
            carried = self.position < loop.carries
            use = f"{loop.graph.inputs[self.position].name} of the next step" if carried else "the stack of its values"
        else:
            use = f"input {self.position} of {self.consumer.label}"
            use += f" in {self.consumer.scope}" if self.consumer.scope else ""
        steps = " × ".join([f"{_loop(node).length:,}" for node in self.loops])
        return f"edge from {self.node.label} to {use}" + (f", at each of {steps} steps" if steps else "")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Edge) or len(self.loops) != len(other.loops):
            return False
        ours, theirs = (self.consumer, *self.loops), (other.consumer, *other.loops)
        return self.position == other.position and all(a is b for a, b in zip(ours, theirs, strict=True))

    def __hash__(self) -> int:
        return hash((self.consumer, self.position, self.loops))

    def __repr__(self) -> str:
        return f"<{self.label}>"


def _loop(node: Node) -> Loop:
    loop: Loop = node.params["loop"]
    return loop


def edges(node: Node, y: Node) -> list[Edge]:
    """The edges along which `node` reaches `y`, in the order in which the reverse pass adds their shares up.

    A weight that is used at T steps has T edges, latest first; their shares add up to its gradient:

    >>> import minigrad as mg, numpy as np
    >>> w, x = mg.constant(2.0), mg.constant(3.0)
    >>> y = mg.sin(w * x) + w
    >>> shares = mg.gradients(y, mg.edges(w, y))
    >>> dw, = mg.gradients(y, [w])
    >>> float(shares[0] + shares[1]) == float(dw)
    True

    Where a loop uses it, each use in the step is one edge, and the share has an axis for the steps in front (in a loop
    in a loop, two): dL/dW step by step. Added up over the uses and the steps, they are the gradient.

    >>> w, xs = mg.constant(0.5, name="w"), mg.constant([1.0, 2.0, 3.0])
    >>> h, _ = mg.scan(lambda h, x: (mg.tanh(w * h + x), None), 0.0, xs)
    >>> mg.edges(w, h)
    [<edge from constant 'w' to input 0 of multiply in t=*, at each of 3 steps>]
    >>> share, = mg.gradients(h, mg.edges(w, h))
    >>> share.shape, float(share.sum() - mg.gradients(h, [w])[0])
    ((3,), 0.0)

    A node inside a loop can be asked as well. What it hands on to the next step is an edge like the others, and the
    shares add up to the gradient at the node, which is stacked over the steps too.

    >>> state, = mg.Graph([], [h]).find("t=*/tanh")
    >>> mg.edges(state, h)
    [<edge from tanh to carry of the next step, at each of 3 steps>]

    The start of a loop's carry and the array that it takes slices of enter the loop by one edge each, of their shape.
    """
    return [edge for outputs, loops in _levels(node, {0: y}, ()) for edge in _uses(node, node, outputs, loops)]


def _levels(
    node: Node, outputs: dict[int, Node], loops: tuple[Node, ...]
) -> Iterator[tuple[dict[int, Node], tuple[Node, ...]]]:
    # Where the node is: the graph of y, or the step of a loop. -> (what counts of its outputs, the loops around it)
    travelled, results = _travelled(outputs.values(), node.serial)
    if node in travelled:
        yield outputs, loops
    for around, positions in results.items():
        if node in holds(around):
            yield from _levels(node, live_outputs(_loop(around), positions)[0], (*loops, around))


def _uses(asked: Node, node: Node, outputs: dict[int, Node], loops: tuple[Node, ...]) -> list[Edge]:
    # the edges from a node to outputs of its graph; `asked` is what the node stands for, which is outside the loops
    found = [Edge(asked, loops[-1], k, loops) for k, output in outputs.items() if loops and output is node]
    travelled, results = _travelled(outputs.values(), node.serial)
    for consumer in reversed(topological(outputs.values(), newer_than=node.serial)):
        if consumer not in travelled:
            continue
        for i, x in enumerate(consumer.inputs):
            if x is not node or not passes(consumer.primitive, i):
                continue
            if consumer.shape is not None:
                found.append(Edge(asked, consumer, i, loops))
                continue
            loop = _loop(consumer)
            if i >= loop.carries + loop.slices:
                live, _ = live_outputs(loop, results[consumer])
                found += _uses(asked, loop.graph.inputs[i], live, (*loops, consumer))
            elif i in _live_inputs(loop, results[consumer]):
                found.append(Edge(asked, consumer, i, loops))
    return found


# ------------------------------------------------------------------------------------ where a derivative can travel


def passes(primitive: Primitive, i: int) -> bool:
    """Whether a derivative can pass an operation by its input i."""
    return primitive is pick or primitive.joint_vjp is not None or primitive.rule(i) is not None


def _travelled(outputs: Collection[Node], newer_than: int = -1) -> tuple[set[Node], dict[Node, set[int]]]:
    # the nodes from which a derivative travels on to the outputs; and of the loops among them, by which results
    travelled = {node for node in outputs if node.dtype.kind == "f"}
    results: dict[Node, set[int]] = {}
    for node in reversed(topological(outputs, newer_than)):
        if node not in travelled:
            continue
        if node.primitive is pick:
            results.setdefault(node.inputs[0], set()).add(node.params["position"])
            travelled.add(node.inputs[0])
        elif node.shape is None:
            travelled.update(node.inputs[i] for i in _live_inputs(_loop(node), results[node]))
        else:
            inputs = enumerate(node.inputs)
            travelled.update(x for i, x in inputs if x.dtype.kind == "f" and passes(node.primitive, i))
    return travelled, results


def live_outputs(loop: Loop, results: Iterable[int]) -> tuple[dict[int, Node], set[Node]]:
    """The outputs of a step by which a derivative reaches some results of the loop, and the nodes that it comes from.

    A carry counts where a derivative travels on, in a later step, from it to an output that counts.
    """
    live = {k: loop.graph.outputs[k] for k in sorted(results)}
    while True:
        travelled, _ = _travelled(live.values())
        more = [i for i in range(loop.carries) if i not in live and loop.graph.inputs[i] in travelled]
        if not more:
            return live, travelled
        live.update((i, loop.graph.outputs[i]) for i in more)


def _live_inputs(loop: Loop, results: set[int]) -> list[int]:
    if loop.length == 0:  # the last carry is the first
        return [i for i in results if i < loop.carries]
    _, travelled = live_outputs(loop, results)
    return [i for i, x in enumerate(loop.graph.inputs) if x in travelled]


def holds(node: Node) -> set[Node]:
    """All nodes of a loop's step, those of the loops in it too."""
    return set(with_steps(_loop(node).graph))
