"""A graph as the NumPy source that a person would write; `compile` executes this very text.

    source = generate(graph, "gradient")
    source.text                            a module: imports, the helpers it uses, one function
    source(*arrays)                        that function
    source.save("gradient.py")             the module, and gradient.npz with its larger constants

An expression is written where it is used if that is its only use and the line stays short; else it gets a name: the
user's, or that of the scope whose result it is (`t=3/forget` gives `forget_3`), or `d_` and the name of the node whose
cotangent it is. Names are cleaned, so none can inject code, clash with another, or shadow NumPy.
"""

from __future__ import annotations

import builtins
import contextlib
import inspect
import io
import keyword
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .errors import FreeSymbolError
from .evaluation import out_of_memory
from .graph import Graph, Loop, topological
from .nodes import CONSTANT, SYMBOL, Node
from .primitives import helpers
from .primitives.structure import index, pick, transpose
from .primitives.text import ATOM, UNARY, array_literal, binding, is_uniform, literal, render
from .rewrites import merge_loops, optimize

__all__ = ["Source", "generate"]

WIDTH = 100  # of a line
INLINE = 80  # the longest expression that is written inside another
PART = 800  # lines of straight code in one function; CPython's compiler is not linear in a function's length
LITERAL_SIZE = 16  # a larger constant is a keyword parameter


class Source:
    """Generated source: its text, its larger constants by name, and the function that the text defines."""

    def __init__(
        self,
        name: str,
        text: str,
        constants: dict[str, np.ndarray[Any, Any]],
        weak: Sequence[bool],
        progress: dict[str, Callable[[int, int], object]],
    ) -> None:
        self.name, self.text, self.constants, self.weak, self.progress = name, text, constants, tuple(weak), progress
        self.function = execute(text)[name]

    def __call__(self, *arrays: Any) -> tuple[Any, ...]:
        """Run the function on one array an input; a tuple comes back, one array an output."""
        inputs = [np.float64(a) if weak else np.asarray(a) for a, weak in zip(arrays, self.weak, strict=True)]
        try:
            result: tuple[Any, ...] = self.function(*inputs, **self.constants, **self.progress)
        except MemoryError as error:
            raise out_of_memory(self.name, error) from None
        return result

    def save(self, path: str) -> list[str]:
        """Write the module to `path`, and its larger constants, if any, beside it as `.npz`; returns the paths.

        Use them as `module.name(*arrays, **np.load("name.npz"))`. Files are written whole or not at all. Whom a loop
        tells its progress (see `mg.scan`) is a parameter that may be left out.
        """
        written = [path]
        _write(path, self.text.encode())
        if self.constants:
            buffer = io.BytesIO()
            np.savez(buffer, **self.constants)  # type: ignore[arg-type]
            written.append(os.path.splitext(path)[0] + ".npz")
            _write(written[-1], buffer.getvalue())
        return written


def execute(text: str) -> dict[str, Any]:
    """Run a module's text, and return what it defines."""
    namespace: dict[str, Any] = {"__name__": "minigrad_generated"}
    exec(compile(text, "<minigrad>", "exec"), namespace)
    return namespace


def _write(path: str, data: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.part"  # beside it, so that the renaming is one step
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def generate(graph: Graph, name: str = "compiled", without: Iterable[str] = ()) -> Source:
    """The source of a graph, which must have no free symbols; `without` names rewrites to leave out."""
    if graph.free:
        first = graph.free[0]
        raise FreeSymbolError(f"source: the graph depends on the symbol {first.name!r}, which is not among its inputs")
    return _Writer(optimize(merge_loops(graph), without), name).finish()


# ----------------------------------------------------------------------------------------------------------- names

_HELPERS = [key for key, value in vars(helpers).items() if inspect.isfunction(value)]
_TEMPORARIES = {"sum": "total", "max": "largest", "min": "smallest", "any": "some", "all": "every", "index": "part"}
_KEPT = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}  # these get an underscore: input_
_RESERVED = {*_KEPT, *_HELPERS, "np", "v"}


