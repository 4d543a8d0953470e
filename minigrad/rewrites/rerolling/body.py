"""A loop from its steps: the step as a graph of its own, and the `scan` node that repeats it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ...graph import Graph, Loop
from ...loop import scan_primitive, stand_in
from ...nodes import CONSTANT, SYMBOL, Node
from ...primitives.structure import full, pick
from ...reverse import cast_to
from .listing import Listing, Part
from .names import called, called_as_carry, moving, starred
from .steps import Before, Column, Each, Law, Same, Steps
from .streams import Sources

__all__ = ["Results", "Values", "build_loop"]


class Values(Protocol):
    """What stands outside for the values of the list."""

    sources: Sources
    listing: Listing
    results: dict[Steps, Results]

    def value(self, number: int) -> Node:
        """What stands for a value."""

    def array(self, values: Sequence[int], dtype: np.dtype[Any], turned: bool = False) -> Node:
        """A row of values as an array."""


class Results:
    """What a loop gives, by column: its last value, its values stacked, and those of one step before stacked."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.stacked: dict[Column, Node | None] = {}
        self.previous: dict[Column, Node | None] = {}
        self.last: dict[Column, Node] = {}
        self.body: dict[Column, Node] = {}
        self.slices: list[tuple[list[int], Node]] = []  # what comes from outside, and the symbol for it
        self.reverse = False

    def place(self, step: int) -> int:
        """Where the value of a step stands in a stack."""
        return self.steps.length - 1 - step if self.reverse else step

    def stack(self, column: Column, before: bool = False) -> Node:
        """A column's values, or those of one step before, as an array."""
        array = (self.previous if before else self.stacked)[column]
        assert array is not None
        return array

    def nodes(self) -> Iterator[Node]:
        """All nodes that were made for the loop."""
        yield from self.body.values()
        yield from self.last.values()


def build_loop(values: Values, results: Results) -> None:
    """Make the scan node, and fill in what it gives."""
    steps = results.steps
    if not steps.columns:  # all that it did is done outside
        return
    results.reverse = _goes_backward(values, steps)
    step = _Step(values, results)
    for column in steps.columns:
        results.body[column] = step.node(column)
    following = [results.body[column] if lag == 1 else step.carries[column, lag - 1] for column, lag in step.carries]
    ys = [results.body[column] for column in results.stacked] + [step.carries[column, 1] for column in results.previous]
    inputs = [*step.carries.values(), *step.slices.values(), *step.closures.values()]
    loop = Loop(Graph(inputs, [*following, *ys]), len(step.carries), len(step.slices), steps.length, results.reverse)
    outside = [step.start(column, lag) for column, lag in step.carries]
    outside += [*step.arrays.values(), *[values.value(number) for number in step.closures]]
    like = results.body[steps.columns[-1]]
    node = Node(scan_primitive, tuple(outside), {"loop": loop}, None, None, like=like)
    around = like.scope.split("=*")[0].rpartition("/")[0] if "=*" in like.scope else like.scope
    node.name, node.scope, node.cotangent_of = None, around, None
    types = loop.result_types()
    picks = [Node(pick, (node,), {"position": i}, *types[i], like=node) for i in range(len(types))]
    for (column, lag), result in zip(step.carries, picks, strict=False):
        if lag == 1:
            results.last[column] = _called_like(result, values.listing, column.values[-1], step.moving)
    stacks = picks[len(following) :]
    results.stacked = dict(zip(results.stacked, stacks, strict=False))
    results.previous = dict(zip(results.previous, stacks[len(results.stacked) :], strict=True))


def _called_like(made: Node, listing: Listing, number: int | None, keys: Container[str]) -> Node:
    if number is not None:
        node = listing.node(number)
        made.name, made.origin, made.cotangent_of = node.name, node.origin, node.cotangent_of
        made.scope = starred(node.scope, keys)
    return made


