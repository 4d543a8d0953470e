"""Rewrites keep the meaning: every rule by its own identity, then all of them together on random programs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Graph
from minigrad.nodes import Node, as_node, symbol
from minigrad.primitives import structure
from minigrad.rewrites import RULES, Rule, merge_loops, simplify

from .invariants import check_graph, picks_fit
from .programs import random_program
from .test_primitives import EXTREMES, assert_close, same_bits

Array = Any

# --------------------------------------------------------------------------------------------------- rule by rule

RULE_LIST = list({rule.__name__: rule for rules in RULES.values() for rule in rules}.values())

# The identities' own language: each docstring is `left -> right`, with these names in it.
LANGUAGE: dict[str, Callable[..., Any]] = {
    "transpose": lambda x, axes=None: structure.transpose(x, axes=axes or tuple(range(len(x.shape)))[::-1]),
    "reshape": lambda x, shape: structure.reshape(x, shape=shape),
    "broadcast_to": lambda x, shape: structure.broadcast_to(x, shape=shape),
    "sum": lambda x, axis: structure.sum(x, axis=axis, keepdims=False),
    "cast": lambda x, dtype: structure.cast(x, dtype=dtype),
    "where": structure.where,
    "stack": lambda xs: structure.stack(*xs, axis=0),
    "full": lambda shape, value: structure.full(shape=shape, value=value, dtype=np.dtype("float64")),
}
SHAPES = [(), (3,), (1,), (2, 3, 2), (0, 2)]
INTEGERS = np.array([0, 1, -1, 7, -(2**31), 2**31 - 1])


def identity(rule: Rule) -> tuple[str, str]:
    """The two sides of a rule's docstring."""
    first = (rule.__doc__ or "").splitlines()[0]
    assert first.count(" -> ") == 1, f"{rule.__name__}: the docstring must be `left -> right`, is {first!r}"
    left, right = first.split(" -> ")
    return left, right


def edge_values(shape: tuple[int, ...], dtype: Any, start: int) -> Array:
    """Values at the edges of a dtype, other ones for each start."""
    if np.dtype(dtype).kind == "b":
        return np.resize([True, False][start % 2 :] + [False], shape)
    values = EXTREMES if np.dtype(dtype).kind == "f" else INTEGERS
    with np.errstate(all="ignore"):
        return np.resize(np.roll(values, -start), shape).astype(dtype)


