"""Steps that repeat: what each of their operations takes from the same step, from steps before it, and from outside.

    steps = find_steps(listing, Stretch(start, stop, period))      None where they only look alike

`find_steps` looks at the middle of a stretch, says by what law each operand changes from there to the next step, and
keeps the steps where all the laws hold. First and last steps often look different: there is no sum yet to be added
to, a result is not needed any more; `ends.py` takes them in.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...nodes import Primitive
from ...primitives.structure import index
from .listing import Listing, alike
from .repeats import FEWEST, Stretch, longest

CHEAP = {"add", "multiply", "negative", "square", "subtract"}  # to do again costs less than to keep

__all__ = ["Before", "Column", "Each", "Law", "Remainder", "Same", "Shared", "Steps", "boundaries", "find_steps"]


class Column:
    """One operation of the step. `values` are its numbers step by step, None where the graph does not have it.

    `proto` is one of them. An operation that stands outside and that the steps do again has values too, but is not the
    steps' `own`. `under` is an operation in whose scope this one belongs, its own if nothing else is said.
    """

    __slots__ = ("laws", "own", "proto", "under", "values")

    def __init__(self, proto: int, laws: list[Law], values: list[int | None], own: bool = True) -> None:
        self.proto, self.laws, self.values, self.own, self.under = proto, laws, values, own, proto

    def part_at(self, listing: Listing, step: int) -> int:
        """The number in the index of a part of an array at a step, which goes up or down by the same each time."""
        first, second = itertools.islice(((i, x) for i, x in enumerate(self.values) if x is not None), 2)
        at, following = listing.parts[first[1]].at, listing.parts[second[1]].at
        return at + (following - at) // (second[0] - first[0]) * (step - first[0])


class Same(NamedTuple):
    """What another column computed in the same step."""

    column: Column


class Before(NamedTuple):
    """What a column computed `lag` steps before."""

    column: Column
    lag: int


class Shared(NamedTuple):
    """The same value in all steps."""

    value: int


class Each:
    """A value from outside for each step."""

    __slots__ = ("values",)

    def __init__(self, values: list[int]) -> None:
        self.values = values


Law = Same | Before | Shared | Each


class Remainder(NamedTuple):
    """What was left out of a sum in the loop: `carried`, or where nothing is left of it what it starts from, + `terms`.

    A term is a value, or a column that places one value at each step: all of them in their places.
    """

    carried: Column | int | None
    terms: tuple[int | Column, ...]

    def columns(self) -> Iterator[Column]:
        """The columns of the loop that it is made from."""
        if isinstance(self.carried, Column):
            yield self.carried
        for law in [law for term in self.terms if isinstance(term, Column) for law in term.laws]:
            if isinstance(law, (Same, Before)):
                yield law.column


class Steps:
    """Steps of the same `columns`.

    `starts[column]` are a column's values one step before the first, two steps before, and so on, as far as they are
    needed. None among them is a zero that changes nothing that it is added to, -0.0.
    """

    def __init__(self, listing: Listing, columns: list[Column], starts: dict[Column, list[int | None]]) -> None:
        self.listing, self.columns, self.starts = listing, columns, starts
        self.length = len(columns[0].values)
        numbers = [x for column in columns for x in column.values if x is not None]
        self.first = min(numbers)  # no operation of these steps stands before it
        self.low, self.high = self.first, max(numbers) + 1  # what stands between these is the loop's own
        self.width = (self.high - self.low) // self.length + 1  # about how many operations a step has
        self.remainders: dict[int, Remainder] = {}
        self.following: dict[Column, int] = {}  # values that a step after the last would have

    @property
    def each(self) -> list[Each]:
        """All that comes from outside, step by step."""
        return [law for column in self.columns for law in column.laws if isinstance(law, Each)]

    def at(self, column: Column, step: int) -> int | None:
        """The value of a column at a step, -1 for the one before the first."""
        return column.values[step] if step >= 0 else self.starts[column][-1 - step]

    def made(self) -> set[int]:
        """The operations that are the loop's own."""
        values = [x for column in self.columns if column.own for x in column.values if x is not None]
        return {x for x in values if self.low <= x < self.high}

    def leave_out(self, columns: list[Column]) -> None:
        """Take columns out of the loop, and all that is made from them."""
        out = set(columns)
        before = -1
        while before < len(out):  # a carry can be made from what stands behind it
            before = len(out)
            for column in self.columns:
                if any(isinstance(law, (Same, Before)) and law.column in out for law in column.laws):
                    out.add(column)
        self.columns = [column for column in self.columns if column not in out]
        self.starts = {column: before for column, before in self.starts.items() if column not in out}
        self.remainders = {x: found for x, found in self.remainders.items() if out.isdisjoint(found.columns())}

    def taken(self) -> Iterator[int]:
        """What the steps take from outside, but for what they start from."""
        for law in [law for column in self.columns for law in column.laws]:
            if isinstance(law, Shared):
                yield law.value
            elif isinstance(law, Each):
                yield from law.values


