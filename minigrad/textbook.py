"""A module that a person can read, keep and run with NumPy alone: a loss, its gradient, and a check of it.

    text = write_module(Lesson("line", fn=loss, arguments={"w": w, "x": x}, by=["w"], about="A line."))

The body is the source that `compile` runs, written to be read: with the rewrites that put the gradients of weights
behind the loops, without those that join what a reader wants to see apart. Around it stand a docstring, names for the
results, and a self-check against central differences, in seeded data.

A lesson that can be given in all sizes is traced in three of them, and numbers get names (see `sizes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ArgumentError, GradientCheckError, explain
from .graph import Graph
from .nodes import as_node
from .primitives.text import array_literal, literal
from .prose import WIDTH, filled, in_sections, place_after, take_apart
from .pytree import tree_leaves
from .reverse import gradients
from .rewrites import PASSES, merge_loops, optimize
from .sizes import SizeNames
from .source import Source, execute, generate
from .tracing import trace
from .wording import name_results, name_stacks

__all__ = ["READABLE", "Lesson", "write_module"]

READABLE = ("reroll", "simplify", "start_with", "sum_after")  # the rewrites that make a text easier to follow
TRIED = (11, 13, 10, 12, 14, 15)  # small, and of one length, so that a text of other sizes has the same lines
SMALL, LARGEST = 16, 10_000  # entries of an array that a check writes out, and of the largest constant
STEPS = {2: (5e-2, 2e-1), 4: (1e-2, 3e-2), 8: (6e-6, 1e-6)}  # bytes of a float -> step of differences, error allowed


@dataclass(frozen=True)
class Lesson:
    """What a module is about.

    `fn(**arguments)` is a scalar, and `by` names the arguments that its gradient is taken by. `arguments` is an
    example: a dict, or a function that makes it for given `sizes`; then the module takes any sizes, and `measures` are
    the lines that find them out. `draws` is how the self-check makes data for each argument, a text with `{shape}`
    in it, under "" for all others; what has none lies where the example's does.
    """

    name: str
    fn: Callable[..., Any]
    arguments: Mapping[str, Any] | Callable[[Mapping[str, int]], Mapping[str, Any]]
    by: Sequence[str]
    about: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    measures: Sequence[str] = ()
    draws: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""

    def example(self, sizes: Mapping[str, int]) -> dict[str, Any]:
        """Arguments of these sizes."""
        return dict(self.arguments(sizes) if callable(self.arguments) else self.arguments)


def write_module(lesson: Lesson, without: Iterable[str] | None = None) -> str:
    """The text of a module. `without` names rewrites to leave out, by default all but those that are READABLE.

    Raises ArgumentError where `fn` returns no scalar, GradientCheckError where the module's self-check fails.

    >>> import minigrad as mg
    >>> lesson = Lesson("squared", lambda w, x: mg.sum((w * x) ** 2), {"w": 2.0, "x": np.ones(3)}, ["w"], "A line.")
    >>> squared = execute(write_module(lesson))["squared"]
    >>> value, gradient = squared(3.0, np.array([1.0, 2.0, 2.0]))
    >>> float(value), float(gradient["w"])
    (81.0, 54.0)
    """
    left_out = tuple(name for name in PASSES if name not in READABLE) if without is None else tuple(without)
    page = _Page(lesson, left_out, _three(list(lesson.sizes))) if lesson.sizes else None
    if page is None or page.text is None:  # where another size makes another text, it is for one size alone
        page = _Page(lesson, left_out, [lesson.sizes])
    module = page.module()
    worst = execute(module)["worst_error"]()
    if not worst <= page.tolerance:
        problem = f"the gradient is off from central differences by {worst:.1e}"
        raise GradientCheckError(explain(lesson.name, problem, instead="an example that lies on no kink, in float64"))
    return module


def _three(names: Sequence[str]) -> list[dict[str, int]]:
    tried = TRIED[: max(3, len(names))]
    return [dict(zip(names, tried[i:] + tried[:i], strict=False)) for i in range(3)]


def _value_and_gradient(lesson: Lesson) -> Callable[..., Any]:
    def both(**arguments: Any) -> Any:
        value = as_node(lesson.fn(**arguments))
        if value.shape != () or value.dtype.kind != "f":
            problem = f"a function with a gradient returns one number, this one returns {value.shape}, {value.dtype}"
            raise ArgumentError(explain(lesson.name, problem, [value], "sum or mean it"))
        name_results(Graph([], [value]))
        if not value.is_leaf:
            value.name = value.name or "loss"
        leaves = [leaf for name in lesson.by for leaf in _floats(arguments[name])]
        return value, *gradients(value, leaves)

    return both


def _worded(graph: Graph, name: str, without: Iterable[str]) -> Source:
    graph = optimize(merge_loops(graph), without)
    name_stacks(graph)
    return generate(graph, name, without=PASSES)


def _floats(tree: Any) -> list[Any]:
    return [leaf for leaf in tree_leaves(tree) if np.result_type(leaf).kind == "f"]


# ---------------------------------------------------------------------------------------------------------- the page

CHECK = '''\
def worst_error(seed=0):
    """How far the gradient is from central differences: the worst entry, relative to the largest of its array."""
    rng = np.random.default_rng(seed)
{sizes}    arguments = {{
{data}
    }}
    loss, gradients = {name}(**arguments)
    worst = 0.0
    for name, gradient in gradients.items():
        array, scale = arguments[name], max(np.abs(gradient).max(initial=0.0), 1e-4 * abs(loss)) or 1.0
        for i in range(array.size) if array.size <= 100 else rng.integers(array.size, size=100):
            entry, step = array.flat[i], {step} * max(1.0, abs(array.flat[i]))
            array.flat[i] = entry + step
            above, _ = {name}(**arguments)
            array.flat[i] = entry - step
            below, _ = {name}(**arguments)
            array.flat[i] = entry
            error = abs((above - below) / (2 * step) - gradient.flat[i]) / scale
            worst = np.maximum(worst, error)  # of a NaN it is NaN
    return worst


if __name__ == "__main__":
    found = worst_error()
    print(f"{name}: the worst entry of the gradient is {{found:.1e}} off from central differences")
    raise SystemExit(not found <= {tolerance})
'''


class _Page:
    """A lesson's generated function, to be put together with all that a module has around it."""

    def __init__(self, lesson: Lesson, without: Iterable[str], sizes: Sequence[Mapping[str, int]]) -> None:
        self.lesson, self.general = lesson, len(sizes) > 1
        examples = [lesson.example(values) for values in sizes]
        graphs = [trace(_value_and_gradient(lesson), **example) for example in examples]
        sources = [_worded(graph, lesson.name, without) for graph in graphs]
        naming = SizeNames(sizes)
        self.text = naming.rewrite([source.text for source in sources])
        if self.text is None:
            return
        self.code, self.constants = take_apart(self.text, sources[0].name), sources[0].constants
        names, leaves = self.code.parameters, [np.asarray(leaf) for leaf in tree_leaves(examples[0])]
        shapes = zip(*[[node.shape for node in graph.inputs] for graph in graphs], strict=True)
        self.shapes = {name: naming.shape(each) for name, each in zip(names, shapes, strict=True)}
        self.values = dict(zip(names, leaves, strict=True))
        owners = [name for name, value in examples[0].items() for _ in tree_leaves(value)]
        self.owners = dict(zip(names, owners, strict=True))
        self.by = [name for name in names if self.owners[name] in lesson.by and self.values[name].dtype.kind == "f"]
        self.step, self.tolerance = STEPS[min(self.values[name].itemsize for name in self.by)]

    def module(self) -> str:
        """The whole text."""
        constants = "\n".join(f"{name.upper()} = {_in_full(name, value)}" for name, value in self.constants.items())
        parts = ["import numpy as np", self.code.prelude, constants, self.function(), self.check()]
        about = self.lesson.about.strip().replace("\\", "\\\\").replace('"""', r"\"\"\"")
        return f'"""{about}\n"""\n\n' + "\n\n\n".join(part for part in parts if part)

    # ---- the function

    def function(self) -> str:
        constants = [f"{name}={name.upper()}" for name in self.constants]
        given = ", ".join([*self.code.parameters, *(["*"] if constants else []), *constants])
        head = f"def {self.lesson.name}({given}):"
        head = head if len(head) <= WIDTH else f"def {self.lesson.name}(\n{filled(given, '    ')},\n):"
        alike: dict[str, list[str]] = {}
        for name, shape in self.shapes.items():
            alike.setdefault(shape, []).append(name)
        shapes = [filled(f"{', '.join(names)}: {shape}", "    ", "        ") for shape, names in alike.items()]
        returns = self.lesson.returns or f"The value, and a dict of its gradients by {', '.join(self.by)}."
        docstring = [f'    """{filled(returns, "    ").strip()}', "", *shapes, '    """']
        return "\n".join([head, *docstring, *self.preamble(), *self.body()])

    def preamble(self) -> list[str]:
        if self.general:
            return [f"    {line}" for line in self.lesson.measures]
        fixed = ", ".join(f"({name}, {shape})" for name, shape in self.shapes.items() if shape != "()")
        listed = fixed if len(fixed) < WIDTH - 30 else f"\n{filled(fixed, ' ' * 8)},\n    "
        array, shape = (_free(wish, set(self.code.parameters)) for wish in ("array", "shape"))
        return [
            f"    for {array}, {shape} in [{listed}]:",
            f"        if np.shape({array}) != {shape}:",
            f'            raise ValueError(f"made for an array of shape {{{shape}}}, got {{np.shape({array})}}")',
        ] if fixed else []  # fmt: skip

    def body(self) -> list[str]:
        lines, taken = in_sections(self.code.lines), set(re.findall(r"\w+", str(self.text)))
        wishes = zip(["loss", *[f"d_{name}" for name in self.by]], self.code.results, strict=True)
        names = [text if text.isidentifier() else _free(wish, taken) for wish, text in wishes]
        assigned = [(name, text) for name, text in zip(names, self.code.results, strict=True) if name != text]
        if assigned and assigned[0][0] == names[0]:  # the loss, where it can be known
            name, text = assigned.pop(0)
            lines.insert(place_after(lines, text), f"    {name} = {text}")
        entries = ", ".join(f'"{name}": {found}' for name, found in zip(self.by, names[1:], strict=True))
        last = f"    return {names[0]}, {{{entries}}}"
        last = last if len(last) <= WIDTH else f"    return {names[0]}, {{\n{filled(entries, '        ')},\n    }}"
        return [*lines, *[f"    {name} = {text}" for name, text in assigned], last]

    # ---- the check

    def check(self) -> str:
        sizes = f"    {', '.join(self.lesson.sizes)} = {', '.join(map(str, self.lesson.sizes.values()))}\n"
        data = [f'        "{name}": {self.drawn(name)},' for name in self.code.parameters]
        return CHECK.format(
            sizes=sizes if self.lesson.sizes else "", data="\n".join(data), name=self.lesson.name,
            step=_short(self.step), tolerance=_short(self.tolerance),
        )  # fmt: skip

    def drawn(self, name: str) -> str:
        """How the check makes data for a parameter: as the lesson says, or where the example's lies."""
        value, shape = self.values[name], self.shapes[name]
        template = self.lesson.draws.get(self.owners[name], self.lesson.draws.get(""))
        if template is not None and value.dtype.kind == "f":
            text = template.format(shape=shape)
        elif value.ndim == 0:
            return f"np.array({literal(value.item())}, dtype={literal(value.dtype)})"
        elif value.size <= SMALL and not self.general:
            return array_literal(value)
        elif value.dtype.kind == "f":
            low, high = (f"{edge:.6g}" for edge in (value.min(), value.max()))
            text = f"rng.uniform({low}, {high}, size={shape})"
        elif value.dtype.kind == "b":
            text = f"rng.random(size={shape}) < {value.mean():.3g}"
        else:
            text = f"rng.integers({value.min()}, {value.max()}, size={shape}, endpoint=True)"
        kind = value.dtype.name
        return text if kind in ("float64", "int64", "bool") else f"({text}).astype(np.{kind})"


def _short(number: float) -> str:
    return f"{number:.0e}".replace("e-0", "e-")


def _free(wish: str, taken: set[str]) -> str:
    name = next(name for name in (wish, *[f"{wish}_{n}" for n in range(2, len(taken) + 3)]) if name not in taken)
    taken.add(name)
    return name


def _in_full(name: str, value: np.ndarray[Any, Any]) -> str:
    if value.size > LARGEST:
        problem = f"the function holds an array of {value.size:,} numbers, {name}, too many to write out"
        raise ArgumentError(explain("write_module", problem, instead="make it an argument"))
    return "\n".join(line for line in filled(array_literal(value), "    ").strip().splitlines())
