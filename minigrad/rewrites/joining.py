"""Operations of the same kind inside a loop become one operation on joined operands.

    join_products       h @ w1, h @ w2, h @ w3     -> h @ stack([w1, w2, w3]), and its parts [0], [1], [2]
                        d1 @ v1 + d2 @ v2          -> concatenate([d1, d2]) @ concatenate([v1, v2])
    join_entries        tanh(z[0]), tanh(z[1])     -> tanh(z[:2]), and its parts
    join_slices         what enters or leaves a loop as parts of one array enters and leaves as the array

What is stacked in a product does not change from step to step, so `hoist` joins it once, before the loop. The parts
stand in the order in which equal operations follow on them, so that these find neighbours to join.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from ..graph import Graph, topological
from ..nodes import CONSTANT, Node, made_for
from ..primitives.elementwise import add
from ..primitives.linear_algebra import matmul
from ..primitives.structure import ALL, index, join, reshape, stack, transpose
from ..primitives.structure import sum as sum_over
from ..primitives.text import Cut, params_key
from .editing import LoopEditor, edit_loops, replaced, stand_in
from .lifting import tall

__all__ = ["join_columns", "join_entries", "join_products", "join_slices", "join_sums"]

# ---------------------------------------------------------------------------------------------------------- parts


def part_of(x: Node) -> tuple[Node, int] | None:
    """(base, i) where the node is base[i], a part along the first axis."""
    if x.primitive is index and len(x.params["index"]) == 1 and isinstance(x.params["index"][0], int):
        return x.inputs[0], x.params["index"][0]
    return None


def part(base: Node, i: int) -> Node:
    """base[i]"""
    return index(base, index=(i,))


def _parts(base: Node, first: int, count: int) -> Node:
    return base if count == base.shape[0] else index(base, index=(Cut(first, first + count, None),))


# -------------------------------------------------------------------------------------------------------- products


def join_products(graph: Graph) -> Graph:
    """Products in a loop that share an operand become one, and so does a sum of products."""
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
            together.name = common_name([name_of(v) for v in products])
            new.update({v: part(together, i) for i, v in enumerate(products)})
    if new:
        loop.replace(new)
    return bool(new)


def _one_product(x: Node, others: list[Node], is_left: bool) -> Node:
    # all products of x, one after the other along a new first axis; of one row, that is one long row cut in pieces
    name = common_name([name_of(w) for w in others])
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
    users: dict[Node, list[Node]] = {v: [] for v in nodes}
    for v in nodes:
        for x in v.inputs:
            users[x].append(v)
    kinds = dict.fromkeys(nodes, "")
    for _ in range(3):
        kinds = {v: ",".join(sorted(f"{u.primitive.name}({kinds[u]})" for u in users[v])) for v in nodes}
    return kinds


def join_sums(graph: Graph) -> Graph:
    """A sum of products in a loop becomes one product of joined operands."""
    return edit_loops(graph, _joined_sums)


def _joined_sums(loop: LoopEditor) -> bool:
    varying, nodes = loop.varying(), topological(loop.values)
    users: dict[Node, list[Node]] = {}
    for v in nodes:
        for x in v.inputs:
            users.setdefault(x, []).append(v)
    ends = set(loop.values)
    inner = {v for v in nodes if v.primitive is add and v not in ends and len(users[v]) == 1 and users[v][0].primitive is add}
    new: dict[Node, Node] = {}
    with made_for() as context:
        for v in nodes:
            if v.primitive is not add or v not in varying or v in inner:
                continue
            terms = _flat_terms(v, inner, users, ends)
            products = [x for x in terms if _is_weighted(x, varying)]
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


def _flat_terms(v: Node, inner: set[Node], users: dict[Node, list[Node]], ends: set[Node]) -> list[Node]:
    terms: list[Node] = []
    pending = [v]
    while pending:
        for x in pending.pop().inputs:
            (pending if x in inner and x.shape == v.shape else terms).append(x)
    return sorted(terms, key=lambda x: x.serial)


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
    value_name, weight_name = (common_name([name_of(v) for v in nodes]) for nodes in (values, weights))
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
    """concatenate(values, axis=-1); of single rows of equal length, by way of a stack, whose parts are places to fill."""
    shape = values[0].shape
    if len({v.shape for v in values}) > 1 or len(shape) > 2 or (len(shape) == 2 and shape[0] != 1):
        return join(*values, axis=len(shape) - 1)
    return reshape(stack(*values, axis=0), shape=(*shape[:-1], len(values) * shape[-1]))


# ---------------------------------------------------------------------------------------------------------- names


def name_of(v: Node) -> str:
    """What a node is called: its own name, else that of what it is the cotangent of, else its scope's."""
    while v.name is None and v.primitive in (transpose, reshape) and v.inputs:
        v = v.inputs[0]
    about, prefix = v, ""
    while about.cotangent_of is not None and about.name is None:
        about, prefix = about.cotangent_of, prefix + "d_"
    return prefix + (about.name or "/".join(p for p in about.scope.split("/") if "=" not in p and p != "backward"))