# ------------------------------------------------------------------------------------------------------- find steps


def find_steps(listing: Listing, stretch: Stretch, boundary: int) -> Steps | None:
    """The steps in a stretch of operations of the same kinds, the first of which begins at `boundary` in the stretch;
    None where fewer than four do the same.
    """
    first = stretch.start + boundary
    period, length = stretch.period, (stretch.stop - first) // stretch.period
    middle = (length - 1) // 2
    holds = np.ones(length, dtype=bool)
    columns = [Column(first + c + middle * period, [], []) for c in range(period)]
    for c, column in enumerate(columns):
        rows = [listing.operands[i] for i in range(first + c, first + c + length * period, period)]
        for xs in zip(*rows, strict=True):
            column.laws.append(_law(listing, columns, xs, first, c, middle, holds))
        if column.proto in listing.parts:
            _check_parts(listing, column, first + c, period, middle, holds)
    start, stop = longest(holds)
    if stop - start < FEWEST:
        return None
    for c, column in enumerate(columns):
        column.values = list(range(first + c + start * period, first + c + stop * period, period))
        column.laws = [Each(law.values[start:stop]) if isinstance(law, Each) else law for law in column.laws]
    begin = first + start * period
    starts: dict[Column, list[int | None]] = {}
    for law in [law for column in columns for law in column.laws if isinstance(law, Before)]:
        c = law.column.proto - first - middle * period
        reach = max(law.lag, len(starts.get(law.column, [])))
        starts[law.column] = [begin + c - lag * period for lag in range(1, reach + 1)]
    for column, before in starts.items():
        if any(not alike(listing.node(x or 0), listing.node(column.proto)) for x in before):
            return None
    return _without_slices(listing, columns, starts)


