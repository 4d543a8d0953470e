"""Nodes, the primitives that they apply, and the leaves that they start from. Data, no mathematics.

    x = symbol("x", shape=(4,))            a leaf without a value
    w = constant(array, name="w")          a leaf with one
    with scope("forget"): ...              nodes made in here remember the path of names

A node is a primitive applied to input nodes, with a static shape and dtype. Nodes are immutable, compare by identity
in sets and dicts, and are numbered as they are made. A node's inputs are always older than the node, so sorting by
`serial` is a topological order: no walk in minigrad is recursive, and none has to compute an order.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from .errors import ArgumentError, DtypeError, Origin, ShapeError, explain, user_line
from .pytree import flatten_with_paths

if TYPE_CHECKING:
    from .interface import NodeMethods
else:  # their bodies live in higher rooms; methods.py binds them
    NodeMethods = object

__all__ = [
    "CONSTANT", "SYMBOL", "Node", "Primitive", "Shape", "as_node", "constant", "contains_node", "made_for", "own_array",
    "refuse_masked", "scope", "symbol", "tracing", "weak_symbol",
]  # fmt: skip

Shape = tuple[int, ...]
Tree = TypeVar("Tree")


# ---------------------------------------------------------------------------------------------------- primitives


class Primitive:
    """An operation: its NumPy text, its shape rule, and its VJP rules, written in primitives.

    - `text` is a template, `"np.tanh({0})"` or `"np.sum({0}, axis={axis})"`, or a function
      `(operand_texts, params) -> text`. The callable that evaluates the primitive is made from it, and the
      generated source consists of it: what is read is what runs.
    - `infer(*inputs, **params) -> (shape, dtype)` is the shape rule; it raises where the inputs do not fit.
    - `rules` has one entry an input, in argument order: `rule(ct, y, *inputs, **params)` gives that input's share of
      the cotangent, or None where there is no derivative. An operation of any number of inputs has a function
      `rules(i)` instead, which gives `rule(ct, y, **params)`: the inputs are `y.inputs`.
    - `elementwise`, `selects`, `bounded`: what the reverse pass must know where a zero cotangent has to absorb an
      infinite slope. `view` says that the result may share memory with its first operand.
    """

    __slots__ = (
        "bindings", "bounded", "elementwise", "functions", "infer", "joint_jvp", "joint_vjp", "jvp", "name", "rules",
        "selects", "text", "view",
    )  # fmt: skip

    table: dict[str, Primitive] = {}

    def __init__(
        self,
        name: str,
        text: str | Callable[[Sequence[str], dict[str, Any]], str],
        infer: Callable[..., tuple[Any, Any]],
        rules: Sequence[Callable[..., Any] | None] | Callable[[int], Callable[..., Any] | None] = (),
        *,
        elementwise: bool = False,
        selects: bool = False,
        bounded: bool = False,
        view: bool = False,
    ) -> None:
        if name in Primitive.table:
            raise ArgumentError(explain("Primitive", f"there is a primitive named {name!r} already"))
        self.name, self.text, self.infer, self.rules = name, text, infer, rules
        self.elementwise, self.selects, self.bounded = elementwise, selects, bounded
        self.view = view or text == "{0}"
        self.jvp: Callable[..., Any] | None = None  # where it is not the transpose of the rules
        self.joint_vjp: Callable[..., Any] | None = None  # for a node of several results; see loop.py
        self.joint_jvp: Callable[..., Any] | None = None
        self.bindings: dict[Any, Any] = {}  # what text.py knows of the text, for each set of params
        self.functions: dict[Any, Callable[..., Any]] = {}  # one for each set of params, made from the text
        Primitive.table[name] = self

    def __call__(self, *operands: Any, **params: Any) -> Node:
        """Apply the primitive: arrays and numbers among the operands become constants."""
        inputs = tuple([x if type(x) is Node else as_node(x, self.name) for x in operands])
        weak = False
        for x in inputs:
            if x.weak:
                inputs, weak = _settle_weak(self, inputs)
                break
        shape, dtype = self.infer(*inputs, **params)
        return Node(self, inputs, params or _NO_PARAMS, shape, dtype, weak and dtype.kind == "f")

    def rule(self, position: int) -> Callable[..., Any] | None:
        """The VJP rule for the input at `position`, or None where there is no derivative."""
        if callable(self.rules):
            return self.rules(position)
        return self.rules[position] if self.rules else None

    def share(self, position: int, ct: Node, y: Node) -> Node | None:
        """What the input at `position` gets of the cotangent of `y`, in whatever shape; None where there is nothing."""
        rule = self.rule(position)
        if rule is None:
            return None
        share: Node = rule(ct, y, **y.params) if callable(self.rules) else rule(ct, y, *y.inputs, **y.params)
        return share

    @property
    def is_operator(self) -> bool:
        """Whether the text is one of Python's operators on its operands, `{0} + {1}` or `-{0}`, and not a call."""
        return isinstance(self.text, str) and re.fullmatch(r"\{0\} \S+ \{1\}|[-+~]\{0\}", self.text) is not None

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _primitive_named, (self.name,)