def common_name(names: Sequence[str]) -> str | None:
    """One name for several: the words in which they end alike, or all of them if that is short."""
    words = [name.replace(".", "_").replace("/", "_").split("_") for name in names]
    common: list[str] = []
    while all(words) and len({w[-1] for w in words}) == 1:
        common.insert(0, words[0][-1])
        words = [w[:-1] for w in words]
    if common and "_".join(common) not in ("d", ""):
        return "_".join(common)
    return "_".join(dict.fromkeys(filter(None, names))).replace("_d_", "_") or None


# ---------------------------------------------------------------------------------------------------- entry by entry


def join_entries(graph: Graph) -> Graph:
    """Equal operations, entry by entry, on neighbouring parts of an array in a loop become one on all of them."""
    return edit_loops(graph, _joined_entries)


def _joined_entries(loop: LoopEditor) -> bool:
    changed = False
    for _ in range(20):  # what is joined gives new parts to join
        new = _joined_once(loop)
        if not new:
            return changed
        loop.replace(new)
        changed = True
    return changed


def _joined_once(loop: LoopEditor) -> dict[Node, Node]:
    nodes, varying = topological(loop.values), loop.varying()
    uses: dict[Node, int] = {}
    for v in nodes:
        for x in v.inputs:
            uses[x] = uses.get(x, 0) + 1
    groups: dict[object, dict[int, Node]] = {}
    for v in nodes:
        if v.primitive.elementwise and v in varying and not v.weak:
            found = _family(v, varying, uses)
            if found is not None:
                groups.setdefault(found[0], {}).setdefault(found[1], v)
    new: dict[Node, Node] = {}
    for members in groups.values():
        for run in _runs(members):
            if any(v in new for v in run) or not _independent(run, new):
                continue
            with made_for() as context:
                context.node(run[0])
                together = _together(run)
                together.name = common_name([name_of(v) for v in run])
            new.update({v: part(together, i) for i, v in enumerate(run)})
        if new:  # one group at a time: the others may hold what was just replaced
            return new
    return new


def _family(v: Node, varying: set[Node], uses: dict[Node, int]) -> tuple[object, int] | None:
    # a key that v shares with the same operations on other parts of the same arrays, and which part v's is
    kinds: list[object] = []
    first = None
    for x in v.inputs:
        found = part_of(x)
        if found is not None and found[0] in varying and x.shape == v.shape:
            kinds.append((found[0], found[1] - (first if first is not None else found[1])))
            first = found[1] if first is None else first
        elif x not in varying:
            kinds.append((x.shape, x.dtype) if x.primitive is not CONSTANT else x if not x.weak else repr(x.cached))
        elif uses[x] == 1 and x.primitive.elementwise and x.shape == v.shape:
            kinds.append("made for it")
        else:
            kinds.append(x)
    if first is None:
        return None
    return (v.primitive, v.shape, v.dtype, *params_key(v.params), *kinds), first


