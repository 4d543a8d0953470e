"""Products inside a loop that share an operand become one product, and so does a sum of products.

    join_products       h @ w1, h @ w2, h @ w3     -> h @ stack([w1, w2, w3]), and its parts [0], [1], [2]
    join_sums           d1 @ v1 + d2 @ v2          -> sum(stack([d1, d2]) @ stack([v1, v2]), axis=0)

What is stacked does not change from step to step, so `hoist` stacks it once, before the loop. The parts stand in the
order in which equal operations follow on them, so that these find neighbours to join.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..graph import Graph, topological, users_of
from ..nodes import Node, made_for
from ..primitives.elementwise import add
from ..primitives.linear_algebra import matmul
from ..primitives.structure import join, reshape, stack
from ..primitives.structure import sum as sum_over
from .editing import LoopEditor, edit_loops, terms_of
from .parts import joint_name, part, part_of

__all__ = ["join_products", "join_sums"]


def join_products(graph: Graph) -> Graph:
    """h @ w1, h @ w2 -> the parts of h @ stack([w1, w2]), in a loop where w1 and w2 stay; w1 @ h, w2 @ h too."""
    return edit_loops(graph, _joined_products)


def _joined_products(loop: LoopEditor) -> bool:
    nodes = topological(loop.values)
    varying = loop.varying()
    followed_by = _kinds_of_use(nodes)
    groups: dict[object, list[Node]] = {}
    for v in nodes:
        if v.primitive is matmul and v in varying:
            a, b = v.inputs
            if b not in varying and len(b.shape) == 2 and len(a.shape) <= 2:
                groups.setdefault(("left", a, b.shape, b.dtype), []).append(v)
            elif a not in varying and len(a.shape) == 2 and len(b.shape) <= 2:
                groups.setdefault(("right", b, a.shape, a.dtype), []).append(v)
    new: dict[Node, Node] = {}
    with made_for() as context:
        for key, products in groups.items():
            shared = 0 if key[0] == "left" else 1  # type: ignore[index]
            if len({v.inputs[1 - shared] for v in products}) < 2:
                continue
            products.sort(key=lambda v: followed_by[v])  # stable, so otherwise as they were written
            context.node(products[0])
            together = _one_product(products[0].inputs[shared], [v.inputs[1 - shared] for v in products], shared == 0)
            together.name = "preactivations"
            new.update({v: part(together, i) for i, v in enumerate(products)})
    if new:
        loop.replace(new)
    return bool(new)


def _one_product(x: Node, others: list[Node], is_left: bool) -> Node:
    # all products of x, one after the other along a new first axis; of one row, that is one long row cut in pieces
    name = joint_name(others)
    width = others[0].shape[-1]
    if is_left and (len(x.shape) == 1 or x.shape[0] == 1):
        together = join(*others, axis=1)
        together.name = name
        return reshape(matmul(x, together), shape=(len(others), *x.shape[:-1], width))
    together = stack(*others, axis=0)
    together.name = name
    return matmul(x, together) if is_left else matmul(together, x)


def _kinds_of_use(nodes: Sequence[Node]) -> dict[Node, str]:
    # what follows on each node, three operations deep, as text that sorts
    users = users_of(nodes)
    kinds = dict.fromkeys(nodes, "")
    for _ in range(3):
        kinds = {v: ",".join(sorted(f"{u.primitive.name}({kinds[u]})" for u in users.get(v, ()))) for v in nodes}
    return kinds


def join_sums(graph: Graph) -> Graph:
    """d1 @ v1 + d2 @ v2 -> sum(stack([d1, d2]) @ stack([v1, v2]), axis=0), in a loop where v1 and v2 stay.

    Of vectors and single rows, and of d1, d2 with different widths: concatenate([d1, d2], -1) @ concatenate([v1, v2]).
    """
    return edit_loops(graph, _joined_sums)


def _joined_sums(loop: LoopEditor) -> bool:
    varying, nodes = loop.varying(), topological(loop.values)
    users, ends = users_of(nodes), set(loop.values)
    sums = [v for v in nodes if v.primitive is add and v not in ends]
    inner = {v for v in sums if len(users[v]) == 1 and users[v][0].primitive is add}
    new: dict[Node, Node] = {}
    with made_for() as context:
        for v in nodes:
            if v.primitive is not add or v not in varying or v in inner:
                continue
            terms = sorted(terms_of(v, {x for x in inner if x.shape == v.shape}), key=lambda x: x.serial)
            # one that is used elsewhere too would be computed twice
            products = [x for x in terms if _is_weighted(x, varying) and len(users[x]) == 1 and x not in ends]
            right = [x for x in products if x.inputs[0] in varying]
            left = [x for x in products if x.inputs[1] in varying]
            products = right if len(right) > 1 else left if len(left) > 1 else []
            shapes = {x.shape for x in terms}
            if not products or len(shapes) > 1:
                continue
            context.node(v)
            rest = [x for x in terms if x not in set(products)]
            total = _product_of_joined(products, is_right=products is right)
            for x in rest:
                total = total + x
            total.cotangent_of, total.name = v.cotangent_of, v.name
            new[v] = total
    if new:
        loop.replace(new)
    return bool(new)


def _is_weighted(x: Node, varying: set[Node]) -> bool:
    # a product of something that changes from step to step and a matrix that does not
    if x.primitive is not matmul:
        return False
    a, b = x.inputs
    return (a in varying and b not in varying and len(b.shape) == 2 and len(a.shape) <= 2) or (
        b in varying and a not in varying and len(a.shape) == 2 and len(b.shape) == 1
    )


def _product_of_joined(products: list[Node], is_right: bool) -> Node:
    place = 0 if is_right else 1
    products = sorted(products, key=lambda x: _order_of(x.inputs[place]))
    values, weights = [x.inputs[place] for x in products], [x.inputs[1 - place] for x in products]
    value_name, weight_name = (joint_name(nodes) for nodes in (values, weights))
    shapes = {v.shape for v in values}
    if is_right and len(shapes) == 1 and len(values[0].shape) == 2 and values[0].shape[0] > 1:
        blocks, together = stack(*values, axis=0), stack(*weights, axis=0)
        blocks.name, together.name = value_name, weight_name
        return sum_over(matmul(blocks, together), axis=(0,), keepdims=False)
    row, together = joined_columns(values), join(*weights, axis=0 if is_right else 1)
    row.name, together.name = value_name, weight_name
    return matmul(row, together) if is_right else matmul(together, row)


def _order_of(v: Node) -> tuple[float, int, str]:
    # so that values made from neighbouring parts, and values made alike, become neighbours
    base, i = min(((base.serial, i) for base, i in _parts_in(v, 1)), default=(float("inf"), 0))
    return base, i, _made_like(v, 3)


def _made_like(v: Node, depth: int) -> str:
    if depth == 0 or v.is_leaf:
        return "."
    return f"{v.primitive.name}({','.join(_made_like(x, depth - 1) for x in v.inputs)})"


def _parts_in(v: Node, depth: int) -> Iterable[tuple[Node, int]]:
    found = part_of(v)
    if found is not None:
        yield found
    elif depth:
        for x in v.inputs:
            yield from _parts_in(x, depth - 1)


def joined_columns(values: list[Node]) -> Node:
    """concatenate(values, axis=-1); of single rows by way of a stack, whose parts are places to be filled."""
    shape = values[0].shape
    if len({v.shape for v in values}) > 1 or len(shape) > 2 or (len(shape) == 2 and shape[0] != 1):
        return join(*values, axis=len(shape) - 1)
    blocks = stack(*values, axis=0)
    blocks.name = joint_name(values)
    return reshape(blocks, shape=(*shape[:-1], len(values) * shape[-1]))
