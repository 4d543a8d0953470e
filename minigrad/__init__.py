"""minigrad: symbolic reverse-mode automatic differentiation on NumPy.

Every computation is a graph; its gradient is another graph of the same primitives, so it can be differentiated again,
simplified, drawn, printed as NumPy source, and run as that very source.

Expressions   constant, symbol, gradients, edges, evaluate, stop_gradient, scope
Functions     compile, grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp, trace, scan, unroll_scan
Checking      check_gradients
Drawing       render
Pytrees       tree_map, tree_leaves
NumPy         tanh, sum, matmul, reshape, linalg, ...: NumPy's functions under NumPy's names (see `numpy_api`), and what
              networks add to them: sigmoid, relu, softmax, logsumexp, one_hot, ...
Types         Node, Graph, and the errors in `minigrad.errors`

    import numpy as np, minigrad as mg
    loss = lambda w, x: mg.tanh(w @ x).sum()
    mg.grad(loss)(np.ones((3, 4)), np.ones(4))
"""

from typing import Any

import numpy

from . import errors, numpy_api
from .checking import check_gradients
from .compiling import compile
from .drawing import render
from .evaluation import evaluate
from .graph import Graph
from .loop import scan
from .methods import GRAPH_METHODS, NODE_METHODS
from .nodes import Node, constant, scope, symbol
from .numpy_api import *  # noqa: F403  the names are listed by the families, and tested against NumPy's
from .pytree import tree_leaves, tree_map
from .reverse import gradients
from .rewrites.unrolling import unroll_scan
from .tracing import trace
from .transforms import grad, hessian, hvp, jacobian, jvp, stop_gradient, value_and_grad, vjp
from .uses import edges

__version__ = "0.1.0"

__all__ = [
    "Graph", "Node", "check_gradients", "compile", "constant", "edges", "errors", "evaluate", "grad", "gradients",
    "hessian", "hvp", "jacobian", "jvp", "render", "scan", "scope", "stop_gradient", "symbol", "trace", "tree_leaves",
    "tree_map", "unroll_scan", "value_and_grad", "vjp",
]  # fmt: skip
__all__ += numpy_api.__all__

del GRAPH_METHODS, NODE_METHODS  # imported for their effect: operators and methods are bound there


def __getattr__(name: str) -> Any:
    close = numpy_api.nearest(name)
    known = "NumPy has it, minigrad does not" if hasattr(numpy, name) else "minigrad has no such name"
    raise AttributeError(
        f"module 'minigrad' has no attribute {name!r}: {known}" + (f"; nearest is {close}" if close else "")
    )
