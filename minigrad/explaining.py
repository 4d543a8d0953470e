"""What the rewrites did to a graph, what is left to do at each step, and what stood in the way of doing less.

    found = explained(graph)               what `graph.explain()` and `f.explain(*args)` return
    print(found)                           a page: the rewrites, the costs of a step, the obstacles
    found.before, found.after              costs of the graph as it was traced, and as it is run
    found.rewrites[3].did                  ("4 products became one: h @ w_h of forget, input, output, candidate",)
    found.reasons                          why rules did not apply
    found.shares                           what the time goes to: {"products": 0.4, "entries": 0.4, "calls": 0.2}

All numbers are counted from shapes; only times are rules of thumb.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .counting import Costs, costs
from .graph import Graph, depending_on, with_steps
from .nodes import Node
from .obstacles import Reason, obstacles, products_in_loops
from .phrases import count_text, listed, short_names, size_text
from .rewrites import merge_loops, stages
from .work import Work, total

__all__ = ["Explanation", "Rewrite", "explained"]

WIDTH = 110  # of a line
LINES = 2  # of what a rewrite did are shown


class Speeds(NamedTuple):
    """Rules of thumb for one core of a present-day processor: in seconds, or a second's worth."""

    call: float = 0.5e-6  # of a NumPy function, before it computes anything
    view: float = 0.1e-6
    bytes_per_second: float = 40e9  # read or written, in the caches
    flops: Mapping[int, float] = {4: 80e9, 8: 40e9}  # of a product, by itemsize
    function: Mapping[int, float] = {4: 0.5e-9, 8: 2e-9}  # of one entry, exp and the like


SPEEDS = Speeds()


class Rewrite(NamedTuple):
    """One pass: its name, what it did in words, and what the graph cost before and after."""

    name: str
    did: tuple[str, ...]
    before: Costs
    after: Costs


class Explanation(NamedTuple):
    """What `graph.explain()` found; printed, it is a page of text.

    `before` and `after` are the costs of the graph as it was traced and as it is run, `rewrites` all passes in the
    order in which they were taken, `reasons` what kept rules from applying, `without` the passes that were left out.
    """

    before: Costs
    after: Costs
    rewrites: tuple[Rewrite, ...]
    reasons: tuple[Reason, ...]
    without: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """About how long a call takes, by rules of thumb."""
        return sum(self._seconds().values())

    @property
    def shares(self) -> dict[str, float]:
        """What part of that time products take, going over entries, and calling NumPy's functions at all."""
        seconds = self._seconds()
        return {name: value / (sum(seconds.values()) or 1.0) for name, value in seconds.items()}

    def _seconds(self) -> dict[str, float]:
        levels = [(self.after.outside, 1), *[(loop.kinds, loop.steps) for loop in self.after.loops]]
        found = {"products": 0.0, "entries": 0.0, "calls": 0.0}
        for kinds, times in levels:
            for kind, work in kinds.items():
                computing = _seconds_of(kind, work, self.after.itemsize)
                found["products" if kind == "products" else "entries"] += times * computing
                found["calls"] += times * _seconds_of_calls(work)
        return found

    def __str__(self) -> str:
        return "\n".join([*self._passes(), "", *self._what_is_left(), "", *self._in_the_way()])

    def _passes(self) -> Iterator[str]:
        yield _row("", "products", "passes", "flops", "moved", "buffers", "memory")
        yield _row("as traced", *_numbers(self.before))
        for rewrite in self.rewrites:
            if rewrite.did:
                was, now = _numbers(rewrite.before), _numbers(rewrite.after)
                yield _row(rewrite.name, *["." if a == b else b for a, b in zip(was, now, strict=True)])
                yield from [f"    {line}" for line in rewrite.did[:LINES]]
        yield _row("as it is run", *_numbers(self.after))
        if self.without:
            yield f"left out: {', '.join(self.without)}"

    def _what_is_left(self) -> Iterator[str]:
        yield _row("what is left", "calls", "views", "flops", "moved", "about")
        for loop in self.after.loops:
            yield from self._table(f"{loop}; each", loop.kinds)
        yield from self._table("outside of loops, once", self.after.outside)
        words = {"products": "products", "entries": "going over entries", "calls": "calling NumPy's functions"}
        largest_first = sorted(self.shares.items(), key=lambda item: -item[1])
        said = [f"{share:.0%} {words[name]}" for name, share in largest_first]
        yield f"in all about {_time(self.seconds)}: {', '.join(said)}"
        size = self.after.itemsize
        yield (
            f"    (by rule of thumb: {SPEEDS.call * 1e6:.1g} µs a call, {SPEEDS.view * 1e6:.1g} a view,"
            f" {SPEEDS.bytes_per_second / 1e9:.0f} GB/s, {SPEEDS.flops[size] / 1e9:.0f} GFLOP/s in products,"
            f" {SPEEDS.function[size] * 1e9:.1g} ns an entry of exp and the like)"
        )

    def _table(self, title: str, kinds: Mapping[str, Work]) -> Iterator[str]:
        works = {kind: work for kind, work in kinds.items() if work.calls}
        views = Work(views=sum(work.views for work in kinds.values()))
        works = {**{kind: work._replace(views=0) for kind, work in works.items()}, "views": views}
        yield f"  {title}"
        times = {kind: self._about(kind, work) for kind, work in works.items()}
        for kind, work in sorted(works.items(), key=lambda item: -times[item[0]]):
            if work.calls or work.views:
                yield _row(f"    {kind}", *_columns(work), _time(times[kind]))
        yield _row("    together", *_columns(total(works.values())), _time(sum(times.values())))

    def _about(self, kind: str, work: Work) -> float:
        return _seconds_of(kind, work, self.after.itemsize) + _seconds_of_calls(work)

    def _in_the_way(self) -> Iterator[str]:
        yield "what stood in the way"
        if not self.after.loops:
            yield "    there is no loop in this graph, and all rewrites but simplify are about loops"
        for reason in self.reasons:
            yield from _wrapped(f"{reason.rule}: {reason}")


