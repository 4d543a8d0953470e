"""A cell of your own, in ten lines: unroll, scan, gradients, checks and pictures work on it as on the built-in ones.

    python examples/own_cell.py
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg
import rnn


@dataclass(frozen=True)
class MinimalGatedUnit:
    """One gate instead of the GRU's two (Zhou et al. 2016): h' = (1 - f)∗h + f∗tanh(x·w_x + (f∗h)·w_h + b)."""

    forget: rnn.Affine
    candidate: rnn.Affine

    def __call__(self, x: Any, h: Any) -> Any:
        with mg.scope("forget"):
            f = mg.sigmoid(self.forget(x, h))
        with mg.scope("candidate"):
            new = mg.tanh(self.candidate(x, f * h))
        h = (1 - f) * h + f * new
        return h, h

    def initial_state(self, batch: int | None = None) -> Any:
        return np.zeros(self.forget.b.shape if batch is None else (batch, *self.forget.b.shape))


def main() -> None:
    rng = np.random.default_rng(0)
    cell = MinimalGatedUnit(rnn.Affine.init(2, 3, rng), rnn.Affine.init(2, 3, rng))
    xs = rng.normal(size=(6, 4, 2))  # six steps, a batch of four

    def loss(cell: MinimalGatedUnit, xs: Any) -> Any:
        hs, _ = rnn.scan(cell, xs)
        return mg.mean(hs[-1] ** 2)

    gradient = mg.compile(mg.grad(loss))(cell, xs)
    print("The gradient is a cell too:")
    print(f"  {type(gradient).__name__}, gradient.forget.w_h =\n{gradient.forget.w_h.round(4)}\n")

    unrolled, looped = rnn.unroll(cell, xs)[0], rnn.scan(cell, xs)[0]
    print(f"unroll and scan give the same numbers: {np.array_equal(np.asarray(unrolled), np.asarray(looped))}")
    print(f"check_gradients: {mg.check_gradients(loss, cell, xs)}\n")

    graph = mg.trace(loss, cell, xs)
    gates = graph.find("t=*/forget/sigmoid")
    print(f"The gate inside the loop, found by scope and name: {gates[0].label}, shape {gates[0].shape}")
    print("The source of one step and its gradient is short enough to read:\n")
    one_step = mg.trace(mg.grad(lambda cell, x, h: mg.sum(cell(x, h)[0])), cell, xs[0], cell.initial_state(4))
    print(one_step.source)


if __name__ == "__main__":
    main()
