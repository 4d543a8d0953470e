"""The gradient that arrives at every lag, against closed forms and against differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn
from rnn.flow import decay, gradient_by_lag, log10_norm, spread


def linear(weight: float) -> rnn.RNNCell:
    """h' = weight * h + x: the gradient at lag k is weight ** k."""
    return rnn.RNNCell(rnn.Affine(w_x=np.ones((1, 1)), w_h=np.full((1, 1), weight)), activation="identity")


@pytest.mark.parametrize("weight", [1e-3, 0.5, 1.0, 2.0, 1e3])
def test_a_linear_recurrence_has_the_gradient_of_its_power(weight: float) -> None:
    # down to 1e-297 and up to 1e297: their squares are 0 and infinite
    flow = gradient_by_lag(linear(weight), np.ones((100, 2, 1)), mg.sum)
    expected = np.arange(100) * math.log10(weight)
    assert np.allclose(flow["h"], expected[:, None], rtol=1e-12, atol=1e-12)


def test_what_float64_cannot_hold_is_minus_infinity_and_left_out_of_the_decay() -> None:
    norms = gradient_by_lag(linear(1e-3), np.ones((150, 1, 1)), mg.sum)["h"].mean(axis=1)
    assert np.isneginf(norms[-1])
    assert decay(norms).lags < 149
    assert decay(norms).per_step == pytest.approx(-3, rel=1e-2)  # the last are denormal numbers, and less exact


def _states(cell: Any, xs: np.ndarray) -> list[Any]:
    states, state = [], cell.initial_state(xs.shape[1])
    for x in xs:
        _, state = cell(x, state)
        states.append(mg.tree_map(np.asarray, state))
    return states


def _difference(run: Any, at: np.ndarray) -> np.ndarray:
    # the gradient of run(at), entry by entry, by central differences
    found = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[i] = 1e-5
        found[i] = (run(at + step) - run(at - step)) / 2e-5
    return found


@pytest.mark.parametrize("kind", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_every_lag_agrees_with_differences(kind: Any) -> None:
    rng = np.random.default_rng(0)
    cell, xs = kind.init(3, 4, rng=1), rng.normal(size=(6, 2, 3))
    flow = gradient_by_lag(cell, xs, lambda h: mg.sum(h**2))
    states = _states(cell, xs)

    def loss_from(t: int, state: Any) -> float:
        output = state.h if isinstance(state, tuple) else state
        for x in xs[t + 1 :]:
            output, state = cell(x, state)
        return float(mg.sum(mg.constant(output) ** 2))

    for lag in range(6):
        t = 5 - lag
        if kind is not rnn.LSTMCell:
            arrived = {"h": _difference(lambda h, t=t: loss_from(t, h), states[t])}
        else:
            h, c = states[t]
            o = h / np.tanh(c)  # h of the same step moves with c
            arrived = {"c": _difference(lambda c, t=t, o=o: loss_from(t, rnn.LSTMState(o * np.tanh(c), c)), c)}
            arrived["h"] = _difference(lambda h, t=t, c=c: loss_from(t, rnn.LSTMState(h, c)), h)
        for part, gradient in arrived.items():
            assert np.allclose(flow[part][lag], log10_norm(gradient), atol=1e-6)


def test_float32_models_are_followed_in_float64() -> None:
    # in float32 the smallest number is 1e-45; this gradient is 1e-57 at the end
    cell = mg.tree_map(lambda leaf: leaf.astype(np.float32), linear(1e-3))
    norms = gradient_by_lag(cell, np.ones((20, 1, 1), np.float32), mg.sum)["h"]
    assert norms[-1, 0] == pytest.approx(-57, abs=1e-5)


@dataclass(frozen=True)
class Average:
    """A user's own cell: an exponentially weighted moving average."""

    weight: Any

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = self.weight * x + (1 - self.weight) * h
        return h, h

    def initial_state(self, batch: int) -> np.ndarray:
        return np.zeros((batch, 1))


def test_a_cell_of_the_users_own_is_followed_as_well() -> None:
    flow = gradient_by_lag(Average(np.float64(0.25)), np.ones((10, 3, 1)), mg.sum)
    assert decay(flow["h"].mean(axis=1)).per_step == pytest.approx(math.log10(0.75))


def test_log10_norm_agrees_with_the_plain_norm_where_that_is_right() -> None:
    array = np.random.default_rng(0).normal(size=(5, 7))
    assert np.allclose(log10_norm(array), np.log10(np.linalg.norm(array, axis=-1)), rtol=1e-14)
    assert np.allclose(log10_norm(array * 1e-250) + 250, log10_norm(array), rtol=1e-13)


def test_decay_of_a_growing_gradient_has_no_half_life() -> None:
    assert decay(np.array([0.0, 0.5, 1.0])) == (1.0, 0.5, math.inf, 2)


def test_decay_needs_two_lags() -> None:
    assert math.isnan(decay(np.array([-1.0])).half_life)
    assert math.isnan(decay(np.array([-1.0, -np.inf])).total)


def test_spread_holds_four_fifths_of_the_windows() -> None:
    norms = np.linspace(-10, 0, 101)[None, :]
    low, middle, high = spread(norms)
    assert (low[0], middle[0], high[0]) == pytest.approx((-9, -5, -1))
