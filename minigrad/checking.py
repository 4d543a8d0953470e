"""Are the gradients right? Reverse and forward mode, to any order, against differences of the function's values.

    check_gradients(fn, x)                 raises GradientCheckError at the worst entry; else reports how close it came

Every entry is moved by h to both sides, h being the cube root of the machine epsilon relative to the entry's size:
larger, and the function's curvature spoils the quotient; smaller, and rounding does. For order 2 the same is done once
more, with the gradient in the place of the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import ArgumentError, DtypeError, GradientCheckError, GradientError, explain
from .evaluation import Plan
from .forward import push
from .graph import Graph
from .nodes import Node, constant
from .primitives.structure import zeros_like
from .reverse import accumulate
from .rewrites import merge_loops
from .tracing import call_on_symbols, flatten_arguments, symbols_like

__all__ = ["GradientReport", "check_gradients"]

Vector = np.ndarray[Any, np.dtype[np.float64]]
Line = Callable[[float], tuple[Vector, Vector]]  # h -> the values there, and the sizes of what they are sums of


class Comparison(NamedTuple):
    """One derivative, by minigrad and by differences. `ratio` is the error over what rounding and step allow."""

    kind: str
    where: str
    found: float
    expected: float
    step: float
    ratio: float
    verdict: str


class GradientReport(NamedTuple):
    """What `check_gradients` found where all is well: how many derivatives agree, and the one that is furthest off."""

    compared: int
    worst: Comparison | None

    def __str__(self) -> str:
        if self.worst is None:
            return "nothing to compare: all arguments or all results are empty"
        return (
            f"{self.compared:,} derivatives agree with central differences; furthest off: the {self.worst.kind} at "
            f"{self.worst.where}, {self.worst.found:.9g} and {self.worst.expected:.9g}"
        )


def check_gradients(
    fn: Callable[..., Any], *args: Any, order: int = 2, entries: int | None = None, seed: int = 0
) -> GradientReport:
    """Compare the derivatives of `fn(*args)` with central differences; raise at the worst entry that disagrees.

    `args` and what `fn` returns are pytrees; integers and booleans in them are left alone. In each order, reverse mode
    is checked entry by entry of the arguments (for several results, of their sum under random weights), forward mode
    entry by entry of the results (along a random direction). `entries` limits how many entries of each argument are
    moved, chosen by `seed`; all by default, which takes four evaluations each.

    Raises GradientCheckError: "wrong", or "kink" where the derivative lies between the one-sided differences, and
    those do not approach each other as the step is halved; GradientError, DtypeError where there is nothing to check.

    >>> import minigrad as mg, numpy as np
    >>> print(mg.check_gradients(lambda x: mg.tanh(x).sum(), np.array([0.1, -2.0])).compared)
    7
    """
    if not callable(fn):
        raise ArgumentError(explain("check_gradients", f"expected a function, got {type(fn).__name__}"))
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ArgumentError(explain("check_gradients", f"order is a whole number, 1 or more, got {order!r}"))
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        found = _compared(_traced(fn, args), order, entries, rng)
    worst = max(found, key=lambda comparison: comparison.ratio, default=None)
    return GradientReport(len(found), worst)


def _traced(fn: Callable[..., Any], args: Sequence[Any]) -> _Function:
    pairs, structure = flatten_arguments(fn, args, {})
    symbols = symbols_like(pairs)
    results, _ = call_on_symbols(fn, symbols, structure)
    leaves = [np.asarray(leaf) if isinstance(leaf, Node) else leaf for _, leaf in pairs]
    moving = [i for i, symbol in enumerate(symbols) if symbol.dtype.kind == "f"]
    if not moving:
        given = ", ".join(f"{s.name}: {s.dtype}" for s in symbols) or "none"
        raise DtypeError(explain("check_gradients", f"no argument is floating point ({given})", instead="3.0, not 3"))
    named = [(f"result{'.' if path[:1] not in ('', '[') else ''}{path}", y) for path, y in results]
    outputs = [(name, y) for name, y in named if y.dtype.kind == "f"]
    if not outputs:
        raise GradientError(explain("check_gradients", "no result is floating point", [y for _, y in results]))
    return _Function(symbols, leaves, moving, outputs)


def _compared(function: _Function, order: int, entries: int | None, rng: np.random.Generator) -> list[Comparison]:
    # all derivatives up to the order; raises at the first order in which one is bad
    chosen = _chosen(function, entries, rng)
    found: list[Comparison] = []
    for level in range(1, order + 1):
        of = "" if level == 1 else f" of order {level}"
        results = int(function.outputs.starts[-1])
        weights = np.ones(1) if results == 1 else _random_signs(rng, results)
        gradient = function.gradient(weights)
        slopes = gradient.here
        moved = [_by_reverse_mode(function, k, slopes[k], weights, f"gradient{of} (vjp)") for k in chosen]
        sizes = function.own.copy()
        sizes[chosen] = [comparison.step / _step(function.eps) for comparison in moved]
        direction = _random_signs(rng, len(sizes)) * sizes
        found += [*moved, *_by_forward_mode(function, direction, f"tangent{of} (jvp)")]
        _raise_the_worst(found)
        function = gradient
    return found


def _chosen(function: _Function, entries: int | None, rng: np.random.Generator) -> list[int]:
    # which entries are moved: all, or so many of each argument
    if entries is None:
        return list(range(len(function.point)))
    parts = [range(a, b) for a, b in zip(function.inputs.starts, function.inputs.starts[1:], strict=False)]
    return [int(k) for part in parts for k in rng.permutation(part)[:entries]]


def _raise_the_worst(found: Sequence[Comparison]) -> None:
    bad = [comparison for comparison in found if comparison.verdict != "right"]
    if not bad:
        return
    # reverse mode goes first: it names an entry of the arguments, not of the results
    worst = max(bad, key=lambda found: (found.verdict == "wrong", found.kind.endswith("(vjp)"), found.ratio))
    kin = [comparison for comparison in found if comparison.kind == worst.kind]
    count = sum(comparison.verdict != "right" for comparison in kin)
    says = {
        "wrong": f"the {worst.kind} is wrong at {worst.where}",
        "kink": f"the function has a kink at {worst.where}, where the {worst.kind} is one of many",
        "undefined": f"the function is not finite beside {worst.where}, so that the {worst.kind} cannot be checked",
    }
    instead = {
        "wrong": "leave out of the check what stop_gradient hides on purpose; else the rule of a primitive is wrong",
        "kink": "check at another point, further from the kink than the step",
        "undefined": "check at another point, further inside the function's domain than the step",
    }
    problem = (
        f"{says[worst.verdict]}\n  minigrad: {worst.found:.9g}, central differences: {worst.expected:.9g},"
        f" step {worst.step:.3g}\n  {count} of {len(kin)} entries disagree; this one is worst"
    )
    raise GradientCheckError(explain("check_gradients", problem, instead=instead[worst.verdict]))


# ---------------------------------------------------------------------------------------------- the function, flat


class _Layout:
    """Named arrays seen as one vector of float64: where each lies, what its entries are called, and back again."""

    def __init__(self, paths: Sequence[str], nodes: Sequence[Node]) -> None:
        self.paths, self.nodes = paths, nodes
        self.starts = np.cumsum([0, *[math.prod(node.shape) for node in nodes]])

    def join(self, arrays: Sequence[Any]) -> Vector:
        return np.concatenate([np.ravel(array).astype(np.float64) for array in arrays])

    def parts(self, vector: Vector) -> list[Vector]:
        return [vector[a:b] for a, b in zip(self.starts, self.starts[1:], strict=False)]

    def split(self, vector: Vector) -> list[Any]:
        return [
            np.float64(part[0]) if node.weak else part.reshape(node.shape).astype(node.dtype)
            for part, node in zip(self.parts(vector), self.nodes, strict=True)
        ]

    def name(self, k: int) -> str:
        leaf = int(np.searchsorted(self.starts, k, side="right")) - 1
        index = np.unravel_index(k - self.starts[leaf], self.nodes[leaf].shape)
        return self.paths[leaf] + (f"[{', '.join(map(str, index))}]" if index else "")


class _Function:
    """A traced function, seen as a function from a vector to a vector."""

    def __init__(
        self, symbols: Sequence[Node], leaves: Sequence[Any], moving: Sequence[int], outputs: Sequence[tuple[str, Node]]
    ) -> None:
        self.symbols, self.leaves, self.moving = symbols, leaves, moving
        self.wrt, self.results = [symbols[i] for i in moving], [y for _, y in outputs]
        self.inputs = _Layout([str(s.name) for s in self.wrt], self.wrt)
        self.outputs = _Layout([path for path, _ in outputs], self.results)
        self.point = self.inputs.join([leaves[i] for i in moving])
        self.plan = self.planned(self.results)
        self.eps = _coarsest(Graph(symbols, self.results))
        self.here = self.at(self.point)
        # of each entry: its own size, and that of the largest entry of its array (1 in an array of zeros)
        own = np.abs(self.point)
        largest = [np.full(len(part), part.max(initial=0.0) or 1.0) for part in self.inputs.parts(own)]
        self.typical = np.concatenate(largest)
        self.own = np.where(own > 0, own, self.typical)

    def planned(self, nodes: Sequence[Node]) -> Plan:
        graph = merge_loops(Graph(self.symbols, nodes))
        return Plan(graph.inputs, graph.outputs)

    def run(self, plan: Plan, point: Vector) -> list[Any]:
        leaves = list(self.leaves)
        for i, part in zip(self.moving, self.inputs.split(point), strict=True):
            leaves[i] = part
        return plan.run(leaves)

    def at(self, point: Vector) -> Vector:
        return self.outputs.join(self.run(self.plan, point))

    def gradient(self, weights: Vector) -> _Function:
        """The gradient of the results' weighted sum: reverse mode, and what the next order is checked on."""
        seeds = [constant(u) for u in self.outputs.split(weights)]
        found = accumulate(list(zip(self.results, seeds, strict=True)), self.wrt)
        nodes = [zeros_like(s) if g is None else g for s, g in zip(self.wrt, found, strict=True)]
        paths = [f"d/d({path})" for path in self.inputs.paths]
        return _Function(self.symbols, self.leaves, self.moving, list(zip(paths, nodes, strict=True)))

    def tangent(self, direction: Vector) -> Vector:
        """The derivative of the results along a direction: forward mode."""
        seeds = {s: constant(v) for s, v in zip(self.wrt, self.inputs.split(direction), strict=True)}
        moved = push(self.results, seeds)
        nodes = [zeros_like(y) if t is None else t for y, t in zip(self.results, moved, strict=True)]
        return self.outputs.join(self.run(self.planned(nodes), self.point))


