"""What `mg.scan` promises beside its values: memory, forward mode, copies of what it uses, and errors that say what."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
import rnn

from .test_checkpoint import compiled, peak
from .test_loop import XS, H, W, runs, same

Array = Any
STEPS = 1500
SLICE = 100  # entries of a state
STATES = STEPS * SLICE * 8  # bytes of all states


# -------------------------------------------------------------------------------------------------- forward mode, memory


def last_of(h: Any) -> Any:
    return mg.scan(lambda h, _: (mg.sin(h) * 1.1, mg.cos(h)), h, length=STEPS)[0]  # its stack is not asked for


@pytest.mark.parametrize("source", [False, True], ids=["walked", "compiled"])
def test_the_tangent_of_the_last_carry_stacks_nothing(source: bool) -> None:
    def push(f: Any) -> Any:
        both = lambda h: mg.jvp(f, (h,), (h,))  # noqa: E731
        return compiled(both, h) if source else lambda: both(h)

    h = np.linspace(0.0, 1.0, SLICE)
    assert peak(push(last_of)) < STATES // 4
    # the same, once a stack is asked for: the measure can tell
    assert peak(push(lambda h: mg.scan(lambda h, _: (mg.sin(h), h), h, length=STEPS)[1])) > STATES


def test_no_array_of_all_steps_is_written_but_the_inputs() -> None:
    cell, xs = rnn.LSTMCell.init(3, 4, rng=0), np.ones((7, 2, 3))
    state = lambda cell, xs: rnn.scan(cell, xs)[1]  # noqa: E731
    source = mg.compile(lambda cell, xs: mg.jvp(state, (cell, xs), (cell, xs))).source(cell, xs)
    assert "np.empty((7" not in source
    assert "(7," not in source.replace("np.reshape(xs, (7,", "")


@pytest.mark.parametrize("source", [False, True], ids=["walked", "compiled"])
def test_a_jacobian_by_columns_keeps_one_state(source: bool) -> None:
    def f(scale: Any) -> Any:
        return mg.scan(lambda h, _: (mg.sin(h * scale[0] + scale[1]), None), np.ones(SLICE), length=STEPS)[0]

    scale, jacobian = np.array([0.9, 0.1]), mg.jacobian(f)
    assert peak(compiled(jacobian, scale) if source else lambda: jacobian(scale)) < STATES // 4
    rows = mg.vjp(f, scale)[1]
    found = mg.compile(jacobian)(scale) if source else jacobian(scale)
    for i in range(0, SLICE, 33):
        same(found[i], rows(np.eye(SLICE)[i])[0], 1e-12)


def test_values_alone_stack_nothing_that_is_not_asked_for() -> None:
    h = np.linspace(0.0, 1.0, SLICE)
    assert peak(lambda: np.asarray(last_of(mg.constant(h)))) < STATES // 4
    assert peak(lambda: mg.evaluate(last_of(mg.constant(h)))) < STATES // 4
    assert peak(compiled(last_of, h)) < STATES // 4


# ---------------------------------------------------------------------------------------------------------- second order


@pytest.mark.parametrize("options", [{}, {"checkpoint": 3}, {"reverse": True}], ids=str)
def test_a_linear_recurrence_against_its_closed_form(options: dict[str, Any]) -> None:
    # h' = a h + x: h_T = a^T h_0 + sum of a^(T - 1 - t) x_t, whose derivatives by a and x are known in all orders
    xs = np.array([0.3, -1.2, 0.7, 2.0, -0.4])
    last = lambda a, xs: mg.scan(lambda h, x: (a * h + x, None), 1.5, xs, **options)[0]  # noqa: E731
    order = xs if options.get("reverse") else xs[::-1]
    polynomial = np.polynomial.Polynomial([*order, 1.5])  # in a: the last x counts once
    same(last(0.8, xs), np.asarray(polynomial(0.8)), 1e-13)
    same(mg.grad(last)(0.8, xs), np.asarray(polynomial.deriv()(0.8)), 1e-13)
    same(mg.hessian(last)(0.8, xs), np.asarray(polynomial.deriv(2)(0.8)), 1e-13)
    same(mg.grad(mg.hessian(last))(0.8, xs), np.asarray(polynomial.deriv(3)(0.8)), 1e-13)
    powers = 0.8 ** np.arange(5.0)
    same(mg.grad(last, argnums=1)(0.8, xs), powers if options.get("reverse") else powers[::-1], 1e-13)
    slopes = np.arange(5.0) * 0.8 ** np.array([0.0, 0.0, 1.0, 2.0, 3.0])
    mixed = mg.jacobian(mg.grad(last), argnums=1)(0.8, xs)
    same(mixed, slopes if options.get("reverse") else slopes[::-1], 1e-13)


@pytest.mark.parametrize("options", [{}, {"checkpoint": 2}, {"checkpoint": (3, 2)}, {"reverse": True}], ids=str)
def test_finite_differences_of_second_order(options: dict[str, Any]) -> None:
    def energy(w: Any, h: Any, xs: Any) -> Any:
        last, hs = mg.scan(lambda h, x: ((n := mg.tanh(h @ w + x)), n * h), h, xs, **options)
        return mg.sum(last * last) + mg.sum(mg.sin(hs))

    mg.check_gradients(energy, W, H, XS, order=2)
    tangents = (W[::-1].copy(), H[::-1].copy(), XS[::-1].copy())
    gradient, product = mg.hvp(energy, (W, H, XS), tangents)
    along = lambda s: mg.grad(energy, argnums=(0, 1, 2))(*[x + s * t for x, t in zip((W, H, XS), tangents, strict=True)])  # noqa: E731
    for g, p, ahead, behind in zip(gradient, product, along(1e-5), along(-1e-5), strict=True):
        np.testing.assert_allclose(p, (ahead - behind) / 2e-5, atol=1e-7 * max(1.0, np.abs(g).max()))


# ------------------------------------------------------------------------------------------------------ what it is given


def test_arrays_that_are_changed_afterwards_change_nothing() -> None:
    w, xs, start, table = W.copy(), XS.copy(), H.copy(), np.arange(3.0)

    def step(h: Any, x: Any) -> Any:
        return mg.tanh(h @ w + x), h * table

    expected = [np.array(leaf) for leaf in mg.tree_leaves(mg.scan(step, start, xs))]
    result = mg.scan(step, start, xs)
    f = mg.compile(lambda h: mg.scan(step, h, xs)[0])
    before = f(H)
    for array in (w, xs, start, table):
        array[...] = 7.0
    for leaf, value in zip(mg.tree_leaves(result), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(leaf), value)
    np.testing.assert_array_equal(f(H), before)


def test_a_list_that_is_changed_afterwards_changes_nothing() -> None:
    weights = [mg.constant(W), mg.constant(H)]
    last, _ = mg.scan(lambda h, x: (mg.tanh(h @ weights[0] + weights[1] + x), None), H, XS)
    expected = mg.scan(lambda h, x: (mg.tanh(h @ W + H + x), None), H, XS)[0]
    weights[:] = [mg.constant(0 * W), mg.constant(0 * H)]
    np.testing.assert_array_equal(np.asarray(last), np.asarray(expected))


def test_a_step_is_called_once_or_twice_whatever_the_length() -> None:
    calls: list[int] = []

    def step(h: Any, _: Any) -> Any:
        calls.append(1)
        return h * 0.5, None

    mg.scan(step, np.ones(2), length=10**6)
    assert len(calls) == 1
    mg.scan(step, 1.0, length=10**6, checkpoint="sqrt")  # a bare number waits for its dtype
    assert len(calls) == 3


# --------------------------------------------------------------------------------------------------------------- errors


class State(NamedTuple):
    h: Any
    c: Any


@dataclasses.dataclass
class Memory:
    fast: State
    slow: list[Any]


def with_c(m: Memory, c: Any) -> Memory:
    return Memory(State(m.fast.h, c), m.slow)


@pytest.mark.parametrize("checkpoint", [None, 2], ids=str)
@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda m: with_c(m, m.fast.c[1:]), r"carry\.fast\.c from shape \(4, 3\), float64 to shape \(3, 3\), float64"),
        (lambda m: with_c(m, m.fast.c[..., None]), r"carry\.fast\.c from shape \(4, 3\), float64 to shape \(4, 3, 1\), float64"),
        (lambda m: with_c(m, m.fast.c > 0), r"carry\.fast\.c from shape \(4, 3\), float64 to shape \(4, 3\), bool"),
        (lambda m: with_c(m, m.fast.c.astype("float32")), r"carry\.fast\.c .*float64 to .*float32"),
        (lambda m: Memory(m.fast, [m.slow[0], m.slow[1] * np.float64(2)]), r"carry\.slow\[1\] from shape \(\), float32 to shape \(\), float64"),
        (lambda m: Memory(m.fast, [m.slow[0] + mg.sum(m.fast.h), m.slow[0]]), r"carry\.slow\[1\] from shape \(\), float32 to shape \(2,\), float64"),
    ],
)  # fmt: skip
def test_drift_names_the_leaf_and_shows_both(change: Any, pattern: str, checkpoint: Any) -> None:
    start = Memory(State(H, XS), [np.ones(2), np.ones((), "float32")])
    with pytest.raises(mg.errors.ShapeError, match=f"(?s)^scan: step changes {pattern}.*instead: ") as caught:
        mg.scan(lambda m, x: (change(m), None), start, XS, checkpoint=checkpoint)
    assert "test_scan.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda m: m.fast, "structure of the carry"),
        (lambda m: Memory(tuple(m.fast), m.slow), "structure of the carry"),
        (lambda m: Memory(m.fast, m.slow[:1]), "structure of the carry"),
        (lambda m: Memory(m.fast, [*m.slow[:1], None]), "structure of the carry"),
        (lambda m: Memory(m.fast, [*m.slow[:1], 1]), "structure of the carry.*floats or arrays, not int"),
        (lambda m: None, "structure of the carry"),
    ],
)
def test_another_structure_is_an_error(change: Any, pattern: str) -> None:
    start = Memory(State(H, XS), [np.ones(2), np.ones((), "float32")])
    with pytest.raises(mg.errors.StructureError, match=f"(?s)^scan: .*{pattern}"):
        mg.scan(lambda m, x: (change(m), None), start, XS)


@pytest.mark.parametrize("result", [None, 1.0, (1.0,), (1.0, None, None), [1.0, None]], ids=repr)
def test_a_step_that_returns_no_pair(result: Any) -> None:
    with pytest.raises(mg.errors.StructureError, match=r"scan: step must return \(carry, y\)"):
        mg.scan(lambda h, x: result, 1.0, XS)


@pytest.mark.parametrize("length", [-1, -(10**20), 2**63, 10**30, 1.0, "3", True, np.bool_(True), None, np.ones(1, int)], ids=repr)
def test_lengths_that_are_none(length: Any) -> None:
    with pytest.raises(mg.errors.ArgumentError, match="^scan: ") as caught:
        mg.scan(lambda h, _: (h, None), H, length=length)
    assert "test_scan.py:" in str(caught.value)


def test_lengths_may_be_numpys_integers() -> None:
    assert float(mg.scan(lambda h, _: (h + 1.0, None), 0.0, length=np.int32(3))[0]) == 3


# 10^15 steps of 3 floats are more than any machine can address
@pytest.mark.parametrize("run", [0, 1], ids=["walked", "compiled"])
@pytest.mark.parametrize(
    "f",
    [
        lambda h: mg.scan(lambda h, _: (mg.sin(h), h), h, length=10**15)[1],
        mg.grad(lambda h: mg.sum(mg.scan(lambda h, _: (mg.sin(h), None), h, length=10**15)[0])),
    ],
    ids=["ys", "what the gradient needs"],
)
def test_stacks_that_fit_no_memory(f: Any, run: int) -> None:
    with pytest.raises(MemoryError, match=r"(?s)Unable to allocate.*PiB.*\(1000000000000000, 3\).*checkpoint=\"sqrt\"") as caught:
        runs(f)[run](H)
    assert isinstance(caught.value, mg.errors.AllocationError)


@pytest.mark.parametrize("options", [{}, {"checkpoint": 2}], ids=str)
def test_xs_of_unequal_length_are_listed(options: dict[str, Any]) -> None:
    with pytest.raises(mg.errors.ShapeError, match=r"x\['a'\]: 4, x\['b'\]: 3"):
        mg.scan(lambda h, x: (h, None), H, {"a": XS, "b": XS[:3]}, **options)
