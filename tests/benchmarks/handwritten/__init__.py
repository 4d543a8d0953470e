"""Backpropagation through time in NumPy, written and tuned by hand: what the compiled cells are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import single
from .batch_gru import GRU
from .batch_lstm import LSTM
from .batch_rnn import RNN
from .textbook import TEXTBOOK
from .tiles import LIMIT

__all__ = ["TEXTBOOK", "gates_of", "network", "weights_of"]

Array = Any
Gates = dict[str, dict[str, Array]]
ORDER = {"rnn": ("hidden",), "lstm": ("output", "input", "forget", "candidate"), "gru": ("reset", "update")}


def network(
    cell: str, size: tuple[int, int, int, int], dtype: Any = "float32", limit: int = LIMIT, block: int | None = None
) -> Any:
    """The fastest there is for this cell and size: `loss, gradients = network(...)(weights, xs)`.

    Of batches, products have tiles of at most `limit` multiplications, and weights' gradients are summed by `block` of
    steps.
    """
    if size[0] == 1:
        return {"rnn": single.RNN, "lstm": single.LSTM, "gru": single.GRU}[cell](size, dtype)
    return {"rnn": RNN, "lstm": LSTM, "gru": GRU}[cell](size, dtype, limit, block)


def _joined(gate: dict[str, Array]) -> Array:
    return np.concatenate([gate["w_x"], gate["b"][None], gate["w_h"]])


def weights_of(cell: str, gates: Gates) -> list[Array]:
    """Gates by name as the arrays that the networks take: for each gate [w_x; b; w_h], stacked."""
    stacked = np.stack([_joined(gates[name]) for name in ORDER[cell]])
    if cell != "gru":
        return [stacked]
    new = gates["candidate"]
    outer, inner = np.concatenate([new["w_x"], new["b"][None]]), np.concatenate([new["b_h"][None], new["w_h"]])
    return [stacked, outer[None], inner[None]]


def gates_of(cell: str, weights: list[Array]) -> Gates:
    """The reverse of `weights_of`."""
    hidden = weights[0].shape[2]
    gates = {
        name: {"w_x": w[: -hidden - 1], "w_h": w[-hidden:], "b": w[-hidden - 1]}
        for name, w in zip(ORDER[cell], weights[0], strict=True)
    }
    if cell == "gru":
        (outer,), (inner,) = weights[1:]
        gates["candidate"] = {"w_x": outer[:-1], "w_h": inner[1:], "b": outer[-1], "b_h": inner[0]}
    return gates
