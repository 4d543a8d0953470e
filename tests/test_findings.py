"""Every sentence is chosen by the numbers: other numbers, other sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnn import findings
from rnn.experiment import CellStudy, Point, Settings, Study
from rnn.text import Text

LAGS = 10
FAR = np.arange(LAGS + 1)[:, None] * np.ones((1, 3))  # (steps, windows)


def study(bits: dict[str, float], slopes: dict[str, Any] | None = None, updates: int = 100, training: float = 0.0) -> Study:
    """A study with these bits per cell, and gradients that change by so many powers of ten a step, (before, after)."""
    cells = []
    for name, held_out in bits.items():
        before, after = (slopes or {}).get(name, (-1.0, -1.0))
        flow = {"initial": {"h": before * FAR}, "trained": {"h": after * FAR}}
        curve = (Point(0, 6.0, 6.0), Point(updates, held_out - training, held_out))
        cells.append(CellStudy(name, None, None, curve, flow))  # type: ignore[arg-type]
    settings = Settings(cells=tuple(bits), steps=LAGS + 1, updates=100)
    return Study(settings, Text.of("ab" * 200, "a text"), (4.7, 3.5, 2.5), updates, tuple(cells))


def said(found: list[str]) -> str:
    return " ".join(found)


@pytest.mark.parametrize(
    ("bits", "sentence"),
    [
        ({"lstm": 2.0}, "The LSTM predicts better than trigrams of the same text (2.50 bits)."),
        ({"lstm": 3.0}, "The LSTM beats bigrams of the same text (3.50 bits), but not trigrams"),
        ({"lstm": 4.0}, "The LSTM beats unigrams of the same text (4.70 bits), but not bigrams"),
        ({"lstm": 5.0}, "The LSTM is worse even than unigrams of the same text (4.70 bits)."),
        ({"rnn": 5.0, "gru": 2.0}, "The RNN is worse even than unigrams"),
        ({"rnn": 2.2, "gru": 2.0}, "Both predict better than trigrams"),
        ({"rnn": 2.2, "lstm": 2.1, "gru": 2.0}, "All three predict better than trigrams"),
        ({"rnn": 2.7, "lstm": 2.1, "gru": 2.0}, "The GRU and the LSTM predict better than trigrams"),
        ({"rnn": 2.2, "lstm": 2.1, "gru": 2.0}, "The GRU predicts best, 0.10 bits ahead of the LSTM."),
        ({"rnn": 2.2, "lstm": 2.01, "gru": 2.0}, "The GRU and the LSTM are within 0.03 bits: one run does not tell them apart."),
        ({"rnn": 2.2, "lstm": 2.1, "gru": 2.0}, "The RNN, the only one without gates, is last, 0.20 bits behind the best."),
        ({"rnn": 2.2, "lstm": 2.3, "gru": 2.0}, "the RNN, which has no gates, is ahead of the LSTM."),
        ({"rnn": 1.8, "lstm": 2.3, "gru": 2.0}, "the RNN, which has no gates, is ahead of the GRU and the LSTM."),
    ],
)
def test_learning_is_told_as_it_went(bits: dict[str, float], sentence: str) -> None:
    assert sentence in said(findings.learning(study(bits)))


def test_a_better_loss_on_the_text_trained_on_is_told() -> None:
    assert "by heart" in said(findings.learning(study({"gru": 2.0}, training=0.5)))
    assert "by heart" not in said(findings.learning(study({"gru": 2.0}, training=0.1)))


def test_an_interrupted_training_is_told() -> None:
    assert findings.learning(study({"gru": 2.0}, updates=40))[0] == "Training was stopped after 40 of 100 updates."
    assert "stopped" not in said(findings.learning(study({"gru": 2.0})))


@pytest.mark.parametrize(
    ("slope", "word", "left"),
    [
        (-1.0, "vanishes", "10^-10.0 of it is left"), (-0.31, "vanishes", "10^-3.1"), (-0.2, "fades", "1 % of it is left"),
        (-0.05, "arrives", "32 % of it is there"), (0.05, "arrives", "316 % of it is there"),
        (0.2, "grows", "it is 100 times as large"), (0.5, "explodes", "it is 10^5.0 times as large"),
    ],
)  # fmt: skip
def test_the_gradient_is_told_as_it_went(slope: float, word: str, left: str) -> None:
    before, after = findings.gradients(study({"rnn": 2.0}, {"rnn": (slope, -1.0)}))[:2]
    assert before.startswith(f"Before training the gradient {word} in the RNN: 10 steps back, {left}")
    assert after.startswith("After training the gradient vanishes in the RNN")
    short = findings.verdicts(study({"rnn": 2.0}, {"rnn": (slope, -1.0)}))[0]
    both = "before training and after it vanishes in the RNN"
    assert (both if word == "vanishes" else f"before training it {word} in the RNN; after training it vanishes") in short


def test_cells_with_one_verdict_are_told_together() -> None:
    slopes = {"rnn": (-1.0, -1.0), "lstm": (-0.5, 0.0), "gru": (-0.01, 0.0)}
    before, after = findings.gradients(study({"rnn": 2.0, "lstm": 2.0, "gru": 2.0}, slopes))[:2]
    assert "vanishes in the RNN and the LSTM: 10 steps back, 10^-10.0 and 10^-5.0 of it is left" in before
    assert "half of it is gone every 0.3 and 0.6 steps. It arrives in the GRU" in before
    assert "It arrives in the LSTM and the GRU" in after


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (-1.0, -0.5, "reach further back in the RNN (half-life 0.3 steps, then 0.6 steps)"),
        (-0.5, -1.0, "reach less far back in the RNN (half-life 0.6 steps, then 0.3 steps)"),
        (-1.0, -0.99, "reach about as far back in the RNN."),
        (-1.0, 0.1, "reach further back in the RNN (half-life 0.3 steps, then without end)"),
    ],
)
def test_what_training_changed_is_told(before: float, after: float, sentence: str) -> None:
    assert sentence in findings.gradients(study({"rnn": 2.0}, {"rnn": (before, after)}))[-1]


def test_the_conclusion_depends_on_who_is_first_at_what() -> None:
    far = {"rnn": (-1.0, -1.0), "lstm": (-1.0, -0.1)}
    assert "the LSTM, also predicts best" in said(findings.conclusion(study({"rnn": 2.2, "lstm": 2.0}, far)))
    assert "furthest in the LSTM, yet the RNN predicts best" in said(findings.conclusion(study({"rnn": 2.0, "lstm": 2.2}, far)))
    assert "too close to call" in said(findings.conclusion(study({"rnn": 2.0, "lstm": 2.01}, far)))
    assert "the LSTM keeps 10^9 times as much" in said(findings.conclusion(study({"rnn": 2.0, "lstm": 2.2}, far)))
    assert findings.conclusion(study({"rnn": 2.0}, far)) == []


def test_what_float64_cannot_hold_is_told() -> None:
    one = study({"rnn": 2.0, "gru": 2.0}, {"rnn": (-1.0, -1.0), "gru": (-1.0, -1.0)})
    one.cells[0].flow["trained"]["h"][6:] = -np.inf
    after = said(findings.gradients(one))
    assert "vanishes in the RNN: 5 steps back, 10^-5.0 of it is left" in after
    assert "nothing arrives in the RNN that a float64 can hold" in after
    assert [row.left for row in findings.rows(one)] == [("10^-10.0", "nothing"), ("10^-10.0", "10^-10.0")]


def test_no_gradient_at_all_is_told() -> None:
    one = study({"rnn": 2.0})
    one.cells[0].flow["trained"]["h"][:] = -np.inf
    assert "cannot be measured" in said(findings.gradients(one))
