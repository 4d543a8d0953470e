"""The experiment of `python -m rnn`: cells of different kinds learn the same text, and then show their gradients.

    text, settings = load(), Settings()
    for study in train(text, settings):    a Study after every round, in which each cell takes the same updates
        ...
    study = measure(study)                 gradients by lag, and text that the models make up

Everything follows from the settings and the text: no clock, no global random state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

import minigrad as mg

from .cells import GRUCell, LSTMCell, RNNCell
from .characters import CharacterModel, bits, sample
from .flow import gradient_by_lag
from .text import Text, entropies, windows
from .training import Step, fit

__all__ = ["CELLS", "QUICK", "CellStudy", "Point", "Settings", "Study", "loss", "measure", "train"]

Array = np.ndarray[Any, Any]

CELLS: dict[str, Any] = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}

STREAMS = 128  # the held-out text is read in so many streams side by side,
STREAM_LENGTH = 512  # each of at most so many characters


@dataclass(frozen=True)
class Settings:
    """What the experiment depends on, beside the text. The defaults take about a minute and a half on two cores."""

    cells: tuple[str, ...] = ("rnn", "lstm", "gru")
    hidden: int = 128
    steps: int = 64  # of a window: how far back training looks, and over how many lags gradients are measured
    updates: int = 1000
    batch: int = 32
    rate: float = 0.02
    rounds: int = 25
    windows: int = 64  # held-out windows that gradients are averaged over
    characters: int = 480  # of made-up text
    temperature: float = 0.7
    seed: int = 0


QUICK = {"hidden": 48, "steps": 32, "updates": 200, "rounds": 10, "windows": 32}


@dataclass(frozen=True)
class Point:
    """A point of a learning curve: updates done, bits per character in training (since the last point) and held out."""

    update: int
    training: float
    held_out: float


@dataclass(frozen=True)
class CellStudy:
    """One cell: its model before and after training, its learning curve, and, once measured, its gradients.

    `flow[moment][part]` is (steps, windows): log10 of the gradient's norm at each lag, for "initial" and "trained".
    """

    name: str
    initial: CharacterModel
    model: CharacterModel
    curve: tuple[Point, ...]
    flow: dict[str, dict[str, Array]] = field(default_factory=dict)
    made_up: str = ""

    @property
    def label(self) -> str:
        """RNN, LSTM, GRU."""
        return self.name.upper()

    @property
    def held_out(self) -> float:
        """Bits per held-out character, where the curve ends."""
        return self.curve[-1].held_out


@dataclass(frozen=True)
class Study:
    """The whole experiment, as far as it has come."""

    settings: Settings
    text: Text
    entropies: tuple[float, ...]  # of unigrams, bigrams, trigrams
    updates: int  # that every cell has taken
    cells: tuple[CellStudy, ...]
    prompt: str = ""


def loss(model: CharacterModel, ids: Any) -> Any:
    """The mean number of bits that each character after the first takes, in windows (steps + 1, batch).

    >>> model = CharacterModel.init(RNNCell, symbols=4, hidden_size=8, rng=0)
    >>> round(float(loss(model, np.array([[0, 1], [2, 3], [1, 1]]))), 1)
    2.1
    """
    scores, _ = model(ids[:-1])
    return mg.mean(bits(scores, ids[1:]))


# -------------------------------------------------------------------------------------------------------- training


def train(text: Text, settings: Settings) -> Iterator[Study]:
    """Train the cells side by side; yields the untrained study first, then one after every round.

    In a round each cell takes the same number of updates, on the same windows in the same order. Raises TextError where
    the text is too short for the windows.
    """
    training, held_out = text.split(settings.steps)
    evaluate, streams = mg.compile(loss), _streams(held_out)
    studies, fits = [], []
    for name in settings.cells:
        number = list(CELLS).index(name)  # so that a cell alone starts as it does among the others
        model = CharacterModel.init(CELLS[name], len(text.symbols), settings.hidden, rng=[settings.seed, 1, number])
        start = Point(0, float(loss(model, streams)), float(evaluate(model, streams)))
        studies.append(CellStudy(name, model, model, (start,)))
        fits.append(fit(loss, model, _batches(training, settings), settings.updates, settings.rate))
    study = Study(settings, text, entropies(text.ids), 0, tuple(studies))
    yield study
    for size in _round_sizes(settings):
        cells = []
        for cell, steps in zip(study.cells, fits, strict=True):
            taken: list[Step] = list(islice(steps, size))
            model, bits_now = taken[-1].params, float(np.mean([step.loss for step in taken]))
            point = Point(taken[-1].update, bits_now, float(evaluate(model, streams)))
            cells.append(replace(cell, model=model, curve=(*cell.curve, point)))
        study = replace(study, updates=study.updates + size, cells=tuple(cells))
        yield study


def _round_sizes(settings: Settings) -> list[int]:
    # short at first, when much happens, then longer
    ends = settings.updates * np.linspace(0, 1, settings.rounds + 1) ** 1.5
    return [int(size) for size in np.diff(np.unique(ends.round().astype(int)))]


def _batches(ids: Array, settings: Settings) -> Iterator[tuple[Array]]:
    rng = np.random.default_rng([settings.seed, 2])
    while True:
        starts = rng.integers(0, len(ids) - settings.steps, settings.batch)
        yield (windows(ids, starts, settings.steps),)


def _streams(ids: Array) -> Array:
    # the text, or its beginning where it is very long, cut into columns that are read side by side
    count = max(1, min(STREAMS, len(ids) // 64))
    length = min(len(ids) // count, STREAM_LENGTH)
    return windows(ids, np.arange(count) * (len(ids) // count), length - 1)


# ------------------------------------------------------------------------------------------------------- measuring


def measure(study: Study) -> Study:
    """The study with gradients by lag, before and after training, and with a text made up by each model."""
    settings, text = study.settings, study.text
    _, held_out = text.split(settings.steps)
    starts = np.unique(np.linspace(0, len(held_out) - settings.steps - 1, settings.windows).astype(int))
    ids, prompt = windows(held_out, starts, settings.steps), _prompt(text.decode(held_out[:4000]))
    cells = []
    for cell in study.cells:
        flow = {moment: _flow(model, ids) for moment, model in (("initial", cell.initial), ("trained", cell.model))}
        rng = np.random.default_rng([settings.seed, 3])
        made_up = sample(cell.model, text, prompt, settings.characters, rng, settings.temperature)
        cells.append(replace(cell, flow=flow, made_up=made_up))
    return replace(study, cells=tuple(cells), prompt=prompt)


def _flow(model: CharacterModel, ids: Array) -> dict[str, Array]:
    model = mg.tree_map(lambda leaf: leaf.astype(np.float64), model)
    xs = model.embedding[ids[:-1]]
    return gradient_by_lag(model.cell, xs, lambda h: mg.sum(bits(model.score(h), ids[-1])))


def _prompt(text: str) -> str:
    # where a paragraph begins, if one does; the models go on from there
    for mark in ("\n\n", "\n", ". ", " "):
        beginning = text.find(mark) + len(mark)
        if mark in text and len(text) - beginning >= 32:
            return text[beginning:].lstrip()[:32] or text[:32]
    return text[:32]
