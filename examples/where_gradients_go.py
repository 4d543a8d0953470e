"""How much of the gradient of the last state arrives at each earlier one, for the three cells, and what carries it.

    python examples/where_gradients_go.py
"""

import math
import pathlib

import numpy as np

import minigrad as mg
import rnn

SUNSPOTS = pathlib.Path(__file__).parent / "data" / "sunspots.csv"
STEPS, HIDDEN, LAGS = 101, 16, (0, 1, 2, 5, 10, 20, 50, 100)


def norms(cell, xs):
    """log10 of |d sum(h_T) / d h_t| for each t, in an unrolled graph where every h_t is a node."""
    hs, _ = rnn.unroll(cell, xs)
    reached = mg.gradients(mg.sum(hs[-1]), [hs[t] for t in range(STEPS)])
    return [log_norm(g) for g in mg.evaluate(reached)]


def log_norm(array):
    """log10 of the norm, scaled first: the square of 1e-200 would be 0."""
    largest = np.max(np.abs(array))
    return -math.inf if largest == 0 else math.log10(largest) + math.log10(np.linalg.norm(array / largest))


def bar(exponent):
    """A bar as long as the gradient is, two characters a power of ten, from 1e-24."""
    return "█" * round(2 * (exponent + 24)) if exponent > -23.5 else "·"


def main():
    _, numbers = np.loadtxt(SUNSPOTS, delimiter=",", skiprows=3, unpack=True)
    xs = ((numbers - numbers.mean()) / numbers.std())[:STEPS].reshape(STEPS, 1, 1)
    cells = {
        "RNN": rnn.RNNCell.init(1, HIDDEN, rng=0),
        "LSTM, forget bias 1": rnn.LSTMCell.init(1, HIDDEN, rng=0),
        "LSTM, forget bias 5": rnn.LSTMCell.init(1, HIDDEN, rng=0, forget_bias=5.0),
        "GRU": rnn.GRUCell.init(1, HIDDEN, rng=0),
    }
    print(f"|d sum(h_T) / d h_(T - lag)|, untrained cells of {HIDDEN} units reading {STEPS} years of sunspots\n")
    found = {}
    for name, cell in cells.items():
        found[name] = norms(cell, xs)
        print(name)
        for lag in LAGS:
            exponent = found[name][-1 - lag]
            print(f"  lag {lag:>3}  1e{exponent:+06.1f}  {bar(exponent)}")
        per_step = (found[name][0] - found[name][-21]) / (STEPS - 21)
        print(f"  each step further back keeps {10**per_step:.2f} of it\n")

    furthest = max(found, key=lambda name: found[name][0])
    print(f"Of these, the most arrives {STEPS - 1} steps back in: {furthest}.")


if __name__ == "__main__":
    main()
