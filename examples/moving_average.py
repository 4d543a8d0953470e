"""The smallest recurrent network, h' = u·x + w·h, is an exponentially weighted moving average: here, of the sunspots.

    python examples/moving_average.py
"""

import pathlib

import numpy as np

import minigrad as mg
import rnn

SUNSPOTS = pathlib.Path(__file__).parent / "data" / "sunspots.csv"


def cell(u, w):
    """An RNN of two weights, without the tanh."""
    return rnn.RNNCell(rnn.Affine(w_x=np.array([[u]]), w_h=np.array([[w]])), activation="identity")


def average(weights, xs):
    """The state after each year, (T,); xs: (T,)."""
    hs, _ = rnn.scan(weights, xs.reshape((-1, 1)))
    return hs[:, 0]


def prediction_error(weights, xs):
    """The mean squared error of taking the average so far as a guess at the next year."""
    return mg.mean((average(weights, xs[:-1]) - xs[1:]) ** 2)


def closed_form(u, w, xs):
    """h_T = u (x_T + w x_(T-1) + w² x_(T-2) + ...), from a matrix of powers."""
    lag = np.arange(len(xs))[:, None] - np.arange(len(xs))
    return u * np.where(lag >= 0, w ** np.maximum(lag, 0), 0.0) @ xs


def main():
    years, xs = np.loadtxt(SUNSPOTS, delimiter=",", skiprows=3, unpack=True)
    alpha = 0.2
    smooth = mg.compile(average)(cell(alpha, 1 - alpha), xs)
    print(f"Sunspots, {years[0]:.0f}-{years[-1]:.0f}, and their average with weight {alpha} for each new year:")
    for i in range(0, 44, 4):
        print(f"  {years[i]:.0f}  {'*' * round(xs[i] / 4):<34}|{'-' * round(smooth[i] / 4)}")
    difference = np.max(np.abs(smooth - closed_form(alpha, 1 - alpha, xs)))
    print(f"network and closed form u Σ w^lag x differ by {difference:.0e} at most\n")

    # The gradient of the last state by each year's number is its weight in the average: u·w^lag.
    reach = mg.compile(mg.grad(lambda xs: average(cell(alpha, 1 - alpha), xs)[-1]))(xs)
    print("how much of each year is left in the last state, by the gradient, and by the formula:")
    for lag in (0, 1, 2, 5, 10, 20, 50, 100):
        print(f"  lag {lag:>3}:  {reach[-1 - lag]:.3e}  {alpha * (1 - alpha) ** lag:.3e}")

    # Both weights free, and Newton's method on the gradient and Hessian of a loop of 308 steps.
    step = mg.compile(lambda u, w: (mg.grad(loss, (0, 1))(u, w), mg.hessian(loss, (0, 1))(u, w)))

    def loss(u, w):
        weights = rnn.RNNCell(rnn.Affine(w_x=u, w_h=w), activation="identity")
        return prediction_error(weights, mg.constant(xs))

    u, w = np.array([[alpha]]), np.array([[1 - alpha]])
    print("\nthe two weights, trained to guess next year (Newton's method):")
    for i in range(20):
        slope, curvature = step(u, w)
        g = np.ravel(slope)
        print(f"  {i:>2}  u = {u.item():+.4f}, w = {w.item():+.4f}, error {np.sqrt(float(mg.compile(loss)(u, w))):.2f}")
        if np.linalg.norm(g) < 1e-6:
            break
        values, vectors = np.linalg.eigh(np.reshape([np.ravel(row) for row in curvature], (2, 2)))
        move = vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), 1.0))  # uphill directions turned round
        move *= min(1.0, 0.2 / np.linalg.norm(move))
        u, w = u - move[0], w - move[1]
    print(f"in place of the network, last year's number: {np.sqrt(np.mean(np.diff(xs) ** 2)):.2f};"
          f" the mean of all years: {np.std(xs):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
