"""The graph again, with loops in the place of their steps.

    rebuilt(graph, sources)                every loop that `sources` knows of is a `scan` node
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...graph import Graph, rebuild
from ...nodes import CONSTANT, Node, as_node
from ...primitives.structure import ALL, broadcast_to, index, join, place, reshape, stack, transpose
from ...primitives.text import Cut
from ...reverse import cast_to
from .body import Results, build_loop
from .listing import Part
from .names import moving, starred
from .steps import Before, Column, Each, Remainder, Same, Shared, Steps
from .streams import Place, Sources, Stream

__all__ = ["rebuilt"]

TOGETHER = 4  # items of a stack that are taken as one array

Item = int | Steps  # a value outside of all loops, or a loop


def rebuilt(graph: Graph, sources: Sources) -> Graph:
    """The graph with the loops in it; the graph itself where there is nothing to do."""
    builder = _Builder(sources)
    if not sources.loops and not any(builder.is_collection(item) for item in range(len(sources.listing.operations))):
        return graph
    number = sources.listing.number
    wanted = [item for y in graph.outputs for item in builder.single(number[y])]
    for item in builder.order(wanted):
        builder.build(item)
    outputs = [builder.value(number[y]) for y in graph.outputs]
    builder.name_cotangents()
    return Graph(graph.inputs, outputs, graph.in_structure, graph.out_structure)


class _Builder:
    """Values by their numbers in the list, as nodes of the new graph."""

    def __init__(self, sources: Sources) -> None:
        self.sources, self.listing = sources, sources.listing
        self.results = {steps: Results(steps) for steps in sources.loops}
        self.remainders = {x: (steps, found) for steps in sources.loops for x, found in steps.remainders.items()}
        self.shared = {law.value: steps for steps in sources.loops for column in steps.columns
                       for law in column.laws if isinstance(law, Shared)}  # fmt: skip
        self.made: dict[int, Node] = {}
        self.rows: dict[tuple[Node, int], Node] = {}  # single values out of stacks
        self.cut: dict[tuple[int, ...], list[list[int]]] = {}

    # ---- what needs what

    def order(self, wanted: Sequence[Item]) -> list[Item]:
        """All that has to be built, each item behind what it needs; the loops learn which results are asked of them."""
        done: list[Item] = []
        started: set[Item] = set()
        pending: list[tuple[Item | None, Iterator[Item]]] = [(None, iter(wanted))]
        while pending:
            item, rest = pending[-1]
            following = next((x for x in rest if x not in started), None)
            if following is not None:
                started.add(following)
                pending.append((following, iter(self.needs(following))))
            else:
                pending.pop()
                if item is not None:
                    done.append(item)
        return done

    def needs(self, item: Item) -> list[Item]:
        """What an item is made from."""
        if isinstance(item, Steps):
            rows: list[Sequence[int]] = [law.values for law in item.each]
            single = [law.value for column in item.columns for law in column.laws if isinstance(law, Shared)]
            single += [x for before in item.starts.values() for x in before if x is not None]
        elif item in self.remainders:
            steps, (carried, terms) = self.remainders[item]
            placed = [x.laws[0] for x in terms if isinstance(x, Column)]
            self.results[steps].stacked.update({law.column: None for law in placed if isinstance(law, Same)})
            self.results[steps].previous.update({law.column: None for law in placed if isinstance(law, Before)})
            rows = [law.values for law in placed if isinstance(law, Each)]
            single = [x for x in (carried, *terms) if isinstance(x, int)]
            return [steps, *self.all_of(rows, single)]
        elif item < 0:
            return []
        else:
            operands = self.listing.operands[item]
            rows, single = ([operands], []) if self.is_collection(item) else ([], list(operands))
        return self.all_of(rows, single)

    def is_collection(self, item: int) -> bool:
        """Whether an operation puts many values together, of which arrays are there."""
        node, operands = self.listing.operations[item], self.listing.operands[item]
        if node.primitive not in (stack, join) or any(x.weak or x.shape != node.inputs[0].shape for x in node.inputs):
            return False
        return len(self.segments(operands)) < len(operands)

    def all_of(self, rows: Sequence[Sequence[int]], single: Sequence[int]) -> list[Item]:
        """Where rows of values and single values come from."""
        return [x for row in rows for x in self.several(row)] + [x for number in single for x in self.single(number)]

    def single(self, number: int) -> list[Item]:
        """Where one value comes from."""
        found = self.sources.place(number)
        if found is None:
            return [number]
        if not _is_last(found):
            self.results[found.steps].stacked[found.column] = None
        return [found.steps]

    def several(self, values: Sequence[int]) -> list[Item]:
        """Where a row of values comes from."""
        if len(set(values)) == 1:
            return self.single(values[0])
        stream = self.sources.stream(values)
        if stream is None:
            segments = self.segments(values)
            if len(segments) < len(values):
                return [x for row in segments for x in self.several(row)]
            return [x for number in values for x in self.single(number)]
        if isinstance(stream.source, Part):
            return self.single(stream.source.array)
        steps, column = stream.source
        results = self.results[steps]
        (results.previous if stream.is_before(len(values)) else results.stacked)[column] = None
        return [steps]

    def segments(self, values: Sequence[int]) -> list[list[int]]:
        """A row of values cut where another stream begins; one by one where that would not make few of many."""
        key = tuple(values)
        if key not in self.cut:
            found = list(self.cut_into_streams(values)) if len(set(values)) > 1 else [list(values)]
            self.cut[key] = found if 2 * len(found) < len(values) else [[x] for x in values]
        return self.cut[key]

    def cut_into_streams(self, values: Sequence[int]) -> Iterator[list[int]]:
        """A row of values, cut where another stream begins."""
        start = 0
        while start < len(values):
            stop = start + TOGETHER
            stream = self.sources.stream(values[start:stop]) if stop <= len(values) else None
            if stream is None:
                stop = start + 1
            else:
                while stop < len(values) and self.sources.at(stream, stop - start) == values[stop]:
                    stop += 1
                stop -= self.sources.stream(values[start:stop]) is None  # a start and a last value are in two stacks
            yield list(values[start:stop])
            start = stop

    # ---- nodes

    def build(self, item: Item) -> None:
        """Make the node of an item; what it needs is there."""
        if isinstance(item, Steps):
            build_loop(self, self.results[item])
            return
        node = self.listing.node(item)
        made = self.node(item)
        keys = moving(self.shared[item]) if item in self.shared else {}
        scope = starred(node.scope, keys)  # what all steps share belongs to none of them
        if made is node and item >= 0 and scope != node.scope:
            made = Node(node.primitive, node.inputs, node.params, node.shape, node.dtype, node.weak, like=node)
        if made not in self.listing.number:
            made.name, made.scope, made.origin, made.cotangent_of = node.name, scope, node.origin, node.cotangent_of
        self.made[item] = made

    def node(self, item: int) -> Node:
        """The node for a value that is in no loop."""
        node = self.listing.node(item)
        if item < 0:
            return node
        if item in self.remainders:
            return self.whole_sum(*self.remainders[item])
        operands = self.listing.operands[item]
        if self.is_collection(item):
            return self.collection(node, operands)
        return rebuild(node, [self.value(x) for x in operands])

    def value(self, number: int) -> Node:
        """What stands for a value."""
        found = self.sources.place(number)
        if found is None:
            return self.made[number]
        results = self.results[found.steps]
        if _is_last(found):
            return results.last[found.column]
        array, at = results.stack(found.column), results.place(found.step)
        if (array, at) not in self.rows:
            node = self.listing.node(number)
            self.rows[array, at] = Node(index, (array,), {"index": (at,)}, node.shape, node.dtype, like=node)
        return self.rows[array, at]

    def array(self, values: Sequence[int], dtype: np.dtype[Any], turned: bool = False) -> Node:
        """A row of values as an array with a leading axis, the last first if turned; bare numbers get this dtype."""
        if len(set(values)) == 1:
            value = self.value(values[0])
            return broadcast_to(value, shape=(len(values), *value.shape))
        stream = self.sources.stream(values)
        if stream is None:
            segments = self.segments(values)
            if len(segments) < len(values):
                rows = [self.array(row, dtype, turned) for row in segments]
                return join(*(rows[::-1] if turned else rows), axis=0)
            nodes = [self.value(x) for x in values]
            nodes = nodes[::-1] if turned else nodes
            if all(x.primitive is CONSTANT for x in nodes):
                return as_node(np.stack([np.asarray(x.cached, dtype=dtype if x.weak else x.dtype) for x in nodes]))
            return stack(*nodes, axis=0)
        if turned:
            stream = stream._replace(first=stream.first + (len(values) - 1) * stream.stride, stride=-stream.stride)
        if not isinstance(stream.source, Part):
            return self.rows_of(stream, len(values))
        array, part = self.value(stream.source.array), stream.source
        cut = _cut(stream.first, stream.stride, len(values), array.shape[part.axis])
        taken = (*part.whole[: part.axis], cut, *part.whole[part.axis + 1 :])
        if any(x != ALL for x in taken):
            array = index(array, index=taken)
        axes = (part.axis, *[a for a in range(len(array.shape)) if a != part.axis])
        return transpose(array, axes=axes) if part.axis else array

    def rows_of(self, stream: Stream, count: int) -> Node:
        """Rows of what a loop stacks."""
        assert not isinstance(stream.source, Part)
        steps, column = stream.source
        results = self.results[steps]
        before = stream.is_before(count)
        array = results.stack(column, before)
        stride = -stream.stride if results.reverse else stream.stride
        cut = _cut(results.place(stream.first + before), stride, count, steps.length)
        return array if cut == ALL else index(array, index=(cut,))

    def collection(self, node: Node, values: Sequence[int]) -> Node:
        """A stack, or a join, of values of many steps."""
        axis = node.params["axis"]
        whole = _moved_to(cast_to(self.array(values, node.dtype), node.dtype), axis)
        return whole if node.primitive is stack else reshape(whole, shape=node.shape)

    def whole_sum(self, steps: Steps, remainder: Remainder) -> Node:
        """A sum of which the loop adds up only a part, or nothing."""
        carried, results = remainder.carried, self.results[steps]
        parts = [self.placed(results, x) if isinstance(x, Column) else self.value(x) for x in remainder.terms]
        if carried is not None:
            parts.insert(0, results.last[carried] if isinstance(carried, Column) else self.value(carried))
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def placed(self, results: Results, column: Column) -> Node:
        """The parts of an array that a column gives, as the array."""
        node, part, law = self.listing.operations[column.proto], self.listing.parts[column.proto], column.laws[0]
        if isinstance(law, Each):
            array = self.array(law.values, node.dtype, results.reverse)
        else:
            assert isinstance(law, (Same, Before))
            array = results.stack(law.column, isinstance(law, Before))
        count, axis = results.steps.length, part.axis
        first, following, last = (column.part_at(self.listing, results.place(u)) for u in (0, 1, count - 1))
        if following < first:
            array = index(array, index=(Cut(None, None, -1),))
        cut = _cut(min(first, last), abs(following - first), count, node.shape[axis])
        places = (*part.whole[:axis], cut, *part.whole[axis + 1 :])
        array = _moved_to(array, axis)
        return array if all(x == ALL for x in places) else place(array, shape=node.shape, index=places)

    def name_cotangents(self) -> None:
        """A cotangent is called after its node, whatever became of it."""
        slices = {x: symbol for results in self.results.values() for values, symbol in results.slices for x in values}
        made = [node for results in self.results.values() for node in results.nodes()]
        made += [*self.made.values(), *self.rows.values()]
        for node in made:
            about = node.cotangent_of
            number = None if about is None or node in self.listing.number else self.listing.number.get(about)
            if number is None:
                continue
            found = self.sources.place(number)
            new = slices.get(number, self.made.get(number))
            new = new if found is None else self.results[found.steps].body.get(found.column)
            node.cotangent_of = about if new is None or new is node else new


def _is_last(found: Place) -> bool:
    # whether a value is the last that a carry has
    return found.column in found.steps.starts and found.step == found.steps.length - 1


def _cut(first: int, stride: int, count: int, size: int) -> Cut:
    # the slice that takes first, first + stride, ...
    if (first, stride, count) == (0, 1, size):
        return ALL
    stop = first + stride * count
    start = None if first == (0 if stride > 0 else size - 1) else first
    end = None if (stop >= size if stride > 0 else stop < 0) else stop
    return Cut(start, end, None if stride == 1 else stride)


def _moved_to(array: Node, axis: int) -> Node:
    # the first axis put where `axis` is
    return transpose(array, axes=(*range(1, axis + 1), 0, *range(axis + 1, len(array.shape)))) if axis else array
