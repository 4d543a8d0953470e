"""Functions of functions: gradients, Jacobians, Hessians, and products with them.

    grad(fn)(x)                            a pytree like x
    value, pullback = vjp(fn, x)           pullback(cotangent) -> (gradient,)
    value, tangent = jvp(fn, (x,), (v,))

Each calls `fn` on fresh symbols, differentiates the graph, and puts the arguments in afterwards. Given nodes (or where
`fn` uses a free symbol from outside), nodes come back, so the transforms nest; else NumPy arrays do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError, DtypeError, GradientError, ShapeError, StructureError, explain
from .evaluation import run_graph
from .forward import push
from .graph import Graph, depending_on, free_symbols, substitute
from .loop import run_loop
from .nodes import Node, as_node, symbol
from .primitives.structure import cast, full, reshape, zeros_like
from .primitives.structure import stop_gradient as stop
from .pytree import Structure, flatten, flatten_with_paths, tree_map
from .reverse import accumulate, cast_to
from .rewrites import merge_loops
from .tracing import call_on_symbols, flatten_arguments, symbols_like

__all__ = ["finish", "grad", "hessian", "hvp", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp"]

Function = Callable[..., Any]


class _Call:
    """A function called on symbols like its arguments: what every transform starts from, and how it ends."""

    def __init__(self, operation: str, fn: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if not callable(fn):
            raise ArgumentError(explain(operation, f"expected a function, got {type(fn).__name__}"))
        self.operation, self.fn = operation, fn
        pairs, self.in_structure = flatten_arguments(fn, args, kwargs)
        self.paths, self.leaves = [path for path, _ in pairs], [leaf for _, leaf in pairs]
        self.symbols = symbols_like(pairs)
        self.results, self.out_structure = call_on_symbols(fn, self.symbols, self.in_structure)

    @property
    def outputs(self) -> list[Node]:
        return [node for _, node in self.results]

    def argument(self, position: int) -> tuple[Structure, list[int]]:
        """The structure of one positional argument, and which of the leaves are its own."""
        arguments = self.in_structure.children[0].children
        if not -len(arguments) <= position < len(arguments):
            problem = f"argnums is {position}, the call has {len(arguments)} arguments"
            raise ArgumentError(explain(self.operation, problem))
        position %= len(arguments)
        start = sum(child.size for child in arguments[:position])
        return arguments[position], list(range(start, start + arguments[position].size))

    def differentiable(self, argnums: int | Sequence[int]) -> tuple[Structure, list[int]]:
        """The structure of what is differentiated by, and which leaves it has; integers among them are an error."""
        several = isinstance(argnums, (tuple, list))
        wanted: Any = argnums if several else [argnums]
        parts = [self.argument(n) for n in wanted]
        structure = Structure(tuple, (), tuple(part for part, _ in parts)) if several else parts[0][0]
        chosen = [i for _, leaves in parts for i in leaves]
        for i in chosen:
            if self.symbols[i].dtype.kind != "f":
                problem = f"{self.paths[i]} is {self.symbols[i].dtype}: integers and booleans have no derivative"
                instead = "floats (x.astype('float64')), or argnums= that leave this argument out"
                raise DtypeError(explain(self.operation, problem, [self.symbols[i]], instead))
        if not chosen:
            problem = f"argument {argnums} has no floating-point leaf: {structure!r} is structure, not data"
            raise DtypeError(explain(self.operation, problem, instead="a float (3.0, not 3) or an array of floats"))
        return structure, chosen

    def scalar(self) -> Node:
        """The function's one result, which has to be a scalar."""
        if self.out_structure.kind != "leaf":
            problem = f"the function must return one scalar, it returns {self.out_structure!r}"
            raise GradientError(explain(self.operation, problem, instead="mg.vjp or mg.jacobian"))
        return self.float_output(self.results[0], scalar=True)

    def float_output(self, result: tuple[str, Node], scalar: bool = False) -> Node:
        path, node = result
        if scalar and node.shape != ():
            instead = "sum or mean it, or use mg.vjp (with a cotangent) or mg.jacobian (all rows)"
            problem = f"the function must return a scalar, it returns shape {node.shape}"
            raise GradientError(explain(self.operation, problem, [node], instead))
        if node.dtype.kind != "f":
            problem = f"the result {path} is {node.dtype}: integers and booleans have no derivative"
            raise DtypeError(explain(self.operation, problem, [node]))
        return node

    def finish(self, nodes: Sequence[Node], more: Sequence[tuple[Node, Any]] = ()) -> list[Any]:
        """The nodes with the arguments put in: as arrays, or as nodes where something is symbolic."""
        symbols = [*self.symbols, *[s for s, _ in more]]
        return finish(nodes, symbols, [*self.leaves, *[leaf for _, leaf in more]])


