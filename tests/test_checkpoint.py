"""A checkpointed loop is the plain one: same values, same derivatives of all kinds and orders, in less memory."""

from __future__ import annotations

import gc
import pickle
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import rnn
from minigrad.graph import Graph, Loop
from minigrad.source import generate

from .invariants import check_graph
from .test_loop import CASES, B, Case, H, W, runs, same, scalar

Array = Any
XS = np.random.default_rng(1).normal(size=(7, 3))
QUIET = pytest.mark.filterwarnings("ignore:(invalid value|divide by zero):RuntimeWarning")  # in branches not taken
every_case = pytest.mark.parametrize("case", [pytest.param(case, id=case.__name__, marks=QUIET) for case in CASES])
some_ways = pytest.mark.parametrize(
    ("checkpoint", "reverse"), [(1, False), (2, True), (3, False), ("sqrt", False), ((5, 2), True)], ids=str
)


def plain(reverse: bool = False) -> Any:
    return lambda step, init, xs=None, length=None: mg.scan(step, init, xs, length, reverse)


def checkpointed(checkpoint: Any, reverse: bool = False) -> Any:
    """`mg.scan` by chunks, cut to what the loop at hand has: the loops of a case have different lengths."""

    def scan(step: Any, init: Any, xs: Any = None, length: int | None = None) -> Any:
        steps = len(mg.tree_leaves(xs)[0]) if length is None else length
        sizes = checkpoint
        if isinstance(checkpoint, tuple):
            sizes = tuple(k for k in checkpoint if k <= steps) or None
        elif checkpoint != "sqrt":
            sizes = min(checkpoint, steps) or None
        return mg.scan(step, init, xs, length, reverse, checkpoint=sizes)

    return scan


def loops(graph: Graph) -> list[Loop]:
    """All loops of a graph, those inside loops too."""
    own = [node.params["loop"] for node in graph.nodes if node.shape is None]
    return own + [inner for loop in own for inner in loops(loop.graph)]


# ------------------------------------------------------------------------------------------- the same as the plain loop


@every_case
@some_ways
def test_values_are_the_same_to_the_bit_and_gradients_up_to_rounding(case: Case, checkpoint: Any, reverse: bool) -> None:
    def both(how: Any) -> Any:
        return lambda *args: (case(how, *args), mg.grad(lambda *a: scalar(case, how, *a), argnums=(0, 1, 2, 3))(*args))

    expected = mg.trace(both(plain(reverse)), W, B, H, XS).evaluate(W, B, H, XS)
    by_chunks = both(checkpointed(checkpoint, reverse))
    graph = mg.trace(by_chunks, W, B, H, XS)
    check_graph(graph)
    check_graph(graph.simplify())
    values = graph.evaluate(W, B, H, XS)[0]
    for a, b in zip(mg.tree_leaves(values), mg.tree_leaves(expected[0]), strict=True):
        np.testing.assert_array_equal(a, b)
    for run in runs(by_chunks):
        same(run(W, B, H, XS), expected, 1e-12)


@every_case
def test_forward_mode(case: Case) -> None:
    tangents = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate((W, B, H, XS))]
    push = lambda how: lambda *args: mg.jvp(lambda *a: case(how, *a), args, tangents)  # noqa: E731
    expected = mg.trace(push(plain()), W, B, H, XS).evaluate(W, B, H, XS)
    for run in runs(push(checkpointed(3))):
        same(run(W, B, H, XS), expected, 1e-12)


