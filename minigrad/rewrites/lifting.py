"""From one step of a loop to all steps at once, one small rule a primitive.

    all_steps(node, inputs, stacked)       tanh(x[t] + b) for every t -> tanh(x + b), with a leading axis of steps

`inputs` are the node's inputs as they are outside the loop; `stacked` says which of them have the leading axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..nodes import Node
from ..primitives.linear_algebra import matmul
from ..primitives.structure import ALL, broadcast_to, index, reshape, transpose

__all__ = ["LIFTS", "all_steps", "tall"]

Lift = Callable[[Node, Sequence[Node], Sequence[bool]], Node | None]
LIFTS: dict[str, Lift] = {}


def all_steps(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node | None:
    """The node for all steps at once, with a leading axis of steps; None where no rule says how."""
    rule = _all_entries if node.primitive.elementwise else LIFTS.get(node.primitive.name)
    return rule(node, inputs, list(stacked)) if rule else None


def lift(*names: str) -> Callable[[Lift], Lift]:
    """Register how primitives work on all steps at once."""

    def register(function: Lift) -> Lift:
        LIFTS.update(dict.fromkeys(names, function))
        return function

    return register


def tall(x: Node) -> Node:
    """A stack of matrices or vectors as one matrix, row below row."""
    return reshape(x, shape=(int(np.prod(x.shape[:-1], dtype=np.int64)), x.shape[-1]))


def aligned(x: Node, ndim: int) -> Node:
    """(steps, *shape) -> (steps, 1, ..., 1, *shape), so that it broadcasts as shape does in ndim dimensions."""
    missing = ndim - (len(x.shape) - 1)
    return reshape(x, shape=(x.shape[0], *[1] * missing, *x.shape[1:])) if missing > 0 else x


def _all_entries(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """f(a[t], b) -> f(a, b)[t], entry by entry"""
    operands = [aligned(x, len(node.shape)) if s else x for x, s in zip(inputs, stacked, strict=True)]
    return node.primitive(*operands, **node.params)


@lift("matmul")
def _all_products(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node | None:
    """x[t] @ w -> (x @ w)[t]: one tall product"""
    x, w = inputs
    if stacked == [True, False] and len(w.shape) == 2:
        return reshape(matmul(tall(x), w), shape=(*x.shape[:-1], w.shape[-1]))
    if stacked == [True, False] and len(w.shape) == 3 and len(x.shape) == 3 and x.shape[1] >= 8:
        return matmul(reshape(x, shape=(x.shape[0], 1, *x.shape[1:])), w)  # step by step, each in a block of its own
    if stacked == [True, False] and len(w.shape) == 3 and len(x.shape) <= 3:  # several products of the same x
        products = matmul(tall(x), w)
        by_step = reshape(products, shape=(w.shape[0], *x.shape[:-1], w.shape[-1]))
        return transpose(by_step, axes=(1, 0, *range(2, len(by_step.shape))))
    if all(stacked) and len(x.shape) == len(w.shape) >= 3:
        return matmul(x, w)
    return None


@lift("sum", "max", "min", "prod", "any", "all", "vector_norm", "logsumexp", "softmax")
def _all_reductions(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """sum(x[t], axis) -> sum(x, axis + 1)[t]"""
    axis = tuple(a + 1 for a in node.params["axis"])
    return node.primitive(*inputs, **{**node.params, "axis": axis})


@lift("reshape")
def _all_reshaped(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """reshape(x[t], s) -> reshape(x, (steps, *s))[t]"""
    return reshape(inputs[0], shape=(inputs[0].shape[0], *node.shape))


@lift("broadcast_to")
def _all_broadcast(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """broadcast_to(x[t], s) -> broadcast_to(x, (steps, *s))[t]"""
    return broadcast_to(aligned(inputs[0], len(node.shape)), shape=(inputs[0].shape[0], *node.shape))


@lift("transpose")
def _all_transposed(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """transpose(x[t], axes) -> transpose(x, (0, *axes + 1))[t]"""
    return transpose(inputs[0], axes=(0, *[a + 1 for a in node.params["axes"]]))


@lift("index")
def _all_indexed(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """x[t][i] -> x[:, i][t]"""
    return index(inputs[0], index=(ALL, *node.params["index"]))


@lift("join", "stack")
def _all_joined(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node | None:
    """concatenate([a[t], b[t]], axis) -> concatenate([a, b], axis + 1)[t]"""
    return node.primitive(*inputs, axis=node.params["axis"] + 1) if all(stacked) else None


@lift("gather")
def _all_gathered(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node | None:
    """table[i[t]] -> table[i][t]"""
    _, *indices = inputs
    leading = all(part == str(i + 1) for i, part in enumerate(node.params["pattern"]))
    if not leading or list(stacked) != [False, *[True] * len(indices)] or len({i.shape for i in indices}) != 1:
        return None
    return node.primitive(*inputs, **node.params)


@lift("cast", "stop_gradient")
def _all_passed_on(node: Node, inputs: Sequence[Node], stacked: Sequence[bool]) -> Node:
    """cast(x[t]) -> cast(x)[t]"""
    return node.primitive(*inputs, **node.params)
