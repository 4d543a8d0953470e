"""What a graph costs, counted from its shapes before anything runs.

    found = costs(graph)
    found.products, found.passes           calls of NumPy that multiply matrices, and that go over arrays by entries
    found.flops, found.moved               floating-point operations, and bytes read and written
    found.loops[0].step.passes             the same of one step of a loop
    found.memory, found.buffers            bytes and number of the arrays that a call makes and keeps to its end

What is counted is what the generated source does, line by line: `schedule` says where values are computed in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .expressions import LITERAL_SIZE, Text
from .graph import Graph, Loop, bytes_of, topological, with_steps
from .memory import Memory
from .nodes import CONSTANT, Node, Shape
from .primitives.structure import join, pick, reshape, stack, transpose
from .primitives.text import ATOM, has_out_form, is_uniform
from .schedule import Plan, bases_of, schedule, shifted_stacks
from .work import Work, kind_of, read_by, total, work_of
from .writer import count_uses

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
    4 where no float is wider than float32, else 8.
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
    itemsize = 8 if max(floats, default=0) > 4 else 4
    return Costs(work, outside, tuple(level.loops), level.buffers, level.memory, itemsize)


def _is_turned(x: Node) -> bool:
    # a stack that is used with its second axis first, and so is laid out that way
    return x.primitive is transpose and x.params["axes"][:2] == (1, 0) and x.inputs[0].primitive is pick


# --------------------------------------------------------------------------------------------------------- one level

INLINED = Text("...", ATOM, ())  # of what is written inside another expression


class _Level:
    """A graph, or the step of a loop: its work by kind, the loops in it, and the memory that it takes."""

    def __init__(self, graph: Graph, plan: Plan | None = None, steps: int = 1) -> None:
        self.works: dict[str, list[Work]] = {}
        self.loops: list[LoopCosts] = []
        self.buffers = self.memory = 0
        self.literals: set[Node] = set()  # arrays that are made at the beginning of the call, wherever they are used
        self.plan, self.steps, self.inside = plan or Plan(), steps, plan is not None
        self.memory_kept = None if self.inside else Memory(graph, "counted")  # which memory is free when
        self.outputs = set(graph.outputs)
        given, numbers = set(graph.inputs), set[Node]()
        self.nodes = [node for node in topological(graph.outputs) if node not in given]
        self.uses, self.foreign = count_uses(self.nodes, graph.outputs)
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
            elif not node.is_leaf and node.primitive is not pick and node not in self.plan.placed:
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
        elif self.memory_kept is not None and self.memory_kept.is_large(node):
            if any(self.memory_kept.is_free(x, node, self.uses) for x in node.inputs):
                self.memory_kept.replacing.add(node)
            else:
                self.allocate(node.shape, node.dtype, [node], node)
        else:
            self.memory += 0 if node.primitive.view and kind_of(node) != "copies" else bytes_of(node)
            if self.memory_kept is not None and self.uses[node] == 1 and node not in self.foreign:
                self.memory_kept.texts[node] = INLINED

    def allocate(self, shape: Shape, dtype: Any, values: Sequence[Node] | None, at: Node, turned: bool = False) -> None:
        """An array to be filled by `at`: fresh where the caller gets it, else in memory that is free, if there is."""
        source = "empty"
        if values is not None and self.memory_kept is not None:
            if turned:
                shape = (shape[1], shape[0], *shape[2:])
            _, source = self.memory_kept.allocate(shape, dtype, values, self.memory_kept.position[at], "kept")
            if turned and source == "empty":
                self.memory_kept.kept.pop()
        self.add("views", Work(views=turned + (source != "empty")))
        if source == "empty":
            self.buffers += 1
            self.memory += math.prod(shape) * dtype.itemsize

    def copy(self, node: Node) -> None:
        """A value is written to where it is wanted."""
        self.add("copies", Work(passes=1, moved=2 * bytes_of(node)))

    def constant(self, node: Node) -> None:
        """A small array is written as a literal: made where it is used, or once for all uses."""
        value = node.cached
        repeated = self.inside or any(node in set(loop.inputs) for loop in self.nodes if loop.shape is None)
        if node.weak or not value.ndim or not (is_uniform(value) or value.size <= LITERAL_SIZE):
            return
        if not repeated and self.uses.get(node, 0) < 2 and (is_uniform(value) or not node.name):
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
        picks = [x for x in self.nodes if x.primitive is pick and x.inputs[0] is node]
        handed_out = {p.params["position"] for p in picks if p in self.outputs}
        turned = {x.inputs[0].params["position"] for x in self.nodes if _is_turned(x) and x.inputs[0].inputs[0] is node}
        shifted = shifted_stacks(loop, set(range(n, len(outputs))) - handed_out - turned)
        for i, y in enumerate(outputs[n:], start=n):
            if y not in plan.rows and i not in shifted.values():
                inner.copy(y)
        carries = tuple(x.name or "carry" for x in symbols[:n])
        self.loops += [LoopCosts(carries, inner.steps, loop.reverse, inner.kinds), *inner.loops]
        self.literals |= inner.literals
        self.buffers += inner.buffers
        self.memory += inner.memory
        in_rows = {i for i in range(n) if not bases_of(outputs[i]).isdisjoint(plan.rows)}
        ends = [p for p in picks if p.params["position"] in in_rows]
        for i, (shape, dtype) in enumerate(loop.result_types()[n:], start=n):
            mine = [p for p in picks if p.params["position"] in (i, shifted.get(i))]
            values = None if i in handed_out else [*ends, *mine]
            if i in shifted:  # one array has both, and starts with the carry's first value
                self.allocate((shape[0] + 1, *shape[1:]), dtype, values, node)
                self.add("copies", Work(passes=1, moved=2 * bytes_of(outputs[i])))
                self.add("views", Work(views=2))
            elif i not in shifted.values():
                self.allocate(shape, dtype, values, node, values is not None and i in turned)
        for v in plan.buffers:
            if v not in plan.rows:
                self.allocate(v.shape, v.dtype, (), node)
