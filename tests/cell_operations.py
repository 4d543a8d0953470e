"""What a random step can be made of: each operation picks operands that fit from what there is, and adds its result.

    draft = Draft(rng)
    a = draft.weight((2, 3))               a closure of the step
    draft.add("tanh", mg.tanh, a)          one more value, whose shape and dtype the engine tells
    choice(OPERATIONS)(draft)              any operation; None where nothing fits

Values stay small: every one has a bound, and what might pass `LARGEST` goes through tanh. So thirty operations and ten
steps make no number that rounding would spoil, and results can be compared to 1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minigrad as mg

Array = Any
Scan = Callable[..., Any]  # mg.scan, or a Python loop that does the same

LARGEST = 8.0  # no value of a step is larger
SIZE = 64  # nor has more entries


@dataclass(frozen=True)
class Instruction:
    """One line of a step: a name for what an operation makes of values with names."""

    name: str
    text: str  # "tanh({0})"
    apply: Callable[..., Any]
    operands: tuple[str, ...]
    scope: str = ""
    loops: bool = False  # takes the loop to run by as its first argument

    def __call__(self, scan: Scan, values: dict[str, Any]) -> Any:
        arguments = [values[name] for name in self.operands]
        if self.loops:
            arguments.insert(0, scan)
        if not self.scope:
            return self.apply(*arguments)
        with mg.scope(self.scope):
            return self.apply(*arguments)

    def __str__(self) -> str:
        return f"{self.name} = {self.text.format(*self.operands)}" + (f"    # {self.scope}" if self.scope else "")


class Draft:
    """A step in the making: values by name, with shape, dtype and bound, and the instructions that make them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.batch, self.hidden, self.inputs = (int(rng.choice([1, 2, 3, 4])) for _ in range(3))
        self.nodes: dict[str, Any] = {}  # a symbol for each value: shape and dtype
        self.bounds: dict[str, float] = {}
        self.weights: dict[str, Array] = {}
        self.carried: set[str] = set()  # what depends on a carry
        self.instructions: list[Instruction] = []
        self.scope = ""
        self.dtype = "float32" if rng.random() < 0.12 else "float64"  # of what comes in
        self.mixed = bool(rng.random() < 0.15)  # whether some values are of the other

    # ---- values

    def leaf(self, name: str, shape: Sequence[int], dtype: str | None = None, bound: float = 1.0) -> str:
        self.nodes[name], self.bounds[name] = mg.symbol(name, shape, dtype or self.dtype), bound
        return name

    def weight(self, shape: Sequence[int], bound: float | None = None) -> str:
        """A closure of this shape: often one that is used already, so that products share operands."""
        known = [name for name in self.weights if self.weights[name].shape == tuple(shape)]
        if known and self.rng.random() < 0.4:
            return str(self.rng.choice(known))
        bound = bound or (1.0 if len(shape) < 2 else 1.0 / math.sqrt(max(shape[-2:])))
        name = f"{'wb'[len(shape) == 1] if shape else 's'}{len(self.weights)}"
        self.weights[name] = np.asarray(self.rng.uniform(-bound, bound, shape), self.dtype)
        return self.leaf(name, shape, bound=bound)

    def add(
        self, text: str, apply: Callable[..., Any], *operands: str, bound: float | None = None, loops: bool = False
    ) -> str:  # fmt: skip
        """One more instruction; its result's name. Without a bound, results are as small as the operands."""
        text = text if "{" in text else f"{text}({', '.join(f'{{{i}}}' for i in range(len(operands)))})"
        name = f"v{len(self.instructions)}"
        step = Instruction(name, text, apply, operands, self.scope, loops)
        made = mg.nodes.as_node(step(mg.scan, self.nodes))
        self.leaf(name, made.shape, str(made.dtype), self.bound(*operands) if bound is None else bound)
        self.instructions.append(step)
        if self.carried.intersection(operands):
            self.carried.add(name)
        if self.bounds[name] > LARGEST and made.dtype.kind == "f":
            return self.add("tanh", mg.tanh, name, bound=1.0)
        return name

    def bound(self, *names: str) -> float:
        return max([self.bounds[name] for name in names], default=1.0)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.nodes[name].shape)

    # ---- choices

    def choice(self, several: Sequence[Any]) -> Any:
        return several[int(self.rng.integers(len(several)))] if len(several) else None

    def floats(self, fits: Callable[[tuple[int, ...]], bool] = lambda shape: True) -> list[str]:
        return [name for name, node in self.nodes.items() if node.dtype.kind == "f" and fits(node.shape)]

    def some(self, fits: Callable[[tuple[int, ...]], bool] = lambda shape: True) -> str | None:
        """A float that fits: of two, the newer, so that steps get deep; an old one as well, so that they share."""
        found = self.floats(fits)
        if not found:
            return None
        places = self.rng.integers(len(found), size=2)
        return found[int(max(places) if self.rng.random() < 0.7 else min(places))]

    def axes(self, ndim: int) -> int | tuple[int, ...] | None:
        """One axis, several, or None for all."""
        if self.rng.random() < 0.25:
            return None
        chosen = [int(a) for a in self.rng.permutation(ndim)[: self.rng.integers(1, ndim + 1)]]
        return chosen[0] if len(chosen) == 1 else tuple(sorted(chosen))