@every_case
@pytest.mark.parametrize("checkpoint", [3, (4, 2)], ids=str)
def test_second_order(case: Case, checkpoint: Any) -> None:
    tangents = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate((W, B, H, XS))]

    def product(how: Any) -> Any:  # forward over reverse
        return lambda *args: mg.hvp(lambda *a: scalar(case, how, *a), args, tangents)

    def twice(how: Any) -> Any:  # reverse over reverse
        gradient = mg.grad(lambda *a: scalar(case, how, *a), argnums=(0, 1, 2, 3))
        along = lambda *args: sum(mg.sum(g * t) for g, t in zip(gradient(*args), tangents, strict=True))  # noqa: E731
        return mg.grad(along, argnums=(0, 1, 2, 3))

    gradient, expected = mg.compile(product(plain()))(W, B, H, XS)
    for run in runs(product(checkpointed(checkpoint))):
        same(run(W, B, H, XS), (gradient, expected), 1e-10)
    same(mg.compile(twice(checkpointed(checkpoint)))(W, B, H, XS), expected, 1e-10)


@settings(max_examples=60)
@given(data=st.data())
def test_random_lengths_and_chunks(data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 12), "T")
    sizes = st.lists(st.integers(1, max(length, 1)), min_size=1, max_size=3, unique=True).map(lambda k: sorted(k)[::-1])
    checkpoint = data.draw(st.one_of(st.just("sqrt"), sizes.map(tuple), st.integers(1, max(length, 1))), "checkpoint")
    reverse, given_xs = data.draw(st.booleans(), "reverse"), data.draw(st.booleans(), "xs")
    rng = np.random.default_rng(data.draw(st.integers(0, 99), "seed"))
    w, h, xs = rng.normal(size=(2, 2)), rng.normal(size=2), rng.normal(size=(length, 2))

    def step(carry: Any, x: Any) -> Any:  # a carry of an array, a counter and a number without a dtype
        h, n, s = carry["h"], carry["n"], carry["s"]
        h = mg.tanh(h @ w_ + (0.0 if x is None else x * s)) * (1 + 0.1 * n)
        return {"h": h, "n": (n + 1) % 3, "s": s * 0.9}, (h, {"n": n})

    def loss(w: Any, h: Any, xs: Any, **options: Any) -> Any:
        nonlocal w_
        w_ = w
        start = {"h": h, "n": np.array(0), "s": 1.0}
        last, (hs, counts) = mg.scan(step, start, xs if given_xs else None, length, reverse, **options)
        return mg.sum(mg.sin(last["h"])) + last["s"] + mg.sum(hs**2) + mg.sum(counts["n"] * 1.0), (last, hs, counts)

    w_: Any = None
    expected = mg.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(w, h, xs)
    gradient = mg.value_and_grad(lambda *a: loss(*a, checkpoint=checkpoint), argnums=(0, 1, 2), has_aux=True)
    for found in (gradient(w, h, xs), mg.compile(gradient)(w, h, xs)):
        same(found, expected, 1e-12)


CELLS = {"rnn": rnn.RNNCell.init(2, 3, rng=1), "lstm": rnn.LSTMCell.init(2, 3, rng=1), "gru": rnn.GRUCell.init(2, 3, rng=1)}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"lengths": np.array([8, 0, 3])}, {"mask": np.eye(8, 3, k=-1)}], ids=str)
@pytest.mark.parametrize("checkpoint", ["sqrt", 4, (6, 2)], ids=str)
def test_cells_unrolled_and_checkpointed(cell: Any, options: dict[str, Any], checkpoint: Any) -> None:
    xs = np.random.default_rng(0).normal(size=(8, 3, 2))

    def loss(run: Any, **more: Any) -> Any:
        def total(cell: Any, xs: Any) -> Any:
            hs, state = run(cell, xs, **options, **more)
            return mg.sum(mg.sin(hs)) + sum(mg.sum(leaf**2) for leaf in mg.tree_leaves(state))

        return mg.value_and_grad(total, argnums=(0, 1))

    expected = loss(rnn.unroll)(cell, xs)
    for run in (lambda f: f, mg.compile):
        same(run(loss(rnn.scan, checkpoint=checkpoint))(cell, xs), expected, 1e-12)


