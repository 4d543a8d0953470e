"""Make a loss smaller: Adam, clipping, and the loop that fits a model. Pure functions over pytrees.

    gradient, norm = clip(gradient, limit=1.0)
    params, memory = adam(params, gradient, memory, rate=0.01)
    for step in fit(loss, params, batches, updates=1000, rate=0.01):
        print(step.update, step.loss)

Nothing is changed in place: every update returns new parameters, so those of any update can be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.errors import NonFiniteError

__all__ = ["AdamMemory", "Step", "adam", "clip", "fit", "global_norm", "warm_up_and_decay"]


class AdamMemory(NamedTuple):
    """What Adam remembers: how many updates there were, and the running means of the gradient and of its square."""

    updates: int
    mean: Any
    square: Any

    @staticmethod
    def start(params: Any) -> AdamMemory:
        """No updates yet."""
        return AdamMemory(0, mg.tree_map(np.zeros_like, params), mg.tree_map(np.zeros_like, params))


def adam(
    params: Any, gradient: Any, memory: AdamMemory, rate: float, beta1: float = 0.9, beta2: float = 0.99,
    epsilon: float = 1e-8,
) -> tuple[Any, AdamMemory]:  # fmt: skip
    """One update by Adam (Kingma & Ba 2015): params and gradient are pytrees alike; new params and memory come back.

    The running means start at zero; dividing by `1 - beta ** updates` makes up for that.

    >>> w, memory = np.array([1.0, -2.0]), AdamMemory.start(np.zeros(2))
    >>> w, memory = adam(w, np.array([0.3, -40.0]), memory, rate=0.1)
    >>> w.tolist(), memory.updates
    ([0.9, -1.9], 1)
    """
    updates = memory.updates + 1
    mean = mg.tree_map(lambda m, g: beta1 * m + (1 - beta1) * g, memory.mean, gradient)
    square = mg.tree_map(lambda s, g: beta2 * s + (1 - beta2) * (g * g), memory.square, gradient)
    by_mean, by_square = rate / (1 - beta1**updates), 1 / (1 - beta2**updates)
    params = mg.tree_map(lambda p, m, s: p - by_mean * m / (np.sqrt(by_square * s) + epsilon), params, mean, square)
    return params, AdamMemory(updates, mean, square)


def global_norm(tree: Any) -> float:
    """The Euclidean norm of all leaves of a pytree taken as one vector; scaled, so that no square overflows.

    >>> global_norm({"w": np.array([3.0]), "b": np.array([[4e200]])})
    4e+200
    """
    leaves = [np.asarray(leaf) for leaf in mg.tree_leaves(tree)]
    largest = max((float(np.max(np.abs(leaf), initial=0.0)) for leaf in leaves), default=0.0)
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(sum(float(np.sum(np.square(leaf / largest), dtype=np.float64)) for leaf in leaves))


def clip(gradient: Any, limit: float) -> tuple[Any, float]:
    """The gradient, shortened to a norm of `limit` where it is longer (Pascanu et al. 2013), and the norm it had.

    >>> clip({"w": np.array([3.0, 4.0])}, limit=1.0)
    ({'w': array([0.6, 0.8])}, 5.0)
    """
    norm = global_norm(gradient)
    if norm <= limit:
        return gradient, norm
    return mg.tree_map(lambda g: g * (limit / norm), gradient), norm


def warm_up_and_decay(update: int, updates: int, warm_up: int = 20) -> float:
    """The share of the full rate to use at an update, 0 to updates - 1: up in `warm_up` updates, then down to nothing.

    >>> [warm_up_and_decay(i, updates=100, warm_up=4) for i in (0, 3, 50, 99)]
    [0.25, 0.97, 0.5, 0.01]
    """
    return min(1.0, (update + 1) / warm_up) * (1 - update / updates)


class Step(NamedTuple):
    """Where training stands after an update: parameters, and the loss and gradient norm that led to them."""

    update: int
    params: Any
    loss: float
    norm: float


def fit(
    loss: Callable[..., Any], params: Any, batches: Iterator[tuple[Any, ...]], updates: int, rate: float,
    limit: float = 1.0, schedule: Callable[[int, int], float] = warm_up_and_decay,
) -> Iterator[Step]:  # fmt: skip
    """Minimise `loss(params, *batch)` by Adam with clipped gradients; yields a Step after every update.

    The gradient is compiled at the first batch, and for every other shape of batch anew. Raises NonFiniteError where
    the loss or its gradient is no finite number any more: no update would bring the model back.

    >>> batches = iter([(np.array([1.0, 2.0]),)] * 200)
    >>> *_, last = fit(lambda w, x: mg.mean((w * x - 3 * x) ** 2), 0.0, batches, updates=200, rate=0.1)
    >>> last.update, round(float(last.params), 2)
    (200, 3.0)
    """
    run = mg.compile(mg.value_and_grad(loss))
    memory = AdamMemory.start(params)
    for update in range(updates):
        value, gradient = run(params, *next(batches))
        gradient, norm = clip(gradient, limit)
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise NonFiniteError(
                f"training broke down at update {update + 1}: the loss is {float(value)}, its gradient's norm {norm};"
                f" use a smaller rate than {rate:g}"
            )
        params, memory = adam(params, gradient, memory, rate * schedule(update, updates))
        yield Step(update + 1, params, float(value), norm)
