"""The LSTM by hand, for a batch of sequences: see batch.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from .batch import Array, Batch, Size
from .tiles import LIMIT, tiling

__all__ = ["LSTM"]


class LSTM(Batch):
    """Gates in the order output, input, forget, candidate: o, i, f, g.

    A step has six slots: tanh(c'), o, i, f, g and c on the way forward; then, each written where the value is no more
    needed, the slopes of dc, do and di, f itself, and the slopes of dg and df.
    """

    def __init__(self, size: Size, dtype: Any = "float32", limit: int = LIMIT, block: int | None = None) -> None:
        super().__init__(size, dtype, limit, block)
        batch, inputs, hidden, steps = size
        forward = tiling(batch, self.width, hidden, limit)
        backward = tiling(batch, hidden, hidden, limit)
        self.w = self.zeros(4, self.width, hidden)
        self.w_tiles = forward.right(self.w).copy()
        self.back_tiles = backward.right(self.zeros(4, hidden, hidden)).copy()
        self.tile_forward, self.tile_backward = forward.right, backward.right
        self.halves = np.array([0.5, 0.5, 0.5, 1], self.dtype)[:, None, None]  # of o, i, f, g

        self.h, self.dh, self.dc = (self.zeros(batch, hidden) for _ in range(3))
        self.pair, self.rest, self.shares = (self.zeros(n, batch, hidden) for n in (2, 3, 4))
        self.d = self.zeros(4, self.block, batch, hidden)
        self.slots = slots = self.zeros(steps + 1, 6, batch, hidden)
        h = self.joined[:, :, inputs + 1 :]
        # product with x, z in tiles, [o i f g], [o i f], [i f], [g c], the six, the next c and h
        self.forward_views = [
            (
                forward.times(self.joined[t]), forward.out(s[1:5]), s[1:5], s[1:4], s[2:4], s[4:6], *s,
                slots[t + 1, 5], h[t + 1],
            )
            for t, s in enumerate(slots[:-1])
        ]  # fmt: skip
        self.backward_views = [
            (backward.times(d), *d, *slots[t]) for t in range(steps) for d in [self.d[:, t % self.block]]
        ]
        self.shares_out = backward.out(self.shares)
        self.dw = (self.gradient(4, self.width),)
        self.forward_products = [(view[0], self.w_tiles, view[1]) for view in self.forward_views]
        self.backward_products = [(view[0], self.back_tiles, self.shares_out) for view in self.backward_views]

    def _load(self, weights: list[Array], xs: Array) -> None:
        (w,) = weights
        self.load(xs)
        self.slots[0, 5] = 0
        np.multiply(w, self.halves, self.w)
        self.w_tiles[...] = self.tile_forward(self.w)

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        self._load(weights, xs)
        tanh, add, subtract, multiply = np.tanh, np.add, np.subtract, np.multiply
        w, h, one, half, added_kept, left = self.w_tiles, self.h, self.one, self.half, self.pair, self.rest
        added, kept = added_kept
        o_left, i_left, f_left = left
        for times, z_tiles, z, oif, i_f, g_c, tanh_c, o, i, _, g, c, c_next, h_next in self.forward_views:
            times(w, z_tiles)
            tanh(z, z)
            multiply(oif, half, oif)
            add(oif, half, oif)
            multiply(i_f, g_c, added_kept)  # i g, f c
            add(added, kept, c_next)
            tanh(c_next, tanh_c)
            multiply(o, tanh_c, h)
            h_next[...] = h
            subtract(one, oif, left)
            multiply(kept, f_left, c)       # slope of df: c f (1 - f)
            multiply(added, g, g)
            subtract(i, g, g)               # of dg: i (1 - g^2)
            multiply(added, i_left, i)      # of di: g i (1 - i)
            multiply(h, tanh_c, tanh_c)
            subtract(o, tanh_c, tanh_c)     # of dc: o (1 - tanh(c')^2)
            multiply(h, o_left, o)          # of do: tanh(c') o (1 - o)
        return np.vdot(h, h), self._backward(weights)

    def _backward(self, weights: list[Array]) -> list[Array]:
        add, multiply = np.add, np.multiply
        inputs = self.size[1]
        self.back_tiles[...] = self.tile_backward(weights[0][:, inputs + 1 :].swapaxes(1, 2))
        w, dh, dc, share, shares_out = self.back_tiles, self.dh, self.dc, self.h, self.shares_out
        # the sum over gates as a product with ones: a third faster than additions
        total, shares, dh_flat = np.ones(4, self.dtype).dot, self.shares.reshape(4, -1), self.dh.reshape(-1)
        add(self.h, self.h, dh)
        dc.fill(0)
        for start, end in self.blocks():
            views = reversed(self.backward_views[start:end])
            for times, do, di, df, dg, c_slope, o_slope, i_slope, f, g_slope, f_slope in views:
                multiply(dh, o_slope, do)
                multiply(dh, c_slope, share)
                add(dc, share, dc)
                multiply(dc, g_slope, dg)
                multiply(dc, f_slope, df)
                multiply(dc, i_slope, di)
                multiply(dc, f, dc)
                times(w, shares_out)
                total(shares, dh_flat)
            self._add_up(start, end)
        return [dw.finish() for dw in self.dw]

    def _add_up(self, start: int, end: int) -> None:
        rows = (end - start) * self.size[0]
        self.dw[0].add(self.joined[start:end].reshape(rows, -1), self.d[:, : end - start].reshape(4, rows, -1))

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone, on the slots of one step."""
        self._load(weights, xs)
        tanh, add, multiply = np.tanh, np.add, np.multiply
        w, h, half, added_kept = self.w_tiles, self.h, self.half, self.pair
        added, kept = added_kept
        _, z_tiles, z, oif, i_f, g_c, tanh_c, o, _, _, _, c, _, _ = self.forward_views[0]
        for times, *_, h_next in self.forward_views:
            times(w, z_tiles)
            tanh(z, z)
            multiply(oif, half, oif)
            add(oif, half, oif)
            multiply(i_f, g_c, added_kept)
            add(added, kept, c)
            tanh(c, tanh_c)
            multiply(o, tanh_c, h)
            h_next[...] = h
        return np.vdot(h, h)

    def step(self, x: Array) -> Array:
        """One step: x (batch, inputs) -> h (batch, hidden), overwritten by the next one."""
        inputs, h, half, (added, kept) = self.size[1], self.h, self.half, self.pair
        times, z_tiles, z, oif, i_f, g_c, tanh_c, o, _, _, _, c, _, _ = self.forward_views[0]
        self.joined[0, :, :inputs] = x
        times(self.w_tiles, z_tiles)
        np.tanh(z, z)
        np.multiply(oif, half, oif)
        np.add(oif, half, oif)
        np.multiply(i_f, g_c, self.pair)
        np.add(added, kept, c)
        np.tanh(c, tanh_c)
        np.multiply(o, tanh_c, h)
        self.joined[0, :, inputs + 1 :] = h
        return h
