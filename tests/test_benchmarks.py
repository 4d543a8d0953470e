"""The yardstick measures what it says: gradients written by hand are right, and the command that compares runs."""

from __future__ import annotations

import functools
import itertools
import json
import os

import numpy as np
import pytest

import minigrad as mg

from .benchmarks import __main__ as command
from .benchmarks import contestants, costs, report, timing
from .benchmarks.contestants import CONTESTANTS, Handwritten, Minigrad
from .benchmarks.handwritten import gates_of, network, weights_of
from .benchmarks.handwritten.tiles import WHOLE, WeightGradient, tiling
from .benchmarks.problems import GATES, SIZES, Problem, Size
from .benchmarks.timing import Spread

SHAPES = {
    "one sequence": Size(1, 4, 6, 7),
    "one of everything": Size(1, 1, 1, 1),
    "a batch": Size(4, 3, 5, 6),
    "two steps": Size(2, 3, 4, 2),
    "wide": Size(6, 3, 32, 5),
}
OPTIONS = {  # of networks for batches
    "as it comes": {},
    "blocks": {"block": 2},  # that do not divide the number of steps
    "tiles": {"limit": 32 * 16 * 8, "block": 2},
    "small tiles": {"limit": 2000},
    "whole": {"limit": WHOLE},
}


def _agree(found, expected, tolerance):
    for gate, parts in expected.items():
        assert sorted(found[gate]) == sorted(parts)
        for key, array in parts.items():
            assert found[gate][key].shape == array.shape
            assert np.max(np.abs(found[gate][key] - array)) <= tolerance * np.max(np.abs(array)), (gate, key)


def _expected(problem):
    contestant = Minigrad(problem)
    loss, gradient = mg.value_and_grad(contestant.loss)(contestant.cell, problem.xs)
    return np.asarray(loss), contestant.gradients((loss, gradient))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("name", ["handwritten", "usual", "textbook", "minigrad", "unrolled"])
