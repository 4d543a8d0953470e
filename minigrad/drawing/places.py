"""Where a node is drawn: scopes, passes and the steps of loops, one inside the other.

    place = place_of("backward/t=3/forget", root, [])      the innermost of three, made where they are not there yet
    parting(a, b)                                          where the ways from the root to two places part

The places form a tree, whose root is the whole drawing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..graph import Loop

__all__ = ["PASSES", "Place", "parting", "place_of"]

PASSES = ("backward", "forward")  # scopes of the engine's own: cotangents and tangents
MOST_NESTED = 12  # scopes that are nested deeper are drawn as one, named by all the rest of their path


class Place:
    """A scope, or the step of a loop: what becomes a cluster.

    `step` is ("t", 3) for a scope of a numbered family, `t=3`. `in_pass` names the pass that the place is in,
    "backward" or "forward" (tangents), or is empty. `backward` says that its arrows run against the forward pass: in a
    backward pass, but not in the backward pass of one. `fold` is the box that is drawn instead of it, if there is one.
    """

    __slots__ = ("backward", "children", "depth", "fold", "in_pass", "loop", "name", "parent", "step")

    def __init__(self, parent: Place | None, name: str, loop: Loop | None = None) -> None:
        self.parent, self.name, self.loop = parent, name, loop
        self.children: dict[object, Place] = {}  # by name; a loop by the key of its node
        self.depth: int = parent.depth + 1 if parent else 0
        self.backward: bool = (parent.backward if parent else False) ^ (name == "backward")
        self.in_pass: str = name if name in PASSES else parent.in_pass if parent else ""
        numbered = None if loop else re.fullmatch(r"(.*)=(\d{1,18})", name)
        self.step = (numbered[1], int(numbered[2])) if numbered else None
        self.fold: object = None

    @property
    def path(self) -> list[str]:
        """The names from the outermost scope to this one."""
        return [place.name for place in self.around()][::-1]

    def around(self) -> Iterator[Place]:
        """This place and those that it is in, inner before outer, but for the whole drawing."""
        place = self
        while place.parent:
            yield place
            place = place.parent

    def walk(self) -> Iterator[Place]:
        """This place and all in it, outer before inner."""
        stack = [self]
        while stack:
            place = stack.pop()
            yield place
            stack.extend(reversed(place.children.values()))


def parting(a: Place, b: Place) -> tuple[Place, Place, Place]:
    """The innermost place around both, and the two places in it where the ways to `a` and to `b` part."""
    below_a, below_b = a, b
    while a is not b:
        if a.depth >= b.depth and a.parent:
            below_a, a = a, a.parent
        elif b.parent:
            below_b, b = b, b.parent
    return a, below_a, below_b


def place_of(scope: str, base: Place, base_path: Sequence[str]) -> Place:
    """The place for a scope inside `base`, which itself stands for the scopes `base_path` (inside a loop)."""
    names = _relative(scope.split("/"), list(base_path), base.loop is not None)
    if len(names) > MOST_NESTED:
        names = [*names[: MOST_NESTED - 1], "/".join(names[MOST_NESTED - 1 :])]
    for name in names:
        if name not in base.children:
            base.children[name] = Place(base, name)
        base = base.children[name]
    return base


def _relative(names: list[str], base: list[str], in_loop: bool) -> list[str]:
    for start in (base, base[1:] if base[:1] == ["backward"] else base):  # or: what a backward loop uses of the forward
        if names[: len(start)] == start:
            names = names[len(start) :]
            break
    if in_loop and names[:1] == ["t=*"]:
        names = names[1:]
    # a tangent is made by a backward pass through a backward pass, and goes forward
    return names[1:] if names[:2] == ["backward", "forward"] else names
