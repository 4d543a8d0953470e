"""Linear primitives: they move entries, add them up, or pass them on. Each stands beside its transpose.

    reshape     <-> reshape            sum      <-> broadcast_to         cumsum <-> cumsum from the other end
    transpose   <-> transpose          index    <-> place                where  <-> where
    join, stack <-> index              gather   <-> scatter_add          cast   <-> cast

Nothing here sums a broadcast operand's cotangent back to its shape: the reverse pass does that, once, for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, explain
from ..nodes import CONSTANT, Node, Primitive, as_node, contains_node
from .shape_rules import broadcast_shapes, elementwise, promote, reduced_shape, same
from .text import Cut, full_literal, literal, subscript

__all__ = [
    "absorb", "absorbed", "bare", "broadcast_to", "cast", "contiguous", "cumsum", "full", "gather", "index", "join",
    "joined_shape", "operand", "pick", "place", "reshape", "scatter_add", "stack", "stop_gradient", "strong", "sum",
    "transpose", "where", "zeros_like",
]  # fmt: skip

ALL = Cut(None, None, None)


# ------------------------------------------------------------------------------------------------------ creation


full = Primitive(
    "full", lambda _, params: full_literal(params["shape"], params["value"], params["dtype"]),
    lambda *, shape, value, dtype: (shape, dtype),
)  # fmt: skip


def zeros_like(x: Node) -> Node:
    """Zeros of the shape and dtype of `x`."""
    return full(shape=x.shape, value=0.0, dtype=x.dtype)


# ----------------------------------------------------------------------------------------- reshape and transpose


def _infer_reshape(x: Node, *, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
    if int(np.prod(shape, dtype=np.int64)) != int(np.prod(x.shape, dtype=np.int64)):
        problem = f"an array of shape {x.shape} has no shape {shape}"
        raise ShapeError(explain("reshape", problem, [x], "sizes whose product is the same, or one -1"))
    return shape, x.dtype


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape)) or "()"


reshape = Primitive(
    "reshape", lambda operands, params: f"{operands[0]}.reshape({_sizes(params['shape'])})", _infer_reshape,
    [lambda ct, y, x, *, shape: reshape(ct, shape=x.shape)],
    view=True,
)  # fmt: skip


def _transpose_text(operands: Sequence[str], params: dict[str, Any]) -> str:
    axes = params["axes"]
    if axes == tuple(range(len(axes)))[::-1]:
        return f"{operands[0]}.T"
    return f"{operands[0]}.transpose{literal(axes)}"


transpose = Primitive(
    "transpose", _transpose_text, lambda x, *, axes: (tuple([x.shape[a] for a in axes]), x.dtype),
    [lambda ct, y, x, *, axes: transpose(ct, axes=tuple(int(a) for a in np.argsort(axes)))],
    view=True,
)  # fmt: skip


# The same entries, row after row in memory: what is multiplied again and again is read faster that way.
contiguous = Primitive(
    "contiguous", "np.ascontiguousarray({0})", same,
    [lambda ct, y, x: ct],
    view=True,
)  # fmt: skip


# ----------------------------------------------------------------------------------------- sum and broadcast_to


def _reduction_text(name: str) -> Callable[[Sequence[str], dict[str, Any]], str]:
    # "np.sum(x)", "np.sum(x, axis=0)", "np.sum(x, axis=(0, 2), keepdims=True)"
    def text(operands: Sequence[str], params: dict[str, Any]) -> str:
        axis = params["axis"]
        where = f", axis={literal(axis[0] if len(axis) == 1 else axis)}"
        return f"{name}({operands[0]}{where}{', keepdims=True' if params.get('keepdims') else ''})"

    return text


_SUM_DTYPES = {"b": np.dtype(np.int64), "i": np.dtype(np.int64), "u": np.dtype(np.uint64)}


def _infer_sum(x: Node, *, axis: tuple[int, ...], keepdims: bool) -> tuple[tuple[int, ...], Any]:
    dtype = x.dtype if x.dtype.kind == "f" else _SUM_DTYPES[x.dtype.kind]
    return reduced_shape(x.shape, axis, keepdims), dtype


def spread(ct: Node, x: Node, axis: tuple[int, ...]) -> Node:
    """A cotangent of a reduction over `axis` with the axes put back as length 1, so that it broadcasts against x."""
    return reshape(ct, shape=reduced_shape(x.shape, axis, keepdims=True))


sum = Primitive(
    "sum", _reduction_text("np.sum"), _infer_sum,
    [lambda ct, y, x, *, axis, keepdims: broadcast_to(spread(ct, x, axis), shape=x.shape)],
)  # fmt: skip


def _infer_broadcast_to(x: Node, *, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
    try:
        fits = np.broadcast_shapes(x.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(explain("broadcast_to", f"shape {x.shape} does not broadcast to {shape}", [x]))
    return shape, x.dtype


broadcast_to = Primitive(
    "broadcast_to", "np.broadcast_to({0}, {shape})", _infer_broadcast_to,
    [lambda ct, y, x, *, shape: ct],
    view=True,
)  # fmt: skip


def _cumsum_text(operands: Sequence[str], params: dict[str, Any]) -> str:
    x = f"np.flip({operands[0]}, axis={params['axis']})" if params["reverse"] else operands[0]
    total = f"np.cumsum({x}, axis={params['axis']})"
    return f"np.flip({total}, axis={params['axis']})" if params["reverse"] else total


cumsum = Primitive(
    "cumsum", _cumsum_text, lambda x, *, axis, reverse: (x.shape, _infer_sum(x, axis=(), keepdims=False)[1]),
    [lambda ct, y, x, *, axis, reverse: cumsum(ct, axis=axis, reverse=not reverse)],
)  # fmt: skip


# ------------------------------------------------------------------------------------------- index and place
# index: a tuple of integers and Cuts, one for each leading axis; what it leaves out is taken whole.


def sliced_shape(shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of `x[index]` for a basic index."""
    kept = [len(range(*slice(*i).indices(n))) for i, n in zip(index, shape, strict=False) if isinstance(i, Cut)]
    return (*kept, *shape[len(index) :])