def _coarsest(graph: Graph) -> float:
    # the machine epsilon of the least precise dtype that the function computes in
    graphs, eps = [graph], 0.0
    while graphs:
        graph = graphs.pop()
        graphs += graph.subgraphs()
        floats = {node.dtype for node in graph.nodes if node.dtype is not None and node.dtype.kind == "f"}
        eps = max([eps, *[float(np.finfo(dtype).eps) for dtype in floats]])
    return eps


# ------------------------------------------------------------------------------------------------- the comparisons


def _by_reverse_mode(function: _Function, k: int, slope: float, weights: Vector, kind: str) -> Comparison:
    # entry k is moved alone; the results are weighted by the cotangent that the gradient was taken for
    def terms(h: float) -> Vector:
        moved = function.point.copy()
        moved[k] += h
        return weights * function.at(moved)

    def line(h: float) -> tuple[Vector, Vector]:
        now = terms(h) if h else here
        return (now - here)[depend].sum(keepdims=True), np.abs(now)[depend].sum(keepdims=True)

    # The entry's own size says how far it may be moved. Where so small a step tells nothing, a larger one may.
    step = _step(function.eps)
    sizes = dict.fromkeys([function.own[k], function.typical[k], max(1.0, 10 * step * function.own[k])])
    here = weights * function.here
    depend = terms(step * max(sizes)) != here  # what stays the same adds nothing to the sum, and no rounding either
    quotients = []
    for size in sizes:
        quotients.append(_Quotient(line, step * size, function.eps, at=abs(function.point[k])))
        if quotients[-1].tells(slope, step):
            break
    best = min(quotients, key=lambda quotient: float(quotient.uncertainty[0]))
    return best.judge([function.inputs.name(k)], np.array([slope]), kind, step)[0]


