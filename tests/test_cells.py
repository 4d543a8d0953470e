"""Cells and how they are run: unroll and scan agree, masks and lengths, one step at a time, errors."""

import re

import numpy as np
import pytest

import minigrad as mg
import rnn

rng = np.random.default_rng(0)
XS = rng.normal(size=(6, 3, 2))
CELLS = {
    "rnn": rnn.RNNCell.init(2, 4, rng=1),
    "relu": rnn.RNNCell.init(2, 4, rng=1, activation="relu", bias=False),
    "lstm": rnn.LSTMCell.init(2, 4, rng=1),
    "gru": rnn.GRUCell.init(2, 4, rng=1),
    "gru-before": rnn.GRUCell.init(2, 4, rng=1, reset="before", bias=False),
}
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
MASK = rng.random((6, 3)) < 0.6


def loss(run, **options):
    def total(cell, xs):
        hs, state = run(cell, xs, **options)
        return mg.sum(mg.sin(hs)) + sum(mg.sum(leaf**2) for leaf in mg.tree_leaves(state))

    return total


@every_cell
@pytest.mark.parametrize(
    "options",
    [{}, {"reverse": True}, {"mask": MASK}, {"lengths": np.array([6, 0, 3])}, {"lengths": np.array([2, 6, 1]), "reverse": True}],
    ids=str,
)
def test_unroll_and_scan_agree_in_values_and_gradients(cell, options):
    a = mg.value_and_grad(loss(rnn.unroll, **options), argnums=(0, 1))(cell, XS)
    b = mg.compile(mg.value_and_grad(loss(rnn.scan, **options), argnums=(0, 1)))(cell, XS)
    for x, y in zip(mg.tree_leaves(a), mg.tree_leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_a_padded_sequence_is_its_own_short_one(cell, reverse):
    lengths = np.array([6, 2, 0])
    hs, state = rnn.scan(cell, XS, lengths=lengths, reverse=reverse)
    for i, length in enumerate(lengths):
        if length:
            short, last = rnn.unroll(cell, XS[:length, i : i + 1], reverse=reverse)
            np.testing.assert_allclose(np.asarray(hs)[:length, i], np.asarray(short)[:, 0], rtol=1e-12)
        else:
            last = cell.initial_state(1)
        assert np.all(np.asarray(hs)[length:, i] == 0)
        for whole, own in zip(mg.tree_leaves(state), mg.tree_leaves(last), strict=True):
            np.testing.assert_allclose(np.asarray(whole)[i], np.asarray(own)[0], rtol=1e-12)


def test_a_masked_step_gives_no_gradient_to_its_input():
    grads = mg.grad(loss(rnn.scan, lengths=np.array([6, 2, 0])), argnums=1)(CELLS["lstm"], XS)
    assert np.all(grads[2:, 1] == 0) and np.all(grads[:, 2] == 0) and np.all(grads[:, 0] != 0)


@every_cell
def test_one_step_at_a_time_is_the_unrolled_sequence(cell):
    net = rnn.Stateful(cell)
    outputs = [net.step(x) for x in XS]
    assert all(type(y) is np.ndarray for y in outputs)
    np.testing.assert_allclose(outputs, np.asarray(rnn.unroll(cell, XS)[0]), rtol=1e-12)
    net.reset()
    np.testing.assert_array_equal(net.step(XS[0]), outputs[0])
    single = rnn.Stateful(cell)
    np.testing.assert_allclose(single.step(XS[0, 1]), outputs[0][1], rtol=1e-12)


def test_gradients_reach_through_stacked_nets_and_all_their_steps():
    w = rng.normal(size=(4, 1))

    def run(first, second, head, xs):
        net1, net2 = rnn.Stateful(first), rnn.Stateful(second, head=head)
        return sum(mg.sum(net2.step(net1.step(x)) ** 2) for x in xs)

    arguments = (rnn.RNNCell.init(2, 3, rng=3), rnn.GRUCell.init(3, 4, rng=4), w, XS)
    mg.check_gradients(run, *arguments, order=1)
    assert all(np.any(leaf != 0) for leaf in mg.tree_leaves(mg.grad(run, argnums=(0, 1, 2))(*arguments)))


def test_a_net_made_outside_a_trace_cannot_be_stepped_inside():
    net = rnn.Stateful(CELLS["gru"])
    with pytest.raises(mg.errors.MinigradError, match=r"made outside the function[\s\S]*make the net inside"):
        mg.grad(lambda x: mg.sum(net.step(x)))(XS[0])
    assert net.state is None


def test_two_weights_without_tanh_are_a_moving_average():
    alpha, xs = 0.3, rng.normal(size=(20, 1, 1))
    gate = rnn.Affine(w_x=np.array([[alpha]]), w_h=np.array([[1 - alpha]]))
    hs, _ = rnn.scan(rnn.RNNCell(gate, activation="identity"), xs)
    expected = [sum(alpha * (1 - alpha) ** (t - s) * xs[s, 0, 0] for s in range(t + 1)) for t in range(20)]
    np.testing.assert_allclose(np.asarray(hs)[:, 0, 0], expected, rtol=1e-12)


def test_init_draws_the_same_from_the_same_seed_and_remembers_at_first():
    a, b = rnn.LSTMCell.init(2, 4, rng=7), rnn.LSTMCell.init(2, 4, rng=np.random.default_rng(7))
    for x, y in zip(mg.tree_leaves(a), mg.tree_leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)
    assert np.all(a.forget.b == 1) and np.all(a.input.b == 0)
    assert len(mg.tree_leaves(rnn.RNNCell.init(1, 1, bias=False))) == 2
    assert rnn.GRUCell.init(2, 4).candidate.b_h is not None and CELLS["gru-before"].candidate.b_h is None


@every_cell
@pytest.mark.parametrize("run", [rnn.unroll, rnn.scan])
@pytest.mark.parametrize(
    ("xs", "options", "message"),
    [
        (np.ones(6), {}, r"xs has the shape \(T, batch, input\)"),
        (np.ones((6, 3, 5)), {}, r"takes 2 features \(its input_size\), x has shape \(3, 5\)"),
        (np.ones((6, 3, 1, 2)), {}, r"all axes but the last must be the same"),
        (np.ones((6, 3), int), {}, r"mg.one_hot\(ids, 2\)"),
        (XS, {"mask": np.ones((3, 6))}, r"mask has shape \(3, 6\), it must be \(6, 3\)"),
        (XS, {"lengths": np.array([1, 2])}, r"lengths has shape \(2,\), one for each sequence is \(3,\)"),
        (XS, {"lengths": np.array([1, 2, 7])}, r"between 0 and the number of steps, 6"),
        (XS, {"lengths": np.array([1.0, 2.0, 3.0])}, r"lengths are integers"),
        (XS, {"lengths": np.array([1, 2, 3]), "mask": MASK}, r"give one of them"),
        (XS, {"mask": np.full((6, 3), 0.5)}, r"booleans, or 0 and 1"),
    ],
)
def test_wrong_sequences_are_named_with_their_line(cell, run, xs, options, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        run(cell, xs, **options)
    assert re.search(r"at .*test_cells\.py:\d+", str(caught.value))
