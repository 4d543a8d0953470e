"""Times that can be compared: contestants take turns in one process, round by round, and ratios are taken in a round.

    times = take_turns({"a": f, "b": g}, seconds=2)        {"a": [seconds a call, by round], ...}
    spread(ratios(times["b"], times["a"]))                 (median, lower quartile, upper quartile)

Turns of a hundredth of a second, many times over, meet the same noise on both sides; the order changes every round.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Spread", "ratios", "spread", "take_turns"]

TURN = 0.01  # seconds of one turn, or one call where that is longer
FEWEST, MOST = 5, 400  # rounds


class Spread(NamedTuple):
    """The median and the quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of some numbers."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def ratios(times: Sequence[float], yardstick: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(times, yardstick, strict=True)]


def _turn(call: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count


def take_turns(
    calls: Mapping[str, Callable[[], object]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds a call of each, one number a round, for about `seconds` in all, and five rounds at least."""
    counts = {}
    for name, call in calls.items():
        _turn(call, 1, clock)  # what is compiled or allocated at the first call
        counts[name] = max(1, round(TURN / max(_turn(call, 1, clock), 1e-9)))
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in calls}
    end, rounds = time.perf_counter() + seconds, 0
    gc.collect()
    gc.disable()  # or the garbage of one is the time of another; what has cycles would grow, so once a round by hand
    try:
        while rounds < FEWEST or (rounds < MOST and time.perf_counter() < end):
            for name in names[rounds % len(names) :] + names[: rounds % len(names)]:
                times[name].append(_turn(calls[name], counts[name], clock))
            rounds += 1
            gc.collect()
    finally:
        gc.enable()
    return times
