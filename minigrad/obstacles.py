"""What kept a rewrite from applying: work that stayed in a loop, products that stayed apart, and why.

    for reason in obstacles(optimize(graph), graph):
        print(reason)                      h @ cell.hidden.w_h stays in the loop: h is the carry

The graph is looked at as it is after all rewrites; what was found there is told in the words of the graph as it was
traced, where every product still stands under the names and scopes of the user's code.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import combinations
from typing import NamedTuple

from .errors import Origin
from .graph import Graph, Loop, bytes_of, depending_on, topological
from .naming import scope_name
from .nodes import Node
from .phrases import called, expression, listed, phrase, short_names, size_text
from .primitives.linear_algebra import matmul
from .primitives.structure import contiguous, index, join, pick, reshape, stack, transpose
from .rewrites.editing import LoopEditor
from .rewrites.entries import families
from .rewrites.hoisting import CACHED_BYTES, added_terms, after_the_loop, computed_outside, uses_in
from .rewrites.lifting import LIFTS
from .rewrites.parts import part_of, runs
from .schedule import schedule

__all__ = ["Product", "Reason", "obstacles", "products_in_loops"]


class Reason(NamedTuple):
    """Why a rule did not apply: `rule` is its name, `subject` what it did not apply to, at the user's line `origin`.

    Rules are rewrites, by the names in `rewrites.PASSES`, or "in_place", which is the schedule's.
    """

    rule: str
    subject: str
    why: str
    origin: Origin | None = None

    def __str__(self) -> str:
        return f"{self.subject} {self.why}"


def obstacles(graph: Graph, traced: Graph, without: Container[str] = ()) -> list[Reason]:
    """What kept rewrites from applying to the loops of `graph`, which was `traced` before; none for those left out."""
    written = _as_written(traced)
    found: list[Reason] = []
    for looped in _loops(graph):
        products = [Product.of(v, looped, written) for v in looped.products]
        found += [*_staying(looped, products), *_apart(products), *_summed(looped), *_too_large(looped)]
        found += [*_scattered(looped), *_copied(looped)]
    return [reason for reason in dict.fromkeys(found) if reason.rule not in without]


def products_in_loops(graph: Graph, traced: Graph) -> list[Product]:
    """All products in the loops of `graph`, in the words of the graph as it was `traced`."""
    written = _as_written(traced)
    return [Product.of(v, looped, written) for looped in _loops(graph) for v in looped.products]


# ------------------------------------------------------------------------------------------------------------ loops


class _Looped(NamedTuple):
    """A loop, and what its step is made of."""

    node: Node
    loop: Loop
    carries: dict[Node, None]
    nodes: list[Node]
    carried: set[Node]  # what is made from a carry
    varying: set[Node]  # what changes from step to step
    outside: dict[Node, Node]  # closure -> what it is outside, of the loops around this one too

    @property
    def products(self) -> list[Node]:
        """The products in a step."""
        return [v for v in self.nodes if v.primitive is matmul]

    def weights(self, v: Node) -> list[tuple[Node, bool]]:
        """What the operands of a product that stay the same are made of, and whether it is transposed."""
        found = []
        pending = [(x, False) for x in reversed(v.inputs) if x not in self.varying]
        while pending:
            x, turned = pending.pop()
            if x in self.outside:
                pending.append((self.outside[x], turned))
            elif x.primitive in (stack, join, contiguous, reshape, index, transpose):
                pending += [(a, turned != (x.primitive is transpose)) for a in reversed(x.inputs)]
            else:
                found.append((x, turned))
        return found

    def moving(self, v: Node) -> list[Node]:
        """The operands of a product that are made from a carry."""
        return [x for x in v.inputs if x in self.carried]

    def way(self, x: Node) -> str:
        """How a value comes from a carry, the shortest way: "the carry h through reset"."""
        user: dict[Node, Node | None] = {x: None}
        pending = [x]
        for v in pending:
            if v in self.carries:
                break
            new = [other for other in v.inputs if other in self.carried and other not in user]
            user.update(dict.fromkeys(new, v))
            pending += new
        carry = next(v for v in pending if v in self.carries)
        passed, at = [], user[carry]
        while at is not None:
            if at.primitive not in (index, reshape, transpose, pick) and at.shape is not None:
                passed.append(called(at) or scope_name(at.scope) or at.primitive.name)
            at = user[at]
        passed = [name for name in dict.fromkeys(passed) if name not in (called(x), scope_name(x.scope), carry.name)]
        shown = passed if len(passed) < 5 else [*passed[:2], "...", *passed[-2:]]
        return _the_carry(carry) + (f" through {', '.join(shown)}" if shown else "")


def _the_carry(x: Node) -> str:
    return f"the carry {x.name}" if x.name and x.name != "carry" else "the carry"


def _loops(graph: Graph, around: dict[Node, Node] | None = None) -> Iterator[_Looped]:
    for node in graph.nodes:
        if node.shape is None:
            loop: Loop = node.params["loop"]
            n, inputs, outputs = loop.carries, loop.graph.inputs, loop.graph.outputs
            carries, given = dict.fromkeys(inputs[:n]), inputs[: n + loop.slices]
            closures = dict(zip(inputs[n + loop.slices :], node.inputs[n + loop.slices :], strict=True))
            outside = {**(around or {}), **closures}
            carried, varying = set(depending_on(carries, outputs)), set(depending_on(given, outputs))
            yield _Looped(node, loop, carries, topological(outputs), carried, varying, outside)
            yield from _loops(loop.graph, outside)


class Product:
    """A product in a loop, and how it was written: as one, or as several that were joined since."""

    def __init__(self, written: list[Node], looped: _Looped) -> None:
        self.written, self.looped = written, looped
        self.now = written[0]
        self.is_known = False

    @staticmethod
    def of(v: Node, looped: _Looped, known: dict[tuple[Node, bool], Product]) -> Product:
        """The product `v` of a loop, in the words of the products with the same weights in `known`."""
        parts = [known[weight] for weight in looped.weights(v) if weight in known]
        nodes = list(dict.fromkeys(part.now for part in parts))
        product = Product(nodes, parts[0].looped) if parts else Product([v], looped)
        product.now, product.is_known = v, bool(parts)
        return product

    @property
    def key(self) -> frozenset[Node]:
        """What two products have in common that were written as the same."""
        return frozenset(self.written)

    @property
    def moving(self) -> list[Node]:
        """The operands that are made from a carry, as they were written."""
        return list(dict.fromkeys(x for v in self.written for x in self.looped.moving(v)))

    def __str__(self) -> str:
        first, *others = self.written
        side = 0 if first.inputs[0] in self.looped.varying else 1
        if not others:
            return expression(first)
        operands = list(dict.fromkeys(phrase(v.inputs[side]) for v in self.written))
        weights = [phrase(v.inputs[1 - side]) for v in self.written]
        names, tail = short_names(weights)
        left, right = f"[{listed(operands)}]", tail or f"[{listed(weights)}]"
        if len(operands) == 1:
            text = expression(first).replace(weights[0], right)
        else:
            text = f"{left} @ {right}" if side == 0 else f"{right} @ {left}"
        return f"{text} of {listed(names)}" if tail else text


def _as_written(traced: Graph) -> dict[tuple[Node, bool], Product]:
    # the products of a graph's loops, by their weights
    written: dict[tuple[Node, bool], Product] = {}
    for looped in _loops(traced):
        for v in looped.products:
            for weight in looped.weights(v):
                written.setdefault(weight, Product([v], looped))
    return written


# ------------------------------------------------------------------------------------------------------------ rules
# Each looks at one loop.


def _staying(looped: _Looped, products: list[Product]) -> Iterator[Reason]:
    """hoist, postpone: products in a loop, one by one in each step."""
    early = set(topological(looped.loop.graph.outputs[: looped.loop.carries]))
    for product in products:
        v, moving = product.now, product.moving
        rule, why = "hoist", ""
        if v not in early and not looped.loop.recompute:
            rule = "postpone"
            why = f"though no carry needs it: {_not_after(v, looped, early)}"
        elif moving:
            why = _needs_carry(moving, product.written[0], product.looped)
        elif looped.moving(v):
            why = _needs_carry(looped.moving(v), v, looped)
        elif looped.loop.recompute:
            why = "though it needs no carry: the loop is run again for its gradient, and keeps nothing for all steps"
        else:
            why = f"though it needs no carry: {_no_rule(v, looped)}"
        yield Reason(rule, str(product), f"stays in the loop{',' if why[:6] == 'though' else ':'} {why}", v.origin)


def _needs_carry(operands: list[Node], user: Node, looped: _Looped) -> str:
    # "h is the carry; reset * h is made from the carry h"
    ways: dict[str, list[str]] = {}
    for x in operands:
        if x not in looped.carries:
            ways.setdefault(looped.way(x), []).append(phrase(x, user))
    said = [f"{x.name if x.name != 'carry' else 'its operand'} is the carry" for x in operands if x in looped.carries]
    said += [f"{listed(xs, 3)} {'are' if len(xs) > 1 else 'is'} made from {way}" for way, xs in ways.items()]
    return "; ".join(said)


def _not_after(v: Node, looped: _Looped, early: set[Node]) -> str:
    # why what leads to a stack, and to no carry, is not computed after the loop
    loop, outputs = looped.loop, looped.loop.graph.outputs
    given = set(loop.graph.inputs)
    stacked = next(y for y in outputs[loop.carries :] if v in set(topological([y])))
    late = [x for x in topological([stacked]) if x in looped.varying and x not in early and x not in given]
    kept = {*outputs[loop.carries :], *loop.graph.inputs[loop.carries :]}
    needed = {x: None for u in late for x in u.inputs if x in looped.varying and x not in set(late) and x not in kept}
    size, result = (sum(map(bytes_of, nodes)) for nodes in (needed, [stacked]))
    if size > 4 * result:
        much, little = size_text(loop.length * size), size_text(loop.length * result)
        return f"it takes {listed([phrase(x) for x in needed], 3)} of all steps, which is {much}, to make {little}"
    hard = next((x for x in late if not x.primitive.elementwise and x.primitive.name not in LIFTS), v)
    return f"no rule does {expression(hard)} ({hard.primitive.name}) for all steps at once"


def _no_rule(v: Node, looped: _Looped) -> str:
    # which operation on the way to a node cannot be done for all steps at once
    movable = computed_outside(LoopEditor(looped.node, looped.node.inputs))
    if v in movable:
        return "it came about after the rewrite"
    culprit = next((x for x in topological([v]) if x not in movable and all(a in movable for a in x.inputs)), v)
    return f"no rule does {expression(culprit)} ({culprit.primitive.name}) for all steps at once"


def _apart(products: list[Product]) -> Iterator[Reason]:
    """join_products: products that share an operand, or whose matrices could be joined if they did."""
    for p, q in combinations(products, 2):
        shared = [side for side in (0, 1) if p.now.inputs[side] is q.now.inputs[side]]
        varying = p.looped.varying | q.looped.varying
        if shared:
            others = [x.written[0].inputs[1 - shared[0]] for x in (p, q)]
            moving = [phrase(x) for x in others if x in varying]
            if moving:
                why = f"{' and '.join(moving)} change{'s' * (len(moving) == 1)} from step to step"
            elif others[0].shape != others[1].shape:
                why = f"their matrices have shapes {others[0].shape} and {others[1].shape}"
            else:
                why = "they came about after the rewrite"
            yield Reason("join_products", str(q), f"is not joined with {p}: {why}", q.now.origin)
        elif _could_be_joined(p, q):
            (operand,) = q.moving[:1]
            why = f"its operand {phrase(operand)} is another"
            if p.now in set(topological(q.now.inputs)):
                why += ", and needs that product first"
            yield Reason("join_products", str(q), f"is not joined with {p}: {why}", q.now.origin)


def _could_be_joined(p: Product, q: Product) -> bool:
    # whether two products would be one if their operands were the same
    (a, w), (b, u) = p.written[0].inputs, q.written[0].inputs
    fixed = w not in p.looped.varying and u not in q.looped.varying and p.looped.node is q.looped.node
    backward = [x.written[0].scope.startswith("backward") for x in (p, q)]
    return fixed and bool(q.moving) and a.shape == b.shape and w.shape == u.shape and backward == [False, False]


def _scattered(looped: _Looped) -> Iterator[Reason]:
    """join_entries: equal operations on parts of one array which do not stand side by side."""
    for members in families(looped.nodes, looped.varying):
        if len(members) > 1:
            first, *others = (members[i] for i in sorted(members))
            base = next(part_of(x) for x in first.inputs if part_of(x) is not None)[0]  # type: ignore[index]
            why = "one is made from the other"
            if not runs(members):
                why = f"parts {listed([str(i) for i in sorted(members)])} of {phrase(base)} are no neighbours"
            verb = f"{'are' if len(others) > 1 else 'is'} not joined with {expression(first)}"
            yield Reason("join_entries", listed([expression(v) for v in others], 3), f"{verb}: {why}", first.origin)


def _summed(looped: _Looped) -> Iterator[Reason]:
    """sum_after: carries that only add up."""
    uses = uses_in(LoopEditor(looped.node, looped.node.inputs)) if looped.loop.length else {}
    for carry, following in zip(looped.carries, looped.loop.graph.outputs, strict=False):
        if uses.get(carry) != 1 or following is carry or uses[following] != 1:
            continue
        terms = added_terms(following, carry, uses)
        if not terms:
            continue
        hard = next((term for term in terms if after_the_loop(term) is None), None)
        why = "the loop is run again for its gradient, and keeps nothing for all steps"
        if not looped.loop.recompute:
            why = f"no rule takes {phrase(hard)} of all steps at once" if hard is not None else "it came about after it"
        yield Reason("sum_after", f"the sum {carry.name}", f"is taken step by step: {why}", following.origin)


def _too_large(looped: _Looped) -> Iterator[Reason]:
    """hoist: work entry by entry that needs no carry, but too much memory for all steps."""
    left = [v for v in looped.nodes if v in looped.varying and v not in looped.carried and v.primitive.elementwise]
    sizes = {v: looped.loop.length * max(bytes_of(x) for x in (v, *v.inputs)) for v in left}
    large = {v: size for v, size in sizes.items() if size > CACHED_BYTES}
    if large and not looped.loop.recompute:
        verb, most = "stay" if len(large) > 1 else "stays", size_text(max(large.values()))
        why = (
            f"{verb} in the loop, though no carry is needed: {most} for all steps is more than the"
            f" {size_text(CACHED_BYTES)} up to which work entry by entry is faster outside"
        )
        yield Reason("hoist", listed([expression(v) for v in large], 3), why, next(iter(large)).origin)


def _copied(looped: _Looped) -> Iterator[Reason]:
    """in_place: joined arrays that are made anew in each step, and results that are copied into their stacks."""
    plan, n = schedule(looped.loop), looped.loop.carries
    following, results = looped.loop.graph.outputs[:n], looped.loop.graph.outputs[n:]
    kept = {*plan.buffers, *plan.placed}
    for v in looped.nodes:
        if v.primitive in (stack, join) and v not in kept:
            why = "the next carry could be a view of it"
            if v.params["axis"]:
                why = f"it is joined along axis {v.params['axis']}, and only parts along the first are filled in place"
            yield Reason("in_place", expression(v), f"is made anew at each step: {why}", v.origin)
    inputs, ends = set(looped.loop.graph.inputs), set(following)
    copied = [y for y in dict.fromkeys(results) if y not in plan.rows]
    reasons = {
        "what a carry was before the step is kept for the gradient": [y for y in copied if y in inputs],
        "it is the next carry too": [y for y in copied if y in ends and y not in inputs],
        "only functions are computed into their rows, operators are not": [
            y for y in copied if y not in inputs and y not in ends
        ],
    }
    for why, values in reasons.items():
        if values:
            verb = "are copied into stacks" if len(values) > 1 else "is copied into a stack"
            subject = listed([phrase(y) for y in values])
            yield Reason("in_place", subject, f"{verb} at each step: {why}", values[0].origin)
