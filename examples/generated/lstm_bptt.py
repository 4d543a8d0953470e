"""Backpropagation through time for an LSTM, in NumPy alone: loss and gradients.

    forget    = σ(forget_sum)         forget_sum = x·forget_w_x + h·forget_w_h + forget_b, and so for each gate
    input     = σ(input_sum)
    candidate = tanh(candidate_sum)
    output    = σ(output_sum)
    c'        = forget ∗ c + input ∗ candidate
    h'        = output ∗ tanh(c')

It starts from h = c = 0; the loss is the sum of (h − target)² over all steps, sequences and units.
`d_h` is the gradient of the loss by h, and so for all that is called `d_...`. What is called
`..._steps` holds the values of all steps, and `..._rows` holds them as the rows of one matrix.

Written by `python -m minigrad source lstm`, from the equations alone.
Run as a script, it checks the gradients against central differences.
"""

import numpy as np


@np.errstate(over="ignore")
def sigmoid(x, out=None):
    """1 / (1 + exp(-x)). Where exp overflows, the quotient is 0, which is right, so the warning is not."""
    return np.divide(1, 1 + np.exp(-x), out=out)


def lstm_bptt(
    xs, targets, forget_w_x, forget_w_h, forget_b, input_w_x, input_w_h, input_b, candidate_w_x,
    candidate_w_h, candidate_b, output_w_x, output_w_h, output_b,
):
    """The loss, and a dict of its gradients by all weights.

    xs: (steps, batch, inputs)
    targets: (steps, batch, units)
    forget_w_x, input_w_x, candidate_w_x, output_w_x: (inputs, units)
    forget_w_h, input_w_h, candidate_w_h, output_w_h: (units, units)
    forget_b, input_b, candidate_b, output_b: (units,)
    """
    steps, batch, inputs = xs.shape
    units = targets.shape[2]
    # forward
    h = np.zeros((batch, units))
    c = np.zeros((batch, units))
    every_h = np.empty((steps + 1, batch, units))
    every_h[0] = h
    previous_h_steps, h_steps = every_h[:-1], every_h[1:]
    tanh_c_steps = np.empty((steps, batch, units))
    output_steps = np.empty((steps, batch, units))
    candidate_steps = np.empty((steps, batch, units))
    input_steps = np.empty((steps, batch, units))
    previous_c_steps = np.empty((steps, batch, units))
    forget_steps = np.empty((steps, batch, units))
    for t in range(steps):
        x = xs[t]
        previous_c_steps[t] = c
        forget = sigmoid(x @ forget_w_x + h @ forget_w_h + forget_b, out=forget_steps[t])
        input_ = sigmoid(x @ input_w_x + h @ input_w_h + input_b, out=input_steps[t])
        candidate = np.tanh(x @ candidate_w_x + h @ candidate_w_h + candidate_b, out=candidate_steps[t])
        output = sigmoid(x @ output_w_x + h @ output_w_h + output_b, out=output_steps[t])
        c = forget * c + input_ * candidate
        tanh_c = np.tanh(c, out=tanh_c_steps[t])
        h = output * tanh_c
        h_steps[t] = h
    errors = h_steps - targets
    loss = np.sum(errors ** 2, axis=(0, 1, 2))

    # backward
    d_errors = 2 * errors
    xs_rows = xs.reshape(steps * batch, inputs)
    previous_h_rows = previous_h_steps.reshape(steps * batch, units)
    d_h = np.zeros((batch, units))
    d_c = np.zeros((batch, units))
    d_forget_sum_steps = np.empty((steps, batch, units))
    d_input_sum_steps = np.empty((steps, batch, units))
    d_candidate_sum_steps = np.empty((steps, batch, units))
    d_output_sum_steps = np.empty((steps, batch, units))
    for t in reversed(range(steps)):
        tanh_c = tanh_c_steps[t]
        output = output_steps[t]
        candidate = candidate_steps[t]
        input_ = input_steps[t]
        forget = forget_steps[t]
        # back through h
        d_h = d_h + d_errors[t]
        d_output = d_h * tanh_c
        d_c = d_c + d_h * output * (1 - tanh_c * tanh_c)
        # back through c
        d_input = d_c * candidate
        d_candidate = d_c * input_
        d_forget = d_c * previous_c_steps[t]
        d_c = d_c * forget
        # back through output
        d_output_sum = d_output * (output * (1 - output))
        # back through candidate
        d_candidate_sum = d_candidate * (1 - candidate * candidate)
        # back through input
        d_input_sum = d_input * (input_ * (1 - input_))
        # back through forget
        d_forget_sum = d_forget * (forget * (1 - forget))
        # back through output
        d_h = d_output_sum @ output_w_h.T
        # back through candidate
        d_h = d_h + d_candidate_sum @ candidate_w_h.T
        # back through input
        d_h = d_h + d_input_sum @ input_w_h.T
        # back through forget
        d_h = d_h + d_forget_sum @ forget_w_h.T
        d_forget_sum_steps[t] = d_forget_sum
        d_input_sum_steps[t] = d_input_sum
        d_candidate_sum_steps[t] = d_candidate_sum
        d_output_sum_steps[t] = d_output_sum

    # gradients, summed over all steps
    d_forget_sum_rows = d_forget_sum_steps.reshape(steps * batch, units)
    d_input_sum_rows = d_input_sum_steps.reshape(steps * batch, units)
    d_candidate_sum_rows = d_candidate_sum_steps.reshape(steps * batch, units)
    d_output_sum_rows = d_output_sum_steps.reshape(steps * batch, units)
    d_forget_w_x = xs_rows.T @ d_forget_sum_rows
    d_forget_w_h = previous_h_rows.T @ d_forget_sum_rows
    d_forget_b = np.sum(d_forget_sum_steps, axis=(0, 1))
    d_input_w_x = xs_rows.T @ d_input_sum_rows
    d_input_w_h = previous_h_rows.T @ d_input_sum_rows
    d_input_b = np.sum(d_input_sum_steps, axis=(0, 1))
    d_candidate_w_x = xs_rows.T @ d_candidate_sum_rows
    d_candidate_w_h = previous_h_rows.T @ d_candidate_sum_rows
    d_candidate_b = np.sum(d_candidate_sum_steps, axis=(0, 1))
    d_output_w_x = xs_rows.T @ d_output_sum_rows
    d_output_w_h = previous_h_rows.T @ d_output_sum_rows
    d_output_b = np.sum(d_output_sum_steps, axis=(0, 1))
    return loss, {
        "forget_w_x": d_forget_w_x, "forget_w_h": d_forget_w_h, "forget_b": d_forget_b,
        "input_w_x": d_input_w_x, "input_w_h": d_input_w_h, "input_b": d_input_b,
        "candidate_w_x": d_candidate_w_x, "candidate_w_h": d_candidate_w_h, "candidate_b": d_candidate_b,
        "output_w_x": d_output_w_x, "output_w_h": d_output_w_h, "output_b": d_output_b,
    }