def _by_forward_mode(function: _Function, direction: Vector, kind: str) -> list[Comparison]:
    # all entries are moved at once, each in proportion to its size; every result is compared
    def line(h: float) -> tuple[Vector, Vector]:
        values = function.at(function.point + h * direction)
        return values, np.abs(values)

    step = _step(function.eps)
    names = [function.outputs.name(j) for j in range(function.outputs.starts[-1])]
    return _Quotient(line, step, function.eps).judge(names, function.tangent(direction), kind, step)


def _step(eps: float) -> float:
    return float(np.cbrt(eps))


def _random_signs(rng: np.random.Generator, count: int) -> Vector:
    # none of them near 0, so that nothing is weighted away
    return np.asarray(rng.uniform(0.5, 1.0, count) * rng.choice([-1.0, 1.0], count))


class _Quotient:
    """Difference quotients along a line, for each result: at a step, and at half of it."""

    def __init__(self, line: Line, step: float, eps: float, at: float = 1.0) -> None:
        here, ahead, behind, half_ahead, half_behind = [line(h) for h in (0.0, step, -step, step / 2, -step / 2)]
        self.step = step
        self.central = (ahead[0] - behind[0]) / (2 * step)
        self.halved = (half_ahead[0] - half_behind[0]) / step
        self.right, self.left = (ahead[0] - here[0]) / step, (here[0] - behind[0]) / step
        self.half_right, self.half_left = 2 * (half_ahead[0] - here[0]) / step, 2 * (here[0] - half_behind[0]) / step
        self.gap, self.half_gap = np.abs(self.right - self.left), np.abs(self.half_right - self.half_left)
        # rounding, of the values and of the points that they are taken at
        self.noise = 8 * eps * (np.maximum(ahead[1], behind[1]) + at * np.nan_to_num(self.half_gap, posinf=0.0)) / step
        change = np.abs(self.halved - self.central)
        self.uncertainty = np.where(np.isfinite(change), change + self.noise, np.inf)

    def tells(self, slope: float, tolerance: float) -> bool:
        """Whether this step decides the matter: the slope agrees, and not only because rounding hides all."""
        expected, error, allowed = (float(array[0]) for array in self.compared(np.array([slope]), tolerance))
        return error <= allowed and float(self.noise[0]) <= tolerance * max(abs(slope), abs(expected))

    def compared(self, slope: Vector, tolerance: float) -> tuple[Vector, Vector, Vector]:
        """The quotient that comes closest to the slope, the error, and the error that is allowed."""
        extrapolated = (4 * self.halved - self.central) / 3  # cancels the square of the step
        candidates = np.stack([self.central, self.halved, extrapolated])
        errors = np.abs(candidates - slope)
        best = np.argmin(np.where(np.isnan(errors), np.inf, errors), axis=0)
        expected = np.take_along_axis(candidates, best[None], axis=0)[0]
        size = np.maximum(np.where(np.isfinite(slope), np.abs(slope), 0.0), np.abs(expected))
        # where the slope itself bends, as that of relu(x)² at 0, quotients approach it no faster than the step
        unsettled = np.where(self.half_gap <= 0.75 * self.gap, np.abs(self.halved - self.central), 0.0)
        return expected, np.abs(expected - slope), tolerance * size + self.noise + unsettled

    def judge(self, names: Sequence[str], slope: Vector, kind: str, tolerance: float) -> list[Comparison]:
        """Each slope beside its quotient. Errors up to the tolerance and the noise of rounding are right."""
        expected, error, allowed = self.compared(slope, tolerance)
        kink = self.kink(slope, allowed)
        made = []
        for j, name in enumerate(names):
            if not np.isfinite(expected[j]):
                ratio, verdict = math.inf, "undefined"
            elif error[j] <= allowed[j]:
                ratio, verdict = float(error[j] / allowed[j]) if error[j] else 0.0, "right"
            else:
                ratio = float(error[j] / allowed[j]) if np.isfinite(error[j]) else math.inf
                verdict = "kink" if kink[j] else "wrong"
            made.append(Comparison(kind, name, float(slope[j]), float(expected[j]), self.step, ratio, verdict))
        return made

    def kink(self, slope: Vector, allowed: Vector) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Where the slope lies between the one-sided quotients, and their gap does not halve with the step."""
        low, high = np.minimum(self.half_left, self.half_right), np.maximum(self.half_left, self.half_right)
        between = (low - allowed <= slope) & (slope <= high + allowed)
        return between & (self.half_gap > 0.75 * self.gap) & (self.half_gap > allowed)
