"""Walk a graph with values. Nothing is generated: each primitive's own NumPy text, one node after the other.

    evaluate([y, dw], {x: array})          NumPy arrays, in the pytree that was asked for
    value_of(node)                         of a node without free symbols, worked out once

`Plan` is the walk written down, so that a loop can take it again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import AllocationError, FeedError, FreeSymbolError, NonFiniteError, explain
from .graph import Graph, Loop, free_symbols, topological
from .nodes import SYMBOL, Node, as_node, own_array
from .primitives.structure import pick
from .primitives.text import function
from .pytree import flatten

__all__ = ["Plan", "evaluate", "value_of"]


class Plan:
    """The steps that give `outputs` from the values of `inputs`.

    A step is (node, function, slots of its operands, slot of its result, slots that nobody needs afterwards).
    """

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        nodes = topological(outputs)
        self.position = {node: i for i, node in enumerate(nodes)}
        self.inputs = [self.position.get(node, -1) for node in inputs]
        self.outputs = [self.position[node] for node in outputs]
        self.values: list[Any] = [None] * len(nodes)  # constants are here from the start
        self.steps: list[tuple[Node, Any, list[int], int, list[int]]] = []
        given = set(inputs)
        last_use: dict[int, int] = {}
        picked = _picked(nodes)
        for i, node in enumerate(nodes):
            if node in given:
                continue
            if node.primitive is SYMBOL:
                raise _free_symbol(node, outputs)
            if node.cached is not None:
                self.values[i] = node.cached
                continue
            sources = [self.position[x] for x in node.inputs]
            if node.shape is None:
                call: Any = LoopPlan(node.params["loop"], picked[node])
            else:
                call = function(node.primitive, node.params, len(sources))
            last_use.update(dict.fromkeys(sources, len(self.steps)))
            self.steps.append((node, call, sources, i, []))
        kept = {*self.outputs, *self.inputs}
        for source, step in last_use.items():
            if source not in kept and nodes[source].cached is None:
                self.steps[step][4].append(source)

    def run(self, values: Sequence[Any], check_finite: bool = False) -> list[Any]:
        """The outputs for these values of the inputs."""
        slots = self.values.copy()
        for position, value in zip(self.inputs, values, strict=True):
            if position >= 0:
                slots[position] = value
        for node, call, sources, target, done in self.steps:
            operands = [slots[i] for i in sources]
            if check_finite:
                slots[target] = call(*operands, check_finite=True) if node.shape is None else call(*operands)
                check(node, slots[target], operands)
            else:
                slots[target] = call(*operands)
            for i in done:
                slots[i] = None
        return [slots[i] for i in self.outputs]


class LoopPlan:
    """A loop's plan: (carry, xs, closures) -> (last carry, stacks). Stacks that nobody picks are None."""

    def __init__(self, loop: Loop, picked: set[int]) -> None:
        self.loop = loop
        self.stacked = [i for i in range(loop.carries, len(loop.graph.outputs)) if i in picked]
        outputs = [loop.graph.outputs[i] for i in (*range(loop.carries), *self.stacked)]
        self.step = Plan(loop.graph.inputs, outputs)

    def __call__(self, *operands: Any, check_finite: bool = False) -> list[Any]:
        loop, carries = self.loop, self.loop.carries
        carry = list(operands[:carries])
        xs, closures = operands[carries : carries + loop.slices], operands[carries + loop.slices :]
        stacks = self.empty()
        for rounds, t in enumerate(reversed(range(loop.length)) if loop.reverse else range(loop.length), start=1):
            try:
                results = self.step.run([*carry, *[x[t] for x in xs], *closures], check_finite)
            except NonFiniteError as error:
                where = f"chunk {t}" if loop.recompute else f"step t={t}"
                raise NonFiniteError(f"{error}\n  in {where} of a loop of {loop.length}") from None
            carry = results[:carries]
            for stack, result in zip(stacks, results[carries:], strict=True):
                stack[t] = result
            if loop.progress is not None:
                loop.progress(rounds)
        whole = [*carry, *[None] * (len(loop.graph.outputs) - carries)]
        for i, stack in zip(self.stacked, stacks, strict=True):
            whole[i] = stack
        return whole

    def empty(self) -> list[Any]:
        """Room for the stacks; AllocationError where there is not enough."""
        types = self.loop.result_types()
        try:
            return [np.empty(*types[i]) for i in self.stacked]
        except MemoryError as error:
            raise out_of_memory("scan", error) from None