def test_gradients_agree(name, cell, shape):
    problem = Problem(cell, SHAPES[shape], "float64")
    loss, gates = _expected(problem)
    contestant = CONTESTANTS[name](problem)
    for _ in range(2):  # buffers of the first call must not show in the second
        result = contestant.both()
        _agree(contestant.gradients(result), gates, 1e-10)
        np.testing.assert_allclose(result[0], loss, rtol=1e-12)
    np.testing.assert_allclose(contestant.forward(), loss, rtol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", GATES)
def test_tiles_and_blocks_change_nothing(cell, options):
    for shape in ("one sequence", "a batch", "wide"):
        problem = Problem(cell, SHAPES[shape], "float64")
        loss, gates = _expected(problem)
        by_hand = network(cell, problem.size, "float64", **OPTIONS[options])
        weights = weights_of(cell, problem.gates)
        for _ in range(2):
            found, gradients = by_hand(weights, problem.xs)
            _agree(gates_of(cell, gradients), gates, 1e-10)
            np.testing.assert_allclose(found, loss, rtol=1e-12)
            by_hand.products()  # writes to the buffers, as all that follows does
            np.testing.assert_allclose(by_hand.forward(weights, problem.xs), loss, rtol=1e-12)
            by_hand.start(weights)
            by_hand.step(problem.xs[0])


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_single_precision(cell, size):
    problem = Problem(cell, SIZES[size])
    contestant = Handwritten(problem)
    result = contestant.both()
    assert all(gradient.dtype == np.float32 for gradient in result[1])
    _, gates = _expected(Problem(cell, SIZES[size], "float64"))
    double = {name: {key: array.astype("float64") for key, array in gate.items()} for name, gate in gates.items()}
    _agree(contestant.gradients(result), double, 1e-4)


@pytest.mark.parametrize("cell", GATES)
def test_other_weights_and_inputs_in_the_same_buffers(cell):
    for shape in ("one sequence", "a batch"):
        first, size = Problem(cell, SHAPES[shape], "float64"), SHAPES[shape]
        by_hand = network(cell, size, "float64")
        by_hand(weights_of(cell, first.gates), first.xs)
        second = Problem(cell, size, "float64")
        second.xs = second.xs[::-1] * 2
        second.gates = {name: {key: 3 * a for key, a in gate.items()} for name, gate in second.gates.items()}
        loss, gates = _expected(second)
        found, gradients = by_hand(weights_of(cell, second.gates), second.xs)
        np.testing.assert_allclose(found, loss, rtol=1e-12)
        _agree(gates_of(cell, gradients), gates, 1e-10)


@pytest.mark.parametrize("shape", ["one sequence", "a batch"])
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("name", ["handwritten", "textbook", "minigrad"])
def test_steps_end_where_the_loop_ends(name, cell, shape):
    problem = Problem(cell, SHAPES[shape], "float64")
    loss, _ = _expected(problem)
    contestant = CONTESTANTS[name](problem)
    for _ in range(2):  # from a new state each time
        h = np.asarray(contestant.steps())
        assert h.shape == (problem.size.batch, problem.size.hidden)
        np.testing.assert_allclose(np.sum(h**2), loss, rtol=1e-12)


def test_tiles_are_views_and_below_the_limit():
    x, w, z = np.ones((64, 96)), np.ones((4, 96, 128)), np.empty((4, 64, 128))
    cut = tiling(64, 96, 128, 50_000)
    assert cut.rows * cut.columns * 96 <= 50_000
    assert np.shares_memory(cut.out(z), z)
    cut.times(x)(cut.right(w).copy(), cut.out(z))
    assert np.array_equal(z, x @ w)


def test_weight_gradient_starts_anew():
    d, x = np.ones((2, 6, 32)), np.arange(18.0).reshape(6, 3)
    total = WeightGradient(2, 3, 32, 6, "float64", 3 * 16 * 6)
    for _ in range(2):
        total.add(x, d)
        total.add(x, d)
        assert np.array_equal(total.finish(), 2 * x.T @ d)


# -------------------------------------------------------------------------------------------------------- measuring


def test_spread_and_ratios():
    assert timing.spread([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert timing.ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_turns_alternate():
    order, ticks = [], itertools.count()
    calls = {name: functools.partial(order.append, name) for name in "abc"}
    times = timing.take_turns(calls, 0, lambda: float(next(ticks)))
    assert times == {name: [1.0] * timing.FEWEST for name in "abc"}
    assert "".join(order) == "aabbcc" + ("abcbcacab" * timing.FEWEST)[: 3 * timing.FEWEST]


def test_short_calls_are_repeated():
    ticks = itertools.count()
    counted = []
    timing.take_turns({"a": lambda: counted.append(1)}, 0, lambda: next(ticks) * timing.TURN / 8)
    assert len(counted) == 2 + 8 * timing.FEWEST


def test_calls_are_counted_with_helpers_and_without_indices():
    text = """
def half(x):
    return 0.5 * x

def f(xs, out):
    a = xs * 2
    for t in reversed(range(len(xs) - 1)):
        out[t + 1] = np.tanh(half(xs[t]), out=a[0])
        a -= -xs[t]
"""
    # tanh, the product in half, what is written to out, the subtraction, the negation; xs twice, a once
    assert costs._count(text) == (5, 3)


def test_the_yardstick_makes_as_few_calls_as_it_says():
    found = {cell: costs.calls_per_step(cell, SIZES["tiny"])[0] for cell in GATES}
    assert {cell: row["calls"] for cell, row in found.items()} == {"rnn": 4, "lstm": 10, "gru": 9}


def test_memory_grows_with_the_steps():
    short, long = (costs.memory("lstm", Size(2, 3, 16, steps)) for steps in (50, 100))
    grown = {
        after["contestant"]: (after["MiB"] - before["MiB"]) * costs.MIB / 50 for before, after in zip(short, long)
    }
    six_slots_and_joined = 2 * (6 * 16 + 3 + 1 + 16) * 4
    assert six_slots_and_joined <= grown["handwritten"] < 1.6 * six_slots_and_joined
    assert grown["usual"] > six_slots_and_joined / 2 and grown["minigrad"] > six_slots_and_joined / 2
    assert long[0]["ratio"] == 1


def test_compiling_and_checkpoints():
    scan, unrolled = costs.compiling("rnn", (3,), (3,), ())[:2]
    assert (scan["kind"], unrolled["kind"]) == ("minigrad scan", "minigrad unrolled")
    assert 0 < scan["made"] < scan["first"] * 5
    (row,) = costs.checkpointed(400)
    assert row["MiB of input"] == 400 * 8 * 4 / costs.MIB


@pytest.mark.slow
def test_start_up():
    rows = {row["program"]: row for row in costs.start_up(["autograd"], 0)}
    assert rows["python"]["seconds"].median < rows["import numpy"]["seconds"].median
    assert rows["handwritten"]["ratio"].median == 1
    assert rows["minigrad"]["ratio"].median > 1


def test_a_program_that_fails_is_no_time():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        costs._output_of("1 / 0")


# -------------------------------------------------------------------------------------------------------- reporting


def test_numbers():
    assert report.number(Spread(1.054, 1.0, 1.04)) == "1.05 ±.02"
    assert report.number(Spread(123.4, 120.0, 130.0)) == "123 ±5"
    assert (report.number(0.01234), report.number(12345.6), report.number(None)) == ("0.0123", "12,346", "")


def test_the_command(tmp_path, capsys):
    before = os.environ.copy(), os.sched_getaffinity(0)
    out = tmp_path / "out"
    chosen = ["--cells", "lstm", "--sizes", "tiny", "--peers", "products", "minigrad", "usual", "--seconds", "0"]
    assert command.main([*chosen, "--what", "both", "steps", "memory", "--out", str(out)]) == 0
    assert before == (os.environ.copy(), os.sched_getaffinity(0))
    shown = capsys.readouterr().out
    assert "threads: 1" in shown
    assert sum(line.startswith("tiny") for line in shown.splitlines()) == 2
    data = json.loads((out / "benchmarks.json").read_text())
    both, steps = data["times"]
    assert set(both["ratios"]) == {"products", "minigrad", "usual"}
    assert set(steps["ratios"]) == {"minigrad"}
    assert 0 < both["ratios"]["products"][0] < 1
    assert "| tiny" in (out / "benchmarks.md").read_text()
    assert b"<svg" in (out / "benchmarks.svg").read_bytes()
    (out / "mine.txt").write_text("precious")
    assert command.main([*chosen, "--out", str(out)]) == 1
    assert "mine.txt" in capsys.readouterr().err


def test_wrong_usage(capsys):
    for wrong in (["--cells", "cell"], ["--seconds", "soon"], ["--peers", "handwritten"]):
        with pytest.raises(SystemExit) as stop:
            command.main(wrong)
        assert stop.value.code == 2
    assert command.main(["--threads", "0"]) == 1
    assert "--threads" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    assert "tiny     (1, 8, 16, 100)" in capsys.readouterr().out


def test_what_is_wrong_is_not_timed(monkeypatch, capsys):
    monkeypatch.setattr(CONTESTANTS["usual"], "gradients", lambda self, result: self.problem.gates)
    assert command.main(["--cells", "rnn", "--sizes", "tiny", "--peers", "usual", "--seconds", "0"]) == 1
    assert "usual: the gradient by hidden.w_x of rnn is off by" in capsys.readouterr().err


def test_who_is_not_installed_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(contestants.NEEDS, "jax", "no_such_package")
    assert command.main(["--cells", "rnn", "--sizes", "tiny", "--peers", "jax", "--seconds", "0"]) == 0
    assert "jax is left out: no_such_package is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("name", contestants.NEEDS)
@pytest.mark.parametrize("cell", GATES)
def test_peers_do_the_same_work(name, cell):
    if contestants.available(name):
        pytest.skip(contestants.available(name))
    for shape in ("one sequence", "a batch"):
        problem = Problem(cell, SHAPES[shape])
        contestant = CONTESTANTS[name](problem)
        loss, gates = _expected(problem)
        _agree(contestant.gradients(contestant.both()), gates, 1e-4)
        np.testing.assert_allclose(np.asarray(contestant.forward()), loss, rtol=1e-5)
        if "steps" not in contestants.ABSENT.get(name, ()):
            np.testing.assert_allclose(np.sum(np.asarray(contestant.steps()) ** 2), loss, rtol=1e-5)


def test_interrupted_writes_what_there_is(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    chosen = ["--cells", "rnn", "--sizes", "tiny", "--peers", "--seconds", "0", "--what", "both", "memory"]
    with monkeypatch.context() as patch:
        patch.setattr(costs, "memory", interrupt)
        assert command.main([*chosen, "--out", str(tmp_path / "some")]) == 130
    assert len(json.loads((tmp_path / "some" / "benchmarks.json").read_text())["times"]) == 1
    with monkeypatch.context() as patch:
        patch.setattr(timing, "take_turns", interrupt)
        assert command.main([*chosen, "--out", str(tmp_path / "none")]) == 130
    assert not (tmp_path / "none").exists()
    assert "interrupted" in capsys.readouterr().err
