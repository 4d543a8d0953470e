"""Derivatives by differences: what every rule is measured by. Nothing here comes from the engine.

    directional(f, arrays, tangents)          J t, by central differences
    pulled_back(f, arrays, position, ct)      J^T ct for one argument, entry by entry
    complex_step(f, arrays, tangents)         J t to the last digits, where f takes complex numbers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = Any
Function = Callable[..., Array]

STEP = 4e-4


def directional(f: Function, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
    """The derivative of f along the tangents: two central differences, extrapolated to step 0 (error h^4)."""

    def difference(h: float) -> Array:
        ahead = [x + h * t for x, t in zip(arrays, tangents, strict=True)]
        behind = [x - h * t for x, t in zip(arrays, tangents, strict=True)]
        return (np.asarray(f(*ahead)) - np.asarray(f(*behind))) / (2 * h)

    return (4 * difference(STEP / 2) - difference(STEP)) / 3


def pulled_back(f: Function, arrays: Sequence[Array], position: int, ct: Array) -> Array:
    """The gradient of <ct, f> by one of the arguments: one directional derivative for each of its entries."""
    gradient = np.zeros(np.shape(arrays[position]))
    for entry in np.ndindex(gradient.shape):
        tangents = [np.zeros(np.shape(x)) for x in arrays]
        tangents[position][entry] = 1.0
        gradient[entry] = np.sum(ct * directional(f, arrays, tangents))
    return gradient


def complex_step(f: Function, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
    """The derivative of an analytic f along the tangents: nothing is subtracted, so nothing cancels."""
    h = 1e-30
    return np.imag(f(*[x + 1j * h * t for x, t in zip(arrays, tangents, strict=True)])) / h