def clean(name: str) -> str:
    """A Python identifier that looks like `name`."""
    found = re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_")
    return found if found and not found[0].isdigit() else f"x_{found}" if found else "x"


def _scope_name(scope: str) -> str:
    # "layer/t=3/forget" -> "layer_forget_3"
    words, numbers = [], []
    for part in scope.split("/"):
        key, _, value = part.partition("=")
        if value:
            numbers += [value] if value != "*" else []
        elif key not in ("backward", "forward"):
            words.append(key)
    return "_".join([*words, *numbers])


class _Names:
    """Unique names. The last number tried for each is remembered, so that a thousand equal wishes stay cheap."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken, self.ever = set(taken), set(taken)
        self.tried: dict[str, int] = {}

    def new(self, wish: str, lasting: bool = False) -> str:
        """A name that nothing has now; a `lasting` one is valid from the start, so nothing may ever have had it."""
        taken = self.ever if lasting else self.taken
        wish = clean(wish)
        wish = f"{wish}_" if wish in _KEPT else wish
        name, number = wish, self.tried.get(wish, 1)
        while name in taken:
            number += 1
            name = f"{wish.rstrip('_')}_{number}"
        self.tried[wish] = number
        self.taken.add(name)
        self.ever.add(name)
        return name

    def release(self, kept: set[str]) -> None:
        """Forget all names but these."""
        self.taken = kept
        self.tried.clear()


# ---------------------------------------------------------------------------------------------------------- writer


class _Text:
    """An expression: its text, how tightly it binds, and the names it uses."""

    __slots__ = ("precedence", "text", "uses")

    def __init__(self, text: str, precedence: int, uses: tuple[str, ...]) -> None:
        self.text, self.precedence, self.uses = text, precedence, uses


class _Writer:
    """Writes one graph. `lines` are (text, names it sets, names it uses); loops write their bodies indented."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.names = _Names(_RESERVED)
        self.function = self.names.new(clean(name))
        self.texts: dict[Node, _Text] = {}
        self.called: dict[Node, str] = {}  # what the nodes of a finished loop were called: their cotangents remember
        self.lasting: set[str] = set()  # names of constants, which are the same everywhere
        self.lines: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.arguments = [self.named(node, node.name or "x") for node in graph.inputs]
        told = {id(tell): tell for tell in _told(graph)}
        self.progress = {self.names.new("progress", lasting=True): tell for tell in told.values()}
        self.lasting.update(self.progress)
        self.scope = ""

    def named(self, node: Node, wish: str, lasting: bool = False) -> str:
        name = self.names.new(wish, lasting)
        self.texts[node] = _Text(name, ATOM, (name,))
        return name

    def name_of(self, node: Node) -> str | None:
        """The name that a node has, or had in its loop; None where it was written inside another's expression."""
        text = self.texts[node].text if node in self.texts else self.called.get(node, "")
        return text if text.isidentifier() else None

    # ---- bodies

    def body(self, graph: Graph, indent: str, results: set[Node]) -> None:
        """Write all nodes of a graph; the texts of its outputs are in `self.texts` afterwards. `results` get names."""
        given = set(graph.inputs)
        nodes = [node for node in topological(graph.outputs) if node not in given]
        uses, foreign = _count_uses(nodes, graph.outputs)
        foreign |= results
        for node in nodes:
            if node in self.texts:
                continue
            if node.primitive is CONSTANT:
                self.constant(node, uses[node], indent)
            elif node.primitive is SYMBOL:
                raise FreeSymbolError(f"source: the symbol {node.name!r} is not among the inputs")
            elif node.shape is None:
                self.loop(node, indent)
            elif node.primitive is not pick:
                text = self.expression(node, indent)
                once = uses[node] == 1 and node not in foreign and len(text.text) <= INLINE
                self.texts[node] = text
                if not once:
                    self.assign(node, self.wish(node, node in foreign), indent)

    def assign(self, node: Node, wish: str, indent: str) -> None:
        """Give the node's expression a name, in a line of its own."""
        text = self.texts[node]
        if text.precedence == ATOM and text.text.isidentifier():
            return  # a name of another's already
        if node.scope and node.scope != self.scope:
            self.lines.append((f"{indent}# {_comment(node.scope)}", (), ()))
            self.scope = node.scope
        name = self.named(node, wish)
        self.lines.append((f"{indent}{name} = {text.text}", (name,), text.uses))

    def wish(self, node: Node, scope_result: bool) -> str:
        """What a node would like to be called."""
        about, prefix = node, ""
        while about.cotangent_of is not None:
            about, prefix = about.cotangent_of, prefix + "d_"
        if about.name:
            return prefix + about.name
        if prefix and (known := self.name_of(about)):
            return prefix + known
        if about.primitive is pick:
            loop, i = about.inputs[0].params["loop"], about.params["position"]
            is_stack = i >= loop.carries
            return prefix + (self.stack_name(loop, i, None) if is_stack else loop.graph.inputs[i].name or "carry")
        if about.primitive is index and not prefix and (base := self.name_of(about.inputs[0])):
            place = about.params["index"]
            if len(place) == 1 and isinstance(place[0], int):  # xs[3] is x_3
                return f"{base.removesuffix('s') or base}_{place[0]}"
        if about.primitive is transpose and not prefix and self.texts[about.inputs[0]].text.isidentifier():
            return f"{self.texts[about.inputs[0]].text}_T"
        scoped = _scope_name(about.scope)
        if scoped and (scope_result or prefix):
            return prefix + scoped
        return prefix + _TEMPORARIES.get(about.primitive.name, about.primitive.name)

    def constant(self, node: Node, uses: int, indent: str) -> None:
        value = node.cached
        if node.weak:  # written as it is, wherever it stands
            text = literal(value)
            self.texts[node] = _Text(text, UNARY if text.startswith("-") else ATOM, ())
        elif is_uniform(value) or (value.size <= LITERAL_SIZE and not (node.name and value.ndim)):
            text = array_literal(value)
            if value.ndim == 0 and value.dtype == np.float64:
                text = f"np.float64({literal(value.item())})"
            self.texts[node] = _Text(text, ATOM, ())
            if uses > 1 and value.ndim:
                self.assign(node, node.name or "constant", indent)
        elif value.size <= LITERAL_SIZE:
            name = self.named(node, node.name or "constant", lasting=True)
            self.lasting.add(name)
            self.lines.insert(0, (f"    {name} = {array_literal(value)}", (name,), ()))
        else:
            name = self.named(node, node.name or "constant", lasting=True)
            self.lasting.add(name)
            self.constants[name] = value

    def expression(self, node: Node, indent: str) -> _Text:
        """The node's NumPy text on its operands; a line that would be too long gives its longest operands names."""
        for x, once in zip(node.inputs, binding(node.primitive, node.params, len(node.inputs)).once, strict=True):
            if not once and x.primitive is not CONSTANT:  # an expression that stands twice would be computed twice
                self.assign(x, self.wish(x, False), indent)
        while True:
            operands = [self.texts[x] for x in node.inputs]
            text = self.rendered(node, operands)
            longest = max(node.inputs, key=lambda x: len(self.texts[x].text), default=None)
            if len(text.text) + len(indent) <= WIDTH or longest is None or self.texts[longest].text.isidentifier():
                return text
            if longest.primitive is CONSTANT or len(self.texts[longest].text) < 24:
                return text
            self.assign(longest, self.wish(longest, False), indent)

    def rendered(self, node: Node, operands: Sequence[_Text]) -> _Text:
        uses = tuple(name for operand in operands for name in operand.uses)
        if node.primitive.text == "{0}":
            return _Text(operands[0].text, operands[0].precedence, uses)
        form = binding(node.primitive, node.params, len(operands))
        parts = [
            operand.text if operand.precedence >= needed else f"({operand.text})"
            for operand, needed in zip(operands, form.operands, strict=True)
        ]
        return _Text(render(node.primitive, parts, node.params), form.own, uses)

    # ---- loops

    def loop(self, node: Node, indent: str) -> None:
        """A `for` over the steps: carries in variables, results stacked into arrays made before."""
        loop: Loop = node.params["loop"]
        n, m = loop.carries, loop.slices
        inputs, outputs = loop.graph.inputs, loop.graph.outputs
        picks = {p.params["position"]: p for p in self.picks[node]}
        before = [self.texts[x] for x in node.inputs]
        self.texts.update(zip(inputs[n + m :], before[n + m :], strict=True))
        carries = [self.named(x, x.name or "carry") for x in inputs[:n]]
        for name, value in zip(carries, before[:n], strict=True):
            self.lines.append((f"{indent}{name} = {value.text}", (name,), value.uses))
        outer = set(self.names.taken)  # what is named inside the loop is free again after it
        t = self.names.new("chunk" if loop.recompute else "t")
        steps = f"reversed(range({loop.length}))" if loop.reverse else f"range({loop.length})"
        start = len(self.lines)
        self.lines.append((f"{indent}for {t} in {steps}:", (), ()))
        inside = indent + "    "
        for x, array in zip(inputs[n : n + m], before[n : n + m], strict=True):
            text = array.text if array.precedence >= ATOM else f"({array.text})"
            known = array.text.isidentifier() and "_steps" in array.text
            name = self.named(x, array.text.replace("_steps", "") if known else x.name or "x")
            self.lines.append((f"{inside}{name} = {text}[{t}]", (name,), array.uses))
        self.body(loop.graph, inside, {y for y in outputs[:n] if y.scope})
        stacks = {i: self.names.new(self.stack_name(loop, i, picks.get(i))) for i in range(n, len(outputs))}
        for i, stack in stacks.items():
            shape, dtype = loop.result_types()[i]
            kind = "" if dtype == np.float64 else f", dtype={literal(dtype)}"
            self.lines.insert(start, (f"{indent}{stack} = np.empty({literal(shape)}{kind})", (stack,), ()))
            step = self.texts[outputs[i]]
            self.lines.append((f"{inside}{stack}[{t}] = {step.text}", (), (stack, *step.uses)))
        self.advance(carries, [self.texts[y] for y in outputs[:n]], inside)
        self.tell(loop, t, inside)
        if self.lines[-1][0].endswith(":"):
            self.lines.append((f"{inside}pass", (), ()))
        unused = {name for i, name in enumerate(carries) if i not in picks}
        self.forget(loop.graph)
        self.names.release((outer | set(stacks.values()) | self.lasting) - unused)
        for found in self.picks[node]:
            i = found.params["position"]
            name = carries[i] if i < n else stacks[i]
            self.texts[found] = _Text(name, ATOM, (name,))

    def tell(self, loop: Loop, t: str, indent: str) -> None:
        """Say how far the loop is, to whoever asked for it."""
        if (told := loop.progress) is not None:
            name = next(name for name, tell in self.progress.items() if tell is told.tell)
            rounds = f"{loop.length} - {t}" if loop.reverse else f"{t} + 1"
            done = f"({rounds}) * {told.each}" if told.each > 1 else rounds
            done = f"{told.before} + {done}" if told.before else done
            self.lines.append((f"{indent}if {name} is not None:", (), (name,)))
            self.lines.append((f"{indent}    {name}({done}, {told.total})", (), (name, t)))

    def forget(self, step: Graph) -> None:
        """A loop is written. Another may run the same step: there, the same nodes are other values."""
        for node in step.nodes:
            if node in self.texts and self.texts[node].text not in self.lasting:
                self.called[node] = self.texts.pop(node).text

    def advance(self, carries: Sequence[str], following: Sequence[_Text], indent: str) -> None:
        """Give the carries their next values: one line each where no other still needs the old value, else together."""
        left = {carry: text for carry, text in zip(carries, following, strict=True) if carry != text.text}
        while left:
            ready = [c for c in left if not any(c in text.uses for other, text in left.items() if other != c)]
            for names in [[c] for c in ready] or [list(left)]:
                texts = [left.pop(name) for name in names]
                line = f"{indent}{', '.join(names)} = {', '.join(text.text for text in texts)}"
                self.lines.append((line, tuple(names), tuple(use for text in texts for use in text.uses)))

    def stack_name(self, loop: Loop, i: int, found: Node | None) -> str:
        """What the stack of a step's results is called: `forget_steps`, `h_steps`, `previous_h_steps`."""
        output = loop.graph.outputs[i]
        if found is not None and (found.name or (found.cotangent_of is not None and self.name_of(found.cotangent_of))):
            return self.wish(found, False)
        every = "chunks" if loop.recompute else "steps"
        for carry, following in zip(loop.graph.inputs, loop.graph.outputs[: loop.carries], strict=False):
            if output is following:
                return f"{carry.name}_{every}"
            if output is carry:
                return f"{carry.name}_kept" if loop.recompute else f"previous_{carry.name}_steps"
        name = self.name_of(output) or self.wish(output, True)
        return f"{name.rstrip('_').removesuffix('_steps')}_{every}"

    # ---- the module

    def finish(self) -> Source:
        self.picks: dict[Node, list[Node]] = {}
        _collect_picks(self.graph, self.picks)
        self.body(self.graph, "    ", set())
        results = [self.result(y) for y in self.graph.outputs]
        texts = [text for text, _ in results]
        listed = _wrapped(texts, 11)
        last = f"    return ({listed}{',' if len(texts) == 1 and listed == texts[0] else ''})"
        uses = tuple(name for _, used in results for name in used)
        by_keyword = [*self.constants, *[f"{name}=None" for name in self.progress]]
        by_keyword = ["*", *by_keyword] if by_keyword else []
        parameters = _wrapped(self.arguments + by_keyword, len(self.function) + 5)
        if len(self.lines) > PART:
            code = self.in_parts(parameters, last, uses)
        else:
            code = "\n".join([f"def {self.function}({parameters}):", *[text for text, _, _ in self.lines], last])
        text = "\n\n\n".join([*self.header(code), code]) + "\n"
        return Source(self.function, text, self.constants, [node.weak for node in self.graph.inputs], self.progress)

    def result(self, y: Node) -> tuple[str, tuple[str, ...]]:
        """An output as an array of the caller's own: a copy wherever it could be part of something else."""
        text = self.texts[y]
        fresh = not y.is_leaf and not y.primitive.view and sum(other is y for other in self.graph.outputs) == 1
        if y.primitive is pick and sum(other is y for other in self.graph.outputs) == 1:
            fresh = y.params["position"] >= y.inputs[0].params["loop"].carries  # a stack is, a carry may be anything
        if fresh and y.shape != ():
            return text.text, text.uses
        kind = f", dtype={literal(y.dtype)}" if y.weak else ""
        return f"np.array({text.text}{kind})", text.uses

    def header(self, code: str) -> list[str]:
        used: list[str] = []
        pending = [name for name in _HELPERS if re.search(rf"\b{name}\(", code)]
        while pending:
            name = pending.pop()
            if name not in used:
                used.append(name)
                inner = inspect.getsource(getattr(helpers, name))
                pending += [other for other in _HELPERS if other != name and re.search(rf"\b{other}\(", inner)]
        texts = [_untyped(inspect.getsource(getattr(helpers, name))) for name in _HELPERS if name in used]
        return ["import numpy as np", *texts]

    def in_parts(self, parameters: str, last: str, last_uses: tuple[str, ...]) -> str:
        """Long straight code as functions that hand each other their variables in a dict `v`."""
        parts = _cut(self.lines)
        given = [*self.arguments, *self.constants, *self.progress]
        needed = [_used_before_set(part) for part in parts]
        later = set(last_uses).union(*needed)
        functions = []
        for i, part in enumerate(parts):
            loads = [f'    {name} = v["{name}"]' for name in sorted(needed[i])]
            sets = dict.fromkeys(name for _, names, _ in part for name in names if name in later)
            saves = [f'    v["{name}"] = {name}' for name in sets]
            head = f"def {self.function}_part_{i + 1}(v):"
            functions.append("\n".join([head, *loads, *[text for text, _, _ in part], *saves]))
        begin = ", ".join(f'"{name}": {name}' for name in given)
        calls = [f"    {self.function}_part_{i + 1}(v)" for i in range(len(parts))]
        ends = [f'    {name} = v["{name}"]' for name in dict.fromkeys(last_uses)]
        main = "\n".join([f"def {self.function}({parameters}):", f"    v = {{{begin}}}", *calls, *ends, last])
        return "\n\n\n".join([*functions, main])


