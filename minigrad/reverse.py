"""Reverse mode: gradients of any node, and of any edge, as nodes of the same graph.

    gradients(y, [w])                      dy/dw, as a node
    gradients(y, edges(w, y))              the same, split by the edges along which w reaches y

One walk, newest node first. When a node's turn comes, all that uses it has passed on its share, so the sum of the
shares is the node's cotangent, and its own VJP rules pass shares on to its inputs. Broadcasting is undone here, once,
for all primitives: a share is summed back to the shape, and cast to the dtype, of what it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .errors import DtypeError, GradientError, ShapeError, explain
from .graph import Node, Primitive, as_node, depending_on, made_for
from .primitives import structure
from .primitives.structure import absorb, cast, full, pick, reshape, zeros_like
from .primitives.structure import sum as sum_over
from .pytree import flatten

__all__ = ["Edge", "accumulate", "edges", "gradients"]


class Edge:
    """One use of a node: `node` is input number `position` of `consumer`. Equal when it is the same use."""

    __slots__ = ("consumer", "node", "position")

    def __init__(self, node: Node, consumer: Node, position: int) -> None:
        self.node, self.consumer, self.position = node, consumer, position

    shape = property(lambda self: self.node.shape, doc="The shape of the node, and of the share.")
    dtype = property(lambda self: self.node.dtype, doc="The dtype of the node, and of the share.")
    ndim = property(lambda self: len(self.node.shape), doc="The number of axes of the node.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Edge) and self.consumer is other.consumer and self.position == other.position

    def __hash__(self) -> int:
        return hash((self.consumer, self.position))

    def __repr__(self) -> str:
        scope = f" in {self.consumer.scope}" if self.consumer.scope else ""
        return f"<edge from {self.node.label} to input {self.position} of {self.consumer.label}{scope}>"


def edges(node: Node, y: Node) -> list[Edge]:
    """The edges along which `node` reaches `y`, in the order in which the reverse pass adds their shares up.

    A weight that is used at T steps has T edges, latest first:

    >>> import minigrad as mg
    >>> w, x = mg.constant(2.0), mg.constant(3.0)
    >>> y = mg.sin(w * x) + w
    >>> shares = mg.gradients(y, mg.edges(w, y))
    >>> dw, = mg.gradients(y, [w])
    >>> float(shares[0] + shares[1]) == float(dw)
    True
    """
    carriers = _carriers([node], [y])
    found = []
    for consumer in reversed(depending_on([node], [y])):
        if consumer in carriers and consumer is not node:
            positions = [i for i, x in enumerate(consumer.inputs) if x is node and _passes(consumer.primitive, i)]
            found += [Edge(node, consumer, i) for i in positions]
    return found


def gradients(y: Node, wrt: Any, cotangent: Any = None, unused: str = "zeros") -> Any:
    """The gradients of a scalar `y` with respect to nodes and edges: nodes again, to be differentiated as any other.

    `wrt` is a list of nodes and edges (a tuple comes back), or any pytree of them (the same pytree comes back). A `y`
    that is no scalar needs a `cotangent` of its shape. A leaf that `y` does not depend on gets zeros, or, with
    `unused="error"`, an error; for a node in between it is always an error, since a silent zero would look like a
    vanished gradient.

    Raises GradientError, DtypeError (integers have no derivative), ShapeError (the cotangent's shape).

    >>> import minigrad as mg
    >>> x = mg.constant(3.0)
    >>> dx, = mg.gradients(x ** 2, [x])
    >>> float(dx), float(mg.gradients(dx, [x])[0])
    (6.0, 2.0)
    """
    y = as_node(y)
    if unused not in ("zeros", "error"):
        raise ValueError(f"gradients: unused is 'zeros' or 'error', got {unused!r}")
    seed = _seed(y, cotangent)
    targets, structure = flatten(wrt)
    for target in targets:
        if not isinstance(target, (Node, Edge)):
            raise TypeError(explain("gradients", f"with respect to nodes and edges, got {type(target).__name__}",
                                    instead="mg.constant(array), and an expression made from that node"))  # fmt: skip
        if target.dtype.kind != "f":
            problem = f"{target.dtype} has no derivative"
            raise DtypeError(explain("gradients", problem, [target], "a float: x.astype('float64')"))
    results = accumulate([(y, seed)], targets)
    for i, (target, result) in enumerate(zip(targets, results, strict=True)):
        if result is None:
            if isinstance(target, Edge) or not target.is_leaf or unused == "error":
                raise GradientError(explain("gradients", _why_unused(target, y), [target], _what_instead(target, y)))
            results[i] = zeros_like(target)
    return tuple(results) if type(wrt) in (list, tuple) and len(wrt) == len(results) else structure.rebuild(results)


def _seed(y: Node, cotangent: Any) -> Node:
    if y.dtype.kind != "f":
        raise DtypeError(explain("gradients", f"{y.dtype} has no derivative", [y], "a float: y.astype('float64')"))
    if cotangent is None:
        if y.shape != ():
            instead = "y.sum(), or mg.vjp for a cotangent, or mg.jacobian for all rows"
            raise GradientError(explain("gradients", f"y is no scalar, its shape is {y.shape}", [y], instead))
        return full(shape=(), value=1.0, dtype=y.dtype)
    cotangent = as_node(cotangent)
    if cotangent.shape != y.shape:
        problem = f"the cotangent has shape {cotangent.shape}, y has {y.shape}"
        raise ShapeError(explain("gradients", problem, [y, cotangent]))
    return cast_to(cotangent, y.dtype)


# ------------------------------------------------------------------------------------------------- the reverse walk


def accumulate(
    seeds: Iterable[tuple[Node, Node]], targets: Sequence[Node | Edge], absorbing: bool = True, selected: bool = False
) -> list[Node | None]:
    """The cotangents of `targets` that come from the cotangents of some outputs; None where nothing reaches.

    `seeds` are pairs (output, cotangent). `absorbing` is off in the forward pass, which selects after the slopes.
    `selected` says that the seeds have passed a selection already.
    """
    totals: dict[Any, Node] = {}  # node, or (loop, position) for a node of several results -> sum of shares so far
    past_selection: set[Node] = set()
    shares: dict[Edge, Node] = {}
    asked_edges = {target for target in targets if isinstance(target, Edge)}
    asked_nodes = {target for target in targets if isinstance(target, Node)}

    def add(key: Any, share: Node) -> None:
        totals[key] = totals[key] + share if key in totals else share
        if type(key) is Node:
            _remember(totals[key], key)

    outputs = []
    with made_for("backward") as context:
        for output, cotangent in seeds:
            context.node(output)
            outputs.append(output)
            add(output, cotangent)
            if selected:
                past_selection.add(output)
        carriers = _carriers([*asked_nodes, *[edge.consumer for edge in asked_edges]], outputs)
        for node in reversed(_in_order(carriers)):
            context.node(node)
            after = node in past_selection
            if node.shape is None:
                cts = [totals.pop((node, i), None) for i in range(len(node.params["loop"].graph.outputs))]
                if any(ct is not None for ct in cts):
                    assert node.primitive.joint_vjp is not None
                    parts = node.primitive.joint_vjp(cts, node, [x in carriers or Edge(x, node, i) in asked_edges
                                                                 for i, x in enumerate(node.inputs)], after)  # fmt: skip
                    passed = [(i, part) for i, part in enumerate(parts) if part is not None]
                else:
                    passed = []
            elif node not in totals:
                continue
            else:
                ct = totals[node] if node in asked_nodes else totals.pop(node)
                if node.primitive is pick:
                    if node.inputs[0] in carriers:
                        add((node.inputs[0], node.params["position"]), ct)
                        if after:
                            past_selection.add(node.inputs[0])
                    continue
                wanted = [i for i, x in enumerate(node.inputs) if x in carriers or Edge(x, node, i) in asked_edges]
                passed = [(i, share) for i in wanted if (share := _share(i, ct, node, after and absorbing)) is not None]
            for i, share in passed:
                x = node.inputs[i]
                if Edge(x, node, i) in asked_edges:
                    shares[Edge(x, node, i)] = share
                if x in carriers:
                    _remember(share, x)
                    add(x, share)
                    if after or node.primitive.selects:
                        past_selection.add(x)
    return [shares.get(t) if isinstance(t, Edge) else totals.get(t) for t in targets]


def _share(i: int, ct: Node, y: Node, absorbing: bool) -> Node | None:
    # what input i of y gets of y's cotangent, in the input's own shape and dtype
    primitive, x = y.primitive, y.inputs[i]
    rule = primitive.rule(i)
    if rule is None or x.dtype.kind != "f":
        return None
    share = rule(ct, y, *y.inputs, **y.params)
    if absorbing and primitive.elementwise and not primitive.bounded and not primitive.selects:
        share = absorb(share, ct)
    return fit(share, x)


def fit(share: Node, x: Node) -> Node:
    """A share summed back over broadcast axes to the shape of `x`, in its dtype."""
    if share.shape != x.shape:
        extra = len(share.shape) - len(x.shape)
        stretched = [i + extra for i, n in enumerate(x.shape) if n == 1 and share.shape[i + extra] != 1]
        share = sum_over(share, axis=(*range(extra), *stretched), keepdims=False)
        share = share if share.shape == x.shape else reshape(share, shape=x.shape)
    return cast_to(share, x.dtype)


def cast_to(x: Node, dtype: np.dtype[Any]) -> Node:
    """`x` in this dtype; itself where it has it already."""
    return x if x.dtype == dtype and not x.weak else cast(x, dtype=dtype)


def _remember(ct: Node, node: Node) -> None:
    # the drawing and the generated source call a cotangent after its node; the first node claims it
    if ct.cotangent_of is None and ct.serial > node.serial and not ct.is_leaf:
        ct.cotangent_of = node


def _passes(primitive: Primitive, i: int) -> bool:
    return primitive is pick or primitive.joint_vjp is not None or primitive.rule(i) is not None


def _carriers(targets: Sequence[Node], outputs: Sequence[Node]) -> set[Node]:
    # the nodes of outputs' graph along which a derivative by any target can travel, the targets too
    carriers = set(targets)
    for node in depending_on(targets, outputs):
        if node in carriers or (node.dtype is not None and node.dtype.kind != "f"):
            continue
        if any([x in carriers and _passes(node.primitive, i) for i, x in enumerate(node.inputs)]):
            carriers.add(node)
    return carriers


def _in_order(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.serial)


# ------------------------------------------------------------------------------------------------- what went wrong


def _why_unused(target: Node | Edge, y: Node) -> str:
    node = target.node if isinstance(target, Edge) else target
    reached = depending_on([node], [y])
    if not reached or reached[-1] is not y:
        return f"y ({y.label}) does not depend on {node.label}: there is no path"
    carriers = _carriers([node], [y])
    for consumer in reached:
        if consumer not in carriers:
            reason = "a stop_gradient" if consumer.primitive is structure.stop_gradient else consumer.primitive.name
            kind = f", which gives {consumer.dtype}" if consumer.dtype is not None and consumer.dtype.kind != "f" else ""
            where = f" at {consumer.origin}" if consumer.origin else ""
            return f"no derivative of y ({y.label}) reaches {node.label}: the path ends in {reason}{kind}{where}"
    return f"no derivative of y ({y.label}) reaches {node.label}"


def _what_instead(target: Node | Edge, y: Node) -> str:
    if isinstance(target, Edge):
        return "mg.edges(node, y) lists the edges that lead to y"
    used = set(depending_on(target.inputs, [y]))
    if target.primitive is structure.stack and any(x in used for x in target.inputs):
        return "y uses the items of this stack singly; ask for those: [hs[i] for i in range(len(hs))]"
    source = target.inputs[0] if target.primitive is structure.index else None
    if source is not None and source.primitive is pick and source in set(depending_on([source], [y])):
        return (
            "this slice of a loop's results is a node of its own that y does not use; ask for the gradient of the "
            "results as a whole and take its slice, or write the loop with rnn.unroll, where each step is a node"
        )
    if not target.is_leaf:
        return "ask for the node that y was made from: making an expression again makes another node"
    return ""