@pytest.mark.parametrize("inner", [None, 2, "sqrt"], ids=str)
@pytest.mark.parametrize("outer", [None, 3, "sqrt"], ids=str)
def test_a_checkpointed_loop_inside_a_checkpointed_loop(outer: Any, inner: Any) -> None:
    def loss(w: Any, xs: Any, outer: Any = None, inner: Any = None) -> Any:
        def row(h: Any, x: Any) -> Any:
            last, ks = mg.scan(lambda k, _: (mg.tanh(k @ w + x), k), h, length=5, checkpoint=inner)
            return last * 0.9, mg.sum(ks * x)

        last, ys = mg.scan(row, np.ones(3), xs, checkpoint=outer)
        return mg.sum(mg.sin(last)) + mg.sum(ys**2)

    expected = mg.value_and_grad(loss, argnums=(0, 1))(W, XS)
    for run in runs(lambda w, xs: mg.value_and_grad(loss, argnums=(0, 1))(w, xs, outer, inner)):
        same(run(W, XS), expected, 1e-12)


@pytest.mark.parametrize("checkpoint", [3, "sqrt", (4, 2)], ids=str)
def test_jacobian_hessian_and_finite_differences(checkpoint: Any) -> None:
    def states(how: Any, h: Any) -> Any:
        return how(lambda h, x: ((n := mg.tanh(h @ W + x)), n * h), h, XS)[1]

    jacobian = mg.jacobian(lambda h: states(checkpointed(checkpoint), h))(H)
    same(jacobian, mg.jacobian(lambda h: states(plain(), h))(H), 1e-12)
    hessian = mg.hessian(lambda h: mg.sum(states(checkpointed(checkpoint), h) ** 2))
    same(hessian(H), mg.hessian(lambda h: mg.sum(states(plain(), h) ** 2))(H), 1e-10)
    mg.check_gradients(lambda h: mg.sum(states(checkpointed(checkpoint), h) ** 2), H, order=2)


def test_the_hessian_of_a_power() -> None:
    # x multiplied by a, T times: a^T x, with second derivative T (T - 1) a^(T - 2) x
    power = lambda a: mg.scan(lambda x, _: (x * a, None), 2.0, length=7, checkpoint=3)[0]  # noqa: E731
    same(mg.hessian(power)(1.5), np.array(7 * 6 * 1.5**5 * 2.0), 1e-12)
    same(mg.grad(mg.grad(mg.grad(power)))(1.5), np.array(7 * 6 * 5 * 1.5**4 * 2.0), 1e-12)


# -------------------------------------------------------------------------------------------------------------- memory


