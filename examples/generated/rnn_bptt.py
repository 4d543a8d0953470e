"""Backpropagation through time for a vanilla recurrent network, in NumPy alone: loss and gradients.

    h' = tanh(hidden_sum)             hidden_sum = x·hidden_w_x + h·hidden_w_h + hidden_b

It starts from h = 0; the loss is the sum of (h − target)² over all steps, sequences and units.
`d_h` is the gradient of the loss by h, and so for all that is called `d_...`. What is called
`..._steps` holds the values of all steps, and `..._rows` holds them as the rows of one matrix.

Written by `python -m minigrad source rnn`, from the equations alone.
Run as a script, it checks the gradients against central differences.
"""

import numpy as np


def rnn_bptt(xs, targets, hidden_w_x, hidden_w_h, hidden_b):
    """The loss, and a dict of its gradients by all weights.

    xs: (steps, batch, inputs)
    targets: (steps, batch, units)
    hidden_w_x: (inputs, units)
    hidden_w_h: (units, units)
    hidden_b: (units,)
    """
    steps, batch, inputs = xs.shape
    units = targets.shape[2]
    # forward
    h = np.zeros((batch, units))
    every_h = np.empty((steps + 1, batch, units))
    every_h[0] = h
    previous_h_steps, h_steps = every_h[:-1], every_h[1:]
    for t in range(steps):
        h = np.tanh(xs[t] @ hidden_w_x + h @ hidden_w_h + hidden_b, out=h_steps[t])
    errors = h_steps - targets
    loss = np.sum(errors ** 2, axis=(0, 1, 2))

    # backward
    d_errors = 2 * errors
    d_h = np.zeros((batch, units))
    d_hidden_sum_steps = np.empty((steps, batch, units))
    for t in reversed(range(steps)):
        h = h_steps[t]
        # back through hidden
        d_hidden_sum = (d_h + d_errors[t]) * (1 - h * h)
        d_h = d_hidden_sum @ hidden_w_h.T
        d_hidden_sum_steps[t] = d_hidden_sum

    # gradients, summed over all steps
    d_hidden_sum_rows = d_hidden_sum_steps.reshape(steps * batch, units)
    d_hidden_w_x = xs.reshape(steps * batch, inputs).T @ d_hidden_sum_rows
    d_hidden_w_h = previous_h_steps.reshape(steps * batch, units).T @ d_hidden_sum_rows
    d_hidden_b = np.sum(d_hidden_sum_steps, axis=(0, 1))
    return loss, {"hidden_w_x": d_hidden_w_x, "hidden_w_h": d_hidden_w_h, "hidden_b": d_hidden_b}


def worst_error(seed=0):
    """How far the gradient is from central differences: the worst entry, relative to the largest of its array."""
    rng = np.random.default_rng(seed)
    steps, batch, inputs, units = 6, 3, 4, 5
    arguments = {
        "xs": rng.normal(size=(steps, batch, inputs)),
        "targets": rng.normal(size=(steps, batch, units)),
        "hidden_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "hidden_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "hidden_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
    }
    loss, gradients = rnn_bptt(**arguments)
    worst = 0.0
    for name, gradient in gradients.items():
        array, scale = arguments[name], max(np.abs(gradient).max(initial=0.0), 1e-4 * abs(loss)) or 1.0
        for i in range(array.size) if array.size <= 100 else rng.integers(array.size, size=100):
            entry, step = array.flat[i], 6e-6 * max(1.0, abs(array.flat[i]))
            array.flat[i] = entry + step
            above, _ = rnn_bptt(**arguments)
            array.flat[i] = entry - step
            below, _ = rnn_bptt(**arguments)
            array.flat[i] = entry
            error = abs((above - below) / (2 * step) - gradient.flat[i]) / scale
            worst = np.maximum(worst, error)  # of a NaN it is NaN
    return worst


if __name__ == "__main__":
    found = worst_error()
    print(f"rnn_bptt: the worst entry of the gradient is {found:.1e} off from central differences")
    raise SystemExit(not found <= 1e-6)
