"""What `compile` keeps: found again by structure, shapes and dtypes, counted, dropped, and warned of where it is in vain."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
import rnn
from minigrad import compiling
from minigrad.errors import RetraceWarning
from minigrad.pytree import flatten, sign
from minigrad.rewrites import PASSES

from .test_pytree import trees

Array = Any


def tenfold(x: Array) -> Array:
    return x * 10.0


@pytest.fixture
def slow_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock by which every trace takes a second, and nothing else any time but what is added to the list."""
    waited: list[float] = []
    seconds = iter(range(1_000_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds) + sum(waited))
    yield waited


# ------------------------------------------------------------------------------------------------------------ keys


def key_of(*trees: Any) -> tuple[list[Any], tuple[Any, ...]]:
    leaves: list[Any] = []
    key: list[Any] = []
    sign(trees, leaves, key)
    return leaves, tuple(key)


def known_to_flatten(tree: Any) -> tuple[Any, ...]:
    """What a key has to tell apart, by way of the structure."""
    leaves, structure = flatten(tree)
    return structure, *[(type(leaf), np.shape(leaf), getattr(leaf, "dtype", None)) for leaf in leaves]


@given(trees(), trees())
def test_keys_are_equal_where_structures_shapes_and_dtypes_are(a: Any, b: Any) -> None:
    for one, other in ((a, b), (a, copy.deepcopy(a)), ((a, b), (b, a)), ([a, b], [[a], b])):
        assert (key_of(one)[1] == key_of(other)[1]) == (known_to_flatten(one) == known_to_flatten(other))
    assert all(x is y for x, y in zip(key_of(a, b)[0], flatten((a, b))[0], strict=True))


