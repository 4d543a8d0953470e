"""Work that does not need the loop's carry leaves the loop.

    hoist           before it, what depends on the slices alone:       x[t] @ w -> (x @ w)[t]
    sum_after       after it, a carry that only adds up:               c + h[t].T @ d[t] -> H.T @ D, H and D stacked
    postpone        after it, what no carry needs:                     ys of d[t] @ w -> D @ w

Together they turn a recurrent network written step by step into what an expert writes by hand (Appleyard, Kočiský &
Blunsom 2016): one product for all inputs before the loop, one product for each weight's gradient after it. Nothing
here knows of networks. Sums are taken in another order, so results are equal up to rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ..graph import Graph, bytes_of, rebuild, substitute, topological, users_of
from ..loop import stand_in
from ..nodes import CONSTANT, Node, made_for
from ..primitives.elementwise import add
from ..primitives.linear_algebra import matmul
from ..primitives.structure import broadcast_to, contiguous, full, join, pick, place, stack, transpose
from ..primitives.structure import sum as sum_over
from .editing import LoopEditor, edit_loops, terms_of
from .lifting import all_steps, tall

__all__ = [
    "CACHED_BYTES", "added_terms", "after_the_loop", "computed_outside", "hoist", "postpone", "regroup", "start_with",
    "sum_after", "uses_in",
]  # fmt: skip

# Entry by entry, all steps at once are faster than one by one only while they stay in the cache.
CACHED_BYTES = 1 << 18


def is_zero(x: Node) -> bool:
    """Whether a node is an array of zeros."""
    return x.primitive is full and x.params["value"] == 0


# ------------------------------------------------------------------------------------------------------------ hoist


def hoist(graph: Graph) -> Graph:
    """x[t] @ w in every step -> the steps of x @ w, computed at once before the loop: what depends on no carry.

    Products always, what leads to them, and what is added to them; other work only where all steps fit the cache.
    """
    return edit_loops(graph, _hoisted)


def _name(inside: Node, outside: Node, v: Node, loop: LoopEditor) -> None:
    # after the slices it is made from: `from_x` what products make of x, `tanh_slope` what the chain rule needs of tanh
    made_of = topological([v])
    slices = "_".join(dict.fromkeys(x.name or "x" for x in made_of if x in loop.slices))
    if any(x.primitive is matmul for x in made_of):
        inside.name = f"from_{slices}"
    elif v.scope.startswith("backward"):
        inside.name = f"{slices}_slope"
    for x in topological([outside], newer_than=loop.node.serial):
        made_here = not x.is_leaf and x.primitive is not pick and x.shape is not None
        if made_here and x.name is None and inside.name and x.shape[:1] == (loop.loop.length,):
            x.name = f"{inside.name}_steps"


def _read_by_rows(x: Node, times: int) -> Node:
    # a transposed matrix, or several, that a loop multiplies by many times are put in order once
    parts = x.inputs if x.primitive in (stack, join) else (x,)
    turned = any(a.primitive is transpose for a in parts)
    if not turned or len(x.shape) < 2 or times <= 4:
        return x
    by_rows = contiguous(x)
    by_rows.name = x.name
    return by_rows


def _is_multiplied_by(loop: LoopEditor, x: Node) -> bool:
    return any(v.primitive is matmul and any(a is x for a in v.inputs) for v in topological(loop.values))


class Outside(NamedTuple):
    """What a node of the step is outside the loop: an array, with a leading axis of steps or the same in all steps."""

    node: Node
    stacked: bool


def _hoisted(loop: LoopEditor) -> bool:
    if loop.loop.length == 0:
        return False
    turned = {x: _read_by_rows(array, loop.loop.length) for x, array in loop.closures.items()}
    turned = {x: array for x, array in turned.items() if array is not loop.closures[x] and _is_multiplied_by(loop, x)}
    loop.closures.update(turned)
    outside = computed_outside(loop)
    moved = _worth_moving(loop, outside)
    if not moved:
        return bool(turned)
    stand_ins = {}
    gone = set(moved)
    needed = {x for v in topological(loop.values) if v not in gone for x in v.inputs} | set(loop.following.values())
    for v in moved:
        if v in needed:
            stand_ins[v] = stand_in(v)
            if outside[v].stacked:
                _name(stand_ins[v], outside[v].node, v, loop)
                loop.slices[stand_ins[v]] = outside[v].node
            else:
                loop.closures[stand_ins[v]] = _read_by_rows(outside[v].node, loop.loop.length)
    for i, y in list(loop.ys.items()):
        if y in gone:
            shape = (loop.loop.length, *y.shape)
            loop.results[i] = outside[y].node if outside[y].stacked else broadcast_to(outside[y].node, shape=shape)
            del loop.ys[i]
    loop.replace(stand_ins)
    return True


def computed_outside(loop: LoopEditor) -> dict[Node, Outside]:
    """All nodes of the step that can be computed outside, in topological order."""
    carried = loop.carried()
    # a recomputed loop keeps nothing for all its steps, so what its slices are made into stays inside
    found = {} if loop.loop.recompute else {x: Outside(array, True) for x, array in loop.slices.items()}
    found.update({x: Outside(array, False) for x, array in loop.closures.items()})
    with made_for() as context:
        for v in topological(loop.values):
            if v in found or v in carried or v.shape is None:
                continue
            if v.primitive is CONSTANT:
                found[v] = Outside(v, False)
            elif not v.is_leaf and all(x in found for x in v.inputs):
                context.node(v)
                operands, stacked = [found[x].node for x in v.inputs], [found[x].stacked for x in v.inputs]
                made = all_steps(v, operands, stacked) if any(stacked) else rebuild(v, operands)
                if made is not None:
                    found[v] = Outside(made, any(stacked))
    return found


def _worth_moving(loop: LoopEditor, outside: dict[Node, Outside]) -> list[Node]:
    nodes = [v for v in topological(loop.values) if v in outside and not v.is_leaf]
    worth: set[Node] = set()
    for v in reversed(nodes):  # products, and what leads to them
        if not outside[v].stacked or v.primitive is matmul or v in worth or _all_cached(v, outside):
            worth.add(v)
            worth.update(x for x in v.inputs if x in outside and not x.is_leaf)
    for v in nodes:  # what is added to a product that is computed outside anyway
        if v.primitive is add and any(x in worth and x.primitive in (matmul, add) for x in v.inputs):
            worth.add(v)
            worth.update(x for x in v.inputs if x in outside and not x.is_leaf)
    return [v for v in nodes if v in worth]


def _all_cached(v: Node, outside: dict[Node, Outside]) -> bool:
    # entry by entry, and small in all steps together
    return v.primitive.elementwise and all(bytes_of(outside[x].node) <= CACHED_BYTES for x in (v, *v.inputs))


# ------------------------------------------------------------------------------------------------- regroup, enter


def regroup(graph: Graph) -> Graph:
    """(x + h) + b -> (x + b) + h, where h alone is made from a carry: the rest can leave the loop."""
    return edit_loops(graph, _regrouped)


def _regrouped(loop: LoopEditor) -> bool:
    carried = loop.carried()
    nodes, uses = topological(loop.values), uses_in(loop)
    inner = {x for v in nodes if v.primitive is add for x in v.inputs if x.primitive is add and uses[x] == 1}
    new: dict[Node, Node] = {}
    with made_for() as context:
        for v in nodes:
            if v.primitive is not add or v in inner or v not in carried:
                continue
            terms = terms_of(v, inner)
            free = [x for x in terms if x not in carried]
            if len(free) < 2 or any(x.dtype != v.dtype for x in terms):
                continue
            context.node(v)
            total = free[0]
            for x in [*free[1:], *[x for x in terms if x in carried]]:
                total = add(total, x)
            new[v] = total
    if new:
        loop.replace(new)
    return bool(new)


def start_with(graph: Graph) -> Graph:
    """h + x[t] -> h, which starts with h0 + x[first], where x is zero but at the loop's first step.

    Only where neither the carry nor the slice is used otherwise.
    """
    return edit_loops(graph, _started_with)


def _started_with(loop: LoopEditor) -> bool:
    first = loop.loop.length - 1 if loop.loop.reverse else 0
    changed = False
    for x, array in list(loop.slices.items()):
        if array.primitive is not place or array.params["index"] != (first,):
            continue
        users, kept = users_of(topological(loop.values)), set(loop.values)
        if x in kept or len(users.get(x, ())) != 1 or users[x][0].primitive is not add:
            continue
        (total,) = users[x]
        carry = next(c for c in total.inputs if c is not x)
        if carry not in loop.start or len(users[carry]) > 1 or carry in kept or carry.shape != x.shape:
            continue
        start = loop.start[carry]
        loop.start[carry] = array.inputs[0] if is_zero(start) else add(start, array.inputs[0])
        del loop.slices[x]
        loop.replace({total: carry})
        changed = True
    return changed


# -------------------------------------------------------------------------------------------------------- sum_after


def sum_after(graph: Graph) -> Graph:
    """The carry s + x.T @ y -> s0 + tall(xs).T @ tall(ys) after the loop, and s + sum(x) -> s0 + sum(xs).

    Only where the carry adds up and is used for nothing else. The carries are one less, x and y are stacked.
    """
    return edit_loops(graph, _summed_after)


def _summed_after(loop: LoopEditor) -> bool:
    if loop.loop.length == 0 or loop.loop.recompute:
        return False
    uses = uses_in(loop)
    changed = False
    for position, carry in enumerate(list(loop.start)):
        following = loop.following[carry]
        if uses.get(carry) != 1 or uses[following] != 1 or following is carry:
            continue
        terms = added_terms(following, carry, uses)
        plans = [after_the_loop(term) for term in terms] if terms else []
        if not plans or any(plan is None for plan in plans):
            continue
        start = loop.start.pop(carry)
        del loop.following[carry]
        with made_for() as context:
            context.node(following)
            total = None if is_zero(start) else start
            for plan in plans:
                assert plan is not None
                made = plan[0](*[loop.stack_of(v) for v in plan[1]])
                total = made if total is None else total + made
            assert total is not None
            loop.results[position] = total
        changed = True
    return changed


def uses_in(loop: LoopEditor) -> dict[Node, int]:
    """How often each node of the step is used, by the step and as what it hands on."""
    inside = [x for v in topological(loop.values) for x in v.inputs]
    return Counter([*inside, *loop.following.values(), *loop.ys.values()])


def added_terms(following: Node, carry: Node, uses: dict[Node, int]) -> list[Node] | None:
    """(carry + a) + b -> [b, a]; None where the next value is no such sum."""
    terms: list[Node] = []
    while following is not carry:
        if following.primitive is not add or following.shape != carry.shape or following.dtype != carry.dtype:
            return None
        a, b = following.inputs
        below = set(topological([a], newer_than=carry.serial - 1))
        following, term = (a, b) if carry in below else (b, a)
        if term.shape != carry.shape or term.dtype != carry.dtype or uses[following] != 1:
            return None
        terms.append(term)
    return terms


def after_the_loop(term: Node) -> tuple[Callable[..., Node], list[Node]] | None:
    """How the sum of a term over all steps is made from the stacks of some values of the step; None if no rule says."""
    if term.primitive is matmul:
        a, b = term.inputs
        if a.primitive is transpose and a.params["axes"] == (1, 0) and len(b.shape) == 2:
            return _product_of_stacks, [a.inputs[0], b]
    if term.primitive.name == "multiply" and (factors := _outer(term)) is not None:
        return _product_of_stacks, factors
    if term.primitive is sum_over and not term.params["keepdims"]:
        axis = (0, *[a + 1 for a in term.params["axis"]])
        return (lambda stack: sum_over(stack, axis=axis, keepdims=False)), [term.inputs[0]]
    return None


def _outer(term: Node) -> list[Node] | None:
    # u[:, None] * v[None, :] -> [u, v]
    a, b = term.inputs
    if a.primitive.name != "reshape" or b.primitive.name != "reshape":
        return None
    u, v = a.inputs[0], b.inputs[0]
    if len(u.shape) == len(v.shape) == 1 and a.shape == (*u.shape, 1) and b.shape == (1, *v.shape):
        return [u, v]
    return None


def _product_of_stacks(u: Node, v: Node) -> Node:
    """The sum over t of u[t].T @ v[t], for stacks of matrices or vectors: tall(u).T @ tall(v)"""
    return matmul(transpose(tall(u), axes=(1, 0)), tall(v))


# --------------------------------------------------------------------------------------------------------- postpone


def postpone(graph: Graph) -> Graph:
    """The stack of y = f(h @ w) -> f(hs @ w) after the loop, where y feeds no carry and a product is in it.

    Not where h is stacked for this alone and is much larger than y.
    """
    return edit_loops(graph, _postponed)


def _postponed(loop: LoopEditor) -> bool:
    if loop.loop.length == 0 or loop.loop.recompute:
        return False
    early = set(topological(loop.following.values()))
    varying = loop.varying()
    changed = False
    for i, y in list(loop.ys.items()):
        late = [v for v in topological([y]) if v in varying and v not in early and v not in loop.slices]
        if y not in set(late) or not any(v.primitive is matmul for v in late):
            continue
        made = _all_late(loop, y, late, varying)
        if made is not None:
            loop.results[i] = made
            del loop.ys[i]
            changed = True
    return changed


def _all_late(loop: LoopEditor, y: Node, late: list[Node], varying: set[Node]) -> Node | None:
    # y of all steps, made outside from stacks; None where a rule is missing, or the stacks would be much larger than y
    inside = set(late)
    frontier = list(dict.fromkeys(x for v in late for x in v.inputs if x in varying and x not in inside))
    if any(x.shape is None for x in frontier):  # a loop's own results can be stacked, the loop cannot
        return None
    kept = {*loop.ys.values(), *loop.stacks, *loop.slices}
    if sum(bytes_of(v) for v in frontier if v not in kept) > 4 * bytes_of(y):
        return None
    outside = {x: x for x in topological([y]) if x.primitive is CONSTANT} | loop.closures
    asked = {x: stand_in(x, (loop.loop.length, *x.shape)) for x in frontier}
    with made_for() as context:
        for v in late:
            operands = [asked[x] if x in asked else outside.get(x) for x in v.inputs]
            if v.shape is None or any(x is None for x in operands):
                return None
            context.node(v)
            made = all_steps(v, operands, [x in varying for x in v.inputs])  # type: ignore[arg-type]
            if made is None:
                return None
            outside[v] = made
    (result,) = substitute([outside[y]], {symbol: loop.stack_of(x) for x, symbol in asked.items()})
    return result
