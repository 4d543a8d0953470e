"""Parts of arrays along the first axis, and what joined things are called: shared by the rewrites that join.

    part_of(z[2])                (z, 2)
    joint_name([f, i, o])        "forget_input_output"
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..nodes import Node, Primitive
from ..primitives.elementwise import add
from ..primitives.linear_algebra import matmul
from ..primitives.structure import index, reshape, transpose
from ..primitives.text import Cut

__all__ = ["common_name", "joint_name", "name_of", "part", "part_of", "parts_from", "runs"]


def part_of(x: Node) -> tuple[Node, int] | None:
    """(base, i) where the node is base[i], a part along the first axis."""
    if x.primitive is index and len(x.params["index"]) == 1 and isinstance(x.params["index"][0], int):
        return x.inputs[0], x.params["index"][0]
    return None


def part(base: Node, i: int) -> Node:
    """base[i]"""
    return index(base, index=(i,))


def parts_from(base: Node, first: int, count: int) -> Node:
    """base[first : first + count]"""
    return base if count == base.shape[0] else index(base, index=(Cut(first, first + count, None),))


def runs(members: dict[int, Any]) -> list[list[Any]]:
    """Members that stand on neighbouring parts, by their positions; two at least."""
    ordered = sorted(members)
    found = [[members[i] for _, i in run] for _, run in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])]
    return [run for run in found if len(run) > 1]


def name_of(v: Node) -> str:
    """What a node is called: its own name, else that of what it is the cotangent of, else its scope's."""
    turned = ""
    while v.primitive in (transpose, reshape) and v.inputs and v.name is None:
        turned, v = "_T" if v.primitive is transpose else turned, v.inputs[0]
    about, prefix = v, ""
    while about.cotangent_of is not None and (about.name is None or about.name in Primitive.table):
        about, prefix = about.cotangent_of, prefix + "d_"
    own = None if about.name in Primitive.table else about.name
    return prefix + (own or "_".join(p for p in about.scope.split("/") if "=" not in p and p != "backward")) + turned


def joint_name(nodes: Sequence[Node]) -> str | None:
    """One name for several nodes, if there is one that is not too long."""
    about = [v if v.cotangent_of is None else v.cotangent_of for v in nodes]
    if all(v.primitive in (add, matmul) for v in about):  # what goes into a nonlinearity
        return "d_preactivations" if about[0] is not nodes[0] else "preactivations"
    if all(v.cotangent_of is not None for v in nodes):
        name = common_name([name_of(v) for v in about])
        return name and f"d_{name}"
    return common_name([name_of(v) for v in nodes])


def common_name(names: Sequence[str]) -> str | None:
    """One name for several: the words in which they end alike, or all of them if that is short."""
    words = [name.replace(".", "_").replace("/", "_").split("_") for name in names]
    common: list[str] = []
    while all(words) and len({w[-1] for w in words}) == 1:
        common.insert(0, words[0][-1])
        words = [w[:-1] for w in words]
    if common and "_".join(common) not in ("d", ""):
        return "_".join(common)
    joined = "_".join(dict.fromkeys(filter(None, names))).replace("_d_", "_")
    return joined if 0 < len(joined) <= 32 else None
