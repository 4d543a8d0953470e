"""The loop primitive: one step's graph, repeated. Its VJP is another loop, made from the VJPs of the step's primitives.

    carry, ys = scan(step, init, xs)       step(carry, x) -> (carry, y)

A `scan` node has several results; `pick` takes them. Its step is a graph of its own (see `Loop`). What the step uses
from outside, nodes and arrays alike, enters the node as a closure, so that gradients reach it; whatever in the step
does not depend on carry or x is computed once, outside.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError, ShapeError, StructureError, explain
from .forward import push
from .graph import Graph, Loop, Progress, depending_on, substitute, topological
from .nodes import CONSTANT, SYMBOL, Node, Primitive, Shape, as_node, scope, symbol, tracing, weak_symbol
from .primitives.structure import full, index, join, pick, reshape, transpose, zeros_like
from .primitives.text import Cut
from .pytree import Structure, flatten_with_paths
from .reverse import accumulate, cast_to
from .uses import Edge, live_outputs

__all__ = ["run_loop", "scan", "scan_primitive", "stand_in"]

scan_primitive = Primitive("scan", "", lambda *inputs, loop: (None, None))


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: int | str | tuple[int, ...] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[Any, Any]:
    """Call `step(carry, x) -> (carry, y)` for each x along the first axis of `xs`: the last carry, and the ys stacked.

    `init`, `xs` and what `step` returns are pytrees. The carry keeps its structure, shapes and dtypes. With `xs=None`,
    `length` says how many steps; `reverse` goes from the last x to the first (each y stays at its x's place).

    For the gradient, all that the T steps knew is kept. `checkpoint=k` keeps every k-th carry only, and the gradient
    runs each chunk of k steps again from there: the memory of T / k carries and k steps, for the time of one more
    forward pass. `"sqrt"` takes the k at which the two are in balance, the square root of T. A tuple divides chunks
    into chunks: `(k1, k2)` takes the memory of T / k1 + k1 / k2 carries and k2 steps, for two more forward passes.
    Values and gradients stay the same, up to rounding. (Griewank & Walther 2000, "Algorithm 799: revolve"; Chen et al.
    2016, "Training deep nets with sublinear memory cost".)

    `progress(done, T)` is called after each step, or each outermost chunk, as it runs; a backward pass counts from 0
    again. It is for whoever waits: a pickled graph leaves it behind.

    Raises ShapeError (xs of unequal length, a carry that changes shape or dtype), StructureError (a step that returns
    another structure), ArgumentError (no length, or a negative one; a checkpoint that is none, or larger than T).

    >>> import minigrad as mg, numpy as np
    >>> total, partial = mg.scan(lambda s, x: (s + x, s + x), 0.0, mg.constant([1.0, 2.0, 3.0]))
    >>> float(total), np.asarray(partial).tolist()
    (6.0, [1.0, 3.0, 6.0])
    >>> slowly = lambda x: mg.scan(lambda h, _: (mg.sin(h), None), x, length=10_000, checkpoint="sqrt")[0]
    >>> round(float(mg.grad(slowly)(1.0)), 9)
    3.965e-06
    """
    carry_pairs, carry_structure = flatten_with_paths(init, "carry")
    x_pairs, x_structure = flatten_with_paths(xs, "x")
    carries, slices = [as_node(leaf) for _, leaf in carry_pairs], [as_node(leaf) for _, leaf in x_pairs]
    length = _length(length, slices, x_pairs)
    sizes = _chunk_sizes(checkpoint, length)
    if progress is not None and not callable(progress):
        problem = f"progress is a function of (done, total), got {type(progress).__name__}"
        raise ArgumentError(explain("scan", problem))
    report = None if progress is None else Progress(progress, length)
    with scope("t=*"):
        step_xs = [symbol(_short(path), x.shape[1:], x.dtype) for (path, _), x in zip(x_pairs, slices, strict=True)]
    paths, x = [path for path, _ in carry_pairs], x_structure.rebuild(step_xs)
    symbols, following, ys, y_structure = _trace_step(step, carries, paths, carry_structure, x)
    if any(a.weak for a in carries):  # a bare number to start from takes the dtype that the step gives it
        carries = [cast_to(a, b.dtype) if a.weak else a for a, b in zip(carries, following, strict=True)]
        symbols, following, ys, y_structure = _trace_step(step, carries, paths, carry_structure, x)
    following = [cast_to(b, a.dtype) if b.weak else b for a, b in zip(carries, following, strict=True)]
    _refuse_drift(carries, following, paths)
    results = _run_in_chunks([*symbols, *step_xs], [*following, *ys], carries, slices, length, reverse, sizes, report)
    return carry_structure.rebuild(results[: len(carries)]), y_structure.rebuild(results[len(carries) :])


def _trace_step(
    step: Callable[[Any, Any], Any], carries: Sequence[Node], paths: Sequence[str], structure: Structure, x: Any
) -> tuple[list[Node], list[Node], list[Node], Structure]:
    # the step, called on symbols like the carries: those symbols, the next carry, the ys and their structure
    with scope("t=*"), tracing():
        symbols = [_carry_symbol(c, path) for path, c in zip(paths, carries, strict=True)]
        result = step(structure.rebuild(symbols), x)
    if not isinstance(result, tuple) or len(result) != 2:
        raise StructureError(explain("scan", f"step must return (carry, y), got {type(result).__name__}"))
    next_pairs, next_structure = flatten_with_paths(result[0], "carry")
    if next_structure != structure:
        problem = f"step changes the structure of the carry, from {structure!r} to {next_structure!r}"
        instead = "return the carry as it came in; numbers that change are floats or arrays, not int"
        raise StructureError(explain("scan", problem, instead=instead))
    y_pairs, y_structure = flatten_with_paths(result[1], "y")
    return symbols, [as_node(n) for _, n in next_pairs], [as_node(y) for _, y in y_pairs], y_structure


def _refuse_drift(carries: Sequence[Node], following: Sequence[Node], paths: Sequence[str]) -> None:
    for path, before, after in zip(paths, carries, following, strict=True):
        if before.shape != after.shape or before.dtype != after.dtype:
            was, now = (f"shape {node.shape}, {node.dtype}" for node in (before, after))
            problem = f"step changes {path} from {was} to {now}"
            instead = "start with the shape and dtype that step returns, or cast with .astype"
            raise ShapeError(explain("scan", problem, [before, after], instead))


def _carry_symbol(start: Node, path: str) -> Node:
    name = start.name or _short(path)
    return weak_symbol(name) if start.weak and start.dtype.kind == "f" else symbol(name, start.shape, start.dtype)


def _short(path: str) -> str:
    # "carry.h" and "carry['h']" are called h, "carry" is called carry
    last = re.split(r"[.\[]", path)[-1].strip("]'\"")
    return path if last.isdigit() or not last else last


def _length(length: int | None, xs: Sequence[Node], pairs: Sequence[tuple[str, Any]]) -> int:
    for (path, _), x in zip(pairs, xs, strict=True):
        if not x.shape:
            raise ShapeError(explain("scan", f"{path} is 0-d: there is no axis to go along", [x]))
    lengths = {x.shape[0] for x in xs}
    if len(lengths) > 1:
        listed = ", ".join(f"{path}: {x.shape[0]}" for (path, _), x in zip(pairs, xs, strict=True))
        raise ShapeError(explain("scan", f"xs have different lengths ({listed})", xs))
    if length is None:
        if not lengths:
            raise ArgumentError(explain("scan", "without xs the number of steps is unknown", instead="length=..."))
        return lengths.pop()
    if not _is_whole(length) or not 0 <= length <= sys.maxsize:
        problem = f"length is a whole number, 0 or more, and at most what an array can have, got {length!r}"
        raise ArgumentError(explain("scan", problem))
    if lengths and lengths != {length}:
        raise ShapeError(explain("scan", f"length is {length}, xs have {lengths.pop()} steps", xs))
    return length.__index__()


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def run_loop(
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    carries: Sequence[Node],
    xs: Sequence[Node],
    length: int,
    reverse: bool = False,
    recompute: bool = False,
    progress: Progress | None = None,
) -> list[Node]:
    """A scan node from a traced step, and its results.

    `inputs` are the step's symbols for carry and slices; `outputs` its next carry and ys. All that the outputs use
    and that depends on no input becomes a closure, but zeros that an inner loop starts from: rewrites look for those.
    The rest is as in `Loop`.
    """
    inner = set(depending_on(inputs, outputs))
    outer = [x for node in inner for x in node.inputs if x not in inner]
    outer += [node for node in outputs if node not in inner]
    outer = list(dict.fromkeys(sorted(outer, key=lambda n: n.serial)))
    starts = {x for node in inner if node.shape is None for x in node.inputs[: node.params["loop"].carries]}
    stays = {n for n in outer if (n.primitive is CONSTANT and n.weak) or (n.primitive is full and n in starts)}
    closures = [n for n in outer if n not in set(inputs) and n not in stays]
    stand_ins = [stand_in(n) for n in closures]
    body = substitute(outputs, dict(zip(closures, stand_ins, strict=True)))
    step = Graph([*inputs, *stand_ins], body)
    loop = Loop(step, len(carries), len(xs), length, reverse, recompute, progress)
    return _results(scan_primitive(*carries, *xs, *closures, loop=loop))


def _results(node: Node) -> list[Node]:
    return [pick(node, position=i) for i in range(len(node.params["loop"].graph.outputs))]


# ----------------------------------------------------------------------------------------------------- checkpoints
# A checkpointed loop is a loop over chunks, whose step is a loop over the steps of one chunk. The outer loop is marked
# `recompute`: its gradient keeps the carries that the chunks start from, and runs each chunk again. So nothing else in
# minigrad knows of checkpoints, and chunks are divided into chunks by doing the same once more.


def _chunk_sizes(checkpoint: Any, length: int) -> list[int]:
    # how many steps a chunk has, from the outside in; nothing where all is kept
    if checkpoint is None or (isinstance(checkpoint, str) and checkpoint == "sqrt" and length == 0):
        return []
    root = math.isqrt(max(length - 1, 0)) + 1  # the square root, rounded up
    if isinstance(checkpoint, str) and checkpoint == "sqrt":
        return [root]
    sizes = list(checkpoint) if isinstance(checkpoint, tuple) else [checkpoint]
    if not sizes or not all(_is_whole(k) and k > 0 for k in sizes):
        problem = f"checkpoint is a number of steps, 1 or more, a tuple of such, or 'sqrt', got {checkpoint!r}"
        raise ArgumentError(explain("scan", problem))
    sizes = [k.__index__() for k in sizes]
    if any(outer <= inner for outer, inner in itertools.pairwise(sizes)):
        problem = f"checkpoint={checkpoint!r}: chunks are divided into smaller ones, so the numbers must decrease"
        raise ArgumentError(explain("scan", problem))
    if sizes[0] > length > 0:
        problem = f"checkpoint={checkpoint!r} is longer than the loop, which has {length} steps: it would keep no carry"
        raise ArgumentError(explain("scan", problem, instead=f"checkpoint={root}, or 'sqrt'; None keeps everything"))
    return sizes if length else []


def _run_in_chunks(
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    carries: Sequence[Node],
    xs: Sequence[Node],
    length: int,
    reverse: bool,
    sizes: Sequence[int],
    progress: Progress | None = None,
) -> list[Node]:
    # run_loop, by chunks of sizes[0] steps, each by chunks of sizes[1] steps, and so on
    if not sizes:
        return run_loop(inputs, outputs, carries, xs, length, reverse, progress=progress)
    n, size, finer = len(carries), sizes[0], sizes[1:]
    rest = length % size
    if rest:  # too few for a chunk like the others: they come last, as a chunk of their own
        most = slice(rest, length) if reverse else slice(0, length - rest)
        last = slice(0, rest) if reverse else slice(length - rest, length)
        done = _run_in_chunks(
            inputs, outputs, carries, [_part(x, most) for x in xs], length - rest, reverse, sizes, progress
        )
        own = [stand_in(x) for x in inputs]  # so that no node is in two steps
        step = substitute(outputs, dict(zip(inputs, own, strict=True)))
        finer, progress = [k for k in finer if k < rest], progress and progress.after(length - rest)
        more = _run_in_chunks(
            own, step, done[:n], [_part(x, last) for x in xs], rest, reverse, [rest, *finer], progress
        )
        pairs = zip(more[n:], done[n:], strict=True) if reverse else zip(done[n:], more[n:], strict=True)
        return [*more[:n], *[join(*pair, axis=0) for pair in pairs]]
    starts = [stand_in(x) for x in inputs[:n]]
    slices = [symbol(f"{x.name}_steps", (size, *x.shape), x.dtype) for x in inputs[n:]]
    chunk = _run_in_chunks(inputs, outputs, starts, slices, size, reverse, finer)
    chunks = [reshape(x, shape=(length // size, size, *x.shape[1:])) for x in xs]
    for x, array in zip(inputs[n:], chunks, strict=True):
        array.name = f"{x.name}_chunks"
    results = run_loop([*starts, *slices], chunk, carries, chunks, length // size, reverse, recompute=True,
                       progress=progress and progress.by(size))  # fmt: skip
    return [*results[:n], *[reshape(y, shape=(length, *y.shape[2:])) for y in results[n:]]]


def _part(x: Node, steps: slice) -> Node:
    return index(x, index=(Cut(steps.start, steps.stop, None),))


# ------------------------------------------------------------------------------------------------------ derivatives


def _called(loop: Loop, i: int) -> str:
    # the name of result i: that of the carry, or of what is stacked
    output = loop.graph.outputs[i]
    if i >= loop.carries and output.primitive is pick:
        return _called(output.inputs[0].params["loop"], output.params["position"])
    return (loop.graph.inputs[i].name if i < loop.carries else output.name) or output.primitive.name


def _is_float(node: Node) -> bool:
    return node.dtype.kind == "f"


def _joint_vjp(
    cts: list[Node | None], node: Node, wanted: list[bool], inside: Sequence[Any], selected: bool
) -> tuple[list[Node | None], list[Node | None]]:
    # [ct of carry, ct of ys] -> [share of init, share of xs, share of closures], [stacked ct of each target inside]
    #
    # Forward, step t maps (carry, x, closures) to (carry, y). Backward, from the last step to the first, it maps
    # (ct of carry, sums of the closures' shares) and (ct of y, what the forward step knew) to the same one step
    # earlier, and to the share of x. What the forward step knew is stacked by the forward loop itself: the same step
    # with more outputs (a rewrite makes one loop of the two).
    loop: Loop = node.params["loop"]
    n, m = loop.carries, loop.slices
    inputs, outputs = loop.graph.inputs, loop.graph.outputs
    xs, closures = node.inputs[n : n + m], node.inputs[n + m :]
    selected = selected or loop.selects

    mark = symbol("mark").serial
    live, _ = live_outputs(loop, [i for i, ct in enumerate(cts) if ct is not None])
    ct_of = {i: symbol(f"d_{_called(loop, i)}", live[i].shape, live[i].dtype) for i in sorted(live)}
    targets = [i for i, x in enumerate(inputs) if _is_float(x) and (i < n or wanted[i])]
    asked = [*[inputs[i] for i in targets], *inside]
    found = accumulate([(outputs[i], ct) for i, ct in ct_of.items()], asked, selected=selected)
    share_of = dict(zip(targets, found, strict=False))
    cts_inside = [ct_of.get(use.position) if isinstance(use, Edge) and use.consumer is node else ct
                  for use, ct in zip(inside, found[len(targets) :], strict=True)]  # fmt: skip
    reaching = [(k, ct) for k, ct in enumerate(cts_inside) if ct is not None]

    sums = {i: symbol(f"d_{inputs[i].name}", inputs[i].shape, inputs[i].dtype) for i in targets
            if i >= n + m and share_of[i] is not None}  # fmt: skip
    next_carry = [_or_zeros(share_of.get(i), inputs[i]) for i in ct_of if i < n]
    next_sums = [sums[i] + share_of[i] for i in sums]  # type: ignore[operator]
    x_shares = [i for i in targets if n <= i < n + m and share_of[i] is not None]
    back: list[Any] = [*next_carry, *next_sums, *[share_of[i] for i in x_shares], *[ct for _, ct in reaching]]

    # what the backward step uses of the forward step: its x and closures are at hand, the rest is stacked; or run again
    known = _reached(inputs, back) if loop.recompute else _frontier(back, mark, [*ct_of.values(), *sums.values()])
    given = dict(zip(inputs[n : n + m], xs, strict=True))
    stacked = [v for v in known if v not in given and v.primitive is not CONSTANT and v not in set(inputs[n + m :])]
    stacks = _stacked(node, stacked)
    slices = [v for v in known if v in given]
    ys = [i for i in ct_of if i >= n]
    results = _backward_loop(
        loop,
        carry=[ct_of[i] for i in ct_of if i < n] + list(sums.values()),
        start=[_or_zeros(cts[i], outputs[i]) for i in ct_of if i < n]
        + [full(shape=s.shape, value=0.0, dtype=s.dtype) for s in sums.values()],
        slices=[(ct_of[i], cts[i]) for i in ys]
        + [(v, given[v]) for v in slices]
        + list(zip(stacked, stacks, strict=True)),
        closures=dict(zip(inputs[n + m :], closures, strict=True)),
        outputs=back,
    )
    shares: list[Node | None] = [None] * len(node.inputs)
    order = [*[i for i in ct_of if i < n], *sums, *x_shares]
    for i, result in zip(order, results, strict=False):
        forgotten = share_of.get(i) is None and loop.length > 0  # a carry that no step reads
        shares[i] = None if forgotten or not wanted[i] else result
    stacked_cts: list[Node | None] = [None] * len(inside)
    for (k, _), result in zip(reaching, results[len(order) :], strict=True):
        stacked_cts[k] = result
    return shares, stacked_cts


def _backward_loop(
    loop: Loop, carry: list[Node], start: list[Node], slices: list[Any], closures: dict[Node, Node], outputs: list[Any]
) -> list[Node]:
    fresh = {v: stand_in(v) for v, _ in slices}  # for the slice of this step
    body = substitute(outputs, {**fresh, **closures})
    inputs = [*carry, *fresh.values()]
    progress = loop.progress and loop.progress.backward(loop.length)
    arrays = [array for _, array in slices]
    return run_loop(inputs, body, start, arrays, loop.length, not loop.reverse, loop.recompute, progress)


def stand_in(node: Node, shape: Shape | None = None) -> Node:
    """A symbol for a node of another graph, under the same name, scope and line; of another shape, if given."""
    made = Node(SYMBOL, (), {}, node.shape if shape is None else shape, node.dtype, node.weak, like=node)
    turned = node.primitive is transpose and node.name is None
    about = node.inputs[0] if turned else node
    made.name = (about.name or about.primitive.name) + "_T" * turned
    return made


def _reached(inputs: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    used = set(topological(outputs))
    return [x for x in inputs if x in used]


def _frontier(outputs: Sequence[Node], mark: int, cotangents: Sequence[Node]) -> list[Node]:
    # the nodes of the forward step that those of the backward step use directly. Forward is what was made up to `mark`,
    # and the results of a loop that no cotangent enters: of an inner loop, which stacks what its own gradient needs
    backward = set(depending_on(cotangents, outputs))

    def is_forward(node: Node) -> bool:
        return node.serial <= mark or (node.primitive is pick and node not in backward)

    made, needed = topological(outputs, newer_than=mark), set(outputs)
    for node in reversed(made):
        if node in needed and not is_forward(node):
            needed.update(node.inputs)
    users = [node for node in made if node in needed and not is_forward(node)]
    used = [x for node in users for x in node.inputs]
    return [x for x in dict.fromkeys([*used, *outputs]) if is_forward(x)]


def _stacked(node: Node, values: Sequence[Node]) -> list[Node]:
    # the values that nodes of the step had at every step, as stacks: results of the same loop, with more outputs
    loop: Loop = node.params["loop"]
    ys = {y: i + loop.carries for i, y in reversed(list(enumerate(loop.graph.outputs[loop.carries :])))}
    extra = [v for v in values if v not in ys]
    if extra:
        graph = Graph(loop.graph.inputs, [*loop.graph.outputs, *extra])
        wider = loop.repeating(graph, loop.carries, loop.slices)
        node = Node(scan_primitive, node.inputs, {"loop": wider}, None, None, like=node)
        ys.update({v: len(loop.graph.outputs) + i for i, v in enumerate(extra)})
    return [pick(node, position=ys[v]) for v in values]


def _or_zeros(node: Node | None, like: Node) -> Node:
    return zeros_like(like) if node is None else node


def _joint_jvp(node: Node, tangents: list[Node | None], selected: bool) -> list[Node | None]:
    # [tangent of init, of xs, of closures] -> [tangent of last carry, of stacks]: a loop that carries both
    loop: Loop = node.params["loop"]
    n, m = loop.carries, loop.slices
    inputs, outputs = loop.graph.inputs, loop.graph.outputs
    moving = [i for i, x in enumerate(inputs) if _is_float(x) and (i < n or tangents[i] is not None)]
    symbols = {i: symbol(f"t_{inputs[i].name}", inputs[i].shape, inputs[i].dtype) for i in moving}
    found = push(outputs, {inputs[i]: s for i, s in symbols.items()}, selected or loop.selects)
    floats = [i for i in range(n) if i in symbols]
    ys = [i for i in range(n, len(outputs)) if found[i] is not None]
    xs = [i for i in moving if n <= i < n + m]
    closures = {x: node.inputs[i + n + m] for i, x in enumerate(inputs[n + m :])}
    closures.update({symbols[i]: tangents[i] for i in moving if i >= n + m})  # type: ignore[misc]
    body = [*outputs[:n], *[_or_zeros(found[i], outputs[i]) for i in floats], *[found[i] for i in ys]]
    results = run_loop(
        [*inputs[:n], *[symbols[i] for i in floats], *inputs[n : n + m], *[symbols[i] for i in xs]],
        substitute(body, closures),  # type: ignore[arg-type]
        [*node.inputs[:n], *[_or_zeros(tangents[i], inputs[i]) for i in floats]],
        [*node.inputs[n : n + m], *[tangents[i] for i in xs]],  # type: ignore[list-item]
        *loop.manner,
    )
    result_tangents: list[Node | None] = [None] * len(outputs)
    for i, result in zip([*floats, *ys], results[n:], strict=True):
        result_tangents[i] = result
    return result_tangents


scan_primitive.joint_vjp = _joint_vjp
scan_primitive.joint_jvp = _joint_jvp
