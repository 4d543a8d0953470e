"""Random recurrent steps.

    cell = random_cell(137)
    cell.gradient(mg.scan)                 a function of arrays: the loss, its gradients, some of the results
    cell.gradient(loop)                    the same from a Python loop: what all other ways must equal

A cell has carries, sequences (integers and masks too), weights that its steps share, some thirty operations, and a loss
of some of its results. Carries may pass through, swap places, add up or be forgotten; results may be used twice or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.nodes import as_node

from .cell_operations import LARGEST, Draft, Instruction, Scan, operate

__all__ = ["Cell", "Term", "loop", "random_cell"]

Array = Any
Arrays = dict[str, Array]


def loop(
    step: Any, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """What scan must equal: the same step in a Python loop, each step a part of the graph."""
    if length is None:
        length = len(mg.tree_leaves(xs)[0])
    carry, ys = init, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, ys[t] = step(carry, mg.tree_map(lambda x, t=t: x[t], xs))
    if not length:  # nothing to stack: what the stacks would be is what a step on zeros says
        _, y = step(carry, mg.tree_map(lambda x: mg.zeros(x.shape[1:], x.dtype), xs))
        stacks = mg.tree_map(lambda y: mg.zeros((0, *np.shape(y)), as_node(y).dtype), y)
    else:
        stacks = mg.tree_map(lambda *rows: mg.stack([as_node(row) for row in rows]), *ys)
    return mg.tree_map(as_node, carry), stacks


@dataclass(frozen=True)
class Term:
    """A part of the loss: of one result, all of it, one of its steps, or its sum over the steps."""

    result: str
    kind: str
    weights: Array

    def __call__(self, results: dict[str, Any]) -> Any:
        value = results[self.result]
        if self.kind == "one":
            value = value[-1]
        elif self.kind == "total":
            value = mg.sum(value, axis=0) * 0.3
        return mg.sum(mg.sin(value) * self.weights)


@dataclass(frozen=True)
class Cell:
    """A step and the loop around it, as data: so that a part can be left out to see whether the rest still fails."""

    weights: Arrays
    carry: Arrays
    xs: Arrays
    outside: tuple[Instruction, ...]  # made from the weights before the loop
    inside: tuple[Instruction, ...]
    following: dict[str, str]  # carry -> the value that is the next one
    ys: tuple[str, ...]
    length: int
    reverse: bool
    twice: str  # the loop is run "once", "on" from where it ended, or "back" the other way
    terms: tuple[Term, ...]
    asked: tuple[str, ...]  # by which arguments the loss is differentiated
    shown: tuple[str, ...]  # which results are returned beside the loss

    @property
    def arguments(self) -> Arrays:
        return {**self.weights, **self.carry, **self.xs}

    @property
    def moving(self) -> Arrays:
        """The arguments that are floats."""
        return {name: a for name, a in self.arguments.items() if a.dtype.kind == "f"}

    @property
    def fixed(self) -> Arrays:
        """The arguments that are integers and booleans."""
        return {name: a for name, a in self.arguments.items() if a.dtype.kind != "f"}

    # ---- what it computes

    def results(self, scan: Scan, given: dict[str, Any]) -> dict[str, Any]:
        """Last carries and stacks, by name; those of the second run are marked by a prime."""
        values = {name: given[name] for name in self.weights}
        for instruction in self.outside:
            values[instruction.name] = instruction(scan, values)

        def step(carry: dict[str, Any], x: Any) -> Any:
            here = {**values, **carry, **(x or {})}
            for instruction in self.inside:
                here[instruction.name] = instruction(scan, here)
            return {name: here[new] for name, new in self.following.items()}, [here[name] for name in self.ys]

        start = {name: given[name] for name in self.carry}
        xs = {name: given[name] for name in self.xs} or None
        last, ys = scan(step, start, xs, self.length, self.reverse)
        found = {**last, **{f"y{i}": y for i, y in enumerate(ys)}}
        if self.twice != "once":
            start = last if self.twice == "on" else start
            last, ys = scan(step, start, xs, self.length, self.reverse ^ (self.twice == "back"))
            found.update({f"{name}'": value for name, value in last.items()})
            found.update({f"y{i}'": y for i, y in enumerate(ys)})
        return found

    def loss(self, scan: Scan) -> Callable[..., Any]:
        """(moving, fixed) -> the loss, and what is shown."""

        def run(moving: dict[str, Any], fixed: dict[str, Any]) -> Any:
            results = self.results(scan, {**moving, **fixed})
            total = 0.5 * mg.sum(mg.square(next(iter(moving.values()))))
            for term in self.terms:
                total = total + term(results)
            return total, {name: results[name] for name in self.shown}

        return run

    def gradient(self, scan: Scan) -> Callable[..., Any]:
        """(moving, fixed) -> the loss, what is shown, and the gradients that are asked for."""
        both = mg.value_and_grad(self.loss(scan), has_aux=True)

        def run(moving: dict[str, Any], fixed: dict[str, Any]) -> Any:
            (value, shown), slopes = both(moving, fixed)
            return {"loss": value, "results": shown, "gradient": {name: slopes[name] for name in self.asked}}

        return run

    def tangent(self, scan: Scan) -> Callable[..., Any]:
        """(moving, fixed) -> the derivatives of loss and shown floats along `self.direction`."""
        along = self.direction

        def run(moving: dict[str, Any], fixed: dict[str, Any]) -> Any:
            def floats(moving: dict[str, Any]) -> Any:
                value, shown = self.loss(scan)(moving, fixed)
                return {"loss": value, **{name: y for name, y in shown.items() if as_node(y).dtype.kind == "f"}}

            return mg.jvp(floats, (moving,), (along,))[1]

        return run

    def second(self, scan: Scan) -> Callable[..., Any]:
        """(moving, fixed) -> the Hessian of the loss times `self.direction`, as far as it is asked for."""
        along = self.direction

        def run(moving: dict[str, Any], fixed: dict[str, Any]) -> Any:
            product = mg.hvp(lambda moving: self.loss(scan)(moving, fixed)[0], (moving,), (along,))[1]
            return {name: product[name] for name in self.asked}

        return run

    def rows(self, scan: Scan) -> Callable[..., Any]:
        """(moving, fixed) -> a Jacobian and a Hessian by the first argument that is asked for; row by row for `loop`."""
        name = self.asked[0]

        def run(moving: dict[str, Any], fixed: dict[str, Any]) -> Any:
            def loss(a: Any) -> Any:
                return self.loss(scan)({**moving, name: a}, fixed)[0]

            def several(a: Any) -> Any:
                total, shown = self.loss(scan)({**moving, name: a}, fixed)
                floats = [mg.ravel(y)[:2] for y in shown.values() if as_node(y).dtype.kind == "f"]
                return mg.concatenate([mg.ravel(total), *floats])[:4]

            a, found = moving[name], {}
            if scan is not loop:
                found["jacobian"] = mg.jacobian(several)(a)
            else:
                y, pullback = mg.vjp(several, a)
                found["jacobian"] = mg.stack([pullback(row.astype(y.dtype))[0] for row in np.eye(y.size)])
            if a.size <= 4:
                units = [unit.reshape(a.shape).astype(a.dtype) for unit in np.eye(a.size)]
                by_rows = lambda: mg.stack([mg.hvp(loss, (a,), (unit,))[1] for unit in units])  # noqa: E731
                found["hessian"] = by_rows().reshape(*a.shape, *a.shape) if scan is loop and units else mg.hessian(loss)(a)
            return found

        return run

    @property
    def direction(self) -> Arrays:
        rng = np.random.default_rng(5)
        return {name: rng.uniform(-1, 1, a.shape).astype(a.dtype) for name, a in self.moving.items()}

    # ---- how it reads

    def __str__(self) -> str:
        def shapes(arrays: Arrays) -> str:
            return ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in arrays.items()) or "none"

        lines = [f"weights: {shapes(self.weights)}", *map(str, self.outside)]
        lines += [f"step, {self.length} times{', last to first' if self.reverse else ''}, {self.twice}:"]
        lines += [f"    carry: {shapes(self.carry)}", f"    xs: {shapes(self.xs)}"]
        lines += [f"    {line}" for line in self.inside]
        lines += [f"    next {name} = {value}" for name, value in self.following.items()]
        lines += [f"    y{i} = {name}" for i, name in enumerate(self.ys)]
        lines += ["loss: " + (", ".join(f"{term.kind} of {term.result}" for term in self.terms) or "of no result")]
        return "\n".join([*lines, f"asked: {', '.join(self.asked)}; shown: {', '.join(self.shown) or 'nothing'}"])


# ---------------------------------------------------------------------------------------------------------- to draw one


def random_cell(seed: int) -> Cell:
    """A cell, the same one for the same seed."""
    rng = np.random.default_rng([seed, 4])
    draft = Draft(rng)
    length = int(rng.choice([0, 1, 2, 3, 5, 9], p=[0.05, 0.1, 0.2, 0.25, 0.25, 0.15]))
    draft.weight((draft.hidden,))
    outside = _outside(draft)
    carry, xs = _carries(draft), _sequences(draft, length)
    first = len(draft.instructions)
    for _ in range(int(rng.choice([0, 2, 4, 8, 12, 16]))):
        operate(draft)
        if len(draft.instructions) > 30:
            break
    following = {name: _following(draft, name, list(carry), length) for name in carry}
    inside = tuple(draft.instructions[first:])
    values = [*carry, *xs, *draft.weights, *[i.name for i in inside], *[i.name for i in inside]]
    ys = tuple(draft.choice(values) for _ in range(int(rng.integers(0, 4))))
    cell = Cell(
        draft.weights, carry, xs, outside, inside, following, ys, length, bool(rng.random() < 0.3),
        str(rng.choice(["once", "on", "back"], p=[0.75, 0.15, 0.1])), (), (), (),
    )  # fmt: skip
    return _asked(draft, cell)


def _outside(draft: Draft) -> tuple[Instruction, ...]:
    # what is made from the weights before the loop: a closure that is no leaf
    for _ in range(int(draft.rng.choice([0, 0, 1, 2]))):
        operate(draft)
    return tuple(draft.instructions)


def _carries(draft: Draft) -> Arrays:
    rows, columns = draft.batch, draft.hidden
    kinds: list[tuple[str, Sequence[int]]] = [
        ("h", (rows, columns)), ("h", (rows, columns)), ("c", (rows, columns)), ("v", (columns,)), ("s", ()), ("n", ()),
    ]  # fmt: skip
    found: Arrays = {}
    for _ in range(int(draft.rng.choice([0, 1, 1, 2, 2, 3, 4]))):
        letter, shape = draft.choice(kinds)
        name = draft.leaf(f"{letter}{len(found)}_", shape, "int64" if letter == "n" else None, 1.5)
        draft.carried.add(name)
        found[name] = np.array(1) if letter == "n" else np.asarray(draft.rng.uniform(-1, 1, shape), draft.dtype)
        if draft.mixed and letter == "c":
            found[name] = found[name].astype("float32")
            draft.leaf(name, shape, "float32", 1.5)
    return found


def _sequences(draft: Draft, length: int) -> Arrays:
    rng, rows = draft.rng, draft.batch
    kinds: list[tuple[str, Sequence[int], str]] = [
        ("x", (rows, draft.inputs), draft.dtype), ("x", (rows, draft.inputs), draft.dtype), ("x", (draft.inputs,), draft.dtype),
        ("u", (), draft.dtype), ("ids", (rows,), "int64"), ("mask", (rows,), "bool"), ("x", (rows, draft.hidden), draft.dtype),
    ]  # fmt: skip
    found: Arrays = {}
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        letter, shape, dtype = draft.choice(kinds)
        name = draft.leaf(f"{letter}s{len(found)}", shape, dtype)
        full = (length, *shape)
        if dtype == "int64":
            found[name] = rng.integers(0, 5, full)
        else:
            found[name] = rng.random(full) < 0.6 if dtype == "bool" else rng.uniform(-1, 1, full).astype(dtype)
    return found


def _following(draft: Draft, name: str, carries: list[str], length: int) -> str:
    """The value that a carry has next: one as small as it, so that it stays so however many steps there are."""
    shape, dtype = draft.shape(name), draft.nodes[name].dtype
    others = [other for other in carries if draft.shape(other) == shape and draft.nodes[other].dtype == dtype]
    kind = draft.rng.random()
    if dtype.kind == "i":
        return name if kind < 0.2 else draft.add("({0} + 1) % 3", lambda n: (n + 1) % 3, name, bound=3.0)
    if kind < 0.25:
        return str(draft.choice(others))  # as it was, or another's
    alike = [n for n in draft.floats(lambda s: s == shape) if draft.nodes[n].dtype == dtype and n not in carries]
    value = draft.choice(alike[len(alike) // 2 :])
    if not value:
        source = draft.some()
        assert source
        value = draft.add("mean({1}) * 0.4 + {0} * 0.5", lambda c, a: (mg.mean(a) * 0.4 + c * 0.5).astype(dtype), name, source)
    if kind < 0.4 and value not in draft.carried and draft.bounds[value] * length < 3 * LARGEST:
        return draft.add("{0} + {1}", lambda c, a: c + a, name, value)
    if kind < 0.55:
        return draft.add("0.6 * {0} + tanh({1})", lambda c, a: 0.6 * c + mg.tanh(a), name, value)
    return value if draft.bounds[value] <= 1.5 and kind < 0.9 else draft.add("tanh", mg.tanh, value, bound=1.0)


def _asked(draft: Draft, cell: Cell) -> Cell:
    """The cell with its loss and what is asked of it: any of the results, any of the arguments."""
    rng = draft.rng
    results = mg.tree_map(as_node, cell.results(mg.scan, {name: mg.constant(a) for name, a in cell.arguments.items()}))
    floats = [name for name, node in results.items() if node.dtype.kind == "f"]
    terms = []
    for name in floats:
        while rng.random() < 0.45:  # none, one or several
            stacked = name.startswith("y")
            kind = str(rng.choice(["all", "one", "total"])) if stacked and cell.length else "all"
            shape = results[name].shape[kind != "all" :]
            terms.append(Term(name, kind, np.asarray(rng.normal(size=shape), results[name].dtype)))
    asked = tuple(name for name in cell.moving if rng.random() < 0.8) or tuple(cell.moving)[:1]
    shown = tuple(name for name in results if rng.random() < 0.35)
    return replace(cell, terms=tuple(terms), asked=asked, shown=shown)
