"""Functions that run as generated NumPy source, traced once for each structure, shapes and dtypes.

    f = compile(fn)
    f(x, w)                                the first call traces and generates, later ones run what was made
    f.cache_info()                         hits, misses, how many are kept, seconds spent on making them
    f.source(x, w)                         the source that such a call runs
    f.explain(x, w)                        how it came to be so, what it costs, and what stood in the way of less

Any number of threads may call one compiled function. The first to come with new shapes traces, the others who come
with the same ones wait for it; but a thread that is tracing waits for nobody, so none can wait for each other in a
circle, whatever compiled functions call whatever compiled functions.
"""

from __future__ import annotations

import functools
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import ArgumentError, MinigradError, RetraceWarning, explain, user_line
from .evaluation import run_graph
from .explaining import Explanation, explained
from .graph import Graph
from .nodes import Node
from .pytree import Structure, is_fixed, sign, tree_map
from .rewrites import PASSES, merge_loops
from .source import generate
from .specialising import specialised
from .tracing import call_on_symbols, flatten_arguments, parameter_names, symbols_like, trace
from .transforms import finish

__all__ = ["CacheInfo", "Compiled", "compile"]

MANY = 16  # so many traces, more than calls that needed none, and most of the time: then retracing dominates


class CacheInfo(NamedTuple):
    """What a compiled function has done so far.

    hits: calls that found what they need; misses: calls that traced; currsize: how many traces are kept (there is no
    limit); seconds: time spent on tracing and generating.
    """

    hits: int
    misses: int
    currsize: int
    seconds: float


class _Made(NamedTuple):
    """What one set of structure, shapes and dtypes was made into: `run(*leaves)` gives the leaves of the result."""

    run: Callable[..., Sequence[Any]]
    result: Structure
    arguments: Structure
    leaves: tuple[tuple[str, Any, Any], ...]  # path, shape, dtype


class _Here(threading.local):
    """Whether this thread is tracing for a compiled function."""

    tracing: bool = False


_here = _Here()


