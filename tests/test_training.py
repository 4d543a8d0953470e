"""Adam, clipping, the fit loop, character models, and the experiment made of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.errors import NonFiniteError
from rnn.characters import CharacterModel, bits, sample
from rnn.experiment import QUICK, Settings, Study, loss, measure, train
from rnn.text import Text, load
from rnn.training import AdamMemory, adam, clip, fit, global_norm, warm_up_and_decay

TINY = Settings(hidden=6, steps=8, updates=6, batch=4, rounds=3, windows=5, characters=20)


def pattern(length: int = 600) -> Text:
    return Text.of(("the cat sat on the mat. " * length)[:length], "a pattern")


def last(text: Text, settings: Settings) -> Study:
    *_, study = train(text, settings)
    return study


# ------------------------------------------------------------------------------------------------------- optimiser


def test_adam_follows_its_definition() -> None:
    # Kingma & Ba 2015, algorithm 1, for one number at a time
    rng = np.random.default_rng(0)
    gradients, start = rng.normal(size=(20, 3)), rng.normal(size=3)
    params, memory = {"w": start}, AdamMemory.start({"w": start})
    for gradient in gradients:
        params, memory = adam(params, {"w": gradient}, memory, rate=0.1, beta1=0.8, beta2=0.95, epsilon=1e-3)
    for i in range(3):
        w, m, v = float(start[i]), 0.0, 0.0
        for t, g in enumerate(gradients[:, i].tolist(), start=1):
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
            w -= 0.1 * (m / (1 - 0.8**t)) / (math.sqrt(v / (1 - 0.95**t)) + 1e-3)
        assert params["w"][i] == pytest.approx(w, rel=1e-12)
    assert memory.updates == 20


def test_adam_changes_nothing_in_place_and_keeps_the_dtype() -> None:
    w = np.ones(3, np.float32)
    new, memory = adam(w, np.ones(3, np.float32), AdamMemory.start(w), rate=0.1)
    assert w.tolist() == [1, 1, 1]
    assert {new.dtype, memory.mean.dtype, memory.square.dtype} == {np.dtype(np.float32)}


def test_clipping_keeps_the_direction() -> None:
    gradient = {"w": np.array([30.0, -40.0]), "b": np.array([0.0])}
    clipped, norm = clip(gradient, limit=5.0)
    assert norm == 50
    assert np.allclose(clipped["w"], [3, -4])
    assert clip(gradient, limit=60.0)[0] is gradient


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_norm_of_float32_leaves_neither_vanishes_nor_overflows(scale: float) -> None:
    leaves = (np.full(4, scale, np.float32), np.full((2, 6), scale, np.float32))
    assert global_norm(leaves) == pytest.approx(4 * scale, rel=1e-6)


def test_the_norm_says_when_something_is_not_a_number() -> None:
    assert math.isnan(global_norm([np.array([1.0]), np.array([np.nan])]))
    assert math.isinf(global_norm([np.array([1.0, -np.inf])]))
    assert global_norm([np.zeros(2), np.zeros((0, 3))]) == 0


def test_the_rate_warms_up_and_decays_to_nothing() -> None:
    shares = [warm_up_and_decay(update, 200) for update in range(200)]
    assert shares[0] == 1 / 20
    assert shares[:20] == sorted(shares[:20])
    assert shares[20:] == sorted(shares[20:], reverse=True)
    assert 0 < shares[-1] < 0.01


def test_fit_stops_where_the_loss_is_no_number() -> None:
    batches = iter([(np.array([1.0]),), (np.array([np.nan]),)])
    steps = fit(lambda w, x: mg.sum(w * x), np.array([1.0]), batches, updates=2, rate=0.1)
    next(steps)
    with pytest.raises(NonFiniteError, match=r"training broke down at update 2: the loss is nan.*smaller rate than 0.1"):
        next(steps)


# ------------------------------------------------------------------------------------------------ character models


def test_bits_are_the_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(5, 3, 7)) * 10, rng.integers(0, 7, (5, 3))
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = -np.log2(np.take_along_axis(p, targets[..., None], -1)[..., 0])
    assert np.allclose(np.asarray(bits(scores, targets)), expected)
    assert np.isfinite(np.asarray(bits(scores * 1e4, targets))).all()


@pytest.mark.parametrize("kind", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_the_loss_of_a_model_has_the_right_gradient(kind: Any) -> None:
    model = CharacterModel.init(kind, symbols=4, hidden_size=3, rng=0, dtype="float64", embedding_size=2)
    ids = np.random.default_rng(0).integers(0, 4, (5, 2))
    mg.check_gradients(lambda model: loss(model, ids), model, order=1)


@pytest.mark.parametrize("kind", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_a_model_learns_a_pattern_by_heart(kind: Any) -> None:
    text = pattern(200)
    model = CharacterModel.init(kind, len(text.symbols), 16, rng=0)
    batches = iter([(text.ids[:97].reshape(-1, 1),)] * 150)
    *_, step = fit(loss, model, batches, updates=150, rate=0.03)
    assert step.loss < 0.2
    assert "sat on the mat. the cat" in sample(step.params, text, "the cat ", 60, rng=0, temperature=0.1)


def test_samples_follow_the_seed_and_hold_known_symbols() -> None:
    text = pattern()
    model = CharacterModel.init(rnn.GRUCell, len(text.symbols), 8, rng=0)
    first, again, other = (sample(model, text, "the ", 50, rng=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 50
    assert set(first) <= set(text.symbols)


def test_a_low_temperature_takes_what_is_likeliest() -> None:
    text = pattern()
    model = CharacterModel.init(rnn.RNNCell, len(text.symbols), 8, rng=0, dtype="float64")
    scores, _ = model(np.array([[text.symbols.index(c)] for c in "the"]))
    likeliest = text.symbols[int(np.argmax(np.asarray(scores)[-1, 0]))]
    assert sample(model, text, "the", 1, rng=0, temperature=1e-9) == likeliest


# ------------------------------------------------------------------------------------------------------ experiment


def test_rounds_add_up_and_every_cell_takes_the_same_updates() -> None:
    studies = list(train(pattern(), replace(TINY, updates=11, rounds=4)))
    assert [study.updates for study in studies] == sorted({study.updates for study in studies})
    assert (studies[0].updates, studies[-1].updates) == (0, 11)
    for cell in studies[-1].cells:
        assert [point.update for point in cell.curve] == [study.updates for study in studies]


def test_fewer_updates_than_rounds_are_fine() -> None:
    assert [study.updates for study in train(pattern(), replace(TINY, updates=2, rounds=25))] == [0, 1, 2]


def test_a_cell_alone_learns_as_it_does_among_others() -> None:
    together, alone = last(pattern(), TINY), last(pattern(), replace(TINY, cells=("gru",)))
    assert together.cells[2].curve == alone.cells[0].curve


def test_the_seed_decides() -> None:
    first, again, other = (last(pattern(), replace(TINY, seed=seed)) for seed in (5, 5, 6))
    assert [cell.curve for cell in first.cells] == [cell.curve for cell in again.cells]
    assert first.cells[0].held_out != other.cells[0].held_out


def test_all_cells_see_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[Any, list[np.ndarray]] = {}

    def recording(loss: Any, params: CharacterModel, batches: Any, updates: int, rate: float) -> Any:
        windows = seen.setdefault(type(params.cell), [])
        return fit(loss, params, ((windows.append(ids) or ids,) for (ids,) in batches), updates, rate)

    monkeypatch.setattr("rnn.experiment.fit", recording)
    last(pattern(), TINY)
    rnn_windows, *others = seen.values()
    assert len(others) == 2
    assert len(rnn_windows) == TINY.updates
    for windows in others:
        assert all(np.array_equal(a, b) for a, b in zip(rnn_windows, windows, strict=True))


def test_what_is_held_out_is_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    text, seen = Text.of("".join(map(chr, range(1000, 1400))), "an alphabet"), []

    def recording(loss: Any, params: Any, batches: Any, updates: int, rate: float) -> Any:
        return fit(loss, params, ((seen.append(ids) or ids,) for (ids,) in batches), updates, rate)

    monkeypatch.setattr("rnn.experiment.fit", recording)
    last(text, replace(TINY, cells=("rnn",), updates=40))
    assert max(int(ids.max()) for ids in seen) < 360  # every character is its own symbol, in the order of the text
    assert all(np.array_equal(np.diff(ids, axis=0), np.ones((TINY.steps, TINY.batch))) for ids in seen)


def test_measuring_gives_gradients_for_both_moments_and_every_part() -> None:
    study = measure(last(pattern(), TINY))
    assert {cell.name: sorted(cell.flow["initial"]) for cell in study.cells} == {"rnn": ["h"], "lstm": ["c", "h"], "gru": ["h"]}
    for cell in study.cells:
        for parts in cell.flow.values():
            assert all(norms.shape == (TINY.steps, TINY.windows) for norms in parts.values())
        assert len(cell.made_up) == TINY.characters
    assert study.prompt in study.text.decode(study.text.ids)


def test_the_small_experiment_gets_below_the_bigrams() -> None:
    study = last(load(), Settings(**QUICK, cells=("lstm", "gru")))  # type: ignore[arg-type]
    assert all(cell.held_out < study.entropies[1] - 0.2 for cell in study.cells)
