"""The public names, for type checkers: these do not see that `__init__.py` exports what each family lists."""

from . import errors as errors, numpy_api as numpy_api
from .checking import check_gradients as check_gradients
from .compiling import compile as compile
from .drawing import render as render
from .evaluation import evaluate as evaluate
from .graph import Graph as Graph
from .loop import scan as scan
from .nodes import Node as Node, constant as constant, scope as scope, symbol as symbol
from .numpy_api import linalg as linalg
from .pytree import tree_leaves as tree_leaves, tree_map as tree_map
from .reverse import gradients as gradients
from .rewrites.unrolling import unroll_scan as unroll_scan
from .tracing import trace as trace
from .transforms import (
    grad as grad, hessian as hessian, hvp as hvp, jacobian as jacobian, jvp as jvp,
    stop_gradient as stop_gradient, value_and_grad as value_and_grad, vjp as vjp,
)  # fmt: skip
from .uses import edges as edges

# After those: of two that have one name, `trace`, the first counts.
from .numpy_api.activations import *
from .numpy_api.arrangement import *
from .numpy_api.creation import *
from .numpy_api.dtypes import *
from .numpy_api.elementwise import *
from .numpy_api.manipulation import *
from .numpy_api.products import *  # type: ignore[no-redef]
from .numpy_api.reductions import *
from .numpy_api.statistics import *

__all__: list[str]
__version__: str
