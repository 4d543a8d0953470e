"""minigrad"""
from .errors import *
from .graph import Graph
from .nodes import Node, constant, symbol, scope
from .pytree import tree_map, tree_leaves
from .reverse import gradients, edges
from .loop import scan
from .transforms import *
from .evaluation import evaluate
from .checking import check_gradients
from .numpy_api import *
from .tracing import trace
from . import methods as _m
