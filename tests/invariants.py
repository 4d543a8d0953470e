"""What a valid graph is, checked node by node; tests call this after every pass."""

from __future__ import annotations

import numpy as np

from minigrad.graph import Graph, Loop
from minigrad.nodes import CONSTANT, SYMBOL, Node
from minigrad.primitives.structure import pick


def check_graph(graph: Graph) -> None:
    """Inputs are older than the node, shapes and dtypes are what the shape rule gives, loops fit together."""
    for node in graph.nodes:
        assert all(map(is_plain, node.params.values())), f"{node!r} has parameters {node.params}"
        assert all(x.serial < node.serial for x in node.inputs), f"{node!r} is older than its inputs"
        if node.primitive is SYMBOL:
            assert not node.inputs
        elif node.primitive is CONSTANT:
            assert (node.cached.shape, node.cached.dtype) == (node.shape, node.dtype) if not node.weak else True
        elif node.shape is None:
            check_loop(node)
        else:
            assert (node.shape, node.dtype) == node.primitive.infer(*node.inputs, **node.params), repr(node)
    symbols = [node for node in graph.nodes if node.primitive is SYMBOL]
    assert set(graph.inputs) <= set(symbols)
    assert len(set(graph.inputs)) == len(graph.inputs)


def is_plain(value: object) -> bool:
    """A parameter is a plain Python value (no NumPy scalar): it is compared, printed into source, and pickled."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return value is None or value is Ellipsis or isinstance(value, (np.dtype, Loop)) or type(value) in (int, float, bool, str)


def check_loop(node: Node) -> None:
    """A loop's operands fit its step's inputs, and the carry comes out as it went in."""
    loop: Loop = node.params["loop"]
    n, m = loop.carries, loop.slices
    inputs, outputs = loop.graph.inputs, loop.graph.outputs
    assert len(inputs) == len(node.inputs)
    assert not loop.graph.free
    for i, (inner, outer) in enumerate(zip(inputs, node.inputs, strict=True)):
        shape = outer.shape[1:] if n <= i < n + m else outer.shape
        assert (inner.shape, inner.dtype) == (shape, outer.dtype)
        assert not n <= i < n + m or outer.shape[0] == loop.length
    for before, after in zip(inputs[:n], outputs[:n], strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    check_graph(loop.graph)


def picks_fit(graph: Graph) -> None:
    """Every pick takes a result that its loop has, and has its shape and dtype."""
    for node in graph.nodes:
        if node.primitive is pick:
            assert (node.shape, node.dtype) == node.inputs[0].params["loop"].result_types()[node.params["position"]]
