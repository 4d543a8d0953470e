"""The three cells against PyTorch's, values and gradients, to 1e-9: see `data/make_torch_vectors.py`."""

from __future__ import annotations

import json
import operator
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn

FILE = pathlib.Path(__file__).parent / "data" / "torch_vectors.npz"
GATES = {  # the order in which PyTorch stacks them, by our names
    "rnn_tanh": ["hidden"],
    "rnn_relu": ["hidden"],
    "lstm": ["input", "forget", "candidate", "output"],
    "gru": ["reset", "update", "candidate"],
}
PARAMETERS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
TOLERANCE = 1e-9


def load() -> dict[str, dict[str, Any]]:
    cases: dict[str, dict[str, Any]] = {}
    with np.load(FILE) as file:
        for key in file.files:
            case, _, name = key.rpartition("/")
            cases.setdefault(case, {})[name] = file[key]
    return cases


CASES = load()
ABOUT = json.loads(str(CASES.pop("")["about"]))


def cell_from(kind: str, arrays: dict[str, Any], one_bias: Callable[[Any, Any], Any] = operator.add) -> Any:
    """Our cell with PyTorch's weights. Its two biases a gate are one for us, their sum, but for the GRU's candidate."""
    affines = {}
    for i, gate in enumerate(GATES[kind]):
        w_ih, w_hh, b_ih, b_hh = (gate_of(arrays.get(name), i, kind) for name in PARAMETERS)
        if b_ih is None or (kind == "gru" and gate == "candidate"):
            affines[gate] = rnn.Affine(w_ih.T, w_hh.T, b_ih, b_hh)
        else:
            affines[gate] = rnn.Affine(w_ih.T, w_hh.T, one_bias(b_ih, b_hh))
    if kind in ("lstm", "gru"):
        return {"lstm": rnn.LSTMCell, "gru": rnn.GRUCell}[kind](**affines)
    return rnn.RNNCell(**affines, activation=kind.removeprefix("rnn_"))


def gate_of(array: Any, position: int, kind: str) -> Any:
    return None if array is None else np.split(array, len(GATES[kind]))[position]


def gradient_cell(kind: str, arrays: dict[str, Any]) -> Any:
    """PyTorch's gradients as a cell of ours; the gradient of a sum of two biases is that of either."""
    gradients = {name: arrays[f"d_{name}"] for name in PARAMETERS if name in arrays}
    return cell_from(kind, gradients, one_bias=lambda b_ih, b_hh: b_ih)


@pytest.mark.parametrize("run", [rnn.unroll, rnn.scan])
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("case", CASES)
def test_cells_agree_with_pytorch(case: str, compiled: bool, run: Any) -> None:
    kind, arrays = case.split("-")[0], CASES[case]
    cell = cell_from(kind, arrays)
    h0 = arrays["h0"][0]
    state = rnn.LSTMState(h0, arrays["c0"][0]) if kind == "lstm" else h0
    weights = [arrays[f"weights_of_{name}"] for name in ("hs", "hT", "cT") if f"weights_of_{name}" in arrays]

    def loss(cell: Any, xs: Any, state: Any) -> Any:
        hs, last = run(cell, xs, state)
        results = [hs, *(last if kind == "lstm" else [last])]
        return sum(mg.sum(r * w.reshape(r.shape)) for r, w in zip(results, weights, strict=True)), (hs, last)

    gradient = mg.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    (value, (hs, last)), found = (mg.compile(gradient) if compiled else gradient)(cell, arrays["xs"], state)

    last_expected = [arrays[name][0] for name in ("hT", "cT") if name in arrays]
    start_expected = [arrays[f"d_{name}"][0] for name in ("h0", "c0") if name in arrays]
    close(value, arrays["loss"])
    close(hs, arrays["hs"])
    for got, wanted in zip(mg.tree_leaves(last), last_expected, strict=True):
        close(got, wanted)
    for got, wanted in zip(mg.tree_leaves(found[0]), mg.tree_leaves(gradient_cell(kind, arrays)), strict=True):
        close(got, wanted)
    close(found[1], arrays["d_xs"])
    for got, wanted in zip(mg.tree_leaves(found[2]), start_expected, strict=True):
        close(got, wanted)


def close(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_the_file_says_where_it_comes_from() -> None:
    assert ABOUT["script"] == "tests/data/make_torch_vectors.py"
    assert ABOUT["torch"].startswith("2.13.0")
    assert isinstance(ABOUT["seed"], int)


def test_all_kinds_are_there_with_and_without_bias() -> None:
    assert {(case.split("-")[0], case.split("-")[-1]) for case in CASES} == {
        (kind, bias) for kind in GATES for bias in ("bias", "nobias")
    }
