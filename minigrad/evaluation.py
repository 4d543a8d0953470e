"""Walk a graph with values. Nothing is generated: each primitive's own NumPy text, one node after the other.

    evaluate([y, dw], {x: array})          a list of NumPy arrays
    value_of(node)                         of a node without free symbols, worked out once

`Plan` is the walk written down, so that a loop can take it again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import FreeSymbolError, NonFiniteError
from .graph import SYMBOL, Graph, Loop, Node, topological
from .primitives.text import function

__all__ = ["Plan", "evaluate", "value_of"]


class Plan:
    """The steps that give `outputs` from the values of `inputs`: (node, function, where from, where to, what is done with)."""

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        nodes = topological(outputs)
        self.position = {node: i for i, node in enumerate(nodes)}
        self.inputs = [self.position.get(node, -1) for node in inputs]
        self.outputs = [self.position[node] for node in outputs]
        self.values: list[Any] = [None] * len(nodes)  # constants are here from the start
        self.steps: list[tuple[Node, Any, list[int], int, list[int]]] = []
        given = set(inputs)
        last_use: dict[int, int] = {}
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
                call: Any = LoopPlan(node.params["loop"])
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
    """A loop's plan: (carry, xs, closures) -> (last carry, stacks)."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.step = Plan(loop.graph.inputs, loop.graph.outputs)

    def __call__(self, *operands: Any, check_finite: bool = False) -> tuple[Any, ...]:
        loop, carries = self.loop, self.loop.carries
        carry = list(operands[:carries])
        xs, closures = operands[carries : carries + loop.slices], operands[carries + loop.slices :]
        stacks = [np.empty(shape, dtype) for shape, dtype in loop.result_types()[carries:]]
        for t in reversed(range(loop.length)) if loop.reverse else range(loop.length):
            try:
                results = self.step.run([*carry, *[x[t] for x in xs], *closures], check_finite)
            except NonFiniteError as error:
                raise NonFiniteError(f"{error}\n  in step t={t} of a loop of {loop.length}") from None
            carry = results[:carries]
            for stack, result in zip(stacks, results[carries:], strict=True):
                stack[t] = result
        return (*carry, *stacks)


def evaluate(outputs: Sequence[Node], feeds: dict[Node, Any], check_finite: bool = False) -> list[Any]:
    """The values of `outputs`, as NumPy arrays that share no memory with anything the graph holds or was fed."""
    results = Plan(list(feeds), outputs).run(list(feeds.values()), check_finite)
    return [np.array(result) for result in results]


def value_of(node: Node) -> Any:
    """The value of a node without free symbols: evaluated once, then kept. Read-only."""
    if node.cached is None:
        if node.primitive is SYMBOL:
            raise _free_symbol(node, [node])
        (array,) = evaluate([node], {})
        array.flags.writeable = False
        node.cached = array
    return node.cached


def _free_symbol(symbol: Node, outputs: Sequence[Node]) -> FreeSymbolError:
    asked = outputs[0].label if outputs else "a node"
    made = f", made at {symbol.origin}" if symbol.origin else ""
    return FreeSymbolError(
        f"{asked} has no value: it depends on the symbol {symbol.name!r} (shape {symbol.shape}, {symbol.dtype}{made})"
        f"\n  instead: mg.evaluate(node, {{{symbol.name}: array}}), or mg.compile a function of it"
    )


def check(node: Node, value: Any, operands: Sequence[Any]) -> None:
    """Raise NonFiniteError if a node's value holds a NaN or an infinity: which node, where, from which operands."""
    if node.shape is None or node.dtype.kind != "f" or np.all(np.isfinite(value)):
        return
    array = np.asarray(value)
    kinds = [name for name, found in (("NaN", np.isnan(array)), ("inf", np.isinf(array))) if np.any(found)]
    first = np.argwhere(~np.isfinite(array))[0].tolist()
    lines = [f"{node.label}: the first {' and '.join(kinds)} is made here, at index {first}, shape {node.shape}, {node.dtype}"]
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
    return [np.array(v) for v in Plan(graph.inputs, graph.outputs).run(values, check_finite)]