def explained(graph: Graph, without: Iterable[str] | str = ()) -> Explanation:
    """What the rewrites do to a graph, but those named in `without`, and what is left when they are done.

    >>> import minigrad as mg, numpy as np
    >>> def last(w, h):
    ...     return mg.scan(lambda h, _: (mg.tanh(h @ w[0]) * mg.tanh(h @ w[1]), None), h, length=10)[0]
    >>> found = mg.trace(last, np.ones((2, 3, 3)), np.ones((1, 3))).explain()
    >>> found.before.products, found.after.products
    (20, 10)
    >>> found.reasons[0].why
    'stays in the loop: h is the carry'

    Raises ArgumentError for a rewrite that there is not.
    """
    without = (without,) if isinstance(without, str) else tuple(without)
    traced = now = merge_loops(graph)
    before = at_first = costs(now)
    rewrites = []
    for name, made in stages(now, without):
        after = before if made is now else costs(made)
        rewrites.append(Rewrite(name, tuple(_changes(now, made, traced)) if made is not now else (), before, after))
        now, before = made, after
    return Explanation(at_first, before, tuple(rewrites), tuple(obstacles(now, traced, without)), without)


# ----------------------------------------------------------------------------------------------------- what was done


def _changes(before: Graph, after: Graph, traced: Graph) -> Iterator[str]:
    """What is different, in words; nothing where the graph is the same but for the order of its nodes."""
    was, now = products_in_loops(before, traced), products_in_loops(after, traced)
    known = {p.key for p in was}
    for product in now:
        if len(product.written) > 1 and product.key not in known:
            yield f"{len(product.written)} products became one: {product}"
    staying = {v for product in now for v in product.written}
    gone = [product for product in was if product.is_known and not staying.intersection(product.written)]
    for product in gone[:4]:
        yield f"{product} leaves the loop: {product.looped.loop.length:,} steps at once"
    yield from _sums_gone(before, after)
    for title, count in (("in loops", _inside), ("outside", _outside), ("in loops, without need of a carry", _free)):
        counts = count(before), count(after)
        if counts[0] != counts[1] and not (count is _free and _inside(before) != _inside(after)):
            yield f"{title}: {_differences(*counts)}"


