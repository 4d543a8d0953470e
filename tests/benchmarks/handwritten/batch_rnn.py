"""The vanilla RNN by hand, for a batch of sequences: see batch.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from .batch import Array, Batch, Size
from .tiles import LIMIT, tiling

__all__ = ["RNN"]


class RNN(Batch):
    """h' = tanh([x 1 h] @ w). The slope, 1 - h'^2, is kept instead of the value."""

    def __init__(self, size: Size, dtype: Any = "float32", limit: int = LIMIT, block: int | None = None) -> None:
        super().__init__(size, dtype, limit, block)
        batch, inputs, hidden, steps = size
        forward = tiling(batch, self.width, hidden, limit, stacked=False)
        backward = tiling(batch, hidden, hidden, limit, stacked=False)
        self.z, self.h, self.dh = (self.zeros(batch, hidden) for _ in range(3))
        self.slopes, self.d = self.zeros(steps, batch, hidden), self.zeros(self.block, batch, hidden)
        self.w_tiles = forward.right(self.zeros(self.width, hidden)).copy()
        self.back_tiles = backward.right(self.zeros(hidden, hidden)).copy()
        self.tile_forward, self.tile_backward = forward.right, backward.right
        self.z_out, self.dh_out = forward.out(self.z), backward.out(self.dh)
        h = self.joined[:, :, inputs + 1 :]
        self.forward_views = [(forward.times(self.joined[t]), self.slopes[t], h[t + 1]) for t in range(steps)]
        self.backward_views = [
            (backward.times(d), d, self.slopes[t]) for t in range(steps) for d in [self.d[t % self.block]]
        ]
        self.dw = (self.gradient(1, self.width),)
        self.forward_products = [(view[0], self.w_tiles, self.z_out) for view in self.forward_views]
        self.backward_products = [(view[0], self.back_tiles, self.dh_out) for view in self.backward_views]

    def _load(self, weights: list[Array], xs: Array) -> None:
        self.load(xs)
        self.w_tiles[...] = self.tile_forward(weights[0][0])

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        self._load(weights, xs)
        tanh, multiply, subtract = np.tanh, np.multiply, np.subtract
        w, z, z_out, h, one = self.w_tiles, self.z, self.z_out, self.h, self.one
        for times, slope, h_next in self.forward_views:
            times(w, z_out)
            tanh(z, h)
            h_next[...] = h
            multiply(h, h, slope)
            subtract(one, slope, slope)
        return np.vdot(h, h), self._backward(weights)

    def _backward(self, weights: list[Array]) -> list[Array]:
        multiply = np.multiply
        inputs = self.size[1]
        self.back_tiles[...] = self.tile_backward(weights[0][0, inputs + 1 :].T)
        w, dh, dh_out = self.back_tiles, self.dh, self.dh_out
        np.add(self.h, self.h, dh)
        for start, end in self.blocks():
            for times, d, slope in reversed(self.backward_views[start:end]):
                multiply(dh, slope, d)
                times(w, dh_out)
            self._add_up(start, end)
        return [dw.finish() for dw in self.dw]

    def _add_up(self, start: int, end: int) -> None:
        rows = (end - start) * self.size[0]
        self.dw[0].add(self.joined[start:end].reshape(rows, -1), self.d[: end - start].reshape(1, rows, -1))

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone."""
        self._load(weights, xs)
        tanh = np.tanh
        w, z, z_out, h = self.w_tiles, self.z, self.z_out, self.h
        for times, _, h_next in self.forward_views:
            times(w, z_out)
            tanh(z, h)
            h_next[...] = h
        return np.vdot(h, h)

    def step(self, x: Array) -> Array:
        """One step: x (batch, inputs) -> h (batch, hidden), overwritten by the next one."""
        inputs, z, h = self.size[1], self.z, self.h
        self.joined[0, :, :inputs] = x
        self.forward_views[0][0](self.w_tiles, self.z_out)
        np.tanh(z, h)
        self.joined[0, :, inputs + 1 :] = h
        return h
