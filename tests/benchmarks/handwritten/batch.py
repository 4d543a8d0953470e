"""Backpropagation through time for a batch of sequences, by hand, for NumPy as it is.

    network = LSTM((batch, inputs, hidden, steps), "float32")
    loss, gradients = network(weights, xs)          weights: see `weights_of`; xs: (steps, batch, inputs)

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

from .tiles import LIMIT, WeightGradient, block_of_steps, tiling

__all__ = ["GRU", "LSTM", "RNN"]

Array = Any
Size = tuple[int, int, int, int]


class _Batch:
    """What the three have in common: the buffer [x 1 h] of all steps, and the constants."""

    def __init__(self, size: Size, dtype: Any = "float32", limit: int = LIMIT, block: int | None = None) -> None:
        self.size, self.dtype, self.limit = size, np.dtype(dtype), limit
        batch, inputs, hidden, steps = size
        self.width = inputs + 1 + hidden
        self.joined = self.zeros(steps + 1, batch, self.width)
        self.joined[:, :, inputs] = 1
        self.block = min(steps, block or block_of_steps(batch, self.width, steps, limit))
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
        self.joined[:-1, :, : self.size[1]] = xs


class RNN(_Batch):
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
        self.dw = self.gradient(1, self.width)

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
        batch, inputs = self.size[:2]
        self.back_tiles[...] = self.tile_backward(weights[0][0, inputs + 1 :].T)
        w, dh, dh_out = self.back_tiles, self.dh, self.dh_out
        np.add(self.h, self.h, dh)
        for start, end in self.blocks():
            for times, d, slope in reversed(self.backward_views[start:end]):
                multiply(dh, slope, d)
                times(w, dh_out)
            rows = (end - start) * batch
            self.dw.add(self.joined[start:end].reshape(rows, -1), self.d[: end - start].reshape(1, rows, -1))
        return [self.dw.finish()]

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


class LSTM(_Batch):
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
        # x, z in tiles, [o i f g], [o i f], [i f], [g c], the six, the next c and h
        self.forward_views = [
            (forward.times(self.joined[t]), forward.out(s[1:5]), s[1:5], s[1:4], s[2:4], s[4:6], *s, slots[t + 1, 5], h[t + 1])
            for t, s in enumerate(slots[:-1])
        ]
        self.backward_views = [
            (backward.times(d), *d, *slots[t]) for t in range(steps) for d in [self.d[:, t % self.block]]
        ]
        self.shares_out = backward.out(self.shares)
        self.dw = self.gradient(4, self.width)

    def _load(self, weights: list[Array], xs: Array) -> None:
        (w,) = weights
        self.load(xs)
        np.multiply(w, self.halves, self.w)
        self.w_tiles[...] = self.tile_forward(self.w)

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        self._load(weights, xs)
        tanh, add, subtract, multiply = np.tanh, np.add, np.subtract, np.multiply
        w, h, one, half, added_kept, left = self.w_tiles, self.h, self.one, self.half, self.pair, self.rest
        added, kept = added_kept
        o_left, i_left, f_left = left
        for times, z_tiles, z, oif, i_f, g_c, tanh_c, o, i, f, g, c, c_next, h_next in self.forward_views:
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
        batch, inputs, hidden, _ = self.size
        self.back_tiles[...] = self.tile_backward(weights[0][:, inputs + 1 :].swapaxes(1, 2))
        w, dh, dc, share, shares_out = self.back_tiles, self.dh, self.dc, self.h, self.shares_out
        # the sum over gates as a product with ones: a third faster than additions
        total, shares, dh_flat = np.ones(4, self.dtype).dot, self.shares.reshape(4, -1), self.dh.reshape(-1)
        add(self.h, self.h, dh)
        dc.fill(0)
        for start, end in self.blocks():
            for times, do, di, df, dg, c_slope, o_slope, i_slope, f, g_slope, f_slope in reversed(self.backward_views[start:end]):
                multiply(dh, o_slope, do)
                multiply(dh, c_slope, share)
                add(dc, share, dc)
                multiply(dc, g_slope, dg)
                multiply(dc, f_slope, df)
                multiply(dc, i_slope, di)
                multiply(dc, f, dc)
                times(w, shares_out)
                total(shares, dh_flat)
            rows = (end - start) * batch
            self.dw.add(self.joined[start:end].reshape(rows, -1), self.d[:, : end - start].reshape(4, rows, hidden))
        return [self.dw.finish()]

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone, on the slots of one step."""
        self._load(weights, xs)
        tanh, add, multiply = np.tanh, np.add, np.multiply
        w, h, half, added_kept = self.w_tiles, self.h, self.half, self.pair
        added, kept = added_kept
        _, z_tiles, z, oif, i_f, g_c, tanh_c, o, _, _, _, c, _, _ = self.forward_views[0]
        c.fill(0)
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


class GRU(_Batch):
    """Weights [w of r and z, (2, ...)], [x 1] to candidate, [1 h] to candidate (`reset="after"`).

    A step has five slots: r, z, m = [1 h] @ w, the candidate's input and later itself n; then dr's slope, z itself, dm's
    slope, dn's slope and dz's. They are all by dh: h' = n + z (h - n).
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

    def _load(self, weights: list[Array], xs: Array) -> None:
        self.load(xs)
        gates, inner, outer, _ = self.tilings
        np.multiply(gates.right(weights[0]), self.half, self.gate_tiles)
        self.outer_tiles[...], self.inner_tiles[...] = outer.right(weights[1][0]), inner.right(weights[2][0])

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        self._load(weights, xs)
        tanh, add, subtract, multiply = np.tanh, np.add, np.subtract, np.multiply
        w, w_inner, w_outer, h, e, q = self.gate_tiles, self.inner_tiles, self.outer_tiles, self.h, self.e, self.q
        one, half, left = self.one, self.half, self.left
        r_left, z_left = left
        h.fill(0)
        for x_h_times, one_h_times, x_one_times, rz_tiles, m_tiles, n_tiles, rz, r, z, m, n, z_slope, h_next in self.forward_views:
            x_h_times(w, rz_tiles)
            one_h_times(w_inner, m_tiles)
            x_one_times(w_outer, n_tiles)
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
        batch, inputs, hidden, _ = self.size
        tile = self.tilings[3].right
        self.back_tiles[:2] = tile(weights[0][:, inputs + 1 :].swapaxes(1, 2))
        self.back_tiles[2:] = tile(weights[2][:, 1:].swapaxes(1, 2))
        w, dh, carried, shares_out = self.back_tiles, self.dh, self.shares[3], self.shares_out
        total, shares, dh_flat = np.ones(4, self.dtype).dot, self.shares.reshape(4, -1), self.dh.reshape(-1)
        np.add(self.h, self.h, dh)
        for start, end in self.blocks():
            for times, dr, dz, dm, dn, r_slope, z, m_slope, n_slope, z_slope in reversed(self.backward_views[start:end]):
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
        h.fill(0)
        for x_h_times, one_h_times, x_one_times, *_, h_next in self.forward_views:
            x_h_times(w, rz_tiles)
            one_h_times(w_inner, m_tiles)
            x_one_times(w_outer, n_tiles)
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