def _runs(members: dict[int, Any]) -> list[list[Any]]:
    # members on neighbouring parts, two at least
    ordered = sorted(members)
    runs = [[members[i] for _, i in run] for _, run in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])]
    return [run for run in runs if len(run) > 1]


def _independent(run: list[Node], new: dict[Node, Node]) -> bool:
    members = set(run)
    oldest = min(v.serial for v in run)
    below = topological([x for v in run for x in v.inputs], newer_than=oldest - 1)
    return not any(x in members for x in below)


def _together(run: Sequence[Node]) -> Node:
    # the same operation on the operands of all, which have a leading axis more
    operands = [_operand(v_inputs, run[0]) for v_inputs in zip(*[v.inputs for v in run], strict=True)]
    return run[0].primitive(*operands, **run[0].params)


def _operand(xs: Sequence[Node], v: Node) -> Node:
    if all(x is xs[0] for x in xs) or (xs[0].primitive is CONSTANT and xs[0].weak):
        return xs[0]
    found = [part_of(x) for x in xs]
    if all(f is not None and f[0] is found[0][0] for f in found) and found[0] is not None:  # type: ignore[index]
        positions = [f[1] for f in found if f is not None]
        if positions == list(range(positions[0], positions[0] + len(xs))):
            return _parts(found[0][0], positions[0], len(xs))
    together = stack(*xs, axis=0)
    together.name = common_name([name_of(x) for x in xs])
    missing = len(v.shape) - len(xs[0].shape)
    return reshape(together, shape=(len(xs), *[1] * missing, *xs[0].shape)) if missing else together


# ---------------------------------------------------------------------------------------------------------- slices


def join_slices(graph: Graph) -> Graph:
    """Parts of one array enter a loop as that array, and leave it as that array."""
    return edit_loops(graph, _joined_slices)


def _joined_slices(loop: LoopEditor) -> bool:
    changed = _joined_inputs(loop)
    loop.replace({v: _stack_of_parts(v) for v in topological(loop.values) if v.primitive is stack})
    return _joined_outputs(loop) or changed


def _joined_inputs(loop: LoopEditor) -> bool:
    # slices of index(A, (ALL, i)) for several i -> one slice of A, and its parts in the step
    groups: dict[Node, list[tuple[Node, int]]] = {}
    for x, array in loop.slices.items():
        place = array.params.get("index", ())
        if array.primitive is index and len(place) == 2 and place[0] == ALL and isinstance(place[1], int):
            groups.setdefault(array.inputs[0], []).append((x, place[1]))
    groups = {whole: parts for whole, parts in groups.items() if len(parts) > 1}
    for whole, parts in groups.items():
        with made_for() as context:
            context.node(parts[0][0])
            now = stand_in(whole, whole.shape[1:])
            now.name = common_name([x.name or "" for x, _ in parts])
            loop.slices[now] = whole
            new = {}
            for x, i in parts:
                new[x] = part(now, i)
                new[x].name, new[x].scope = x.name, x.scope
                del loop.slices[x]
            loop.replace(new)
    return bool(groups)


def _stack_of_parts(v: Node) -> Node:
    """stack([x[0], x[1], y]) -> concatenate([x[:2], y[None]])"""
    if v.params["axis"] != 0:
        return v
    pieces: list[list[Node]] = []
    for x in v.inputs:
        now, before = part_of(x), part_of(pieces[-1][-1]) if pieces else None
        if now and before and now[0] is before[0] and now[1] == before[1] + 1:
            pieces[-1].append(x)
        else:
            pieces.append([x])
    if len(pieces) == len(v.inputs):
        return v
    blocks = []
    for run in pieces:
        found = part_of(run[0])
        if found is not None and len(run) > 1:
            blocks.append(_parts(found[0], found[1], len(run)))
        else:
            blocks += [reshape(x, shape=(1, *x.shape)) for x in run]
    made = blocks[0] if len(blocks) == 1 else join(*blocks, axis=0)
    if made.name is None and len(blocks) > 1:
        made.name = v.name
    return made


