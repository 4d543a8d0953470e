"""What the parts of a loop are called: as the steps are, without their numbers.

    called(sources, number)                "d_h" for what reaches the state at one of the steps
    moving(steps)                          {"t": (3, 4)} where a step t=3 is followed by one t=4
    starred("t=3/forget", {"t"})           "t=*/forget"
"""

from __future__ import annotations

from collections.abc import Container

from .steps import Column, Steps
from .streams import Sources

__all__ = ["called", "called_as_carry", "moving", "starred"]


def moving(steps: Steps) -> dict[str, tuple[int, int]]:
    """The parts of scopes that count the steps, with the numbers of two steps that follow each other."""
    found = {}
    for column in steps.columns:
        known = [(i, x) for i, x in enumerate(column.values) if x is not None][:2]
        scopes = [steps.listing.node(x).scope.split("/") for _, x in known]
        for before, after in zip(*scopes, strict=False) if len(scopes) == 2 else ():
            key, _, number = before.partition("=")
            other, _, following = after.partition("=")
            if key == other and number != following and number.isdigit() and following.isdigit():
                found[key] = int(number), int(following)
    return found


def starred(scope: str, keys: Container[str]) -> str:
    """A scope of one step as that of all."""
    parts = [part.partition("=") for part in scope.split("/")]
    return "/".join([f"{key}=*" if sign and key in keys else key + sign + value for key, sign, value in parts])


def called(sources: Sources, number: int) -> str:
    """What a value is called that many steps have: by its own name, as a loop's carry, or by its scope.

    A cotangent is called after its node, with `d_` before it.
    """
    about, prefix = sources.listing.node(number), ""
    while about.cotangent_of is not None:
        about, prefix = about.cotangent_of, prefix + "d_"
    if about.name:
        return prefix + about.name
    found = sources.place(sources.listing.number.get(about, -1)) if prefix else None
    if found is not None and found.column in found.steps.starts:
        return prefix + called_as_carry(sources, found.steps, found.column)
    words = [part for part in about.scope.split("/") if "=" not in part and part not in ("", "backward", "forward")]
    return prefix + (words[-1] if words else about.primitive.name)


def called_as_carry(sources: Sources, steps: Steps, column: Column) -> str:
    """What a carry is called: as what it starts from, where that has a name."""
    node, start = sources.listing.node(column.proto), steps.starts[column][0]
    first = None if start is None else sources.listing.node(start)
    if node.cotangent_of is None and not node.name and first is not None and first.is_leaf and first.name:
        return first.name
    return called(sources, column.proto)
