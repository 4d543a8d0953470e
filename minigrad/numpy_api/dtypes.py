"""Names of NumPy's that are no functions of values: dtypes, constants, and questions about shapes and dtypes.

Nodes have real dtypes: floats, integers and booleans of all sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nodes import Node
from ..primitives.structure import operand

__all__ = [
    "bool_", "broadcast_shapes", "can_cast", "e", "euler_gamma", "finfo", "float16", "float32", "float64", "iinfo",
    "inf", "int8", "int16", "int32", "int64", "isdtype", "issubdtype", "nan", "ndim", "newaxis", "pi", "promote_types",
    "result_type", "shape", "size", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip

bool_ = np.bool_
float16, float32, float64 = np.float16, np.float32, np.float64
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64
e, euler_gamma, inf, nan, newaxis, pi = np.e, np.euler_gamma, np.inf, np.nan, np.newaxis, np.pi
finfo, iinfo, isdtype, issubdtype, promote_types = np.finfo, np.iinfo, np.isdtype, np.issubdtype, np.promote_types
broadcast_shapes = np.broadcast_shapes

_PYTHON = {"f": 1.0, "i": 1, "b": True}


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that arithmetic between these nodes, arrays, numbers and dtypes gives.

    >>> import minigrad as mg
    >>> mg.result_type(mg.symbol("x", dtype="float32"), 0.5), mg.result_type("int32", "float32")
    (dtype('float32'), dtype('float64'))
    """
    return np.result_type(*[_in_dtype_terms(x) for x in arrays_and_dtypes])


def _in_dtype_terms(x: Any) -> Any:
    # a weak node counts as the bare Python number that it stands for
    return x if not isinstance(x, Node) else _PYTHON[x.dtype.kind] if x.weak else x.dtype


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether a cast from one dtype (or that of a node) to another is possible under a casting rule.

    >>> import minigrad as mg
    >>> mg.can_cast("int32", "float64"), mg.can_cast("float64", "float32")
    (True, False)
    """
    return bool(np.can_cast(from_.dtype if isinstance(from_, Node) else from_, to, casting))


def shape(a: Any) -> tuple[int, ...]:
    """The sizes of the axes.

    >>> import minigrad as mg
    >>> mg.shape([[1, 2, 3]])
    (1, 3)
    """
    return operand(a, "shape").shape


def ndim(a: Any) -> int:
    """The number of axes.

    >>> import minigrad as mg
    >>> mg.ndim([[1, 2, 3]])
    2
    """
    return len(operand(a, "ndim").shape)


def size(a: Any) -> int:
    """The number of entries.

    >>> import minigrad as mg
    >>> mg.size([[1, 2, 3]])
    3
    """
    return int(np.prod(operand(a, "size").shape, dtype=np.int64))