def finish(outputs: Sequence[Node], symbols: Sequence[Node], leaves: Sequence[Any]) -> list[Any]:
    """Put `leaves` in for `symbols`: arrays come back if nothing symbolic is left, else nodes."""
    known = set(symbols)
    if any(isinstance(leaf, Node) for leaf in leaves) or any(s not in known for s in free_symbols(outputs)):
        return substitute(outputs, {s: cast_weak(as_node(leaf), s) for s, leaf in zip(symbols, leaves, strict=True)})
    return run_graph(merge_loops(Graph(symbols, outputs)), leaves)


def cast_weak(node: Node, like: Node) -> Node:
    """A bare number put in for a symbol that was none takes the symbol's dtype."""
    return cast(node, dtype=like.dtype) if node.weak and not like.weak else node


def _gradients(
    call: _Call, y: Node, chosen: Sequence[int], cotangents: Sequence[tuple[Node, Node]] | None = None
) -> list[Node]:
    # d(y)/d(chosen symbols), zeros where nothing reaches
    symbols = [call.symbols[i] for i in chosen]
    seeds = cotangents if cotangents is not None else [(y, full(shape=(), value=1.0, dtype=y.dtype))]
    found = accumulate(seeds, symbols)
    return [zeros_like(s) if g is None else g for s, g in zip(symbols, found, strict=True)]


# ------------------------------------------------------------------------------------------------------- gradients


def stop_gradient(x: Any) -> Any:
    """The same value, through which no derivative passes, in any mode; of a pytree, every leaf.

    >>> import minigrad as mg
    >>> float(mg.grad(lambda x: x * mg.stop_gradient(x))(3.0))
    3.0
    """
    return tree_map(lambda leaf: stop(as_node(leaf)), x)


