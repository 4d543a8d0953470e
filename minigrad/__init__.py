"""minigrad"""
from .errors import *
from .graph import Graph, Node, constant, symbol, scope
from .pytree import tree_map, tree_leaves
from .reverse import gradients, edges
from .tracing import trace
from .loop import scan
from .transforms import *
from .evaluation import evaluate as _ev
from .numpy_api import *
from . import methods as _m
