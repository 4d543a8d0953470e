"""A language model of characters: what comes next, given what has been read.

    model = CharacterModel.init(rnn.LSTMCell, symbols=103, hidden_size=128, rng=0)
    scores, state = model(ids)             ids: (T, batch) -> scores: (T, batch, symbols)
    loss(model, windows)                   bits per character, a node
    sample(model, text, "The ", 200, rng)  text that the model makes up

Every character is a vector (a row of `embedding`), a cell reads the vectors one by one, and its output gives a score
to every symbol as the next one. A model is a pytree: so is its gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg

from .initializers import generator, uniform
from .sequences import Stateful, scan
from .text import Text

__all__ = ["CharacterModel", "bits", "sample"]

Array = Any  # a NumPy array, or a node

EMBEDDING = 32


@dataclass(frozen=True)
class CharacterModel:
    """An embedding of the symbols, a cell, and what maps its output to a score for every symbol.

    embedding: (symbols, features), w: (hidden, symbols), b: (symbols,).

    >>> import rnn
    >>> model = CharacterModel.init(rnn.GRUCell, symbols=5, hidden_size=8, rng=0)
    >>> scores, state = model(np.array([[0, 1], [4, 2], [3, 3]]))
    >>> scores.shape, state.shape
    ((3, 2, 5), (2, 8))
    """

    embedding: Array
    cell: Any
    w: Array
    b: Array

    @staticmethod
    def init(
        kind: Any, symbols: int, hidden_size: int, rng: Any = 0, dtype: Any = "float32", embedding_size: int = EMBEDDING
    ) -> CharacterModel:
        """A new model: `kind` is a cell's class. Embeddings are drawn from a normal distribution."""
        rng = generator(rng)
        return CharacterModel(
            embedding=rng.normal(0.0, 0.5, (symbols, embedding_size)).astype(dtype),
            cell=kind.init(embedding_size, hidden_size, rng=rng, dtype=dtype),
            w=uniform(rng, (hidden_size, symbols), hidden_size, dtype),
            b=np.zeros(symbols, dtype),
        )

    def __call__(self, ids: Array, state: Any = None) -> tuple[Array, Any]:
        """Read ids (T, batch) from `state`, or from the start: scores (T, batch, symbols) and the last state."""
        with mg.scope("xs"):
            xs = mg.take(self.embedding, ids, axis=0)
        hs, state = scan(self.cell, xs, state)
        return self.score(hs), state

    def score(self, h: Array) -> Array:
        """(..., hidden) -> (..., symbols): the logarithm of how likely each symbol is next, up to a constant."""
        with mg.scope("scores"):
            return mg.matmul(h, self.w) + self.b


def bits(scores: Array, targets: Array) -> Array:
    """How many bits each target (...) takes to write down under the scores (..., symbols): its cross-entropy.

    >>> np.asarray(bits(np.zeros((2, 8)), np.array([0, 5]))).tolist()
    [3.0, 3.0]
    """
    with mg.scope("chosen"):
        chosen = mg.squeeze(mg.take_along_axis(scores, mg.expand_dims(targets, -1), axis=-1), -1)
    with mg.scope("bits"):
        return (mg.logsumexp(scores, axis=-1) - chosen) / math.log(2)


def sample(model: CharacterModel, text: Text, prompt: str, length: int, rng: Any, temperature: float = 1.0) -> str:
    """`length` characters that the model makes up after reading `prompt`.

    Each is drawn from what the model expects next; a temperature below 1 favours what it finds likely.
    """
    rng = generator(rng)
    net = Stateful(model.cell, model.score)
    ids = [text.symbols.index(character) for character in prompt]
    for i in range(len(ids) + length - 1):
        scores = net.step(model.embedding[ids[i]])
        if i >= len(prompt) - 1:
            weights = np.exp((scores - scores.max()).astype(np.float64) / temperature)
            totals = np.cumsum(weights)
            ids.append(int(np.searchsorted(totals, rng.random() * totals[-1], side="right")))
    return text.decode(np.array(ids[len(prompt) :]))
