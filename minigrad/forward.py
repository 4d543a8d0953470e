"""Forward mode, from the same table: a primitive's JVP is the transpose of its VJP rule.

The VJP rules of a node are linear in the cotangent. Applied to a symbol `u` they give a small graph that is linear
in u, and reverse mode through that graph, seeded with the inputs' tangents, is the tangent of the result; u itself
drops out. So nobody writes a JVP rule: for `y = a * b` the shares are `u * b` and `u * a`, and the derivative of
`<u * b, da> + <u * a, db>` by u is `da * b + db * a`. (Only the loop has a rule of its own: a loop of tangents.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .graph import depending_on
from .nodes import SYMBOL, Node, made_for
from .primitives.structure import absorb, pick
from .reverse import Slopes, accumulate, fit, selects

__all__ = ["push"]


def push(outputs: Sequence[Node], seeds: dict[Node, Node], selected: bool = False) -> list[Node | None]:
    """The tangents of `outputs`, given those of some nodes; None where no tangent arrives.

    As in reverse mode, past a selection a zero is stronger than any slope; here it is the tangent that is zero. (So
    the slope of `sqrt(relu(x))` at -1 is 0 in both modes: in reverse mode relu comes last, in forward mode sqrt does.)
    `selected` says that the seeds have passed a selection already.
    """
    tangents: dict[Node, Any] = dict(seeds)
    past_selection, slopes = set(seeds) if selected else set(), Slopes(outputs)
    with made_for("forward") as context:
        for node in depending_on(seeds, outputs):
            if node in tangents or (node.dtype is not None and node.dtype.kind != "f"):
                continue
            context.node(node)
            past = {x for x in node.inputs if x in past_selection}
            if node.primitive is pick:
                several = tangents.get(node.inputs[0])
                tangent = several and several[node.params["position"]]
            elif node.primitive.joint_jvp is not None:
                tangent = node.primitive.joint_jvp(node, [tangents.get(x) for x in node.inputs], bool(past))
            elif node.primitive.jvp is not None:
                tangent = node.primitive.jvp(node, [tangents.get(x) for x in node.inputs])
            else:
                tangent = _tangent(node, tangents, past if past and slopes.steep(node) else set())
            if tangent is not None:
                tangents[node] = tangent
                if past or selects(node):
                    past_selection.add(node)
    return [tangents.get(node) for node in outputs]


def _tangent(y: Node, tangents: dict[Node, Any], absorbing: set[Node]) -> Node | None:
    # the sum of what the inputs' tangents give; those of `absorbing` ones give 0 where they are 0, whatever the slope
    u = Node(SYMBOL, (), {}, y.shape, y.dtype, name="u")
    seeds: dict[Node | None, list[tuple[Node, Node]]] = {}
    for i, x in enumerate(y.inputs):
        share = y.primitive.share(i, u, y) if x in tangents else None
        if share is not None:
            guarded = x if x in absorbing else None
            seeds.setdefault(guarded, []).append((fit(share, x), tangents[x]))
    total: Node | None = None
    for guarded, pairs in seeds.items():
        (part,) = accumulate(pairs, [u], absorbing=False)
        if part is not None:
            part = part if guarded is None else absorb(part, tangents[guarded])
            total = part if total is None else total + part
    return total
