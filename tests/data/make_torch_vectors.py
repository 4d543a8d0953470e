"""Make `torch_vectors.npz`: what PyTorch's RNN, LSTM and GRU give, values and gradients, in float64.

    pip install torch==2.13.0 numpy
    python tests/data/make_torch_vectors.py

One layer, one direction, CPU, one thread. For each case the file holds, under `case/name`: the input `xs` (T, batch,
input), the weights by PyTorch's names, the initial state `h0` (and `c0`), the output `hs` (T, batch, hidden), the last
state `hT` (and `cT`), the gradients of

    loss = sum(hs * weights_of_hs) + sum(hT * weights_of_hT) [+ sum(cT * weights_of_cT)]

as `d_` and the name of what they belong to, and the loss's fixed weights. `about` says which script, version and seed.
"""

import json
import pathlib

import numpy as np
import torch

SEED = 20260
SIZES = [  # steps, batch, input, hidden
    (1, 1, 1, 1),
    (4, 3, 2, 5),
    (12, 2, 3, 4),
]
KINDS = {"rnn_tanh": torch.nn.RNN, "rnn_relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def one_case(kind, steps, batch, inputs, hidden, bias):
    options = {"nonlinearity": kind.removeprefix("rnn_")} if kind.startswith("rnn") else {}
    layer = KINDS[kind](inputs, hidden, bias=bias, dtype=torch.float64, **options)
    found = {}

    def given(name, *shape):
        found[name] = torch.randn(*shape, dtype=torch.float64).requires_grad_()
        return found[name]

    xs, h0 = given("xs", steps, batch, inputs), given("h0", 1, batch, hidden)
    c0 = given("c0", 1, batch, hidden) if kind == "lstm" else None
    hs, last = layer(xs, h0 if c0 is None else (h0, c0))
    results = {"hs": hs, "hT": last[0], "cT": last[1]} if kind == "lstm" else {"hs": hs, "hT": last}
    loss = 0.0
    for name, value in results.items():
        weights = torch.randn_like(value)
        loss = loss + (value * weights).sum()
        found[f"weights_of_{name}"] = weights
    loss.backward()
    found |= dict(layer.named_parameters()) | results | {"loss": loss}
    arrays = {name: value.detach().numpy() for name, value in found.items()}
    return arrays | {f"d_{name}": v.grad.numpy() for name, v in found.items() if v.is_leaf and v.grad is not None}


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    about = {"script": "tests/data/make_torch_vectors.py", **versions, "seed": SEED}
    arrays = {"about": np.array(json.dumps(about))}
    for kind in KINDS:
        for steps, batch, inputs, hidden in SIZES:
            for bias in (True, False):
                case = f"{kind}-T{steps}-batch{batch}-input{inputs}-hidden{hidden}-{'bias' if bias else 'nobias'}"
                made = one_case(kind, steps, batch, inputs, hidden, bias)
                arrays |= {f"{case}/{name}": value for name, value in made.items()}
    np.savez_compressed(pathlib.Path(__file__).with_name("torch_vectors.npz"), **arrays)


if __name__ == "__main__":
    main()
