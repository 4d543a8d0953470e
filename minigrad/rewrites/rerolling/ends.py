"""First and last steps, which often look different: taken into the loop where they compute what the others do.

    take_earlier(steps, sources, low)      the step before the first; a sum that begins there begins with -0.0
    take_later(steps, sources, high)       the step after the last; what it need not compute is computed in vain

The operations between `low` and `high` in the list are those that no other loop computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .listing import Listing, Part, alike
from .steps import Before, Column, Each, Law, Same, Shared, Steps
from .streams import Sources

__all__ = ["take_earlier", "take_later"]

UNKNOWN: Any = object()

# What may be computed in vain, at a step that does not need it: nothing that divides, or takes a logarithm of, zero.
HARMLESS = {"absorb", "add", "matmul", "multiply", "negative", "place", "subtract", "sum", "where"}


def take_earlier(steps: Steps, sources: Sources, low: int) -> bool:
    """Put the step before the first in front, if there is one."""
    new = _Earlier(steps, sources, low)
    if not new.match():
        return False
    new.complete()
    if not new.is_worth_it() or not new.is_outside():
        return False
    for column in steps.columns:
        column.values.insert(0, new.found.get(column))
    for law in steps.each:
        law.values.insert(0, new.elements[law])
    for column, before in steps.starts.items():
        steps.starts[column] = [*before[1:], new.oldest.get(column)]
    steps.length += 1
    steps.low = min([steps.low, *[x for x in new.found.values() if x in new.free]])
    return True


def take_later(steps: Steps, sources: Sources, high: int) -> bool:
    """Put the step after the last behind, if there is one."""
    new = _Later(steps, sources, high)
    new.complete()
    if not new.is_worth_it() or not new.is_outside() or not new.ends_well():
        return False
    for column in steps.columns:
        column.values.append(new.found.get(column))
    for law in steps.each:
        law.values.append(new.elements[law])
    steps.high = max([steps.high, *[x + 1 for x in new.found.values() if x in new.free]])
    steps.following.clear()
    steps.length += 1
    return True


class _NewStep:
    """A step next to those that are known: the values of its columns, and what comes from outside, as far as found."""

    def __init__(self, steps: Steps, sources: Sources, place: int, free: range) -> None:
        self.steps, self.listing, self.sources = steps, steps.listing, sources
        self.place = place  # in the streams: -1, or the number of steps
        self.free = free  # the operations nearby that no other loop computes
        self.found: dict[Column, int] = {}
        self.matched = 0  # how many are free operations of the same kind
        self.elements: dict[Each, int] = {}
        self.streams = {law: sources.stream(law.values) for law in steps.each}

    def is_like(self, column: Column, number: int) -> bool:
        """Whether an operation is of the column's kind, and about the part of an array whose turn it is."""
        listing, proto = self.listing, column.proto
        if number < 0 or listing.kinds[number] != listing.kinds[proto]:
            return False
        return proto not in listing.parts or listing.parts[number].at == column.part_at(listing, self.place)

    def element(self, law: Each) -> int | None:
        """What comes from outside at this step; None where that is not known."""
        stream = self.streams[law]
        if stream is not None and law not in self.elements:
            number = self.sources.at(stream, self.place)
            if number is not None:
                self.elements[law] = number
        return self.elements.get(law)

    def takes(self, law: Each, number: int) -> bool:
        """Whether a value can be what comes from outside at this step; from here on it is."""
        stream = self.streams[law]
        fits = alike(self.listing.node(number), self.listing.node(law.values[0]))
        if not fits or (stream is not None and self.sources.at(stream, self.place) != number):
            return False
        return self.elements.setdefault(law, number) == number

    def look_up(self, column: Column, operands: Sequence[Any]) -> int | None:
        """The operation that does what the column does to these operands, of which some may be UNKNOWN."""
        known = [x for x in operands if x is not UNKNOWN]
        if not known or any(x is None for x in known):
            return None
        for number in min((self.listing.users(x) for x in known), key=len):
            if self.is_like(column, number):
                pairs = zip(operands, self.listing.operands[number], strict=True)
                if all(x is UNKNOWN or x == y for x, y in pairs):
                    return number
        return None

    def is_worth_it(self) -> bool:
        """Whether at least half of the step is in the graph, all that comes from outside is known, and what the graph
        does not have of it does no harm.
        """
        for column in self.steps.columns:
            primitive = self.listing.operations[column.proto].primitive
            if column not in self.found and primitive.name not in HARMLESS and not primitive.view:
                return False
        known = all(self.element(law) is not None for law in self.steps.each)
        return known and 2 * self.matched >= len(self.steps.columns)


