"""What went wrong, where, and what to write instead.

Every error that minigrad raises on purpose is a `MinigradError` and also the built-in exception that NumPy would
have raised at the same place, so `except ValueError` keeps working. One function, `explain`, writes all the texts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "AllocationError", "ArgumentError", "AxisError", "DtypeError", "FeedError", "FreeSymbolError",
    "GradientCheckError", "GradientError", "ImmutableError", "IndexingError", "MinigradError", "MissingExtraError",
    "NonFiniteError", "RangeError", "RetraceWarning", "ShapeError", "StructureError",
]  # fmt: skip


class MinigradError(Exception):
    """The base of all errors raised by minigrad and rnn."""


class ShapeError(MinigradError, ValueError):
    """Shapes that do not go together."""


class DtypeError(MinigradError, TypeError):
    """A dtype that an operation cannot take: complex, object, string, or an integer where a float is needed."""


class ArgumentError(MinigradError, ValueError, TypeError):
    """An argument that is none of those that a function takes: a mode that there is not, a number out of its range."""


class AxisError(MinigradError, np.exceptions.AxisError):
    """An axis that the operand does not have."""


class IndexingError(MinigradError, IndexError):
    """An index that the operand does not have, or of a kind that cannot be an index."""


class RangeError(MinigradError, OverflowError):
    """A bare number that the dtype which it takes cannot hold."""


class FreeSymbolError(MinigradError, TypeError):
    """A value was asked of a node that depends on a symbol, which has none."""


class FeedError(MinigradError, ValueError):
    """A symbol without its value, a value without its symbol, or a value that does not fit."""


class GradientError(MinigradError, ValueError):
    """A derivative that does not exist: of a non-scalar, of an integer, or of something `y` does not depend on."""


class ImmutableError(MinigradError, TypeError):
    """An attempt to change a node, or an array by way of a node, in place."""


class MissingNameError(MinigradError, AttributeError):
    """An attribute that a node does not have, where there is another way to the same end."""


class StructureError(MinigradError, TypeError):
    """A pytree of the wrong structure, or with something in it that cannot be a leaf."""


class NonFiniteError(MinigradError, FloatingPointError):
    """A NaN or an infinity where the user asked for checking."""


class GradientCheckError(MinigradError, AssertionError):
    """A gradient that disagrees with finite differences."""


class AllocationError(MinigradError, MemoryError):
    """An array that does not fit into memory."""


class RetraceWarning(UserWarning):
    """Most calls of a compiled function have to trace it, because its arguments keep changing their shapes."""


class MissingExtraError(MinigradError, ImportError):
    """An optional package that is not installed; the text names the command that installs it."""


class Origin(NamedTuple):
    """A line of the user's code."""

    filename: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}"


# Frames of these folders are not the user's. The first is always skipped; the others give way only to a frame of the
# user's own, so that a script which lives inside one of them still gets its lines named.
_ENGINE = (os.path.dirname(os.path.abspath(__file__)) + os.sep, "<frozen ")  # and what runs `python -m`
_LIBRARIES: list[str] = []

# Line numbers cost more to find than nodes cost to make, so each place in the code is worked out once.
_known: dict[tuple[Any, int], Origin] = {}


def hide_frames_of(package_file: str) -> None:
    """Leave the package around `package_file` out of the lines that errors name."""
    _LIBRARIES.append(os.path.dirname(os.path.abspath(package_file)) + os.sep)


def user_line() -> Origin | None:
    """The line of the user's code that is running now, or None where there is none."""
    frame: FrameType | None = sys._getframe(1)
    fallback: FrameType | None = None
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_ENGINE):
            if not any(filename.startswith(folder) for folder in _LIBRARIES):
                break
            fallback = fallback or frame
        frame = frame.f_back
    frame = frame or fallback
    if frame is None:
        return None
    place = (frame.f_code, frame.f_lasti)
    if place not in _known:
        _known[place] = Origin(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
    return _known[place]


def describe(operand: Any) -> str:
    """One operand in a line: what it is called, its shape and dtype, and the line that made it."""
    dtype, shape = getattr(operand, "dtype", None), getattr(operand, "shape", None)
    if dtype is None:
        return f"{operand!r} ({type(operand).__name__})"
    label = getattr(operand, "label", type(operand).__name__)
    origin = getattr(operand, "origin", None)
    return f"{label}: shape {shape}, {dtype}" + (f", made at {origin}" if origin else "")


def explain(operation: str, problem: str, operands: Iterable[Any] = (), instead: str = "") -> str:
    """The text of an error: operation and problem, the operands, the user's line, and the way out.

    >>> print(explain("add", "shapes (3,) and (4,) do not broadcast", instead="reshape one of them"))
    add: shapes (3,) and (4,) do not broadcast
      at <doctest ...>:1
      instead: reshape one of them
    """
    lines = [f"{operation}: {problem}"]
    lines += [f"  {describe(operand)}" for operand in operands]
    origin = user_line()
    if origin:
        lines.append(f"  at {origin}")
    if instead:
        lines.append(f"  instead: {instead}")
    return "\n".join(lines)


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an optional package that is not there, naming the one command that brings it."""
    return MissingExtraError(
        f"{purpose} needs the package {package!r}; install it with: pip install 'minigrad-rnn[{extra}]'"
        f" (from a checkout: pip install '.[{extra}]')"
    )