def _joined_outputs(loop: LoopEditor) -> bool:
    """ys that are parts of one array leave as the array; their parts are taken outside."""
    columns = _columns(topological(loop.values))
    taken: dict[Node, list[tuple[int, tuple[object, ...]]]] = {}
    for i, y in loop.ys.items():
        found = part_of(y)
        in_columns = columns.get(y) or (columns.get(found) if found else None)
        if in_columns:
            taken.setdefault(in_columns[0], []).append((i, in_columns[1]))
        elif found is not None and not found[0].is_leaf:
            taken.setdefault(found[0], []).append((i, (found[1],)))
    taken = {base: ys for base, ys in taken.items() if len(ys) > 1}
    for base, ys in taken.items():
        with made_for() as context:
            context.node(base)
            whole = _stacked_view(loop, base)
            for i, place in ys:
                loop.results[i] = index(whole, index=(ALL, *place))
                del loop.ys[i]
    return bool(taken)


def _stacked_view(loop: LoopEditor, base: Node) -> Node:
    # all steps of a reshaped array are the array's steps, reshaped
    if base.primitive is reshape:
        return reshape(_stacked_view(loop, base.inputs[0]), shape=(loop.loop.length, *base.shape))
    return loop.stack_of(base)


def _columns(nodes: Sequence[Node]) -> dict[object, tuple[Node, tuple[object, ...]]]:
    # what stands in a joined array, a node or (array, i), -> (the joined array, where)
    found: dict[object, tuple[Node, tuple[object, ...]]] = {}
    for v in nodes:
        if v.primitive is reshape and len(v.shape) in (1, 2) and len(v.inputs[0].shape) == len(v.shape) + 1:
            leading, width = (ALL,) * (len(v.shape) - 1), v.inputs[0].shape[-1]
            for k, x in _blocks(v.inputs[0]):
                found.setdefault(x, (v, (*leading, Cut(k * width, (k + 1) * width, None))))
        elif v.primitive in (stack, join) and v.params["axis"] == 0 and len(v.shape) == 3:
            for k, x in _blocks(v):
                found.setdefault(x, (v, (k,)))
    return found


def _blocks(whole: Node) -> list[tuple[int, object]]:
    # what the parts along the first axis of a stacked or joined array are: nodes, or (array, i) for parts of another
    if whole.primitive is stack and whole.params["axis"] == 0:
        return list(enumerate(whole.inputs))
    pieces = whole.inputs if whole.primitive is join and whole.params["axis"] == 0 else [whole]
    found: list[tuple[int, object]] = []
    for x in pieces:
        if x.primitive is reshape and x.shape == (1, *x.inputs[0].shape):
            found.append((len(found), x.inputs[0]))
            continue
        cut = x.params["index"][0] if x.primitive is index else None
        base, first = (x.inputs[0], cut.start or 0) if isinstance(cut, Cut) else (x, 0)
        found += [(len(found) + k, (base, first + k)) for k in range(x.shape[0])]
    return found


# --------------------------------------------------------------------------------------------------------- columns


def join_columns(graph: Graph) -> Graph:
    """a @ b[:, :n] and a @ b[:, n:] are columns of a @ b; so are products and sums of other parts of one array."""
    talls: dict[Node, Node] = {}
    groups: dict[object, list[tuple[Node, Any]]] = {}
    for v in graph.nodes:
        if v.primitive is matmul:
            a, b = v.inputs
            if len(a.shape) == 2 and (found := _part_of_whole(b, talls)) is not None:
                groups.setdefault(("right", a, found[0]), []).append((v, found[1]))
            elif a.primitive is transpose and len(b.shape) == 2 and (found := _part_of_whole(a.inputs[0], talls)) is not None:
                groups.setdefault(("left", b, found[0]), []).append((v, found[1]))
        elif v.primitive is sum_over and not v.params["keepdims"] and (found := _part_of_sum(v, talls)) is not None:
            groups.setdefault(("sum", None, found[0]), []).append((v, found[1]))
    new: dict[Node, Node] = {}
    for (kind, other, whole), members in groups.items():  # type: ignore[misc]
        for run in _neighbours(members, whole):
            with made_for() as context:
                context.node(run[0][0])
                together = _of_whole(kind, other, _taken(whole, [place for _, place in run]))
                together.name = common_name([name_of(v) for v, _ in run])
                for k, (v, place) in enumerate(run):
                    new[v] = part(together, k) if isinstance(place, int) else _columns_at(together, kind, place)
                    new[v].cotangent_of, new[v].name = v.cotangent_of, v.name
    if not new:
        return graph
    return Graph(graph.inputs, replaced(graph.outputs, new), graph.in_structure, graph.out_structure)


