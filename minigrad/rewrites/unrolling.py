"""A loop written out, as if Python had repeated its step: every step a part of the graph, to be seen, drawn, compared.

    unroll_scan(graph)         in place of a scan of T steps T copies of its step, under the scopes t=0 to t=T-1

For those who want to look: the graph of a loop has one size whatever the loop's length, that of its steps has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ArgumentError, explain
from ..graph import Graph, Loop, rebuild
from ..indexing import take_index
from ..nodes import Node, made_for
from ..primitives.structure import full, index, pick, stack, strong
from .loops import drop_dead_results, merge_loops

__all__ = ["unroll_scan"]

STEP = "t=*"  # the part of a scope that stands for all steps of a loop


class _Step(NamedTuple):
    """One step of a loop in a loop: its number in each, outermost first, and what scopes are called there.

    The first `t=*` of a scope becomes the first of `names`, and so on. Nodes whose scope has too few of them (a sum
    over the steps, say) belong to the scope `home`.
    """

    numbers: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    home: str | None = None

    def scope(self, path: str) -> str:
        if not self.names:
            return path
        parts = path.split("/")
        if self.home is not None and parts.count(STEP) < len(self.names):
            return self.home
        names = iter(self.names)
        return "/".join([next(names, part) if part == STEP else part for part in parts])

    def inside(self, node: Node, t: int) -> _Step:
        """Step t of a loop that stands at this one."""
        loop: Loop = node.params["loop"]
        path, around = self.scope(node.scope), node.scope.split("/").count(STEP)
        outer, here = self.names[:around], self.names[around] if around < len(self.names) else STEP
        if any(inner.scope.split("/").count(STEP) > around for inner in loop.graph.nodes if inner.inputs):
            name = here.replace(STEP, f"t={t}")
            return _Step((*self.numbers, t), (*outer, name), f"{path}/{name}" if path else name)
        if loop.recompute and loop.length > 1:  # a loop of chunks, in which another has the steps
            return _Step((*self.numbers, t), (*outer, here.replace(STEP, f"chunk={t}/{STEP}")))
        return _Step((*self.numbers, t), self.names)  # no scope speaks of its steps: the rows of a Jacobian, say


def unroll_scan(graph: Graph) -> Graph:
    """The same graph with every loop written out, those inside loops too: T copies of the step for a scan of T steps.

    Inputs, outputs and values stay the same, to the bit. Where a loop's scopes say `t=*`, those of its steps say `t=0`,
    `t=1`, ..., so `find("t=2/forget")` gives the nodes of one step, each with a gradient of its own. A checkpointed
    loop is written out by chunks, `chunk=0/t=0`, and then what is left over from whole chunks. Nothing calls a loop's
    `progress` any more.

    >>> import minigrad as mg, numpy as np
    >>> f = lambda w, h: mg.scan(lambda h, _: (mg.tanh(w * h), None), h, length=3)[0]
    >>> print(mg.unroll_scan(mg.trace(f, np.ones(2), np.ones(2))))
    w            = symbol                                   float64[2]
    h            = symbol                                   float64[2]
    v2           = multiply(w, h)                           float64[2]  # t=0
    v3           = tanh(v2)                                 float64[2]  # t=0
    v4           = multiply(w, v3)                          float64[2]  # t=1
    v5           = tanh(v4)                                 float64[2]  # t=1
    v6           = multiply(w, v5)                          float64[2]  # t=2
    v7           = tanh(v6)                                 float64[2]  # t=2
    return v7

    Raises ArgumentError for what is no Graph.
    """
    if not isinstance(graph, Graph):
        instead = "mg.trace(fn, *args), or mg.Graph([], [y]) for the graph of a node"
        raise ArgumentError(explain("unroll_scan", f"expected a Graph, got {type(graph).__name__}", instead=instead))
    graph = drop_dead_results(merge_loops(graph))  # a loop and the wider one that its gradient reads are one loop
    with made_for() as context:
        new = _Unrolling(context).copies(graph, {}, _Step())
    outputs = [new[y] for y in graph.outputs]
    return Graph(graph.inputs, outputs, graph.in_structure, graph.out_structure)


class _Unrolling:
    """The walk: what stands for which node at which step."""

    def __init__(self, context: made_for) -> None:
        self.context = context
        self.copy_at: dict[tuple[Node, tuple[int, ...]], Node] = {}

    def copies(self, graph: Graph, given: dict[Node, Node], step: _Step) -> dict[Node, Node]:
        """What stands for each node of a graph at this step; `given` says it for the inputs."""
        new = dict(given)
        results: dict[Node, list[Node]] = {}
        for node in graph.nodes:
            if node.shape is None:
                results[node] = self.write_out(node, [new[x] for x in node.inputs], step)
                continue
            if node.primitive is pick:
                new[node] = results[node.inputs[0]][node.params["position"]]
            elif node not in new:
                new[node] = node if node.is_leaf else self.copy(node, [new[x] for x in node.inputs], step)
            self.copy_at[node, step.numbers] = new[node]
        return new

    def copy(self, node: Node, inputs: Sequence[Node], step: _Step) -> Node:
        """The same operation at this step; the node itself where that changes nothing."""
        made, path = rebuild(node, inputs), step.scope(node.scope)
        if made is node and path != node.scope:
            made = Node(node.primitive, node.inputs, node.params, node.shape, node.dtype, node.weak, like=node)
        if made is not node and made.primitive is node.primitive:
            made.scope = path
            if node.cotangent_of is not None:
                made.cotangent_of = self.nearest(node.cotangent_of, step)
        return made

    def nearest(self, node: Node, step: _Step) -> Node:
        """What stands for a node at this step, or at the steps around it: a loop may speak of one before it."""
        for k in range(len(step.numbers), -1, -1):
            found = self.copy_at.get((node, step.numbers[:k]))
            if found is not None:
                return found
        return node

    def write_out(self, node: Node, inputs: Sequence[Node], around: _Step) -> list[Node]:
        """The results of a loop: its last carry, and what it stacks."""
        loop: Loop = node.params["loop"]
        n, m = loop.carries, loop.slices
        carry, xs, closures = list(inputs[:n]), inputs[n : n + m], inputs[n + m :]
        rows: list[list[Node]] = [[] for _ in loop.graph.outputs[n:]]
        for t in reversed(range(loop.length)) if loop.reverse else range(loop.length):
            step = around.inside(node, t)
            slices = [self.slice(x, t, node, step) for x in xs]
            new = self.copies(loop.graph, dict(zip(loop.graph.inputs, [*carry, *slices, *closures], strict=True)), step)
            carry = [new[y] for y in loop.graph.outputs[:n]]
            for row, y in zip(rows, loop.graph.outputs[n:], strict=True):
                row.append(strong(new[y]))
        self.context.node(node)
        kinds = loop.result_types()[n:]
        return [*carry, *[
            stack(*(row[::-1] if loop.reverse else row), axis=0) if row else full(shape=shape, value=0.0, dtype=dtype)
            for row, (shape, dtype) in zip(rows, kinds, strict=True)
        ]]  # fmt: skip

    def slice(self, x: Node, t: int, node: Node, step: _Step) -> Node:
        """The slice that a loop takes of `x` at step t: of a stack, its operand."""
        self.context.node(node)
        made = take_index(x, t)
        if made.primitive is index and made.inputs[0] is x:
            made.scope = step.home or step.scope(node.scope)
        return made
