"""The GRU by hand, for a batch of sequences: see batch.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from .batch import Array, Batch, Size
from .tiles import LIMIT, tiling

__all__ = ["GRU"]


class GRU(Batch):
    """Weights [w of r and z, (2, ...)], [x 1] to candidate, [1 h] to candidate (`reset="after"`).

    A step has five slots: r, z, m = [1 h] @ w, the candidate n, and one to spare; then the slopes of dr, z itself, and
    the slopes of dm, dn and dz. All are by dh, since h' = n + z (h - n).
    """

    def __init__(self, size: Size, dtype: Any = "float32", limit: int = LIMIT, block: int | None = None) -> None:
        super().__init__(size, dtype, limit, block)
        batch, inputs, hidden, steps = size
        gates = tiling(batch, self.width, hidden, limit)
        inner = tiling(batch, 1 + hidden, hidden, limit, stacked=False)
        outer = tiling(batch, inputs + 1, hidden, limit, stacked=False)
        backward = tiling(batch, hidden, hidden, limit)
        self.gate_tiles = gates.right(self.zeros(2, self.width, hidden)).copy()
        self.inner_tiles = inner.right(self.zeros(1 + hidden, hidden)).copy()
        self.outer_tiles = outer.right(self.zeros(inputs + 1, hidden)).copy()
        self.back_tiles = backward.right(self.zeros(3, hidden, hidden)).copy()
        self.tilings = gates, inner, outer, backward

        self.h, self.dh, self.e, self.q = (self.zeros(batch, hidden) for _ in range(4))
        self.left, self.shares = self.zeros(2, batch, hidden), self.zeros(4, batch, hidden)
        self.d = self.zeros(4, self.block, batch, hidden)  # dr, dz, dm, dn
        self.slots = slots = self.zeros(steps, 5, batch, hidden)
        joined, h = self.joined, self.joined[:, :, inputs + 1 :]
        self.forward_views = [
            (
                gates.times(joined[t]), inner.times(joined[t, :, inputs:]), outer.times(joined[t, :, : inputs + 1]),
                gates.out(s[0:2]), inner.out(s[2]), outer.out(s[3]), s[0:2], *s, h[t + 1],
            )
            for t, s in enumerate(slots)
        ]  # fmt: skip
        self.backward_views = [
            (backward.times(d[:3]), *d, *slots[t]) for t in range(steps) for d in [self.d[:, t % self.block]]
        ]
        self.shares_out = backward.out(self.shares[:3])
        self.dw = self.gradient(2, self.width), self.gradient(1, inputs + 1), self.gradient(1, 1 + hidden)
        tiles = self.gate_tiles, self.inner_tiles, self.outer_tiles
        self.forward_products = [
            product for view in self.forward_views for product in zip(view[:3], tiles, view[3:6], strict=True)
        ]
        self.backward_products = [(view[0], self.back_tiles, self.shares_out) for view in self.backward_views]

    def _load(self, weights: list[Array], xs: Array) -> None:
        self.load(xs)
        self.h.fill(0)
        gates, inner, outer, _ = self.tilings
        np.multiply(gates.right(weights[0]), self.half, self.gate_tiles)
        self.outer_tiles[...], self.inner_tiles[...] = outer.right(weights[1][0]), inner.right(weights[2][0])

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        self._load(weights, xs)
        tanh, add, subtract, multiply = np.tanh, np.add, np.subtract, np.multiply
        w, w_inner, w_outer, h, e, q = self.gate_tiles, self.inner_tiles, self.outer_tiles, self.h, self.e, self.q
        one, half, left = self.one, self.half, self.left
        r_left, z_left = left
        for x_h, one_h, x_one, rz_tiles, m_tiles, n_tiles, rz, r, z, m, n, z_slope, h_next in self.forward_views:
            x_h(w, rz_tiles)
            one_h(w_inner, m_tiles)
            x_one(w_outer, n_tiles)
            tanh(rz, rz)
            multiply(rz, half, rz)
            add(rz, half, rz)
            multiply(r, m, q)
            add(n, q, n)
            tanh(n, n)
            subtract(h, n, h)
            multiply(z, h, e)
            add(n, e, h)
            h_next[...] = h
            subtract(one, rz, left)
            multiply(e, z_left, z_slope)    # of dz: (h - n) z (1 - z)
            multiply(n, n, n)
            subtract(one, n, n)
            multiply(n, z_left, n)          # of dn: (1 - z) (1 - n^2)
            multiply(r, n, m)               # of dm: dn r
            multiply(q, r_left, r)
            multiply(r, n, r)               # of dr: dn m r (1 - r)
        return np.vdot(h, h), self._backward(weights)

    def _backward(self, weights: list[Array]) -> list[Array]:
        multiply = np.multiply
        inputs = self.size[1]
        tile = self.tilings[3].right
        self.back_tiles[:2] = tile(weights[0][:, inputs + 1 :].swapaxes(1, 2))
        self.back_tiles[2:] = tile(weights[2][:, 1:].swapaxes(1, 2))
        w, dh, carried, shares_out = self.back_tiles, self.dh, self.shares[3], self.shares_out
        total, shares, dh_flat = np.ones(4, self.dtype).dot, self.shares.reshape(4, -1), self.dh.reshape(-1)
        np.add(self.h, self.h, dh)
        for start, end in self.blocks():
            views = reversed(self.backward_views[start:end])
            for times, dr, dz, dm, dn, r_slope, z, m_slope, n_slope, z_slope in views:
                multiply(dh, r_slope, dr)
                multiply(dh, z_slope, dz)
                multiply(dh, m_slope, dm)
                multiply(dh, n_slope, dn)
                multiply(dh, z, carried)
                times(w, shares_out)
                total(shares, dh_flat)
            self._add_up(start, end)
        return [dw.finish() for dw in self.dw]

    def _add_up(self, start: int, end: int) -> None:
        batch, inputs, hidden, _ = self.size
        rows = (end - start) * batch
        x, d = self.joined[start:end].reshape(rows, -1), self.d[:, : end - start].reshape(4, rows, hidden)
        gates, outer, inner = self.dw
        gates.add(x, d[:2])
        outer.add(x[:, : inputs + 1], d[3:4])
        inner.add(x[:, inputs:], d[2:3])

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone, on the slots of one step."""
        self._load(weights, xs)
        tanh, add, subtract, multiply = np.tanh, np.add, np.subtract, np.multiply
        w, w_inner, w_outer, h, half = self.gate_tiles, self.inner_tiles, self.outer_tiles, self.h, self.half
        _, _, _, rz_tiles, m_tiles, n_tiles, rz, r, z, m, n, _, _ = self.forward_views[0]
        for x_h, one_h, x_one, *_, h_next in self.forward_views:
            x_h(w, rz_tiles)
            one_h(w_inner, m_tiles)
            x_one(w_outer, n_tiles)
            tanh(rz, rz)
            multiply(rz, half, rz)
            add(rz, half, rz)
            multiply(r, m, m)
            add(n, m, n)
            tanh(n, n)
            subtract(h, n, h)
            multiply(z, h, h)
            add(n, h, h)
            h_next[...] = h
        return np.vdot(h, h)

    def step(self, x: Array) -> Array:
        """One step: x (batch, inputs) -> h (batch, hidden), overwritten by the next one."""
        inputs, h, half = self.size[1], self.h, self.half
        x_h, one_h, x_one, rz_tiles, m_tiles, n_tiles, rz, r, z, m, n, _, _ = self.forward_views[0]
        self.joined[0, :, :inputs] = x
        x_h(self.gate_tiles, rz_tiles)
        one_h(self.inner_tiles, m_tiles)
        x_one(self.outer_tiles, n_tiles)
        np.tanh(rz, rz)
        np.multiply(rz, half, rz)
        np.add(rz, half, rz)
        np.multiply(r, m, m)
        np.add(n, m, n)
        np.tanh(n, n)
        np.subtract(h, n, h)
        np.multiply(z, h, h)
        np.add(n, h, h)
        self.joined[0, :, inputs + 1 :] = h
        return h
