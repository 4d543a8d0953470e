"""A graph written down as a list of operations in the order in which they were made, equal ones once.

    listing = Listing(graph)
    listing.operands[i]                    what operation i is applied to: numbers of operations, below 0 of leaves
    listing.kinds[i] == listing.kinds[j]   the same operation, whatever its operands are
    listing.marks(by_weights=True)         kinds that also tell one weight from another: what `repeats` looks at

Of `x[t]` and of its transpose, `place`, the number t is no part of the kind: `listing.parts[i]` is (x and the rest of
the index, t).
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from ...graph import Graph, Loop
from ...nodes import CONSTANT, Node
from ...primitives.elementwise import add
from ...primitives.structure import ALL, index, place
from ...primitives.text import params_key

__all__ = ["Listing", "Part", "alike"]

ANY = "t"  # stands in an index for the number that changes from step to step


class Part(NamedTuple):
    """One part of an array along an axis: `array[whole]` with `at` in the place of ANY."""

    array: int
    whole: tuple[Any, ...]
    at: int

    @property
    def axis(self) -> int:
        """The axis along which it is a part."""
        return self.whole.index(ANY)


class Listing:
    """What is known of a graph's nodes, by number. Leaves have numbers below 0."""

    def __init__(self, graph: Graph) -> None:
        self.operations: list[Node] = []
        self.leaves: list[Node] = []
        self.operands: list[tuple[int, ...]] = []
        self.kinds: list[int] = []
        self.parts: dict[int, Part] = {}
        self.part_at: dict[Part, int] = {}
        self.number: dict[Node, int] = {}
        known: dict[Any, int] = {}  # an operation and its operands -> its number
        kinds: dict[Any, int] = {}  # numbers of kinds, and of kinds with weights
        by_value = _repeated_constants(graph)
        for node in graph.nodes:
            if node.is_leaf:
                self.number[node] = self._leaf(node, known, by_value)
                continue
            operands = tuple([self.number[x] for x in node.inputs])
            params = tuple(params_key(node.params)) if node.params else ()
            operation = kinds.setdefault((node.primitive, params), len(kinds))
            number = self.number[node] = known.setdefault((operation, operands), len(self.operations))
            if number < len(self.operations):
                continue
            if node.primitive is index or node.primitive is place or node.shape is None:
                params = self._moving(number, node, operands, params)
            what = (node.primitive, params, node.shape, node.dtype, node.weak, len(operands))
            kind = kinds.setdefault(what, len(kinds))
            self.operations.append(node)
            self.operands.append(operands)
            self.kinds.append(kind)
        self.outputs = {self.number[y] for y in graph.outputs}
        self._list_users()

    def marks(self, by_weights: bool) -> np.ndarray[Any, np.dtype[np.int64]]:
        """What is equal for operations that may be the same in two steps: kinds, and which weights they use.

        Without `by_weights`, arrays of one shape are as good as each other: a list of arrays has one for each step.
        """
        found: dict[Any, int] = {}
        tokens: list[Any] = []
        for leaf in self.leaves:  # a number may be another in each step
            is_number = leaf.primitive is CONSTANT and leaf.shape == ()
            tokens.append((leaf.shape, leaf.dtype, leaf.weak) if is_number or not by_weights else len(tokens))
        marks = [
            found.setdefault((kind, *[tokens[-1 - x] if x < 0 else None for x in operands]), -1 - len(found))
            if operands and min(operands) < 0 else kind
            for kind, operands in zip(self.kinds, self.operands, strict=True)
        ]  # fmt: skip
        return np.array(marks, dtype=np.int64)

    def node(self, number: int) -> Node:
        """The node that a number stands for, the first of its equals."""
        return self.operations[number] if number >= 0 else self.leaves[-1 - number]

    def adds(self, number: int) -> bool:
        """Whether an operation is an addition."""
        return self.operations[number].primitive is add

    def users(self, number: int) -> list[int]:
        """The operations that a value is an operand of."""
        i = number + len(self.leaves)
        return self._users[self._first_user[i] : self._first_user[i + 1]]

    def only_used_by(self, number: int, users: set[int]) -> bool:
        """Whether nothing else uses a value, and it is no output."""
        return number not in self.outputs and users.issuperset(self.users(number))

    def _list_users(self) -> None:
        # one list, sorted by what is used: a list for each value would be a great many
        counts = np.fromiter(map(len, self.operands), np.int64, len(self.operands))
        used = np.fromiter(itertools.chain.from_iterable(self.operands), np.int64, int(counts.sum())) + len(self.leaves)
        self._users: list[int] = np.repeat(np.arange(len(counts)), counts)[np.argsort(used, kind="stable")].tolist()
        sizes = np.bincount(used, minlength=len(self.leaves) + len(counts))
        self._first_user: list[int] = [0, *np.cumsum(sizes).tolist()]

    def _leaf(self, node: Node, known: dict[Any, int], by_value: set[Any]) -> int:
        key: Any = node
        if node.primitive is CONSTANT and (kind := (node.shape, node.dtype, node.weak)) in by_value:
            key = (*kind, node.name, type(node.cached), np.asarray(node.cached).tobytes())
        number = known.get(key)
        if number is None:
            self.leaves.append(node)
            number = known[key] = -len(self.leaves)
        return number

    def _moving(self, number: int, node: Node, operands: tuple[int, ...], params: tuple[Any, ...]) -> tuple[Any, ...]:
        # the params without the number that may change from step to step; of loops, their structure
        if node.shape is None:
            return _structure(node.params["loop"])
        parts = node.params["index"]
        axis = next((i for i, part in enumerate(parts) if part != ALL), None)
        if axis is None or not isinstance(parts[axis], int):
            return params
        part = self.parts[number] = Part(operands[0], (*parts[:axis], ANY, *parts[axis + 1 :]), parts[axis])
        if node.primitive is index:
            self.part_at.setdefault(part, number)
        return part.whole


def alike(x: Node, y: Node) -> bool:
    """Whether a value can stand in another's place, as far as shapes and dtypes go."""
    return x.shape == y.shape and x.dtype == y.dtype and x.weak == y.weak


def _repeated_constants(graph: Graph) -> set[Any]:
    # shapes and dtypes of which there are several constants: those are compared by value
    counts: dict[Any, int] = {}
    for node in graph.nodes:
        if node.primitive is CONSTANT:
            kind = (node.shape, node.dtype, node.weak)
            counts[kind] = counts.get(kind, 0) + 1
    return {kind for kind, count in counts.items() if count > 1}


def _structure(loop: Loop) -> tuple[Any, ...]:
    # equal for two loops that do the same to their inputs
    nodes = loop.graph.nodes
    position = {node: i for i, node in enumerate(nodes)}
    operands = [tuple([position[x] for x in node.inputs]) for node in nodes]
    pairs = zip(nodes, operands, strict=True)
    lines = tuple([(n.primitive, n.shape, n.dtype, n.weak, xs, _inner(n)) for n, xs in pairs])
    ends = tuple(position[x] for x in (*loop.graph.inputs, *loop.graph.outputs))
    return lines, ends, loop.carries, loop.slices, loop.manner


def _inner(node: Node) -> Any:
    if node.primitive is CONSTANT:
        return np.asarray(node.cached).tobytes()
    return _structure(node.params["loop"]) if node.shape is None else tuple(params_key(node.params))
