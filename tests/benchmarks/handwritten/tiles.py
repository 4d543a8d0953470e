"""Products cut to the size that BLAS multiplies fastest.

OpenBLAS multiplies small matrices straight from where they lie, and copies larger ones to buffers of its own first.
With the operands contiguous and not transposed the first way is the faster one (where this was written, 115 against 80
to 100 billion operations a second), so a product of more than LIMIT multiplications is made of several, in one call of
`np.matmul` on stacks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LIMIT", "WHOLE", "Tiling", "WeightGradient", "block_of_steps", "tiling"]

Array = Any
LIMIT = 1_000_000  # multiplications in one tile
WHOLE = 1 << 62  # a limit that cuts nothing
COLUMNS, NARROWEST = 64, 16


def _largest_divisor(number: int, most: float) -> int:
    return max((d for d in range(1, number + 1) if number % d == 0 and d <= most), default=1)


class Tiling:
    """How x (m, k) @ w (groups, k, n) -> z (groups, m, n) is cut: into tiles of z of `rows` times `columns`.

    `product = times(x)` is then called as `product(tiles, out(z))`, with `tiles = right(w).copy()`: a tile of weights
    has to be one block of memory. Of x and z there are views. One group may also be w (k, n) -> z (m, n).
    """

    def __init__(self, rows: int, columns: int, whole: bool) -> None:
        self.rows, self.columns, self.whole = rows, columns, whole

    def times(self, x: Array) -> Callable[[Array, Array], Array]:
        """x (m, k), or (groups, m, k), as what multiplies tiles of weights."""
        if self.whole:
            return functools.partial(np.matmul, x)
        m, k = x.shape[-2:]
        return functools.partial(
            np.matmul, x.reshape(-1, m // self.rows, 1, self.rows, k, copy=False).swapaxes(0, 1)
        )

    def right(self, w: Array) -> Array:
        """(groups, k, n) -> (groups, n / columns, k, columns), as a view."""
        if self.whole:
            return w
        k, n = w.shape[-2:]
        return w.reshape(-1, k, n // self.columns, self.columns, copy=False).swapaxes(1, 2)

    def out(self, z: Array) -> Array:
        """(groups, m, n) -> (m / rows, groups, n / columns, rows, columns)."""
        if self.whole:
            return z
        m, n = z.shape[-2:]
        tiles = z.reshape(-1, m // self.rows, self.rows, n // self.columns, self.columns, copy=False)
        return tiles.transpose(1, 0, 3, 2, 4)


class _Matrix(Tiling):
    """Of one group, whole: the method `dot` takes half a microsecond less than np.matmul."""

    def times(self, x: Array) -> Callable[[Array, Array], Array]:
        product: Callable[[Array, Array], Array] = x.dot
        return product


def tiling(m: int, k: int, n: int, limit: int = LIMIT, stacked: bool = True) -> Tiling:
    """Tiles of at most 64 columns, and as many rows as stay below the limit; `stacked` where there are groups."""
    columns = _largest_divisor(n, COLUMNS)
    rows = _largest_divisor(m, limit / (k * columns))
    if m * k * n <= limit or rows * columns < NARROWEST**2:
        return (Tiling if stacked else _Matrix)(m, n, whole=True)
    return Tiling(rows, columns, whole=False)


class WeightGradient:
    """The sum of x.T @ d over blocks of steps: x (steps * batch, k), d (groups, steps * batch, n) -> (groups, k, n)."""

    def __init__(self, groups: int, k: int, n: int, rows: int, dtype: Any, limit: int) -> None:
        self.columns = n if k * n * rows <= limit else _largest_divisor(n, limit / (k * rows))
        self.columns = n if self.columns < NARROWEST else self.columns
        self.part = np.empty((groups, n // self.columns, k, self.columns), dtype)
        self.total = np.empty_like(self.part)
        self.result = self.total[:, 0] if self.columns == n else np.empty((groups, k, n), dtype)
        self.add: Callable[[Array, Array], None] = self._first

    def _tiles(self, d: Array) -> Array:
        groups, rows, n = d.shape
        return d.reshape(groups, rows, n // self.columns, self.columns, copy=False).swapaxes(1, 2)

    def _first(self, x: Array, d: Array) -> None:
        np.matmul(x.T, self._tiles(d), out=self.total)
        self.add = self._next

    def _next(self, x: Array, d: Array) -> None:
        np.matmul(x.T, self._tiles(d), out=self.part)
        np.add(self.total, self.part, out=self.total)

    def finish(self) -> Array:
        """The sum, (groups, k, n); overwritten by the next one."""
        self.add = self._first
        if self.total.shape[1] > 1:
            tiles = self.result.reshape(*self.result.shape[:2], -1, self.columns, copy=False)
            np.copyto(tiles, self.total.swapaxes(1, 2))
        return self.result


def block_of_steps(batch: int, k: int, steps: int) -> int:
    """How many steps' cotangents are kept until their products are made: what fits tiles, and the cache."""
    most = math.floor(LIMIT / (k * NARROWEST * batch))
    return min(steps, most if most >= 4 else math.ceil(1024 / batch))
