"""Reverse mode: gradients of any node, and of any edge, as nodes of the same graph.

    gradients(y, [w])                      dy/dw, as a node
    gradients(y, edges(w, y))              the same, split by the uses along which w reaches y (see `uses.py`)

One walk, newest node first. When a node's turn comes, all that uses it has passed on its share, so the sum of the
shares is the node's cotangent, and its own VJP rules pass shares on to its inputs. Broadcasting is undone here, once,
for all primitives: a share is summed back to the shape, and cast to the dtype, of what it belongs to.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError, DtypeError, GradientError, ShapeError, explain
from .graph import depending_on, topological
from .nodes import Node, Primitive, as_node, made_for
from .primitives import structure
from .primitives.elementwise import multiply
from .primitives.structure import absorb, cast, full, pick, reshape, zeros_like
from .primitives.structure import sum as sum_over
from .pytree import flatten
from .uses import Edge, holds, passes

__all__ = ["accumulate", "gradients"]


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
        raise ArgumentError(explain("gradients", f"unused is 'zeros' or 'error', got {unused!r}"))
    seed = _seed(y, cotangent)
    targets, structure = flatten(wrt)
    for target in targets:
        if not isinstance(target, (Node, Edge)):
            raise ArgumentError(explain("gradients", f"with respect to nodes and edges, got {type(target).__name__}",
                                    instead="mg.constant(array), and an expression made from that node"))  # fmt: skip
        if target.dtype.kind != "f":
            problem = f"{target.dtype} has no derivative"
            raise DtypeError(explain("gradients", problem, [target], "a float: x.astype('float64')"))
    results = accumulate([(y, seed)], targets)
    missing = [target for target, result in zip(targets, results, strict=True) if result is None]
    in_steps = {target for inside in _loops_around(missing, [y]).values() for target in inside}
    for i, (target, result) in enumerate(zip(targets, results, strict=True)):
        if result is None:
            in_between = isinstance(target, Edge) or not target.is_leaf or target in in_steps
            if in_between or unused == "error":
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
    seeds: Sequence[tuple[Node, Node]], targets: Sequence[Node | Edge], absorbing: bool = True, selected: bool = False
) -> list[Node | None]:
    """The cotangents of `targets` that come from the cotangents of some outputs; None where nothing reaches.

    `seeds` are pairs (output, cotangent). A target inside a loop gets its cotangents of all steps, stacked.

    Past a selection (`where`, `relu`, a mask) a zero cotangent absorbs any slope, so that a branch not taken gets
    exactly 0 though its slopes are infinite or NaN. Operations that mix entries, products of matrices and norms say,
    absorb nothing: 0 * inf is NaN there. `selected` says that the seeds have passed a selection already; `absorbing` is
    off where the transpose of a linear map is taken, in forward mode.
    """
    walk = _Walk(seeds, targets, absorbing)
    if selected:
        walk.past_selection.update(output for output, _ in seeds)
    with made_for("backward") as context:
        for output, cotangent in seeds:
            context.node(output)
            walk.add(output, cotangent)
        for node in sorted(walk.carriers, key=lambda node: node.serial, reverse=True):
            context.node(node)
            if node.shape is None:
                walk.visit_loop(node)
            elif node.primitive is pick:
                walk.visit_pick(node)
            else:
                walk.visit(node)
    return [walk.found.get(target) for target in targets]


class _Walk:
    """What the reverse walk knows: the sums of shares so far, and what has been found for the targets."""

    def __init__(self, seeds: Sequence[tuple[Node, Node]], targets: Sequence[Node | Edge], absorbing: bool) -> None:
        outputs = [output for output, _ in seeds]
        self.absorbing, self.slopes = absorbing, Slopes(outputs)
        self.targets, self.any_edges = set(targets), any(isinstance(target, Edge) for target in targets)
        self.inside = _loops_around(targets, outputs)  # loop -> the targets that are in its step
        starts = [target.consumer if isinstance(target, Edge) else target for target in targets]
        self.carriers = _carriers([*starts, *self.inside], outputs)
        self.totals: dict[Any, Node] = {}  # node, or (loop, position of the result) -> sum of shares so far
        self.past_selection: set[Node] = set()
        self.found: dict[Node | Edge, Node] = {}

    def add(self, x: Node, share: Node) -> None:
        """One more share of x's cotangent."""
        total = self.totals[x] + share if x in self.totals else share
        self.totals[x] = total
        _remember(total, x)

    def visit(self, node: Node) -> None:
        """All that uses the node has passed on its share: the sum is its cotangent; pass on its inputs' shares."""
        ct = self.totals.pop(node, None)
        if ct is None:
            return
        if node in self.targets:
            self.found[node] = ct
        absorbing = self.absorbing and node in self.past_selection and self.slopes.steep(node)
        for i, x in enumerate(node.inputs):
            if self.wants(node, i):
                self.pass_on(node, i, x, _share(i, ct, node, absorbing))

    def visit_pick(self, pick_node: Node) -> None:
        """The cotangent of one result of a loop waits until all results have theirs."""
        (loop,), ct = pick_node.inputs, self.totals.pop(pick_node, None)
        if ct is None:
            return
        if pick_node in self.targets:
            self.found[pick_node] = ct
        if loop in self.carriers:
            key = (loop, pick_node.params["position"])
            self.totals[key] = self.totals[key] + ct if key in self.totals else ct
            if pick_node in self.past_selection:
                self.past_selection.add(loop)

    def visit_loop(self, node: Node) -> None:
        """All results of a loop have their cotangents: its joint rule takes them together."""
        cts = [self.totals.pop((node, i), None) for i in range(len(node.params["loop"].graph.outputs))]
        if all(ct is None for ct in cts) or node.primitive.joint_vjp is None:
            return
        wanted, inside = [self.wants(node, i) for i in range(len(node.inputs))], self.inside.get(node, [])
        entered = [target.in_step if isinstance(target, Edge) else target for target in inside]
        shares, stacks = node.primitive.joint_vjp(cts, node, wanted, entered, node in self.past_selection)
        for i, (x, share) in enumerate(zip(node.inputs, shares, strict=True)):
            self.pass_on(node, i, x, share)
        for target, stack in zip(inside, stacks, strict=True):
            if stack is not None:
                self.found[target] = self.sum_of_runs(target, stack)

    def sum_of_runs(self, target: Node | Edge, stack: Node) -> Node:
        """Two loops may run the same step: what reaches a node in it comes by both."""
        before = self.found.get(target)
        if before is not None and before.shape != stack.shape:
            problem = f"the node runs in loops of different lengths, {before.shape} and {stack.shape}"
            instead = "mg.edges(node, y), which are apart for each of them"
            raise GradientError(explain("gradients", problem, [target], instead))
        return stack if before is None else before + stack

    def wants(self, node: Node, i: int) -> bool:
        """Whether anybody asks for the share of input i."""
        return node.inputs[i] in self.carriers or (self.any_edges and Edge(node.inputs[i], node, i) in self.targets)

    def pass_on(self, node: Node, i: int, x: Node, share: Node | None) -> None:
        """Give input i of the node its share."""
        if share is None:
            return
        _remember(share, x)
        if self.any_edges and (edge := Edge(x, node, i)) in self.targets:
            self.found[edge] = share
        if x in self.carriers:
            self.add(x, share)
            if node in self.past_selection or selects(node):
                self.past_selection.add(x)