class _Earlier(_NewStep):
    """The step before the first, read backwards from the values that the first starts from."""

    def __init__(self, steps: Steps, sources: Sources, low: int) -> None:
        super().__init__(steps, sources, -1, range(max(low, steps.low - 2 * steps.width), steps.low))
        self.oldest: dict[Column, int | None] = {}  # what this step in its turn would start from
        self.pending: list[tuple[Column, int]] = []

    def match(self) -> bool:
        """Whether all that the first step starts from is what the columns would give."""
        for column, before in self.steps.starts.items():
            if before[0] is None:
                return False
            self.pending.append((column, before[0]))
        while self.pending:
            column, number = self.pending.pop()
            if column in self.found:
                if self.found[column] != number:
                    return False
                continue
            self.found[column] = number
            if not (self.match_operands(column, number) or self.match_only_term(column, number)):
                return False
        return True

    def match_operands(self, column: Column, number: int) -> bool:
        """Whether an operation is that of the column, so that its operands are what the laws say."""
        if not self.is_like(column, number):
            return False
        pairs = list(zip(column.laws, self.listing.operands[number], strict=True))
        if self.only_term(column) and any(isinstance(law, Same) and not self.can_be(law.column, x) for law, x in pairs):
            return False
        self.matched += number in self.free
        return all(self.settle(law, x) for law, x in pairs)

    def can_be(self, column: Column, number: int) -> bool:
        """Whether a value may turn out to be the column's: its operation is of that kind, or a sum begins with it."""
        return self.is_like(column, number) or self.only_term(column) is not None

    def match_only_term(self, column: Column, number: int) -> bool:
        """Whether the column adds something to a carry, and the value is that alone."""
        laws = self.only_term(column)
        return laws is not None and self.settle(laws[0], None) and self.settle(laws[1], number)

    def only_term(self, column: Column) -> tuple[Law, Law] | None:
        """Of a column that adds a term to a carry: the carry and the term."""
        if not self.listing.adds(column.proto):
            return None
        a, b = column.laws
        return (a, b) if isinstance(a, Before) else (b, a) if isinstance(b, Before) else None

    def settle(self, law: Law, number: int | None) -> bool:
        """Whether a law allows this value; None stands for the zero that a sum begins with."""
        if isinstance(law, Before):
            before = self.steps.starts[law.column]
            if law.lag < len(before):
                return before[law.lag] == number
            if number is not None and not can_start(self.listing, law.column, number):
                return False
            return self.oldest.setdefault(law.column, number) == number
        if number is None:
            return False
        if isinstance(law, Same):
            self.pending.append((law.column, number))
            return alike(self.listing.node(number), self.listing.node(law.column.proto))
        return number == law.value if isinstance(law, Shared) else self.takes(law, number)

    def complete(self) -> None:
        """Find the columns that the first step does not start from."""
        for column in self.steps.columns:
            if column in self.found:
                continue
            number = self.look_up(column, [self.operand(law) for law in column.laws])
            if number is not None:
                self.matched += number in self.free
            elif (laws := self.only_term(column)) and self.operand(laws[0]) is None:
                number = self.operand(laws[1])
            if number is not None:
                self.found[column] = number

    def operand(self, law: Law) -> int | None:
        """The value that a law asks for; None for a zero or for what the graph does not have."""
        if isinstance(law, Before):
            before = self.steps.starts[law.column]
            return before[law.lag] if law.lag < len(before) else self.oldest.get(law.column)
        if isinstance(law, Each):
            return self.element(law)
        return self.found.get(law.column) if isinstance(law, Same) else law.value

    def is_outside(self) -> bool:
        """Whether nothing that the loop takes from outside is made from this step."""
        made = self.steps.made().union(x for x in self.found.values() if x in self.free)
        for number in range(min(made), self.steps.first):
            if any(x in made for x in self.listing.operands[number]):
                made.add(number)
        starts = [x for before in self.steps.starts.values() for x in before[1:]]
        return made.isdisjoint([*self.steps.taken(), *self.elements.values(), *starts, *self.oldest.values()])


class _Later(_NewStep):
    """The step after the last, read forwards from the values of the last."""

    def __init__(self, steps: Steps, sources: Sources, high: int) -> None:
        super().__init__(steps, sources, steps.length, range(steps.high, min(high, steps.high + 2 * steps.width)))

    def complete(self) -> None:
        """Find what the graph has of the step."""
        self.found.update(self.steps.following)
        for column in self.steps.columns:
            operands = [self.operand(law) for law in column.laws]
            pairs = list(zip(column.laws, operands, strict=True))
            if any(x is UNKNOWN for x in operands) and all(x is UNKNOWN or isinstance(law, Shared) for law, x in pairs):
                continue
            number = self.look_up(column, operands) if column not in self.found else None
            if number is None:
                continue
            new = zip(column.laws, self.listing.operands[number], strict=True)
            if all(self.takes(law, x) for law, x in new if isinstance(law, Each)):
                self.found[column] = number
                self.matched += number in self.free

    def operand(self, law: Law) -> Any:
        """The value that a law asks for; None where the graph does not have it."""
        if isinstance(law, Before):
            return self.steps.at(law.column, self.steps.length - law.lag)
        if isinstance(law, Each):
            number = self.element(law)
            return UNKNOWN if number is None else number
        return self.found.get(law.column) if isinstance(law, Same) else law.value

    def is_outside(self) -> bool:
        """Whether what comes from outside is there before the loop."""
        for law, number in self.elements.items():
            stream = self.streams[law]
            array = stream.source.array if stream is not None and isinstance(stream.source, Part) else number
            if array >= self.steps.low:
                return False
        return True

    def ends_well(self) -> bool:
        """Whether no carry that this step would go on with in vain is needed as it was before, and only then."""
        inside = {*self.found.values(), *self.steps.made()}
        for column in self.steps.starts:
            if column not in self.found:
                before, last = [x is None or self.listing.only_used_by(x, inside) for x in column.values[-2:]]
                if before and not last:
                    return False
        return True


def can_start(listing: Listing, column: Column, number: int) -> bool:
    """Whether a column's carry can begin with this value: a bare number takes the dtype of what it becomes."""
    x, like = listing.node(number), listing.node(column.proto)
    becomes = x.weak and x.is_leaf and x.shape == like.shape and x.dtype.kind in "if" and like.dtype.kind == "f"
    return becomes or alike(x, like)
