"""Truncated backpropagation through time: the numbers of `scan`, and gradients that reach a bounded way back.

    hs, state = truncated(cell, xs, k2=20)             each output's gradient reaches exactly 20 steps
    hs, state = truncated(cell, xs, k1=5, k2=20)       a pass every 5 steps, back through 20
    hs, state = truncated(cell, xs, chunk=20)          chunks of 20; the state is carried over, the gradient is not
    print(truncation_bias(loss, model, xs, k2=20))     how far that is from the full gradient: angle and ratio

The first two are BPTT(k2; k1) of Williams & Peng (1990). The outputs go through any loss, and `mg.grad` of that is the
truncated gradient: what is too old is behind a `stop_gradient`, and the graph shows where.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.pytree import flatten_with_paths

from .flow import log10_norm
from .sequences import Now, prepared, scan, stepping

__all__ = ["Deviation", "TruncationBias", "truncated", "truncation_bias"]

Array = Any
Step = Callable[[Any, Any], tuple[Any, Any]]


def truncated(
    cell: Any, xs: Array, state: Any = None, mask: Array = None, lengths: Array = None, reverse: bool = False, *,
    k1: int | None = None, k2: int | None = None, chunk: int | None = None, checkpoint: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """The outputs and last state of `rnn.scan`, by the same operations; their gradients reach a bounded way back.

    Every `k1` steps, and after the last, the losses of the steps since the pass before are propagated back through
    the `k2` newest steps: BPTT(k2; k1) of Williams & Peng (1990). With s counted from 0 and T steps in all, the output
    of step s belongs to the pass that starts from the end `e = min(k1 * (s // k1 + 1), T)`, and its gradient reaches
    the steps from `max(e - k2, 0)` to s, and the initial state where `e <= k2`. So

    - with `k1=1`, the default, the gradient of each output reaches exactly k2 steps, its own counted;
    - with a larger k1, that of the last output of each pass does, and that of the first one k2 - k1 + 1 steps, for
      k1 times less work: passes take `T / k1 * k2` steps in all;
    - with k2 >= T nothing is cut off, and the gradient is that of `rnn.scan`.

    `chunk=n`, in their place, is what most libraries call truncated BPTT: the sequence is cut into chunks of n steps,
    and the gradient of step s reaches the steps from `s // n * n` to s: early ones in a chunk reach few. It takes T
    steps. As `k1=n, k2=n`, but for the last chunk, which may be shorter.

    xs: (T, batch, input); the rest is as in `rnn.scan`. The gradient of the last state reaches as far as the last
    output's. `checkpoint` counts passes: with `checkpoint=1` only the states that passes start from are kept, and each
    pass is run again for its gradient, which takes memory for k2 steps, not for T / k1 * k2.

    Raises ArgumentError where k1, k2 or chunk is no whole number from 1 on, k1 is larger than k2, or it is not said
    which of the two is meant.

    >>> import rnn
    >>> cell = rnn.RNNCell(rnn.Affine(w_x=np.ones((1, 1)), w_h=np.full((1, 1), 0.5)), activation="identity")
    >>> def last(x): return truncated(cell, x, k2=3)[0][-1].sum()   # h = 0.5 * h + x
    >>> mg.grad(last)(np.ones((6, 1, 1))).ravel().tolist()
    [0.0, 0.0, 0.0, 0.25, 0.5, 1.0]
    """
    k1, k2, in_chunks = _bounds(k1, k2, chunk)
    cell, xs, state, mask = prepared("truncated", cell, xs, state, mask, lengths)
    step, steps, count = stepping(cell, mask is not None), Now(xs, mask), xs.shape[0]
    if reverse:
        steps = _turned(steps)
    if k2 >= count:
        state, outputs = mg.scan(step, state, steps)
    elif in_chunks:
        state, outputs = _chunks(step, state, steps, count, k2, checkpoint)
    else:
        state, outputs = _passes(step, state, steps, count, k1, k2, checkpoint)
    return _turned(outputs) if reverse else outputs, state


def _bounds(k1: Any, k2: Any, chunk: Any) -> tuple[int, int, bool]:
    # (k1, k2, whether in chunks), checked
    if (chunk is None) == (k2 is None) or (chunk is not None and k1 is not None):
        given = ", ".join(f"{name}={k!r}" for name, k in (("k1", k1), ("k2", k2), ("chunk", chunk)) if k is not None)
        problem = f"how far back gradients reach is said by k2 (and k1), or by chunk; got {given or 'neither'}"
        instead = "k2=20, or k1=5, k2=20, or chunk=20"
        raise mg.errors.ArgumentError(mg.errors.explain("truncated", problem, instead=instead))
    found = {"k1": k1, "k2": k2} if chunk is None else {"chunk": chunk}
    for name, k in found.items():
        whole = isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 1
        if not whole and not (name == "k1" and k is None):
            problem = f"{name} is a number of steps, 1 or more, got {k!r}"
            raise mg.errors.ArgumentError(mg.errors.explain("truncated", problem))
    if chunk is not None:
        return int(chunk), int(chunk), True
    k1 = 1 if k1 is None else k1
    if k1 > k2:
        problem = f"k1={k1} is larger than k2={k2}: the first steps of every {k1} would be in no pass"
        raise mg.errors.ArgumentError(mg.errors.explain("truncated", problem, instead=f"k1={k2}, or k2={k1}"))
    return int(k1), int(k2), False


def _chunks(step: Step, state: Any, steps: Now, count: int, size: int, checkpoint: Any) -> tuple[Any, Any]:
    # all chunks but the last in a loop, which hands the state on without its gradient; so the last state has its own
    rest = (count - 1) // size * size

    def one(state: Any, chunk: Any) -> tuple[Any, Any]:
        last, outputs = mg.scan(step, state, chunk)
        return mg.stop_gradient(last), outputs

    each = mg.tree_map(lambda x: mg.reshape(x[:rest], (rest // size, size, *x.shape[1:])), steps)
    state, outputs = mg.scan(one, state, each, checkpoint=checkpoint)
    state, more = mg.scan(step, state, _part(steps, rest, count))
    return state, _joined(_flat(outputs), more)


def _passes(step: Step, state: Any, steps: Now, count: int, k1: int, k2: int, checkpoint: Any) -> tuple[Any, Any]:
    # The passes that end within the first k2 steps reach the initial state, so they are one loop, `reached` steps long.
    # The others start from a state whose gradient is stopped, k2 steps before their ends: at `first`, and k1 steps
    # later each, in a loop of loops; and the last, which may end early, at count - k2. A pass runs its k2 steps again;
    # k1 steps after its start it meets the state that the next one starts from.
    reached = k2 // k1 * k1
    first, number = reached + k1 - k2, (count - 1 - reached) // k1
    after, outputs = mg.scan(step, state, _part(steps, 0, first))
    _, more = mg.scan(step, after, _part(steps, first, reached))
    outputs = _joined(outputs, more)

    def one(starts: Any, window: Any) -> tuple[Any, Any]:
        here, _ = starts
        after, _, kept = _pass(step, here, window, k1, k2, k1)
        return (after, here), kept

    places = np.arange(number)[:, None] * k1 + first + np.arange(k2)
    windows = mg.tree_map(lambda x: x[places], steps)  # (number, k2, batch, input)
    (_, before), kept = mg.scan(one, mg.stop_gradient((after, state)), windows, checkpoint=checkpoint)
    ahead = count - k2 - (first + (number - 1) * k1 if number else 0)  # steps from there to the last pass's start
    start, _ = mg.scan(step, mg.stop_gradient(before), _part(steps, count - k2 - ahead, count - k2))
    done = reached + number * k1
    _, state, last = _pass(step, start, _part(steps, count - k2, count), k1, k2, count - done)
    return state, _joined(_joined(outputs, _flat(kept)), last)


def _pass(step: Step, start: Any, steps: Any, k1: int, k2: int, keep: int) -> tuple[Any, Any, Any]:
    # k2 steps from a state that no gradient leaves -> the states after k1 and after k2 steps, the newest outputs
    after, early = mg.scan(step, mg.stop_gradient(start), _part(steps, 0, k1))
    last, late = mg.scan(step, after, _part(steps, k1, k2))
    both = k2 - k1 < keep  # else the early ones are all too old
    outputs = _part(_joined(early, late), k2 - keep, k2) if both else _part(late, k2 - k1 - keep, k2 - k1)
    return mg.stop_gradient(after), last, outputs


def _part(tree: Any, start: int, stop: int) -> Any:
    return mg.tree_map(lambda x: x[start:stop], tree)


def _turned(tree: Any) -> Any:
    return mg.tree_map(lambda x: mg.flip(x, axis=0), tree)


def _joined(early: Any, late: Any) -> Any:
    return mg.tree_map(lambda a, b: mg.concatenate([a, b]), early, late)


def _flat(tree: Any) -> Any:
    # (passes, steps, ...) -> (passes * steps, ...)
    return mg.tree_map(lambda x: mg.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:])), tree)


# -------------------------------------------------------------------------------------------------------- the bias


class Deviation(NamedTuple):
    """How far a truncated gradient is from the full one: the angle between them, and their norms in log10.

    `angle` is in degrees, NaN where one of the two is 0. Norms of 1e-200 are as good as others: they are never squared.
    """

    angle: float
    log10_norm: float
    log10_full: float

    @property
    def cosine(self) -> float:
        """The cosine of the angle: 1 where truncation changes the length only, below 0 where it points uphill."""
        return math.cos(math.radians(self.angle))

    @property
    def ratio(self) -> float:
        """The norm of the truncated gradient by that of the full one; NaN where both are 0."""
        if self.log10_full == -math.inf:
            return math.nan if self.log10_norm == -math.inf else math.inf
        return float(10.0 ** min(self.log10_norm - self.log10_full, 300.0))


class TruncationBias(NamedTuple):
    """What truncation does to a gradient: the deviation of each parameter's, and of all taken as one vector.

    `print` shows them as a table.
    """

    parts: dict[str, Deviation]
    total: Deviation
    how: str

    def __str__(self) -> str:
        width = max(len(name) for name in ("parameter", "all", *self.parts))
        lines = [f"truncated ({self.how}) against full gradient"]
        lines += [f"{'parameter':<{width}}  {'angle':>7}  {'ratio':>9}  {'log10 norm':>10}  {'of full':>8}"]
        for name, found in (*self.parts.items(), ("all", self.total)):
            angle = "-" if math.isnan(found.angle) else f"{found.angle:.2f}°"
            norms = f"{found.log10_norm:>10.2f}  {found.log10_full:>8.2f}"
            lines.append(f"{name:<{width}}  {angle:>7}  {found.ratio:>9.3g}  {norms}")
        return "\n".join(lines)


def truncation_bias(
    loss: Callable[..., Any], model: Any, *args: Any, k1: int | None = None, k2: int | None = None,
    chunk: int | None = None,
) -> TruncationBias:  # fmt: skip
    """Compare the truncated gradient of a loss by the model's parameters with the full one, in float64.

    `loss(scan, model, *args)` is a scalar; it runs its cells by `scan`, which is `rnn.scan` for the full gradient, and
    `rnn.truncated` with these k1 and k2, or chunk, for the other. Train with the one that you want:
    `mg.value_and_grad(functools.partial(loss, rnn.scan))`.

    Raises ArgumentError as `truncated`.

    >>> import rnn
    >>> def loss(scan, cell, xs):
    ...     hs, _ = scan(cell, xs)
    ...     return mg.sum(hs[-1] ** 2)
    >>> cell = rnn.RNNCell(rnn.Affine(w_x=np.ones((1, 1)), w_h=np.full((1, 1), 0.5)), activation="identity")
    >>> print(truncation_bias(loss, cell, np.ones((6, 1, 1)), k2=3))
    truncated (k1=1, k2=3) against full gradient
    parameter     angle      ratio  log10 norm   of full
    hidden.w_x    0.00°      0.889        0.84      0.89
    hidden.w_h    0.00°       0.93        1.12      1.15
    all           1.08°       0.92        1.17      1.20
    """
    k1, k2, in_chunks = _bounds(k1, k2, chunk)
    bounds: dict[str, Any] = {"chunk": k2} if in_chunks else {"k1": k1, "k2": k2}
    wide = [mg.tree_map(_in_float64, tree) for tree in (model, *args)]
    runs = functools.partial(truncated, **bounds), scan
    found, full = [mg.compile(mg.grad(functools.partial(loss, run)))(*wide) for run in runs]
    pairs, others = flatten_with_paths(found)[0], mg.tree_leaves(full)
    parts = {path or "model": _deviation([a], [b]) for (path, a), b in zip(pairs, others, strict=True)}
    how = ", ".join(f"{name}={k}" for name, k in bounds.items())
    return TruncationBias(parts, _deviation([a for _, a in pairs], others), how)


def _in_float64(leaf: Any) -> Any:
    array = np.asarray(leaf)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _deviation(found: Sequence[Any], full: Sequence[Any]) -> Deviation:
    a, b = (np.concatenate([np.ravel(part) for part in parts]) for parts in (found, full))
    norms = [float(log10_norm(v)) for v in (a, b)]
    if not all(map(math.isfinite, norms)):
        return Deviation(math.nan, *norms)
    u, v = (array / np.max(np.abs(array)) for array in (a, b))
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    # exact for small angles, of which the cosine knows nothing
    angle = 2 * math.atan2(float(np.linalg.norm(u - v)), float(np.linalg.norm(u + v)))
    return Deviation(math.degrees(angle), *norms)
