"""Norms, systems of equations, factors: what NumPy's functions give, and the derivatives of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.numpy_api import linalg

from .calls import CALLS, Call, axis_of, call, calls, check_derivatives, check_refused, check_values, shapes, some_axes
from .test_numpy_products import ALIASES, size, stacked

NAMES = [f"linalg.{name}" for name in sorted(set(linalg.__all__) - set(ALIASES)) if not name.endswith("Result")]
LAPACK = ("float64", "float32", "int64")  # float16 and booleans are not for it

# ---------------------------------------------------------------------------------------------------------- norms

VECTOR_ORDERS = [2, 1, 0, 3, 2.5, 0.5, -1, -2, np.inf, -np.inf]
MATRIX_ORDERS = ["fro", 1, -1, np.inf, -np.inf, 2, "nuc"]


@call("linalg.norm")
def _(draw: Any, numbers: Any) -> Call:
    x, keepdims = numbers(draw(shapes(side=1)), (*LAPACK, "bool")), draw(st.booleans())
    choices: list[tuple[Any, Any]] = [(None, None)]
    if x.ndim:
        choices += [(order, axis_of(draw, x.ndim)) for order in [None, *VECTOR_ORDERS]]
    if x.ndim == 1:
        choices += [(order, None) for order in VECTOR_ORDERS]
    if x.ndim >= 2:
        pair = tuple(draw(st.permutations(range(-x.ndim, 0)))[:2])
        choices += [(order, pair) for order in [None, *MATRIX_ORDERS]]
    if x.ndim == 2:
        choices += [(order, None) for order in MATRIX_ORDERS]
    order, axis = draw(st.sampled_from(choices))
    if order in (-1, -2, 0.5):
        x = np.where(x == 0, np.ones_like(x), x)  # NumPy warns of 1 / 0
    return Call(lambda m, x: m.linalg.norm(x, order, axis, keepdims), [x], exact=False)


@call("linalg.vector_norm")
def _(draw: Any, numbers: Any) -> Call:
    x, keepdims = numbers(draw(shapes(1, side=1))), draw(st.booleans())
    axis = draw(st.sampled_from([None, axis_of(draw, x.ndim), some_axes(draw, x.ndim) or None]))
    order = draw(st.sampled_from(VECTOR_ORDERS))
    x = np.where(x == 0, np.ones_like(x), x) if order < 0 else x
    return Call(lambda m, x: m.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=order), [x], exact=False)


@call("linalg.matrix_norm")
def _(draw: Any, numbers: Any) -> Call:
    x, keepdims = numbers(draw(shapes(2, side=1)), LAPACK), draw(st.booleans())
    order = draw(st.sampled_from(MATRIX_ORDERS))
    return Call(lambda m, x: m.linalg.matrix_norm(x, keepdims=keepdims, ord=order), [x], exact=False)


@call("linalg.svd")
def _(draw: Any, numbers: Any) -> Call:
    x = regular(draw, numbers, 3, draw(shapes(0, 1)))[..., : draw(st.integers(1, 3))]
    x = draw(st.sampled_from([x, np.swapaxes(x, -1, -2)]))
    more = {} if x.shape[-1] == x.shape[-2] else {"full_matrices": False}
    return Call(lambda m, x: m.linalg.svd(x, **more), [x], exact=False)


@call("linalg.qr")
def _(draw: Any, numbers: Any) -> Call:
    x = regular(draw, numbers, 3, draw(shapes(0, 1)))[..., : draw(st.integers(0, 3))]
    mode = draw(st.sampled_from([{}, {"mode": "r"}]))
    return Call(lambda m, x: m.linalg.qr(x, **mode), [x], exact=False)


@call("linalg.svdvals")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(2, side=1)), LAPACK)
    return Call(lambda m, x: m.linalg.svdvals(x), [x], exact=False)


# ----------------------------------------------------------------------------------- systems, factors, eigenvalues


def regular(draw: Any, numbers: Any, n: int | None = None, stack: tuple[int, ...] | None = None) -> Any:
    """Square matrices that are far from singular."""
    n, stack = size(draw) if n is None else n, draw(shapes(0, 1)) if stack is None else stack
    x = numbers((*stack, n, n), LAPACK)
    return x + 8 * np.eye(n, dtype=x.dtype)


def symmetric(draw: Any, numbers: Any) -> Any:
    """Symmetric matrices whose eigenvalues are apart and positive."""
    x = regular(draw, numbers)
    return x + np.swapaxes(x, -1, -2) + 24 * np.diag(np.arange(x.shape[-1])).astype(x.dtype)


@call("linalg.solve")
def _(draw: Any, numbers: Any) -> Call:
    n, stack = size(draw), draw(shapes(0, 2))
    a = regular(draw, numbers, n, stacked(draw, stack))
    b = draw(st.sampled_from([(n,), (*stacked(draw, stack), n, size(draw))]))
    return Call(lambda m, a, b: m.linalg.solve(a, b), [a, numbers(b, LAPACK)], exact=False)


@call("linalg.inv")
def _(draw: Any, numbers: Any, name: str = "inv") -> Call:
    return Call(lambda m, a: getattr(m.linalg, name)(a), [regular(draw, numbers)], exact=False)


@call("linalg.det")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["linalg.inv"](draw, numbers, "det")


@call("linalg.slogdet")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["linalg.inv"](draw, numbers, "slogdet")


@call("linalg.pinv")
def _(draw: Any, numbers: Any) -> Call:
    a = regular(draw, numbers, 3)[..., : draw(st.integers(1, 3)), : draw(st.integers(1, 3))]
    rcond = draw(st.sampled_from([{}, {"rcond": 1e-6}]))
    return Call(lambda m, a: m.linalg.pinv(a, **rcond), [a], exact=False)


@call("linalg.matrix_power")
def _(draw: Any, numbers: Any) -> Call:
    n = draw(st.integers(-3, 6))
    return Call(lambda m, a: m.linalg.matrix_power(a, n), [regular(draw, numbers)], exact=False)


@call("linalg.multi_dot")
def _(draw: Any, numbers: Any) -> Call:
    sizes = [size(draw) for _ in range(draw(st.integers(3, 5)))]
    arrays = [numbers(pair) for pair in zip(sizes, sizes[1:], strict=False)]
    if draw(st.booleans()):
        arrays[0] = numbers(arrays[0].shape[1:])
    if draw(st.booleans()):
        arrays[-1] = numbers(arrays[-1].shape[:1])
    return Call(lambda m, *xs: m.linalg.multi_dot(list(xs)), arrays)


@call("linalg.cholesky")
def _(draw: Any, numbers: Any) -> Call:
    a, upper = symmetric(draw, numbers), draw(st.booleans())
    return Call(lambda m, a: m.linalg.cholesky(a, upper=upper), [a], exact=False)


@call("linalg.eigvalsh")
def _(draw: Any, numbers: Any) -> Call:
    a, triangle = symmetric(draw, numbers), draw(st.sampled_from(["L", "U"]))
    return Call(lambda m, a: m.linalg.eigvalsh(a, triangle), [a], exact=False)


@call("linalg.eigh")
def _(draw: Any, numbers: Any) -> Call:
    a, triangle = symmetric(draw, numbers), draw(st.sampled_from(["L", "U"]))
    if triangle == "L":
        return Call(lambda m, a: m.linalg.eigh(a), [a], exact=False)

    def without_signs(m: Any, a: Any) -> Any:
        values, vectors = m.linalg.eigh(a, "U")
        return values, m.square(vectors)

    return Call(without_signs, [a], exact=False)


# ---------------------------------------------------------------------------------------------------------- tests


def test_every_function_has_calls() -> None:
    assert set(NAMES) <= set(CALLS)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_values(name: str, data: Any) -> None:
    check_values(data.draw(calls(name)))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_derivatives(name: str, data: Any) -> None:
    check_derivatives(data.draw(calls(name, smooth=True)))


CUBE = np.random.default_rng(0).normal(size=(3, 2, 4))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", VECTOR_ORDERS)
def test_vector_norms_of_every_order(order: float, keepdims: bool) -> None:
    axes: list[Any] = [None, 0, -1, (0, 2), (2, 1), (0, 1, 2), ()]
    for axis in axes:
        found = mg.linalg.vector_norm(CUBE, axis=axis, keepdims=keepdims, ord=order)
        expected = np.linalg.vector_norm(CUBE, axis=axis, keepdims=keepdims, ord=order) if axis != () else (
            np.abs(CUBE) if order else np.ones(CUBE.shape))  # fmt: skip
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-13)
    np.testing.assert_allclose(mg.linalg.norm(CUBE, order, 1).tolist(), np.linalg.norm(CUBE, order, 1), rtol=1e-13)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", [*MATRIX_ORDERS, -2, "f", None])
def test_matrix_norms_of_every_order(order: Any, keepdims: bool) -> None:
    for axis in [(0, 1), (1, 0), (2, 0), (-1, 1)]:
        found = mg.linalg.norm(CUBE, order, axis, keepdims)
        expected = np.linalg.norm(CUBE, order, axis, keepdims)
        assert found.shape == expected.shape
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-13)
    np.testing.assert_allclose(float(mg.linalg.norm(CUBE[0], order)), np.linalg.norm(CUBE[0], order), rtol=1e-13)


@pytest.mark.parametrize("n", range(-3, 8))
def test_powers_of_matrices(n: int) -> None:
    a = CUBE[..., :2] + 2 * np.eye(2)
    power = mg.linalg.matrix_power(a, n)
    assert power.shape == a.shape
    np.testing.assert_allclose(np.asarray(power), np.linalg.matrix_power(a, n), rtol=1e-11, atol=1e-13)
    assert mg.linalg.matrix_power(np.eye(2, dtype=int), abs(n)).dtype == np.int64


# ------------------------------------------------------------------------------------------------- hard points


@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, 0.5, 0, -1, np.inf, -np.inf])
def test_the_gradient_of_a_norm_at_zero_is_zero(order: Any) -> None:
    with np.errstate(divide="ignore"):
        value, gradient = mg.value_and_grad(lambda x: mg.linalg.norm(x, order))(np.zeros(3))
        _, tangent = mg.jvp(lambda x: mg.linalg.norm(x, order), (np.zeros(3),), (np.ones(3),))
    assert value == 0
    assert gradient.tolist() == [0, 0, 0]
    assert tangent == 0


def test_the_gradient_of_matrix_norms_at_zero_is_zero() -> None:
    for order in ("fro", 1, np.inf):
        assert not mg.grad(lambda x, order=order: mg.linalg.norm(x, order))(np.zeros((2, 2))).any()
    rows = mg.grad(lambda x: mg.sum(mg.linalg.norm(x, axis=1)))(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(rows, [[0, 0], [0.6, 0.8]])


def test_winners_share_the_gradient_of_an_infinite_norm() -> None:
    gradient = mg.grad(lambda x: mg.linalg.norm(x, np.inf))(np.array([1.0, -2.0, 2.0]))
    assert gradient.tolist() == [0, -0.5, 0.5]


def test_the_gradient_of_det_at_a_singular_matrix() -> None:
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(mg.grad(mg.linalg.det)(a), [[4, -2], [-2, 1]], atol=1e-15)
    rank_one = np.outer([1.0, 2, 3], [1.0, 1, 1])
    np.testing.assert_allclose(mg.grad(mg.linalg.det)(rank_one), np.zeros((3, 3)), atol=1e-14)


def test_singular_systems_raise_when_run() -> None:
    a = mg.constant(np.zeros((2, 2)))
    for node in (mg.linalg.inv(a), mg.linalg.solve(a, np.ones(2))):
        with pytest.raises(np.linalg.LinAlgError):
            np.asarray(node)


def test_functions_of_a_symmetric_matrix_have_the_gradient_of_what_is_read() -> None:
    a = np.array([[4.0, 1.0], [1.0, 3.0]])
    for f in (lambda a: mg.sum(mg.linalg.cholesky(a)), lambda a: mg.linalg.eigvalsh(a)[0]):
        gradient = mg.grad(f)(a)
        assert gradient[0, 1] == 0
        both = mg.grad(lambda a, f=f: f((a + a.T) / 2))(a)
        np.testing.assert_allclose(both, (gradient + gradient.T) / 2)


# -------------------------------------------------------------------------------------------------------- errors

X, VECTOR = np.arange(6.0).reshape(2, 3), np.arange(3.0)
REFUSED: dict[str, tuple[Any, str]] = {
    "linalg.norm": (lambda m: m.linalg.norm(CUBE, 2), "these are 3"),
    "linalg.norm, order": (lambda m: m.linalg.norm(X, "max"), "no norm of order 'max'"),
    "linalg.norm, vector order": (lambda m: m.linalg.norm(VECTOR, "fro"), "is a number, got 'fro'"),
    "linalg.norm, axis": (lambda m: m.linalg.norm(X, axis=2), "axis 2 is out of bounds"),
    "linalg.norm, twice": (lambda m: m.linalg.norm(X, axis=(0, 0)), "twice"),
    "linalg.matrix_norm": (lambda m: m.linalg.matrix_norm(VECTOR), "2 axes at least"),
    "linalg.solve": (lambda m: m.linalg.solve(X, VECTOR), r"square matrices, got shape \(2, 3\)"),
    "linalg.solve, sides": (lambda m: m.linalg.solve(np.eye(3), X), r"\(3, 3\) and \(2, 3\) do not fit"),
    "linalg.solve, vector": (lambda m: m.linalg.solve(np.eye(3), np.ones(2)), r"\(3, 3\) and \(2, 1\) do not fit"),
    "linalg.solve, stacks": (lambda m: m.linalg.solve(np.ones((2, 3, 3)), np.ones((4, 3, 3))), r"\(2,\) and \(4,\)"),
    "linalg.inv": (lambda m: m.linalg.inv(X), r"square matrices, got shape \(2, 3\)"),
    "linalg.inv, vector": (lambda m: m.linalg.inv(VECTOR), r"square matrices, got shape \(3,\)"),
    "linalg.inv, float16": (lambda m: m.linalg.inv(np.eye(2, dtype="float16")), "float16 is too coarse"),
    "linalg.det": (lambda m: m.linalg.det(X), "square matrices"),
    "linalg.slogdet": (lambda m: m.linalg.slogdet(X), "square matrices"),
    "linalg.matrix_power": (lambda m: m.linalg.matrix_power(X, 2), "square matrices"),
    "linalg.cholesky": (lambda m: m.linalg.cholesky(X), "square matrices"),
    "linalg.eigh": (lambda m: m.linalg.eigh(X), "square matrices"),
    "linalg.eigh, triangle": (lambda m: m.linalg.eigh(np.eye(2), "X"), "'L' or 'U', got 'X'"),
    "linalg.pinv": (lambda m: m.linalg.pinv(VECTOR), "needs matrices"),
    "linalg.svdvals": (lambda m: m.linalg.svdvals(VECTOR), "2 axes at least"),
    "linalg.qr": (lambda m: m.linalg.qr(X, "upside down"), "'reduced' or 'r', got 'upside down'"),
    "linalg.multi_dot": (lambda m: m.linalg.multi_dot([X]), "two matrices or more"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_errors_name_operation_shapes_and_line(case: str) -> None:
    check_refused(case, *REFUSED[case])


def test_what_is_not_supported_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        mg.linalg.pinv(X, hermitian=True)
    with pytest.raises(ValueError, match="full_matrices=False"):
        mg.linalg.svd(X)
    with pytest.raises(ValueError, match="as many rows as columns at least"):
        mg.linalg.qr(X)
