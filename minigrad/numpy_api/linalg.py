"""Linear algebra, under the names of `numpy.linalg`."""

from __future__ import annotations

from .manipulation import matrix_transpose
from .products import matmul

__all__ = ["matmul", "matrix_transpose"]
