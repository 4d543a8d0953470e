"""Functions some of whose arguments are known for good: the same results, computed from what was copied."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Graph
from minigrad.pytree import flatten_with_paths
from minigrad.specialising import specialised
from minigrad.tracing import symbols_like

from .cell_drawing import loop, random_cell
from .cell_judge import difference, reference
from .programs import random_program

Array = Any
RNG = np.random.default_rng(0)
X, W, V = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))


def sources(f: Any, known: int, *arguments: Any) -> tuple[str, list[Array]]:
    """What is left of a function of arrays, as text, and what was prepared for it."""
    symbols = symbols_like([(f"a{i}", a) for i, a in enumerate(arguments)])
    source, prepared = specialised(Graph(symbols, mg.tree_leaves(f(*symbols))), arguments[:known], "f")
    assert [type(a) for a in prepared] == [np.ndarray] * len(prepared)
    return source.text, list(prepared)


# ------------------------------------------------------------------------------------------------------ what is done


def test_what_depends_on_known_inputs_alone_is_computed_once() -> None:
    text, prepared = sources(lambda w, x: x @ mg.exp(w), 1, W, X)
    assert "np." not in text.replace("import numpy as np", "")
    np.testing.assert_allclose(*prepared, np.exp(W), rtol=1e-15)


def test_weights_that_meet_the_same_operand_are_joined() -> None:
    text, prepared = sources(lambda w, v, x: mg.tanh(x @ w) * mg.tanh(x @ v), 2, W, V, X)
    assert text.count("@") + text.count(".dot(") == 1
    assert text.count("tanh(") == 1
    assert len(prepared) == 1 and prepared[0].size == W.size + V.size


def test_of_nothing_that_is_asked_everything_is_known() -> None:
    text, (prepared,) = sources(lambda w, x: mg.sum(w) * 2.0, 1, W, X)
    assert "sum" not in text and np.isclose(prepared, 2 * W.sum())


def test_the_step_of_a_cell_is_as_by_hand() -> None:
    rnn_step = lambda u, w, b, x, h: mg.tanh(x @ u + h @ w + b)  # noqa: E731
    text, _ = sources(rnn_step, 3, W, np.ones((4, 4)), np.ones(4), X, np.ones((2, 4)))
    assert "np.tanh(a3.dot(a0) + a4.dot(a1) + a2)" in text


# ------------------------------------------------------------------------------------------------------- the results


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_give_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, z = (rng.uniform(-1.5, 1.5, (2, 3)) for _ in range(3))
    f = mg.compile(mg.value_and_grad(random_program(seed), argnums=(0, 1)))
    known = f.given(x, copy=True)
    for other in (y, z, y):
        for a, b in zip(mg.tree_leaves(known(other)), mg.tree_leaves(f(x, other)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("seed", range(40))
def test_random_steps_give_the_same(seed: int) -> None:
    cell = random_cell(seed)

    def run(weights: dict[str, Array], others: dict[str, Array]) -> Any:
        moving = {name: a for name, a in others.items() if name in cell.moving}
        fixed = {name: a for name, a in others.items() if name in cell.fixed}
        return cell.gradient(loop)({**weights, **moving}, fixed)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # in branches not taken
        truth = reference(cell.gradient(loop), cell)
        found = mg.compile(run).given(cell.weights, copy=True)({**cell.carry, **cell.xs})
    if truth.certain:
        assert difference(dict(flatten_with_paths(found)[0]), truth) is None


def test_results_and_what_is_kept_belong_to_nobody_else() -> None:
    f = lambda w, v, x: {"w": w, "wT": w.T, "twice": (w + v, w + v), "x": x, "y": x @ w, "z": mg.zeros(3)}  # noqa: E731
    w, v, x = W.copy(), V.copy(), X.copy()
    known = mg.compile(f).given(w, v, copy=True)
    w[...] = v[...] = np.nan
    first = mg.tree_leaves(known(x))
    arrays = [w, v, x, *first]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    for array in first:
        array[...] = np.nan
    for a, b in zip(mg.tree_leaves(known(X)), mg.tree_leaves(mg.compile(f)(W, V, X)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bare_numbers_stay_bare(dtype: str) -> None:
    def f(scale: Any, w: Array, x: Array, shift: Any) -> Any:
        return (scale + 1) * x * w[0, 0] + shift, scale, scale * shift, shift * 2.0

    x, w = X.astype(dtype), W.astype(dtype)
    for first in ((2.0, w), (np.float64(2.0), w), (2.0, np.arange(12).reshape(3, 4))):
        for rest in ((x, 0.5), (x, np.float32(0.5)), (X, 0.5), (np.arange(3), 0.5), (1.5, 0.5)):
            known, expected = mg.compile(f).given(*first, copy=True)(*rest), mg.compile(f)(*first, *rest)
            for a, b in zip(known, expected, strict=True):
                assert (type(a), a.dtype, a.shape) == (type(b), b.dtype, b.shape)
                np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-14)


def test_with_nothing_known_or_nothing_asked_or_no_result() -> None:
    assert mg.compile(lambda name, x: x * 2.0).given("a", copy=True)(X).tolist() == (X * 2).tolist()
    assert mg.compile(lambda w: w * 2.0).given(W, copy=True)().tolist() == (W * 2).tolist()
    assert mg.compile(lambda w, x: ()).given(W, copy=True)(X) == ()
    assert mg.compile(lambda w, x: (1, "a", None)).given(W, copy=True)(X) == (1, "a", None)


def test_graphs_with_loops_and_large_constants() -> None:
    table = RNG.normal(size=(50, 4))

    def f(w: Array, x: Array, ids: Array) -> Any:
        last, steps = mg.scan(lambda h, i: (mg.tanh(h @ w[:, :3] + mg.constant(table)[i, :3]), h), x, ids)
        return last, steps, mg.sum(w)

    ids = np.array([0, 4, 49])
    for a, b in zip(mg.compile(f).given(W, copy=True)(X, ids), mg.compile(f)(W, X, ids), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_errors_and_checks_stay_what_they_are() -> None:
    f = mg.compile(lambda w, x: mg.log(x @ w), check_finite=True).given(W, copy=True)
    with pytest.raises(mg.errors.NonFiniteError), np.errstate(invalid="ignore"):
        f(X)
    with pytest.raises(mg.errors.ShapeError, match="matmul"):
        f(W)
    assert isinstance(mg.compile(lambda w, x: x @ w).given(W, copy=True)(mg.constant(X)), mg.Node)
    assert isinstance(mg.compile(lambda w, x: x @ w).given(mg.constant(W), copy=True)(X), mg.Node)
    free = mg.symbol("free", (3, 4))
    assert mg.graph.free_symbols([mg.compile(lambda w, x: x @ (w + free)).given(W, copy=True)(X)]) == [free]


def test_small_arrays_are_kept_in_the_shape_in_which_they_are_needed() -> None:
    b = RNG.normal(size=4)
    text, prepared = sources(lambda w, b, x: mg.tanh(x @ w + b) * b, 2, W, b, X)
    assert [a.shape for a in prepared] == [(3, 4), (2, 4)] and prepared[1].flags.c_contiguous
    assert "broadcast" not in text
    text, prepared = sources(lambda b, x: x + b, 1, b, np.ones((5000, 4)))
    assert [a.shape for a in prepared] == [(4,)], "large ones would take memory"
