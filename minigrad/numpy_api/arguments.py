"""What all families do with the dtypes that they are given. (`operand` and `strong` make nodes of what is no node.)"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError, explain
from ..nodes import Node
from ..primitives.structure import cast

__all__ = ["floating", "in_dtype", "known_dtype"]


def known_dtype(operation: str, dtype: Any) -> np.dtype[Any]:
    """What NumPy takes for a dtype, as one; DtypeError for those that a node cannot have."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(explain(operation, str(error), instead='"float32", np.int64, bool, ...')) from None
    if found.kind not in "fiub":
        problem = f"dtype {found} is not supported"
        raise DtypeError(explain(operation, problem, instead="floats, integers or booleans"))
    native: np.dtype[Any] = found.newbyteorder("=")
    return native


def in_dtype(x: Node, dtype: Any, operation: str) -> Node:
    """`x` in this dtype; itself where it has it already, or where `dtype` is None."""
    if dtype is None or (dtype is x.dtype and not x.weak):
        return x
    wanted = known_dtype(operation, dtype)
    return x if x.dtype == wanted and not x.weak else cast(x, dtype=wanted)


def floating(x: Node) -> Node:
    """`x` as floats: integers and booleans as float64, as NumPy's mean has them."""
    return x if x.dtype.kind == "f" else cast(x, dtype=np.dtype(np.float64))