def out_of_memory(operation: str, error: MemoryError) -> AllocationError:
    """The error for an array that is too large: mostly the stack of something that all steps of a loop have made."""
    instead = (
        "a step that returns None for a y that nobody needs; for the gradient of a long loop, "
        'mg.scan(..., checkpoint="sqrt")'
    )
    return AllocationError(explain(operation, str(error), instead=instead))


def _picked(nodes: Sequence[Node]) -> dict[Node, set[int]]:
    # which of their results the loops are asked for
    picked: dict[Node, set[int]] = {}
    for node in nodes:
        if node.primitive is pick:
            picked.setdefault(node.inputs[0], set()).add(node.params["position"])
    return picked


# ------------------------------------------------------------------------------------------------- values of nodes


def evaluate(outputs: Any, feeds: Mapping[Node, Any] | None = None, check_finite: bool = False) -> Any:
    """The values of nodes, as NumPy arrays; `feeds` gives the symbols theirs.

    `outputs` is a node or a pytree of nodes; arrays come back in the same pytree. A fed array has the symbol's shape
    and dtype; a Python number will do for a 0-d float. With `check_finite=True`, the first node that makes a NaN or
    an infinity raises NonFiniteError, which names it, its operands' ranges, its scope and the line that made it.

    Raises FeedError: a symbol without its value, a value without its symbol, a value that does not fit.

    >>> import minigrad as mg
    >>> x = mg.symbol("x", shape=(2,))
    >>> y = mg.sum(x * x)
    >>> mg.evaluate({"y": y, "dx": mg.gradients(y, [x])[0]}, {x: np.array([1.0, 2.0])})
    {'y': array(5.), 'dx': array([2., 4.])}
    """
    leaves, structure = flatten(outputs)
    nodes = [as_node(leaf) for leaf in leaves]
    feeds = {} if feeds is None else feeds
    needed = free_symbols(nodes)
    _check_feeds(needed, feeds)
    values = [fitting(symbol, feeds[symbol]) for symbol in needed]
    return structure.rebuild([np.array(v) for v in Plan(needed, nodes).run(values, check_finite)])


def _check_feeds(needed: Sequence[Node], feeds: Any) -> None:
    if not isinstance(feeds, Mapping):
        problem = f"feeds is a dict of symbols and their values, got {type(feeds).__name__}"
        raise FeedError(explain("evaluate", problem, instead="mg.evaluate(y, {x: array})"))
    for key in feeds:
        if not isinstance(key, Node) or key.primitive is not SYMBOL:
            what = key.label if isinstance(key, Node) else repr(key)
            problem = f"{what} is no symbol, so it cannot be fed"
            raise FeedError(explain("evaluate", problem, needed, "feed the symbol itself: {x: array}"))
    known = set(needed)
    unknown = [key for key in feeds if key not in known]
    if unknown:
        names = ", ".join(repr(symbol.name) for symbol in unknown)
        instead = f"leave it out; there {'is nothing to feed' if not needed else 'is: ' + _names(needed)}"
        raise FeedError(explain("evaluate", f"the outputs do not depend on the symbol {names}", unknown, instead))
    missing = [symbol for symbol in needed if symbol not in feeds]
    if missing:
        problem = f"no value for the symbol {_names(missing)}"
        raise FeedError(explain("evaluate", problem, missing, "mg.evaluate(outputs, {symbol: array, ...})"))


def _names(symbols: Sequence[Node]) -> str:
    return ", ".join(repr(symbol.name) for symbol in symbols)


