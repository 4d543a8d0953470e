"""Many threads and one compiled function: right answers, one trace for each shape, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import rnn

Array = Any
PATIENCE = 60.0  # seconds; whoever is not done by then waits for ever


def together(*works: Callable[[], Any]) -> list[Any]:
    """What each gives, called in a thread of its own, all at the same moment; an exception is what it gives too."""
    start = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(i: int) -> None:
        start.wait(PATIENCE)
        try:
            results[i] = works[i]()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(works))]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    assert [i for i, thread in enumerate(threads) if thread.is_alive()] == [], "these wait for ever"
    return results


def loss(cell: Any, xs: Array) -> Array:
    hs, _ = rnn.scan(cell, xs)
    return mg.sum(hs[-1] ** 2)


# -------------------------------------------------------------------------------------------------------- answers


def test_eight_threads_get_eight_answers_from_one_trace() -> None:
    traces: list[int] = []

    def f(x: Array) -> Array:
        traces.append(threading.get_ident())
        time.sleep(0.05)  # long enough for all to come
        return mg.sum(mg.tanh(x) ** 2)

    compiled = mg.compile(mg.grad(f))
    xs = [np.full(5, float(n)) for n in range(8)]
    for x, found in zip(xs, together(*[lambda x=x: compiled(x) for x in xs])):
        np.testing.assert_allclose(found, 2 * np.tanh(x) * (1 - np.tanh(x) ** 2), rtol=1e-12)
    assert len(traces) == 1
    assert compiled.cache_info()[:3] == (7, 1, 1)


def test_threads_with_different_shapes_do_not_wait_for_each_other() -> None:
    all_are_tracing = threading.Barrier(8)

    def f(x: Array) -> Array:
        all_are_tracing.wait(PATIENCE)
        return x * 2.0

    compiled = mg.compile(f)
    found = together(*[lambda n=n: compiled(np.ones(n)) for n in range(8)])
    assert [list(a) for a in found] == [[2.0] * n for n in range(8)]
    assert compiled.cache_info()[:3] == (0, 8, 8)


@pytest.mark.parametrize("kind", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
@pytest.mark.parametrize("hidden", [4, 100])  # with larger ones NumPy lets the other threads run meanwhile
def test_gradients_from_many_threads_are_those_of_one(kind: Any, hidden: int) -> None:
    gradient = mg.value_and_grad(loss)
    rng = np.random.default_rng(0)
    cases = []
    for n in range(8):
        cell = kind.init(3, hidden, rng=n)
        cases.append((cell, rng.normal(size=(3 + n % 2, 8, 3))))
    alone = mg.compile(gradient)
    expected = [mg.tree_leaves(alone(*case)) for case in cases]
    compiled = mg.compile(gradient)

    def work(n: int) -> list[Any]:
        return [mg.tree_leaves(compiled(*cases[i % 8])) for i in range(n, n + 16)]

    for n, found in enumerate(together(*[lambda n=n: work(n) for n in range(8)])):
        for i, leaves in enumerate(found):
            for a, b in zip(leaves, expected[(n + i) % 8], strict=True):
                assert np.array_equal(a, b)
    assert compiled.cache_info()[:3] == (8 * 16 - 2, 2, 2)


def test_results_of_different_threads_share_no_memory() -> None:
    compiled = mg.compile(lambda x: mg.scan(lambda h, _: (h * 0.5, h), x, length=3))
    found = together(*[lambda: mg.tree_leaves(compiled(np.ones(4))) for _ in range(8)])
    arrays = [a for leaves in found for a in leaves]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    for a in arrays:
        a[...] = np.nan
    assert np.array_equal(compiled(np.ones(4))[0], np.full(4, 0.125))


def test_transforms_and_loops_in_many_threads() -> None:
    def f(x: Array) -> Array:
        return mg.sum(mg.scan(lambda h, _: (mg.sin(h) * x, None), x, length=4)[0])

    x = np.linspace(0.1, 1.0, 3)
    expected = mg.hessian(f)(x)
    for run in (mg.hessian(f), mg.compile(mg.hessian(f))):
        for found in together(*[lambda run=run: [run(x) for _ in range(3)]] * 8):
            for one in found:
                np.testing.assert_allclose(one, expected, rtol=1e-12)


# ----------------------------------------------------------------------------------------------------------- errors


def test_where_tracing_fails_everybody_gets_the_error_and_the_next_call_works() -> None:
    broken = True

    def f(x: Array) -> Array:
        time.sleep(0.01)
        if broken:
            raise KeyError("not today")
        return x * 3.0

    compiled = mg.compile(f)
    assert [type(one) for one in together(*[lambda: compiled(np.ones(2))] * 8)] == [KeyError] * 8
    assert compiled.cache_info()[:3] == (0, 8, 0)
    broken = False
    assert compiled(np.ones(2)).tolist() == [3.0, 3.0]
    assert [one.tolist() for one in together(*[lambda: compiled(np.ones(2))] * 8)] == [[3.0, 3.0]] * 8


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_where_the_first_trace_fails_the_next_thread_in_the_queue_traces(error: type[BaseException]) -> None:
    attempts = iter(range(100))

    def f(x: Array) -> Array:
        time.sleep(0.02)
        if next(attempts) == 0:
            raise error
        return x * 3.0

    compiled = mg.compile(f)
    found = together(*[lambda: compiled(np.ones(2))] * 8)
    assert sorted(type(one).__name__ for one in found) == sorted([error.__name__, *["ndarray"] * 7])
    assert compiled.cache_info()[:3] == (6, 2, 1)


def test_what_cannot_be_generated_leaves_no_lock_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise mg.errors.AllocationError("full")

    compiled = mg.compile(lambda x: x * 2.0)
    with monkeypatch.context() as patch, pytest.raises(mg.errors.AllocationError):
        patch.setattr("minigrad.compiling.generate", fail)
        compiled(1.0)
    assert together(lambda: compiled(1.0))[0] == 2.0
    assert not compiled._turns


def test_clearing_while_others_trace_and_run() -> None:
    def f(x: Array) -> Array:
        time.sleep(0.001)
        return x * 2.0

    compiled = mg.compile(f)
    work = lambda: [float(compiled(float(n))) for n in range(50)]  # noqa: E731
    *found, _ = together(*[work] * 4, lambda: [(compiled.cache_clear(), time.sleep(0.002)) for _ in range(20)])
    assert found == [[2.0 * n for n in range(50)]] * 4
    assert compiled.cache_info().currsize <= 1


# --------------------------------------------------------------------------------- functions that call each other


def test_a_compiled_function_may_call_compiled_functions() -> None:
    inner = mg.compile(lambda x: mg.exp(x))
    outer = mg.compile(lambda x: inner(x) * np.sum(inner(np.zeros(3))))  # once on nodes, once on an array
    assert [float(one) for one in together(*[lambda: outer(0.0)] * 8)] == [3.0] * 8
    assert inner.cache_info()[:3] == (0, 1, 1)


def test_a_compiled_function_may_call_itself() -> None:
    def factorial(n: int, x: Array) -> Array:
        return x if n < 2 else n * compiled(n - 1, np.ones(())) * x

    compiled = mg.compile(factorial)
    assert [float(one) for one in together(*[lambda: compiled(6, np.ones(()))] * 8)] == [720.0] * 8
    assert compiled(4, np.ones(())) == 24.0


def test_endless_recursion_is_an_error_and_not_a_wait() -> None:
    def endless(x: Array) -> Array:
        return compiled(np.ones(2)) if forever else x

    forever = True
    compiled = mg.compile(endless)
    for _ in range(2):
        with pytest.raises(RecursionError):
            compiled(np.ones(2))
    forever = False
    assert together(lambda: compiled(np.ones(2)))[0].tolist() == [1.0, 1.0]


def test_two_functions_that_call_each_other_in_two_threads_do_not_wait_for_each_other() -> None:
    # each is in the midst of tracing what the other asks for next, and asks for what the other is tracing
    both_are_tracing = threading.Barrier(2)
    depth = threading.local()

    def calls(other: Callable[[], Any]) -> Callable[[Array], Array]:
        def f(x: Array) -> Array:
            depth.value = getattr(depth, "value", 0) + 1
            try:
                if depth.value > 2:
                    return x + 1.0
                if depth.value == 1:
                    both_are_tracing.wait(PATIENCE)
                return x + 1.0 + 0.0 * other()
            finally:
                depth.value -= 1

        return f

    f = mg.compile(calls(lambda: g(np.ones(2))))
    g = mg.compile(calls(lambda: f(np.ones(2))))
    found = together(lambda: f(np.ones(2)), lambda: g(np.ones(2)))
    assert [one.tolist() for one in found] == [[2.0, 2.0]] * 2


def test_many_functions_that_call_each_other_in_a_circle() -> None:
    ring: list[Any] = []

    def member(i: int) -> Callable[[int, Array], Array]:
        def f(n: int, x: Array) -> Array:
            time.sleep(0.001)
            return x if n == 0 else x + ring[(i + 1) % 8](n - 1, np.ones(2))

        return f

    ring += [mg.compile(member(i)) for i in range(8)]
    found = together(*[lambda i=i: ring[i](7, np.ones(2)) for i in range(8)])
    assert [one.tolist() for one in found] == [[8.0, 8.0]] * 8


# ------------------------------------------------------------------------------------------------------- contexts


def test_scopes_and_traces_are_each_threads_own() -> None:
    inside = threading.Barrier(8)

    def work(n: int) -> tuple[list[str], bool, bool]:
        before = mg.nodes.tracing.current()

        def f(x: Array) -> Array:
            with mg.scope(f"t={n}"), mg.scope("gate"):
                inside.wait(PATIENCE)  # all eight are inside their scopes, and inside their traces
                y = mg.tanh(x)
                inside.wait(PATIENCE)
            nonlocal mine
            mine = mg.nodes.tracing.current()
            return y

        mine: object = None
        graph = mg.trace(f, 1.0)
        return [node.scope for node in graph.outputs], before is None, mine is not None

    assert together(*[lambda n=n: work(n) for n in range(8)]) == [([f"t={n}/gate"], True, True) for n in range(8)]


def test_a_trace_in_one_thread_does_not_make_another_thread_trace() -> None:
    tracing, done = threading.Event(), threading.Event()
    compiled = mg.compile(lambda x: x * 2.0)

    def f(x: Array) -> Array:
        tracing.set()
        assert done.wait(PATIENCE)
        return compiled(x)

    def other() -> Any:
        assert tracing.wait(PATIENCE)
        try:
            net = rnn.Stateful(rnn.RNNCell.init(2, 3, rng=0))
            return type(net.step(np.ones(2))), type(compiled(1.0)), mg.nodes.tracing.current()
        finally:
            done.set()

    graph, found = together(lambda: mg.trace(f, 1.0), other)
    assert found == (np.ndarray, np.ndarray, None)
    assert len(graph.outputs) == 1
