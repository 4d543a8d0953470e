"""Recurrent cells, from primitive operations only: one step each, and nothing that goes backward.

    cell = LSTMCell.init(input_size=8, hidden_size=16, rng=0)
    output, state = cell(x, cell.initial_state(batch=4))          x: (4, 8), output: (4, 16)

A cell is a dataclass of arrays, so a pytree: its gradient is a cell too. Row vectors: x is (batch, input), weights are
(in, out). Every gate is a field of its own; that they are multiplied together is the compiler's work, not the reader's.

A cell of your own is a dataclass with the same two methods:

    @dataclass(frozen=True)
    class Average:
        weight: Array                                             # of the new input

        def __call__(self, x, h):
            h = self.weight * x + (1 - self.weight) * h
            return h, h

        def initial_state(self, batch):
            return np.zeros((batch, 1))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg

from .initializers import generator, uniform

__all__ = ["Affine", "GRUCell", "LSTMCell", "LSTMState", "RNNCell"]

Array = Any  # a NumPy array, or a node

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": mg.tanh, "relu": mg.relu, "sigmoid": mg.sigmoid, "identity": lambda a: a,
}  # fmt: skip


@dataclass(frozen=True)
class Affine:
    """`x @ w_x + h @ w_h + b`: what every gate does before its nonlinearity.

    w_x: (input, hidden), w_h: (hidden, hidden), b: (hidden,) or None. b_h is the second bias of a GRU's candidate,
    which stands inside the reset gate; None everywhere else.
    """

    w_x: Array
    w_h: Array
    b: Array = None
    b_h: Array = None

    def __call__(self, x: Array, h: Array) -> Array:
        """x (batch, input), h (batch, hidden) -> (batch, hidden)."""
        _check_shapes(x, h, self.w_x.shape[0])
        return plus(mg.matmul(x, self.w_x) + mg.matmul(h, self.w_h), self.b)

    @staticmethod
    def init(
        input_size: int, hidden_size: int, rng: Any, dtype: Any = "float64", bias: bool = True, b: float = 0.0,
        b_h: float | None = None,
    ) -> Affine:  # fmt: skip
        """Weights uniform on ±1/√hidden_size, biases constant.

        >>> Affine.init(3, 4, rng=0).w_x.shape
        (3, 4)
        """
        rng = generator(rng)
        return Affine(
            w_x=uniform(rng, (input_size, hidden_size), hidden_size, dtype),
            w_h=uniform(rng, (hidden_size, hidden_size), hidden_size, dtype),
            b=np.full(hidden_size, b, dtype) if bias else None,
            b_h=np.full(hidden_size, b_h, dtype) if bias and b_h is not None else None,
        )


def _check_shapes(x: Array, h: Array, input_size: int) -> None:
    if np.ndim(x) == 0 or x.shape[-1] != input_size:
        problem = f"the cell takes {input_size} features (its input_size), x has shape {np.shape(x)}"
        is_float = np.ndim(x) == 0 or x.dtype.kind == "f"
        one_hot = f"mg.one_hot(ids, {input_size}), or an embedding"
        instead = "xs of shape (T, batch, input_size)" if is_float else one_hot
        raise mg.errors.ShapeError(mg.errors.explain("cell", problem, [x], instead))
    if x.shape[:-1] != h.shape[:-1]:
        problem = f"x has shape {x.shape} and the state {h.shape}: all axes but the last must be the same"
        instead = "x (batch, input), state (batch, hidden)"
        raise mg.errors.ShapeError(mg.errors.explain("cell", problem, [x, h], instead))


def plus(a: Array, bias: Array) -> Array:
    """`a + bias`, or `a` where there is no bias."""
    return a if bias is None else a + bias


def _sizes(input_size: int, hidden_size: int, dtype: Any) -> None:
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} is a whole number, 1 or more, got {size!r}")
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"the dtype of weights is a float, got {np.dtype(dtype)}")


def _zeros(batch: int | None, gate: Affine) -> np.ndarray[Any, Any]:
    # the state before the first step: (batch, hidden), or (hidden,) without a batch
    hidden = gate.w_h.shape[0]
    return np.zeros((hidden,) if batch is None else (batch, hidden), gate.w_h.dtype)


@dataclass(frozen=True)
class RNNCell:
    """h' = tanh(x·w_x + h·w_h + b) (Elman 1990), or another activation: "relu", "sigmoid", "identity".

    The state is h, of shape (batch, hidden), and is also the output. Without bias and with sizes 1 and 1 it is the
    smallest recurrent network there is, h' = tanh(u·x + w·h), of two weights.

    >>> cell = RNNCell.init(1, 1, rng=0, bias=False)
    >>> len(mg.tree_leaves(cell))
    2
    >>> h, state = cell(np.ones((5, 1)), cell.initial_state(batch=5))
    >>> h.shape
    (5, 1)
    """

    hidden: Affine
    activation: str = "tanh"

    @staticmethod
    def init(
        input_size: int, hidden_size: int, rng: Any = 0, dtype: Any = "float64", bias: bool = True,
        activation: str = "tanh",
    ) -> RNNCell:  # fmt: skip
        """A cell with weights drawn uniformly from ±1/√hidden_size and biases 0.

        Raises ValueError for sizes below 1 or an unknown activation, TypeError for a dtype that is no float.
        """
        _sizes(input_size, hidden_size, dtype)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        return RNNCell(Affine.init(input_size, hidden_size, rng, dtype, bias), activation)

    def __call__(self, x: Array, state: Array) -> tuple[Array, Array]:
        """One step: x (batch, input), state (batch, hidden) -> (output, state)."""
        with mg.scope("hidden"):
            h = ACTIVATIONS[self.activation](self.hidden(x, state))
        return h, h

    def initial_state(self, batch: int | None = None) -> Array:
        """Zeros, (batch, hidden)."""
        return _zeros(batch, self.hidden)


class LSTMState(NamedTuple):
    """What an LSTM carries from step to step: its output h and its cell state c, both (batch, hidden)."""

    h: Array
    c: Array


@dataclass(frozen=True)
class LSTMCell:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

        f, i, o = σ(forget), σ(input), σ(output)      each gate: x·w_x + h·w_h + b
        g       = tanh(candidate)
        c'      = f∗c + i∗g                           the conveyor belt: where f is 1, gradients pass unchanged
        h'      = o∗tanh(c')

    The state is `LSTMState(h, c)`, the output h.

    >>> cell = LSTMCell.init(input_size=3, hidden_size=4, rng=0)
    >>> output, (h, c) = cell(np.ones((2, 3)), cell.initial_state(batch=2))
    >>> output.shape, c.shape
    ((2, 4), (2, 4))
    """

    forget: Affine
    input: Affine
    candidate: Affine
    output: Affine

    @staticmethod
    def init(
        input_size: int, hidden_size: int, rng: Any = 0, dtype: Any = "float64", bias: bool = True,
        forget_bias: float = 1.0,
    ) -> LSTMCell:  # fmt: skip
        """Weights uniform on ±1/√hidden_size, biases 0 but for the forget gate's, which is 1 (Gers et al. 2000;
        Jozefowicz, Zaremba & Sutskever 2015), so that a new cell remembers. Raises as `RNNCell.init`.
        """
        _sizes(input_size, hidden_size, dtype)
        rng = generator(rng)
        biases = {"forget": forget_bias, "input": 0.0, "candidate": 0.0, "output": 0.0}
        return LSTMCell(**{k: Affine.init(input_size, hidden_size, rng, dtype, bias, b) for k, b in biases.items()})

    def __call__(self, x: Array, state: LSTMState) -> tuple[Array, LSTMState]:
        """One step: x (batch, input), state two of (batch, hidden) -> (output, state)."""
        h, c = state
        with mg.scope("forget"):
            f = mg.sigmoid(self.forget(x, h))
        with mg.scope("input"):
            i = mg.sigmoid(self.input(x, h))
        with mg.scope("candidate"):
            g = mg.tanh(self.candidate(x, h))
        with mg.scope("output"):
            o = mg.sigmoid(self.output(x, h))
        with mg.scope("c"):
            c = f * c + i * g
        with mg.scope("h"):
            h = o * mg.tanh(c)
        return h, LSTMState(h, c)

    def initial_state(self, batch: int | None = None) -> LSTMState:
        """Zeros, (batch, hidden) each."""
        return LSTMState(_zeros(batch, self.forget), _zeros(batch, self.forget))


