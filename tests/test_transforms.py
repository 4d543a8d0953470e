"""Transforms agree with each other, nest, and take any pytree."""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.nodes import Node

from .programs import random_program
from .test_primitives import assert_close

Array = Any


@dataclasses.dataclass
class Layer:
    w: Any
    b: Any
    activation: str = "tanh"

    def __call__(self, x: Any) -> Any:
        return getattr(mg, self.activation)(x @ self.w + self.b)


@dataclasses.dataclass(frozen=True)
class Net:
    layers: list[Layer]
    scale: float

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x * self.scale


class Pair(NamedTuple):
    first: Any
    second: Any


def net(seed: int = 0) -> Net:
    rng = np.random.default_rng(seed)
    layers = [Layer(rng.normal(size=(3, 4)), np.zeros(4)), Layer(rng.normal(size=(4, 2)), np.ones(2), "sigmoid")]
    return Net(layers, 0.5)


def loss(model: Net, x: Any) -> Any:
    return mg.mean(model(x) ** 2)


INPUT = np.random.default_rng(1).normal(size=(5, 3))

# ---------------------------------------------------------------------------------------------- they agree with each other


@pytest.mark.parametrize("seed", range(100, 112))
def test_all_ways_to_the_first_and_second_derivatives_agree(seed: int) -> None:
    program = random_program(seed, 12)
    rng = np.random.default_rng(seed)
    x, y, t = (rng.uniform(-1, 1, (2, 3)) for _ in range(3))
    f = lambda x: program(x, y)  # noqa: E731
    gradient = mg.grad(f)(x)
    value, again = mg.value_and_grad(f)(x)
    assert np.array_equal(gradient, again)
    by_pullback, (pulled,) = mg.vjp(f, x)[0], mg.vjp(f, x)[1](1.0)
    assert value == by_pullback
    assert np.array_equal(gradient, pulled)
    assert_close(mg.jacobian(f)(x), gradient, "jacobian of a scalar", 1e-13)
    assert_close(mg.jvp(f, (x,), (t,))[1], np.sum(gradient * t), "jvp", 1e-12)
    hessian = mg.hessian(f)(x)
    assert hessian.shape == (2, 3, 2, 3)
    assert_close(hessian, np.transpose(hessian, (2, 3, 0, 1)), "symmetry", 1e-10)
    assert_close(hessian, mg.jacobian(mg.grad(f))(x), "jacobian of the gradient", 1e-12)
    product = np.tensordot(hessian, t, 2)
    same_gradient, by_hvp = mg.hvp(f, (x,), (t,))
    assert np.array_equal(gradient, same_gradient)
    assert_close(by_hvp, product, "hvp", 1e-10)
    assert_close(mg.grad(lambda x: mg.sum(mg.grad(f)(x) * t))(x), product, "gradient of the gradient", 1e-10)
    assert_close(mg.jvp(mg.grad(f), (x,), (t,))[1], product, "forward over reverse", 1e-10)
    forward_twice = mg.jvp(lambda x: mg.jvp(f, (x,), (t,))[1], (x,), (t,))[1]
    assert_close(forward_twice, np.sum(product * t), "forward over forward", 1e-10)
    reverse_over_forward = mg.grad(lambda x: mg.jvp(f, (x,), (t,))[1])(x)
    assert_close(reverse_over_forward, product, "reverse over forward", 1e-10)


@pytest.mark.parametrize("rows", [True, False], ids=["fewer results", "fewer arguments"])
def test_jacobian_by_rows_and_by_columns(rows: bool) -> None:
    w = np.random.default_rng(0).normal(size=(2, 5) if rows else (5, 2))
    x = np.random.default_rng(1).normal(size=w.shape[1])
    f = lambda x: mg.tanh(w @ x)  # noqa: E731
    expected = (1 - np.tanh(w @ x) ** 2)[:, None] * w
    for jacobian in (mg.jacobian(f), mg.compile(mg.jacobian(f))):
        assert_close(jacobian(x), expected, "jacobian", 1e-13)


def test_jacobian_of_pytrees() -> None:
    def f(tree: Any, y: Any) -> Any:
        return {"sum": tree["a"] * 2.0 + y, "more": (mg.sum(tree["b"]), tree["a"][0])}

    tree, y = {"a": np.ones(2), "b": np.ones((2, 2))}, np.ones(2)
    found = mg.jacobian(f, argnums=(0, 1))(tree, y)
    by_tree, by_y = found["sum"]
    assert by_tree["a"].tolist() == [[2, 0], [0, 2]]
    assert by_tree["b"].tolist() == np.zeros((2, 2, 2)).tolist()
    assert by_y.tolist() == [[1, 0], [0, 1]]
    assert found["more"][0][0]["b"].tolist() == [[1, 1], [1, 1]]
    assert found["more"][1][0]["a"].tolist() == [1, 0]
    assert found["more"][1][1].tolist() == [0, 0]