def value_and_grad(fn: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns `(fn(...), gradient)`, the gradient a pytree like the argument (see `grad`).

    >>> import minigrad as mg
    >>> value, slope = mg.value_and_grad(lambda x: x ** 2)(3.0)
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    return _with_gradient("value_and_grad", fn, argnums, has_aux)


def _with_gradient(operation: str, fn: Function, argnums: int | Sequence[int], has_aux: bool = False) -> Function:
    # `operation` is what errors name: the transform that the user wrote

    @_named_after(fn, "value_and_grad")
    def with_gradient(*args: Any, **kwargs: Any) -> Any:
        aux: list[Any] = []
        call = _Call(operation, _without_aux(operation, fn, aux) if has_aux else fn, args, kwargs)
        structure, chosen = call.differentiable(argnums)
        y = call.scalar()
        more, aux_structure = flatten(aux[-1]) if has_aux else ([], None)
        results = call.finish([y, *_gradients(call, y, chosen), *map(as_node, more)])
        gradient = structure.rebuild(results[1 : 1 + len(chosen)])
        if aux_structure is not None:
            return (results[0], aux_structure.rebuild(results[1 + len(chosen) :])), gradient
        return results[0], gradient

    return with_gradient


def grad(fn: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The gradient of a function that returns a scalar, as a function.

    It has the pytree structure of the argument `argnums` (a tuple of them where `argnums` is a tuple), each leaf the
    shape and dtype of the argument's. With `has_aux`, `fn` returns `(scalar, aux)` and the gradient comes with aux.

    Raises GradientError where `fn` returns no scalar, DtypeError where an argument is not floating point.

    >>> import minigrad as mg
    >>> float(mg.grad(mg.grad(lambda x: x ** 3))(2.0))
    12.0
    """
    return _gradient("grad", fn, argnums, has_aux)


def _gradient(operation: str, fn: Function, argnums: int | Sequence[int], has_aux: bool = False) -> Function:
    both = _with_gradient(operation, fn, argnums, has_aux)

    @_named_after(fn, "grad")
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, slope = both(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return gradient


def _without_aux(operation: str, fn: Function, aux: list[Any]) -> Function:
    @functools.wraps(fn)
    def scalar_only(*args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        if not isinstance(result, tuple) or len(result) != 2:
            raise StructureError(explain(operation, "with has_aux the function returns (scalar, aux)"))
        aux.append(result[1])
        return result[0]

    return scalar_only


def _named_after(fn: Function, transform: str) -> Callable[[Function], Function]:
    def decorate(wrapper: Function) -> Function:
        if callable(fn):
            functools.update_wrapper(wrapper, fn)
            wrapper.__name__ = wrapper.__qualname__ = f"{transform}_of_{getattr(fn, '__name__', 'function')}"
        return wrapper

    return decorate


# ------------------------------------------------------------------------------------------------ products with J


def vjp(fn: Function, *args: Any, **kwargs: Any) -> tuple[Any, Function]:
    """The value of `fn(*args)`, and its pullback: cotangent (a pytree like the value) -> a tuple of gradients.

    The tuple has one entry for each positional argument, a pytree like it.

    >>> import minigrad as mg, numpy as np
    >>> y, pullback = mg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))[0].tolist()
    [2.0, 40.0]
    """
    call = _Call("vjp", fn, args, kwargs)
    call.leaves = [np.array(v) if isinstance(v, np.ndarray) else v for v in call.leaves]  # the pullback runs later
    structure, chosen = call.differentiable(tuple(range(len(args))))
    outputs = [call.float_output(result) for result in call.results]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        pairs, found = flatten_with_paths(cotangent, "cotangent")
        seeds = _matching(call, "pullback", "cotangent", outputs, pairs, call.out_structure, found)
        gradients = _gradients(call, outputs[0], chosen, list(zip(outputs, [s for s, _ in seeds], strict=True)))
        result: tuple[Any, ...] = structure.rebuild(call.finish(gradients, seeds))
        return result

    return call.out_structure.rebuild(call.finish(outputs)), pullback


def _matching(
    call: _Call, operation: str, what: str, nodes: Sequence[Node], pairs: Sequence[tuple[str, Any]],
    expected: Structure, found: Structure,
) -> list[tuple[Node, Any]]:  # fmt: skip
    # symbols for cotangents or tangents, with their values, checked against the nodes that they belong to
    if found != expected:
        raise StructureError(explain(operation, f"the {what} must have the structure {expected!r}, got {found!r}"))
    made = []
    for node, (path, leaf) in zip(nodes, pairs, strict=True):
        value = leaf if isinstance(leaf, Node) else np.asarray(leaf)
        if value.shape != node.shape:
            problem = f"the {what} {path} has shape {value.shape}, it belongs to shape {node.shape}"
            raise ShapeError(explain(operation, problem, [node]))
        if value.dtype.kind == "c":
            raise DtypeError(explain(operation, f"the {what} {path} is complex", [node]))
        stand_in = symbol(path, node.shape, node.dtype)
        made.append((stand_in, cast_to(value, node.dtype) if isinstance(value, Node) else value.astype(node.dtype)))
    return made


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fn(*primals)` and the derivative of it along `tangents`, which are pytrees like `primals`.

    >>> import minigrad as mg
    >>> value, tangent = mg.jvp(lambda x: x ** 2, (3.0,), (10.0,))
    >>> float(value), float(tangent)
    (9.0, 60.0)
    """
    return _push("jvp", fn, primals, tangents)


