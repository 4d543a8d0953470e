"""Text as data: read it, number its symbols, hold a part of it out, cut windows, and say how predictable it is.

    text = load()                          the help topics that come with Python; load("book.txt") for a file
    training, held_out = text.split(steps=64)
    ids = windows(training, starts, steps=64)                     (65, windows): 64 steps, and the symbol after each
    entropies(text.ids)                    bits per character of unigrams, bigrams, trigrams

A text is an array of symbol numbers, one for each character.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.errors import MinigradError

__all__ = ["DEFAULT_NAME", "Text", "TextError", "entropies", "load", "windows"]

Array = np.ndarray[Any, Any]

DEFAULT_NAME = "Python's help topics"
HELD_OUT = 10  # one part in so many


class TextError(MinigradError, ValueError):
    """A text that no model can learn from: empty, too short, of a single symbol, or no text at all."""


@dataclass(frozen=True)
class Text:
    """A text as numbers: `ids` (characters,) index `symbols`, the sorted characters that occur in it.

    >>> text = Text.of("banana", name="fruit")
    >>> text.symbols, text.ids.tolist(), text.decode(text.ids[:3])
    ('abn', [1, 0, 2, 0, 2, 0], 'ban')
    """

    name: str
    symbols: str
    ids: Array

    @staticmethod
    def of(characters: str, name: str) -> Text:
        """Number the characters of a string. Raises TextError where there are fewer than two different ones."""
        if not characters:
            raise TextError(f"{name} is empty: there is nothing to learn from")
        codes = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)
        found, ids = np.unique(codes, return_inverse=True)
        if len(found) == 1:
            raise TextError(f"{name} holds one symbol only, {characters[0]!r}: there is nothing to predict")
        return Text(name, "".join(map(chr, found.tolist())), ids.astype(np.int32))

    def decode(self, ids: Array) -> str:
        """The characters of these numbers, as a string."""
        return "".join(self.symbols[i] for i in ids.tolist())

    def split(self, steps: int) -> tuple[Array, Array]:
        """The ids to train on, and the last tenth, held out; each has room for at least one window of `steps`.

        Raises TextError where the text is too short for that.

        >>> [len(part) for part in Text.of("ab" * 50, name="pattern").split(steps=5)]
        [90, 10]
        """
        count, window = len(self.ids), steps + 1
        held_out = max(count // HELD_OUT, window)
        if count - held_out < window:
            raise TextError(
                f"{self.name} has {count:,} characters, and windows of {steps} steps need at least {2 * window:,}:"
                f" one window to train on and one to hold out; take a longer text or fewer steps"
            )
        return self.ids[: count - held_out], self.ids[count - held_out :]


def load(path: str | None = None) -> Text:
    """The text in a UTF-8 file; without a path the help topics that come with Python (`pydoc_data.topics`).

    Raises TextError: no such file, no permission, not UTF-8, empty, one symbol; a Python without help topics.
    """
    if path is None:
        try:  # a module of half a megabyte, of use to nobody else: imported where it is used
            from pydoc_data.topics import topics
        except ImportError:
            raise TextError("this Python comes without its help topics; give a text of your own") from None
        return Text.of("".join(topics.values()), DEFAULT_NAME)
    name = os.fsencode(os.path.basename(path)).decode("utf-8", "replace")
    try:
        with open(path, encoding="utf-8-sig") as file:
            return Text.of(file.read(), name)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start:,} is no UTF-8 ({error.reason})"
        raise TextError(f"{name} is no text that can be read: {problem}; save it as UTF-8") from None
    except OSError as error:
        raise TextError(f"cannot read {path!r}: {(error.strerror or str(error)).lower()}") from None


def windows(ids: Array, starts: Array, steps: int) -> Array:
    """Windows of a text as columns: `(steps + 1, windows)`, so `[:-1]` is what is read and `[1:]` what comes next.

    >>> windows(np.arange(10), np.array([0, 4]), steps=3).tolist()
    [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    return ids[starts + np.arange(steps + 1)[:, None]]


def entropies(ids: Array, orders: int = 3) -> tuple[float, ...]:
    """How many bits the next symbol holds for whoever knows 0, 1, 2, ... symbols before it: for n-grams, n = 1, 2, ...

    They are counted on the text itself: the entropy of its n-grams less that of their first n - 1 symbols. That is what
    the n-gram model that fits this very text best would need, so it flatters the longer n-grams.

    >>> entropies(Text.of("abababab", name="pattern").ids, orders=2)
    (1.0, 0.0)
    """
    size, grams, found = int(ids.max()) + 1, np.zeros(len(ids), np.int64), []
    for n in range(1, orders + 1):
        beginnings, ends = grams[: len(ids) - n + 1], ids[n - 1 :]
        # numbered anew at every order, so that the numbers stay small whatever the alphabet
        grams = np.unique(beginnings * size + ends, return_inverse=True)[1]
        found.append(_entropy(grams) - _entropy(beginnings))
    return tuple(found)


def _entropy(events: Array) -> float:
    share = np.unique(events, return_counts=True)[1] / len(events)
    return float(-np.sum(share * np.log2(share))) + 0.0
