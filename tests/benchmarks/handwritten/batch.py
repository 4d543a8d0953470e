"""What the three networks for batches have in common, and how they came to be fast.

    network = LSTM((batch, inputs, hidden, steps), "float32")
    loss, gradients = network(weights, xs)          xs: (steps, batch, inputs)
    loss = network.forward(weights, xs)
    network.start(weights); h = network.step(x)     one step at a time

The loss is sum(h_T ** 2), its gradients are by all weights. What makes it fast, in the order of what it brings:

- the gates' weights are stacked, (gates, inputs + 1 + hidden, hidden), and so are input, a one for the bias, and h, as
  [x 1 h]: a step is one product, without any addition, and so are the gradients of all weights;
- products are cut into tiles that BLAS multiplies fastest (tiles.py), and no operand is transposed;
- σ(a) is (tanh(a / 2) + 1) / 2, with the inner half in the weights: one tanh for all gates, which costs less than exp
  alone, and a division less;
- the slopes are computed in the forward loop, while everything is in the cache, each in the place of a value that is no
  more needed; the backward loop only multiplies and adds;
- what is used together lies side by side, (steps, slots, batch, hidden), so that one call does several slots: NumPy has
  a short way for operands that are one block of memory, which saves 1 µs a call;
- weights' gradients are summed over blocks of steps whose cotangents are still in the cache;
- all buffers and all views of them are made once for all calls, and constants are arrays, not Python numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .tiles import LIMIT, WeightGradient, block_of_steps

__all__ = ["Batch"]

Array = Any
Size = tuple[int, int, int, int]


class Batch:
    """What the three have in common: the buffer [x 1 h] of all steps, and the constants."""

    dw: tuple[WeightGradient, ...]
    forward_products: list[tuple[Any, Array, Array]]
    backward_products: list[tuple[Any, Array, Array]]

    def __init__(self, size: Size, dtype: Any = "float32", limit: int = LIMIT, block: int | None = None) -> None:
        self.size, self.dtype, self.limit = size, np.dtype(dtype), limit
        batch, inputs, hidden, steps = size
        self.width = inputs + 1 + hidden
        self.joined = self.zeros(steps + 1, batch, self.width)
        self.joined[:, :, inputs] = 1
        self.block = min(steps, block or block_of_steps(batch, self.width, steps))
        self.one, self.half = np.array(1, self.dtype), np.array(0.5, self.dtype)

    def zeros(self, *shape: int) -> Array:
        return np.zeros(shape, self.dtype)

    def blocks(self) -> list[tuple[int, int]]:
        """First and last step of each block, the last block first."""
        steps = self.size[3]
        return [(start, min(start + self.block, steps)) for start in reversed(range(0, steps, self.block))]

    def gradient(self, groups: int, k: int) -> WeightGradient:
        batch, _, hidden, _ = self.size
        return WeightGradient(groups, k, hidden, self.block * batch, self.dtype, self.limit)

    def load(self, xs: Array) -> None:
        inputs = self.size[1]
        self.joined[:-1, :, :inputs] = xs
        self.joined[0, :, inputs + 1 :] = 0

    def _load(self, weights: list[Array], xs: Array) -> None:
        raise NotImplementedError

    def _add_up(self, start: int, end: int) -> None:
        raise NotImplementedError

    def start(self, weights: list[Array]) -> None:
        """Forget the state, and take the weights for `step`."""
        self._load(weights, self.joined[:-1, :, : self.size[1]])

    def products(self) -> None:
        """The matrix products alone, of both passes: what no tuning of the rest can do away with."""
        for times, w, out in self.forward_products:
            times(w, out)
        for start, end in self.blocks():
            for times, w, out in self.backward_products[start:end]:
                times(w, out)
            self._add_up(start, end)
        for dw in self.dw:
            dw.finish()