def _goes_backward(values: Values, steps: Steps) -> bool:
    # whether most arrays are taken from their end; the scopes decide between equals
    votes = 0
    for law in steps.each:
        stream = values.sources.stream(law.values)
        if stream is not None:
            turned = not isinstance(stream.source, Part) and values.results[stream.source[0]].reverse
            votes += 1 if (stream.stride > 0) != turned else -1
    if votes:
        return votes < 0
    return any(after < before for before, after in moving(steps).values())


class _Step:
    """One step as a graph: symbols for what comes in, and a node for each column."""

    def __init__(self, values: Values, results: Results) -> None:
        self.values, self.results, self.steps = values, results, results.steps
        self.moving = moving(self.steps)
        self.carries: dict[tuple[Column, int], Node] = {}
        self.slices: dict[Any, Node] = {}
        self.arrays: dict[Any, Node] = {}
        self.closures: dict[int, Node] = {}
        for column, before in self.steps.starts.items():
            like, name = values.listing.node(column.proto), called_as_carry(values.sources, self.steps, column)
            for lag in range(1, len(before) + 1):
                self.carries[column, lag] = self.symbol(like, like.shape, like.dtype, name)

    def node(self, column: Column) -> Node:
        """The operation of a column."""
        proto = self.values.listing.node(column.proto)
        inputs = tuple([self.operand(law, proto.dtype) for law in column.laws])
        made = Node(proto.primitive, inputs, proto.params, proto.shape, proto.dtype, proto.weak, like=proto)
        names = {self.values.listing.node(x).name for x in column.values if x is not None}
        made.scope = starred(self.values.listing.node(column.under).scope, self.moving)
        made.name = proto.name if len(names) == 1 else None
        return made

    def operand(self, law: Law, dtype: np.dtype[Any]) -> Node:
        """What stands in the step for what a law gives."""
        if isinstance(law, Same):
            return self.results.body[law.column]
        if isinstance(law, Before):
            return self.carries[law.column, law.lag]
        if isinstance(law, Each):
            return self.slice(law, dtype)
        outside = self.values.value(law.value)
        if outside.primitive is CONSTANT and outside.weak:
            return outside
        if law.value not in self.closures:
            self.closures[law.value] = stand_in(outside)
        return self.closures[law.value]

    def slice(self, law: Each, dtype: np.dtype[Any]) -> Node:
        """The symbol for what comes from outside at each step."""
        like = self.values.listing.node(law.values[0])
        key = (tuple(law.values), dtype if like.weak else None)
        if key not in self.slices:
            array = self.values.array(law.values, dtype, self.results.reverse)
            self.arrays[key] = array
            self.slices[key] = self.symbol(like, array.shape[1:], array.dtype, self.slice_name(law))
            self.results.slices.append((law.values, self.slices[key]))
        return self.slices[key]

    def symbol(self, like: Node, shape: tuple[int, ...], dtype: Any, name: str) -> Node:
        """A symbol of the step's own."""
        made = Node(SYMBOL, (), {}, shape, dtype, like=like)
        made.name, made.scope, made.cotangent_of = name, starred(like.scope, self.moving), None
        return made

    def start(self, column: Column, lag: int) -> Node:
        """What a carry starts from; a sum of which nothing is known starts from what changes nothing."""
        number, like = self.steps.starts[column][lag - 1], self.values.listing.node(column.proto)
        if number is None:
            return full(shape=like.shape, value=-0.0 if like.dtype.kind == "f" else 0, dtype=like.dtype)
        return cast_to(self.values.value(number), like.dtype)

    def slice_name(self, law: Each) -> str:
        """What a slice is called: x where the array is called xs, else after its node."""
        stream = self.values.sources.stream(law.values)
        if stream is not None and isinstance(stream.source, Part):
            array = self.values.listing.node(stream.source.array)
            if array.is_leaf and array.name:
                return array.name.removesuffix("s") or array.name
        return called(self.values.sources, law.values[len(law.values) // 2])
