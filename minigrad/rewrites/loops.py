"""Rewrites of whole loops.

    share_results       equal results are one; the last step of a stacked carry is the carry at the end
    merge_loops         loops over the same step and the same inputs become one loop with all their results
    drop_dead_results   results that nothing uses, and carries and inputs that only those need, fall away
"""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Graph, Loop, rebuild, substitute, topological
from ..nodes import Node, made_for
from ..primitives.structure import index, pick

__all__ = ["drop_dead_results", "merge_loops", "rewrite_steps", "share_results"]


def merge_loops(graph: Graph) -> Graph:
    """Loops over the same step and the same inputs become one loop that has all their results.

    The gradient of a loop stacks what its backward loop needs by running the same step with more outputs. The steps
    of the two share their very nodes, so which results they have in common is a matter of identity. Loops inside loops
    are merged in their turn.
    """
    return rewrite_steps(_with_loops_merged(graph), merge_loops)


def rewrite_steps(graph: Graph, rewrite: Callable[[Graph], Graph]) -> Graph:
    """The graph with the step of every loop in it rewritten."""
    steps = {node: rewrite(node.params["loop"].graph) for node in graph.nodes if node.shape is None}
    if all(step is node.params["loop"].graph for node, step in steps.items()):
        return graph
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        new[node] = node if node.is_leaf else rebuild(node, [new[x] for x in node.inputs])
        if node in steps:
            loop: Loop = node.params["loop"]
            step = loop.repeating(steps[node], loop.carries, loop.slices)
            new[node] = Node(node.primitive, new[node].inputs, {"loop": step}, None, None, like=node)
    return _renamed(graph, new)


def _with_loops_merged(graph: Graph) -> Graph:
    loops = [node for node in graph.nodes if node.shape is None]
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in loops:
        loop: Loop = node.params["loop"]
        key = (node.inputs, loop.graph.inputs, loop.graph.outputs[: loop.carries], *loop.manner)
        groups.setdefault(key, []).append(node)
    if all(len(group) == 1 for group in groups.values()):
        return graph
    new: dict[Node, Node] = {}
    position: dict[Node, list[int]] = {}  # merged node -> where each of its results is now
    for group in groups.values():
        first: Loop = group[0].params["loop"]
        ys = list(dict.fromkeys(y for node in group for y in node.params["loop"].graph.outputs[first.carries :]))
        place = {y: first.carries + i for i, y in enumerate(ys)}
        wide = Graph(first.graph.inputs, [*first.graph.outputs[: first.carries], *ys])
        merged = first.repeating(wide, first.carries, first.slices)
        joined = Node(group[0].primitive, group[0].inputs, {"loop": merged}, None, None, like=group[0])
        for node in group:
            outputs = node.params["loop"].graph.outputs
            position[node] = [*range(first.carries), *[place[y] for y in outputs[first.carries :]]]
            new[node] = joined
    return _rebuilt(graph, new, position)


def _rebuilt(graph: Graph, merged: dict[Node, Node], position: dict[Node, list[int]]) -> Graph:
    # the graph again, every loop in it replaced; a merged loop is rebuilt once, when its first member's turn comes
    new: dict[Node, Node] = {}
    final: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in merged:
            joined = merged[node]
            if joined not in final:
                final[joined] = rebuild(joined, [new[x] for x in joined.inputs])
            new[node] = final[joined]
        elif node.primitive is pick:
            moved = position[node.inputs[0]][node.params["position"]]
            new[node] = Node(pick, (new[node.inputs[0]],), {"position": moved}, node.shape, node.dtype, like=node)
        else:
            new[node] = node if node.is_leaf else rebuild(node, [new[x] for x in node.inputs])
    return _renamed(graph, new)