Operation = Callable[[Draft], str | None]


def fitting(*shapes: tuple[int, ...]) -> bool:
    """Whether shapes broadcast to something small."""
    try:
        return math.prod(np.broadcast_shapes(*shapes)) <= SIZE
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------------------- elementwise

UNARY: list[tuple[str, Callable[[Any], Any], Callable[[float], float]]] = [
    ("tanh({0})",                mg.tanh,                          lambda b: 1.0),
    ("sigmoid({0})",             mg.sigmoid,                       lambda b: 1.0),
    ("sin({0})",                 mg.sin,                           lambda b: 1.0),
    ("cos({0})",                 mg.cos,                           lambda b: 1.0),
    ("relu({0})",                mg.relu,                          lambda b: b),
    ("abs({0})",                 mg.abs,                           lambda b: b),
    ("-{0}",                     lambda a: -a,                     lambda b: b),
    ("1 - {0}",                  lambda a: 1 - a,                  lambda b: b + 1),
    ("0.5 * {0}",                lambda a: 0.5 * a,                lambda b: b / 2),
    ("2.0 * {0} + 1",            lambda a: 2.0 * a + 1,            lambda b: 2 * b + 1),
    ("{0} / 3",                  lambda a: a / 3,                  lambda b: b / 3),
    ("square({0})",              mg.square,                        lambda b: b * b),
    ("{0} ** 3",                 lambda a: a**3,                   lambda b: b**3),
    ("exp(-square({0}))",        lambda a: mg.exp(-mg.square(a)),  lambda b: 1.0),
    ("sqrt(square({0}) + 1)",    lambda a: mg.sqrt(mg.square(a) + 1), lambda b: b + 1),
    ("log1p(square({0}))",       lambda a: mg.log1p(mg.square(a)), lambda b: b),
    ("1 / (square({0}) + 1)",    lambda a: 1 / (mg.square(a) + 1), lambda b: 1.0),
    ("softplus({0})",            mg.softplus,                      lambda b: b + 1),
    ("clip({0}, -0.7, 0.6)",     lambda a: mg.clip(a, -0.7, 0.6),  lambda b: 0.7),
    ("stop_gradient({0})",       mg.stop_gradient,                 lambda b: b),
    ("{0} * 1 + -0.0",           lambda a: a * 1 + -0.0,           lambda b: b),
]  # fmt: skip

BINARY: list[tuple[str, Callable[[Any, Any], Any], Callable[[float, float], float]]] = [
    ("{0} + {1}",                lambda a, b: a + b,               lambda a, b: a + b),
    ("{0} - {1}",                lambda a, b: a - b,               lambda a, b: a + b),
    ("{0} * {1}",                lambda a, b: a * b,               lambda a, b: a * b),
    ("{0} / (square({1}) + 1)",  lambda a, b: a / (mg.square(b) + 1), lambda a, b: a),
    ("maximum({0}, {1})",        mg.maximum,                       max),
    ("minimum({0}, {1})",        mg.minimum,                       max),
    ("where({0} > {1}, {0}, {1} * 0.5)", lambda a, b: mg.where(a > b, a, b * 0.5), max),
    ("hypot({0}, {1} + 2)",      lambda a, b: mg.hypot(a, b + 2),  lambda a, b: a + b + 2),
    ("logaddexp({0}, {1})",      mg.logaddexp,                     lambda a, b: max(a, b) + 1),
]  # fmt: skip


