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
from .primitives.structure import pick
from .reverse import accumulate, fit

__all__ = ["push"]


def push(outputs: Sequence[Node], seeds: dict[Node, Node]) -> list[Node | None]:
    """The tangents of `outputs`, given those of some nodes; None where no tangent arrives."""
    tangents: dict[Node, Any] = dict(seeds)
    with made_for("forward") as context:
        for node in depending_on(seeds, outputs):
            if node in tangents or (node.dtype is not None and node.dtype.kind != "f"):
                continue
            context.node(node)
            if node.primitive is pick:
                several = tangents.get(node.inputs[0])
                tangent = several and several[node.params["position"]]
            elif node.primitive.jvp is not None:
                tangent = node.primitive.jvp(node, [tangents.get(x) for x in node.inputs])
            else:
                tangent = _tangent(node, tangents)
            if tangent is not None:
                tangents[node] = tangent
    return [tangents.get(node) for node in outputs]


def _tangent(y: Node, tangents: dict[Node, Any]) -> Node | None:
    u = Node(SYMBOL, (), {}, y.shape, y.dtype, name="u")
    seeds = []
    for i, x in enumerate(y.inputs):
        share = y.primitive.share(i, u, y) if x in tangents else None
        if share is not None:
            seeds.append((fit(share, x), tangents[x]))
    if not seeds:
        return None
    return accumulate(seeds, [u], absorbing=False)[0]
