"""NumPy's functions for nodes, under NumPy's names, one file a family.

    elementwise     add, tanh, maximum, where, clip, isnan, ...            entry by entry
    activations     sigmoid, relu, softplus, gelu, ...                     what networks add to that
    reductions      sum, max, argmax, any, logsumexp, softmax, cumsum      over axes
    statistics      mean, var, std, median, average, nansum, ...           and what is made of them
    manipulation    reshape, transpose, concatenate, stack, split, ...     shapes, joining and splitting
    arrangement     take, sort, roll, pad, tile, ...                       entries in other places
    products        matmul, einsum, tensordot, kron, diag, ...             and what belongs to a diagonal
    linalg          norm, solve, inv, ... under the names of numpy.linalg
    creation        zeros, arange, linspace, eye, one_hot, ...             arrays from nothing
    dtypes          float32, result_type, finfo, pi, nan, shape, ...       what is no node

Each file lists its names in its `__all__`. `nearest("tanhh")` names what is there for a name that is not.
"""

# ruff: noqa: F403  (each file says in its __all__ what it exports; a third list here would only go stale)

from . import (
    activations,
    arrangement,
    creation,
    dtypes,
    elementwise,
    linalg,
    manipulation,
    products,
    reductions,
    statistics,
)  # fmt: skip
from .activations import *
from .arrangement import *
from .creation import *
from .dtypes import *
from .elementwise import *
from .manipulation import *
from .products import *
from .reductions import *
from .statistics import *

__all__ = ["linalg"]
__all__ += activations.__all__
__all__ += arrangement.__all__
__all__ += creation.__all__
__all__ += dtypes.__all__
__all__ += elementwise.__all__
__all__ += manipulation.__all__
__all__ += products.__all__
__all__ += reductions.__all__
__all__ += statistics.__all__


def nearest(name: str) -> str:
    """The names that are there and look most like `name`, as a user would write them; empty where none does.

    >>> nearest("logsumexpp")
    'mg.logsumexp'
    """
    import difflib  # slow to import

    prefix, _, last = name.rpartition(".")
    names, path = (linalg.__all__, "mg.linalg.") if prefix == "linalg" else (__all__, "mg.")
    return " or ".join(path + found for found in difflib.get_close_matches(last, names, n=2, cutoff=0.7))
