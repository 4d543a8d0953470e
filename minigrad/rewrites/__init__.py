"""Passes from graph to graph that keep the meaning. `optimize` takes them in the order in which they stand here:

    simplify            constants folded, identities removed, equal expressions shared, dead ones dropped

Rules are in `simplify.py`, each a function whose docstring is its identity. IEEE arithmetic decides what is one:
`x * 0 -> 0`, `x - x -> 0` and `x + 0 -> x` (for -0.0) are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..errors import ArgumentError, explain
from ..graph import Graph
from .loops import drop_dead_results, merge_loops
from .simplify import RULES, Rule, simplify

__all__ = ["PASSES", "RULES", "Rule", "drop_dead_results", "merge_loops", "optimize", "simplify"]

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "simplify": simplify,
}


def optimize(graph: Graph, without: Iterable[str] = ()) -> Graph:
    """The graph that is generated and run: every pass taken in order, but those named in `without`.

    Raises ArgumentError for a name that no pass has.
    """
    without = (without,) if isinstance(without, str) else tuple(without)
    unknown = [name for name in without if name not in PASSES]
    if unknown:
        problem = f"no rewrite is named {', '.join(map(repr, unknown))}"
        raise ArgumentError(explain("optimize", problem, instead=f"one of {', '.join(PASSES)}"))
    for name, rewrite in PASSES.items():
        if name not in without:
            graph = rewrite(graph)
    return graph
