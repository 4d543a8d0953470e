"""Stretches of a sequence that repeat themselves.

    list(repeats(marks))               a b c a b c a b c a b c -> one stretch of period 3

A sequence of n marks repeats with period p from `start` to `stop` where marks[i] == marks[i + p] all along. The
periods worth a look are the distances at which short words of the sequence come again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["FEWEST", "Marks", "Stretch", "longest", "repeats"]

FEWEST = 3  # repetitions
WORDS = (1, 4, 16, 64)  # lengths of the words that are looked up
PERIODS = 16  # the most frequent distances, for each length of word
MANY = 64  # as many stretches, largest first

Marks = np.ndarray[Any, np.dtype[np.int64]]


class Stretch(NamedTuple):
    """Where a sequence repeats: marks[i] == marks[i + period] as long as both are in it."""

    start: int
    stop: int
    period: int

    @property
    def size(self) -> int:
        """The number of marks."""
        return self.stop - self.start


def repeats(marks: Marks) -> Iterator[Stretch]:
    """The stretches of at least four repetitions, the longest first; of nearly equal ones that of the smaller period.

    Stretches may overlap: it is for the caller to take one and leave others.

    >>> list(repeats(np.array([7, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 8])))
    [Stretch(start=1, stop=14, period=3)]
    """
    found = [stretch for period in _periods(marks) for stretch in _stretches(marks, period)]
    found.sort(key=lambda stretch: (-stretch.size, stretch.period))
    given: set[Stretch] = set()
    for stretch in found[:MANY]:
        # twice a period is a period too, and may by chance reach a little further
        inside = [s for s in found if s.period < stretch.period and stretch.start <= s.start and s.stop <= stretch.stop]
        best = min([s for s in inside if s.size >= 0.8 * stretch.size], key=lambda s: s.period, default=stretch)
        for one in (best, stretch):
            if one not in given:
                given.add(one)
                yield one


def longest(holds: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int]:
    """Where the longest row of True begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], holds.astype(int), [0]])))
    return max(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), key=lambda e: e[1] - e[0], default=(0, 0))


def _periods(marks: Marks) -> list[int]:
    # the distances at which words come again, most often
    found: set[int] = set()
    words, length = _mixed(marks.astype(np.uint64)), 1
    while len(words) > 1 and length <= WORDS[-1]:
        if length in WORDS:
            order = np.argsort(words, kind="stable")
            again = words[order[1:]] == words[order[:-1]]
            distances, counts = np.unique(np.diff(order)[again], return_counts=True)
            found.update(distances[np.argsort(-counts, kind="stable")[:PERIODS]].tolist())
        words = _mixed(words[:-length] * np.uint64(0x9E3779B97F4A7C15) + words[length:])
        length *= 2
    return sorted(found)


def _mixed(x: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(27))


def _stretches(marks: Marks, period: int) -> list[Stretch]:
    equal = np.concatenate([[False], marks[:-period] == marks[period:], [False]])
    edges = np.flatnonzero(equal[1:] != equal[:-1])
    starts, stops = edges[::2], edges[1::2]
    long = stops - starts >= (FEWEST - 1) * period
    pairs = zip(starts[long].tolist(), stops[long].tolist(), strict=True)
    return [Stretch(start, stop + period, period) for start, stop in pairs]