def _wrapped(parts: Sequence[str], used: int) -> str:
    # a comma-separated list, on as many lines as it needs
    if used + sum(len(part) + 2 for part in parts) <= WIDTH:
        return ", ".join(parts)
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) + 10 > WIDTH:
            lines.append("")
        lines[-1] += f"{part}, "
    return "\n" + "\n".join(f"        {line.rstrip()}" for line in lines) + "\n    "


def _cut(lines: list[tuple[str, tuple[str, ...], tuple[str, ...]]]) -> list[list[Any]]:
    # pieces of about PART lines; a loop stays whole
    parts: list[list[Any]] = [[]]
    for line in lines:
        if len(parts[-1]) >= PART and not line[0].startswith("     "):
            parts.append([])
        parts[-1].append(line)
    return parts


def _used_before_set(lines: Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]) -> set[str]:
    known: set[str] = set()
    needed: set[str] = set()
    for _, sets, uses in lines:
        needed.update(name for name in uses if name not in known)
        known.update(sets)
    return needed


def _count_uses(nodes: Sequence[Node], outputs: Sequence[Node]) -> tuple[dict[Node, int], set[Node]]:
    # how often each node is used, and which ones are the result of their scope: used from another, or by a loop
    uses = dict.fromkeys(nodes, 0)
    foreign: set[Node] = set()
    for node in nodes:
        looped = node.params["loop"].carries if node.shape is None else len(node.inputs)
        for i, x in enumerate(node.inputs):
            if x in uses:
                uses[x] += 1
                if i >= looped or (node.scope and x.scope and _forward_scope(x) != _forward_scope(node)):
                    foreign.add(x)
    for y in outputs:
        if y in uses:
            uses[y] += 1
    return uses, foreign


def _forward_scope(node: Node) -> str:
    # the scope without what the reverse and forward passes put before it
    return re.sub(r"^((backward|forward)(/|$))+", "", node.scope)


def _collect_picks(graph: Graph, picks: dict[Node, list[Node]]) -> None:
    for node in graph.nodes:
        if node.shape is None:
            picks.setdefault(node, [])
        elif node.primitive is pick:
            picks.setdefault(node.inputs[0], []).append(node)
    for inner in graph.subgraphs():
        _collect_picks(inner, picks)


def _told(graph: Graph) -> Iterator[Callable[[int, int], object]]:
    # the functions that loops tell their progress
    for node in graph.nodes:
        if node.shape is None:
            loop: Loop = node.params["loop"]
            if loop.progress is not None:
                yield loop.progress.tell
            yield from _told(loop.graph)


def _comment(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", text)


def _untyped(text: str) -> str:
    # a helper's source without its annotations, which would need imports
    first, rest = text.split("\n", 1)
    first = re.sub(r": (Array|Any|int|tuple\[int, \.\.\.\])", "", re.sub(r" -> \w+:", ":", first))
    return f"{first}\n{rest}".rstrip()


