"""The same gradients as they are taught: gate by gate, step by step, nothing tuned. The fast ones are held to them.

    loss, gradients = TEXTBOOK["lstm"](gates, xs)        gates: {"forget": {"w_x": ..., "w_h": ..., "b": ...}, ...}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["TEXTBOOK"]

Array = Any
Gates = dict[str, dict[str, Array]]


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _affine(gate: dict[str, Array], x: Array, h: Array) -> Array:
    return x @ gate["w_x"] + h @ gate["w_h"] + gate["b"]


def _add(gradient: dict[str, Array], x: Array, h: Array, d: Array) -> None:
    gradient["w_x"] += x.T @ d
    gradient["w_h"] += h.T @ d
    gradient["b"] += d.sum(axis=0)


def _zeros_like(gates: Gates) -> Gates:
    return {name: {key: np.zeros_like(value) for key, value in gate.items()} for name, gate in gates.items()}


def _start(gates: Gates, xs: Array) -> Array:
    return np.zeros((xs.shape[1], next(iter(gates.values()))["w_h"].shape[0]), xs.dtype)


def rnn(gates: Gates, xs: Array) -> tuple[Array, Gates]:
    gate = gates["hidden"]
    hs = [_start(gates, xs)]
    for x in xs:
        hs.append(np.tanh(_affine(gate, x, hs[-1])))
    gradients, dh = _zeros_like(gates), 2 * hs[-1]
    for t in reversed(range(len(xs))):
        d = dh * (1 - hs[t + 1] ** 2)
        _add(gradients["hidden"], xs[t], hs[t], d)
        dh = d @ gate["w_h"].T
    return np.sum(hs[-1] ** 2), gradients


def lstm(gates: Gates, xs: Array) -> tuple[Array, Gates]:
    h = c = _start(gates, xs)
    kept = []
    for x in xs:
        f, i, o = (_sigmoid(_affine(gates[name], x, h)) for name in ("forget", "input", "output"))
        g = np.tanh(_affine(gates["candidate"], x, h))
        kept.append((x, h, c, f, i, g, o))
        c = f * c + i * g
        h = o * np.tanh(c)
    gradients, dh, dc, loss = _zeros_like(gates), 2 * h, 0 * c, np.sum(h**2)
    for x, h, c, f, i, g, o in reversed(kept):
        tanh_c = np.tanh(f * c + i * g)
        dc = dc + dh * o * (1 - tanh_c**2)
        d = {
            "forget": dc * c * f * (1 - f),
            "input": dc * g * i * (1 - i),
            "candidate": dc * i * (1 - g**2),
            "output": dh * tanh_c * o * (1 - o),
        }
        for name in gates:
            _add(gradients[name], x, h, d[name])
        dh = sum(d[name] @ gate["w_h"].T for name, gate in gates.items())
        dc = dc * f
    return loss, gradients


def gru(gates: Gates, xs: Array) -> tuple[Array, Gates]:
    h, new = _start(gates, xs), gates["candidate"]
    kept = []
    for x in xs:
        r, z = (_sigmoid(_affine(gates[name], x, h)) for name in ("reset", "update"))
        m = h @ new["w_h"] + new["b_h"]
        n = np.tanh(x @ new["w_x"] + new["b"] + r * m)
        kept.append((x, h, r, z, m, n))
        h = z * h + (1 - z) * n
    gradients, dh, loss = _zeros_like(gates), 2 * h, np.sum(h**2)
    for x, h, r, z, m, n in reversed(kept):
        dn = dh * (1 - z) * (1 - n**2)
        dr, dz, dm = dn * m * r * (1 - r), dh * (h - n) * z * (1 - z), dn * r
        _add(gradients["reset"], x, h, dr)
        _add(gradients["update"], x, h, dz)
        gradients["candidate"]["w_x"] += x.T @ dn
        gradients["candidate"]["b"] += dn.sum(axis=0)
        gradients["candidate"]["w_h"] += h.T @ dm
        gradients["candidate"]["b_h"] += dm.sum(axis=0)
        dh = dh * z + dr @ gates["reset"]["w_h"].T + dz @ gates["update"]["w_h"].T + dm @ new["w_h"].T
    return loss, gradients


TEXTBOOK: dict[str, Callable[[Gates, Array], tuple[Array, Gates]]] = {"rnn": rnn, "lstm": lstm, "gru": gru}
