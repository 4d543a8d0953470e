"""Every operator and method of Node and Graph: one table each, bound here, last, since their bodies live in all rooms.

A node follows NumPy's array in names, arguments and results. It is immutable: what would change it raises, and says
what to write. `np.tanh(node)` is `mg.tanh(node)`: NumPy's two protocols are answered here, by name.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import drawing, numpy_api
from .errors import ArgumentError, FreeSymbolError, ImmutableError, MinigradError, MissingNameError, explain
from .evaluation import fitting, run_graph, value_of
from .explaining import explained
from .graph import Graph, free_symbols
from .indexing import take_index
from .nodes import SYMBOL, Node
from .primitives import elementwise, linear_algebra
from .pytree import flatten
from .rewrites import simplify
from .rewrites.unrolling import unroll_scan
from .source import Source, generate

__all__ = ["GRAPH_METHODS", "NODE_METHODS"]

# ------------------------------------------------------------------------------------------------------- operators


def _binary(primitive: Callable[..., Node]) -> Callable[[Node, Any], Any]:
    def method(self: Node, other: Any) -> Any:
        return primitive(self, other) if _is_operand(other) else NotImplemented

    return method


def _reflected(primitive: Callable[..., Node]) -> Callable[[Node, Any], Any]:
    def method(self: Node, other: Any) -> Any:
        return primitive(other, self) if _is_operand(other) else NotImplemented

    return method


def _is_operand(value: Any) -> bool:
    return isinstance(value, (Node, int, float, complex, list, np.ndarray, np.generic))


def _divmod(a: Any, b: Any) -> tuple[Node, Node]:
    return elementwise.floor_divide(a, b), elementwise.remainder(a, b)


_BINARY: dict[str, Callable[..., Any]] = {
    "add": elementwise.add, "sub": elementwise.subtract, "mul": elementwise.multiply, "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide, "mod": elementwise.remainder, "divmod": _divmod, "pow": numpy_api.power,
    "matmul": linear_algebra.matmul, "and": elementwise.bitwise_and, "or": elementwise.bitwise_or,
    "xor": elementwise.bitwise_xor, "lshift": elementwise.left_shift, "rshift": elementwise.right_shift,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "eq": elementwise.equal, "ne": elementwise.not_equal, "lt": elementwise.less, "le": elementwise.less_equal,
    "gt": elementwise.greater, "ge": elementwise.greater_equal,
}  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- values


def _array(self: Node, dtype: Any = None, copy: bool | None = None) -> Any:
    if copy is False:
        problem = "a node's value is always handed out as a copy"
        raise ArgumentError(explain("np.asarray", problem, instead="leave copy=False out"))
    return np.array(value_of(self), dtype=dtype)


def _item(self: Node, *args: int) -> Any:
    return np.asarray(value_of(self)).item(*args)


def _number(kind: Callable[[Any], Any]) -> Callable[[Node], Any]:
    return lambda self: kind(np.asarray(value_of(self)))


def _bool(self: Node) -> bool:
    free = free_symbols([self])
    if free:
        names = ", ".join(repr(s.name) for s in free[:3])
        problem = f"the truth of a node is not known while its symbols ({names}) have no values"
        instead = "mg.where(condition, a, b), which takes both and selects by entry; for a fixed choice, a Python bool"
        raise FreeSymbolError(explain("if", problem, [self], instead))
    return bool(np.asarray(value_of(self)))


def _index(self: Node) -> int:
    if self.dtype.kind not in "iub":
        raise ArgumentError(explain("index", f"only integer nodes can be an index, this one is {self.dtype}", [self]))
    return operator.index(np.asarray(value_of(self))[()])


def _str(self: Node) -> str:
    return str(value_of(self) if not self.weak else self.cached) if not free_symbols([self]) else _raise_free(self)


def _raise_free(self: Node) -> str:
    value_of(self)
    raise AssertionError("a node with a free symbol has no value")


def _repr(self: Node) -> str:
    kind = f"shape={self.shape}, dtype={self.dtype}" if self.shape is not None else "several results"
    name = f" {self.name!r}" if self.name else ""
    if self.primitive is SYMBOL:
        return f"<symbol{name} {kind}>"
    if self.cached is not None:
        value = np.array2string(np.asarray(self.cached), threshold=20, separator=", ").replace("\n", "")
        return f"<{self.primitive.name}{name} {value} {kind}>"
    return f"<{self.primitive.name}{name} {kind}>"


def _len(self: Node) -> int:
    if not self.shape:
        raise ArgumentError(explain("len", "a 0-d node has no length", [self]))
    return self.shape[0]


def _iter(self: Node) -> Iterator[Node]:
    return (take_index(self, i) for i in range(_len(self)))


def _unpickle_node(graph: Graph) -> Node:
    return graph.outputs[0]


def _setitem(self: Node, key: Any, value: Any) -> None:
    instead = "mg.where(mask, value, x), or mg.concatenate / mg.stack of the parts"
    raise ImmutableError(explain("node[...] = value", "nodes are immutable", [self], instead))


def _format(self: Node, spec: str) -> str:
    return format(_item(self), spec) if spec else _str(self)


def _mime_bundle(self: Any, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    text = repr(self)
    try:
        return {"image/svg+xml": drawing.svg(self), "text/plain": text}
    except (MinigradError, OSError):  # a notebook must show something, with or without a layout program
        return {"text/plain": text}


# What arrays of other libraries have and nodes do not, with the way to the same end. Each is a property that raises: a
# `__getattr__`, though called for missing names only, would make every access to every node slower.
_RETURNED = "mg.gradients(loss, [w]): a gradient is a node, which is returned and not stored"
_ELSEWHERE = {
    "backward": _RETURNED, "grad": _RETURNED, "zero_grad": "nothing: gradients are returned, and do not add up",
    "requires_grad": "nothing: any node can be differentiated by", "detach": "mg.stop_gradient(x)",
    "requires_grad_": "nothing: any node can be differentiated by", "numpy": "np.asarray(x)",
    "data": "np.asarray(x) for the value, mg.stop_gradient(x) for a node", "clone": "x itself: nodes never change",
    "to": "x.astype(dtype)", "view": "x.reshape(...)", "permute": "x.transpose(...)",
    "unsqueeze": "mg.expand_dims(x, axis)", "at": "mg.where(mask, new, x), or mg.concatenate of the parts",
}  # fmt: skip
_FUNCTIONS = ("abs", "cos", "exp", "log", "log_softmax", "relu", "sigmoid", "sin", "softmax", "sqrt", "tanh")
_ELSEWHERE |= {name: f"mg.{name}(x)" for name in _FUNCTIONS}


def _absent(name: str, instead: str) -> property:
    def hint(self: Node) -> Any:
        raise MissingNameError(explain(f"node.{name}", "nodes have no such attribute", [self], instead))

    return property(hint)


# ----------------------------------------------------------------------------------------------- NumPy's protocols


def _array_ufunc(self: Node, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    if kwargs.get("out") is not None:
        instead = "array = array + node (a node's value is not written into an array; np.asarray(node) evaluates it)"
        raise ImmutableError(explain(f"np.{name}", "out= and in-place operators cannot take a node", inputs, instead))
    if method in ("reduce", "accumulate"):
        kwargs = {"axis": 0, **kwargs}  # the default of these methods, though np.sum and np.cumsum take all axes
    if method == "outer":
        a, b = inputs
        name, inputs = ufunc.__name__, (numpy_api.expand_dims(a, tuple(range(-numpy_api.ndim(b), 0))), b)
    return _by_name(name)(*inputs, **kwargs)


def _array_function(self: Node, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if kwargs.get("out") is not None:
        raise ImmutableError(explain(f"np.{func.__name__}", "out= cannot take a node", instead="use the result"))
    module = getattr(func, "__module__", "numpy") or "numpy"
    return _by_name(("linalg." if module.endswith("linalg") else "") + func.__name__)(*args, **kwargs)


_UFUNC_NAMES = {"multiply.reduce": "prod", "add.reduce": "sum", "maximum.reduce": "max", "minimum.reduce": "min",
                "logical_and.reduce": "all", "logical_or.reduce": "any", "logaddexp.reduce": "logsumexp",
                "add.accumulate": "cumsum", "multiply.accumulate": "cumprod"}  # fmt: skip


def _by_name(name: str) -> Callable[..., Any]:
    found: Any = numpy_api
    for part in _UFUNC_NAMES.get(name, name).split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ArgumentError(explain(f"np.{name}", f"minigrad has no function {name}", instead=numpy_api.nearest(name)))
    return found  # type: ignore[no-any-return]


# ----------------------------------------------------------------------------------------------------------- graph


def _evaluate_graph(self: Graph, *args: Any, check_finite: bool = False, **kwargs: Any) -> Any:
    """Evaluate the graph on arguments like those it was traced with; arrays come back, in the structure it returned."""
    leaves, structure = flatten((args, kwargs))
    if self.in_structure is not None and structure != self.in_structure:
        raise ArgumentError(explain("graph.evaluate", f"expected arguments {self.in_structure!r}, got {structure!r}"))
    values = [fitting(symbol, leaf) for symbol, leaf in zip(self.inputs, leaves, strict=True)]
    results = run_graph(self, values, check_finite)
    return results if self.out_structure is None else self.out_structure.rebuild(results)


def _generated(self: Graph) -> Source:
    if "source" not in self._products:
        self._products["source"] = generate(self, "compute")
    source: Source = self._products["source"]
    return source


def _save_source(self: Graph, path: str) -> list[str]:
    """Write the generated source to `path` (and large constants to `.npz` beside it); returns the paths written."""
    name = os.path.splitext(os.path.basename(path))[0]
    return generate(self, name).save(path)


# -------------------------------------------------------------------------------------------------------- the table

_BY_FUNCTION = [  # x.method(...) is mg.method(x, ...)
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "cumprod", "cumsum", "diagonal", "dot", "max",
    "mean", "min", "prod", "ravel", "repeat", "reshape", "round", "squeeze", "std", "sum", "swapaxes", "take", "trace",
    "transpose", "var",
]  # fmt: skip

NODE_METHODS: dict[str, Any] = {
    **{f"__{name}__": _binary(primitive) for name, primitive in _BINARY.items()},
    **{f"__r{name}__": _reflected(primitive) for name, primitive in _BINARY.items()},
    **{f"__{name}__": _binary(primitive) for name, primitive in _COMPARISONS.items()},
    "__hash__": object.__hash__,
    "__neg__": lambda self: elementwise.negative(self),
    "__pos__": lambda self: elementwise.positive(self),
    "__abs__": lambda self: elementwise.absolute(self),
    "__invert__": lambda self: elementwise.invert(self),
    "__getitem__": take_index,
    "__setitem__": _setitem,
    "__len__": _len,
    "__iter__": _iter,
    "__bool__": _bool,
    "__float__": _number(float),
    "__int__": _number(int),
    "__index__": _index,
    "__str__": _str,
    "__repr__": _repr,
    "__format__": _format,
    "__array__": _array,
    "__array_ufunc__": _array_ufunc,
    "__array_function__": _array_function,
    "__reduce__": lambda self: (_unpickle_node, (Graph([], [self]),)),
    "_repr_mimebundle_": _mime_bundle,
    "item": _item,
    "tolist": lambda self: np.asarray(value_of(self)).tolist(),
    "flatten": lambda self: numpy_api.ravel(self),
    "copy": lambda self: self,
    "T": property(lambda self: numpy_api.transpose(self), doc="The axes reversed."),
    "mT": property(lambda self: numpy_api.matrix_transpose(self), doc="The last two axes swapped."),
    "ndim": property(lambda self: len(self.shape), doc="The number of axes."),
    "size": property(lambda self: int(np.prod(self.shape, dtype=np.int64)), doc="The number of entries."),
    **{name: getattr(numpy_api, name) for name in _BY_FUNCTION},
}


def _reshape_method(self: Node, *shape: Any) -> Node:
    return numpy_api.reshape(self, shape[0] if len(shape) == 1 else shape)


def _transpose_method(self: Node, *axes: Any) -> Node:
    return numpy_api.transpose(self, axes[0] if len(axes) == 1 else axes or None)


NODE_METHODS |= {"reshape": _reshape_method, "transpose": _transpose_method}

GRAPH_METHODS: dict[str, Any] = {
    "evaluate": _evaluate_graph,
    "simplify": simplify,
    "explain": explained,
    "unroll_scan": unroll_scan,
    "render": lambda self, path=None, **options: drawing.render(self, path, **options),
    "save": _save_source,
    "source": property(lambda self: _generated(self).text, doc="The graph as NumPy source: what `compile` runs."),
    "_repr_mimebundle_": _mime_bundle,
}

for _name, _method in NODE_METHODS.items():
    setattr(Node, _name, _method)
for _name, _instead in _ELSEWHERE.items():
    setattr(Node, _name, _absent(_name, _instead))
for _name, _method in GRAPH_METHODS.items():
    setattr(Graph, _name, _method)
