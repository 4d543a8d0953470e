"""Backpropagation through time by hand, tuned in the usual way: the one to imagine behind "hand-written NumPy".

    network = LSTM((batch, inputs, hidden, steps), "float32")
    loss, gradients = network(weights, xs)          weights: [w_x, w_h, b], of all gates side by side

All buffers are made once, all gates are one product, the inputs' products are made before the loop and the weights'
gradients after it, everything elementwise works in place. The gates are column slices of (batch, gates * hidden).
batch.py and single.py go further; this one tells how far.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["GRU", "LSTM", "RNN"]

Array = Any
Size = tuple[int, int, int, int]


def _sigmoid(x: Array, out: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


class _Usual:
    gates: int

    def __init__(self, size: Size, dtype: Any = "float32") -> None:
        batch, inputs, hidden, steps = size
        self.size, self.dtype = size, np.dtype(dtype)
        self.h = self.zeros(steps + 1, batch, hidden)
        self.z = self.zeros(steps, batch, self.gates * hidden)  # inputs' share, then activations
        self.d = self.zeros(steps, batch, self.gates * hidden)
        self.recurrent = self.zeros(batch, self.gates * hidden)
        self.dh, self.temporary, self.other = (self.zeros(batch, hidden) for _ in range(3))
        width = self.gates * hidden
        self.gradients = [self.zeros(inputs, width), self.zeros(hidden, width), self.zeros(width)]

    def zeros(self, *shape: int) -> Array:
        return np.zeros(shape, self.dtype)

    def parts(self, array: Array) -> list[Array]:
        """(batch, gates * hidden) -> the gates' own columns."""
        hidden = self.size[2]
        return [array[:, i * hidden : (i + 1) * hidden] for i in range(self.gates)]

    def load(self, w_x: Array, b: Array, xs: Array) -> None:
        batch, inputs, hidden, steps = self.size
        z = self.z.reshape(steps * batch, -1)
        np.matmul(xs.reshape(steps * batch, inputs), w_x, out=z)
        np.add(z, b, out=z)

    def finish(self, xs: Array, d_recurrent: Array | None = None) -> list[Array]:
        """The weights' gradients, of all steps at once."""
        batch, inputs, hidden, steps = self.size
        d = self.d.reshape(steps * batch, -1)
        recurrent = d if d_recurrent is None else d_recurrent.reshape(steps * batch, -1)
        dw_x, dw_h, db = self.gradients[:3]
        np.matmul(xs.reshape(steps * batch, inputs).T, d, out=dw_x)
        np.matmul(self.h[:-1].reshape(steps * batch, hidden).T, recurrent, out=dw_h)
        np.sum(d, axis=0, out=db)
        return self.gradients


class RNN(_Usual):
    gates = 1

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        loss = self.forward(weights, xs)
        w_back, dh, temporary = weights[1].T.copy(), self.dh, self.temporary
        np.multiply(self.h[-1], 2, out=dh)
        for t in reversed(range(self.size[3])):
            np.multiply(self.h[t + 1], self.h[t + 1], out=temporary)
            np.subtract(1, temporary, out=temporary)
            np.multiply(dh, temporary, out=self.d[t])
            np.matmul(self.d[t], w_back, out=dh)
        return loss, self.finish(xs)

    def forward(self, weights: list[Array], xs: Array) -> Array:
        w_x, w_h, b = weights
        self.load(w_x, b, xs)
        for t in range(self.size[3]):
            np.matmul(self.h[t], w_h, out=self.recurrent)
            np.add(self.recurrent, self.z[t], out=self.recurrent)
            np.tanh(self.recurrent, out=self.h[t + 1])
        return np.vdot(self.h[-1], self.h[-1])


