"""What `python -m minigrad source rnn|lstm|gru` writes: a cell's backpropagation through time, in any size.

    LESSONS["lstm"](sizes, dtype)          a lesson (see `minigrad.textbook`), whose module takes any sizes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.textbook import Lesson

from .cells import GRUCell, LSTMCell, RNNCell
from .sequences import scan

__all__ = ["LESSONS", "SIZES"]

SIZES = {"steps": 6, "batch": 3, "inputs": 4, "units": 5}  # of a check, where nobody says others
WEIGHTS = "rng.uniform(-1, 1, size={shape}) / np.sqrt(units)"
CELLS = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}
NAMES = {"rnn": "a vanilla recurrent network", "lstm": "an LSTM", "gru": "a GRU"}
EQUATIONS = {
    "rnn": """\
    h' = tanh(hidden_sum)             hidden_sum = x·hidden_w_x + h·hidden_w_h + hidden_b""",
    "lstm": """\
    forget    = σ(forget_sum)         forget_sum = x·forget_w_x + h·forget_w_h + forget_b, and so for each gate
    input     = σ(input_sum)
    candidate = tanh(candidate_sum)
    output    = σ(output_sum)
    c'        = forget ∗ c + input ∗ candidate
    h'        = output ∗ tanh(c')""",
    "gru": """\
    reset     = σ(reset_sum)          reset_sum = x·reset_w_x + h·reset_w_h + reset_b
    update    = σ(update_sum)         update_sum = x·update_w_x + h·update_w_h + update_b
    candidate = tanh(candidate_sum)   candidate_sum = x·candidate_w_x + candidate_b + reset ∗ candidate_inner_sum
    h'        = update ∗ h + (1 − update) ∗ candidate       candidate_inner_sum = h·candidate_w_h + candidate_b_h""",
}
ABOUT = """\
Backpropagation through time for {what}, in NumPy alone: loss and gradients.

{equations}

It starts from {start}; the loss is the sum of (h − target)² over all steps, sequences and units.
`d_h` is the gradient of the loss by h, and so for all that is called `d_...`. What is called
`..._steps` holds the values of all steps, and `..._rows` holds them as the rows of one matrix.

Written by `{command}`, from the equations alone.
Run as a script, it checks the gradients against central differences.
"""


def _lesson(kind: str, sizes: Mapping[str, int] = SIZES, dtype: str = "float64", command: str = "") -> Lesson:
    cell: Any = CELLS[kind]
    gates = [f.name for f in fields(cell) if f.type == "Affine"]

    def example(sizes: Mapping[str, int]) -> dict[str, Any]:
        made = cell.init(sizes["inputs"], sizes["units"], dtype=dtype)
        xs, targets = (np.zeros((sizes["steps"], sizes["batch"], sizes[n]), dtype) for n in ("inputs", "units"))
        return {"xs": xs, "targets": targets, **{gate: getattr(made, gate) for gate in gates}}

    def loss(xs: Any, targets: Any, **weights: Any) -> Any:
        hs, _ = scan(cell(**weights), xs)
        with mg.scope("errors"):
            errors = hs - targets
        return mg.sum(errors**2)

    start = "h = c = 0" if kind == "lstm" else "h = 0"
    return Lesson(
        name=f"{kind}_bptt",
        fn=loss,
        arguments=example,
        by=gates,
        about=ABOUT.format(what=NAMES[kind], equations=EQUATIONS[kind], start=start, command=command),
        returns="The loss, and a dict of its gradients by all weights.",
        sizes=dict(sizes),
        measures=["steps, batch, inputs = xs.shape", "units = targets.shape[2]"],
        draws={**dict.fromkeys(["xs", "targets"], "rng.normal(size={shape})"), "": WEIGHTS},
    )


LESSONS = {kind: partial(_lesson, kind) for kind in CELLS}
