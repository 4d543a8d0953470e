"""What is measured: the loss sum(h_T ** 2) of a cell at a size, in float32, and its gradient by all weights.

    problem = Problem("lstm", SIZES["small"])
    problem.gates                          {"forget": {"w_x": ..., "w_h": ..., "b": ...}, ...}, the same for everybody
    problem.xs                             (steps, batch, inputs)
    state = STEPS["lstm"](gates, x, state, sigmoid, tanh)        one step, gate by gate, in anybody's arrays

A `Contestant` does this work in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["GATES", "SIZES", "STEPS", "Contestant", "Problem", "Size"]

Array = Any
Gates = dict[str, dict[str, Array]]
State = tuple[Array, ...]


class Size(NamedTuple):
    """Of a sequence of batches, and of the cell that reads it."""

    batch: int
    inputs: int
    hidden: int
    steps: int


SIZES = {
    "tiny": Size(1, 8, 16, 100),
    "small": Size(16, 32, 64, 100),
    "medium": Size(32, 64, 128, 100),
    "large": Size(64, 256, 512, 50),
    "long": Size(16, 32, 64, 1000),
}
GATES = {
    "rnn": ("hidden",),
    "lstm": ("forget", "input", "candidate", "output"),
    "gru": ("reset", "update", "candidate"),
}


class Problem:
    """A cell's weights, uniform on ±1/√hidden, and its inputs, normal: the same for the same cell and size."""

    def __init__(self, cell: str, size: Size, dtype: Any = "float32") -> None:
        self.cell, self.size, self.dtype = cell, size, np.dtype(dtype)
        rng, scale = np.random.default_rng(0), size.hidden**-0.5
        shapes = {"w_x": (size.inputs, size.hidden), "w_h": (size.hidden, size.hidden), "b": (size.hidden,)}
        self.gates: Gates = {gate: dict(shapes) for gate in GATES[cell]}
        if cell == "gru":
            self.gates["candidate"]["b_h"] = (size.hidden,)
        self.gates = {
            gate: {key: rng.uniform(-scale, scale, shape).astype(dtype) for key, shape in parts.items()}
            for gate, parts in self.gates.items()
        }
        self.xs = rng.standard_normal((size.steps, size.batch, size.inputs)).astype(dtype)

    def states(self, zeros: Callable[..., Array] = np.zeros, **options: Any) -> State:
        """The state to start from: (h,), or (h, c) for the LSTM."""
        return (zeros((self.size.batch, self.size.hidden), **options),) * (2 if self.cell == "lstm" else 1)


def _affine(gate: dict[str, Array], x: Array, h: Array) -> Array:
    return x @ gate["w_x"] + h @ gate["w_h"] + gate["b"]


def _rnn(gates: Gates, x: Array, state: State, sigmoid: Any, tanh: Any) -> State:
    return (tanh(_affine(gates["hidden"], x, state[0])),)


def _lstm(gates: Gates, x: Array, state: State, sigmoid: Any, tanh: Any) -> State:
    h, c = state
    f = sigmoid(_affine(gates["forget"], x, h))
    i = sigmoid(_affine(gates["input"], x, h))
    g = tanh(_affine(gates["candidate"], x, h))
    o = sigmoid(_affine(gates["output"], x, h))
    c = f * c + i * g
    return o * tanh(c), c


def _gru(gates: Gates, x: Array, state: State, sigmoid: Any, tanh: Any) -> State:
    (h,), new = state, gates["candidate"]
    r = sigmoid(_affine(gates["reset"], x, h))
    z = sigmoid(_affine(gates["update"], x, h))
    n = tanh(x @ new["w_x"] + new["b"] + r * (h @ new["w_h"] + new["b_h"]))
    return (z * h + (1 - z) * n,)


STEPS: dict[str, Callable[..., State]] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}


class Contestant:
    """One library, or way of writing the work, at one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def both(self) -> Any:
        """Loss and gradients."""
        raise NotImplementedError

    def forward(self) -> Any:
        """The loss."""
        raise NotImplementedError

    def steps(self) -> Any:
        """h after the last step, each taken by itself."""
        raise NotImplementedError

    def gradients(self, result: Any) -> Gates:
        """What `both` returned, as NumPy arrays."""
        raise NotImplementedError