def _loops_around(targets: Sequence[Node | Edge], outputs: Sequence[Node]) -> dict[Node, list[Node | Edge]]:
    # loop -> the targets in its step, or in a loop in it; a loop is newer than the nodes of its step
    nodes = [target for target in targets if isinstance(target, Node)]
    around: dict[Node, list[Node | Edge]] = {}
    for edge in targets:
        if isinstance(edge, Edge) and edge.loops:
            around.setdefault(edge.loops[0], []).append(edge)
    for node in topological(outputs, newer_than=min([node.serial for node in nodes], default=sys.maxsize)):
        if node.shape is None:
            held = holds(node)
            inside = [target for target in nodes if target in held]
            if inside:
                around.setdefault(node, []).extend(inside)
    return around


def _share(i: int, ct: Node, y: Node, absorbing: bool) -> Node | None:
    # what input i of y gets of y's cotangent, in the input's own shape and dtype
    x = y.inputs[i]
    share = y.primitive.share(i, ct, y) if x.dtype.kind == "f" else None
    if share is None:
        return None
    if absorbing and share is not ct:
        share = absorb(share, ct)
    return fit(share, x)


def selects(node: Node) -> bool:
    """Whether a node passes some entries on and others not (see `Primitive`), in a loop's step perhaps."""
    return node.params["loop"].selects if node.shape is None else node.primitive.selects


class Slopes:
    """Which operations of a graph can have an infinite slope, or none: past a selection a zero has to absorb those.

    Either the operation is one whose slope can be infinite where its value is not, or one of its operands may be
    infinite or NaN itself. Only operations that work entry by entry are among them.
    """

    def __init__(self, outputs: Sequence[Node]) -> None:
        self.outputs = outputs

    @functools.cached_property
    def wild(self) -> set[Node]:
        """What can be infinite or NaN though nothing overflows: all that is made from a steep operation's result."""
        wild: set[Node] = set()
        for node in topological(self.outputs):
            if node.shape is None:
                steep = bool(Slopes(node.params["loop"].graph.outputs).wild)
            else:
                steep = _can_be_steep(node.primitive) and node.primitive is not multiply
            if steep or any([x in wild for x in node.inputs]):
                wild.add(node)
        return wild

    def steep(self, node: Node) -> bool:
        """Whether the slopes of an operation have to be absorbed."""
        primitive = node.primitive
        if primitive.bounded and primitive.elementwise and not primitive.selects:
            return any([x in self.wild for x in node.inputs])
        return _can_be_steep(primitive)


def _can_be_steep(primitive: Primitive) -> bool:
    return primitive.elementwise and not primitive.bounded and not primitive.selects


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


def _carriers(targets: Sequence[Node], outputs: Sequence[Node]) -> set[Node]:
    # the nodes of outputs' graph along which a derivative by any target can travel, the targets too
    carriers = set(targets)
    for node in depending_on(targets, outputs):
        if node in carriers or (node.dtype is not None and node.dtype.kind != "f"):
            continue
        if any([x in carriers and passes(node.primitive, i) for i, x in enumerate(node.inputs)]):
            carriers.add(node)
    return carriers


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
            dtype = consumer.dtype
            kind = f", which gives {dtype}" if dtype is not None and dtype.kind != "f" else ""
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
        inner = source.inputs[0].params["loop"].graph.outputs[source.params["position"]]
        path = "/".join([*filter(None, [inner.scope]), inner.name or inner.primitive.name])
        return (
            "this slice of a loop's results is a node of its own that y does not use. What reaches a step, through the "
            "recurrence too, is the gradient at the node inside the loop, stacked over the steps: "
            f'mg.gradients(y, mg.Graph([], [y]).find("{path}")); '
            "or write the loop with rnn.unroll, where each step is a node"
        )
    if not target.is_leaf:
        return "ask for the node that y was made from: making an expression again makes another node"
    return ""