def unary(draft: Draft) -> str | None:
    text, apply, bound = draft.choice(UNARY)
    a = draft.some()
    return a and draft.add(text, apply, a, bound=bound(draft.bounds[a]))


def binary(draft: Draft) -> str | None:
    text, apply, bound = draft.choice(BINARY)
    a = draft.some()
    b = a and draft.some(lambda shape: fitting(shape, draft.shape(a)))
    return b and draft.add(text, apply, a, b, bound=bound(draft.bounds[a], draft.bounds[b]))


def selected(draft: Draft) -> str | None:
    """`where` by a mask that came in, or by a comparison of another value."""
    masks = [name for name, node in draft.nodes.items() if node.dtype.kind == "b"]
    a = draft.some()
    b = a and draft.some(lambda shape: fitting(shape, draft.shape(a)))
    if not b:
        return None
    mask = draft.choice(masks)
    if not mask or draft.rng.random() < 0.3:
        mask = draft.add("{0} > 0.1", lambda a: a > 0.1, draft.choice([a, b]))
    rows = draft.shape(mask)
    for text, turn, shape in [("{0}", lambda m: m, rows), ("{0}[..., None]", lambda m: m[..., None], (*rows, 1))]:
        if fitting(shape, draft.shape(a), draft.shape(b)) and draft.rng.random() < 0.7:
            return draft.add(f"where({text}, {{1}}, {{2}})", lambda m, a, b, turn=turn: mg.where(turn(m), a, b), mask, a, b,
                             bound=draft.bound(a, b))  # fmt: skip
    return None


# ----------------------------------------------------------------------------------------------------------- products


def product(draft: Draft) -> str | None:
    """A matrix product: with a weight on the right or the left, turned or not, in rows, batches or as they come."""
    size = int(draft.choice([draft.hidden, draft.inputs, draft.batch]))
    a = draft.some(lambda shape: 1 <= len(shape) <= 3 and math.prod(shape[:-1]) * size <= SIZE)
    if not a:
        return None
    shape, kind = draft.shape(a), int(draft.rng.integers(6))
    if kind < 2:
        return multiplied(draft, a, draft.weight((shape[-1], size)))
    if kind == 2:
        w = draft.weight((size, shape[-1]))
        return draft.add("{0} @ {1}.T", lambda a, w: a @ w.T, a, w, bound=shape[-1] * draft.bounds[a] * draft.bounds[w])
    if kind == 3 and len(shape) <= 2:
        return multiplied(draft, draft.weight((size, shape[0])), a)
    if kind == 4 and len(shape) == 3:
        return multiplied(draft, a, draft.weight((shape[0], shape[-1], size)))
    b = draft.some(lambda other: _multipliable(shape, other))
    return b and multiplied(draft, a, b)


