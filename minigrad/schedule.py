"""Where the values of a loop's step live: in names of their own, in buffers that last, or in their rows of a stack.

    plan = schedule(loop)
    plan.buffers                 arrays that are joined: made once before the loop, filled in place at each step
    plan.placed                  what is computed straight into its place in one of them
    plan.rows                    what is computed straight into its row of a stack

Pure data, read by `writer.py`. A buffer is written again at the next step, so nothing that a carry could be a view of
lives in one; what a caller gets is never one.
"""

from __future__ import annotations

from .graph import Loop, bytes_of, topological, users_of
from .nodes import Node
from .primitives.structure import join, pick, reshape, stack, transpose
from .primitives.text import has_out_form

__all__ = ["Plan", "bases_of", "handed_on", "schedule", "shifted_stacks"]


LONG_ROW = 1 << 13  # bytes; shorter results of operators are copied to their rows as fast as computed there


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
    uses = {x: len(users) for x, users in users_of(nodes).items()}
    ends = set(outputs)
    carried: set[Node] = set().union(*[bases_of(y) for y in outputs[:n]])
    plan = Plan()
    for v in reversed(nodes):
        if _is_joined(v) and v not in plan.placed and v not in carried and v not in given:
            plan.buffers.append(v)
            _place_operands(v, plan.placed, uses, ends)
    plan.buffers.reverse()
    joined = set(plan.buffers)
    for i, y in enumerate(outputs[n:], start=n):
        called = has_out_form(y.primitive) and (not y.primitive.is_operator or bytes_of(y) >= LONG_ROW)
        in_place = y in joined or called or (y.primitive is transpose and uses.get(y, 0))
        if in_place and y.shape and not y.is_leaf and y not in plan.placed and y not in plan.rows:
            plan.rows[y] = i
    return plan


def _is_joined(v: Node) -> bool:
    return v.primitive in (stack, join) and v.params["axis"] == 0 and v.shape != ()


def bases_of(v: Node) -> set[Node]:
    """The nodes whose memory a value may be part of: of a view what it views, of a loop's carry what is handed on."""
    while v.primitive is not pick and v.inputs and v.primitive.view:
        v = v.inputs[0]
    if v.primitive is pick and v.params["position"] in handed_on(v.inputs[0].params["loop"]):
        return set().union(*[bases_of(x) for x in v.inputs[0].inputs], {v})
    return {v}


def handed_on(loop: Loop) -> set[int]:
    """The carries that may end as part of something the loop was given."""
    given = set(loop.graph.inputs)
    carries = enumerate(loop.graph.outputs[: loop.carries])
    return {i for i, y in carries if loop.length == 0 or not given.isdisjoint(bases_of(y))}


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


def shifted_stacks(loop: Loop, stacks: set[int]) -> dict[int, int]:
    """Stacks that are one array but for a row: of a carry's next values, and of those that it had before."""
    outputs, given, found = loop.graph.outputs, set(loop.graph.inputs), {}
    for carry, following in zip(loop.graph.inputs, outputs[: loop.carries], strict=False):
        before = [i for i in sorted(stacks) if outputs[i] is carry]
        after = [i for i in sorted(stacks) if outputs[i] is following]
        if before and after and following not in given and after[0] not in found and loop.length:
            found[after[0]] = before[0]
    return found
