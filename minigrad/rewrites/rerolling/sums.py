"""Sums that a loop carries from step to step, where a term of them is better added elsewhere.

    add_at_start(steps, sources)           (e[t] + a) + b, to be carried: a + b is, and e[t] is added in the next step
    place_after(steps)                     c + place(x, shape, t): the x of all steps, stacked, are that sum
"""

from __future__ import annotations

from ...primitives.structure import place
from .listing import alike
from .steps import Before, Column, Each, Law, Remainder, Same, Steps
from .streams import Sources

__all__ = ["add_at_start", "place_after"]


def add_at_start(steps: Steps, sources: Sources) -> bool:
    """What ends a step, a term from outside added to a carry, begins the next one instead.

    The gradient of a state is a sum of what the loss gives it and what the steps after it do. A step of the unrolled
    backward pass ends by adding what the loss gives the state before it, and of the first state there is none before.
    """
    return any(_moved(steps, sources, column) for column in list(steps.columns) if steps.listing.adds(column.proto))


def _moved(steps: Steps, sources: Sources, column: Column) -> bool:
    a, b = column.laws
    term, rest = (a, b) if isinstance(a, Each) else (b, a)
    path = _path_to_carry(steps, column)
    if not isinstance(term, Each) or not isinstance(rest, Same) or path is None:
        return False
    last = path[-1]
    (start,) = steps.starts[last]
    stream = sources.stream(term.values)
    same_shape = alike(steps.listing.node(column.proto), steps.listing.node(rest.column.proto))
    if start is None or stream is None or sources.at(stream, -1) != start or not same_shape:
        return False
    if not _only_inside(steps, path[:-1]):
        return False
    first = Column(column.proto, [], [start, *last.values[:-1]])
    for other in steps.columns:
        other.laws = [Same(first) if law == Before(last, 1) else law for law in other.laws]
    carried = _taken_out(steps, column, rest, last)
    assert isinstance(carried, Column)
    element = Each([start, *term.values[:-1]])
    first.laws = [element if law is term else Before(carried, 1) for law in (a, b)]
    steps.columns.insert(0, first)
    steps.starts[carried] = [None]
    if (total := last.values[-1]) is not None:
        steps.remainders[total] = Remainder(carried, (term.values[-1],))
        steps.following[first] = total
    first.under = next((other.proto for other in steps.columns if Same(first) in other.laws), column.proto)
    for other in path:
        other.values = [None] * steps.length
    return True


def place_after(steps: Steps) -> None:
    """Sums of places leave the loop, so that no array of all steps is added to at each step.

    Where they cannot, the places and all that is made from them stay outside of the loop.
    """
    for column in list(steps.columns):
        if _is_moving_place(steps, column) and column in steps.columns:
            _placed(steps, column)
    steps.leave_out([column for column in steps.columns if _is_moving_place(steps, column)])


def _placed(steps: Steps, column: Column) -> None:
    # takes all moving places out of the sum that this one is part of
    listing = steps.listing
    users = [user for user in steps.columns for law in user.laws if law == Same(column)]
    upper = _path_to_carry(steps, users[0]) if len(users) == 1 and listing.adds(users[0].proto) else None
    if upper is None:
        return
    last = upper[-1]
    begins = [user for user in steps.columns for law in user.laws if law == Before(last, 1)]
    path = _path_to_carry(steps, begins[0]) if len(begins) == 1 and listing.adds(begins[0].proto) else None
    if path is None or path[-1] is not last or users[0] not in path or not _only_inside(steps, path, but_last=True):
        return
    total = last.values[-1]
    carried: Column | int | None = last
    terms = []
    for link in path:
        for a, b in (link.laws, link.laws[::-1]):
            term = b.column if isinstance(b, Same) else None
            others = [user for user in steps.columns if user is not link and term and Same(term) in user.laws]
            if term and _is_moving_place(steps, term) and _can_be_stacked(term.laws[0]) and not others:
                terms.append(term)
                carried = _taken_out(steps, link, a, last)
                if isinstance(carried, Column):
                    last = carried
                break
        link.values = [None] * steps.length
    for term in terms:
        steps.columns.remove(term)
    if total is not None:
        steps.remainders[total] = Remainder(carried, tuple(terms))


def _is_moving_place(steps: Steps, column: Column) -> bool:
    # whether a column places a value elsewhere in each step
    listing = steps.listing
    if listing.operations[column.proto].primitive is not place or column.proto not in listing.parts:
        return False
    return column.part_at(listing, 0) != column.part_at(listing, 1)


def _can_be_stacked(law: Law) -> bool:
    return isinstance(law, (Same, Each)) or (isinstance(law, Before) and law.lag == 1)


def _path_to_carry(steps: Steps, column: Column) -> list[Column] | None:
    # the sums from this one to a carry, each a term of the next and used for nothing else
    path = [column]
    while True:
        here = path[-1]
        users = [user for user in steps.columns for law in user.laws if law == Same(here)]
        if not users:
            return path if len(steps.starts.get(here, ())) == 1 else None
        if here in steps.starts or len(users) > 1 or not steps.listing.adds(users[0].proto):
            return None
        path.append(users[0])


def _only_inside(steps: Steps, path: list[Column], but_last: bool = False) -> bool:
    # whether no value of these columns is used outside the loop; of the last column the last value may be
    made = steps.made()
    values = [x for column in path for x in column.values]
    values = values[:-1] if but_last else values
    return all(x is None or steps.listing.only_used_by(x, made) for x in values)


def _taken_out(steps: Steps, column: Column, rest: Law, last: Column) -> Column | int | None:
    # a sum is its other term from here on: what is carried now, or where nothing is, what it would start from
    steps.columns.remove(column)
    for other in steps.columns:
        other.laws = [rest if law == Same(column) else law for law in other.laws]
    if column is not last:
        return last
    before = steps.starts.pop(last)
    if isinstance(rest, Before):
        return before[0]
    assert isinstance(rest, Same)
    for other in steps.columns:
        other.laws = [Before(rest.column, 1) if law == Before(last, 1) else law for law in other.laws]
    steps.starts[rest.column] = before
    return rest.column
