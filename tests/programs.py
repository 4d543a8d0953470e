"""Random programs: graphs of some thirty primitives with random sharing, for tests that compare ways to run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.nodes import Node
from minigrad.primitives import elementwise as e
from minigrad.primitives import reductions as r
from minigrad.primitives import structure as s
from minigrad.primitives.structure import ALL, Cut

ROWS, COLUMNS = 2, 3
Program = Callable[[Any, Any], Node]

# All values have shape (2, 3) and stay small, so that any operation can follow any other.
UNARY: list[Callable[[Any], Any]] = [
    e.tanh, e.sin, e.cos, e.sigmoid, e.arctan, e.negative, e.relu, e.absolute, e.arcsinh, e.positive,
    lambda x: e.exp(-e.square(x)), lambda x: e.sqrt(e.square(x) + 1), lambda x: e.log(e.square(x) + 1.5),
    lambda x: e.log1p(e.square(x)), lambda x: e.sinc(x, order=0), lambda x: e.tanh(x) ** 3, lambda x: (x * x + 1) ** -0.5,
    lambda x: x * 1, lambda x: x / 1.0, lambda x: x - 0, lambda x: x + -0.0, lambda x: -(-x), lambda x: x * -1.0,
    lambda x: x**1, lambda x: x[:], lambda x: s.reshape(x, shape=(ROWS, COLUMNS)), lambda x: s.cast(x, dtype=x.dtype),
    lambda x: s.transpose(e.tanh(s.transpose(x, axes=(1, 0))), axes=(1, 0)),
    lambda x: s.reshape(s.reshape(x, shape=(6,)), shape=(2, 3)),
    lambda x: s.broadcast_to(s.sum(x, axis=(1,), keepdims=True), shape=x.shape) / 3,
    lambda x: x - s.sum(x, axis=(0, 1), keepdims=False) / 6, lambda x: x * r.max(x, axis=(0,), keepdims=False) / 4,
    lambda x: r.softmax(x, axis=(1,)), lambda x: r.logsumexp(x, axis=(1,)) - x, lambda x: s.cumsum(x, axis=1, reverse=True) / 3,
    lambda x: e.tanh(r.cumprod(x, axis=1)), lambda x: e.tanh(r.prod(x, axis=(0,), keepdims=True)) * x,
    lambda x: s.join(x[:, 1:], x[:, :1], axis=1), lambda x: s.stack(x[1], x[0], axis=0),
    lambda x: s.place(s.index(x, index=(ALL, Cut(0, 3, 2))), shape=(2, 3), index=(ALL, Cut(None, None, 2))),
    lambda x: x[np.array([1, 1])], lambda x: x[:, np.array([2, 0, 0])], lambda x: s.stop_gradient(x) * x,
    lambda x: mg.scan(lambda h, row: (e.tanh(h + row), h * row), x[0], x)[1],
    lambda x: mg.scan(lambda h, _: (e.sin(h) * x, None), x, length=2)[0],
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    e.add, e.subtract, e.multiply, lambda a, b: a / (e.square(b) + 1), e.maximum, e.minimum, e.hypot, e.logaddexp,
    e.arctan2, lambda a, b: s.where(a > b, a, e.tanh(b)), lambda a, b: e.clip(a, -1.0, b), lambda a, b: a + (-b),
    lambda a, b: e.tanh(a @ s.transpose(b, axes=(1, 0))) @ b, lambda a, b: s.where(True, a, b),
    lambda a, b: s.stack(a, b, axis=0)[1], lambda a, b: (e.square(a) + 0.5) ** e.tanh(b),
]  # fmt: skip


def random_program(seed: int, length: int = 30) -> Program:
    """A function of two (2, 3) arrays that gives a scalar, the same one for the same seed."""

    def program(x: Any, y: Any) -> Node:
        rng = np.random.default_rng(seed)
        pool = [x, y, mg.constant(rng.uniform(-1, 1, (ROWS, COLUMNS))), mg.constant(rng.uniform(-1, 1, COLUMNS))[None] + x * 0.1]
        for _ in range(length):
            # recent values more often, so that programs get deep; any value again, so that they share
            a, b = (pool[-1 - min(int(rng.exponential(4.0)), len(pool) - 1)] for _ in range(2))
            if rng.random() < 0.5:
                made = UNARY[rng.integers(len(UNARY))](a)
            else:
                made = BINARY[rng.integers(len(BINARY))](a, b)
            pool.append(made)
        return s.sum(e.tanh(pool[-1]) * pool[-2] + pool[-3], axis=(0, 1), keepdims=False)

    return program