def share_results(graph: Graph) -> Graph:
    """Equal results of a loop are one; and hs[-1], the last step of a stacked carry, is the carry at the end."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.primitive is index and node.inputs[0].primitive is pick and (last := _last_carry(node)) is not None:
            new[node] = last
        elif node.primitive is pick and (first := _first_like(node)) != node.params["position"]:
            new[node] = Node(pick, node.inputs, {"position": first}, node.shape, node.dtype, like=node)
    if not new:
        return graph
    outputs = substitute(graph.outputs, new)
    return Graph(graph.inputs, outputs, graph.in_structure, graph.out_structure)


def _first_like(node: Node) -> int:
    # the position of the first stack that is the same as this result
    loop, i = node.inputs[0].params["loop"], node.params["position"]
    outputs = loop.graph.outputs
    return i if i < loop.carries else next(k for k in range(loop.carries, i + 1) if outputs[k] is outputs[i])


def _last_carry(node: Node) -> Node | None:
    (stacked,), (step, *rest) = node.inputs, node.params["index"] or (None,)
    loop: Loop = stacked.inputs[0].params["loop"]
    i = stacked.params["position"]
    if i < loop.carries or not isinstance(step, int) or step % loop.length != (0 if loop.reverse else loop.length - 1):
        return None
    following = loop.graph.outputs[: loop.carries]
    carry = next((k for k, y in enumerate(following) if y is loop.graph.outputs[i]), None)
    if carry is None:
        return None
    with made_for() as context:
        context.node(node)
        last = pick(stacked.inputs[0], position=carry)
        return index(last, index=tuple(rest)) if rest else last


def drop_dead_results(graph: Graph) -> Graph:
    """Results of loops that nothing uses, and the carries, slices and closures that only those need, fall away."""
    live = set(graph.outputs)
    positions: dict[Node, set[int]] = {}
    parts: dict[Node, _LiveParts] = {}
    for node in reversed(graph.nodes):  # what uses a node is newer, so all its uses are known when its turn comes
        if node not in live:
            continue
        if node.shape is None:
            parts[node] = _LiveParts(node.params["loop"], positions[node])
            live.update(node.inputs[i] for i in parts[node].inputs)
        else:
            live.update(node.inputs)
            if node.primitive is pick:
                positions.setdefault(node.inputs[0], set()).add(node.params["position"])
    if all(part.whole for part in parts.values()):
        return graph
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in parts:
            inputs = tuple([new[node.inputs[i]] for i in parts[node].inputs])
            new[node] = Node(node.primitive, inputs, {"loop": parts[node].loop}, None, None, like=node)
        elif node.primitive is pick and node in live:
            position = parts[node.inputs[0]].outputs.index(node.params["position"])
            new[node] = Node(pick, (new[node.inputs[0]],), {"position": position}, node.shape, node.dtype, like=node)
        elif node.is_leaf or node in live:
            new[node] = node if node.is_leaf else rebuild(node, [new[x] for x in node.inputs])
    return _renamed(graph, new)


class _LiveParts:
    """Which inputs and outputs of a loop are needed for some of its results, and the loop that has only those."""

    def __init__(self, loop: Loop, positions: set[int]) -> None:
        graph, n = loop.graph, loop.carries
        needed = set(positions)
        while True:  # a carry that a needed output is made from is needed too
            used = set(topological([graph.outputs[i] for i in needed]))
            more = {i for i in range(n) if graph.inputs[i] in used} - needed
            if not more:
                break
            needed |= more
        self.outputs = sorted(needed)
        self.inputs = [i for i, x in enumerate(graph.inputs) if (i in needed if i < n else x in used)]
        self.whole = len(self.outputs) == len(graph.outputs) and len(self.inputs) == len(graph.inputs)
        slices = sum(n <= i < n + loop.slices for i in self.inputs)
        inner = Graph([graph.inputs[i] for i in self.inputs], [graph.outputs[i] for i in self.outputs])
        self.loop = loop if self.whole else loop.repeating(inner, sum(i < n for i in needed), slices)


def _renamed(graph: Graph, new: dict[Node, Node]) -> Graph:
    # the rewritten graph, in which a cotangent is called after its node, whatever became of it
    made = set(new.values()).difference(graph.nodes)
    for node in made:
        if node.cotangent_of in new:
            node.cotangent_of = new[node.cotangent_of]
    return Graph(graph.inputs, [new[y] for y in graph.outputs], graph.in_structure, graph.out_structure)