def _law(
    listing: Listing, columns: Sequence[Column], xs: Sequence[int], first: int, c: int, middle: int, holds: np.ndarray
) -> Law:
    # by what law an operand of column c changes from step to step; `holds` is cleared where it does not
    period, here, following = len(columns), xs[middle], xs[middle + 1]
    numbers = np.array(xs)
    if here >= first and following - here == period:
        holds &= numbers - here == (np.arange(len(xs)) - middle) * period
        step, column = divmod(here - first, period)
        return Before(columns[column], middle - step) if step < middle else Same(columns[column])
    if here == following:
        holds &= numbers == here
        if here >= first:  # of an earlier step: only what comes later can share it
            holds[: (here - first) // period + 1] = False
        return Shared(here)
    like = listing.node(here)
    holds &= [x < first and alike(listing.node(x), like) for x in xs]
    return Each(list(xs))


def _check_parts(listing: Listing, column: Column, base: int, period: int, middle: int, holds: np.ndarray) -> None:
    # the number in x[t] goes up or down by the same from step to step
    at = np.array([listing.parts[base + k * period].at for k in range(len(holds))])
    stride = at[middle + 1] - at[middle]
    holds &= at == at[middle] + (np.arange(len(holds)) - middle) * stride
    if stride and listing.operations[column.proto].primitive is index and not isinstance(column.laws[0], Shared):
        holds[:] = False  # another part of another array in each step


def boundaries(listing: Listing, stretch: Stretch) -> list[int]:
    """Where in the period a step may begin: where the fewest values pass on. Where scopes decide between equals, there
    is one; else a few, the likeliest first.
    """
    start, stop, period = stretch
    middle = start + (stretch.size // period - 1) // 2 * period
    reach = [0] * period  # how far a value is used
    for c in range(period):
        now, then = listing.operands[middle + c], listing.operands[middle + period + c]
        for x, following in zip(now, then, strict=True):
            if x >= start and following - x == period:
                r = (x - start) % period
                reach[r] = max(reach[r], middle + c - x)
    crossing = [0] * (2 * period + 1)
    for r, distance in enumerate(reach):
        whole, rest = divmod(distance, period)
        crossing[0] += whole
        crossing[period] -= whole
        crossing[r + 1] += 1
        crossing[r + 1 + rest] -= 1
    passing = np.cumsum(crossing)
    passing = passing[:period] + passing[period : 2 * period]
    best = int(passing.min())

    def order(c: int) -> tuple[bool, bool, int]:
        before, after = (_numbers(listing.operations[middle + c + d].scope) for d in (-1, 0))
        return not before or not after or before == after, (stop - start - c) % period != 0, c

    found = sorted([c for c in range(period) if passing[c] == best], key=order)
    return found[: 3 if order(found[0])[0] else 1]


def _numbers(scope: str) -> list[str]:
    return re.findall(r"=(\d+)", scope)


def _without_slices(listing: Listing, columns: list[Column], starts: dict[Column, list[int | None]]) -> Steps | None:
    # a column that takes the next part of an array in each step is no work: those that use it get the parts
    parts: dict[Column, Each] = {}
    for column in columns:
        values = [x for x in column.values if x is not None]
        is_part = listing.operations[column.proto].primitive is index and column.proto in listing.parts
        if is_part and listing.parts[values[0]].at != listing.parts[values[1]].at:
            parts[column] = Each(values)
    for column in columns:
        column.laws = [_from_outside(law, parts, starts) for law in column.laws]
    left = [column for column in columns if column not in parts]
    starts = {column: before for column, before in starts.items() if column not in parts}
    if not left:
        return None
    steps, remade = Steps(listing, left, starts), _Remade(listing, left)
    for column in left:
        column.laws = [remade.law(law) for law in column.laws]
    steps.columns = [*remade.columns.values(), *left]
    return steps


class _Remade:
    """What comes from outside, but is only a view, or is made of what the steps take anyway: made again by the steps.

    The backward pass asks for the transpose of x, or for 1 - z, whether or not the forward pass has made it too.
    """

    def __init__(self, listing: Listing, columns: Sequence[Column]) -> None:
        self.listing = listing
        self.columns: dict[tuple[int, ...], Column] = {}
        taken = {tuple(law.values) for column in columns for law in column.laws if isinstance(law, Each)}
        for row in sorted(taken):
            operands = self.operands(row)
            changing = {x for x in operands if len(set(x)) > 1}
            if changing and self.primitive(row).name in CHEAP and changing <= taken:
                laws = [self.law(Each(list(x))) if x in changing else Shared(x[0]) for x in operands]
                self.columns[row] = Column(row[0], laws, list(row), own=False)
                taken.remove(row)

    def law(self, law: Law) -> Law:
        """What takes the place of a law."""
        if not isinstance(law, Each):
            return law
        row, views = tuple(law.values), []
        while row not in self.columns and (operands := self.operands(row)) and self.primitive(row).view:
            views.append(row)
            (row,) = operands
        found: Law = Same(self.columns[row]) if row in self.columns else Each(list(row))
        for view in reversed(views):
            self.columns[view] = Column(view[0], [found], list(view), own=False)
            found = Same(self.columns[view])
        return found

    def primitive(self, row: Sequence[int]) -> Primitive:
        """The operation of a row of values."""
        return self.listing.operations[row[0]].primitive

    def operands(self, row: Sequence[int]) -> list[tuple[int, ...]]:
        """What values of one kind are made from, operand by operand; nothing where they are not to be made again."""
        listing = self.listing
        if min(row) < 0 or row[0] in listing.parts or len({listing.kinds[x] for x in row}) > 1:
            return []
        found = list(zip(*[listing.operands[x] for x in row], strict=True))
        nodes = [[listing.node(x) for x in operand] for operand in found]
        fits = not listing.node(row[0]).weak and all(
            operand[0].shape is not None and not operand[0].weak and all(alike(x, operand[0]) for x in operand)
            for operand in nodes if len(set(operand)) > 1
        )  # fmt: skip
        is_same_view = self.primitive(row).view and (len(found) > 1 or len(set(found[0])) == 1)
        return found if fits and not is_same_view else []


def _from_outside(law: Law, parts: dict[Column, Each], starts: dict[Column, list[int | None]]) -> Law:
    if isinstance(law, Same) and law.column in parts:
        return Each(list(parts[law.column].values))
    if isinstance(law, Before) and law.column in parts:
        before = [x for x in starts[law.column][: law.lag] if x is not None]
        return Each([*before[::-1], *parts[law.column].values[: -law.lag]])
    return law
