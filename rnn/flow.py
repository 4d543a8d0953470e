"""Where the gradient goes: how much of the last step's loss arrives at every earlier state.

    flow = gradient_by_lag(cell, xs, loss)
    flow["h"]                              (T, batch): log10 of the gradient's norm, lag 0 first
    decay(flow["h"].mean(axis=1))          how fast it falls: orders of magnitude a step, and its half-life

The cell is unrolled, so every state is a node of the graph, and its gradient is one question to the engine. Numbers are
float64, and norms are kept as logarithms: a gradient of 1e-200 has not vanished from the report.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.pytree import flatten_with_paths

__all__ = ["Decay", "decay", "gradient_by_lag", "log10_norm", "spread"]

Array = np.ndarray[Any, Any]


def log10_norm(array: Array, axis: int = -1) -> Array:
    """log10 of the Euclidean norm along an axis; -inf where all entries are 0. Scaled before it is squared.

    The plain norm would be exactly 0 here, since 1e-200 squared is:

    >>> log10_norm(np.array([[3e-200, 4e-200], [0.0, 0.0]])).tolist()
    [-199.30103, -inf]
    """
    array = np.asarray(array, np.float64)
    largest = np.max(np.abs(array), axis=axis, keepdims=True, initial=0.0)
    scaled = array / np.where(largest == 0, 1, largest)
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf, which is what a norm of 0 is to give
        logarithm: Array = np.log10(np.squeeze(largest, axis)) + 0.5 * np.log10(np.sum(scaled * scaled, axis=axis))
    return logarithm


def gradient_by_lag(cell: Any, xs: Array, loss: Callable[[Any], Any]) -> dict[str, Array]:
    """log10 of the norm of the gradient of the last step's loss at every state, for each sequence of a batch.

    xs: (T, batch, input). `loss` maps the last output (batch, hidden) to a scalar, a sum over the batch: sequences do
    not touch each other, so one gradient serves all. Returns an array (T, batch) for each part of the state, lag 0 (the
    last state) first: `{"h": ...}`, and for an LSTM `{"h": ..., "c": ...}`, where the gradient at c is all that reaches
    it, by way of h of the same step too.

    >>> import rnn
    >>> cell = rnn.LSTMCell.init(3, 4, rng=0)
    >>> flow = gradient_by_lag(cell, np.ones((6, 2, 3)), lambda h: mg.sum(h ** 2))
    >>> {name: norms.shape for name, norms in flow.items()}
    {'h': (6, 2), 'c': (6, 2)}
    """
    wide = mg.tree_map(lambda leaf: np.asarray(leaf, np.float64), cell)
    names: list[str] = []

    def arriving(cell: Any, xs: Any) -> list[Any]:
        state, states, output = cell.initial_state(xs.shape[1]), [], None
        for t in range(xs.shape[0]):
            with mg.scope(f"t={t}"):
                output, state = cell(xs[t], state)
            states.append(state)
        pairs, _ = flatten_with_paths(state, "")
        names[:] = [path or "h" for path, _ in pairs]
        # one stack for each part of the state: (T, batch, hidden), lag 0 first
        arrived = mg.gradients(loss(output), states[::-1])
        return [mg.stack(parts) for parts in zip(*[mg.tree_leaves(gradient) for gradient in arrived], strict=True)]

    gradients = mg.compile(arriving)(wide, np.asarray(xs, np.float64))
    return {name: log10_norm(gradient) for name, gradient in zip(names, gradients, strict=True)}


class Decay(NamedTuple):
    """How a gradient changes over the lags: in all, per step, and after how many steps half of it is left.

    `total` and `per_step` are orders of magnitude, negative where it falls. `half_life` is in steps, and infinite where
    it does not fall. `lags` says over how many lags that is.
    """

    total: float
    per_step: float
    half_life: float
    lags: int


def decay(log10_norms: Array) -> Decay:
    """How fast norms fall, from their logarithms at lags 0, 1, 2, ...; measured from the first to the last.

    Lags at which nothing arrives at all, not even 1e-308, are left out; `lags` is less by that.

    >>> decay(np.array([0.0, -1.0, -2.0, -3.0]))
    Decay(total=-3.0, per_step=-1.0, half_life=0.30103, lags=3)
    """
    finite = np.flatnonzero(np.isfinite(log10_norms))
    if len(finite) < 2:
        return Decay(math.nan, math.nan, math.nan, 0)
    first, last = int(finite[0]), int(finite[-1])
    total = float(log10_norms[last] - log10_norms[first])
    per_step = total / (last - first)
    return Decay(total, per_step, -math.log10(2) / per_step if per_step < 0 else math.inf, last - first)


def spread(log10_norms: Array) -> tuple[Array, Array, Array]:
    """Of norms (T, windows): the tenth percentile, the mean and the ninetieth percentile over the windows, in log10.

    The mean of logarithms is the geometric mean of the norms: a single window cannot outweigh all the others.

    >>> low, middle, high = spread(np.array([[0.0, -1.0, -2.0]]))
    >>> low.tolist(), middle.tolist(), high.tolist()
    ([-1.8], [-1.0], [-0.2])
    """
    with np.errstate(invalid="ignore"):  # between two windows at which nothing arrives, -inf: still -inf
        low, high = (np.quantile(log10_norms, q, axis=1) for q in (0.1, 0.9))
    return np.nan_to_num(low, nan=-np.inf), log10_norms.mean(axis=1), np.nan_to_num(high, nan=-np.inf)