def _push(operation: str, fn: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    # `operation` is what errors name
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        problem = "primals and tangents are tuples, one entry an argument"
        raise ArgumentError(explain(operation, problem, instead="(x,), (v,)"))
    call = _Call(operation, fn, primals, {})
    pairs, found = flatten_with_paths(tuple(tangents), "tangents")
    more = _matching(call, operation, "tangent", call.symbols, pairs, call.in_structure.children[0], found)
    seeds = {s: t for s, (t, _) in zip(call.symbols, more, strict=True) if s.dtype.kind == "f"}
    moved = push(call.outputs, seeds)
    slopes = [zeros_like(y) if t is None else t for y, t in zip(call.outputs, moved, strict=True)]
    results = call.finish([*call.outputs, *slopes], more)
    values, derivatives = results[: len(slopes)], results[len(slopes) :]
    return call.out_structure.rebuild(values), call.out_structure.rebuild(derivatives)


def hvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The gradient of a scalar function, and its Hessian times `tangents`, without ever forming the Hessian.

    Forward over reverse: one pass that costs a few gradients, whatever the size. With one primal the results are
    pytrees like it, with several they are tuples of such.

    >>> import minigrad as mg, numpy as np
    >>> gradient, product = mg.hvp(lambda x: mg.sum(x ** 3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    >>> gradient.tolist(), product.tolist()
    ([3.0, 12.0], [6.0, 12.0])
    """
    several = isinstance(primals, (tuple, list)) and len(primals) != 1
    return _push("hvp", _gradient("hvp", fn, tuple(range(len(primals))) if several else 0), primals, tangents)


# ------------------------------------------------------------------------------------------- Jacobians and Hessians


def jacobian(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """All derivatives of all results: a function that returns a pytree like the result, of pytrees like the argument.

    Each leaf has the shape `result.shape + argument.shape`. Rows are found by reverse mode, columns by forward mode;
    whichever are fewer. One pass is traced, and a loop takes it over the basis vectors.

    >>> import minigrad as mg, numpy as np
    >>> mg.jacobian(lambda x: x * x)(np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @_named_after(fn, "jacobian")
    def all_derivatives(*args: Any, **kwargs: Any) -> Any:
        call = _Call("jacobian", fn, args, kwargs)
        structure, chosen = call.differentiable(argnums)
        outputs = [call.float_output(result) for result in call.results]
        inputs = [call.symbols[i] for i in chosen]
        by_rows = _count(outputs) <= _count(inputs)
        blocks = (_by_rows if by_rows else _by_columns)(outputs, inputs)
        flat = call.finish([block for row in blocks for block in row])
        rows = [structure.rebuild(flat[i : i + len(inputs)]) for i in range(0, len(flat), len(inputs))]
        return call.out_structure.rebuild(rows)

    return all_derivatives


def _count(nodes: Sequence[Node]) -> int:
    return sum(int(np.prod(node.shape, dtype=np.int64)) for node in nodes)


def _by_rows(outputs: Sequence[Node], inputs: Sequence[Node]) -> list[list[Node]]:
    blocks = []
    for y in outputs:
        ct = symbol("row", y.shape, y.dtype)
        found = accumulate([(y, ct)], inputs)
        rows = _over_basis(ct, [zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)])
        blocks.append([reshape(r, shape=(*y.shape, *x.shape)) for r, x in zip(rows, inputs, strict=True)])
    return blocks


def _by_columns(outputs: Sequence[Node], inputs: Sequence[Node]) -> list[list[Node]]:
    columns = []
    for x in inputs:
        tangent = symbol("column", x.shape, x.dtype)
        moved = push(outputs, {x: tangent})
        found = _over_basis(tangent, [zeros_like(y) if t is None else t for y, t in zip(outputs, moved, strict=True)])
        # the basis comes first: move it behind the axes of y
        axes_last = [reshape(c, shape=(c.shape[0], _count([y]))).T for c, y in zip(found, outputs, strict=True)]
        columns.append([reshape(c, shape=(*y.shape, *x.shape)) for c, y in zip(axes_last, outputs, strict=True)])
    return [[column[i] for column in columns] for i in range(len(outputs))]


def _over_basis(direction: Node, results: Sequence[Node]) -> list[Node]:
    # one loop over the unit vectors in the place of `direction`; results get a leading axis
    count = _count([direction])
    basis = as_node(np.eye(count, dtype=direction.dtype).reshape((count, *direction.shape)))
    if all(not depending_on([direction], [r]) for r in results):
        return [zeros_like(symbol("zeros", (count, *r.shape), r.dtype)) for r in results]
    return run_loop([direction], list(results), [], [basis], count, reverse=False)


def hessian(fn: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The second derivatives of a scalar function: the Jacobian of its gradient.

    >>> import minigrad as mg, numpy as np
    >>> mg.hessian(lambda x: x[0] * x[1] ** 2)(np.array([1.0, 2.0])).tolist()
    [[0.0, 4.0], [4.0, 2.0]]
    """
    return jacobian(_gradient("hessian", fn, argnums), argnums)