def test_hessian_of_pytrees() -> None:
    f = lambda p: p["a"] ** 2 * mg.sum(p["b"])  # noqa: E731
    found = mg.hessian(f)({"a": 3.0, "b": np.array([1.0, 2.0])})
    assert found["a"]["a"] == 6
    assert found["a"]["b"].tolist() == [6, 6]
    assert found["b"]["a"].tolist() == [6, 6]
    assert found["b"]["b"].tolist() == [[0, 0], [0, 0]]


def test_jacobian_of_empty_and_0d() -> None:
    assert mg.jacobian(lambda x: x * 2)(np.zeros(0)).shape == (0, 0)
    assert mg.jacobian(lambda x: mg.sum(x))(np.zeros((0, 2))).shape == (0, 2)
    assert mg.jacobian(lambda x: x * 2)(3.0) == 2
    assert mg.jacobian(lambda x: x * np.ones(3))(3.0).tolist() == [1, 1, 1]
    assert mg.jacobian(lambda x: mg.stop_gradient(x))(np.ones(2)).tolist() == [[0, 0], [0, 0]]


# ----------------------------------------------------------------------------------------------------------- they nest


def test_derivatives_of_sine_to_the_sixth_order() -> None:
    f: Callable[[Any], Any] = mg.sin
    for order in range(1, 7):
        f = mg.grad(f)
        expected = np.sin(0.7 + order * np.pi / 2)
        assert np.isclose(f(0.7), expected, rtol=1e-13)
        assert np.isclose(mg.compile(f)(0.7), expected, rtol=1e-13)


def test_no_perturbation_confusion() -> None:
    # the inner derivative is by a alone: x is a constant to it
    assert mg.grad(lambda x: x * mg.grad(lambda a: a * x)(x))(3.0) == 6.0
    assert mg.grad(lambda x: x * mg.grad(lambda a: a + x)(1.0))(2.0) == 1.0
    assert mg.grad(lambda a: a * 3.0)(3.0) == 3.0
    x = mg.constant(5.0)
    assert float(mg.grad(lambda a: a * x)(x)) == 5.0
    assert mg.jvp(lambda x: x * mg.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (2.0,), (1.0,))[1] == 1.0
    assert mg.jvp(lambda x: x * mg.grad(lambda a: a * x)(x), (3.0,), (1.0,))[1] == 6.0
    assert mg.grad(lambda x: mg.jvp(lambda a: a * x, (x,), (1.0,))[1])(3.0) == 1.0
    assert mg.jacobian(lambda x: mg.grad(lambda a: mg.sum(a * x))(x))(np.ones(2)).tolist() == [[1, 0], [0, 1]]


def test_grad_inside_grad_compiled_and_plain() -> None:
    def penalty(w: Any, x: Any) -> Any:
        slope = mg.grad(lambda x: mg.sum(mg.tanh(w @ x)))(x)
        return mg.sum(slope * slope)

    w, x = np.random.default_rng(0).normal(size=(2, 3)), np.random.default_rng(1).normal(size=3)
    found = mg.grad(penalty)(w, x)
    assert np.array_equal(found, mg.compile(mg.grad(penalty))(w, x))
    h = 1e-6
    numeric = np.zeros((2, 3))
    for entry in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[entry] = h
        f = mg.compile(penalty)
        numeric[entry] = (f(w + step, x) - f(w - step, x)) / (2 * h)
    assert np.allclose(found, numeric, rtol=1e-7, atol=1e-8)


def test_every_transform_inside_a_trace_gives_nodes() -> None:
    x = mg.symbol("x", (2,))
    f = lambda x: mg.sum(x**3)  # noqa: E731
    results = [mg.grad(f)(x), *mg.value_and_grad(f)(x), mg.jacobian(mg.grad(f))(x), mg.hessian(f)(x), mg.compile(f)(x),
               *mg.jvp(f, (x,), (np.ones(2),)), *mg.hvp(f, (x,), (np.ones(2),)), *mg.vjp(f, x)[1](1.0)]  # fmt: skip
    assert all(isinstance(result, Node) for result in results)
    value = np.array([1.0, 2.0])
    arrays = mg.evaluate(results, {x: value})
    expected = [3 * value**2, 9, 3 * value**2, np.diag(6 * value), np.diag(6 * value), 9, 9, 15, 3 * value**2, 6 * value, 3 * value**2]
    for found, right in zip(arrays, expected, strict=True):
        assert np.allclose(found, right)


