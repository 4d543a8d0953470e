"""What large public test suites and random programs have found, each reduced to the property that was broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg

Array = Any


@pytest.mark.parametrize("function, base", [(mg.logaddexp, np.e), (mg.logaddexp2, 2.0)])
@pytest.mark.parametrize("gap", [0.0, 1e-9, 0.5, 40.0])
def test_the_second_derivative_of_logaddexp_at_a_tie(function: Any, base: float, gap: float) -> None:
    # slope s = sigmoid(gap ln base), so the Hessian is ln base * s (1 - s) * [[1, -1], [-1, 1]]: not 0 at a tie
    s = 1 / (1 + base**-gap)
    hessian = mg.hessian(lambda ab: function(ab[0], ab[1]))(np.array([0.3 + gap, 0.3]))
    expected = np.log(base) * s * (1 - s) * np.array([[1.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_allclose(hessian, expected, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("function", [mg.logaddexp, mg.logaddexp2])
@pytest.mark.parametrize("infinity, share", [(-np.inf, 0.0), (np.inf, 0.5)])
def test_equal_infinities_share_what_they_have(function: Any, infinity: float, share: float) -> None:
    with np.errstate(invalid="ignore"):
        slopes = mg.grad(function, argnums=(0, 1))(np.float64(infinity), np.float64(infinity))
    assert [float(s) for s in slopes] == [share, share]


def test_a_slice_may_be_bounded_by_any_node_that_has_a_value() -> None:
    x, start = mg.constant(np.arange(5.0)), mg.constant(1)
    assert x[start : start + 2].tolist() == [1.0, 2.0]
    assert x[::-start].tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
    with pytest.raises(IndexError, match="constant bounds"):
        x[mg.symbol("n", dtype="int64") :]
    with pytest.raises(IndexError, match="integers or None"):
        x[mg.constant(1.0) * 2 :]


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.0, 0.5, 1.0, 2.0, True, np.int8(2)])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_power_has_the_dtype_that_it_says(shape: tuple[int, ...], dtype: str, exponent: Any) -> None:
    def power(a: Any) -> Any:
        return +(a.astype(dtype) ** exponent), mg.all(
            a > 0
        ) ** exponent  # the second is one boolean, not an array of one

    x = np.ones(shape)
    for node, result in zip(power(mg.constant(x)), mg.compile(power)(x), strict=True):
        assert node.dtype == np.asarray(node).dtype == result.dtype
    assert node.dtype == np.power(np.ones(shape, bool), exponent).dtype
    assert mg.power(np.ones(shape, dtype), exponent).dtype == np.power(np.ones(shape, dtype), exponent).dtype


BEYOND = {"uint8": (-1, 300), "int8": (-129, 128), "uint64": (-1, 2**64)}


@pytest.mark.parametrize("dtype, number", [(dtype, n) for dtype, numbers in BEYOND.items() for n in numbers])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "floor_divide", "maximum", "bitwise_or", "power"])
def test_a_bare_integer_that_does_not_fit_is_refused_where_it_is_written(name: str, dtype: str, number: int) -> None:
    x = np.ones(3, dtype)
    with pytest.raises(OverflowError):
        getattr(np, name)(x, number)
    for operands in ((mg.constant(x), number), (number, mg.constant(x))):
        with pytest.raises(OverflowError, match=f"{name}: .*out of bounds for {dtype}") as caught:
            getattr(mg, name)(*operands)
        assert isinstance(caught.value, mg.errors.MinigradError)
        assert "test_regressions.py" in str(caught.value)
    assert (mg.constant(x) < number).tolist() == (x < number).tolist(), "comparisons take any integer"


@pytest.mark.parametrize("low, high", [(-1, None), (None, 300), (-1, 300), (-1, 3), (2, 300), (0, 255), (2, 3)])
def test_a_bare_bound_beyond_the_integers_is_none(low: Any, high: Any) -> None:
    x = np.array([0, 2, 5, 255], np.uint8)
    clipped = mg.clip(mg.constant(x), low, high)
    assert clipped.dtype == np.uint8
    assert clipped.tolist() == np.clip(x, low, high).tolist()


def test_the_conjugate_of_a_boolean_is_a_number() -> None:
    x = np.array([True, False])
    assert mg.conj(x).dtype == np.asarray(mg.conj(x)).dtype == np.conj(x).dtype


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_an_array_like_any_other() -> None:
    def squared(x: Array) -> Array:
        return mg.sum(x * x)  # of a matrix, NumPy's * would be a product

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    for f in (mg.value_and_grad(squared), mg.compile(mg.value_and_grad(squared)), lambda x: mg.trace(squared, x).evaluate(x)):
        found, expected = mg.tree_leaves(f(np.asmatrix(x))), mg.tree_leaves(f(x))
        assert [type(a) for a in found] == [type(a) for a in expected]
        assert all(np.array_equal(a, b) for a, b in zip(found, expected))


def test_a_masked_array_is_refused_by_all_that_would_drop_its_mask() -> None:
    x = np.ma.masked_array([1.0, 2.0], [0, 1])
    compiled = mg.compile(mg.sum)
    compiled(np.ones(2))  # of its shape and dtype
    for f in (compiled, mg.grad(mg.sum), lambda x: mg.vjp(mg.sum, x), lambda x: mg.trace(mg.sum, x, 0)):
        with pytest.raises(mg.errors.DtypeError, match="masked arrays are not supported"):
            f(x)


def test_an_array_that_stands_in_two_joined_arrays_is_computed_once() -> None:
    def attention(w: Array, u: Array, xs: Array) -> Array:
        def step(h: Array, x: Array) -> tuple[Array, Array]:
            found = mg.softmax(xs @ h) @ xs
            h = mg.tanh(mg.concatenate([x, found]) @ w + h @ u)
            return h, h

        return mg.sum(mg.scan(step, np.zeros(4), xs)[1] ** 2)

    rng = np.random.default_rng(0)
    arguments = rng.standard_normal((8, 4)), rng.standard_normal((4, 4)), rng.standard_normal((5, 4))
    f, plain = mg.compile(mg.grad(attention, (0, 1))), mg.grad(attention, (0, 1))
    forward = f.source(*arguments).partition("in reversed(")[0]
    assert forward.count(".dot(xs)") + forward.count(" @ xs") == 1
    for a, b in zip(f(*arguments), plain(*arguments), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_results_that_are_written_alike_are_not_copied() -> None:
    def squared(a: Array, b: Array, c: Array) -> Array:
        return mg.sum(a * a)

    f = mg.compile(mg.grad(squared, (0, 1, 2)))
    arguments = np.ones(3), np.ones((2, 2)), np.ones((2, 2))
    assert "np.array(np.zeros" not in f.source(*arguments)
    _, b, c = f(*arguments)
    b += 1
    assert not c.any()


def test_a_constant_is_not_made_again_at_each_step() -> None:
    real = np.array([True, True, False, True])

    def kept(h: Array) -> Array:
        def step(h: Array, on: Array) -> tuple[Array, None]:
            return mg.where(on, mg.tanh(h) + mg.constant(np.ones(3)) * mg.sum(h), h), None

        return mg.scan(step, h, mg.constant(real))[0]

    f, h = mg.compile(kept), np.array([0.1, -0.2, 0.3])
    before, step = f.source(h).split("    for t in range(4):\n")
    assert "np.array([True, True, False, True])" in before and "np.array([" not in step
    assert "np.ones" in before and "np.ones" not in step
    np.testing.assert_allclose(f(h), np.asarray(kept(mg.constant(h))), rtol=1e-12)
