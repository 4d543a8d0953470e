"""What a graph costs, counted from its shapes before anything runs.

    found = costs(graph)
    found.products, found.passes           calls of NumPy that multiply matrices, and that go over arrays by entries
    found.flops, found.moved               floating-point operations, and bytes read and written
    found.loops[0].step.passes             the same of one step of a loop
    found.memory, found.buffers            bytes and number of the arrays that a call makes and keeps to its end

What is counted is what the generated source does, line by line: `schedule` says where values are computed in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .expressions import LITERAL_SIZE
from .graph import Graph, Loop, topological, with_steps
from .memory import LARGE
from .nodes import CONSTANT, Node
from .primitives.linear_algebra import matmul
from .primitives.structure import join, pick, reshape, stack, transpose
from .primitives.text import has_out_form, is_uniform
from .schedule import Plan, bytes_of, schedule
from .work import Work, kind_of, read_by, total, work_of

__all__ = ["Costs", "LoopCosts", "costs"]


class LoopCosts(NamedTuple):
    """What a loop costs. `kinds` is the work of one step by kind; `steps` how many are run in all."""

    carries: tuple[str, ...]
    steps: int
    reverse: bool
    kinds: Mapping[str, Work]

    @property
    def step(self) -> Work:
        """The work of one step; that of loops inside it is their own."""
        return total(self.kinds.values())

    def __str__(self) -> str:
        order = ", last to first" if self.reverse else ""
        return f"loop of {', '.join(self.carries) or 'no carry'}: {self.steps:,} steps{order}"


class Costs(NamedTuple):
    """What a graph costs in all; `outside` is the work outside of loops by kind, `loops` that of the loops.

    `memory` counts the bytes of the arrays that a call makes: stacks, buffers, results, and what is between, in one
    step of each loop; some of it is given back earlier. `buffers` are the arrays made once to be filled. `itemsize` is
    that of the widest floats that are computed with: 4 for float32.
    """

    work: Work
    outside: Mapping[str, Work]
    loops: tuple[LoopCosts, ...]
    buffers: int
    memory: int
    itemsize: int

    @property
    def products(self) -> int:
        """Calls that multiply or factor matrices."""
        return self.work.products

    @property
    def passes(self) -> int:
        """Calls that go over arrays entry by entry."""
        return self.work.passes

    @property
    def views(self) -> int:
        """Calls that look at an array in another way."""
        return self.work.views

    @property
    def calls(self) -> int:
        """Products and passes."""
        return self.work.calls

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return self.work.flops

    @property
    def moved(self) -> int:
        """Bytes of all operands and results."""
        return self.work.moved


def costs(graph: Graph) -> Costs:
    """What the source of this very graph costs, as it is, when it runs: no rewrite is taken.

    >>> import minigrad as mg, numpy as np
    >>> found = costs(mg.trace(lambda w, x: mg.tanh(w @ x), np.ones((3, 4)), np.ones(4)))
    >>> found.products, found.passes, found.flops
    (1, 1, 27)
    """
    level = _Level(graph)
    outside = level.kinds
    work = total([*outside.values(), *[loop.step.times(loop.steps) for loop in level.loops]])
    floats = [v.dtype.itemsize for v in with_steps(graph) if v.shape is not None and v.dtype.kind == "f" and not v.weak]
    itemsize = max([4, *floats])
    return Costs(work, outside, tuple(level.loops), level.buffers, level.memory, itemsize)


def _is_turned(x: Node) -> bool:
    # a stack that is used with its second axis first, and so is laid out that way
    return x.primitive is transpose and x.params["axes"][:2] == (1, 0) and x.inputs[0].primitive is pick


# --------------------------------------------------------------------------------------------------------- one level


class _Level:
    """A graph, or the step of a loop: its work by kind, the loops in it, and the memory that it takes."""

    def __init__(self, graph: Graph, plan: Plan | None = None, steps: int = 1) -> None:
        self.works: dict[str, list[Work]] = {}
        self.loops: list[LoopCosts] = []
        self.buffers = self.memory = 0
        self.literals: set[Node] = set()  # arrays that are made at the beginning of the call, wherever they are used
        self.plan, self.steps, self.inside = plan or Plan(), steps, plan is not None
        self.outputs = set(graph.outputs)
        given, numbers = set(graph.inputs), set[Node]()
        self.nodes = [node for node in topological(graph.outputs) if node not in given]
        self.uses: dict[Node, int] = {}
        for node in self.nodes:
            for x in node.inputs:
                self.uses[x] = self.uses.get(x, 0) + 1
        buffers = set(self.plan.buffers)
        for node in self.nodes:
            if node.shape is None:
                self.loop(node)
            elif node in buffers:
                self.add("views", Work(views=node in self.plan.rows))
                self.fill(node, whole=True)
            elif node.primitive is CONSTANT:
                self.constant(node)
                numbers.update([node] if node.shape == () else [])
            elif node.shape == () and node.inputs and numbers.issuperset(node.inputs):
                numbers.add(node)  # Python computes it
            elif node.primitive is not pick and node not in self.plan.placed:
                self.node(node)
        if not self.inside:
            self.add("copies", Work(passes=len(self.literals), moved=read_by(self.literals)))
            for y in graph.outputs:
                self.result(y, graph.outputs)

    @property
    def kinds(self) -> dict[str, Work]:
        """The work by kind, without the work of the loops."""
        kinds = {kind: total(works) for kind, works in self.works.items()}
        return {kind: work for kind, work in kinds.items() if any(work)}

    def add(self, kind: str, work: Work) -> None:
        """Add work of a kind."""
        self.works.setdefault(kind, []).append(work)

    def node(self, node: Node) -> None:
        """A node that is computed as an expression."""
        self.add(kind_of(node), work_of(node))
        if node in self.plan.rows:
            in_place = has_out_form(node.primitive)
            self.add("views", Work(views=1))
            if not in_place:
                self.copy(node)
        elif not node.primitive.view or kind_of(node) == "copies":
            kept = self.is_kept(node)
            self.buffers += kept and not self.is_in_place(node)
            self.memory += 0 if kept and self.is_in_place(node) else bytes_of(node)

    def copy(self, node: Node) -> None:
        """A value is written to where it is wanted."""
        self.add("copies", Work(passes=1, moved=2 * bytes_of(node)))

    def constant(self, node: Node) -> None:
        """A small array is written as a literal: made where it is used, or once for all uses."""
        value = node.cached
        if node.weak or not value.ndim or not (is_uniform(value) or value.size <= LITERAL_SIZE):
            return
        if self.uses.get(node, 0) < 2 and (is_uniform(value) or not node.name):
            self.add("copies", Work(passes=1, moved=value.nbytes))
        else:
            self.literals.add(node)

    def fill(self, v: Node, whole: bool = False) -> None:
        """A joined array whose parts are computed in their places."""
        placed = self.plan.placed
        if v.primitive in (stack, join) and (whole or v in placed):
            for x in v.inputs:
                single = x in placed and x.primitive is reshape and v.primitive is join
                self.fill(x.inputs[0] if single else x)
        elif v in placed:
            nested = [x for x in v.inputs if x in placed]
            for x in nested:
                self.fill(x, whole)
            self.add(kind_of(v), work_of(v))
            self.add("views", Work(views=not whole))
        else:
            self.copy(v)

    def is_kept(self, node: Node) -> bool:
        """Whether a value lies in memory that is kept for the next call."""
        known = node.primitive is matmul or has_out_form(node.primitive)
        return not self.inside and known and bool(node.shape) and bytes_of(node) >= LARGE and node not in self.outputs

    def is_in_place(self, node: Node) -> bool:
        """Whether such a value takes the place of an operand that nothing else needs."""
        return node.primitive is not matmul and any(
            x.shape == node.shape and x.dtype == node.dtype and self.uses[x] == 1 and self._own(x) for x in node.inputs
        )

    def _own(self, x: Node) -> bool:
        while x.primitive.view and x.inputs and self.uses.get(x) == 1:
            x = x.inputs[0]
        return self.uses.get(x) == 1 and not x.is_leaf and x.primitive is not pick and self.is_kept(x)

    def result(self, y: Node, outputs: Sequence[Node]) -> None:
        """What the caller gets is copied where it could be part of something else."""
        once = sum(other is y for other in outputs) == 1
        fresh = once and not y.is_leaf and not y.primitive.view and y.shape != ()
        if y.primitive is pick:
            fresh = once and y.params["position"] >= y.inputs[0].params["loop"].carries
        if not fresh:
            self.copy(y)
            self.memory += bytes_of(y)

    def loop(self, node: Node) -> None:
        """A loop in this graph, and those inside it."""
        loop: Loop = node.params["loop"]
        n, symbols, outputs = loop.carries, loop.graph.inputs, loop.graph.outputs
        plan = schedule(loop)
        inner = _Level(loop.graph, plan, self.steps * loop.length)
        inner.add("views", Work(views=loop.slices))
        for y in outputs[n:]:
            if y not in plan.rows:
                inner.copy(y)
        carries = tuple(x.name or "carry" for x in symbols[:n])
        self.loops += [LoopCosts(carries, inner.steps, loop.reverse, inner.kinds), *inner.loops]
        self.add("views", Work(views=sum(_is_turned(x) and x.inputs[0].inputs[0] is node for x in self.nodes)))
        own = [v for v in plan.buffers if v not in plan.rows]
        self.literals |= inner.literals
        self.buffers += len(outputs) - n + len(own) + inner.buffers
        stacks = loop.length * sum(bytes_of(y) for y in outputs[n:])
        self.memory += inner.memory + stacks + sum(bytes_of(v) for v in own)
