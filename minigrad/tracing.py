"""Run a Python function on symbols, and keep the graph that its operations made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from .graph import Graph
from .nodes import Node, as_node, refuse_masked, symbol, tracing, weak_symbol
from .numpy_api import products
from .pytree import Structure, flatten_with_paths

__all__ = ["call_on_symbols", "flatten_arguments", "parameter_names", "symbols_like", "trace"]


def flatten_arguments(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[tuple[str, Any]], Structure]:
    """The leaves of a call's arguments, each with its path ("cell.forget.w_h"), and their structure."""
    names = parameter_names(fn, len(args))
    pairs: list[tuple[str, Any]] = []
    children = []
    for name, value in (*zip(names, args, strict=True), *kwargs.items()):
        leaves, structure = flatten_with_paths(value, name)
        pairs += leaves
        children.append(structure)
    keywords = Structure(dict, tuple(kwargs), tuple(children[len(args) :]))
    return pairs, Structure(tuple, (), (Structure(tuple, (), tuple(children[: len(args)])), keywords))


def parameter_names(fn: Callable[..., Any], count: int) -> list[str]:
    """What a function calls its first positional arguments."""
    bound = getattr(fn, "__self__", None) is not None
    while hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
        bound = bound or getattr(fn, "__self__", None) is not None
    code = getattr(fn, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    names = names[1:] if bound else names
    rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if code and code.co_flags & 4 else "arg"
    return [names[i] if i < len(names) else f"{rest}{i}" for i in range(count)]


def symbols_like(pairs: Sequence[tuple[str, Any]]) -> list[Node]:
    """A symbol for each leaf: of its shape and dtype; a bare Python float gives a weak one."""
    symbols = []
    for path, leaf in pairs:
        node = leaf if isinstance(leaf, Node) else None
        if type(leaf) is float or (node is not None and node.weak and node.dtype.kind == "f"):
            symbols.append(weak_symbol(path))
        else:
            if isinstance(leaf, np.ndarray):
                refuse_masked(leaf, path)
            like = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
            symbols.append(symbol(path, like.shape, like.dtype))
    return symbols


def call_on_symbols(
    fn: Callable[..., Any], symbols: Sequence[Node], in_structure: Structure
) -> tuple[list[tuple[str, Node]], Structure]:
    """Call `fn` on symbols; the leaves of what it returns as nodes, with their paths, and their structure."""
    args, kwargs = in_structure.rebuild(symbols)
    with tracing():
        pairs, out_structure = flatten_with_paths(fn(*args, **kwargs))
    return [(path, as_node(leaf)) for path, leaf in pairs], out_structure


@overload
def trace(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Graph: ...
@overload
def trace(
    fn: Node | np.ndarray[Any, Any] | list[Any], offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Node: ...
def trace(fn: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a function on symbols like `args`, and return its Graph.

    Arrays, nodes and floats among the arguments become inputs, named after the parameters; whatever else there is
    (strings, integers, callables) is structure, and stays as it is.

    >>> import minigrad as mg, numpy as np
    >>> graph = mg.trace(lambda x, w: mg.tanh(x @ w), np.ones(3), np.ones((3, 2)))
    >>> print(graph)
    x            = symbol                                   float64[3]
    w            = symbol                                   float64[3,2]
    v2           = matmul(x, w)                             float64[2]
    v3           = tanh(v2)                                 float64[2]
    return v3

    Of an array, `trace(a, offset=0, axis1=0, axis2=1, dtype=None)` is NumPy's: the sum along the diagonal.
    """
    if not callable(fn):
        return products.trace(fn, *args, **kwargs)
    pairs, in_structure = flatten_arguments(fn, args, kwargs)
    symbols = symbols_like(pairs)
    outputs, out_structure = call_on_symbols(fn, symbols, in_structure)
    return Graph(symbols, [node for _, node in outputs], in_structure, out_structure)
