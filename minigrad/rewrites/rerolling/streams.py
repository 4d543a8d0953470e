"""Where the values of all steps stand as one array: in an array that the graph has, or in what an earlier loop stacks.

    stream = sources.stream(values)        None where the values are not neighbours in one array
    sources.at(stream, k) == values[k]     also for k = -1 and k = len(values), where there is such a value
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .listing import Listing, Part
from .steps import Column, Steps

__all__ = ["Place", "Sources", "Stream"]


class Place(NamedTuple):
    """Where a value is computed: at a step, counted from the first, by a column of the steps."""

    steps: Steps
    column: Column
    step: int


class Stream(NamedTuple):
    """The values of a column of some steps, or parts of an array, at `first`, `first + stride`, ...

    A column's value at -1 is the one that its loop starts from.
    """

    source: tuple[Steps, Column] | Part
    first: int
    stride: int

    def is_before(self, count: int) -> bool:
        """Whether the value that a loop starts from is one of `count` values."""
        return not isinstance(self.source, Part) and min(self.first, self.first + (count - 1) * self.stride) < 0


class Sources:
    """Which loop computes what. Loops are told of in the order in which they stand in the graph."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.loops: list[Steps] = []
        self.loop_of: dict[Column, Steps] = {}
        self._columns: dict[int, Column] = {}
        self._steps: dict[int, int] = {}
        self._taken: set[int] = set()

    def add(self, steps: Steps) -> None:
        """Tell of a loop."""
        self.loops.append(steps)
        starts = [x for before in steps.starts.values() for x in before]
        own = steps.made().difference(steps.taken(), starts)
        for column in reversed(steps.columns):  # of two columns that have a value, the first is the one that makes it
            self.loop_of[column] = steps
            for step, number in enumerate(column.values):
                if number in own and number not in self._taken:
                    self._columns[number], self._steps[number] = column, step
        self._taken |= own

    def place(self, number: int) -> Place | None:
        """Where a value is computed, if in a loop."""
        column = self._columns.get(number)
        return None if column is None else Place(self.loop_of[column], column, self._steps[number])

    def stream(self, values: Sequence[int]) -> Stream | None:
        """The stream that these values are, in this order; of one value there is none."""
        if len(values) < 2:
            return None
        middle = (len(values) - 1) // 2
        here, following = values[middle], values[middle + 1]
        line = self._column_line(here, following) or self._part_line(here, following)
        if line is None or not line.stride:
            return None
        stream = line._replace(first=line.first - middle * line.stride)
        if not self._goes_through(stream, values):
            return None
        if isinstance(stream.source, Part) or not stream.is_before(len(values)):
            return stream
        # what a loop starts from stands before all but its last value, in a stack of its own
        last = max(stream.first, stream.first + (len(values) - 1) * stream.stride)
        return stream if last < stream.source[0].length - 1 else None

    def at(self, stream: Stream, k: int) -> int | None:
        """The value that stands, or would stand, at place k of a stream."""
        at = stream.first + k * stream.stride
        if isinstance(stream.source, Part):
            return self.listing.part_at.get(Part(stream.source.array, stream.source.whole, at))
        steps, column = stream.source
        if at == -1 and column in steps.starts:
            return steps.starts[column][0]
        return column.values[at] if 0 <= at < steps.length else None

    def _goes_through(self, stream: Stream, values: Sequence[int]) -> bool:
        last = stream.first + (len(values) - 1) * stream.stride
        if not isinstance(stream.source, Part) and min(stream.first, last) >= 0 and abs(stream.stride) == 1:
            column = stream.source[1].values
            rows = column[stream.first : last + 1] if stream.stride > 0 else column[last : stream.first + 1][::-1]
            return rows == list(values)
        return all(self.at(stream, k) == x for k, x in enumerate(values))

    def _column_line(self, here: int, following: int) -> Stream | None:
        a, b = self.place(here), self.place(following)
        if a is None or b is None or a.column is not b.column:
            return None
        return Stream((a.steps, a.column), a.step, b.step - a.step)

    def _part_line(self, here: int, following: int) -> Stream | None:
        a, b = self.listing.parts.get(here), self.listing.parts.get(following)
        if a is None or b is None or a[:2] != b[:2] or self.listing.part_at.get(a) != here:
            return None
        return Stream(a, a.at, b.at - a.at)
