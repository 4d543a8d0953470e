"""Outside loops: products and sums of parts of one array become one.

    join_columns        a @ b[:, :n], a @ b[:, n:]   -> the columns of a @ b
"""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from ..nodes import Node, made_for
from ..primitives.linear_algebra import matmul
from ..primitives.structure import ALL, index, reshape, transpose
from ..primitives.structure import sum as sum_over
from ..primitives.text import Cut
from .editing import replaced
from .lifting import tall
from .parts import joint_name, part, runs

__all__ = ["join_columns"]


def join_columns(graph: Graph) -> Graph:
    """a @ b[:, :n], a @ b[:, n:] -> the columns of a @ b; so with products and sums of other parts of one array."""
    talls: dict[Node, Node] = {}
    groups: dict[tuple[str, Any, Node], list[tuple[Node, Any]]] = {}
    for v in graph.nodes:
        if v.primitive is matmul:
            a, b = v.inputs
            if len(a.shape) == 2 and (found := _part_of_whole(b, talls)) is not None:
                groups.setdefault(("right", a, found[0]), []).append((v, found[1]))
            elif len(b.shape) == 2 and (found := _part_of_turned(a, talls)) is not None:
                groups.setdefault(("left", b, found[0]), []).append((v, found[1]))
        elif v.primitive is sum_over and not v.params["keepdims"] and (found := _part_of_sum(v)) is not None:
            groups.setdefault(("sum", None, found[0]), []).append((v, found[1]))
    new: dict[Node, Node] = {}
    for (kind, other, whole), members in groups.items():
        for run in _neighbours(members, whole):
            with made_for() as context:
                context.node(run[0][0])
                together = _of_whole(kind, other, _taken(whole, [place for _, place in run]))
                together.name = joint_name([v for v, _ in run])
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


def _part_of_turned(v: Node, talls: dict[Node, Node]) -> tuple[Node, Any] | None:
    return _part_of_whole(v.inputs[0], talls) if v.primitive is transpose and len(v.shape) == 2 else None


def _part_of_sum(v: Node) -> tuple[Node, Any] | None:
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
    return [[by_place[place] for place in run] for run in runs({place: place for place in by_place})]


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