index = Primitive(
    "index", lambda operands, params: f"{operands[0]}[{subscript(params['index'])}]",
    lambda x, *, index: (sliced_shape(x.shape, index), x.dtype),
    [lambda ct, y, x, *, index: place(ct, shape=x.shape, index=index)],
    view=True,
)  # fmt: skip

place = Primitive(
    "place", lambda operands, params:
        f"place({operands[0]}, {literal(params['shape'])}, np.s_[{subscript(params['index'])}])",
    lambda x, *, shape, index: (shape, x.dtype),
    [lambda ct, y, x, *, shape, index: globals()["index"](ct, index=index)],
)  # fmt: skip


# ------------------------------------------------------------------------------------------ gather and scatter_add
# pattern: a tuple of Cuts, of integers, and of operand positions as strings, "1" for the first index array; NumPy's
# rules decide where the gathered axes go. (An Ellipsis in it stands for no axis, but sets index arrays apart.)


def _gathered_shape(shape: tuple[int, ...], indices: Sequence[Node], pattern: tuple[Any, ...]) -> tuple[int, ...]:
    picked = [i for i, part in enumerate(pattern) if isinstance(part, (int, str))]
    parts = [part for part in pattern if part is not Ellipsis]
    block = broadcast_shapes("indexing", indices)
    rest = [len(range(*slice(*p).indices(n))) for p, n in zip(parts, shape, strict=False) if isinstance(p, Cut)]
    rest += shape[len(parts) :]
    adjacent = picked[-1] - picked[0] + 1 == len(picked)
    position = picked[0] if adjacent else 0
    return (*rest[:position], *block, *rest[position:])


gather = Primitive(
    "gather", lambda operands, params: f"{operands[0]}[{subscript(params['pattern'], operands)}]",
    lambda x, *indices, pattern: (_gathered_shape(x.shape, indices, pattern), x.dtype),
    lambda i: None if i else lambda ct, y, *, pattern:
        scatter_add(ct, *y.inputs[1:], shape=y.inputs[0].shape, pattern=pattern),
    view=True,  # by NumPy's integers: those are basic indices
)  # fmt: skip