def _multipliable(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    if not a or not b or len(b) > 3 or a[-1] != b[max(len(b) - 2, 0)]:
        return False
    return len(a) < 3 or len(b) < 3 or fitting(a[:-2], b[:-2])


def multiplied(draft: Draft, a: str, b: str) -> str:
    count = draft.shape(a)[-1]
    return draft.add("{0} @ {1}", lambda a, b: a @ b, a, b, bound=count * draft.bounds[a] * draft.bounds[b])


def gates(draft: Draft) -> str | None:
    """What cells are made of: several affine maps of the same x and h, each with weights of its own."""
    x = draft.some(lambda shape: 1 <= len(shape) <= 2)
    h = x and draft.some(lambda shape: len(shape) == len(draft.shape(x)) and shape[:-1] == draft.shape(x)[:-1])
    if not h or math.prod(draft.shape(x)[:-1]) * draft.hidden > SIZE:
        return None
    before, made = draft.scope, None
    results = []
    for i in range(int(draft.rng.integers(2, 5))):
        draft.scope = str(draft.choice(["forget", "input", f"gate={i}", "t=0", "lambda"])) if draft.rng.random() < 0.7 else ""
        made = multiplied(draft, x, draft.weight((draft.shape(x)[-1], draft.hidden)))
        if draft.rng.random() < 0.8:
            more = multiplied(draft, h, draft.weight((draft.shape(h)[-1], draft.hidden)))
            made = draft.add("{0} + {1}", lambda a, b: a + b, made, more, bound=draft.bounds[made] + draft.bounds[more])
        if draft.rng.random() < 0.7:
            b = draft.weight((draft.hidden,))
            made = draft.add("{0} + {1}", lambda a, b: a + b, made, b, bound=draft.bounds[made] + 1)
        text, apply = draft.choice([("sigmoid", mg.sigmoid), ("sigmoid", mg.sigmoid), ("tanh", mg.tanh)])
        results.append(draft.add(text, apply, made, bound=1.0))
    draft.scope = before
    if draft.rng.random() < 0.5:
        return draft.add("{0} * {1}", lambda a, b: a * b, results[0], results[-1])
    return results[-1]


def contracted(draft: Draft) -> str | None:
    """einsum over two values, and outer products."""
    a = draft.some(lambda shape: len(shape) == 2)
    b = a and draft.some(lambda shape: shape == draft.shape(a))
    if not b:
        return None
    subscripts = str(draft.choice(["ij,ij->i", "ij,ij->j", "ij,kj->ik", "ij,ij->"]))
    n = math.prod(draft.shape(a)) if subscripts[-1] == ">" else max(draft.shape(a))
    return draft.add(f"einsum('{subscripts}', {{0}}, {{1}})", lambda a, b: mg.einsum(subscripts, a, b), a, b,
                     bound=n * draft.bounds[a] * draft.bounds[b])  # fmt: skip


# --------------------------------------------------------------------------------------------- reductions, rearranging

REDUCTIONS: list[tuple[str, Callable[..., Any], bool]] = [  # the last: whether the results grow with the number
    ("sum", mg.sum, True), ("sum", mg.sum, True), ("mean", mg.mean, False), ("max", mg.max, False), ("min", mg.min, False),
    ("logsumexp", mg.logsumexp, True),
]  # fmt: skip


def reduced(draft: Draft) -> str | None:
    a = draft.some(lambda shape: len(shape) > 0)
    if not a:
        return None
    name, apply, grows = draft.choice(REDUCTIONS)
    axis, keep = draft.axes(len(draft.shape(a))), bool(draft.rng.random() < 0.4)
    text = f"{name}({{0}}, axis={axis}, keepdims={keep})"
    bound = draft.bounds[a] * (math.prod(draft.shape(a)) if grows else 1) + (name == "logsumexp")
    return draft.add(text, lambda a: apply(a, axis=axis, keepdims=keep), a, bound=bound)


def normalised(draft: Draft) -> str | None:
    a = draft.some(lambda shape: len(shape) > 0)
    if not a:
        return None
    axis = int(draft.rng.integers(len(draft.shape(a))))
    if draft.rng.random() < 0.5:
        return draft.add(f"softmax({{0}}, axis={axis})", lambda a: mg.softmax(a, axis=axis), a, bound=1.0)
    if draft.rng.random() < 0.5:
        return draft.add(f"log_softmax({{0}}, axis={axis})", lambda a: mg.log_softmax(a, axis=axis), a,
                         bound=2 * draft.bounds[a] + 3)  # fmt: skip
    return draft.add(f"cumsum({{0}}, axis={axis})", lambda a: mg.cumsum(a, axis=axis), a,
                     bound=draft.shape(a)[axis] * draft.bounds[a])  # fmt: skip


def rearranged(draft: Draft) -> str | None:
    a = draft.some(lambda shape: len(shape) > 0)
    if not a:
        return None
    shape = draft.shape(a)
    order = tuple(int(i) for i in draft.rng.permutation(len(shape)))
    axis, turns = int(draft.rng.integers(len(shape))), int(draft.rng.integers(1, 3))
    i = int(draft.rng.integers(-shape[axis], shape[axis]))
    where = (*[slice(None)] * axis, i)
    part = (*[slice(None)] * axis, draft.choice([slice(0, 1), slice(None, None, -1), slice(1, None), slice(None, None, 2)]))
    kinds: list[tuple[str, Callable[[Any], Any]]] = [
        ("reshape({0}, (-1,))", lambda a: mg.reshape(a, (-1,))),
        (f"reshape({{0}}, {(*shape[1:], shape[0])})", lambda a: mg.reshape(a, (*shape[1:], shape[0]))),
        (f"transpose({{0}}, {order})", lambda a: mg.transpose(a, order)),
        ("{0}.T", lambda a: a.T),
        (f"{{0}}[{_index_text(where)}]", lambda a: a[where]),
        (f"{{0}}[{_index_text(part)}]", lambda a: a[part]),
        (f"{{0}}[{_index_text(part)}]", lambda a: a[part]),
        (f"expand_dims({{0}}, {axis})", lambda a: mg.expand_dims(a, axis)),
        (f"roll({{0}}, {turns}, axis={axis})", lambda a: mg.roll(a, turns, axis=axis)),
        (f"split({{0}}, {shape[axis]}, axis={axis})[{i}]", lambda a: mg.split(a, shape[axis], axis=axis)[i]),
        (f"{{0}}[array({[i, 0, i]})]" if not axis else f"take({{0}}, {[i, 0, i]}, axis={axis})",
         lambda a: mg.take(a, np.array([i, 0, i]), axis=axis)),
    ]  # fmt: skip
    if math.prod(shape) * 2 <= SIZE:
        kinds.append((f"broadcast_to({{0}}, {(2, *shape)})", lambda a: mg.broadcast_to(a, (2, *shape))))
    text, apply = draft.choice(kinds)
    return draft.add(text, apply, a) if math.prod(shape) * 3 <= SIZE or "array" not in text else None


def _index_text(where: tuple[Any, ...]) -> str:
    def one(part: Any) -> str:
        if not isinstance(part, slice):
            return str(part)
        start, stop, step = ("" if v is None else str(v) for v in (part.start, part.stop, part.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")

    return ", ".join(map(one, where))


def joined(draft: Draft) -> str | None:
    a = draft.some(lambda shape: 0 < len(shape) <= 3)
    if not a:
        return None
    shape = draft.shape(a)
    axis = int(draft.rng.integers(len(shape)))
    others = [draft.some(lambda s: len(s) == len(shape) and s[:axis] + s[axis + 1 :] == shape[:axis] + shape[axis + 1 :])
              for _ in range(int(draft.rng.integers(1, 3)))]  # fmt: skip
    parts = [a, *[b for b in others if b]]
    places = ", ".join(f"{{{i}}}" for i in range(len(parts)))
    if sum(math.prod(draft.shape(b)) for b in parts) > SIZE:
        return None
    if all(draft.shape(b) == shape for b in parts) and draft.rng.random() < 0.4:
        return draft.add(f"stack([{places}], axis={axis})", lambda *xs: mg.stack(xs, axis=axis), *parts)
    return draft.add(f"concatenate([{places}], axis={axis})", lambda *xs: mg.concatenate(xs, axis=axis), *parts)


# ----------------------------------------------------------------------------------------- indices, constants, dtypes


def gathered(draft: Draft) -> str | None:
    """Rows of a table, by integers that came in or were counted or found."""
    indices = [n for n, node in draft.nodes.items() if node.dtype.kind == "i" and len(node.shape) <= 1]
    ids = draft.choice(indices)
    if not ids or draft.rng.random() < 0.3:
        a = draft.some(lambda shape: 1 <= len(shape) <= 2 and shape[-1] > 0)
        if not a:
            return None
        ids = draft.add("argmax({0}, axis=-1)", lambda a: mg.argmax(a, axis=-1), a, bound=float(draft.shape(a)[-1]))
    rows = int(draft.rng.integers(1, 5))
    if draft.rng.random() < 0.3:
        return draft.add(f"one_hot({{0}} % {rows}, {rows})", lambda i: mg.one_hot(i % rows, rows), ids, bound=1.0)
    table = draft.weight((rows, draft.hidden), bound=1.0)
    return draft.add(f"{{0}}[{{1}} % {rows}]", lambda table, i: mg.constant(table)[i % rows], table, ids, bound=draft.bounds[table])


def constant(draft: Draft) -> str | None:
    shape = draft.choice([(), (draft.hidden,), (draft.batch, draft.hidden), (draft.hidden, draft.hidden)])
    if draft.rng.random() < 0.3:
        value = float(draft.choice([0.5, -1.0, 2.0]))
        return draft.add(f"full({shape}, {value})", lambda: mg.full(shape, value, dtype=draft.dtype), bound=2.0)
    array = np.asarray(draft.rng.uniform(-1, 1, shape), draft.dtype)
    return draft.add(f"constant(of shape {shape})", lambda: mg.constant(array), bound=1.0)


def recast(draft: Draft) -> str | None:
    a = draft.some()
    if not draft.mixed or not a:
        return None
    dtype = str(draft.choice(["float32", "float64"]))
    return draft.add(f"{{0}}.astype('{dtype}')", lambda a: a.astype(dtype), a)


# -------------------------------------------------------------------------------------------------- loops in the step


def inner_loop(draft: Draft) -> str | None:
    """A loop in the loop: over the rows of a matrix, or so many times."""
    a = draft.some(lambda shape: len(shape) == 2)
    if not a:
        return None
    n = draft.shape(a)[1]
    w, b = draft.weight((n, n)), draft.weight((n,))
    backwards = bool(draft.rng.random() < 0.4)

    def rows(scan: Scan, a: Any, b: Any, w: Any) -> Any:
        return scan(lambda h, row: (mg.tanh(h @ w + row), h * row), b, a, None, backwards)[1]

    def last(scan: Scan, a: Any, b: Any, w: Any) -> Any:
        return scan(lambda h, row: (mg.sin(h * b + row) @ w, None), b, a, None, backwards)[0]

    def times(scan: Scan, a: Any, b: Any, w: Any) -> Any:
        return scan(lambda h, _: (mg.tanh(h @ w + b), None), a, None, 2)[0]

    if draft.nodes[a].dtype != draft.dtype:
        return None
    text, apply = draft.choice([("rows", rows), ("last", last), ("times", times)])
    return draft.add(f"{text}({{0}}, {{1}}, {{2}}{', reverse' if backwards else ''})", apply, a, b, w,
                     bound=draft.bound(a, b) + n, loops=True)  # fmt: skip


def inner_gradient(draft: Draft) -> str | None:
    a = draft.some(lambda shape: 0 < len(shape) <= 2)
    if not a:
        return None
    w = draft.weight((draft.shape(a)[-1], 2))
    return draft.add("grad(lambda a: sum(square(tanh(a @ {1}))))({0})",
                     lambda a, w: mg.grad(lambda a: mg.sum(mg.square(mg.tanh(a @ w))))(a), a, w, bound=4.0)  # fmt: skip


OPERATIONS: list[tuple[Operation, float]] = [
    (unary, 5), (binary, 6), (selected, 1), (product, 4), (gates, 2), (contracted, 0.5), (reduced, 2), (normalised, 1),
    (rearranged, 3), (joined, 1.5), (gathered, 1), (constant, 0.7), (recast, 2), (inner_loop, 0.4), (inner_gradient, 0.3),
]  # fmt: skip
WEIGHTS = np.array([weight for _, weight in OPERATIONS]) / sum(weight for _, weight in OPERATIONS)


def operate(draft: Draft) -> None:
    """Add one random operation that fits, and all that it needs."""
    before = draft.scope
    if draft.rng.random() < 0.15:
        draft.scope = str(draft.choice(["a", "b=1", "mix"]))
    while OPERATIONS[int(draft.rng.choice(len(OPERATIONS), p=WEIGHTS))][0](draft) is None:
        pass
    draft.scope = before


def renamed(instruction: Instruction, names: dict[str, str]) -> Instruction:
    """The same operation on other values."""
    return replace(instruction, operands=tuple(names.get(name, name) for name in instruction.operands))