@dataclass(frozen=True)
class GRUCell:
    """The gated recurrent unit (Cho et al. 2014).

        r, z = σ(reset), σ(update)                    each gate: x·w_x + h·w_h + b
        h̃    = tanh(x·w_x + b + r∗(h·w_h + b_h))      with reset="after", the default, as in cuDNN, PyTorch and Keras
        h̃    = tanh(x·w_x + (r∗h)·w_h + b)            with reset="before", as in Cho et al.
        h'   = z∗h + (1 − z)∗h̃                        so α = 1 − z is the weight of a moving average

    The state is h, of shape (batch, hidden), and is also the output.

    >>> cell = GRUCell.init(input_size=3, hidden_size=4, rng=0)
    >>> h, state = cell(np.ones((2, 3)), cell.initial_state(batch=2))
    >>> h.shape
    (2, 4)
    """

    reset: Affine
    update: Affine
    candidate: Affine
    reset_when: str = "after"  # r is applied after or before the product with w_h

    @staticmethod
    def init(
        input_size: int, hidden_size: int, rng: Any = 0, dtype: Any = "float64", bias: bool = True,
        reset: str = "after",
    ) -> GRUCell:  # fmt: skip
        """Weights uniform on ±1/√hidden_size, biases 0. Raises as `RNNCell.init`; ValueError for another `reset`."""
        _sizes(input_size, hidden_size, dtype)
        if reset not in ("after", "before"):
            raise ValueError(f"reset is 'after' or 'before', got {reset!r}")
        rng = generator(rng)
        second = (None, None, 0.0 if reset == "after" else None)  # biases
        gates = [Affine.init(input_size, hidden_size, rng, dtype, bias, b_h=b_h) for b_h in second]
        return GRUCell(gates[0], gates[1], gates[2], reset)

    def __call__(self, x: Array, state: Array) -> tuple[Array, Array]:
        """One step: x (batch, input), state (batch, hidden) -> (output, state)."""
        h = state
        with mg.scope("reset"):
            r = mg.sigmoid(self.reset(x, h))
        with mg.scope("update"):
            z = mg.sigmoid(self.update(x, h))
        with mg.scope("candidate"):
            new = self.candidate
            if self.reset_when == "after":
                inner = plus(mg.matmul(x, new.w_x), new.b) + r * plus(mg.matmul(h, new.w_h), new.b_h)
            else:
                inner = new(x, r * h)
            candidate = mg.tanh(inner)
        with mg.scope("h"):
            h = z * h + (1 - z) * candidate
        return h, h

    def initial_state(self, batch: int | None = None) -> Array:
        """Zeros, (batch, hidden)."""
        return _zeros(batch, self.update)

