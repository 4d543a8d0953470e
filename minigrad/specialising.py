"""A graph some of whose inputs are known, for good: what depends on them alone is computed once.

    source, known = specialised(graph, weights, "step")
    source(*known, x, h)                   the outputs for (*weights, x, h)

What is left is rewritten as the inside of a loop is, since somebody calls it again and again: weights that meet the
same operand are joined, so that one product takes the place of several.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .graph import Graph, depending_on, rebuild, substitute
from .loop import run_loop, stand_in
from .nodes import CONSTANT, Node, Shape
from .primitives.structure import bare, broadcast_to, contiguous, index, reshape
from .rewrites import merge_loops, optimize, simplify
from .rewrites.unrolling import unroll_scan
from .source import Source, generate, module
from .writer import Writer

__all__ = ["specialised"]

SMALL = 1 << 12  # entries
NOT_IN_ONE_STEP = ("reroll", "hoist", "postpone")  # there is nothing to roll, and no other step to work for


def specialised(
    graph: Graph, values: Sequence[Any], name: str, without: Iterable[str] = ()
) -> tuple[Source, Sequence[Any]]:
    """The source of what is left when the first inputs have these values, and its own first arguments.

    The other arguments are the graph's other inputs. Nothing of `values` is kept itself: it is copied or computed with.
    """
    graph = _rewritten(merge_loops(graph), len(values), tuple(without))
    known, asked = graph.inputs[: len(values)], graph.inputs[len(values) :]
    graph = _spread(graph, asked)
    kept = _kept(graph, asked)
    stand_ins = [stand_in(node) for node in kept]
    step = Graph([*stand_ins, *asked], substitute(graph.outputs, dict(zip(kept, stand_ins, strict=True))))
    arrays = generate(Graph(known, kept), f"prepare_{name}", without)(*values)
    writer = Writer(step, name)
    writer.in_loop = True
    return module(writer), arrays


def _rewritten(graph: Graph, known: int, without: tuple[str, ...]) -> Graph:
    # what rewrites do to it in a loop. A graph that has loops is left to the rewrites of those
    asked = [x for x in graph.inputs[known:] if not x.weak]  # a bare number in an array would be bare no more
    if any(True for _ in graph.subgraphs()) or not asked or not graph.outputs:
        return optimize(graph, without)
    symbols = [stand_in(x) for x in asked]
    outputs = substitute(graph.outputs, dict(zip(asked, symbols, strict=True)))
    slices = [reshape(x, shape=(1, *x.shape)) for x in asked]
    results = run_loop(symbols, outputs, [], slices, length=1)
    looped = Graph(graph.inputs, [index(y, index=(0,)) for y in results])
    return simplify(unroll_scan(optimize(looped, (*without, *NOT_IN_ONE_STEP))))


def _spread(graph: Graph, asked: Sequence[Node]) -> Graph:
    # small arrays that are known meet others in the shape of the result: to broadcast takes longer than to add
    moving, new = set(depending_on(asked, graph.outputs)), dict[Node, Node]()
    filled: dict[tuple[Node, Shape], Node] = {}
    for node in graph.nodes:
        inputs = [new[x] for x in node.inputs]
        if node in moving and node.primitive.elementwise and math.prod(node.shape) <= SMALL:
            for i, x in enumerate(node.inputs):
                if x not in moving and x.shape != node.shape and math.prod(x.shape) > 1:
                    if (x, node.shape) not in filled:
                        filled[x, node.shape] = contiguous(broadcast_to(new[x], shape=node.shape))
                        filled[x, node.shape].name = x.name
                    inputs[i] = filled[x, node.shape]
        new[node] = node if node.is_leaf else rebuild(node, inputs)
    return Graph(graph.inputs, [new[y] for y in graph.outputs])


def _kept(graph: Graph, asked: Sequence[Node]) -> list[Node]:
    # what has to be known of the other inputs: all that goes into what depends on the asked ones, or is an output;
    # a bare number, `float(x)`, is made where it is used, since an array that is handed over is bare no more
    moving = {*depending_on(asked, graph.outputs), *[node for node in graph.nodes if node.primitive is bare]}
    used = [x for node in graph.nodes if node in moving for x in node.inputs]
    return [x for x in dict.fromkeys([*used, *graph.outputs]) if x not in moving and x.primitive is not CONSTANT]