class Two(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass
class One:
    a: Any


@dataclasses.dataclass
class Empty:
    pass


X = np.ones(3)
APART = [
    (), (X,), (X, X), ((X, X),), ([X, X],), ([X], X), (X, [X]), ((X,), (X,)), ({"a": X},), ({"b": X},), ({0: X},), ({},), ([],),
    ((),), (None,), (0,), (1,), (True,), (False,), ("",), ("a",), (1.0,), (np.float64(1),), (np.array(1.0),), (X.astype(int),),
    (X.astype("float32"),), (X.astype(">f8"),), (X[:, None],), (X[None],), (np.ones((3, 3)),), (Two(X, X),), (Two(X, [X]),),
    (One(X),), (One([X]),), (One((X, X)),), (Empty(),), (Empty(), X), ([Empty()], X), (np.tanh,), (np.sin,), (np.float32,),
    (np.dtype("f4"),), (slice(3),), (slice(0, 3),), (..., ), (range(3),), (b"a",), ({"a": X, "b": X},), ({"b": X, "a": X},),
    ((3,), X), (3, X), ([3], X),
]  # fmt: skip


def test_different_arguments_have_different_keys() -> None:
    keys = {key_of(*arguments)[1]: arguments for arguments in APART}
    assert len(keys) == len(APART)


def test_a_class_that_is_met_for_the_first_time_has_the_key_that_it_will_have() -> None:
    @dataclasses.dataclass
    class Fresh:
        a: Any

    class Pair(NamedTuple):
        a: Any
        b: Any

    tree = ([Fresh(X)], Pair(Fresh(Pair(1.0, X)), {"a": X}))
    (leaves, key), (again, same) = key_of(tree), key_of(tree)
    assert key == same
    assert all(x is y for x, y in zip(leaves, again, strict=True))


def test_positional_and_keyword_arguments_are_told_apart() -> None:
    calls: list[Any] = []

    def f(*args: Any, **kwargs: Any) -> Array:
        calls.append((len(args), list(kwargs)))
        return mg.tanh(mg.tree_leaves((args, kwargs))[0])

    compiled = mg.compile(f)
    for _ in range(2):
        compiled(X, X)
        compiled(X, b=X)
        compiled(a=X, b=X)
        compiled(X, c=X)
        compiled((X, X))
        compiled(X, {"b": X})
    assert calls == [(2, []), (1, ["b"]), (0, ["a", "b"]), (1, ["c"]), (1, []), (2, [])]


def test_a_wrong_argument_is_named_in_each_call() -> None:
    compiled = mg.compile(lambda weights, more=None: weights)
    for _ in range(2):
        with pytest.raises(mg.errors.StructureError, match=r"weights\['a'\]: builtins.set"):
            compiled({"a": {1.0}})
        with pytest.raises(mg.errors.StructureError, match=r"more: builtins.set"):
            compiled(X, more={1.0})
        with pytest.raises(mg.errors.DtypeError, match="'weights'.* complex"):
            compiled(1j)
        with pytest.raises(mg.errors.DtypeError, match=r"weights\['a'\]: masked"):
            compiled({"a": np.ma.masked_array(X)})
    assert compiled.cache_info().currsize == 0


# --------------------------------------------------------------------------------------------------------- counting


def test_calls_are_counted() -> None:
    compiled = mg.compile(tenfold)
    assert compiled.cache_info() == (0, 0, 0, 0.0)
    for n in (2, 3, 2, 2):
        compiled(np.ones(n))
    info = compiled.cache_info()
    assert (info.hits, info.misses, info.currsize) == (2, 2, 2)
    assert 0 < info.seconds < 60
    assert mg.compile(tenfold).cache_info().misses == 0, "each compiled function counts for itself"


def test_calls_inside_a_trace_are_not_counted() -> None:
    inner = mg.compile(tenfold)
    outer = mg.compile(lambda x: inner(inner(x)))
    assert outer(1.0) == 100.0
    assert mg.grad(inner)(1.0) == 10.0
    assert inner(mg.symbol("x")).shape == ()
    assert inner.cache_info()[:3] == (0, 0, 0)


def test_a_call_that_fails_is_a_miss_and_keeps_nothing() -> None:
    compiled = mg.compile(lambda x: x + np.ones(4))
    for _ in range(2):
        with pytest.raises(mg.errors.ShapeError):
            compiled(X)
    assert compiled.cache_info()[:3] == (0, 2, 0)
    assert compiled(np.ones(4)).tolist() == [2, 2, 2, 2]


def test_clearing_forgets_everything() -> None:
    traced = 0

    def f(x: Array) -> Array:
        nonlocal traced
        traced += 1
        return x * 2.0

    compiled = mg.compile(f)
    for _ in range(2):
        compiled(X), compiled(X)
        assert compiled.cache_info()[:3] == (1, 1, 1)
        compiled.cache_clear()
        assert compiled.cache_info() == (0, 0, 0, 0.0)
    assert traced == 2


def test_a_compiled_method_gets_its_instance() -> None:
    @dataclasses.dataclass
    class Line:
        slope: Any

        @mg.compile
        def at(self, x: Array) -> Array:
            return self.slope * x

    assert [Line(2.0).at(3.0), Line(4.0).at(3.0), Line.at(Line(5.0), 3.0)] == [6.0, 12.0, 15.0]
    assert Line.at.cache_info()[:3] == (2, 1, 1)


def test_copies_and_pickles_start_afresh() -> None:
    compiled = mg.compile(tenfold, without=["simplify"])
    compiled(1.0)
    for again in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert again.cache_info().currsize == 0
        assert again(2.0) == 20.0
        assert again.source(X) == compiled.source(X)
    net = rnn.Stateful(rnn.RNNCell.init(2, 3, rng=0))
    net.step(np.ones(2))
    twin = copy.deepcopy(net)
    assert np.array_equal(net.step(np.ones(2)), twin.step(np.ones(2)))


def test_what_varies_by_static_argument_gives_what_each_says() -> None:
    power = mg.compile(lambda x, n: x**n)
    assert [float(power(2.0, n)) for n in (1, 2, 3, 2, True)] == [2, 4, 8, 4, 2]
    assert power.cache_info()[:3] == (1, 4, 4)


# ------------------------------------------------------------------------------------------------ rewrites left out


def test_rewrites_can_be_left_out_by_name() -> None:
    def f(x: Array) -> Array:
        return x * 1.0 + mg.tanh(x) * mg.tanh(x)

    whole, without = mg.compile(f), mg.compile(f, without=["simplify"])
    assert np.array_equal(whole(X), without(X))
    assert whole.source(X).count("np.tanh") == 1
    assert without.source(X).count("np.tanh") == 2
    assert mg.compile(f, without="simplify").source(X) == without.source(X)
    assert mg.compile(f, without=tuple(PASSES)).source(X).count("np.tanh") == 2


@pytest.mark.parametrize("name", PASSES)
def test_each_rewrite_may_be_left_out(name: str) -> None:
    cell, xs = rnn.LSTMCell.init(3, 4, rng=0), np.random.default_rng(0).normal(size=(5, 2, 3))
    loss = mg.value_and_grad(lambda cell, xs: mg.sum(rnn.scan(cell, xs)[0][-1] ** 2))
    plain, found = loss(cell, xs), mg.compile(loss, without=[name])(cell, xs)
    for a, b in zip(mg.tree_leaves(plain), mg.tree_leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_what_is_no_rewrite_is_refused_at_once() -> None:
    with pytest.raises(mg.errors.ArgumentError, match=r"(?s)no rewrite is named 'tidy', 'sing'.*one of .*simplify"):
        mg.compile(tenfold, without=["simplify", "tidy", "sing"])
    with pytest.raises(mg.errors.ArgumentError, match="no rewrite is named 'simple'"):
        mg.compile(tenfold, without="simple")
    with pytest.raises(mg.errors.ArgumentError, match="check_finite"):
        mg.compile(tenfold, without=["simplify"], check_finite=True)
    with pytest.raises(mg.errors.ArgumentError, match="expected a function, got int"):
        mg.compile(3)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------- the warning


def test_retracing_that_dominates_is_warned_of_by_the_real_clock() -> None:
    compiled = mg.compile(mg.grad(lambda x: mg.sum(mg.tanh(mg.sin(x) * x) ** 2)))
    with pytest.warns(RetraceWarning):
        for n in range(300):  # a busy machine may stop us for longer than a trace takes, but not each time
            compiled(np.ones(n))


def warned(f: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        f()
    assert all(one.category is RetraceWarning for one in found)
    return [str(one.message) for one in found]


def test_many_lengths_are_warned_of_once_with_the_argument_and_the_way_out(slow_traces: list[float]) -> None:
    cell = rnn.RNNCell.init(2, 3, rng=0)
    compiled = mg.compile(lambda cell, scale, xs: scale * mg.sum(rnn.scan(cell, xs)[0]))

    def train() -> None:
        for n in range(1, 40):
            compiled(cell, 2.0, np.ones((n, 1, 2)))

    (text,) = warned(train)
    assert "<lambda> was traced 16 times in 16 calls" in text
    assert "xs came in 16 shapes, (1, 1, 2), (2, 1, 2), (3, 1, 2), ..." in text
    assert re.search(r"instead: pad axis 0 of xs to a few lengths.* mask.*rnn\.scan.* lengths=", text)
    assert "test_compile_cache.py" in text
    compiled.cache_clear()
    assert warned(train) == [], "once for each function"


def test_the_warning_points_to_the_line_of_the_call(slow_traces: list[float]) -> None:
    compiled = mg.compile(tenfold)
    with pytest.warns(RetraceWarning) as found:
        for n in range(20):
            compiled(np.ones(n))  # here
    (one,) = found
    assert one.filename == __file__
    with open(__file__) as source:
        assert source.read().splitlines()[one.lineno - 1].endswith("# here")


def test_as_an_error_the_warning_leaves_the_function_whole(slow_traces: list[float]) -> None:
    compiled = mg.compile(tenfold)
    with warnings.catch_warnings(), pytest.raises(RetraceWarning):
        warnings.simplefilter("error")
        for n in range(20):
            compiled(np.ones(n))
    assert compiled(np.ones(n)).shape == (n,)
    assert compiled(np.ones(30)).shape == (30,)


def varying(*calls: tuple[Any, ...]) -> str:
    compiled = mg.compile(lambda x, y=0.0, *rest, option=None: mg.tree_leaves(x)[0] * 2.0)
    (text,) = warned(lambda: [compiled(*call[:-1], option=call[-1]) for call in calls])
    return text


def test_the_warning_names_what_varies(slow_traces: list[float]) -> None:
    sizes = range(1, 17)
    assert re.search(r"pad axis 0 of x to", varying(*[(np.ones(n), X, None) for n in sizes]))
    assert re.search(r"pad axis 1 of y to", varying(*[(X, np.ones((2, n)), None) for n in sizes]))
    assert re.search(r"pad axis 0, 1 of rest2 to", varying(*[(X, X, np.ones((n, 2 * n)), None) for n in sizes]))
    assert re.search(r"x, y\['a'\] came in 16", varying(*[(np.ones(n), {"a": np.ones(n)}, None) for n in sizes]))
    assert re.search(r"y came in 16", varying(*[(np.ones(n % 3), np.ones(n), None) for n in sizes]))
    assert re.search(r"pad x to a few", varying(*[(np.ones((1,) * n), X, None) for n in sizes]))
    assert re.search(r"(?s)y has been 1, 2, 3, \.\.\..*an array or a float", varying(*[(X, n, None) for n in sizes]))
    assert re.search(r"option has been <function .*, \.\.\.", varying(*[(X, X, lambda: None) for n in sizes]))
    assert re.search(r"x has been \[\*\], \[\*, \*\], ", varying(*[([X] * n, X, None) for n in sizes]))


def test_the_warning_names_a_dtype_that_varies(slow_traces: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "MANY", 3)
    text = varying(*[(X.astype(kind), X, None) for kind in ("float32", "float64", "int64")])
    assert "x came as float32, float64, int64" in text
    assert "x.astype('float32')" in text


def test_no_warning_where_most_calls_find_what_they_need(slow_traces: list[float]) -> None:
    compiled = mg.compile(tenfold)

    def epochs() -> None:
        for n in range(40):
            for _ in range(3):
                compiled(np.ones(n))

    assert warned(epochs) == []


def test_no_warning_where_the_time_goes_elsewhere(slow_traces: list[float]) -> None:
    compiled = mg.compile(tenfold)

    def evaluate() -> None:
        for n in range(40):
            compiled(np.ones(n))
            slow_traces.append(1.1)

    assert warned(evaluate) == []
    slow_traces.append(-sum(slow_traces))
    assert len(warned(lambda: compiled(np.ones(100)))) == 1


def test_no_warning_for_a_few_shapes(slow_traces: list[float]) -> None:
    compiled = mg.compile(tenfold)
    assert warned(lambda: [compiled(np.ones(n)) for n in range(compiling.MANY - 1)]) == []
