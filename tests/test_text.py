"""Text as data: reading, numbering, splitting, windows, and how predictable it is."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn.text import DEFAULT_NAME, Text, TextError, entropies, load, windows


def brute_force(text: str, n: int) -> float:
    """H(n-th symbol | the n - 1 before it), by counting in dicts."""
    grams = Counter(text[i : i + n] for i in range(len(text) - n + 1))
    beginnings: Counter[str] = Counter()
    for gram, count in grams.items():
        beginnings[gram[:-1]] += count
    total = sum(grams.values())
    return -sum(count / total * math.log2(count / beginnings[gram[:-1]]) for gram, count in grams.items())


def test_the_default_text_is_as_predictable_as_it_was_measured_to_be() -> None:
    text = load()
    assert text.name == DEFAULT_NAME
    unigram, bigram, trigram = entropies(text.ids)
    assert math.log2(len(text.symbols)) > unigram > bigram > trigram > 0
    if sys.version_info[:2] == (3, 11):  # other versions of Python come with other help topics
        assert (len(text.ids), len(text.symbols)) == (464_970, 103)
        assert (round(unigram, 3), round(bigram, 3), round(trigram, 3)) == (4.689, 3.546, 2.451)


@given(st.text(min_size=3, max_size=60).filter(lambda text: len(set(text)) > 1))
@settings(deadline=None)
def test_entropies_agree_with_counting(text: str) -> None:
    found = entropies(Text.of(text, "a text").ids)
    assert found == pytest.approx([brute_force(text, n) for n in (1, 2, 3)], abs=1e-9)
    assert all(bits >= 0 for bits in found)


@given(st.text(min_size=2, max_size=40).filter(lambda text: len(set(text)) > 1))
@settings(deadline=None)
def test_decoding_gives_the_text_back(characters: str) -> None:
    text = Text.of(characters, "a text")
    assert text.decode(text.ids) == characters
    assert text.symbols == "".join(sorted(set(characters)))


def test_a_large_alphabet_does_not_overflow_the_trigrams() -> None:
    rng = np.random.default_rng(0)
    characters = "".join(map(chr, rng.integers(0x4E00, 0x9FFF, 4000)))
    assert entropies(Text.of(characters, "characters").ids) == pytest.approx([brute_force(characters, n) for n in (1, 2, 3)])


def test_split_holds_a_tenth_out_and_loses_nothing() -> None:
    text = Text.of("abcdefghij" * 100, "a text")
    training, held_out = text.split(steps=20)
    assert (len(training), len(held_out)) == (900, 100)
    assert np.array_equal(np.concatenate([training, held_out]), text.ids)


@pytest.mark.parametrize("steps", [5, 9, 24])
def test_both_parts_have_room_for_a_window(steps: int) -> None:
    training, held_out = Text.of("ab" * (steps + 1), "a text").split(steps)
    assert len(training) == len(held_out) == steps + 1


def test_windows_are_columns_of_the_text() -> None:
    ids = np.arange(100)
    found = windows(ids, np.array([0, 7, 90]), steps=9)
    assert found.shape == (10, 3)
    assert np.array_equal(found[:, 1], np.arange(7, 17))


def test_a_byte_order_mark_and_windows_line_ends_are_no_symbols(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    text = load(str(path))
    assert text.decode(text.ids) == "one\ntwo"
    assert text.name == "book.txt"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "book.txt is empty: there is nothing to learn from"),
        (b"aaaa", "book.txt holds one symbol only, 'a': there is nothing to predict"),
        (b"fine, then \xff", r"book.txt is no text that can be read: byte 11 is no UTF-8 \(invalid start byte\)"),
    ],
)
def test_a_text_that_cannot_be_learned_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(content)
    with pytest.raises(TextError, match=message):
        load(str(path))


def test_a_text_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"cannot read '.*none.txt': no such file or directory"):
        load(str(tmp_path / "none.txt"))
    with pytest.raises(TextError, match="is a directory"):
        load(str(tmp_path))


def test_a_python_without_help_topics_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(TextError, match="without its help topics; give a text of your own"):
        load()


def test_a_text_shorter_than_two_windows_is_refused() -> None:
    problem = "a text has 40 characters, and windows of 64 steps need at least 130: one window to train on and one to hold out"
    with pytest.raises(TextError, match=problem):
        Text.of("ab" * 20, "a text").split(steps=64)
