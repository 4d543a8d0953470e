"""Recurrent networks on minigrad.

Cells:     RNNCell, LSTMCell, GRUCell, and Affine, the gate that they are made of
Sequences: unroll (every step in the graph), scan (one loop), Stateful (one step at a time)

    import rnn, minigrad as mg
    cell = rnn.LSTMCell.init(input_size=8, hidden_size=16, rng=0)
    hs, state = rnn.scan(cell, xs)                                  # xs: (T, batch, input)

`python -m rnn` trains all three on real text and shows where their gradients go.
"""

from minigrad.errors import hide_frames_of

from .cells import Affine, GRUCell, LSTMCell, LSTMState, RNNCell
from .sequences import Stateful, scan, unroll

__all__ = ["Affine", "GRUCell", "LSTMCell", "LSTMState", "RNNCell", "Stateful", "scan", "unroll"]

hide_frames_of(__file__)
