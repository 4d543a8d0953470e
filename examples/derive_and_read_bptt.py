"""Backpropagation through time, derived and not written: print the NumPy that computes it, unrolled and as a loop.

    python examples/derive_and_read_bptt.py
"""

import numpy as np

import minigrad as mg
import rnn


def loss_unrolled(cell, xs):
    hs, _ = rnn.unroll(cell, xs)
    return mg.sum(hs[-1] ** 2)


def loss_scanned(cell, xs):
    hs, _ = rnn.scan(cell, xs)
    return mg.sum(hs[-1] ** 2)


def main():
    cell = rnn.RNNCell.init(input_size=2, hidden_size=3, rng=0)
    xs = np.random.default_rng(1).normal(size=(3, 1, 2))  # three steps, a batch of one

    print("The gradient of sum(h_T ** 2) by all weights, T = 3, every step written out:\n")
    unrolled = mg.trace(mg.grad(loss_unrolled), cell, xs)
    print(unrolled.source)

    print("The same from one loop, whatever T is. The second loop goes from the last step to the first:\n")
    scanned = mg.trace(mg.grad(loss_scanned), cell, xs)
    print(scanned.source)

    # What was read is what runs: execute the printed text, and nothing else, and compare.
    printed = {}
    exec(unrolled.source, printed)
    by_text = printed["compute"](*mg.tree_leaves((cell, xs)))
    by_unroll = mg.tree_leaves(mg.compile(mg.grad(loss_unrolled))(cell, xs))
    by_scan = mg.tree_leaves(mg.compile(mg.grad(loss_scanned))(cell, xs))
    for name, a, b, c in zip(("w_x", "w_h", "b"), by_text, by_unroll, by_scan, strict=True):
        print(f"d loss / d {name}: the printed text and compile agree bit for bit: {np.array_equal(a, b)},"
              f" unroll and scan to {np.max(np.abs(b - c)):.0e}")  # fmt: skip


if __name__ == "__main__":
    main()
