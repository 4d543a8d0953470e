"""Identities, one function each; its docstring is the identity, and its property test.

    @rule("multiply")
    def multiply_by_one(y, x, one): "x * 1 -> x"

A rule gets the node and its inputs and returns what stands for it, or None. What it returns must have the node's
shape and dtype, else it is not used: so `x * 1` stays where the 1 makes an integer a float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..evaluation import evaluate
from ..graph import Graph, Loop, rebuild
from ..nodes import CONSTANT, Node, as_node
from ..primitives import structure
from ..primitives.elementwise import negative
from ..primitives.structure import full, pick, reshape, transpose
from ..primitives.text import params_key
from .loops import drop_dead_results, merge_loops, share_results

__all__ = ["RULES", "Rule", "simplify"]

Rule = Callable[..., Any]
RULES: dict[str, list[Rule]] = {}

FOLDED_SIZE = 4096  # a larger constant is folded only where it does not grow


def rule(*primitives: str) -> Callable[[Rule], Rule]:
    """Register a rule for nodes of these primitives."""

    def register(function: Rule) -> Rule:
        for name in primitives:
            RULES.setdefault(name, []).append(function)
        return function

    return register


def _is(x: Node, value: float) -> bool:
    # a scalar constant, or an array full, of this value, to the sign of a zero
    if x.primitive is full:
        found = float(x.params["value"])
    elif x.primitive is CONSTANT and x.shape == ():
        found = float(np.asarray(x.cached))
    else:
        return False
    return found == value and np.signbit(found) == np.signbit(value)


# ------------------------------------------------------------------------------------------------------ arithmetic


@rule("multiply")
def multiply_by_one(y: Node, a: Node, b: Node) -> Any:
    """x * 1 -> x"""
    return a if _is(b, 1.0) else b if _is(a, 1.0) else None


@rule("divide")
def divide_by_one(y: Node, a: Node, b: Node) -> Any:
    """x / 1 -> x"""
    return a if _is(b, 1.0) else None


@rule("subtract")
def subtract_zero(y: Node, a: Node, b: Node) -> Any:
    """x - 0 -> x"""
    return a if _is(b, 0.0) else None


@rule("add")
def add_negative_zero(y: Node, a: Node, b: Node) -> Any:
    """x + -0.0 -> x"""
    return a if _is(b, -0.0) else b if _is(a, -0.0) else None


@rule("negative")
def negative_of_negative(y: Node, x: Node) -> Any:
    """-(-x) -> x"""
    return x.inputs[0] if x.primitive.name == "negative" else None


@rule("add")
def add_negative(y: Node, a: Node, b: Node) -> Any:
    """a + (-b) -> a - b"""
    return a - b.inputs[0] if b.primitive.name == "negative" else None


@rule("multiply")
def multiply_by_minus_one(y: Node, a: Node, b: Node) -> Any:
    """x * -1 -> -x"""
    x = a if _is(b, -1.0) else b if _is(a, -1.0) else None
    return negative(x) if x is not None and x.dtype == y.dtype else None  # booleans have no negative


@rule("power")
def power_of_one(y: Node, x: Node, p: Node) -> Any:
    """x ** 1 -> x"""
    return x if _is(p, 1.0) else None


# ------------------------------------------------------------------------------------------------------- structure


@rule("transpose")
def transpose_twice(y: Node, x: Node, axes: Any) -> Any:
    """transpose(transpose(x)) -> x"""
    if x.primitive is transpose:
        first = x.params["axes"]
        return transpose(x.inputs[0], axes=tuple(first[a] for a in axes))
    return None


@rule("transpose")
def transpose_of_nothing(y: Node, x: Node, axes: Any) -> Any:
    """transpose(x, (0, 1, 2)) -> x"""
    return x if axes == tuple(range(len(axes))) else None


@rule("reshape")
def reshape_to_same(y: Node, x: Node, shape: Any) -> Any:
    """reshape(x, x.shape) -> x"""
    return x if shape == x.shape else None


@rule("reshape")
def reshape_twice(y: Node, x: Node, shape: Any) -> Any:
    """reshape(reshape(x, s), t) -> reshape(x, t)"""
    return reshape(x.inputs[0], shape=shape) if x.primitive is reshape else None


@rule("broadcast_to")
def broadcast_to_same(y: Node, x: Node, shape: Any) -> Any:
    """broadcast_to(x, x.shape) -> x"""
    return x if shape == x.shape else None


@rule("reshape", "broadcast_to")
def reshape_of_full(y: Node, x: Node, shape: Any) -> Any:
    """reshape(full(s, v), t) -> full(t, v)"""
    return full(shape=shape, value=x.params["value"], dtype=x.dtype) if x.primitive is full else None


@rule("sum")
def sum_over_nothing(y: Node, x: Node, axis: Any, keepdims: bool) -> Any:
    """sum(x, axis=()) -> x + 0"""
    return x + 0 if axis == () else None  # NumPy's sum starts at 0, which matters to -0.0


@rule("cast")
def cast_to_same(y: Node, x: Node, dtype: Any) -> Any:
    """cast(x, x.dtype) -> x"""
    return x if x.dtype == dtype and not x.weak else None


@rule("where")
def where_of_equal(y: Node, condition: Node, a: Node, b: Node) -> Any:
    """where(c, x, x) -> x"""
    return a if a is b else None


@rule("where")
def where_of_known(y: Node, condition: Node, a: Node, b: Node) -> Any:
    """where(True, a, b) -> a"""
    return (a if condition.cached else b) if condition.primitive is CONSTANT and condition.shape == () else None


@rule("index")
def index_of_all(y: Node, x: Node, index: Any) -> Any:
    """x[:] -> x"""
    return x if all(part == structure.ALL for part in index) else None


@rule("index")
def index_of_one(y: Node, x: Node, index: Any) -> Any:
    """x.reshape(1, *x.shape)[0] -> x"""
    alone = x.primitive is reshape and x.shape == (1, *x.inputs[0].shape)
    return x.inputs[0] if alone and index == (0,) else None


@rule("index")
def index_of_stack(y: Node, x: Node, index: Any) -> Any:
    """stack([a, b])[0] -> a"""
    if x.primitive is structure.stack and x.params["axis"] == 0 and index and isinstance(index[0], int):
        item = x.inputs[index[0]]
        return item if len(index) == 1 else structure.index(item, index=index[1:])
    return None


# ----------------------------------------------------------------------------------------------------- the one walk


def simplify(graph: Graph) -> Graph:
    """Fold constants, remove identities, share equal expressions, and leave out what nothing uses."""
    graph = drop_dead_results(share_results(merge_loops(graph)))
    new: dict[Node, Node] = {}
    shared: dict[Any, Node] = {}
    for node in graph.nodes:
        if node.is_leaf:
            new[node] = node
            continue
        rebuilt = rebuild(node, [new[x] for x in node.inputs])
        about = new.get(node.cotangent_of, node.cotangent_of) if node.cotangent_of is not None else None
        # a cotangent is called after its node, whatever became of it
        if rebuilt is node and about is not node.cotangent_of:
            rebuilt = Node(node.primitive, node.inputs, node.params, node.shape, node.dtype, node.weak, like=node)
        found = new[node] = _simplified(rebuilt, shared)
        unclaimed = found.cotangent_of is None or found.cotangent_of is node.cotangent_of
        if unclaimed and found.serial > node.serial and about is not None and about.serial < found.serial:
            found.cotangent_of = about
    return Graph(graph.inputs, [new[y] for y in graph.outputs], graph.in_structure, graph.out_structure)


def _simplified(node: Node, shared: dict[Any, Node]) -> Node:
    for _ in range(20):  # each rule makes the node smaller; the bound is against a rule that does not
        better = _apply_rules(node)
        if better is None:
            break
        node = better
    if node.is_leaf:
        return node
    if node.shape is None:
        node = _with_simple_step(node)
    elif _foldable(node):
        node = _folded(node)
    return shared.setdefault(_key(node), node) if node.inputs else node


def _apply_rules(node: Node) -> Node | None:
    for function in RULES.get(node.primitive.name, ()):
        found = function(node, *node.inputs, **node.params)
        if found is not None:
            found = as_node(found)
            if found.shape == node.shape and found.dtype == node.dtype and not found.weak:
                return _in_place_of(node, found)
    return None


def _in_place_of(node: Node, found: Node) -> Node:
    # what a rule made anew belongs to the node's scope and line
    if found.serial > node.serial:
        found.scope, found.origin, found.cotangent_of = node.scope, node.origin, node.cotangent_of
    return found


def _key(node: Node) -> Any:
    inputs = [_constant_key(x) if x.primitive is CONSTANT and x.shape == () else x for x in node.inputs]
    return (node.primitive, *inputs, *params_key(node.params))


def _constant_key(x: Node) -> Any:
    return (x.dtype, x.weak, np.asarray(x.cached).tobytes())


def _foldable(node: Node) -> bool:
    if node.primitive is pick or not node.inputs or not all(x.primitive is CONSTANT for x in node.inputs):
        return False
    size = int(np.prod(node.shape, dtype=np.int64))
    return size <= FOLDED_SIZE or size <= max(int(np.prod(x.shape, dtype=np.int64)) for x in node.inputs)


def _folded(node: Node) -> Node:
    try:
        with np.errstate(all="raise"):
            (value,) = evaluate([node], {})
    except FloatingPointError:  # left to the run, where the errstate in force decides about warnings
        return node
    value.flags.writeable = False
    return Node(CONSTANT, (), {}, node.shape, node.dtype, cached=value, like=node)


def _with_simple_step(node: Node) -> Node:
    loop: Loop = node.params["loop"]
    better = simplify(loop.graph)
    if all(new is old for new, old in zip(better.outputs, loop.graph.outputs, strict=True)):
        return node
    step = loop.repeating(better, loop.carries, loop.slices)
    return Node(node.primitive, node.inputs, {"loop": step}, None, None, like=node)
