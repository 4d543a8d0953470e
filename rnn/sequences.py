"""Run a cell along a sequence: unrolled, as a loop, or one step at a time.

    hs, state = unroll(cell, xs)           xs: (T, batch, input), hs: (T, batch, hidden); every step a part of the graph
    hs, state = scan(cell, xs)             the same numbers from one loop, whatever T is
    net = Stateful(cell, head); net.step(x)

Sequences of different lengths go together under a `mask` (T, batch) or `lengths` (batch,): a masked step carries the
state through unchanged, gives output 0, and no gradient to its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.compiling import Compiled
from minigrad.nodes import tracing

__all__ = ["Stateful", "scan", "unroll"]

Array = Any


def unroll(
    cell: Any, xs: Array, state: Any = None, mask: Array = None, lengths: Array = None, reverse: bool = False
) -> tuple[Any, Any]:
    """Apply `cell` to each x of `xs` in a Python loop: every step becomes nodes of its own, under `t=0`, `t=1`...

    xs: (T, batch, input), or (T, input) without a batch. Returns the stacked outputs (T, batch, hidden) and the last
    state. `mask` (T, batch) or `lengths` (batch,) tell which steps are real; with `reverse` the last x goes first, and
    each output stays at its x's place. The last state is that of each sequence's last real step.

    With `hs, _ = unroll(...)`, `hs[3]` is the node h_3 itself, so `mg.gradients(loss, [hs[3]])` is all that reaches it.

    Raises ShapeError (xs, mask or lengths of a wrong shape), DtypeError, ValueError (both mask and lengths).

    >>> import rnn
    >>> cell = rnn.GRUCell.init(3, 4, rng=0)
    >>> hs, last = rnn.unroll(cell, np.ones((5, 2, 3)), lengths=np.array([5, 2]))
    >>> hs.shape, bool(np.all(np.asarray(hs[2:, 1]) == 0))
    ((5, 2, 4), True)
    """
    cell, xs, state, mask = prepared("unroll", cell, xs, state, mask, lengths)
    steps = xs.shape[0]
    if steps == 0:
        return mg.scan(stepping(cell, mask is not None), state, Now(xs, mask))[::-1]
    step = stepping(cell, mask is not None)
    outputs: list[Any] = [None] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        with mg.scope(f"t={t}"):
            state, outputs[t] = step(state, Now(xs[t], None if mask is None else mask[t]))
    return mg.tree_map(lambda *items: mg.stack(items), *outputs), state


def scan(
    cell: Any, xs: Array, state: Any = None, mask: Array = None, lengths: Array = None, reverse: bool = False,
    checkpoint: int | str | tuple[int, ...] | None = None, progress: Callable[[int, int], object] | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """The same as `unroll`, as one loop: the graph and the generated source do not grow with T.

    `checkpoint` and `progress` are those of `mg.scan`: `checkpoint="sqrt"` for the gradient of a very long sequence.

    >>> import rnn
    >>> cell, xs = rnn.LSTMCell.init(3, 4, rng=0), np.ones((5, 2, 3))
    >>> bool(np.array_equal(rnn.scan(cell, xs)[0], rnn.unroll(cell, xs)[0]))
    True
    """
    cell, xs, state, mask = prepared("scan", cell, xs, state, mask, lengths)
    step = stepping(cell, mask is not None)
    state, outputs = mg.scan(step, state, Now(xs, mask), reverse=reverse, checkpoint=checkpoint, progress=progress)
    return outputs, state


class Now(NamedTuple):
    """What one step gets: its x, and which of the sequences are real there; or, stacked, what all steps get."""

    x: Array
    real: Array


def stepping(cell: Any, masked: bool) -> Callable[[Any, Any], tuple[Any, Any]]:
    """A cell as the step of a loop: (state, Now) -> (state, output)."""

    def step(state: Any, now: Now) -> tuple[Any, Any]:
        x, real = now
        output, following = cell(x, state)
        if masked:
            following = mg.tree_map(lambda new, old: mg.where(_column(real, new), new, old), following, state)
            output = mg.tree_map(lambda new: mg.where(_column(real, new), new, 0), output)
        return following, output

    return step


def _column(mask: Array, like: Array) -> Array:
    # (batch,) -> (batch, 1, ...), to go with (batch, hidden, ...)
    return mg.reshape(mask, mask.shape + (1,) * (like.ndim - mask.ndim))


def prepared(
    operation: str, cell: Any, xs: Array, state: Any, mask: Array, lengths: Array
) -> tuple[Any, Any, Any, Any]:
    """Cell, sequence, state and mask as nodes, checked; what is missing is filled in."""
    if not callable(cell) or not hasattr(cell, "initial_state"):
        problem = f"a cell has the methods __call__(x, state) and initial_state(batch), {type(cell).__name__} has not"
        raise TypeError(mg.errors.explain(operation, problem, instead="rnn.LSTMCell.init(input_size, hidden_size)"))
    cell, xs = mg.constant(cell), _node(xs, "xs")
    if xs.ndim < 2:
        problem = f"xs has the shape (T, batch, input), or (T, input) without a batch, got {xs.shape}"
        raise mg.errors.ShapeError(mg.errors.explain(operation, problem, [xs]))
    batch = xs.shape[1] if xs.ndim > 2 else None
    state = cell.initial_state(batch) if state is None else state
    state = _node(state, "h") if hasattr(state, "dtype") else mg.constant(state)
    return cell, xs, state, _mask(operation, xs, mask, lengths)


def _node(value: Array, name: str) -> Array:
    return value if isinstance(value, mg.Node) else mg.constant(value, name=name)


def _mask(operation: str, xs: Array, mask: Array, lengths: Array) -> Array:
    if mask is None and lengths is None:
        return None
    if mask is not None and lengths is not None:
        raise ValueError(mg.errors.explain(operation, "mask and lengths say the same thing; give one of them"))
    steps, batch = xs.shape[0], xs.shape[1:-1]
    if lengths is not None:
        lengths = _node(lengths, "lengths")
        if lengths.dtype.kind not in "iu":
            raise mg.errors.DtypeError(mg.errors.explain(operation, "lengths are integers", [lengths]))
        if lengths.shape != batch:
            problem = f"lengths has shape {lengths.shape}, one for each sequence is {batch}"
            raise mg.errors.ShapeError(mg.errors.explain(operation, problem, [lengths, xs]))
        if not _is_symbolic(lengths) and np.any((np.asarray(lengths) > steps) | (np.asarray(lengths) < 0)):
            problem = f"lengths are between 0 and the number of steps, {steps}, got {np.asarray(lengths).tolist()}"
            raise ValueError(mg.errors.explain(operation, problem, [lengths]))
        return np.arange(steps).reshape(steps, *[1] * len(batch)) < lengths
    mask = _node(mask, "mask")
    if mask.shape != (steps, *batch):
        problem = f"mask has shape {mask.shape}, it must be {(steps, *batch)}: one entry a step and sequence"
        raise mg.errors.ShapeError(mg.errors.explain(operation, problem, [mask, xs]))
    if mask.dtype.kind == "f" and not _is_symbolic(mask) and np.any(~np.isin(np.asarray(mask), (0, 1))):
        raise ValueError(mg.errors.explain(operation, "a mask holds booleans, or 0 and 1", [mask]))
    return mask.astype("bool")


class Stateful:
    """A cell that remembers its state: `y = net.step(x)`, one step at a time, for streaming and sampling.

    x: (batch, input), or (input,) without a batch. `head` maps the output h to y: a matrix (hidden, out), or a
    function of h. The state starts at zero and is kept as `net.state`; set it, or `reset()` it.

    What is written into the arrays of the cell and the head counts at the next step. With `copy` they are taken as they
    are now, for good, and steps are faster: the compiler joins the gates' weights, once.

    Outside a trace NumPy arrays come back; where the cell, the head or x are nodes, nodes do, and gradients reach
    through any number of steps and nets. A net belongs to the trace that it was made in: stepping it inside another
    raises, since its state would mix the two.

    >>> import rnn
    >>> net = Stateful(rnn.RNNCell.init(2, 3, rng=0), head=np.ones((3, 1)))
    >>> y1, y2 = net.step(np.ones(2)), net.step(np.ones(2))
    >>> type(y1).__name__, y1.shape, bool(y1 == y2)
    ('ndarray', (1,), False)
    """

    def __init__(self, cell: Any, head: Any = None, state: Any = None, copy: bool = False) -> None:
        if not callable(cell) or not hasattr(cell, "initial_state"):
            raise TypeError(
                mg.errors.explain("Stateful", f"{type(cell).__name__} is no cell", instead="rnn.LSTMCell.init(...)")
            )
        self.cell, self.head, self.state = cell, head, state
        self._made_in = tracing.current()
        self._copy = copy
        self._compiled = Compiled(_one_step, in_loop=True)
        self._prepared: Any = None, None, None  # cell, head, and the compiled step of these two
        if copy:
            self._prepare()

    def reset(self) -> None:
        """Forget: the next step starts from the cell's initial state."""
        self.state = None

    def step(self, x: Array) -> Any:
        """Take one step from `self.state`, keep the new state, and return the output, through the head if any."""
        if tracing.current() is not self._made_in:
            problem = "this net was made outside the function that is being traced, and its state would leak out of it"
            instead = "make the net inside the function: net = rnn.Stateful(cell, head)"
            raise mg.errors.MinigradError(mg.errors.explain("Stateful.step", problem, [x], instead))
        if self.state is None:
            self.state = self.cell.initial_state(None if np.ndim(x) == 1 else x.shape[0])
        if self._made_in is not None:
            y, self.state = _one_step(self.cell, self.head, x, self.state)
            return y
        # Without a copy the weights are handed over anew at each step, gate by gate: their owner may have written into
        # them, so that nothing made of them can be kept, not even the joined matrix that a loop multiplies by.
        cell, head, run = self._prepared
        if cell is not self.cell or head is not self.head:
            run = self._prepare()
        y, self.state = run(x, self.state)
        return y

    def _prepare(self) -> Any:
        run = self._compiled.given(self.cell, self.head, copy=self._copy)
        self._prepared = self.cell, self.head, run
        return run


def _one_step(cell: Any, head: Any, x: Array, state: Any) -> tuple[Any, Any]:
    output, state = cell(x, state)
    if head is None:
        return output, state
    return (head(output) if callable(head) else mg.matmul(output, head)), state


def _is_symbolic(node: Any) -> bool:
    return bool(mg.graph.free_symbols([node]))