def _settle_weak(primitive: Primitive, inputs: tuple[Node, ...]) -> tuple[tuple[Node, ...], bool]:
    # Bare numbers among the inputs -> what the primitive really gets, and whether its result is bare too.
    # Numbers known only when run are computed with as NumPy scalars, for IEEE's sake (1 / 0.0 is inf, no exception),
    # and become bare again (`float(x)`) where they meet an array.
    bare = Primitive.table["bare"]
    if primitive is bare:
        return inputs, True
    strong = loose = False
    for x in inputs:
        if not x.weak:
            strong = True
        elif x.primitive is not CONSTANT and x.primitive is not bare:
            loose = True
    if strong and loose:
        return tuple([bare(x) if x.weak and x.primitive not in (CONSTANT, bare) else x for x in inputs]), False
    if strong:
        return inputs, False
    if not loose and all(x.primitive is CONSTANT for x in inputs):
        return (constant(np.asarray(inputs[0].cached)), *inputs[1:]), False
    return inputs, primitive.is_operator  # x * 2 is bare, np.sin(x) is a NumPy scalar


def _primitive_named(name: str) -> Primitive:
    return Primitive.table[name]


_NO_PARAMS: dict[str, Any] = {}


def _leaf_has_no_rule(*_: Any, **__: Any) -> tuple[Any, Any]:
    raise TypeError("leaves are made by symbol() and constant()")


SYMBOL = Primitive("symbol", "", _leaf_has_no_rule)
CONSTANT = Primitive("constant", "", _leaf_has_no_rule)


# --------------------------------------------------------------------------------------------------------- nodes


class _Context(threading.local):
    """What the next node is made under: a path of names, and (in the reverse pass) somebody else's line of code."""

    scope: str = ""
    origin: Origin | None = None
    trace: object = None  # which function's trace is under way


_context = _Context()
_next_serial = itertools.count().__next__