scatter_add = Primitive(
    "scatter_add", lambda operands, params:
        f"scatter_add({operands[0]}, {literal(params['shape'])}, np.s_[{subscript(params['pattern'], operands)}])",
    lambda x, *indices, shape, pattern: (shape, x.dtype),
    lambda i: None if i else lambda ct, y, *, shape, pattern: gather(ct, *y.inputs[1:], pattern=pattern),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ join and stack


def joined_shape(operation: str, xs: Sequence[Node], axis: int) -> tuple[int, ...]:
    """The shape of arrays put one after the other along an axis; ShapeError where the other axes differ."""
    first = xs[0].shape
    for x in xs[1:]:
        if len(x.shape) != len(first) or x.shape[:axis] + x.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            problem = f"shapes {', '.join(str(x.shape) for x in xs)} differ on another axis than {axis}"
            raise ShapeError(explain(operation, problem, xs))
    return (*first[:axis], int(np.sum([x.shape[axis] for x in xs])), *first[axis + 1 :])


def _part(i: int) -> Callable[..., Node]:
    def rule(ct: Node, y: Node, *, axis: int) -> Node:
        start = int(np.sum([x.shape[axis] for x in y.inputs[:i]], dtype=np.int64))
        return index(ct, index=(*[ALL] * axis, Cut(start, start + y.inputs[i].shape[axis], None)))

    return rule


join = Primitive(
    "join", "np.concatenate([{all}], axis={axis})",
    lambda *xs, axis: (joined_shape("concatenate", xs, axis), promote(xs)),
    _part,
)  # fmt: skip


def _infer_stack(*xs: Node, axis: int) -> tuple[tuple[int, ...], Any]:
    shape = xs[0].shape
    for x in xs:
        if x.shape != shape:
            listed = ", ".join(str(s) for s in sorted({x.shape for x in xs}))
            raise ShapeError(explain("stack", f"all shapes must be equal, got {listed}"))
    return (*shape[:axis], len(xs), *shape[axis:]), promote(xs)


stack = Primitive(
    "stack", "np.stack([{all}], axis={axis})", _infer_stack,
    lambda i: lambda ct, y, *, axis: index(ct, index=(*[ALL] * axis, i)),
)  # fmt: skip


def _joined_tangents(y: Node, tangents: Sequence[Node | None]) -> Node | None:
    # what transposing twice would give, without an array of zeros for each operand
    if all(t is None for t in tangents):
        return None
    whole = [zeros_like(x) if t is None else t for x, t in zip(y.inputs, tangents, strict=True)]
    return y.primitive(*whole, **y.params)


join.jvp = stack.jvp = _joined_tangents


# ------------------------------------------------------------------------------------------- select and pass on

where = elementwise(
    "where", "np.where({0}, {1}, {2})",
    None,
    lambda ct, y, c, a, b: where(c, ct, 0),
    lambda ct, y, c, a, b: where(c, 0, ct),
    selects=True,
)  # fmt: skip

# Past a selection a zero cotangent absorbs any slope: 0 * inf and 0 * nan count as 0. Where nothing is absorbed the
# share passes unchanged, and so do its derivatives.
absorb = elementwise(
    "absorb", "absorb({0}, {1})",
    lambda ct, y, share, zero: where(absorbed(share, zero), 0, ct),
    None,
    selects=True,
)  # fmt: skip

absorbed = elementwise("absorbed", "np.isnan({0}) & ({1} == 0)")

cast = Primitive(
    "cast", "np.asarray({0}, dtype={dtype})", lambda x, *, dtype: (x.shape, dtype),
    [lambda ct, y, x, *, dtype: ct],  # the reverse pass casts each share to the dtype of what it belongs to
    view=True,
)  # fmt: skip

# A number computed from bare ones alone, where it meets an array: bare itself, so that the array decides the dtype.
bare = Primitive("bare", "float({0})", same, [lambda ct, y, x: ct])

stop_gradient = Primitive("stop_gradient", "{0}", same, [None])

# One result of a node that has several; `loop.py` says what it is a tuple of.
pick = Primitive(
    "pick", "{0}[{position}]",
    lambda loop, *, position: loop.params["loop"].result_types()[position],
    view=True,
)  # fmt: skip


def operand(value: Any, operation: str = "array") -> Node:
    """Whatever NumPy takes for an array, as a node: a list that holds nodes is stacked, a bare number stays weak."""
    if isinstance(value, (list, tuple)) and contains_node(value):
        return stack(*[strong(item, operation) for item in value], axis=0)
    return as_node(value, operation)


def strong(value: Any, operation: str = "array") -> Node:
    """An array, a list or a number as a node whose dtype counts in promotion: a bare 0.5 as float64."""
    node = operand(value, operation)
    if node.weak and node.primitive is CONSTANT:
        return as_node(np.asarray(node.cached))
    return cast(node, dtype=node.dtype) if node.weak else node
