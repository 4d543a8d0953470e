"""Names in generated source: cleaned, so that none can inject code, clash with another, or shadow NumPy."""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
from collections.abc import Iterable

from .primitives import helpers

__all__ = ["HELPERS", "RESERVED", "Names", "clean", "scope_name"]

HELPERS = [key for key, value in vars(helpers).items() if inspect.isfunction(value)]
_KEPT = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}  # these get an underscore: input_
RESERVED = {*_KEPT, *HELPERS, "np", "v", "empty"}


def clean(name: str) -> str:
    """A Python identifier that looks like `name`."""
    found = re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_")
    return found if found and not found[0].isdigit() else f"x_{found}" if found else "x"


def scope_name(scope: str) -> str:
    """What the result of a scope is called: "layer/t=3/forget" gives "layer_forget_3"."""
    words, numbers = [], []
    for part in scope.split("/"):
        key, _, value = part.partition("=")
        if value:
            numbers += [value] if value != "*" else []
        elif key not in ("backward", "forward"):
            words.append(key)
    return "_".join([*words, *numbers])


class Names:
    """Unique names. The last number tried for each is remembered, so that a thousand equal wishes stay cheap."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken, self.ever = set(taken), set(taken)
        self.tried: dict[str, int] = {}

    def new(self, wish: str, lasting: bool = False) -> str:
        """A name that nothing has now; a `lasting` one is valid from the start, so nothing may ever have had it."""
        taken = self.ever if lasting else self.taken
        wish = clean(wish)
        wish = f"{wish}_" if wish in _KEPT else wish
        name, number = wish, self.tried.get(wish, 1)
        while name in taken:
            number += 1
            name = f"{wish.rstrip('_')}_{number}"
        self.tried[wish] = number
        self.taken.add(name)
        self.ever.add(name)
        return name

    def release(self, kept: set[str]) -> None:
        """Forget all names but these."""
        self.taken = kept
        self.tried.clear()
