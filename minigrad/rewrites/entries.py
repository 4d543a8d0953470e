"""Equal operations on neighbouring parts of an array become one operation, and parts travel as the array.

    join_entries        tanh(z[0]), tanh(z[1])     -> tanh(z[:2]), and its parts
    join_slices         what enters or leaves a loop as parts of one array enters and leaves as the array
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph, topological, users_of
from ..loop import stand_in
from ..nodes import CONSTANT, Node, made_for
from ..primitives.elementwise import add
from ..primitives.linear_algebra import matmul
from ..primitives.structure import ALL, index, join, reshape, stack
from ..primitives.text import Cut, params_key
from .editing import LoopEditor, edit_loops
from .parts import common_name, joint_name, name_of, part, part_of, parts_from, runs

__all__ = ["families", "join_entries", "join_slices"]

# ---------------------------------------------------------------------------------------------------- entry by entry


def join_entries(graph: Graph) -> Graph:
    """tanh(z[0]), tanh(z[1]) -> the parts of tanh(z[:2]): equal operations, entry by entry, on neighbouring parts."""
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
    new: dict[Node, Node] = {}
    for members in families(topological(loop.values), loop.varying()):
        for run in runs(members):
            if not _independent(run):
                continue
            with made_for() as context:
                context.node(run[0])
                together = _together(run)
                together.name = joint_name(run)
            new.update({v: _called(part(together, i), v) for i, v in enumerate(run)})
        if new:  # one group at a time: the others may hold what was just replaced
            return new
    return new


def families(nodes: Sequence[Node], varying: set[Node]) -> list[dict[int, Node]]:
    """Equal operations on parts of the same arrays, by the positions of the parts; of a step's nodes that vary."""
    users = users_of(nodes)
    groups: dict[object, dict[int, Node]] = {}
    for v in nodes:
        if v.primitive.elementwise and v in varying and not v.weak:
            found = _family(v, varying, users)
            if found is not None:
                groups.setdefault(found[0], {}).setdefault(found[1], v)
    return list(groups.values())


def _family(v: Node, varying: set[Node], users: dict[Node, list[Node]]) -> tuple[object, int] | None:
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
        elif len(users[x]) == 1 and x.primitive.elementwise and x.shape == v.shape:
            kinds.append("made for it")
        else:
            kinds.append(x)
    if first is None:
        return None
    return (v.primitive, v.shape, v.dtype, *params_key(v.params), *kinds), first


def _independent(run: list[Node]) -> bool:
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
            return parts_from(found[0][0], positions[0], len(xs))
    together = stack(*xs, axis=0)
    together.name = joint_name(xs)
    missing = len(v.shape) - len(xs[0].shape)
    return reshape(together, shape=(len(xs), *[1] * missing, *xs[0].shape)) if missing else together


def _called(made: Node, v: Node) -> Node:
    # a part goes by the name of what it stands for, unless that is one of several unnamed steps on the way
    if v.primitive not in (add, matmul):
        made.name, made.cotangent_of = name_of(v) or None, v.cotangent_of
    return made


# ---------------------------------------------------------------------------------------------------------- slices


def join_slices(graph: Graph) -> Graph:
    """Slices of x[:, 0], x[:, 1] -> the slice of x, and its parts in the step; stacks of z[0], z[1] -> that of z."""
    return edit_loops(graph, _joined_slices)


def _joined_slices(loop: LoopEditor) -> bool:
    changed = _joined_inputs(loop)
    loop.replace({v: _stack_ofparts_from(v) for v in topological(loop.values) if v.primitive is stack})
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
            now.name = common_name([name_of(x) for x, _ in parts])
            loop.slices[now] = whole
            new = {}
            for x, i in parts:
                new[x] = part(now, i)
                new[x].name, new[x].scope = name_of(x) or None, x.scope
                del loop.slices[x]
            loop.replace(new)
    return bool(groups)


def _stack_ofparts_from(v: Node) -> Node:
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
            blocks.append(parts_from(found[0], found[1], len(run)))
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
    for v in nodes:
        if v.primitive in (stack, join) and v.params["axis"] == 0 and len(v.shape) == 3:
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