def test_nodes_in_nodes_out_arrays_in_arrays_out() -> None:
    f = lambda x: mg.sum(x**2)  # noqa: E731
    assert isinstance(mg.grad(f)(np.ones(2)), np.ndarray)
    assert isinstance(mg.grad(f)(mg.constant(np.ones(2))), Node)
    assert isinstance(mg.grad(f)(2.0), np.ndarray)
    free = mg.symbol("free", (2,))
    assert isinstance(mg.grad(lambda x: mg.sum(x * free))(np.ones(2)), Node)
    closed = mg.constant(np.array([2.0, 3.0]))
    assert mg.grad(lambda x: mg.sum(x * closed))(np.ones(2)).tolist() == [2, 3]
    assert mg.compile(lambda x: x * closed)(np.ones(2)).tolist() == [2, 3]


def test_a_compiled_function_that_closes_over_a_symbol_gives_nodes() -> None:
    free = mg.symbol("free", (2,))
    compiled = mg.compile(lambda x: x * free)
    for _ in range(2):
        node = compiled(np.array([1.0, 2.0]))
        assert mg.evaluate([node], {free: np.array([3.0, 4.0])})[0].tolist() == [3, 8]


def test_closures_over_nodes_of_an_outer_trace() -> None:
    def outer(x: Any) -> Any:
        y = mg.sin(x)
        (inner,) = mg.vjp(lambda a: a * y, x)[1](1.0)  # y is a constant to the inner function
        return inner * x

    x = 0.7
    assert np.isclose(mg.grad(outer)(x), np.cos(x) * x + np.sin(x), rtol=1e-14)


# ------------------------------------------------------------------------------------------------------------ pytrees


def test_gradients_are_like_the_argument() -> None:
    model = net()
    value, gradient = mg.value_and_grad(loss)(model, INPUT)
    assert isinstance(gradient, Net)
    assert isinstance(gradient.layers[1], Layer)
    assert gradient.layers[1].activation == "sigmoid"
    assert gradient.layers[0].w.shape == (3, 4)
    assert gradient.scale.shape == ()
    assert value.shape == ()
    step = mg.tree_map(lambda p, g: p - 0.1 * g, model, gradient)
    assert loss_value(step) < loss_value(model)
    compiled_value, compiled = mg.compile(mg.value_and_grad(loss))(model, INPUT)
    assert np.allclose(compiled_value, value, rtol=1e-13)
    for a, b in zip(mg.tree_leaves(gradient), mg.tree_leaves(compiled), strict=True):
        assert np.allclose(a, b, rtol=1e-12, atol=1e-15)


def loss_value(model: Net) -> float:
    return float(mg.compile(loss)(model, INPUT))


def test_containers_of_every_kind() -> None:
    ordered = collections.OrderedDict(b=np.ones(2), a=(np.ones(1), [2.0, None, "name", 3, True]))
    tree = {"pair": Pair(np.ones(2), {"deep": (1.5,)}), "ordered": ordered, "empty": {}, "none": None, 7: np.ones(1)}
    f = lambda tree: mg.sum(mg.stack([mg.sum(leaf) for leaf in mg.tree_leaves(tree)]) ** 2) / 2.0  # noqa: E731
    gradient = mg.grad(f)(tree)
    assert isinstance(gradient["pair"], Pair)
    assert type(gradient["ordered"]) is collections.OrderedDict
    assert list(gradient["ordered"]) == ["b", "a"]
    assert gradient["ordered"]["a"][1][1:] == [None, "name", 3, True]
    assert gradient["pair"].second["deep"][0] == 1.5
    assert gradient["empty"] == {}
    assert gradient[7].tolist() == [1]


