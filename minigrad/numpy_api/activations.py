"""Entrywise functions of networks, which NumPy does not have: finite in value and gradient wherever x is finite.

    sigmoid   log_sigmoid   softplus   relu   leaky_relu   elu   gelu   silu
"""

from __future__ import annotations

import math
from typing import Any

from ..nodes import Node
from ..primitives import elementwise as table
from ..primitives.elementwise import expm1, logaddexp, tanh
from ..primitives.structure import operand, where

__all__ = ["elu", "gelu", "leaky_relu", "log_sigmoid", "relu", "sigmoid", "silu", "softplus"]


def sigmoid(x: Any, /) -> Node:
    """The logistic function 1 / (1 + exp(-x)), from 0 to 1.

    >>> import minigrad as mg
    >>> mg.sigmoid([0.0, 2.0, -1e4]).tolist()
    [0.5, 0.881, 0.0]
    """
    return table.sigmoid(operand(x, "sigmoid"))


def log_sigmoid(x: Any, /) -> Node:
    """log(sigmoid(x)), which is about x for very negative x.

    >>> import minigrad as mg
    >>> mg.log_sigmoid([0.0, -1e4]).tolist()
    [-0.693, -10000.0]
    """
    return -softplus(-operand(x, "log_sigmoid"))


def softplus(x: Any, /) -> Node:
    """log(1 + exp(x)): a smooth relu, whose slope is sigmoid(x).

    >>> import minigrad as mg
    >>> mg.softplus([0.0, 1e4]).tolist()
    [0.693, 10000.0]
    """
    return logaddexp(operand(x, "softplus"), 0.0)


def relu(x: Any, /) -> Node:
    """The larger of x and 0. Its slope at 0 is 0.

    >>> import minigrad as mg
    >>> mg.relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return table.relu(operand(x, "relu"))


def leaky_relu(x: Any, /, negative_slope: Any = 0.01) -> Node:
    """x where it is positive, else `negative_slope * x`; at 0 too.

    >>> import minigrad as mg
    >>> mg.leaky_relu([-1.0, 2.0], 0.1).tolist()
    [-0.1, 2.0]
    """
    node = operand(x, "leaky_relu")
    return where(node > 0, node, node * operand(negative_slope))


def elu(x: Any, /, alpha: Any = 1.0) -> Node:
    """x where it is positive, else `alpha * (exp(x) - 1)`, which ends at -alpha.

    >>> import minigrad as mg
    >>> mg.elu([-1e4, -1.0, 2.0]).tolist()
    [-1.0, -0.632, 2.0]
    """
    node = operand(x, "elu")
    negative = where(node > 0, 0, node)  # the exponential of a large x would overflow, though it is not taken
    return where(node > 0, node, expm1(negative) * operand(alpha))


def gelu(x: Any, /) -> Node:
    """x times about the normal distribution's share below x: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))).

    >>> import minigrad as mg
    >>> mg.gelu([-1.0, 0.0, 1.0]).tolist()
    [-0.159, 0.0, 0.841]
    """
    node = operand(x, "gelu")
    return 0.5 * node * (1 + tanh(math.sqrt(2 / math.pi) * (node + 0.044715 * node**3)))


def silu(x: Any, /) -> Node:
    """x * sigmoid(x), also called swish.

    >>> import minigrad as mg
    >>> mg.silu([-1.0, 0.0, 1.0]).tolist()
    [-0.269, 0.0, 0.731]
    """
    node = operand(x, "silu")
    return node * table.sigmoid(node)