class _Verbatim:
    """An operand whose index is kept as it is written: `x[:]` is simplified as it is built otherwise."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __getitem__(self, key: Any) -> Node:
        if not self.node.shape:
            raise IndexError("a 0-d operand has no axis")
        parts = [structure.Cut(part.start, part.stop, part.step) if isinstance(part, slice) else part for part in [key]]
        return structure.index(self.node, index=tuple(parts))


def sides(rule: Rule, shape: tuple[int, ...], dtype: Any) -> tuple[list[Node], Node, Node] | None:
    """Symbols, and the two sides of the identity on them; None where they do not fit this shape and dtype."""
    symbols = {name: symbol(name, shape, dtype) for name in "xab"} | {"c": symbol("c", shape, bool)}
    size = int(np.prod(shape))
    language = LANGUAGE | symbols | {"s": (size,), "t": (1, size), "v": -2.5}
    left, right = identity(rule)
    indexed = re.sub(r"(x|stack\(.*?\))(?=\[)", r"verbatim(\1)", left)
    try:
        nodes = eval(indexed, language | {"verbatim": _Verbatim}), eval(right, language)
    except (TypeError, ValueError, IndexError):
        return None
    return list(symbols.values()), as_node(nodes[0]), as_node(nodes[1])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "bool"])
@pytest.mark.parametrize("rule", RULE_LIST, ids=lambda rule: rule.__name__)
def test_rule_keeps_value_dtype_and_shape_to_the_bit(rule: Rule, dtype: str) -> None:
    for shape in SHAPES:
        found = sides(rule, shape, dtype)
        if found is None:
            continue
        symbols, left, right = found
        graph = simplify(Graph(symbols, [left]))
        check_graph(graph)
        assert (graph.outputs[0].shape, graph.outputs[0].dtype) == (left.shape, left.dtype)
        for start in range(len(EXTREMES)):
            values = [edge_values(shape, s.dtype, start + 3 * i) for i, s in enumerate(symbols)]
            with np.errstate(all="ignore"):
                plain, rewritten, other = Graph(symbols, [left, graph.outputs[0], right]).evaluate(*values)
            assert same_bits(plain, rewritten)
            if (right.shape, right.dtype) == (left.shape, left.dtype):
                assert same_bits(plain, other)


@pytest.mark.parametrize("rule", RULE_LIST, ids=lambda rule: rule.__name__)
def test_rule_is_used(rule: Rule) -> None:
    # on a graph that holds the left side, simplify leaves no more than the right side has
    used = 0
    for shape in SHAPES:
        found = sides(rule, shape, "float64")
        if found is not None:
            symbols, left, right = found
            before, after = Graph(symbols, [left]), simplify(Graph(symbols, [left]))
            wished = simplify(Graph(symbols, [right]))
            assert repr(after) == repr(wished)
            used += len(after) < len(before) or after.outputs[0].primitive is not left.primitive
    assert used, "the identity was evaluated for no shape"


def test_a_literal_one_that_changes_the_dtype_stays() -> None:
    x = symbol("x", (2,), "int64")
    for node in (x * 1.0, x / 1, x - 0.0, x**1.0):
        assert simplify(Graph([x], [node])).outputs[0].dtype == np.float64


def test_what_ieee_arithmetic_does_not_allow_is_kept() -> None:
    x = symbol("x", (3,))
    values = np.array([-0.0, np.inf, np.nan])
    with np.errstate(all="ignore"):
        for node in (x * 0, x - x, x / x, x + 0.0, x - -0.0, x + 0, (x + 1e30) - 1e30, 0.0 - x, x**0.0 * x):
            (plain,) = mg.evaluate([node], {x: values})
            (found,) = simplify(Graph([x], [node])).evaluate(values)
            assert same_bits(plain, found)


# ---------------------------------------------------------------------------------- folding, sharing, dropping


def operations(graph: Graph) -> list[str]:
    """The names of the primitives in a graph, without leaves."""
    return [node.primitive.name for node in graph.nodes if not node.is_leaf]


def test_constants_are_folded() -> None:
    x = symbol("x", (2,))
    graph = simplify(Graph([x], [x * mg.sin(mg.constant([1.0, 2.0]) * 2 + 1)]))
    assert operations(graph) == ["multiply"]
    assert np.array_equal(graph.evaluate(np.ones(2))[0], np.sin(np.array([3.0, 5.0])))


def test_a_small_constant_is_not_folded_into_a_large_one() -> None:
    big = simplify(Graph([], [structure.broadcast_to(mg.constant([1.0, 2.0]), shape=(100_000, 2))]))
    assert operations(big) == ["broadcast_to"]
    assert max(node.cached.size for node in big.nodes if node.is_leaf) == 2


def test_folding_warns_when_running_would() -> None:
    # a constant that divides by zero is left to the run, where the errstate in force decides
    compiled = mg.compile(lambda x: x + mg.constant(1.0) / mg.constant(0.0))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        compiled(np.ones(2))
    with np.errstate(divide="ignore"):
        assert compiled(np.ones(2)).tolist() == [np.inf, np.inf]


def test_equal_expressions_are_shared() -> None:
    x = symbol("x", (2,))
    graph = simplify(Graph([x], [mg.sin(x) * 2.0, mg.sin(x) * 2.0, mg.cos(x) * 2]))
    assert sorted(operations(graph)) == ["cos", "multiply", "multiply", "sin"]
    assert graph.outputs[0] is graph.outputs[1]


def test_what_differs_is_not_shared() -> None:
    x = symbol("x", (2,), "float32")
    zeros = [structure.full(shape=(2,), value=value, dtype=np.dtype("float32")) for value in (0.0, -0.0)]
    pairs = [(x * 2, x * np.float64(2)), (x * 1.0001, x * 1.0002), (mg.round(x, 1), mg.round(x, 2)), (x + 0.0, x + -0.0),
             (x * np.nan, x * np.inf), (mg.constant(0.0) * x, mg.constant(-0.0) * x), (zeros[0] * x, zeros[1] * x)]  # fmt: skip
    with np.errstate(all="ignore"):
        for a, b in pairs:
            graph = simplify(Graph([x], [a, b]))
            for node, value in zip((a, b), graph.evaluate(np.array([-0.0, 2.0], "float32")), strict=True):
                assert same_bits(value, mg.evaluate([node], {x: np.array([-0.0, 2.0], "float32")})[0])


def test_the_sign_of_a_zero_in_a_parameter_matters() -> None:
    for value in (0.0, -0.0, 0.0):
        node = structure.full(shape=(2,), value=value, dtype=np.dtype("float64"))
        assert np.signbit(mg.evaluate([node], {})[0]).all() == np.signbit(value)
        assert np.signbit(simplify(Graph([], [node])).evaluate()[0]).all() == np.signbit(value)


def test_dead_code_is_dropped() -> None:
    x = symbol("x", (2,))
    _ = mg.tanh(x)
    graph = simplify(Graph([x], [mg.where(True, mg.sin(x), mg.exp(x))]))
    assert operations(graph) == ["sin"]


def test_an_item_of_a_stack_is_the_operand() -> None:
    x, y = symbol("x", (2,)), symbol("y", (2,))
    stack = structure.stack(x * 2, y, axis=0)
    assert operations(simplify(Graph([x, y], [structure.index(stack, index=(0,))]))) == ["multiply"]
    assert operations(simplify(Graph([x, y], [structure.index(stack, index=(1, 0))]))) == ["index"]


def test_simplifying_changes_no_node() -> None:
    # a cotangent is called after its node, before and after; the graph that was simplified stays as it was
    graph = mg.trace(mg.grad(lambda x: mg.sum(mg.sin(x * 1) * mg.tanh(x))), np.ones(2))
    before = [(node.inputs, node.params, node.cotangent_of, node.name) for node in graph.nodes]
    simple = simplify(graph)
    assert [(node.inputs, node.params, node.cotangent_of, node.name) for node in graph.nodes] == before
    about = [node.cotangent_of for node in simple.nodes if node.cotangent_of is not None]
    assert any(node is graph.inputs[0] for node in about), "the cotangent of x * 1 is that of x"


# ------------------------------------------------------------------------------------------------------------ loops


def test_a_loop_and_its_gradient_are_two_loops() -> None:
    def loss(h: Any, xs: Any) -> Any:
        h, ys = mg.scan(lambda h, x: (mg.tanh(h * x), h), h, xs)
        return mg.sum(h) + mg.sum(ys)

    graph = mg.trace(mg.value_and_grad(loss), np.ones(3), np.ones((4, 3)))
    merged = merge_loops(graph)
    check_graph(merged)
    picks_fit(merged)
    assert sum(node.shape is None for node in graph.nodes) == 3
    assert sum(node.shape is None for node in merged.nodes) == 2
    assert graph.source.count("for ") == 2
    arguments = np.full(3, 0.5), np.linspace(0, 1, 12).reshape(4, 3)
    for found, expected in zip(merged.evaluate(*arguments), graph.evaluate(*arguments), strict=True):
        assert same_bits(found, expected)


def test_the_steps_of_loops_are_simplified() -> None:
    def f(x: Any) -> Any:
        return mg.scan(lambda c, _: (mg.sin(c * 1) + mg.sin(c) - 0, None), x, length=3)[0]

    graph = simplify(mg.trace(f, np.ones(2)))
    check_graph(graph)
    (inner,) = graph.subgraphs()
    assert sorted(operations(inner)) == ["add", "sin"]


# ------------------------------------------------------------------------------------------------- random programs


def assert_agree(a: Array, b: Array) -> None:
    """Rewrites may change a layout, and with it the order in which NumPy adds a sum: then the last bits differ."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert np.array_equal(a == 0, b == 0)
    assert_close(a, b, "another way to run it", 1e-13)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_give_the_same_however_they_are_run(seed: int) -> None:
    program = random_program(seed)
    rng = np.random.default_rng(seed + 1000)
    x, y, t, u = (rng.uniform(-1.5, 1.5, (2, 3)) for _ in range(4))
    value_and_grad = mg.value_and_grad(program, argnums=(0, 1))
    product = lambda x, y, t, u: mg.hvp(program, (x, y), (t, u))  # noqa: E731

    for f, arguments in ((program, (x, y)), (value_and_grad, (x, y)), (product, (x, y, t, u))):
        graph = mg.trace(f, *arguments)
        check_graph(graph)
        simple = graph.simplify()
        check_graph(simple)
        picks_fit(simple)
        assert len(simple) <= len(graph)
        assert all(a is b for a, b in zip(simple.simplify().nodes, simple.nodes, strict=True)), "once is enough"
        plain, simplified, compiled = graph.evaluate(*arguments), simple.evaluate(*arguments), mg.compile(f)(*arguments)
        for a, b, c in zip(*map(mg.tree_leaves, (plain, simplified, compiled)), strict=True):
            assert_agree(a, b)
            assert_agree(a, c)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_have_right_derivatives(seed: int) -> None:
    program = random_program(seed)
    rng = np.random.default_rng(seed + 2000)
    x, y, t, u = (rng.uniform(-1.5, 1.5, (2, 3)) for _ in range(4))
    value, (dx, dy) = mg.value_and_grad(program, argnums=(0, 1))(x, y)
    again, tangent = mg.jvp(program, (x, y), (t, u))
    assert same_bits(value, again)
    assert_close(tangent, np.sum(dx * t) + np.sum(dy * u), "reverse and forward", 1e-11)
    (_, (hx, hy)) = mg.hvp(program, (x, y), (t, u))
    # reverse over reverse, by the gradient's own gradient along (t, u)
    along = lambda x, y: mg.add(*[mg.sum(g * d) for g, d in zip(mg.grad(program, (0, 1))(x, y), (t, u))])  # noqa: E731
    rx, ry = mg.grad(along, argnums=(0, 1))(x, y)
    assert_close(hx, rx, "hvp by x", 1e-10)
    assert_close(hy, ry, "hvp by y", 1e-10)