def fitting(symbol: Node, value: Any) -> Any:
    """A value fed to a symbol, as an array of the symbol's shape and dtype; FeedError where it is not."""
    kind = symbol.dtype.kind
    if (type(value) is float and kind == "f") or (type(value) is int and kind in "fiu"):
        array = np.asarray(value, dtype=symbol.dtype)
    else:
        array = np.asarray(value) if isinstance(value, Node) else own_array(value, f"the value of {symbol.label}")
    if array.shape != symbol.shape:
        problem = f"{symbol.label} has shape {symbol.shape}, the value fed to it {array.shape}"
        raise FeedError(explain("evaluate", problem, [symbol], "np.broadcast_to(array, shape), if that is meant"))
    if array.dtype != symbol.dtype:
        problem = f"{symbol.label} is {symbol.dtype}, the value fed to it {array.dtype}"
        raise FeedError(explain("evaluate", problem, [symbol], f"array.astype('{symbol.dtype}')"))
    return np.float64(array) if symbol.weak else array


def value_of(node: Node) -> Any:
    """The value of a node without free symbols: evaluated once, then kept. Read-only."""
    if node.cached is None:
        if node.primitive is SYMBOL:
            raise _free_symbol(node, [node])
        array = np.array(Plan([], [node]).run([])[0])
        array.flags.writeable = False
        node.cached = array
    return node.cached


def _free_symbol(symbol: Node, outputs: Sequence[Node]) -> FreeSymbolError:
    asked = outputs[0].label if outputs else "a node"
    made = f", made at {symbol.origin}" if symbol.origin else ""
    problem = f"no value: it depends on the symbol {symbol.name!r} (shape {symbol.shape}, {symbol.dtype}{made})"
    instead = (
        f"mg.evaluate(node, {{{symbol.name}: array}}) for its value; mg.stack([...]) for an array made of nodes "
        "(np.array([node]) and array[i] = node cannot record them)"
    )
    return FreeSymbolError(explain(asked, problem, instead=instead))


def check(node: Node, value: Any, operands: Sequence[Any]) -> None:
    """Raise NonFiniteError if a node's value holds a NaN or an infinity: which node, where, from which operands."""
    if node.shape is None or node.dtype.kind != "f" or np.all(np.isfinite(value)):
        return
    array = np.asarray(value)
    kinds = [name for name, found in (("NaN", np.isnan(array)), ("infinity", np.isinf(array))) if np.any(found)]
    index = "".join(f" at index {i}" for i in np.argwhere(~np.isfinite(array))[:1].tolist() if i)
    came_in = [x.label for x, v in zip(node.inputs, operands, strict=True) if not np.all(np.isfinite(v))]
    makes = f"passes on what {' and '.join(came_in)} brings in," if came_in else "makes the first"
    lines = [f"{node.label} {makes} {' and '.join(kinds)},{index} of shape {node.shape}, {node.dtype}"]
    lines += [f"  operand {x.label}: {_range(v)}" for x, v in zip(node.inputs, operands, strict=True)]
    lines += [f"  in scope {node.scope}"] if node.scope else []
    lines += [f"  at {node.origin}"] if node.origin else []
    raise NonFiniteError("\n".join(lines))


def _range(value: Any) -> str:
    array = np.asarray(value)
    if array.size == 0:
        return f"shape {array.shape}, empty"
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    text = f"from {finite.min():.6g} to {finite.max():.6g}" if finite.size else "nothing finite"
    bad = array.size - finite.size
    return f"shape {array.shape}, {text}" + (f", {bad} of {array.size} not finite" if bad else "")


def run_graph(graph: Graph, values: Sequence[Any], check_finite: bool = False) -> list[Any]:
    """The outputs of a graph, as arrays of the caller's own."""
    numbers = [np.float64(v) if type(v) is float else np.asarray(v) for v in values]  # a np.matrix multiplies otherwise
    return [np.array(v) for v in Plan(graph.inputs, graph.outputs).run(numbers, check_finite)]