def test_argnums_keywords_and_aux() -> None:
    def f(x: Any, y: Any, *, scale: float = 1.0, name: str = "") -> Any:
        assert name in ("", "static")
        return mg.sum(x * y) * scale

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert mg.grad(f, argnums=1)(x, y).tolist() == [1, 2]
    assert mg.grad(f, argnums=-1)(x, y).tolist() == [1, 2]
    both = mg.grad(f, argnums=(1, 0))(x, y, scale=2.0, name="static")
    assert isinstance(both, tuple)
    assert [g.tolist() for g in both] == [[2, 4], [6, 8]]
    assert [g.tolist() for g in mg.grad(f, argnums=[0])(x, y)] == [[3, 4]]
    with_aux = lambda x: (mg.sum(x * x), {"doubled": x * 2, "static": "text"})  # noqa: E731
    (value, aux), gradient = mg.value_and_grad(with_aux, has_aux=True)(x)
    assert (value, aux["doubled"].tolist(), aux["static"], gradient.tolist()) == (5, [2, 4], "text", [2, 4])
    gradient, aux = mg.grad(with_aux, has_aux=True)(x)
    assert (gradient.tolist(), aux["doubled"].tolist()) == ([2, 4], [2, 4])
    gradient, aux = mg.compile(mg.grad(with_aux, has_aux=True))(x)
    assert (gradient.tolist(), aux["doubled"].tolist()) == ([2, 4], [2, 4])


def test_vjp_and_jvp_of_pytrees() -> None:
    f = lambda a, b: {"x": a["p"] * b, "y": [mg.sum(b)]}  # noqa: E731
    a, b = {"p": np.array([1.0, 2.0])}, np.array([3.0, 4.0])
    value, pullback = mg.vjp(f, a, b)
    by_a, by_b = pullback({"x": np.array([1.0, 0.0]), "y": [10.0]})
    assert value["y"][0] == 7
    assert (by_a["p"].tolist(), by_b.tolist()) == ([3, 0], [11, 10])
    value, tangent = mg.jvp(f, (a, b), ({"p": np.array([1.0, 1.0])}, np.array([0.0, 1.0])))
    assert (tangent["x"].tolist(), tangent["y"][0]) == ([3, 6], 1)


def test_a_pullback_can_be_called_again() -> None:
    _, pullback = mg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    assert pullback(np.array([1.0, 0.0]))[0].tolist() == [2, 0]
    assert pullback(np.array([0.0, 1.0]))[0].tolist() == [0, 4]
    inner = mg.grad(lambda ct: mg.sum(pullback(ct)[0]))(np.ones(2))
    assert inner.tolist() == [2, 4]


def test_integer_arguments_pass_through() -> None:
    f = lambda x, i: mg.sum(x[i])  # noqa: E731
    assert mg.jvp(lambda x: mg.sum(x[np.array([0, 0])]), (np.ones(2),), (np.array([1.0, 5.0]),))[1] == 2
    assert mg.grad(f)(np.ones(3), np.array([0, 2, 2])).tolist() == [1, 0, 2]
    assert mg.compile(mg.grad(f))(np.ones(3), np.array([0, 2, 2])).tolist() == [1, 0, 2]


def test_a_function_that_returns_a_bare_number_or_its_argument() -> None:
    assert mg.compile(lambda x: 2.5)(np.ones(2)) == 2.5
    assert mg.compile(lambda x: (x, None, "text", 3))(np.ones(2))[1:] == (None, "text", 3)
    assert mg.grad(lambda x: 2.5)(np.ones(2)).tolist() == [0, 0]
    assert mg.grad(lambda x: x)(2.0) == 1
    value, pullback = mg.vjp(lambda x: x, np.ones(2))
    assert pullback(np.array([3.0, 4.0]))[0].tolist() == [3, 4]
    value, tangent = mg.jvp(lambda x: (x, 1.0), (np.ones(2),), (np.array([3.0, 4.0]),))
    assert (tangent[0].tolist(), tangent[1]) == ([3, 4], 0)


def test_weak_floats_take_the_dtype_of_what_they_meet() -> None:
    f = lambda x, s: x * s  # noqa: E731
    x = np.ones(2, "float32")
    for run in (lambda f: f, mg.compile):
        assert run(lambda x, s: mg.sum(f(x, s)))(x, 0.5).dtype == np.float32
        dx, ds = run(mg.grad(lambda x, s: mg.sum(f(x, s)), argnums=(0, 1)))(x, 0.5)
        assert (dx.dtype, ds.dtype) == (np.float32, np.float64)
        assert run(lambda x, s: f(x, s))(x, np.float64(0.5)).dtype == np.float64


# --------------------------------------------------------------------------------------------------------- compilation