class Compiled:
    """What `compile` returns: a function, traced once for each structure, shapes and dtypes that it is called with."""

    def __init__(
        self, fn: Callable[..., Any], check_finite: bool = False, without: tuple[str, ...] = (), in_loop: bool = False
    ) -> None:
        functools.update_wrapper(self, fn)
        self._fn, self._check_finite, self._without, self._in_loop = fn, check_finite, without, in_loop
        self._name: str = getattr(fn, "__name__", "compiled")
        self._lock = threading.Lock()  # for the counters and `_turns`; held for moments only
        self._turns: dict[Any, threading.Lock] = {}  # held while a key's trace is made
        self._warned = False
        self.cache_clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What `fn` returns for these arguments, as arrays; inside a trace, as nodes."""
        leaves: list[Any] = []
        key = self._key(args, kwargs, leaves)
        made = self._made.get(key)
        if made is None:
            if any(isinstance(leaf, Node) for leaf in leaves):
                return self._fn(*args, **kwargs)
            made = self._make_once(key, args, kwargs)
        else:
            with self._lock:
                self._hits += 1
        return made.result.rebuild(made.run(*leaves))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        return Compiled, (self._fn, self._check_finite, self._without, self._in_loop)

    def given(self, *first: Any, copy: bool = False) -> Callable[..., Any]:
        """The function of the other arguments, where these stay the same objects: `f.given(a)(b)` is `f(a, b)`.

        What is written into their arrays counts at the next call. It is faster where they cannot change in other ways:
        where they are tuples and frozen dataclasses of arrays. With `copy` they are taken as they are now, so nothing
        that changes later counts, and what depends on them alone is computed once.
        """
        if copy:
            return _Given(self, tree_map(_copied, first), copied=True)
        return _Given(self, first) if is_fixed(first) else functools.partial(self, *first)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any]) -> tuple[Any, ...]:
        parts: list[Any] = []
        try:
            sign(args, leaves, parts)
            if kwargs:
                parts.append(tuple(kwargs))
                sign(kwargs.values(), leaves, parts)
        except MinigradError:
            flatten_arguments(self._fn, args, kwargs)  # raises the same, and knows what the argument is called
            raise
        return tuple(parts)

    # ---- making

    def _make_once(self, key: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Made:
        if _here.tracing:
            return self._make(key, args, kwargs)
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            made = self._made.get(key)
            if made is not None:
                with self._lock:
                    self._hits += 1
                return made
            _here.tracing = True
            try:
                made = self._make(key, args, kwargs)
            finally:
                _here.tracing = False
        with self._lock:
            self._turns.pop(key, None)
        return made

    def _make(self, key: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Made:
        start = time.perf_counter()
        with self._lock:
            self._misses += 1
        try:
            made = self._traced(args, kwargs)
        finally:
            end = time.perf_counter()
            with self._lock:
                self._seconds += end - start
        kept = self._made.setdefault(key, made)
        self._warn_of_retracing(start, end)
        return kept

    def _traced(self, args: tuple[Any, ...], kwargs: dict[str, Any], known: int = 0) -> _Made:
        # of the first leaves, `known` will always have the values that they have now: `run` is of the others
        pairs, structure = flatten_arguments(self._fn, args, kwargs)
        symbols = symbols_like(pairs)
        results, out_structure = call_on_symbols(self._fn, symbols, structure)
        graph = Graph(symbols, [node for _, node in results], structure, out_structure)
        run: Callable[..., Sequence[Any]]
        first: Sequence[Any] = [leaf for _, leaf in pairs[:known]]
        if graph.free:  # from a trace around this one
            run = lambda *leaves: finish(graph.outputs, graph.inputs, leaves)  # noqa: E731
        elif self._check_finite:
            merged = merge_loops(graph)
            run = lambda *leaves: run_graph(merged, leaves, check_finite=True)  # noqa: E731
        else:
            if known:
                source, first = specialised(graph, [leaf for _, leaf in pairs[:known]], self._name, self._without)
            else:
                source = generate(graph, self._name, self._without, self._in_loop)
            run = source.run if all(type(leaf) is np.ndarray for _, leaf in pairs) else source
        run = functools.partial(run, *first) if first else run
        leaves = tuple((path, node.shape, node.dtype) for (path, _), node in zip(pairs, symbols, strict=True))
        return _Made(run, out_structure, structure, leaves)

    # ---- what was done

    def cache_info(self) -> CacheInfo:
        """How many calls found what they need, how many traced, how many traces are kept, and the seconds they took.

        >>> import minigrad as mg, numpy as np
        >>> f = mg.compile(mg.tanh)
        >>> for n in (2, 3, 2, 2):
        ...     y = f(np.ones(n))
        >>> f.cache_info()[:3]
        (2, 2, 2)
        """
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._made), self._seconds)

    def cache_clear(self) -> None:
        """Forget all traces, and count from 0 again."""
        with self._lock:
            self._made: dict[Any, _Made] = {}
            self._hits, self._misses = 0, 0
            self._seconds = self._since = 0.0

    def _warn_of_retracing(self, start: float, end: float) -> None:
        with self._lock:
            self._since = self._since or start
            elapsed = end - self._since
            dominates = len(self._made) >= MANY and self._misses > self._hits and self._seconds > elapsed / 2
            if self._warned or not dominates:
                return
            self._warned = True
            calls, traces, made = self._hits + self._misses, self._misses, list(self._made.values())
        which, instead = _what_varies(self._fn, made)
        spent = f"{self._seconds:.2g} of {elapsed:.2g} s"
        problem = f"{self._name} was traced {traces} times in {calls} calls, which took {spent}: {which}"
        origin = user_line()
        place = (origin.filename, origin.line) if origin else ("minigrad", 0)
        warnings.warn_explicit(explain("compile", problem, instead=instead), RetraceWarning, *place)

    def trace(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that a call with these arguments runs, before it is simplified."""
        return trace(self._fn, *args, **kwargs)

    def source(self, *args: Any, **kwargs: Any) -> str:
        """The NumPy source that a call with these arguments runs."""
        return generate(self.trace(*args, **kwargs), self._name, self._without, self._in_loop).text

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What the rewrites did to make that source, what each step of it costs, and what stood in the way of less."""
        return explained(self.trace(*args, **kwargs), self._without)


class _Given:
    """A compiled function whose first arguments were taken apart once, for calls that are counted in microseconds.

    Nobody looks at the shapes and dtypes of their arrays again: NumPy deprecates changing those in place.
    """

    __slots__ = ("_compiled", "_copied", "_first", "_leaves", "_made")

    def __init__(self, compiled: Compiled, first: tuple[Any, ...], copied: bool = False) -> None:
        self._compiled, self._first, self._copied = compiled, first, copied
        self._leaves: list[Any] = []
        self._made: dict[Any, _Made] = {}  # by the key of the other arguments
        sign(first, self._leaves, [])

    def __call__(self, *rest: Any) -> Any:
        leaves: list[Any] = []
        parts: list[Any] = []
        try:
            sign(rest, leaves, parts)
        except MinigradError:
            return self._compiled(*self._first, *rest)  # raises the same, and knows what the argument is called
        made = self._made.get(tuple(parts))
        if made is None:
            if any(isinstance(leaf, Node) for leaf in (*self._leaves, *leaves)):
                return self._compiled(*self._first, *rest)
            made = self._made[tuple(parts)] = self._make((*self._first, *rest))
        return made.result.rebuild(made.run(*leaves))

    def _make(self, args: tuple[Any, ...]) -> _Made:
        if self._copied:
            return self._compiled._traced(args, {}, known=len(self._leaves))
        made = self._compiled._make_once(self._compiled._key(args, {}, []), args, {})
        return made._replace(run=functools.partial(made.run, *self._leaves))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Given, (self._compiled, self._first, self._copied)


def _copied(leaf: Any) -> Any:
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def compile(fn: Callable[..., Any], *, check_finite: bool = False, without: Iterable[str] | str = ()) -> Compiled:
    """A function that runs as generated NumPy source, made at the first call with each structure, shapes and dtypes.

    The results belong to the caller: arrays that share memory with nothing. Arrays that `fn` closes over are copied
    when it is traced, so what changes from call to call has to be an argument. With `check_finite=True` the graph is
    walked node by node instead (slower), and the first node that makes a NaN or an infinity raises NonFiniteError.
    `without` names rewrites to leave out, for study; they stand in `minigrad.rewrites.PASSES`.

    What was made is kept, without a limit; `f.cache_info()` tells how often it served, `f.cache_clear()` drops it.
    RetraceWarning says so, once, where most calls have to trace because a shape keeps changing.

    Raises ArgumentError for what is no function and for a rewrite that there is not.

    >>> import minigrad as mg, numpy as np
    >>> f = mg.compile(lambda x, w: mg.tanh(x @ w))
    >>> f(np.ones(2), np.zeros((2, 3))).tolist()
    [0.0, 0.0, 0.0]
    """
    if not callable(fn):
        raise ArgumentError(explain("compile", f"expected a function, got {type(fn).__name__}"))
    without = (without,) if isinstance(without, str) else tuple(without)
    unknown = [name for name in without if name not in PASSES]
    if unknown:
        problem = f"no rewrite is named {', '.join(map(repr, unknown))}"
        raise ArgumentError(explain("compile", problem, instead=f"one of {', '.join(PASSES)}"))
    if without and check_finite:
        problem = "with check_finite the graph is walked as it was traced, so there is no rewrite to leave out"
        raise ArgumentError(explain("compile", problem, instead="without=, or check_finite=True"))
    return Compiled(fn, check_finite, without)


# ---------------------------------------------------------------------------------------------- what keeps changing


def _what_varies(fn: Callable[..., Any], made: Sequence[_Made]) -> tuple[str, str]:
    """The arguments that came in most kinds, with some of these; and what to write instead."""
    leaves: dict[str, dict[Any, None]] = {}  # path -> the kinds that it came in, in order
    structures: dict[str, dict[Any, None]] = {}
    for one in made:
        for path, shape, dtype in one.leaves:
            leaves.setdefault(path, {})[shape, dtype] = None
        positional, by_keyword = one.arguments.children
        names = [*parameter_names(fn, len(positional.children)), *by_keyword.keys]
        for name, structure in zip(names, (*positional.children, *by_keyword.children), strict=True):
            structures.setdefault(name, {})[repr(structure)] = None
    most = {len(kinds): (path, list(kinds)) for path, kinds in reversed([*structures.items(), *leaves.items()])}
    path, kinds = most[max(most)]
    if path in structures and len(structures[path]) == len(kinds):
        which = f"{path} has been {_some(kinds)}, and is traced anew for each, as all is that is no array and no float"
        instead = (
            f"an array or a float where the values of {path} are only computed with; few different ones where they "
            "decide on shapes or a scan's length; a function made once, outside, and not anew for each call"
        )
        return which, instead
    alike = [other for other, theirs in leaves.items() if len(theirs) == len(kinds)]
    what = ", ".join(alike[:5]) + (f" and {len(alike) - 5} more" if len(alike) > 5 else "")
    shapes, dtypes = list(dict.fromkeys(shape for shape, _ in kinds)), list(dict.fromkeys(dtype for _, dtype in kinds))
    if len(dtypes) >= len(shapes):
        return f"{what} came as {_some(dtypes)}", f"one dtype: {path}.astype({str(dtypes[0])!r})"
    ranks = {len(shape) for shape in shapes}
    axes = [i for i in range(min(ranks)) if len({shape[i] for shape in shapes}) > 1] if len(ranks) == 1 else []
    where = f"axis {', '.join(map(str, axes))} of {what}" if axes else what
    instead = (
        f"pad {where} to a few lengths, powers of two say, and leave out what was added by a mask "
        "(rnn.scan and rnn.unroll take mask= and lengths=)"
    )
    return f"{what} came in {len(shapes)} shapes, {_some(shapes)}, and each is traced anew", instead


def _some(kinds: Sequence[Any]) -> str:
    shown = [text if len(text) <= 40 else f"{text[:37]}..." for text in map(str, kinds[:3])]
    return ", ".join(shown + (["..."] if len(kinds) > 3 else []))