def worst_error(seed=0):
    """How far the gradient is from central differences: the worst entry, relative to the largest of its array."""
    rng = np.random.default_rng(seed)
    steps, batch, inputs, units = 6, 3, 4, 5
    arguments = {
        "xs": rng.normal(size=(steps, batch, inputs)),
        "targets": rng.normal(size=(steps, batch, units)),
        "forget_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "forget_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "forget_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
        "input_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "input_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "input_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
        "candidate_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "candidate_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "candidate_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
        "output_w_x": rng.uniform(-1, 1, size=(inputs, units)) / np.sqrt(units),
        "output_w_h": rng.uniform(-1, 1, size=(units, units)) / np.sqrt(units),
        "output_b": rng.uniform(-1, 1, size=(units,)) / np.sqrt(units),
    }
    loss, gradients = lstm_bptt(**arguments)
    worst = 0.0
    for name, gradient in gradients.items():
        array, scale = arguments[name], max(np.abs(gradient).max(initial=0.0), 1e-4 * abs(loss)) or 1.0
        for i in range(array.size) if array.size <= 100 else rng.integers(array.size, size=100):
            entry, step = array.flat[i], 6e-6 * max(1.0, abs(array.flat[i]))
            array.flat[i] = entry + step
            above, _ = lstm_bptt(**arguments)
            array.flat[i] = entry - step
            below, _ = lstm_bptt(**arguments)
            array.flat[i] = entry
            error = abs((above - below) / (2 * step) - gradient.flat[i]) / scale
            worst = np.maximum(worst, error)  # of a NaN it is NaN
    return worst


if __name__ == "__main__":
    found = worst_error()
    print(f"lstm_bptt: the worst entry of the gradient is {found:.1e} off from central differences")
    raise SystemExit(not found <= 1e-6)
