"""Backpropagation through time for a GRU, in NumPy alone: loss and gradients.

    reset     = σ(reset_sum)          reset_sum = x·reset_w_x + h·reset_w_h + reset_b
    update    = σ(update_sum)         update_sum = x·update_w_x + h·update_w_h + update_b
    candidate = tanh(candidate_sum)   candidate_sum = x·candidate_w_x + candidate_b + reset ∗ candidate_inner_sum
    h'        = update ∗ h + (1 − update) ∗ candidate       candidate_inner_sum = h·candidate_w_h + candidate_b_h

It starts from h = 0; the loss is the sum of (h − target)² over all steps, sequences and units.
`d_h` is the gradient of the loss by h, and so for all that is called `d_...`. What is called
`..._steps` holds the values of all steps, and `..._rows` holds them as the rows of one matrix.

Written by `python -m minigrad source gru`, from the equations alone.
Run as a script, it checks the gradients against central differences.
"""

import numpy as np


@np.errstate(over="ignore")
def sigmoid(x, out=None):
    """1 / (1 + exp(-x)). Where exp overflows, the quotient is 0, which is right, so the warning is not."""
    return np.divide(1, 1 + np.exp(-x), out=out)


def gru_bptt(
    xs, targets, reset_w_x, reset_w_h, reset_b, update_w_x, update_w_h, update_b, candidate_w_x,
    candidate_w_h, candidate_b, candidate_b_h,
):
    """The loss, and a dict of its gradients by all weights.

    xs: (steps, batch, inputs)
    targets: (steps, batch, units)
    reset_w_x, update_w_x, candidate_w_x: (inputs, units)
    reset_w_h, update_w_h, candidate_w_h: (units, units)
    reset_b, update_b, candidate_b, candidate_b_h: (units,)
    """
    steps, batch, inputs = xs.shape
    units = targets.shape[2]
    # forward
    h = np.zeros((batch, units))
    every_h = np.empty((steps + 1, batch, units))
    every_h[0] = h
    previous_h_steps, h_steps = every_h[:-1], every_h[1:]
    candidate_steps = np.empty((steps, batch, units))
    one_minus_update_steps = np.empty((steps, batch, units))
    update_steps = np.empty((steps, batch, units))
    candidate_inner_sum_steps = np.empty((steps, batch, units))
    reset_steps = np.empty((steps, batch, units))
    for t in range(steps):
        x = xs[t]
        reset = sigmoid(x @ reset_w_x + h @ reset_w_h + reset_b, out=reset_steps[t])
        update = sigmoid(x @ update_w_x + h @ update_w_h + update_b, out=update_steps[t])
        candidate_inner_sum = h @ candidate_w_h + candidate_b_h
        candidate = np.tanh(x @ candidate_w_x + candidate_b + reset * candidate_inner_sum, out=candidate_steps[t])
        one_minus_update = 1 - update
        h = update * h + one_minus_update * candidate
        h_steps[t] = h
        one_minus_update_steps[t] = one_minus_update
        candidate_inner_sum_steps[t] = candidate_inner_sum
    errors = h_steps - targets
    loss = np.sum(errors ** 2, axis=(0, 1, 2))

    # backward
    d_errors = 2 * errors
    xs_rows = xs.reshape(steps * batch, inputs)
    previous_h_rows = previous_h_steps.reshape(steps * batch, units)
    d_h = np.zeros((batch, units))
    d_reset_sum_steps = np.empty((steps, batch, units))
    d_update_sum_steps = np.empty((steps, batch, units))
    d_candidate_sum_steps = np.empty((steps, batch, units))
    d_candidate_inner_sum_steps = np.empty((steps, batch, units))
    for t in reversed(range(steps)):
        candidate = candidate_steps[t]
        one_minus_update = one_minus_update_steps[t]
        update = update_steps[t]
        candidate_inner_sum = candidate_inner_sum_steps[t]
        reset = reset_steps[t]
        # back through h
        d_h = d_h + d_errors[t]
        d_candidate = d_h * one_minus_update
        d_update = -(d_h * candidate) + d_h * previous_h_steps[t]
        d_h = d_h * update
        # back through candidate
        d_candidate_sum = d_candidate * (1 - candidate * candidate)
        d_reset = d_candidate_sum * candidate_inner_sum
        d_candidate_inner_sum = d_candidate_sum * reset
        # back through update
        d_update_sum = d_update * (update * (1 - update))
        # back through reset
        d_reset_sum = d_reset * (reset * (1 - reset))
        # back through candidate
        d_h = d_h + d_candidate_inner_sum @ candidate_w_h.T
        # back through update
        d_h = d_h + d_update_sum @ update_w_h.T
        # back through reset
        d_h = d_h + d_reset_sum @ reset_w_h.T
        d_reset_sum_steps[t] = d_reset_sum
        d_update_sum_steps[t] = d_update_sum
        d_candidate_sum_steps[t] = d_candidate_sum
        d_candidate_inner_sum_steps[t] = d_candidate_inner_sum

    # gradients, summed over all steps
    d_reset_sum_rows = d_reset_sum_steps.reshape(steps * batch, units)
    d_update_sum_rows = d_update_sum_steps.reshape(steps * batch, units)
    d_reset_w_x = xs_rows.T @ d_reset_sum_rows
    d_reset_w_h = previous_h_rows.T @ d_reset_sum_rows
    d_reset_b = np.sum(d_reset_sum_steps, axis=(0, 1))
    d_update_w_x = xs_rows.T @ d_update_sum_rows
    d_update_w_h = previous_h_rows.T @ d_update_sum_rows
    d_update_b = np.sum(d_update_sum_steps, axis=(0, 1))
    d_candidate_w_x = xs_rows.T @ d_candidate_sum_steps.reshape(steps * batch, units)
    d_candidate_w_h = previous_h_rows.T @ d_candidate_inner_sum_steps.reshape(steps * batch, units)
    d_candidate_b = np.sum(d_candidate_sum_steps, axis=(0, 1))
    d_candidate_b_h = np.sum(d_candidate_inner_sum_steps, axis=(0, 1))
    return loss, {
        "reset_w_x": d_reset_w_x, "reset_w_h": d_reset_w_h, "reset_b": d_reset_b, "update_w_x": d_update_w_x,
        "update_w_h": d_update_w_h, "update_b": d_update_b, "candidate_w_x": d_candidate_w_x,
        "candidate_w_h": d_candidate_w_h, "candidate_b": d_candidate_b, "candidate_b_h": d_candidate_b_h,
    }


