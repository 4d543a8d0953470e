"""Steps that a Python loop wrote into the graph one after the other become loops again.

    reroll              T times the same operations -> a scan of T steps

What repeats is found in the list of all operations, in the order in which they were made: no name and no scope is
needed for it. Then each operand must follow a law from step to step: it is made in the same step, or in the step
before, or is shared, or is the next part of an array. What follows none is left as it is.

    listing.py          the list, equal operations once
    repeats.py          where the list repeats itself
    steps.py            the steps there, and the laws of their operands
    streams.py          what all steps take from outside, as one array
    ends.py             first and last steps, which look a little different
    sums.py             sums that are better taken elsewhere than the unrolled graph does
    names.py            what the parts of a loop are called
    body.py             the step as a graph, and the scan node
    building.py         the graph around them
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...graph import Graph
from ...nodes import CONSTANT, Node
from ..loops import rewrite_steps
from .building import rebuilt
from .ends import take_earlier, take_later
from .listing import Listing
from .repeats import FEWEST, Marks, Stretch, longest, repeats
from .steps import Each, Steps, boundaries, find_steps
from .streams import Sources
from .sums import add_at_start, place_after

__all__ = ["reroll"]

FEWEST_STEPS, FEWEST_OPERATIONS = 4, 12  # of what is worth a loop
TAKEN = -(1 << 40)
ROUNDS = 12  # of looking again at what is left
PATIENCE = 8  # how many times all operations are looked at in a round, where they look alike and are not
ENDS = 8  # first and last steps that may look different, on either side


def reroll(graph: Graph) -> Graph:
    """Steps that repeat become loops, in loops too. Values stay the same, but where a sum is taken in another order."""
    rolled = rewrite_steps(graph, reroll)
    for _ in range(ROUNDS):  # what is left between loops may repeat too
        graph, rolled = rolled, _rolled(rolled)
        if rolled is graph:
            break
        rolled = rewrite_steps(rolled, reroll)
    return rolled


def _rolled(graph: Graph) -> Graph:
    listing = Listing(graph)
    sources = Sources(listing)
    cores, low = _cores(listing), 0
    for core, following in itertools.zip_longest(cores, cores[1:]):
        high = following[0].low if following else len(listing.operations)
        for steps in core:
            _take_in_ends(steps, sources, low, high)
        steps = max(core, key=lambda steps: (steps.length, -len(steps.starts)))
        place_after(steps)
        if _is_worth_it(steps, sources):
            sources.add(steps)
            low = steps.high
    return rebuilt(graph, sources)


def _cores(listing: Listing) -> list[list[Steps]]:
    # steps that do not overlap, where it is not clear where a step begins in a few ways to cut them
    taken = np.zeros(len(listing.operations), dtype=bool)
    found: list[list[Steps]] = []
    for by_weights in (True, False):
        if np.count_nonzero(~taken) < FEWEST_OPERATIONS:
            break
        marks = listing.marks(by_weights)
        for _ in range(ROUNDS):
            marks[taken] = TAKEN - np.flatnonzero(taken)  # unlike any other
            more = list(_cores_among(listing, marks, taken))
            found += more
            if not more:
                break
    return sorted(found, key=lambda ways: ways[0].low)


def _cores_among(listing: Listing, marks: Marks, taken: np.ndarray[Any, np.dtype[np.bool_]]) -> Iterator[list[Steps]]:
    # the longest stretches first; on both sides room is left for a step that looks different
    patience = PATIENCE * len(marks)
    for whole in repeats(marks):
        start, stop = longest(~taken[whole.start : whole.stop])
        stretch = Stretch(whole.start + start, whole.start + stop, whole.period)
        if stretch.size < FEWEST * stretch.period or patience < 0:
            continue
        patience -= stretch.size
        ways = [find_steps(listing, stretch, boundary) for boundary in boundaries(listing, stretch)]
        good = [steps for steps in ways if steps and steps.length * len(steps.columns) >= FEWEST_OPERATIONS]
        if good:
            low, high = min(steps.low for steps in good), max(steps.high for steps in good)
            taken[max(0, low - stretch.period) : high + stretch.period] = True
            yield good


def _take_in_ends(steps: Steps, sources: Sources, low: int, high: int) -> None:
    for _ in range(ENDS):
        if not take_earlier(steps, sources, low):
            break
    for _ in range(ENDS):
        if not take_later(steps, sources, high):
            break
    else:
        return
    if add_at_start(steps, sources):
        take_later(steps, sources, high)


def _is_worth_it(steps: Steps, sources: Sources) -> bool:
    """Whether a loop of these steps can be built, and is shorter and no slower than the steps."""
    listing, made = steps.listing, steps.made()
    if not steps.columns:
        return bool(steps.remainders)
    if steps.length < FEWEST_STEPS or (steps.length - 1) * len(steps.columns) < FEWEST_OPERATIONS:
        return False
    scattered = set()
    for column in steps.columns:
        node = listing.node(column.proto)
        if column.own and (node.weak or node.shape is None):  # it can be neither stacked nor carried
            asked = [x for x in column.values if x is not None and not listing.only_used_by(x, made)]
            if asked or column in steps.starts:
                return False
        for law in [law for law in column.laws if isinstance(law, Each) and sources.stream(law.values) is None]:
            values = [listing.node(x) for x in law.values]
            if values[0].weak and not _takes_numbers(node, values):
                return False
            if not all(x.primitive is CONSTANT for x in values):
                scattered.add(tuple(law.values))
    return not scattered or _may_be_stacked(steps, scattered)


def _takes_numbers(node: Node, numbers: Sequence[Node]) -> bool:
    # whether bare numbers, which take the dtype of what they meet, may as well have that of the result
    arithmetic = node.primitive.name in ("add", "subtract", "multiply", "divide")
    return arithmetic and node.dtype.kind == "f" and all(x.primitive is CONSTANT for x in numbers)


def _may_be_stacked(steps: Steps, scattered: set[tuple[int, ...]]) -> bool:
    # whether values from here and there may be put into arrays for a loop to take them from: not weights of layers
    largest = max(_size(steps.listing.node(column.proto)) for column in steps.columns)
    small = all(_size(steps.listing.node(values[0])) <= largest for values in scattered)
    return small and bool(steps.starts) and 2 * len(scattered) <= len(steps.columns)


def _size(node: Node) -> int:
    return 0 if node.shape is None else int(np.prod(node.shape, dtype=np.int64))
