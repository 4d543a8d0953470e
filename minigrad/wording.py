"""Words for nodes that nobody named, so that a generated text reads as a person would write it.

    name_results(graph)        before differentiating: `forget` for the result of a scope, `tanh_c`, `one_minus_update`
    name_stacks(graph)         after rewriting: `d_forget_steps` for what a loop collects, `xs_rows` for it as a matrix

A cotangent is called after what it is the cotangent of, so it needs no word of its own. Names change what is read,
never what is computed.
"""

from __future__ import annotations

from collections.abc import Iterator

from .graph import Graph
from .naming import scope_name
from .nodes import CONSTANT, Node
from .primitives.elementwise import add, divide, multiply, subtract
from .primitives.linear_algebra import matmul
from .primitives.structure import pick, reshape, transpose

__all__ = ["name_results", "name_stacks"]

NOUNS = {add: "sum", subtract: "difference", multiply: "product", divide: "quotient", matmul: "product"}


def name_results(graph: Graph) -> None:
    """Name what was traced: results of scopes after these, other nodes after what they are made from."""
    for level in _levels(graph):
        _name_carries(level)
        nodes = [node for node in level.nodes if not node.is_leaf and node.shape is not None]
        last = {node.scope: node for node in nodes}
        for node in nodes:
            if node.name is None and node.primitive is not pick:
                node.name = scope_name(node.scope) if last[node.scope] is node else _function_of(node)
        outermost: set[str] = set()
        for node in reversed(nodes):
            if node.name is None and node.primitive in NOUNS and (scope := scope_name(node.scope)):
                noun = NOUNS[node.primitive]
                node.name = f"{scope}_inner_{noun}" if f"{scope}_{noun}" in outermost else f"{scope}_{noun}"
                outermost.add(node.name)


def _name_carries(level: Graph) -> None:
    # what a step hands on is called like what it got
    for loop in [node.params["loop"] for node in level.nodes if node.shape is None]:
        for carry, following in zip(loop.graph.inputs, loop.graph.outputs[: loop.carries], strict=False):
            if not following.is_leaf and following.primitive is not pick:
                following.name = following.name or carry.name


def _function_of(node: Node) -> str | None:
    kind, inputs = node.primitive, node.inputs
    if kind is subtract and inputs[0].primitive is CONSTANT and inputs[0].weak and inputs[0].cached == 1:
        return f"one_minus_{inputs[1].name}" if inputs[1].name else None
    if kind.elementwise and len(inputs) == 1:
        return f"{kind.name}_{inputs[0].name}" if inputs[0].name else None
    return None


def name_stacks(graph: Graph) -> None:
    """Name what loops collect, and what the rewrites made of it."""
    for level in _levels(graph):
        for node in level.nodes:
            if node.name is None and node.cotangent_of is None and not node.is_leaf and node.shape is not None:
                node.name = _collected(node)


def _collected(node: Node) -> str | None:
    if node.primitive is pick:
        loop, i = node.inputs[0].params["loop"], node.params["position"]
        output, given = loop.graph.outputs[i], set(loop.graph.inputs)
        name = _called(output)
        return f"previous_{name}_steps" if output in given else f"{name}_steps" if i >= loop.carries and name else None
    base = _called(node.inputs[0]) if node.primitive in (reshape, transpose) else None
    if base is None:
        return None
    if node.primitive is transpose:
        return f"{base}_T"
    return f"{base.removesuffix('_steps')}_rows" if len(node.shape) == 2 else None


def _called(node: Node) -> str | None:
    prefix = ""
    while node.cotangent_of is not None:
        node, prefix = node.cotangent_of, prefix + "d_"
    return prefix + node.name if node.name else None


def _levels(graph: Graph) -> Iterator[Graph]:
    pending = [graph]
    while pending:
        level = pending.pop()
        yield level
        pending += level.subgraphs()