class Node(NodeMethods):
    """One vertex of the graph: a primitive applied to input nodes, with a static shape and dtype.

    `primitive`, `inputs`, `params` say what is computed; `shape` and `dtype` what comes out; `name`, `scope` and
    `origin` how the user called it, under which path of names it was made, and at which line. A `weak` node is a bare
    Python number, which takes the dtype of what it meets. `cotangent_of` is, for a node that the reverse pass made,
    the node whose cotangent it is.
    """

    __slots__ = (
        "cached", "cotangent_of", "dtype", "inputs", "name", "origin", "params", "primitive", "scope", "serial",
        "shape", "weak",
    )

    primitive: Primitive
    inputs: tuple[Node, ...]
    params: dict[str, Any]
    shape: Shape
    dtype: np.dtype[Any]
    weak: bool
    name: str | None
    scope: str
    origin: Origin | None
    cotangent_of: Node | None
    serial: int
    cached: Any

    def __init__(
        self,
        primitive: Primitive,
        inputs: tuple[Node, ...],
        params: dict[str, Any],
        shape: Any,
        dtype: Any,
        weak: bool = False,
        name: str | None = None,
        cached: Any = None,
        like: Node | None = None,
    ) -> None:
        self.primitive, self.inputs, self.params = primitive, inputs, params
        self.shape, self.dtype, self.weak, self.cached = shape, dtype, weak, cached
        self.serial = _next_serial()
        if like is None:
            self.name, self.scope, self.cotangent_of = name, _context.scope, None
            self.origin = _context.origin or user_line()
        else:
            self.name, self.scope = like.name, like.scope
            self.origin, self.cotangent_of = like.origin, like.cotangent_of

    @property
    def is_leaf(self) -> bool:
        """Whether this is a symbol or a constant."""
        return self.primitive is SYMBOL or self.primitive is CONSTANT

    @property
    def label(self) -> str:
        """What errors and drawings call this node."""
        kind = self.primitive.name
        return f"{kind} {self.name!r}" if self.name else kind

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: object) -> Node:
        return self


class scope:
    """A context manager: nodes made inside remember the name, below that of the scopes around it.

    >>> with scope("t=3"), scope("forget"):
    ...     symbol("x").scope
    't=3/forget'
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ArgumentError(explain("scope", f"the name must be a non-empty string, got {name!r}"))
        self.name = name

    def __enter__(self) -> None:
        _context.scope = f"{_context.scope}/{self.name}" if _context.scope else self.name

    def __exit__(self, *_: object) -> None:
        # nothing is remembered in between, so one scope can be entered inside itself, and by many threads
        _context.scope = _context.scope.removesuffix(self.name).removesuffix("/")


class made_for:
    """A context manager of the engine's own: nodes made inside belong to the scope and the line of another node."""

    __slots__ = ("before", "origin", "prefix")

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def __enter__(self) -> made_for:
        self.before = (_context.scope, _context.origin)
        return self

    def node(self, node: Node) -> None:
        """From here on, nodes belong to `node`."""
        _context.scope = (f"{self.prefix}/{node.scope}" if node.scope else self.prefix) if self.prefix else node.scope
        _context.origin = node.origin

    def __exit__(self, *_: object) -> None:
        _context.scope, _context.origin = self.before