@pytest.mark.filterwarnings("ignore::minigrad.errors.RetraceWarning")
def test_compile_traces_once_for_each_structure_shape_and_dtype() -> None:
    calls: list[Any] = []

    def f(tree: Any, flag: Any = None) -> Any:
        calls.append(flag)
        return mg.tree_map(lambda x: x * 2, tree)

    compiled = mg.compile(f)
    same = [{"a": np.ones(2)}, {"a": np.zeros(2)}]
    other = [{"b": np.ones(2)}, {"a": np.ones(3)}, {"a": np.ones(2, "float32")}, {"a": np.ones((2, 1))}, (np.ones(2),), [np.ones(2)],
             {"a": 1.0}, {"a": np.float64(1.0)}, {"a": np.ones(2, int)}]  # fmt: skip
    for tree in same:
        compiled(tree)
    assert len(calls) == 1
    for i, tree in enumerate(other):
        result = compiled(tree)
        assert type(result) is type(tree)
        assert len(calls) == i + 2
    for flag in (True, 1, 1.0, "x", None, 2, False, 0):
        compiled(same[0], flag)
    assert len(calls) == len(other) + 9, "True, 1 and 1.0 are three different arguments"
    compiled(same[0], flag=True)
    assert len(calls) == len(other) + 10


def test_compiled_results_are_the_callers_own() -> None:
    def f(x: Any) -> Any:
        h, hs = mg.scan(lambda h, _: (h * 2, h), x, length=3)
        return {"x": x, "again": x, "h": h, "hs": hs, "view": hs[0], "T": hs.T, "zero": mg.sum(x), "one": mg.constant(np.ones(3))}

    x = np.ones(3)
    for run in (mg.compile(f), lambda x: mg.trace(f, x).evaluate(x)):
        first, second = run(x), run(x)
        arrays = [*first.values(), *second.values(), x]
        for i, a in enumerate(arrays):
            assert isinstance(a, np.ndarray)
            assert a.flags.writeable
            assert not any(np.shares_memory(a, b) for b in arrays[:i])


def test_arguments_are_not_changed() -> None:
    x = np.arange(4.0)
    x.flags.writeable = False
    mg.compile(mg.grad(lambda x: mg.sum(mg.cumsum(x) ** 2)))(x)
    tree = {"a": [1.0, 2.0]}
    mg.grad(lambda t: t["a"][0] * t["a"][1])(tree)
    assert tree == {"a": [1.0, 2.0]}


def test_a_compiled_function_keeps_its_name_and_docstring() -> None:
    def named(x: Any) -> Any:
        """What it does."""
        return x

    compiled = mg.compile(named)
    assert compiled.__name__ == "named"
    assert compiled.__doc__ == "What it does."
    assert "named" in mg.grad(named).__name__


def test_compile_from_many_threads() -> None:
    compiled = mg.compile(mg.grad(lambda x: mg.sum(mg.tanh(x) ** 2)))
    expected = mg.grad(lambda x: mg.sum(mg.tanh(x) ** 2))(np.ones(3))
    wrong: list[Any] = []

    def work(n: int) -> None:
        for _ in range(20):
            found = compiled(np.ones(3 + n % 2))
            if not np.allclose(found[:3], expected, rtol=1e-14):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_methods_and_callables_can_be_transformed() -> None:
    model = net()
    assert mg.grad(lambda x: mg.sum(model(x)))(INPUT).shape == INPUT.shape
    assert mg.compile(model)(INPUT).shape == (5, 2)
    assert mg.grad(Pair(1, 2)._replace(first=mg.sum).first)(INPUT).tolist() == np.ones_like(INPUT).tolist()


def test_arguments_of_methods_keep_their_names_under_every_transform() -> None:
    class Model:
        def loss(self, weights: Any, xs: Any) -> Any:
            return mg.sum(weights * xs)

    loss, x = Model().loss, np.ones(3)
    for f in (loss, mg.grad(loss), mg.compile(loss), mg.compile(mg.grad(loss)), mg.value_and_grad(mg.compile(loss))):
        assert [node.name for node in mg.trace(f, x, x).inputs] == ["weights", "xs"]
    second = mg.compile(mg.grad(mg.grad(lambda weights, xs: weights**3 * xs)))
    assert second.source(2.0, 3.0).count("(weights, xs)") == 1


def test_compile_of_grad_of_grad() -> None:
    f = lambda x: x**4 / 4.0  # noqa: E731
    assert mg.compile(mg.grad(mg.grad(f)))(2.0) == 12
    assert mg.grad(mg.compile(mg.grad(mg.compile(f))))(2.0) == 12
    assert mg.compile(mg.hessian(lambda x: mg.sum(x**4)))(np.array([1.0, 2.0])).tolist() == [[12, 0], [0, 48]]
