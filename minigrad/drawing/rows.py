"""Where steps stand: in a row, in the order in which they hand on, rather than on a staircase.

Graphviz gives every box a rank by the arrows that lead to it, so a weight at step 2 could stand beside one at step 1,
and two steps that share ranks cannot stand in a row. `rows` says which boxes must come before which others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .picture import Arrow, Box, Fold
from .places import Place, parting

__all__ = ["rows", "with_junctions"]

Member = Place | Fold  # a step, or a fold of many


def rows(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> list[tuple[list[Box], list[Box]]]:
    """For each two steps that follow each other: the last boxes of the one, and the first of the other."""
    pairs = [arrow.ends for arrow in arrows if arrow.kind == "data"]
    handed: dict[tuple[Member, Member], None] = {}
    families: dict[tuple[Place, str], dict[Member, int]] = {}
    within: dict[Member, list[tuple[Box, Box]]] = {}
    for first, second in pairs:
        around, below_a, below_b = parting(first.place, second.place)
        a, b = _member(first, around, below_a), _member(second, around, below_b)
        if a is not b and a.step and b.step and a.step[0] == b.step[0]:
            handed[a, b] = None
            families.setdefault((around, a.step[0]), {}).update({a: a.step[1], b: b.step[1]})
        for step in set(first.place.around()) & set(second.place.around()):
            within.setdefault(step, []).append((first, second))
    found = []
    for family in families.values():
        order = sorted(family, key=family.__getitem__)
        for a, b in [*pairwise(order), *pairwise(reversed(order))]:
            if (a, b) in handed and (b, a) not in handed:
                found.append((_ends(a, boxes, within, 0), _ends(b, boxes, within, 1)))
    return found


def with_junctions(boxes: list[Box], arrows: list[Arrow]) -> tuple[list[Box], list[Arrow]]:
    """What one step hands to another goes through a junction where it enters: one line from step to step, which forks
    inside. (Graphviz would lead it around the step to where it is used.)"""
    junctions: dict[tuple[Box, Place], Box] = {}
    rewired: list[Arrow] = []
    for arrow in arrows:
        around, below_a, below_b = parting(arrow.tail.place, arrow.head.place)
        a, b = _member(arrow.tail, around, below_a), _member(arrow.head, around, below_b)
        if arrow.kind != "data" or a is b or not (a.step and b.step) or a.step[0] != b.step[0] or isinstance(b, Fold):
            rewired.append(arrow)
            continue
        junction = junctions.get((arrow.tail, b))
        if junction is None:
            key = f"{arrow.tail.key}s{len([tail for tail, _ in junctions if tail is arrow.tail])}"
            junction = junctions[arrow.tail, b] = Box(key, "junction", arrow.tail.node, b)
            rewired.append(arrow._replace(head=junction, operand=""))
        rewired.append(Arrow(junction, arrow.head, operand=arrow.operand))
    return [*boxes, *junctions.values()], rewired


def _member(box: Box, around: Place, below: Place) -> Member:
    return box if isinstance(box, Fold) and box.place is around else below


def _ends(step: Member, boxes: Sequence[Box], within: dict[Member, list[tuple[Box, Box]]], side: int) -> list[Box]:
    # the boxes of a step that lead to no other in it (side 0), or that none other leads to (side 1)
    if isinstance(step, Fold):
        return [step]
    inner = {pair[side] for pair in within.get(step, ())}
    return [box for box in boxes if box not in inner and step in set(box.place.around())]