def _sums_gone(before: Graph, after: Graph) -> Iterator[str]:
    # carries that are no longer carried
    there = {x for loop in _loops(after) for x in loop.graph.inputs[: loop.carries]}
    for loop in _loops(before):
        gone = [x.name or "carry" for x in loop.graph.inputs[: loop.carries] if x not in there]
        if gone and len(gone) < len(loop.graph.inputs):
            names = short_names(gone)[0]
            some = f"{len(gone)} carries leave" if len(gone) > 1 else "a carry leaves"
            yield f"{some} the loop of {loop.length:,} steps: {listed(names)}"


class _Loop(NamedTuple):
    graph: Graph
    carries: int
    slices: int
    length: int


def _loops(graph: Graph) -> list[_Loop]:
    nodes = [node for node in with_steps(graph) if node.shape is None]
    return [_Loop(loop.graph, loop.carries, loop.slices, loop.length) for loop in (n.params["loop"] for n in nodes)]


def _inside(graph: Graph) -> Counter[str]:
    # how often each operation stands in loops, and what enters and leaves these
    found = _operations(set(with_steps(graph)) - set(graph.nodes))
    for loop in _loops(graph):
        found["slice"] += loop.slices
        found["stack kept"] += len(loop.graph.outputs) - loop.carries
    return +found


def _outside(graph: Graph) -> Counter[str]:
    return _operations(graph.nodes) + Counter(loop=len(_loops(graph)))


def _free(graph: Graph) -> Counter[str]:
    # those in loops that are made from no carry
    carried = {v for loop in _loops(graph) for v in _made_from_carries(loop)}
    return _operations(v for loop in _loops(graph) for v in loop.graph.nodes if v not in carried)


def _made_from_carries(loop: _Loop) -> list[Node]:
    return depending_on(loop.graph.inputs[: loop.carries], loop.graph.outputs)


def _operations(nodes: Iterable[Node]) -> Counter[str]:
    return Counter(v.primitive.name for v in nodes if v.inputs and v.shape is not None and not v.primitive.view)


def _differences(before: Counter[str], after: Counter[str], most: int = 6) -> str:
    changed = [name for name in {**before, **after} if before[name] != after[name]]
    changed.sort(key=lambda name: (-abs(before[name] - after[name]), name))
    shown = [f"{name} {before[name]} -> {after[name]}" for name in changed[:most]]
    return ", ".join(shown) + (f" and {len(changed) - most} more kinds" if len(changed) > most else "")


# -------------------------------------------------------------------------------------------------------------- time


def _seconds_of(kind: str, work: Work, itemsize: int) -> float:
    # of computing alone
    reading = work.moved / SPEEDS.bytes_per_second
    if kind == "products":
        return max(work.product_flops / SPEEDS.flops[itemsize], reading)
    return reading + work.functions * SPEEDS.function[itemsize]


def _seconds_of_calls(work: Work) -> float:
    return work.calls * SPEEDS.call + work.views * SPEEDS.view


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


# ------------------------------------------------------------------------------------------------------------- lines


def _numbers(found: Costs) -> list[str]:
    counts = [count_text(n) for n in (found.products, found.passes, found.flops)]
    return [*counts, size_text(found.moved), str(found.buffers), size_text(found.memory)]


def _columns(work: Work) -> list[str]:
    return [count_text(work.calls), count_text(work.views), count_text(work.flops), size_text(work.moved)]


def _row(title: str, *cells: str) -> str:
    return f"{title:<24}" + "".join(f"{cell:>11}" for cell in cells)


def _wrapped(text: str) -> Iterator[str]:
    # lines that are no longer than WIDTH, the later ones indented
    line = "   "
    for word in text.split(" "):
        if len(line) + len(word) >= WIDTH:
            yield line
            line = "       "
        line += f" {word}"
    yield line