def compiled(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """The generated function of a call, alone: it keeps no memory from one call to the next."""
    source = generate(mg.trace(f, *args))
    return lambda: source.function(*mg.tree_leaves(args), **source.constants)


def peak(run: Callable[[], Any]) -> int:
    """The most memory that arrays and objects took at one time, above what was there before."""
    run()  # what is kept from the first call on is no part of it
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


STEPS, HIDDEN = 900, 32
STATES = STEPS * HIDDEN * 8  # bytes of one array of all states


def long_loss(w: Any, x: Any, checkpoint: Any) -> Any:
    step = lambda h, _: (mg.tanh(h @ w + x) * mg.sin(h), None)  # noqa: E731
    return mg.sum(mg.scan(step, np.full(HIDDEN, 0.5), length=STEPS, checkpoint=checkpoint)[0] ** 2)


@pytest.mark.parametrize("source", [False, True], ids=["walked", "compiled"])
@pytest.mark.parametrize(
    ("checkpoint", "states"), [("sqrt", 30 + 8 * 30), (10, 90 + 8 * 10), ((90, 9), 10 + 10 + 8 * 9)], ids=str
)
def test_a_gradient_keeps_carries_and_one_chunk(checkpoint: Any, states: int, source: bool) -> None:
    def taken(checkpoint: Any) -> int:
        gradient = mg.grad(lambda w, x: long_loss(w, x, checkpoint), argnums=(0, 1))
        return peak(compiled(gradient, w, x) if source else lambda: gradient(w, x))

    w, x = np.eye(HIDDEN), np.ones(HIDDEN)
    kept, all_kept = taken(checkpoint), taken(None)
    assert all_kept > 2 * STATES
    if source:  # else the trace, which does not grow with T, is a part of it
        assert kept < states * STATES // STEPS + 16 * w.nbytes
    else:
        assert kept < all_kept - STATES


@pytest.mark.parametrize("checkpoint", ["sqrt", (90, 9)], ids=str)
def test_slices_and_what_is_made_from_them_stay_one_chunk_at_a_time(checkpoint: Any) -> None:
    # x @ w has no carry in it, and the gradient of w is a sum over steps: neither is made for all steps at once
    xs, cell = np.ones((STEPS, 1, 4)), rnn.RNNCell.init(4, HIDDEN, rng=0)
    gradient = mg.grad(lambda cell, xs: mg.sum(rnn.scan(cell, xs, checkpoint=checkpoint)[1] ** 2))
    assert peak(compiled(gradient, cell, xs)) < STATES // 2


def test_second_order_keeps_no_more_than_carries_either() -> None:
    gradient = lambda w, x: mg.grad(long_loss)(w, x, "sqrt")  # noqa: E731
    w, x = np.eye(HIDDEN), np.ones(HIDDEN)
    assert peak(compiled(mg.grad(lambda w, x: mg.sum(mg.sin(gradient(w, x)))), w, x)) < 2 * STATES
    assert peak(compiled(lambda w, x: mg.jvp(lambda w: gradient(w, x), (w,), (w,))[1], w, x)) < 2 * STATES


MILLION = """
import resource, sys
import numpy as np, minigrad as mg, rnn
steps, size = int(sys.argv[1]), 32
cell = rnn.LSTMCell.init(size, size, rng=0, dtype="float32")
xs = np.random.default_rng(0).standard_normal((steps, 1, size), dtype="float32")
told = []
def loss(cell, xs):
    hs, state = rnn.scan(cell, xs, checkpoint="sqrt", progress=lambda done, total: told.append((done, total)))
    return mg.mean(hs ** 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
value, gradient = mg.compile(mg.value_and_grad(loss))(cell, xs)
above = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
assert all(np.all(np.isfinite(leaf)) and np.any(leaf) for leaf in mg.tree_leaves(gradient))
print(above, len(told), *told[-1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes there")
def test_a_million_steps_in_less_than_a_gigabyte() -> None:
    done = subprocess.run([sys.executable, "-c", MILLION, "1000000"], capture_output=True, text=True, check=True)
    above, calls, last, total = map(int, done.stdout.split())
    assert above < 1 << 30
    assert (calls, last, total) == (2000, 1_000_000, 1_000_000)


# ------------------------------------------------------------------------------------------------------------ progress


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("compiled", [False, True], ids=["walked", "compiled"])
@pytest.mark.parametrize(
    ("checkpoint", "forward", "backward"),
    [
        (None, [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]),
        (7, [7], [7]),
        (3, [3, 6, 7], [1, 4, 7]),
        ("sqrt", [3, 6, 7], [1, 4, 7]),
        ((5, 2), [5, 7], [2, 7]),
    ],
    ids=str,
)  # fmt: skip
def test_progress_is_told_in_steps_by_both_passes(
    checkpoint: Any, forward: list[int], backward: list[int], compiled: bool, reverse: bool
) -> None:
    told: list[tuple[int, int]] = []

    def loss(h: Any) -> Any:
        step = lambda h, x: (mg.tanh(h @ W + x), None)  # noqa: E731
        last, _ = mg.scan(step, h, XS, reverse=reverse, checkpoint=checkpoint, progress=lambda *two: told.append(two))
        return mg.sum(last)

    value, gradient = (mg.compile(f) if compiled else f for f in (loss, mg.grad(loss)))
    np.asarray(value(H))
    assert told == [(done, 7) for done in forward]
    told.clear()
    gradient(H)
    assert told == [(done, 7) for done in forward + backward]


def test_forward_mode_tells_progress_too() -> None:
    told: list[int] = []
    f = lambda h: mg.scan(lambda h, _: (mg.sin(h), None), h, length=4, checkpoint=2, progress=lambda d, _: told.append(d))[0]  # noqa: E731
    mg.compile(lambda h: mg.jvp(f, (h,), (h,))[1])(H)
    assert told[-2:] == [2, 4]


def test_generated_source_takes_the_progress_as_a_keyword_and_runs_without(tmp_path: Path) -> None:
    first: list[Any] = []
    second: list[Any] = []

    def f(xs: Any) -> Any:
        a, _ = mg.scan(lambda s, x: (s + x, None), 0.0, xs, checkpoint=2, progress=lambda *two: first.append(two))
        b, _ = mg.scan(lambda s, x: (s * x, None), a, xs, progress=lambda *two: second.append(two))
        return b

    xs = np.array([1.0, 2.0, 3.0, 4.0])
    text = mg.trace(f, xs).source
    assert "def compute(xs, *, progress=None, progress_2=None):" in text
    assert "if progress is not None:\n            progress((chunk + 1) * 2, 4)" in text
    path = tmp_path / "alone.py"
    path.write_text(text + "\nprint(*compute(np.array([1.0, 2.0, 3.0, 4.0])), compute(np.ones(4), progress=print))\n")
    alone = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=True)
    assert alone.stdout.splitlines()[:2] == ["2 4", "4 4"]
    assert "240.0" in alone.stdout
    assert first == []
    assert mg.compile(f)(xs) == 240.0
    assert first == [(2, 4), (4, 4)]
    assert second == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_the_progress_raises_ends_the_loop() -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    f = lambda h: mg.scan(lambda h, _: (mg.sin(h), None), h, length=10**9, checkpoint=2, progress=stop)[0]  # noqa: E731
    for run in runs(f):
        with pytest.raises(KeyboardInterrupt):
            run(H)


class Unhashable:
    """A callable that compares by value, as a dataclass does: it cannot be a key."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, done: int, total: int) -> None:
        self.calls += 1

    def __eq__(self, other: object) -> bool:
        return True


def test_any_callable_may_be_told() -> None:
    told = Unhashable()
    mg.compile(mg.grad(lambda h: mg.sum(mg.scan(lambda h, _: (mg.sin(h), None), h, length=4, progress=told)[0])))(H)
    assert told.calls == 8


# ------------------------------------------------------------------------------------- what is made of it, looked at


def test_the_loop_is_one_of_chunks_and_its_gradient_runs_them_again() -> None:
    f = lambda h: mg.sum(mg.scan(lambda h, x: (mg.tanh(h @ W + x), None), h, XS[:6], checkpoint=3)[0])  # noqa: E731
    for graph in (mg.trace(mg.grad(f), H), mg.trace(mg.grad(f), H).simplify()):
        kinds = {(loop.length, loop.recompute, loop.reverse) for loop in loops(graph)}
        assert kinds == {(2, True, False), (3, False, False), (2, True, True), (3, False, True)}
    lines = mg.trace(mg.grad(f), H).source.splitlines()
    assert sum("np.tanh" in line for line in lines) == 2  # forward, and once more in the backward pass


def test_leftover_steps_are_nodes_of_their_own() -> None:
    # so a gradient inside a chunk, and one inside the last steps, are answers to two questions
    graph = mg.trace(lambda h: mg.scan(lambda h, x: (mg.tanh(h @ W + x), None), h, XS, checkpoint=3)[0], H)
    tanhs = graph.find("t=[*]/tanh")
    assert len(tanhs) == len(set(tanhs)) == 2


def test_a_graph_pickles_with_its_chunks_and_without_its_progress() -> None:
    f = lambda h: mg.sum(mg.scan(lambda h, _: (mg.sin(h), None), h, length=4, checkpoint=2, progress=lambda *_: None)[0])  # noqa: E731
    graph = mg.trace(mg.grad(f), H)
    again = pickle.loads(pickle.dumps(graph))
    assert [loop.recompute for loop in loops(again)] == [loop.recompute for loop in loops(graph)]
    assert all(loop.progress is None for loop in loops(again))
    np.testing.assert_array_equal(again.evaluate(H), graph.evaluate(H))
    assert "progress" not in again.source


def test_a_checkpointed_loop_is_drawn_as_a_loop_in_a_loop(tmp_path: Path) -> None:
    f = lambda h: mg.sum(mg.scan(lambda h, x: (mg.tanh(h @ W + x), None), h, XS[:6], checkpoint=3)[0])  # noqa: E731
    graph = mg.trace(f, H)
    assert "2 steps, recomputed" in repr(graph)
    dot = tmp_path / "loop.dot"
    graph.render(dot)
    assert "repeat 2 times" in dot.read_text()
    assert "repeat 3 times" in dot.read_text()


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_the_first_infinity_is_found_in_its_chunk_and_step() -> None:
    f = lambda h: mg.scan(lambda h, _: (h * h, None), h, length=12, checkpoint=4)[0]  # noqa: E731
    pattern = "(?s)makes the first infinity.*in step t=1 of a loop of 4.*in chunk 1 of a loop of 3"
    with pytest.raises(mg.errors.NonFiniteError, match=pattern):
        mg.compile(f, check_finite=True)(1e5)  # 1e320 after six steps

@pytest.mark.parametrize(
    ("checkpoint", "pattern"),
    [
        (0, "got 0"),
        (-2, "got -2"),
        (True, "got True"),
        (2.0, "got 2.0"),
        ("root", "got 'root'"),
        ([2], r"got \[2\]"),
        ((), r"got \(\)"),
        ((4, 0), r"got \(4, 0\)"),
        ((4, "sqrt"), r"got \(4, 'sqrt'\)"),
        ((2, 2), "must decrease"),
        ((2, 3), "must decrease"),
        (8, "longer than the loop, which has 7 steps.*checkpoint=3, or 'sqrt'"),
        ((8, 2), "longer than the loop, which has 7 steps"),
        (10**30, "longer than the loop"),
    ],
    ids=str,
)
@pytest.mark.parametrize("scan", ["mg", "rnn"])
def test_bad_checkpoints(scan: str, checkpoint: Any, pattern: str) -> None:
    with pytest.raises(mg.errors.ArgumentError, match=f"(?s)^scan: .*{pattern}") as caught:
        if scan == "mg":
            mg.scan(lambda h, x: (h + x, None), H, XS, checkpoint=checkpoint)
        else:
            rnn.scan(rnn.RNNCell.init(3, 2, rng=0), XS, checkpoint=checkpoint)
    assert re.search(r"test_checkpoint\.py:\d+", str(caught.value))


@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 5, (4, 2)], ids=str)
def test_no_steps_need_no_checkpoint(checkpoint: Any) -> None:
    f = lambda h, xs: mg.scan(lambda h, x: (h * x, x), h, xs, checkpoint=checkpoint)  # noqa: E731
    for run in runs(f):
        h, ys = run(H, XS[:0])
        assert np.array_equal(h, H)
        assert ys.shape == (0, 3)


def test_progress_that_is_no_function() -> None:
    with pytest.raises(mg.errors.ArgumentError, match="progress is a function of .done, total., got bool"):
        mg.scan(lambda h, x: (h, None), H, XS, progress=True)  # type: ignore[arg-type]
