"""Passes from graph to graph that keep the meaning. `optimize` takes them in the order of `PIPELINE`:

    reroll           steps that repeat in an unrolled graph become loops
    simplify         constants folded, identities removed, equal expressions shared, dead ones dropped
    start_with       what enters a loop at its first step only is part of the carry's start
    sum_after        a carry that only adds up becomes one product, or one sum, after the loop
    join_products    products that share an operand become one product
    regroup          terms that need no carry are added first
    join_entries     equal operations on neighbouring parts of an array become one operation
    join_slices      parts of one array enter and leave a loop as the array
    join_sums        a sum of products becomes one product
    recompute        what is made in one pass of what is kept anyway is made again, not kept
    hoist            what needs no carry is done before the loop, for all steps at once
    postpone         what no carry needs is done after it
    join_columns     products and sums of columns of one array become one

Rules of `simplify` are in `simplify.py`, each a function whose docstring is its identity. IEEE arithmetic decides what
is one: `x * 0 -> 0`, `x - x -> 0` and `x + 0 -> x` (for -0.0) are not. The others change the order in which sums are
taken, so results are equal up to rounding. Nothing here knows what a cell is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..errors import ArgumentError, explain
from ..graph import Graph
from .columns import join_columns
from .entries import join_entries, join_slices
from .hoisting import hoist, postpone, regroup, start_with, sum_after
from .loops import drop_dead_results, merge_loops
from .products import join_products, join_sums
from .recomputing import recompute
from .rerolling import reroll
from .simplify import RULES, Rule, simplify

__all__ = [
    "PASSES", "PIPELINE", "RULES", "Rule", "drop_dead_results", "merge_loops", "optimize", "reroll", "simplify",
    "stages",
]  # fmt: skip

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "reroll": reroll, "simplify": simplify, "start_with": start_with, "sum_after": sum_after,
    "join_products": join_products, "regroup": regroup, "join_entries": join_entries, "join_slices": join_slices,
    "join_sums": join_sums, "recompute": recompute, "hoist": hoist, "postpone": postpone, "join_columns": join_columns,
}  # fmt: skip

# What one pass brings together the next one joins, so some come again.
PIPELINE = [
    "reroll", "simplify",
    "start_with", "sum_after", "join_products", "regroup", "join_entries", "join_slices", "join_entries",
    "join_sums", "join_entries", "join_slices", "recompute", "simplify", "hoist", "simplify", "postpone",
    "join_columns", "simplify",
]


def optimize(graph: Graph, without: Iterable[str] = ()) -> Graph:
    """The graph that is generated and run: every pass taken in order, but those named in `without`.

    Raises ArgumentError for a name that no pass has.
    """
    for _, made in stages(graph, without):
        graph = made
    return graph


def stages(graph: Graph, without: Iterable[str] = ()) -> Iterator[tuple[str, Graph]]:
    """The passes that `optimize` takes, one by one: the name of each, and the graph that it makes."""
    without = (without,) if isinstance(without, str) else tuple(without)
    unknown = [name for name in without if name not in PASSES]
    if unknown:
        problem = f"no rewrite is named {', '.join(map(repr, unknown))}"
        raise ArgumentError(explain("optimize", problem, instead=f"one of {', '.join(PASSES)}"))
    for number, name in enumerate(PIPELINE):
        if number == 2 and not any(True for _ in graph.subgraphs()):  # all the others are about loops
            return
        if name not in without:
            graph = PASSES[name](graph)
            yield name, graph
