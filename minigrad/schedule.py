"""Where the values of a loop's step live: in names of their own, in buffers that last, or in their rows of a stack.

    plan = schedule(loop)
    plan.buffers                 arrays that are joined: made once before the loop, filled in place at each step
    plan.placed                  what is computed straight into its place in one of them
    plan.rows                    what is computed straight into its row of a stack

Pure data, read by `writer.py`. A buffer is written again at the next step, so nothing that a carry could be a view of
lives in one; what a caller gets is never one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .graph import Loop, topological
from .nodes import Node
from .primitives.structure import join, reshape, stack, transpose
from .primitives.text import has_out_form

__all__ = ["Plan", "bytes_of", "schedule"]


def bytes_of(x: Node) -> int:
    """How much memory a node's value takes."""
    return math.prod(x.shape) * x.dtype.itemsize


class Plan:
    """What `schedule` decides for one loop."""

    def __init__(self) -> None:
        self.buffers: list[Node] = []
        self.placed: set[Node] = set()
        self.rows: dict[Node, int] = {}  # value -> which of the loop's outputs it is


def schedule(loop: Loop) -> Plan:
    """Decide where the values of a loop's step live."""
    outputs, n = loop.graph.outputs, loop.carries
    nodes = topological(outputs)
    given = set(loop.graph.inputs)
    uses: dict[Node, int] = {}
    for v in nodes:
        for x in v.inputs:
            uses[x] = uses.get(x, 0) + 1
    ends = set(outputs)
    carried = _bases(outputs[:n])
    plan = Plan()
    for v in reversed(nodes):
        if _is_joined(v) and v not in plan.placed and v not in carried and v not in given:
            plan.buffers.append(v)
            _place_operands(v, plan.placed, uses, ends)
    plan.buffers.reverse()
    joined = set(plan.buffers)
    for i, y in enumerate(outputs[n:], start=n):
        called = has_out_form(y.primitive) and not y.primitive.is_operator
        in_place = y in joined or called or (y.primitive is transpose and uses.get(y, 0))
        if in_place and y.shape and not y.is_leaf and y not in plan.placed and y not in plan.rows:
            plan.rows[y] = i
    return plan


def _is_joined(v: Node) -> bool:
    return v.primitive in (stack, join) and v.params["axis"] == 0 and v.shape != ()


def _bases(values: Sequence[Node]) -> set[Node]:
    # the nodes whose memory the values may be
    found = set()
    for v in values:
        while v.primitive.view and v.inputs:
            found.add(v)
            v = v.inputs[0]
        found.add(v)
    return found


def _place_operands(v: Node, placed: set[Node], uses: dict[Node, int], ends: set[Node]) -> None:
    for x in v.inputs:
        if x.dtype == v.dtype and uses[x] == 1 and x not in ends:
            _place(x, placed, uses, ends)


def _place(x: Node, placed: set[Node], uses: dict[Node, int], ends: set[Node]) -> None:
    # computed straight into a place of its shape: entry by entry, or itself joined of such parts
    if _is_joined(x) or (x.primitive is reshape and x.shape == (1, *x.inputs[0].shape)):
        placed.add(x)
        _place_operands(x, placed, uses, ends)
    elif x.shape and has_out_form(x.primitive):  # a single entry is no array that could be written into
        placed.add(x)
        nested = [o for o in x.inputs if _is_joined(o) and o.shape == x.shape and o.dtype == x.dtype]
        if len(nested) == 1 and uses[nested[0]] == 1 and nested[0] not in ends:
            _place(nested[0], placed, uses, ends)