def _part_of_whole(v: Node, talls: dict[Node, Node]) -> tuple[Node, Any] | None:
    # (whole, Cut) where the matrix v is whole[:, cut], (whole, i) where it is whole[i]
    source = v.inputs[0] if v.primitive is reshape and len(v.shape) == 2 else v
    if source.primitive is not index or source.shape[-1:] != v.shape[-1:]:
        return None
    base, place = source.inputs[0], source.params["index"]
    if len(place) == len(base.shape) and isinstance(place[-1], Cut) and all(i == ALL for i in place[:-1]):
        return (talls.setdefault(base, tall(base)) if source is not v else base), place[-1]
    if len(place) == 2 and place[0] == ALL and isinstance(place[1], int) and len(base.shape) == 4 and source is not v:
        if base not in talls:
            turned = transpose(base, axes=(1, 0, 2, 3))
            talls[base] = reshape(turned, shape=(turned.shape[0], turned.shape[1] * turned.shape[2], turned.shape[3]))
        return talls[base], place[1]
    return None


def _part_of_sum(v: Node, talls: dict[Node, Node]) -> tuple[Node, Any] | None:
    # (sum of the whole, where in it v is), for a sum over all axes but the last of a part of a stack
    x = v.inputs[0]
    if x.primitive is not index or v.params["axis"] != tuple(range(len(x.shape) - 1)):
        return None
    base, place = x.inputs[0], x.params["index"]
    if len(place) == len(base.shape) and isinstance(place[-1], Cut) and all(i == ALL for i in place[:-1]):
        return base, place[-1]
    if len(place) == 2 and place[0] == ALL and isinstance(place[1], int):
        return base, place[1]
    return None


def _neighbours(members: list[tuple[Node, Any]], whole: Node) -> list[list[tuple[Node, Any]]]:
    # runs of parts that stand side by side; columns are taken of the whole product, if most of it is wanted
    if not isinstance(members[0][1], int):
        wanted = sum(len(range(whole.shape[-1])[slice(*place)]) for _, place in members)
        return [members] if len(members) > 1 and 2 * wanted > whole.shape[-1] else []
    by_place = {place: (v, place) for v, place in members}
    return [[by_place[place] for place in run] for run in _runs({place: place for place in by_place})]


def _taken(whole: Node, places: list[Any]) -> Node:
    if not isinstance(places[0], int) or len(places) == (whole.shape[1] if len(whole.shape) == 4 else whole.shape[0]):
        return whole
    cut = Cut(places[0], places[-1] + 1, None)
    return index(whole, index=(ALL, cut) if len(whole.shape) == 4 else (cut,))


def _of_whole(kind: str, other: Any, whole: Node) -> Node:
    if kind == "sum":
        axes = (0, 2) if len(whole.shape) == 4 else tuple(range(len(whole.shape) - 1))
        return sum_over(whole, axis=axes, keepdims=False)
    if kind == "right":
        return matmul(other, whole)
    return matmul(transpose(whole, axes=(1, 0) if len(whole.shape) == 2 else (0, 2, 1)), other)


def _columns_at(together: Node, kind: str, place: Cut) -> Node:
    leading = len(together.shape) - 1 if kind != "left" else 0
    return index(together, index=(*[ALL] * leading, place))
