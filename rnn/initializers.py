"""How weights start. Each is named after where it comes from, and takes a NumPy `Generator` or a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["generator", "uniform"]

Array = np.ndarray[Any, Any]


def generator(rng: Any) -> np.random.Generator:
    """A NumPy `Generator`: `rng` itself, or a new one from a seed. The same seed gives the same numbers.

    >>> generator(0).random() == generator(0).random()
    True
    """
    if rng is None:
        raise TypeError(
            "rng is None, which would draw other numbers at each run; give a seed (rng=0) or a NumPy Generator"
        )
    return np.random.default_rng(rng)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], hidden_size: int, dtype: Any) -> Array:
    """Uniform on ±1/√H, H the hidden size (the default of PyTorch's recurrent layers).

    >>> bool(np.all(np.abs(uniform(generator(0), (3, 4), 4, "float64")) <= 0.5))
    True
    """
    bound = 1 / np.sqrt(hidden_size)
    return rng.uniform(-bound, bound, shape).astype(dtype)
