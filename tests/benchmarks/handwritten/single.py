"""Backpropagation through time for one sequence, by hand: the same as batch.py does where the time of a step is the
number of calls, not the arithmetic.

    network = LSTM((1, inputs, hidden, steps), "float32")
    loss, gradients = network(weights, xs)

At 16 units a call of any NumPy function takes 0.2 µs, whatever it computes. So everything is made for fewer calls:

- vectors, and the method `x.dot(w, out)`, which takes a third of the time of np.matmul;
- what a step needs several times is computed several times by the product, which costs nothing: with columns repeated,
  `[dh dh]` meets two slopes in one multiplication, without broadcasting (which takes as long as four calls);
- sums with constant factors are products: c' = (c + g + tanh(f) c + tanh(i) g) / 2, with the inner half of σ in the
  weights, is one `dot` of four halves with four neighbours; so are h' of the GRU, and the identity that carries dh;
- h = (tanh c + tanh(o) tanh c) / 2 is never added up: the next product does it, by having the weights twice;
- slopes are computed after the forward loop, for all steps at once.

That makes 2 calls a step forward and 2 backward for the RNN, 6 and 4 for the LSTM, 7 and 2 for the GRU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["GRU", "LSTM", "RNN"]

Array = Any
Size = tuple[int, int, int, int]


class _Single:
    """What the three have in common: sizes, and the rows [x 1 h ...] of all steps."""

    def __init__(self, size: Size, dtype: Any, more: int) -> None:
        _, inputs, hidden, steps = size
        self.size, self.dtype, self.width = size, np.dtype(dtype), inputs + 1 + hidden
        self.rows = self.zeros(steps + 1, self.width + more * hidden)
        self.rows[:, inputs] = 1
        self.one, self.half, self.halves = (np.array(v, self.dtype) for v in (1, 0.5, [0.5] * 4))

    dw: list[Array]
    forward_products: list[tuple[Any, Array, Array]]
    backward_products: list[tuple[Any, Array, Array]]

    def start(self, weights: list[Array]) -> None:
        """Forget the state, and take the weights for `step`."""
        inputs = self.size[1]
        self._load(weights, self.rows[:-1, None, :inputs])
        self.now, self.now_too = self.rows[0, inputs + 1 : self.width], self.rows[0, self.width :]

    def products(self) -> None:
        """The matrix products alone, of both passes."""
        for times, w, out in self.forward_products:
            times(w, out)
        for times, w, out in self.backward_products:
            times(w, out)
        self._multiply_up()

    def zeros(self, *shape: int) -> Array:
        return np.zeros(shape, self.dtype)

    def load(self, xs: Array) -> None:
        inputs = self.size[1]
        self.rows[:-1, :inputs] = xs[:, 0]
        self.rows[0, inputs + 1 :] = 0

    def _load(self, weights: list[Array], xs: Array) -> None:
        raise NotImplementedError

    def _multiply_up(self) -> None:
        raise NotImplementedError

    def slots(self, array: Array) -> Array:
        """(steps, n * hidden) -> n of (steps, hidden)."""
        return array.reshape(len(array), -1, self.size[2]).swapaxes(0, 1)


class RNN(_Single):
    """h' = tanh([x 1 h] @ w)."""

    def __init__(self, size: Size, dtype: Any = "float32") -> None:
        super().__init__(size, dtype, 0)
        _, inputs, hidden, steps = size
        self.slopes, self.d = self.zeros(steps, hidden), self.zeros(steps, hidden)
        self.z, self.dh, self.w_back = self.zeros(hidden), self.zeros(hidden), self.zeros(hidden, hidden)
        self.h = self.rows[:, inputs + 1 :]
        self.forward_views = [(self.rows[t].dot, self.h[t + 1]) for t in range(steps)]
        self.backward_views = [(self.slopes[t], self.d[t], self.d[t].dot) for t in reversed(range(steps))]
        self.dw = [self.zeros(1, self.width, hidden)]
        self.w = self.zeros(self.width, hidden)
        self.forward_products = [(view[0], self.w, self.z) for view in self.forward_views]
        self.backward_products = [(view[2], self.w_back, self.dh) for view in self.backward_views]

    def _load(self, weights: list[Array], xs: Array) -> None:
        self.load(xs)
        self.w[...] = weights[0][0]

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone."""
        self._load(weights, xs)
        w, z, tanh = self.w, self.z, np.tanh
        for x_dot, h_next in self.forward_views:
            x_dot(w, z)
            tanh(z, h_next)
        return np.vdot(self.h[-1], self.h[-1])

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        loss = self.forward(weights, xs)
        slopes, dh, w, multiply = self.slopes, self.dh, self.w_back, np.multiply
        multiply(self.h[1:], self.h[1:], slopes)
        np.subtract(self.one, slopes, slopes)
        w[...] = weights[0][0, self.size[1] + 1 :].T
        np.add(self.h[-1], self.h[-1], dh)
        for slope, d, d_dot in self.backward_views:
            multiply(dh, slope, d)
            d_dot(w, dh)
        self._multiply_up()
        return loss, self.dw

    def _multiply_up(self) -> None:
        np.matmul(self.rows[:-1].T, self.d, out=self.dw[0][0])

    def step(self, x: Array) -> Array:
        """One step: x (1, inputs) -> h (1, hidden), overwritten by the next one."""
        self.rows[0, : self.size[1]] = x
        self.forward_views[0][0](self.w, self.z)
        np.tanh(self.z, self.now)
        return self.now[None]


class LSTM(_Single):
    """Rows are [x 1, tanh c, tanh(o) tanh c]; a step's values are [o i f g, c, i g, f c], gates by tanh of the half."""

    def __init__(self, size: Size, dtype: Any = "float32") -> None:
        super().__init__(size, dtype, 1)
        _, inputs, hidden, steps = size
        self.w = self.zeros(self.width + hidden, 4 * hidden)
        self.gate_halves = np.array([[0.5], [0.5], [0.5], [1]], self.dtype)  # of o, i, f, g
        self.values, self.h = self.zeros(steps + 1, 7 * hidden), self.zeros(steps + 1, hidden)
        self.tanh_c = self.rows[:, inputs + 1 : self.width]
        self.forward_views = []
        for t in range(steps):
            v = self.values[t].reshape(7, hidden)
            row, following = self.rows[t], self.rows[t + 1]
            self.forward_views.append(
                (row.dot, v[:4].reshape(-1), v[3:5], v[1:3], v[5:7], v[3:7], self.slot(t + 1, 4),
                 following[inputs + 1 : self.width], v[0], following[self.width :])
            )  # fmt: skip
        self._prepare_backward()
        self.forward_products = [(view[0], self.w, view[1]) for view in self.forward_views]
        self.backward_products = [(view[5], self.w_back, self.dh_twice) for view in self.backward_views]

    def slot(self, t: int, i: int) -> Array:
        hidden = self.size[2]
        return self.values[t, i * hidden : (i + 1) * hidden]

    def _prepare_backward(self) -> None:
        _, _, hidden, steps = self.size
        self.sigmoids, self.slopes = self.zeros(steps, 3 * hidden), self.zeros(steps, 6 * hidden)
        self.w_back, self.dh_twice = self.zeros(4 * hidden, 2 * hidden), self.zeros(2 * hidden)
        self.dc_four, self.four_sums = self.zeros(4, hidden), np.ones((4, 2), self.dtype)
        # a step's cotangents are [share of dc, do, di, df, dg, f dc]; the steps lie backward in memory, so that what
        # the later step hands on, f dc, is the neighbour of this step's share, and dc the sum of two neighbours
        lanes = self.zeros(6 * steps + 1, hidden)
        self.cotangents = lanes[1:].reshape(steps, 6 * hidden)[::-1]
        self.backward_views = []
        for t in reversed(range(steps)):
            at, slope = 6 * (steps - 1 - t) + 1, self.slopes[t]
            self.backward_views.append(
                (slope[: 2 * hidden], lanes[at : at + 2].reshape(-1), lanes[at - 1 : at + 1],
                 slope[2 * hidden :].reshape(4, hidden), lanes[at + 2 : at + 6], lanes[at + 1 : at + 5].reshape(-1).dot)
            )  # fmt: skip
        self.inputs_joined, self.dw = self.zeros(steps, self.width), [self.zeros(4, self.width, hidden)]
        self.inputs_joined[:, self.size[1]] = 1

    def _load(self, weights: list[Array], xs: Array) -> None:
        inputs, hidden, width = self.size[1], self.size[2], self.width
        self.load(xs)
        self.slot(0, 4)[...] = 0
        np.multiply(weights[0].swapaxes(0, 1), self.gate_halves, self.w[:width].reshape(width, 4, hidden))
        np.multiply(self.w[inputs + 1 : width], self.half, self.w[inputs + 1 : width])
        self.w[width:] = self.w[inputs + 1 : width]

    def _run(self, weights: list[Array], xs: Array) -> None:
        self._load(weights, xs)
        w, tanh, multiply, sum_of_halves = self.w, np.tanh, np.multiply, self.halves.dot
        for row_dot, z, g_c, i_f, products, four, c_next, tanh_c, o, o_tanh_c in self.forward_views:
            row_dot(w, z)
            tanh(z, z)
            multiply(i_f, g_c, products)
            sum_of_halves(four, c_next)
            tanh(c_next, tanh_c)
            multiply(o, tanh_c, o_tanh_c)

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone."""
        self._run(weights, xs)
        last = self.rows[-1].reshape(-1)
        h = self.half * (last[self.size[1] + 1 : self.width] + last[self.width :])
        return h.dot(h)

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        self._run(weights, xs)
        np.add(self.tanh_c, self.rows[:, self.width :], self.h)
        np.multiply(self.h, self.half, self.h)
        self._compute_slopes()
        return self.h[-1].dot(self.h[-1]), self._backward(weights)

    def _compute_slopes(self) -> None:
        multiply, subtract, one = np.multiply, np.subtract, self.one
        hidden, h, tanh_c = self.size[2], self.h[1:], self.tanh_c[1:]
        multiply(self.values[:-1, : 3 * hidden], self.half, self.sigmoids)
        np.add(self.sigmoids, self.half, self.sigmoids)
        o, i, f = self.slots(self.sigmoids)
        g, c = self.slots(self.values[:-1])[3:5]
        dc, do, di, df, dg, kept = self.slots(self.slopes)
        kept[...] = f
        multiply(h, tanh_c, dc)
        subtract(o, dc, dc)                             # o (1 - tanh(c')^2)
        multiply(g, i, di)
        multiply(di, g, dg)
        subtract(i, dg, dg)                             # i (1 - g^2)
        multiply(c, f, df)
        subtract(one, self.sigmoids, self.sigmoids)     # 1 - o, 1 - i, 1 - f from here on
        multiply(h, o, do)
        multiply(di, i, di)
        multiply(df, f, df)

    def _backward(self, weights: list[Array]) -> list[Array]:
        _, inputs, hidden, _ = self.size
        w, dh, dc, multiply, sums = self.w_back, self.dh_twice, self.dc_four, np.multiply, self.four_sums.dot
        w.reshape(4, hidden, 2, hidden)[...] = weights[0][:, inputs + 1 :].swapaxes(1, 2)[:, :, None]
        np.add(self.h[-1], self.h[-1], dh[:hidden])
        dh[hidden:] = dh[:hidden]
        for c_o_slopes, share_do, neighbours, slopes, d_and_kept, d_dot in self.backward_views:
            multiply(dh, c_o_slopes, share_do)
            sums(neighbours, dc)
            multiply(dc, slopes, d_and_kept)
            d_dot(w, dh)
        self.inputs_joined[:, :inputs] = self.rows[:-1, :inputs]
        self.inputs_joined[:, inputs + 1 :] = self.h[:-1]
        self._multiply_up()
        return self.dw

    def _multiply_up(self) -> None:
        np.matmul(self.inputs_joined.T, self.slots(self.cotangents)[1:5], out=self.dw[0])

    def step(self, x: Array) -> Array:
        """One step: x (1, inputs) -> h (1, hidden), overwritten by the next one."""
        row_dot, z, g_c, i_f, products, four, _, _, o, _ = self.forward_views[0]
        multiply, tanh, c, tanh_c, o_tanh_c = np.multiply, np.tanh, self.slot(0, 4), self.now, self.now_too
        self.rows[0, : self.size[1]] = x
        row_dot(self.w, z)
        tanh(z, z)
        multiply(i_f, g_c, products)
        self.halves.dot(four, c)
        tanh(c, tanh_c)
        multiply(o, tanh_c, o_tanh_c)
        np.add(tanh_c, o_tanh_c, self.h[0])
        return multiply(self.h[:1], self.half, self.h[:1])


class GRU(_Single):
    """Rows are [x 1 h, n, z h, z n]; a step's values are [r z z, m, x @ w], with m = (h @ w + b) / 2, gates by tanh."""

    def __init__(self, size: Size, dtype: Any = "float32") -> None:
        super().__init__(size, dtype, 3)
        _, inputs, hidden, steps = size
        self.w, self.values = self.zeros(self.width, 5 * hidden), self.zeros(steps, 5 * hidden)
        self.q = self.zeros(hidden)
        self.halves[3] = -0.5  # h' = (h + n + tanh(z) h - tanh(z) n) / 2
        self.forward_views = []
        for t in range(steps):
            v, state = self.values[t], self.rows[t, inputs + 1 :].reshape(4, hidden)
            r, zz, m, x = v[:hidden], v[hidden : 3 * hidden], v[3 * hidden : 4 * hidden], v[4 * hidden :]
            self.forward_views.append(
                (self.rows[t, : self.width].dot, v, v[: 3 * hidden], r, m, x, state[1], zz, state[:2].reshape(-1),
                 state[2:].reshape(-1), state, self.rows[t + 1, inputs + 1 : self.width])
            )  # fmt: skip
        self.slopes, self.d = self.zeros(steps, 5 * hidden), self.zeros(steps, 5 * hidden)  # dn, dr, dz, dm, z dh
        self.backward_views = [
            (slope, d, d[hidden:].dot) for slope, d in reversed(list(zip(self.slopes, self.d, strict=True)))
        ]
        self.dh_five, self.w_back = self.zeros(5 * hidden), self.zeros(4 * hidden, 5 * hidden)
        self.w_back[3 * hidden :] = np.tile(np.eye(hidden), 5)
        self.dw = [self.zeros(groups, k, hidden) for groups, k in ((2, self.width), (1, inputs + 1), (1, 1 + hidden))]
        self.temporary = self.zeros(steps, hidden)
        self.forward_products = [(view[0], self.w, view[1]) for view in self.forward_views]
        self.backward_products = [(view[2], self.w_back, self.dh_five) for view in self.backward_views]

    def _load(self, weights: list[Array], xs: Array) -> None:
        gates, (outer,), (inner,) = weights
        inputs, hidden = self.size[1:3]
        self.load(xs)
        w, half = self.w.reshape(self.width, 5, hidden), self.half
        np.multiply(gates.swapaxes(0, 1), half, w[:, :2])
        w[:, 2] = w[:, 1]
        np.multiply(inner, half, w[inputs:, 3])
        w[inputs:, 4] = w[inputs:, 3]
        w[:inputs, 4] = outer[:inputs]
        w[inputs, 4] += outer[inputs]

    def forward(self, weights: list[Array], xs: Array) -> Array:
        """The loss alone."""
        self._load(weights, xs)
        w, q, tanh, multiply, add, sum_of_halves = self.w, self.q, np.tanh, np.multiply, np.add, self.halves.dot
        for row_dot, values, rzz, r, m, x, n, zz, h_n, z_times, four, h_next in self.forward_views:
            row_dot(w, values)
            tanh(rzz, rzz)
            multiply(r, m, q)
            add(q, x, q)
            tanh(q, n)
            multiply(zz, h_n, z_times)
            sum_of_halves(four, h_next)
        h = self.rows[-1, self.size[1] + 1 : self.width]
        return h.dot(h)

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        loss = self.forward(weights, xs)
        self._compute_slopes()
        _, inputs, hidden, _ = self.size
        w, dh, multiply = self.w_back, self.dh_five, np.multiply
        by_column = w[: 3 * hidden].reshape(3, hidden, 5, hidden)
        by_column[:2] = weights[0][:, inputs + 1 :].swapaxes(1, 2)[:, :, None]
        by_column[2] = weights[2][0, 1:].T[:, None]
        h = self.rows[-1, inputs + 1 : self.width]
        dh.reshape(5, hidden)[...] = h + h
        for slopes, d, d_dot in self.backward_views:
            multiply(dh, slopes, d)
            d_dot(w, dh)
        self._multiply_up()
        return loss, self.dw

    def _multiply_up(self) -> None:
        (gates, outer, inner), x, d = self.dw, self.rows[:-1, : self.width].T, self.slots(self.d)
        inputs = self.size[1]
        np.matmul(x, d[1:3], out=gates)
        np.matmul(x[: inputs + 1], d[0], out=outer[0])
        np.matmul(x[inputs:], d[3], out=inner[0])

    def step(self, x: Array) -> Array:
        """One step: x (1, inputs) -> h (1, hidden), overwritten by the next one."""
        row_dot, values, rzz, r, m, x_share, n, zz, h_n, z_times, four, _ = self.forward_views[0]
        self.rows[0, : self.size[1]] = x
        row_dot(self.w, values)
        np.tanh(rzz, rzz)
        np.multiply(r, m, self.q)
        np.add(self.q, x_share, self.q)
        np.tanh(self.q, n)
        np.multiply(zz, h_n, z_times)
        self.halves.dot(four, self.now)
        return self.now[None]

    def _compute_slopes(self) -> None:
        multiply, add, subtract, temporary = np.multiply, np.add, np.subtract, self.temporary
        half, one = self.half, self.one
        r, z, _, m, _ = self.slots(self.values)
        h, n = self.slots(self.rows[:-1, self.size[1] + 1 :])[:2]
        dn, dr, dz, dm, kept = self.slots(self.slopes)
        multiply(z, half, z)
        add(z, half, kept)                  # z
        subtract(half, z, z)                # 1 - z
        multiply(n, n, dn)
        subtract(one, dn, dn)
        multiply(dn, z, dn)                 # (1 - z) (1 - n^2)
        subtract(h, n, dz)
        multiply(dz, z, dz)
        multiply(dz, kept, dz)              # (h - n) z (1 - z)
        multiply(r, half, dm)
        add(dm, half, dm)
        multiply(dm, dn, dm)                # dn r
        subtract(one, r, temporary)         # dn m r (1 - r), where 1 - r is half of this, and m is twice what it was
        multiply(temporary, m, temporary)
        multiply(temporary, dm, dr)