class tracing:
    """A context manager of the engine's own: a function is being called on symbols. `current()` tells which call."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before = _context.trace
        _context.trace = self

    def __exit__(self, *_: object) -> None:
        _context.trace = self.before

    @staticmethod
    def current() -> object:
        """Equal for two moments of the same call, None outside of all."""
        return _context.trace


# -------------------------------------------------------------------------------------------------------- leaves

_PYTHON_DTYPES = {float: np.dtype(np.float64), int: np.dtype(np.int64), bool: np.dtype(np.bool_)}
_KINDS = "fiub"


def symbol(name: str, shape: Sequence[int] | int = (), dtype: Any = "float64") -> Node:
    """A named input without a value.

    >>> x = symbol("x", shape=(4,))
    >>> x.shape, str(x.dtype)
    ((4,), 'float64')

    Raises DtypeError for complex, object and string dtypes, ShapeError for a shape that is none.
    """
    if not isinstance(name, str) or not name:
        raise ArgumentError(explain("symbol", f"the name must be a non-empty string, got {name!r}"))
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in dims):
        raise ShapeError(explain(f"symbol {name!r}", f"{shape!r} is no shape: sizes are whole numbers, 0 or more"))
    return Node(SYMBOL, (), _NO_PARAMS, tuple(int(n) for n in dims), _check_dtype(np.dtype(dtype), f"symbol {name!r}"),
                name=name)  # fmt: skip


def weak_symbol(name: str) -> Node:
    """A symbol that stands for a bare Python float, and like one takes the dtype of what it meets."""
    return Node(SYMBOL, (), _NO_PARAMS, (), _PYTHON_DTYPES[float], weak=True, name=name)


@overload
def constant(
    value: Node | float | np.ndarray[Any, Any] | np.generic | list[Any], name: str | None = None, dtype: Any = None
) -> Node: ...
@overload
def constant(value: Tree, name: str | None = None, dtype: Any = None) -> Tree: ...
def constant(value: Any, name: str | None = None, dtype: Any = None) -> Any:
    """A node that holds an array; of a pytree, the pytree of constants, named by their paths. The array is copied.

    >>> w = constant([[1.0, 2.0]], name="w")
    >>> w.shape
    (1, 2)

    `constant(0.5)` is a float64, as `np.asarray(0.5)` is; the bare number 0.5 in an expression is weak. Raises
    DtypeError for complex, object and string arrays, ShapeError for ragged lists.
    """
    if isinstance(value, Node):
        return value if dtype is None else constant(np.asarray(value), name, dtype)
    if isinstance(value, (dict, tuple)) or (not hasattr(value, "dtype") and hasattr(value, "__dataclass_fields__")):
        pairs, structure = flatten_with_paths(value, name or "")
        return structure.rebuild([constant(leaf, path, dtype) for path, leaf in pairs])
    array = own_array(value, f"constant {name!r}" if name else "constant", dtype)
    return Node(CONSTANT, (), _NO_PARAMS, array.shape, array.dtype, name=name, cached=array)


def as_node(value: Any, operation: str = "constant") -> Node:
    """A node as it is; a bare Python number as a weak constant; an array (copied) as a constant.

    `operation` is what errors name: who asked for a node.
    """
    if isinstance(value, Node):
        return value
    kind = type(value)
    if kind in _PYTHON_DTYPES:
        return Node(CONSTANT, (), _NO_PARAMS, (), _PYTHON_DTYPES[kind], weak=True, cached=value)
    array = own_array(value, operation)
    return Node(CONSTANT, (), _NO_PARAMS, array.shape, array.dtype, cached=array)


def own_array(value: Any, what: str, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Anything as a read-only array of the graph's own; `what` is what errors call it."""
    if isinstance(value, (list, tuple)) and contains_node(value):
        raise DtypeError(explain(what, "a list that holds nodes is no array", instead="mg.stack(the_list)"))
    if isinstance(value, np.ndarray):
        refuse_masked(value, what)
    try:
        array = np.array(value, dtype=dtype, copy=True, subok=False)
    except ValueError as error:
        problem = f"a ragged list is no array ({error})"
        raise ShapeError(explain(what, problem, instead="pad it, or use a mask")) from None
    _check_dtype(array.dtype, what, value)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def refuse_masked(array: np.ndarray[Any, Any], what: str) -> None:
    """Raise DtypeError for a masked array."""
    # naming np.ma imports it, which takes longer than a trace does: only where there is another class than NumPy's own
    if type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray):
        raise DtypeError(explain(what, "masked arrays are not supported", [array], "mg.where(mask, 0, value)"))


def contains_node(values: Iterable[Any]) -> bool:
    """Whether a nested list has a node in it."""
    return any(isinstance(v, Node) or (isinstance(v, (list, tuple)) and contains_node(v)) for v in values)


def _check_dtype(dtype: np.dtype[Any], what: str, value: Any = None) -> np.dtype[Any]:
    if dtype.kind in _KINDS:
        return dtype.newbyteorder("=")
    if dtype.kind == "c":
        problem, instead = f"complex numbers are not supported (dtype {dtype})", "real and imaginary part as two arrays"
    elif dtype.kind == "O":
        kind = "" if value is None else f", from {type(value).__name__}"
        problem = f"an array of objects has no derivative (dtype object{kind})"
        instead = "an array of floats or integers"
    else:
        problem, instead = f"dtype {dtype} is not supported", "floats, integers or booleans"
    raise DtypeError(explain(what, problem, [value] if hasattr(value, "dtype") else [], instead))
