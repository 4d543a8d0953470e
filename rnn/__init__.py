"""Recurrent networks on minigrad.

Cells:     RNNCell, LSTMCell, GRUCell, and Affine, the gate that they are made of
Sequences: unroll (every step in the graph), scan (one loop), truncated (gradients that reach so far back),
           Stateful (one step at a time); truncation_bias compares truncated gradients with full ones

    import rnn, minigrad as mg
    cell = rnn.LSTMCell.init(input_size=8, hidden_size=16, rng=0)
    hs, state = rnn.scan(cell, xs)                                  # xs: (T, batch, input)

`python -m rnn` trains all three on real text and shows where their gradients go.
"""

from minigrad.errors import hide_frames_of

from .cells import Affine, GRUCell, LSTMCell, LSTMState, RNNCell
from .sequences import Stateful, scan, unroll
from .truncation import Deviation, TruncationBias, truncated, truncation_bias

__all__ = [
    "Affine", "Deviation", "GRUCell", "LSTMCell", "LSTMState", "RNNCell", "Stateful", "TruncationBias", "scan",
    "truncated", "truncation_bias", "unroll",
]  # fmt: skip

hide_frames_of(__file__)