def worst_error(seed=0):
    """How far the gradient is from central differences: the worst entry, relative to the largest of its array."""
    rng = np.random.default_rng(seed)
    steps, batch, inputs, units = 6, 3, 4, 5
    arguments = {
        "xs": rng.normal(size=(steps, batch, inputs)),
        "targets": rng.normal(size=(steps, batch, units)),
        "reset_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "reset_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "reset_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
        "update_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "update_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "update_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
        "candidate_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "candidate_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "candidate_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
        "candidate_b_h": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
    }
    loss, gradients = gru_bptt(**arguments)
    worst = 0.0
    for name, gradient in gradients.items():
        array, scale = arguments[name], max(np.abs(gradient).max(initial=0.0), 1e-4 * abs(loss)) or 1.0
        for i in range(array.size) if array.size <= 100 else rng.integers(array.size, size=100):
            entry, step = array.flat[i], 6e-6 * max(1.0, abs(array.flat[i]))
            array.flat[i] = entry + step
            above, _ = gru_bptt(**arguments)
            array.flat[i] = entry - step
            below, _ = gru_bptt(**arguments)
            array.flat[i] = entry
            error = abs((above - below) / (2 * step) - gradient.flat[i]) / scale
            worst = np.maximum(worst, error)  # of a NaN it is NaN
    return worst


if __name__ == "__main__":
    found = worst_error()
    print(f"gru_bptt: the worst entry of the gradient is {found:.1e} off from central differences")
    raise SystemExit(not found <= 1e-6)
