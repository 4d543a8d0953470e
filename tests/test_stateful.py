"""A net that steps: arrays given to it count as they are at each step, what it hands out belongs to the caller."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.pytree import is_fixed

Array = Any
RNG = np.random.default_rng(0)
XS = RNG.normal(size=(6, 2, 3))
KINDS = {"rnn": rnn.RNNCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell}
both_ways = pytest.mark.parametrize("copies", [False, True], ids=["by reference", "copied"])
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def by_hand(cell: Any, head: Any, x: Array, state: Any) -> tuple[Array, Any]:
    """One step with nothing compiled and nothing remembered."""
    output, state = cell(mg.constant(x), state)
    y = output if head is None else head(output) if callable(head) else output @ head
    return np.asarray(y), mg.tree_map(np.asarray, state)


class Beside:
    """A net, and what it should give: every step is taken by hand as well."""

    def __init__(self, cell: Any, head: Any = None, copy: bool = False) -> None:
        self.net = rnn.Stateful(cell, head, copy=copy)

    def step(self, x: Array) -> Array:
        net, before = self.net, copy.deepcopy(self.net.state)
        if before is None:
            before = net.cell.initial_state(None if x.ndim == 1 else x.shape[0])
        y, state = by_hand(net.cell, net.head, x, before)
        found = net.step(x)
        assert type(found) is np.ndarray and found.dtype == y.dtype
        for a, b in zip([found, *mg.tree_leaves(net.state)], [y, *mg.tree_leaves(state)], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5 if a.dtype == np.float32 else 1e-12)
        return found


# -------------------------------------------------------------------------------------------------- what may change


@every_kind
def test_what_is_written_into_weights_counts_at_the_next_step(kind: Any) -> None:
    cell, head = kind.init(3, 4, rng=0), RNG.normal(size=(4, 2))
    net = Beside(cell, head)
    net.step(XS[0])
    for leaf in [*mg.tree_leaves(cell), head]:
        before = copy.deepcopy(net.net).step(XS[1])
        leaf += RNG.normal(size=leaf.shape)
        assert not np.allclose(net.step(XS[1]), before)


@every_kind
def test_what_is_written_into_weights_does_not_count_where_they_were_copied(kind: Any) -> None:
    cell, head = kind.init(3, 4, rng=0), RNG.normal(size=(4, 2))
    net, twin = rnn.Stateful(cell, head, copy=True), rnn.Stateful(copy.deepcopy(cell), head.copy())
    for leaf in [*mg.tree_leaves(cell), head]:
        leaf[...] = np.nan  # before the first step, too
    for x in XS:
        np.testing.assert_allclose(net.step(x), twin.step(x), rtol=1e-12)
    net.state = None
    assert np.all(np.isfinite(net.step(XS[0, 0]))), "in another shape too"
    net.cell = copy.copy(cell)
    assert np.all(np.isnan(net.step(XS[1, 0]))), "another cell counts"


@both_ways
def test_what_is_written_into_x_and_the_state_counts(copies: bool) -> None:
    net, x = Beside(rnn.LSTMCell.init(3, 4, rng=0), copy=copies), XS[0].copy()
    net.step(x)
    x *= -1
    net.step(x)
    net.net.state.c[...] = 3.0
    net.step(x)


@both_ways
def test_another_cell_or_head_counts(copies: bool) -> None:
    net = Beside(rnn.LSTMCell.init(3, 4, rng=0), np.ones((4, 2)), copies)
    net.step(XS[0])
    net.net.cell = rnn.LSTMCell.init(3, 4, rng=1)
    net.step(XS[1])
    net.net.head = RNG.normal(size=(4, 5))
    assert net.step(XS[2]).shape == (2, 5)
    net.net.head = mg.tanh
    net.step(XS[3])
    net.net.head = None
    assert net.step(XS[4]).shape == (2, 4)
    net.net.cell, net.net.state = rnn.GRUCell.init(3, 5, rng=1), None
    assert net.step(XS[5]).shape == (2, 5)


@dataclasses.dataclass
class Open:
    """A cell whose fields may be set."""

    w: Any
    gates: list[Any]
    more: dict[str, Any]

    def __call__(self, x: Array, h: Array) -> tuple[Array, Array]:
        h = mg.tanh(x @ self.w + h @ self.gates[0] + self.more["b"])
        return h, h

    def initial_state(self, batch: int | None) -> Array:
        return np.zeros((4,) if batch is None else (batch, 4))


@dataclasses.dataclass(frozen=True)
class Around:
    """A frozen cell around one that is not."""

    inner: Any

    def __call__(self, x: Array, h: Array) -> tuple[Array, Array]:
        return self.inner(x, h)  # type: ignore[no-any-return]

    def initial_state(self, batch: int | None) -> Array:
        return self.inner.initial_state(batch)


@dataclasses.dataclass(frozen=True)
class Layers:
    """A frozen cell of two, of which the second is a list; its head is a dict. Wrapped, nothing of it is fixed."""

    lower: Any
    upper: list[Any]

    def __call__(self, x: Array, state: Any) -> tuple[Any, Any]:
        h, low = self.lower(x, state["low"])
        y, high = self.upper[0](h, state["high"])
        return (y, h), {"low": low, "high": high}

    def initial_state(self, batch: int | None) -> Any:
        return {"low": self.lower.initial_state(batch), "high": self.upper[0].initial_state(batch)}


def test_a_cell_of_cells_with_any_containers_gives_the_same_by_reference_and_copied() -> None:
    cell = Layers(rnn.LSTMCell.init(3, 4, rng=0), [rnn.GRUCell.init(4, 5, rng=1)])
    nets = [
        rnn.Stateful(cell, lambda outputs: mg.concatenate(outputs, axis=-1), copy=copies) for copies in (False, True)
    ]
    for x in XS:
        a, b = (net.step(x) for net in nets)
        np.testing.assert_allclose(a, b, rtol=1e-12)
        assert a.shape == (2, 9) and nets[1].state["low"].c.shape == (2, 4)


@pytest.mark.parametrize("around", [lambda cell: cell, Around], ids=["open", "in a frozen one"])
def test_cells_whose_containers_change_are_read_at_each_step(around: Callable[[Any], Any]) -> None:
    cell = Open(RNG.normal(size=(3, 4)), [RNG.normal(size=(4, 4))], {"b": np.ones(4)})
    net = Beside(around(cell))
    net.step(XS[0])
    cell.w = RNG.normal(size=(3, 4))
    first = net.step(XS[1])
    cell.gates[0] = RNG.normal(size=(4, 4))
    net.step(XS[2])
    cell.more["b"] = 2.0
    net.step(XS[3])
    net.net.reset()
    assert not np.array_equal(net.step(XS[1]), first)


@both_ways
@every_kind
def test_states_set_by_hand_count(kind: Any, copies: bool) -> None:
    net = Beside(kind.init(3, 4, rng=0), copy=copies)
    net.step(XS[0])
    kept = net.net.state
    rest = [net.step(x) for x in XS[1:]]
    net.net.state = kept
    assert all(np.array_equal(net.step(x), y) for x, y in zip(XS[1:], rest, strict=True))
    net.net.state = mg.tree_map(lambda leaf: RNG.normal(size=(5, 4)), kept)
    assert net.step(RNG.normal(size=(5, 3))).shape == (5, 4)
    net.net.state = mg.tree_map(lambda leaf: leaf[0], kept)
    assert net.step(XS[0, 0]).shape == (4,)
    if kind is rnn.LSTMCell:
        net.net.state = tuple(kept)  # no LSTMState, but it can be unpacked like one
        net.step(XS[0])
        assert type(net.net.state) is rnn.LSTMState


@both_ways
def test_shapes_and_dtypes_may_change_from_step_to_step(copies: bool) -> None:
    net = Beside(rnn.GRUCell.init(3, 4, rng=0, dtype="float32"), copy=copies)
    assert net.step(XS[0].astype("float32")).dtype == np.float32
    assert net.step(XS[1]).dtype == np.float64
    assert net.step(XS[2].astype("float32")).dtype == np.float64, "the state is in float64 now"
    net.net.reset()
    assert net.step(XS[3].astype("float32")).dtype == np.float32
    net.net.reset()
    assert net.step(XS[3, 0]).shape == (4,)
    net.net.reset()
    assert net.step(np.asfortranarray(XS[4])).shape == (2, 4)
    assert net.step(XS[:2, 0]).shape == (2, 4)


@both_ways
def test_an_x_that_does_not_fit_is_an_error_each_time_and_changes_nothing(copies: bool) -> None:
    net = Beside(rnn.LSTMCell.init(3, 4, rng=0), copy=copies)
    for _ in range(2):
        net.step(XS[0])
        state = net.net.state
        for x in (np.ones((2, 5)), np.ones((3, 3)), np.ones((2, 3), dtype=complex)):
            with pytest.raises(mg.errors.MinigradError):
                net.net.step(x)
        assert net.net.state is state


# -------------------------------------------------------------------------------------------------- what comes back


@both_ways
@every_kind
def test_results_belong_to_the_caller(kind: Any, copies: bool) -> None:
    cell = kind.init(3, 4, rng=0)
    net, untouched, kept = (rnn.Stateful(cell, copy=copies) for _ in range(3))
    outputs, states = [], []
    for x in XS:
        y = net.step(x)
        outputs.append(y.copy())
        states.append(copy.deepcopy(net.state))
        arrays = [y, x, *mg.tree_leaves((net.state, cell))]
        assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
        assert np.array_equal(untouched.step(x), y)
        y[...] = np.nan
    all_ys = [kept.step(x) for x in XS]
    assert all(np.array_equal(a, b) for a, b in zip(outputs, all_ys, strict=True)), (
        "no step writes into an earlier one's"
    )


@both_ways
def test_nodes_come_back_where_something_is_a_node_and_arrays_again_afterwards(copies: bool) -> None:
    cell = rnn.GRUCell.init(3, 4, rng=0)
    net = rnn.Stateful(cell, copy=copies)
    first = net.step(XS[0])
    net.reset()
    x = mg.constant(XS[0])
    y = net.step(x)
    assert isinstance(y, mg.Node) and isinstance(net.state, mg.Node)
    np.testing.assert_allclose(np.asarray(y), first, rtol=1e-12)
    assert isinstance(net.step(XS[1]), mg.Node), "the state is a node"
    assert np.any(np.asarray(mg.gradients(mg.sum(net.step(XS[2])), [x])[0]))
    net.reset()
    assert np.array_equal(net.step(XS[0]), first)

    nodes = mg.constant(cell)
    net.cell, net.state = nodes, None
    assert isinstance(net.step(XS[0]), mg.Node)


def test_copies_of_nets_step_by_themselves() -> None:
    cell, head = rnn.LSTMCell.init(3, 4, rng=0), np.ones((4, 1))
    net = Beside(cell, head)
    net.step(XS[0])
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        y = copy.deepcopy(net).step(XS[1])
        again.net.cell.forget.b[...] = 5.0
        again.net.head[...] = 2.0
        assert not np.allclose(again.step(XS[1]), y)
        assert np.all(cell.forget.b == 1) and np.all(head == 1)


@both_ways
@every_kind
def test_many_threads_step_their_own_nets_of_one_cell(kind: Any, copies: bool) -> None:
    cell = kind.init(3, 4, rng=0)
    expected = [rnn.Stateful(cell, copy=copies).step(XS[0] * n) for n in range(8)]
    results: list[list[Array]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def work(n: int) -> None:
        start.wait(60)
        for _ in range(50):
            results[n].append(
                rnn.Stateful(cell, copy=copies).step(XS[0] * n)
                if n % 2
                else shared(XS[0] * n, cell.initial_state(2))[0]
            )

    net = rnn.Stateful(cell, copy=copies)
    net.step(XS[0])
    shared = net._prepared[-1]  # what a net calls, by several threads at once
    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(len(ys) == 50 and all(np.array_equal(y, expected[n]) for y in ys) for n, ys in enumerate(results))


# ------------------------------------------------------------------------------------- functions with arguments given


@dataclasses.dataclass(frozen=True)
class Pair:
    a: Any
    b: Any


FIXED = [1.0, 3, "relu", None, np.ones(2), (), (1.0, (np.ones(2), "a")), Pair(1.0, (2.0,)), rnn.LSTMState(1.0, 2.0),
         Pair, rnn.LSTMCell.init(1, 1), np.tanh, mg.constant(1.0)]  # fmt: skip
LOOSE = [
    [],
    {},
    ([],),
    Pair(1.0, {"a": 1.0}),
    rnn.LSTMState(1.0, [2.0]),
    Open(1.0, (), ()),
    Pair(1.0, Open(1.0, (), ())),
]


def test_what_is_fixed_is_told_from_what_may_hold_other_leaves_tomorrow() -> None:
    assert [tree for tree in FIXED if not is_fixed(tree)] == []
    assert [tree for tree in LOOSE if is_fixed(tree)] == []


@pytest.mark.parametrize("first", [*FIXED[:7], FIXED[7], *LOOSE[:4]], ids=repr)
def test_a_function_of_the_other_arguments_gives_the_same(first: Any) -> None:
    calls = 0

    def f(first: Any, x: Array, y: Any = 1.0) -> Any:
        nonlocal calls
        calls += 1
        return {"sum": sum(map(mg.sum, mg.tree_leaves(first)), mg.sum(x)) * mg.tree_leaves(y)[0], "first": first}

    compiled = mg.compile(f)
    given = compiled.given(first)
    for rest in (
        (2.0,),
        (np.ones(3),),
        (np.ones(4), np.float64(3)),
        (np.ones(3), (2.0, "a")),
        (np.ones(3), (2.0, "b")),
    ):
        for _ in range(2):
            one, other = given(*rest), compiled(first, *rest)
            assert repr(one) == repr(other)
            assert mg.tree_map(type, one) == mg.tree_map(type, other)
    assert calls == 5
    assert isinstance(given(mg.constant(2.0))["sum"], mg.Node)
    with pytest.raises(mg.errors.StructureError, match=r"x\['a'\]: builtins.set"):
        given({"a": {1.0}})
