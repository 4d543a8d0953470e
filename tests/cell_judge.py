"""Every way to run a random cell, compared with one: the loop in Python, node by node, nothing rewritten.

    judge = Judge(subsets=8)
    judge.failure(cell, seed)              None, or what went wrong and where
    judge.report(cell, failure, seed)      as text: the smallest cell that fails in the same way

How close is close? Two right ways differ by rounding. How much that is, the reference itself tells: it is run again
with every intermediate value moved by a random unit in its last place, and what that changes is what rounding may change.
Results agree when they differ by no more than some times that, or by 1e-12 of the largest entry. Where rounding alone
changes more than 1e-12, it decides something in the cell (which of two equal values is larger), and the cell says nothing.
"""

from __future__ import annotations

import functools
import itertools
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.graph import Graph, topological
from minigrad.nodes import CONSTANT, as_node
from minigrad.primitives.text import function
from minigrad.pytree import flatten_with_paths
from minigrad.rewrites import PASSES, merge_loops, stages
from minigrad.source import module
from minigrad.writer import Writer

from .cell_drawing import Cell, loop
from .cell_operations import renamed
from .differences import STEP, directional
from .invariants import check_graph

__all__ = ["Failure", "Judge"]

Array = Any
Run = Callable[[], Any]

TOLERANCE = 1e-12
ROUNDINGS = 30  # how often what a unit in the last place changes
NARROW = 1e8  # float32 is so much coarser
EXACT = {  # what only moves or selects values does not round
    "absolute", "bare", "broadcast_to", "clip", "full", "gather", "index", "join", "max", "maximum", "min", "minimum",
    "negative", "order_statistic", "place", "positive", "relu", "reshape", "stack", "stop_gradient", "transpose", "where",
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One way to run a cell that does not give what the reference gives."""

    question: str  # gradient, tangent, second, rows, or consistency
    way: str
    problem: str

    def __str__(self) -> str:
        return f"{self.question}, {self.way}: {self.problem}"


@dataclass(frozen=True)
class Truth:
    """What the reference gives: the results by their paths, and by how much rounding may change each."""

    values: dict[str, Array]
    allowed: dict[str, float]
    certain: bool


def _checkpoints_work() -> bool:
    try:
        mg.scan(lambda c, x: (c + x, c), 0.0, np.ones(2), checkpoint=1)
    except ArgumentError:
        return False
    return True


class Judge:
    """Runs cells in all ways; `subsets` limits how many sets of rewrites are left out of each, None tries all."""

    def __init__(self, subsets: int | None = 8, always_without: tuple[str, ...] = ()) -> None:
        self.subsets, self.always = subsets, always_without
        self.passes = tuple(PASSES)
        self.checkpoints = _checkpoints_work()
        self.comparisons = self.skipped = 0

    # ---- one cell

    def failure(self, cell: Cell, seed: int = 0, only: tuple[str, str] | None = None) -> Failure | None:
        """The first way that does not give what the reference gives. `only` is (question, way)."""
        rng = np.random.default_rng([seed, 8])
        questions: dict[str, Any] = {"gradient": cell.gradient, "tangent": cell.tangent, "second": cell.second}
        if seed % 3 == 0:
            questions["rows"] = cell.rows
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "(invalid value|divide by zero)", RuntimeWarning)  # in branches not taken
            for question, asking in questions.items():
                if only and only[0] not in (question, "consistency"):
                    continue
                truth = reference(asking(loop), cell)
                if not truth.certain:
                    self.skipped += not only
                    return None
                for way, run in self.ways(question, asking, cell, rng, only and only[1]):
                    problem = self.problem(run, truth)
                    if problem:
                        return Failure(question, way, problem)
            problem = None if only and only[0] != "consistency" else inconsistency(cell, rng)
        return Failure("consistency", "scan, node by node", problem) if problem else None

    def problem(self, run: Run, truth: Truth) -> str | None:
        """What is wrong with one run; None where all is well."""
        self.comparisons += 1
        try:
            found = dict(flatten_with_paths(run())[0])
        except Exception:  # whatever it is, it is the finding
            return traceback.format_exc(limit=-6)
        return difference(found, truth)

    def ways(
        self, question: str, asking: Any, cell: Cell, rng: np.random.Generator, only: str | None = None
    ) -> Iterator[tuple[str, Run]]:
        """(name, run) for each way to answer a question about a cell, or for the one that is asked for."""
        given = cell.moving, cell.fixed
        subsets = list(self.sets_without(rng))
        for looped, how in self.loops(cell, rng):
            if only and not only.startswith(f"{looped}, "):
                continue
            try:
                graph = mg.trace(asking(how), *given)
            except Exception as error:
                yield f"{looped}, traced", functools.partial(_raise, error)
                return
            runs: dict[str, Run] = {f"{looped}, node by node": lambda graph=graph: checked(graph).evaluate(*given)}
            tried = subsets if looped == "scan" and question == "gradient" else subsets[:1] + subsets[-1:]
            for without in tried:
                name = f"{looped}, compiled" + (f" without {', '.join(without)}" if without else "")
                runs[name] = lambda graph=graph, without=without: compiled(graph, cell, without)
            if looped != "loop":
                runs[f"{looped}, unrolled"] = lambda graph=graph: checked(mg.unroll_scan(graph)).evaluate(*given)
            if looped == "scan":
                runs["scan, by transforms of arrays"] = lambda: asking(mg.scan)(*given)
                if not self.always:
                    runs["scan, mg.compile"] = lambda: mg.compile(asking(mg.scan))(*given)
            yield from [(way, run) for way, run in runs.items() if only in (None, way)]

    def loops(self, cell: Cell, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        yield "loop", loop
        yield "scan", mg.scan
        if self.checkpoints:
            for checkpoint in ("sqrt", int(rng.integers(1, max(cell.length, 1) + 2))):
                def how(step: Any, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False,
                        checkpoint: Any = checkpoint) -> Any:  # fmt: skip
                    here = len(mg.tree_leaves(xs)[0]) if length is None else length
                    every = checkpoint if checkpoint == "sqrt" else max(1, min(checkpoint, here))
                    return mg.scan(step, init, xs, length, reverse, every)

                yield f"checkpoint={checkpoint!r}", how

    def sets_without(self, rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
        """Sets of rewrites to leave out: none, all, and between them one, all but one, or some."""
        free = [name for name in self.passes if name not in self.always]
        every = [s for n in range(len(free) + 1) for s in itertools.combinations(free, n)]
        if self.subsets is not None and len(every) > self.subsets:
            chosen = {(): None}
            while len(chosen) < self.subsets - 1:
                count = int(rng.choice([1, len(free) - 1, rng.integers(1, len(free))]))
                taken = set(rng.permutation(free)[:count])
                chosen[tuple(name for name in free if name in taken)] = None
            every = [*chosen, every[-1]]
        for without in every:
            yield (*self.always, *without)

    # ---- what is reported

    def report(self, cell: Cell, failure: Failure, seed: int, smaller: bool = True) -> str:
        """The failure with the smallest cell that has it, its step's graph, and how to see it again."""
        small, tries = (self.smaller(cell, failure, seed) if smaller else (cell, 0))
        small_failure = self.failure(small, seed, (failure.question, failure.way)) or failure
        arguments = {name: mg.constant(a, name=name) for name, a in small.arguments.items()}
        graph = Graph([], mg.tree_leaves(mg.tree_map(as_node, small.results(mg.scan, arguments))))
        rule = "-" * 100
        return "\n".join([
            rule, f"cell {seed}: {small_failure}", f"{rule[:40]} the smallest cell found in {tries} tries",
            str(small), f"{rule[:40]} its graph", repr(graph), rule,
            f"again: python -m tests.random_cells --seed {seed}",
        ])  # fmt: skip

    def smaller(self, cell: Cell, failure: Failure, seed: int, most: int = 1500) -> tuple[Cell, int]:
        """The cell with parts left out, one after the other, as long as it fails in the same way."""
        only, tries = (failure.question, failure.way), 0
        found = True
        while found and tries < most:
            found = False
            for candidate in smaller_cells(cell):
                tries += 1
                try:
                    candidate.results(mg.scan, {name: mg.constant(a) for name, a in candidate.arguments.items()})
                    still = self.failure(candidate, seed, only)
                except Exception:  # not a cell any more: shapes that do not fit
                    continue
                if still is not None and kind_of(still) == kind_of(failure):
                    cell, found = candidate, True
                    break
        return cell, tries


def kind_of(failure: Failure) -> str:
    """A wrong value, or the name of an exception."""
    last = failure.problem.strip().splitlines()[-1]
    return last.split(":")[0] if failure.problem.startswith("Traceback") else "value"


def smaller_cells(cell: Cell) -> Iterator[Cell]:
    """Cells with one part less."""
    for length in range(cell.length):
        shorter = {name: array[:length] for name, array in cell.xs.items()}
        if length or not any(term.kind == "one" for term in cell.terms):
            terms = [t for t in cell.terms if not (t.result.startswith("y") and t.kind == "all")]
            yield replace(cell, length=length, xs=shorter, terms=tuple(terms))
    if cell.twice != "once":
        plain = tuple(term for term in cell.terms if not term.result.endswith("'"))
        yield replace(cell, twice="once", terms=plain, shown=tuple(s for s in cell.shown if not s.endswith("'")))
    if cell.reverse:
        yield replace(cell, reverse=False)
    for part in ("terms", "shown", "asked"):
        whole = getattr(cell, part)
        for i in range(len(whole)):
            if part != "asked" or len(whole) > 1:
                yield replace(cell, **{part: (*whole[:i], *whole[i + 1 :])})
    for i in reversed(range(len(cell.ys))):
        if not any(f"y{j}" in name for j in range(i, len(cell.ys)) for name in (*cell.shown, *[t.result for t in cell.terms])):
            yield replace(cell, ys=cell.ys[:i])
    yield from _without_instructions(cell)
    for part in ("carry", "xs", "weights"):
        for name in getattr(cell, part):
            if name not in _used(cell) and len(cell.moving) > 1:
                rest = {key: array for key, array in getattr(cell, part).items() if key != name}
                following = {key: value for key, value in cell.following.items() if key != name}
                asked = tuple(a for a in cell.asked if a != name)
                yield replace(cell, **{part: rest}, following=following, asked=asked or tuple(cell.moving)[:1])


def _used(cell: Cell) -> set[str]:
    used = {name for instruction in (*cell.outside, *cell.inside) for name in instruction.operands}
    used |= {value for name, value in cell.following.items() if value != name} | set(cell.ys)
    return used | {term.result for term in cell.terms} | set(cell.shown)


def _without_instructions(cell: Cell) -> Iterator[Cell]:
    # dead instructions all at once; else one less, an older value in the place of its result
    alive = {*cell.following.values(), *cell.ys}
    for instruction in reversed(cell.inside):
        if instruction.name in alive:
            alive.update(instruction.operands)
    living = tuple(instruction for instruction in cell.inside if instruction.name in alive)
    if len(living) < len(cell.inside):
        yield replace(cell, inside=living)
        return
    for i in reversed(range(len(cell.inside))):
        dead = cell.inside[i]
        for other in dict.fromkeys((*dead.operands, *cell.carry, *cell.xs, *cell.weights)):
            names = {dead.name: other}
            yield replace(
                cell, inside=tuple(renamed(instruction, names) for instruction in (*cell.inside[:i], *cell.inside[i + 1 :])),
                following={name: names.get(value, value) for name, value in cell.following.items()},
                ys=tuple(names.get(value, value) for value in cell.ys),
            )  # fmt: skip
    for name, value in cell.following.items():
        if value != name:  # a carry that passes through
            yield replace(cell, following={**cell.following, name: name})
    for i in reversed(range(len(cell.outside))):
        yield replace(cell, outside=(*cell.outside[:i], *cell.outside[i + 1 :]))


# ----------------------------------------------------------------------------------------------------- the reference


def reference(f: Any, cell: Cell) -> Truth:
    """The results of a function without loops, and how far rounding moves them: three runs of a walk of its nodes."""
    graph = mg.trace(f, cell.moving, cell.fixed)
    assert graph.out_structure is not None
    leaves = [*cell.moving.values(), *cell.fixed.values()]
    exact, *moved = [_walk(graph, leaves, rng) for rng in (None, np.random.default_rng(1), np.random.default_rng(2))]
    paths = [path for path, _ in flatten_with_paths(graph.out_structure.rebuild(exact))[0]]
    narrow = any(node.dtype == np.float32 for node in graph.nodes)
    values, allowed, certain = {}, {}, True
    for i, path in enumerate(paths):
        values[path] = exact[i]
        if exact[i].dtype.kind != "f":
            allowed[path] = 0.0
            certain &= all(np.array_equal(other[i], exact[i]) for other in moved)
            continue
        largest = float(np.max(np.abs(exact[i]), initial=0.0))
        noise = max(float(np.max(np.abs(other[i] - exact[i]), initial=0.0)) for other in moved)
        allowed[path] = TOLERANCE * largest * (NARROW if exact[i].dtype == np.float32 else 1) + ROUNDINGS * noise
        certain &= np.isfinite(largest) and noise <= TOLERANCE * max(largest, 1.0) * (NARROW if narrow else 1)
    return Truth(values, allowed, bool(certain))


def _walk(graph: Graph, leaves: Sequence[Array], rng: np.random.Generator | None) -> list[Array]:
    # each primitive's own text, one node after the other; with rng, floats are moved by a unit in the last place
    values = {node: np.float64(a) if node.weak else np.asarray(a) for node, a in zip(graph.inputs, leaves, strict=True)}
    for node in topological(graph.outputs):
        if node in values:
            continue
        if node.primitive is CONSTANT:
            values[node] = node.cached
            continue
        made = function(node.primitive, node.params, len(node.inputs))(*[values[x] for x in node.inputs])
        if rng is not None and node.dtype.kind == "f" and node.primitive.name not in EXACT:
            unit = np.finfo(node.dtype).eps
            made = (made * (1 + unit * rng.uniform(-1, 1, node.shape))).astype(node.dtype)
        values[node] = made
    return [np.array(values[y]) for y in graph.outputs]


def difference(found: dict[str, Array], truth: Truth) -> str | None:
    """The result that is furthest off, in words; None where all agree."""
    if list(found) != list(truth.values):
        return f"results {list(found)} instead of {list(truth.values)}"
    worst, says = 1.0, None
    for path, expected in truth.values.items():
        array = found[path]
        if not isinstance(array, (np.ndarray, mg.Node)):
            return f"{path} is {type(array).__name__}, no array"
        array = np.asarray(array)
        if array.shape != expected.shape or array.dtype != expected.dtype:
            return f"{path} is {array.dtype}{list(array.shape)} instead of {expected.dtype}{list(expected.shape)}"
        if expected.dtype.kind != "f":
            if not np.array_equal(array, expected):
                return f"{path} is\n{array}\ninstead of\n{expected}"
            continue
        error = float(np.max(np.abs(array - expected), initial=0.0)) if np.all(np.isfinite(array)) else np.inf
        ratio = error / max(truth.allowed[path], 1e-300)
        if ratio > worst:
            worst = ratio
            says = f"{path} is off by {error:.3g}, {ratio:.3g} times what rounding allows; it is\n{array}\ninstead of\n{expected}"
    return says


# ------------------------------------------------------------------------------------------------------ ways to run it


def _raise(error: Exception) -> None:
    raise error


def checked(graph: Graph) -> Graph:
    """The graph, if it is a valid one."""
    check_graph(graph)
    return graph


def compiled(graph: Graph, cell: Cell, without: tuple[str, ...]) -> Any:
    """The results of the generated source, which must stay what they are when it runs again on other arrays."""
    merged = made = merge_loops(graph)
    for name, after in stages(merged, without):
        made = after
        try:
            check_graph(made)
        except AssertionError as error:
            error.add_note(f"in the graph that {name} makes")
            raise
    source = module(Writer(made, "cell"))
    leaves = [np.array(a) for a in (*cell.moving.values(), *cell.fixed.values())]
    others = [a * 0.9 if a.dtype.kind == "f" else a for a in leaves]
    before = [a.copy() for a in leaves]
    results = source(*leaves)
    copies = [np.array(r) for r in results]
    source(*others)
    assert all(isinstance(r, np.ndarray) for r in results), f"results are {[type(r).__name__ for r in results]}"
    assert all(map(np.array_equal, leaves, before)), "an argument was written to"
    assert all(map(np.array_equal, results, copies)), "a later call changed what was handed out"
    for a, b in itertools.combinations([*results, *leaves], 2):
        assert a.size == 0 or b.size == 0 or any(a is x for x in leaves) or not np.shares_memory(a, b), "results share memory"
    assert graph.out_structure is not None
    again = source(*leaves)
    assert all(map(np.array_equal, again, copies)), "a later call gives something else"
    return graph.out_structure.rebuild(list(results))


def inconsistency(cell: Cell, rng: np.random.Generator) -> str | None:
    """Derivatives against differences, forward mode against reverse mode, the Hessian's symmetry; None if all is well."""
    moving, fixed = cell.moving, cell.fixed
    if any(a.dtype != np.float64 for a in moving.values()) or any("float32" in str(i) for i in cell.inside):
        return None
    f = lambda moving: cell.loss(mg.scan)(moving, fixed)[0]  # noqa: E731
    along, other = cell.direction, {name: rng.uniform(-1, 1, a.shape) for name, a in moving.items()}
    slope = dot(mg.grad(f)(moving), along)
    _, tangent = mg.jvp(f, (moving,), (along,))
    if abs(slope - float(tangent)) > 1e-11 * max(1.0, abs(slope)):
        return f"reverse mode gives {slope!r} along a direction, forward mode {float(tangent)!r}"
    if not stops(cell):
        graph = mg.trace(f, moving)
        expected, unsure = by_differences(graph, moving, along)
        if abs(slope - expected) > 1e-6 * max(1.0, abs(slope)) + unsure:
            return f"reverse mode gives {slope!r} along a direction, central differences {expected!r}"
    one, two = (mg.hvp(f, (moving,), (v,))[1] for v in (along, other))
    if abs(dot(one, other) - dot(two, along)) > 1e-9 * max(1.0, abs(dot(one, other))) and not stops(cell):
        return f"the Hessian is not symmetric: {dot(one, other)!r} and {dot(two, along)!r}"
    return None


def stops(cell: Cell) -> bool:
    """Whether a stop_gradient hides a part of the derivative on purpose."""
    return any("stop_gradient" in instruction.text for instruction in (*cell.inside, *cell.outside))


def by_differences(graph: Graph, moving: dict[str, Array], along: dict[str, Array]) -> tuple[float, float]:
    """The derivative along a direction by differences, and how unsure that is: at another step, and beside a kink."""

    def line(h: float) -> Array:
        return graph.evaluate({name: a + h * along[name] for name, a in moving.items()})

    def bend(h: float) -> float:
        return float(abs(line(h) - 2 * line(0.0) + line(-h)) / h)

    near, far = (float(directional(lambda h: line(float(h)), [np.array(0.0)], [np.array(scale)])) / scale for scale in (0.25, 1.0))
    kink = bend(STEP / 2) > 0.75 * bend(STEP) + 1e-7  # of a smooth function it halves with the step
    return near, np.inf if kink else 10 * abs(near - far)


def dot(a: dict[str, Array], b: dict[str, Array]) -> float:
    return float(sum(np.sum(np.asarray(a[name]) * np.asarray(b[name])) for name in a))
