"""Rewrites of whole loops."""

from __future__ import annotations

from ..graph import Graph, Loop, rebuild
from ..nodes import Node
from ..primitives.structure import pick

__all__ = ["merge_loops"]


def merge_loops(graph: Graph) -> Graph:
    """Loops over the same step and the same inputs become one loop that has all their results.

    The gradient of a loop stacks what its backward loop needs by running the same step with more outputs. The steps
    of the two share their very nodes, so which results they have in common is a matter of identity.
    """
    loops = [node for node in graph.nodes if node.shape is None]
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in loops:
        loop: Loop = node.params["loop"]
        key = (node.inputs, loop.graph.inputs, loop.graph.outputs[: loop.carries], loop.length, loop.reverse)
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
        merged = Loop(wide, first.carries, first.slices, first.length, first.reverse)
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
    for node in new.values():  # a cotangent is called after its node, whatever became of it
        if node.cotangent_of in new:
            node.cotangent_of = new[node.cotangent_of]
    return Graph(graph.inputs, [new[y] for y in graph.outputs], graph.in_structure, graph.out_structure)