class LSTM(_Usual):
    """Gates in the order f, i, o, g."""

    gates = 4

    def __init__(self, size: Size, dtype: Any = "float32") -> None:
        super().__init__(size, dtype)
        batch, _, hidden, steps = size
        self.c, self.tanh_c = self.zeros(steps + 1, batch, hidden), self.zeros(steps, batch, hidden)
        self.dc = self.zeros(batch, hidden)

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        loss = self.forward(weights, xs)
        w_back, dh, dc, temporary = weights[1].T.copy(), self.dh, self.dc, self.temporary
        multiply, subtract = np.multiply, np.subtract
        multiply(self.h[-1], 2, out=dh)
        dc.fill(0)
        for t in reversed(range(self.size[3])):
            (f, i, o, g), (df, di, do, dg), tanh_c = self.parts(self.z[t]), self.parts(self.d[t]), self.tanh_c[t]
            multiply(tanh_c, tanh_c, out=temporary)
            subtract(1, temporary, out=temporary)
            multiply(temporary, o, out=temporary)
            multiply(temporary, dh, out=temporary)
            np.add(dc, temporary, out=dc)
            for d, gate, upstream, factor in ((df, f, dc, self.c[t]), (di, i, dc, g), (do, o, dh, tanh_c)):
                subtract(1, gate, out=d)
                multiply(d, gate, out=d)
                multiply(d, factor, out=d)
                multiply(d, upstream, out=d)
            multiply(g, g, out=dg)
            subtract(1, dg, out=dg)
            multiply(dg, i, out=dg)
            multiply(dg, dc, out=dg)
            multiply(dc, f, out=dc)
            np.matmul(self.d[t], w_back, out=dh)
        return loss, self.finish(xs)

    def forward(self, weights: list[Array], xs: Array) -> Array:
        w_x, w_h, b = weights
        self.load(w_x, b, xs)
        hidden, temporary = self.size[2], self.temporary
        for t in range(self.size[3]):
            z, c = self.z[t], self.c[t + 1]
            f, i, o, g = self.parts(z)
            np.matmul(self.h[t], w_h, out=self.recurrent)
            np.add(z, self.recurrent, out=z)
            _sigmoid(z[:, : 3 * hidden], z[:, : 3 * hidden])
            np.tanh(g, out=g)
            np.multiply(f, self.c[t], out=c)
            np.multiply(i, g, out=temporary)
            np.add(c, temporary, out=c)
            np.tanh(c, out=self.tanh_c[t])
            np.multiply(o, self.tanh_c[t], out=self.h[t + 1])
        return np.vdot(self.h[-1], self.h[-1])


class GRU(_Usual):
    """Gates in the order r, z, n; weights have a fourth array, the bias of h @ w_h for n."""

    gates = 3

    def __init__(self, size: Size, dtype: Any = "float32") -> None:
        super().__init__(size, dtype)
        batch, _, hidden, steps = size
        self.m = self.zeros(steps, batch, hidden)
        self.d_recurrent = np.zeros_like(self.d)
        self.gradients.append(self.zeros(hidden))

    def __call__(self, weights: list[Array], xs: Array) -> tuple[Array, list[Array]]:
        loss = self.forward(weights, xs)
        w_back, dh, carried, temporary, hidden = weights[1].T.copy(), self.dh, self.other, self.temporary, self.size[2]
        multiply, subtract = np.multiply, np.subtract
        multiply(self.h[-1], 2, out=dh)
        for t in reversed(range(self.size[3])):
            (r, z, n), (dr, dz, dn) = self.parts(self.z[t]), self.parts(self.d[t])
            dm = self.parts(self.d_recurrent[t])[2]
            subtract(1, z, out=temporary)
            multiply(temporary, dh, out=temporary)      # (1 - z) dh
            subtract(self.h[t], n, out=dz)
            multiply(dz, z, out=dz)
            multiply(dz, temporary, out=dz)             # (h - n) z (1 - z) dh
            multiply(n, n, out=dn)
            subtract(1, dn, out=dn)
            multiply(dn, temporary, out=dn)             # (1 - n^2) (1 - z) dh
            multiply(dn, r, out=dm)
            subtract(1, r, out=dr)
            multiply(dr, dm, out=dr)
            multiply(dr, self.m[t], out=dr)             # dn m r (1 - r)
            self.d_recurrent[t, :, : 2 * hidden] = self.d[t, :, : 2 * hidden]
            multiply(dh, z, out=carried)
            np.matmul(self.d_recurrent[t], w_back, out=dh)
            np.add(dh, carried, out=dh)
        np.sum(self.d_recurrent[:, :, 2 * hidden :], axis=(0, 1), out=self.gradients[3])
        self.finish(xs, self.d_recurrent)
        return loss, self.gradients

    def forward(self, weights: list[Array], xs: Array) -> Array:
        w_x, w_h, b, b_h = weights
        self.load(w_x, b, xs)
        hidden, temporary = self.size[2], self.temporary
        for t in range(self.size[3]):
            z, h, recurrent = self.z[t], self.h[t], self.recurrent
            r, update, n = self.parts(z)
            gates = z[:, : 2 * hidden]
            np.matmul(h, w_h, out=recurrent)
            np.add(gates, recurrent[:, : 2 * hidden], out=gates)
            _sigmoid(gates, gates)
            np.add(recurrent[:, 2 * hidden :], b_h, out=self.m[t])
            np.multiply(r, self.m[t], out=temporary)
            np.add(n, temporary, out=n)
            np.tanh(n, out=n)
            np.subtract(h, n, out=temporary)
            np.multiply(temporary, update, out=temporary)
            np.add(n, temporary, out=self.h[t + 1])
        return np.vdot(self.h[-1], self.h[-1])
