"""A gate, its picture, and its gradient: three ways to look at σ(x·w_x + h·w_h + b).

    python examples/gate.py [FOLDER]       writes gate.svg and gate_gradient.svg to FOLDER (default: here)
"""

import pathlib
import sys

import numpy as np

import minigrad as mg
import rnn


def main(folder="."):
    x, h = mg.symbol("x", shape=(1, 2)), mg.symbol("h", shape=(1, 3))
    w_x, w_h, b = mg.symbol("w_x", shape=(2, 3)), mg.symbol("w_h", shape=(3, 3)), mg.symbol("b", shape=(3,))

    with mg.scope("forget"):
        f = mg.sigmoid(x @ w_x + h @ w_h + b)
    with mg.scope("loss"):
        loss = mg.sum(f)
    dh, dw_h = mg.gradients(loss, [h, w_h])

    print("The gate, one line a node:\n")
    print(mg.Graph([x, h, w_x, w_h, b], [f]))

    print("\nIts gradient by h and w_h is a graph of the same primitives. The slope of σ is taken from its result,")
    print("f(1 - f), and simplified, as NumPy, it is what one would write by hand:\n")
    print(mg.Graph([x, h, w_x, w_h, b], [dh, dw_h]).source)

    rng = np.random.default_rng(0)
    gate = rnn.Affine.init(input_size=2, hidden_size=3, rng=rng, b=1.0)  # a forget gate's bias, 1, says: remember
    feeds = {x: rng.normal(size=(1, 2)), h: rng.normal(size=(1, 3)), w_x: gate.w_x, w_h: gate.w_h, b: gate.b}
    opened, slope = mg.evaluate([f, dh], feeds)
    print(f"At a random point the gate is {np.array2string(opened[0], precision=3)} open;"
          f" d(sum f)/dh is {np.array2string(slope[0], precision=3)}.")  # fmt: skip

    for scale in (1, 4, 16):
        widely, shut = mg.evaluate([f, dh], {**feeds, x: scale * feeds[x], h: scale * feeds[h]})
        print(f"  inputs times {scale:>2}: f = {np.array2string(widely[0], precision=3, suppress_small=True):<24}"
              f"  largest slope {np.max(np.abs(shut)):.1e}")  # fmt: skip
    print("Wide open or shut, a gate stops listening: what moved it before hardly moves it now.\n")

    for name, what in (("gate", f), ("gate_gradient", [f, dh, dw_h])):
        path = pathlib.Path(folder) / f"{name}.svg"
        mg.render(what, path)
        print(f"drawn: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
