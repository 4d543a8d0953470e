"""A graph as the NumPy source that a person would write; `compile` executes this very text.

    source = generate(graph, "gradient")
    source.text                            a module: imports, the helpers it uses, one function
    source(*arrays)                        that function
    source.save("gradient.py")             the module, and gradient.npz with its larger constants
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .errors import FreeSymbolError
from .evaluation import out_of_memory
from .expressions import WIDTH, Line
from .graph import Graph
from .naming import HELPERS
from .primitives import helpers
from .primitives.structure import pick
from .primitives.text import literal
from .rewrites import merge_loops, optimize
from .writer import Writer

__all__ = ["Source", "generate", "write_file"]

KEPT = 1 << 28  # bytes that a function holds between calls at most, for each thread that calls it at once
PART = 800  # lines of straight code in one function; CPython's compiler is not linear in a function's length


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
        self.by_keyword = {**constants, **progress}
        self.function = execute(text)[name]
        self.keeps_memory = "empty=np.empty" in text
        self.workspaces: list[Workspace] = []  # those that no call is using

    def __call__(self, *arrays: Any) -> tuple[Any, ...]:
        """Run the function on one array an input; a tuple comes back, one array an output."""
        return self.run(*[np.float64(a) if weak else np.asarray(a) for a, weak in zip(arrays, self.weak, strict=True)])

    def run(self, *inputs: Any) -> tuple[Any, ...]:
        """The same for arrays that are as the function takes them: NumPy's own, and no bare numbers."""
        try:
            if not self.keeps_memory:
                return self.function(*inputs, **self.by_keyword)  # type: ignore[no-any-return]
            workspace = self._workspace()
            result: tuple[Any, ...] = self.function(*inputs, **self.by_keyword, empty=workspace)
        except MemoryError as error:
            raise out_of_memory(self.name, error) from None
        if workspace.size <= KEPT:
            self.workspaces.append(workspace)
        return result

    def _workspace(self) -> Workspace:
        # each call has one to itself, also where several threads call, or a call is made inside another
        try:
            return self.workspaces.pop().rewound()
        except IndexError:
            return Workspace()

    def save(self, path: str) -> list[str]:
        """Write the module to `path`, and its larger constants, if any, beside it as `.npz`; returns the paths.

        Use them as `module.name(*arrays, **np.load("name.npz"))`. Files are written whole or not at all. Whom a loop
        tells its progress (see `mg.scan`) is a parameter that may be left out.
        """
        written = [path]
        write_file(path, self.text.encode())
        if self.constants:
            buffer = io.BytesIO()
            np.savez(buffer, **self.constants)  # type: ignore[arg-type]
            written.append(os.path.splitext(path)[0] + ".npz")
            write_file(written[-1], buffer.getvalue())
        return written


class Workspace:
    """Arrays that a call fills and that the next call fills again: fresh memory costs more than what is done with it.

    Calls ask for the same arrays in the same order, in the place of `np.empty`.
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.given = self.size = 0  # how many of them this call has had, and the bytes of all

    def __call__(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray[Any, Any]:
        """The next array, as `np.empty` would make it."""
        if self.given == len(self.arrays):
            self.arrays.append(np.empty(shape, dtype))
            self.size += self.arrays[-1].nbytes
        self.given += 1
        return self.arrays[self.given - 1]

    def rewound(self) -> Workspace:
        """Start again with the first array."""
        self.given = 0
        return self


def execute(text: str) -> dict[str, Any]:
    """Run a module's text, and return what it defines."""
    namespace: dict[str, Any] = {"__name__": "minigrad_generated"}
    exec(compile(text, "<minigrad>", "exec"), namespace)
    return namespace


def write_file(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = f"{path}.{os.getpid()}.part"  # beside it, so that the renaming is one step
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def generate(graph: Graph, name: str = "compiled", without: Iterable[str] = (), in_loop: bool = False) -> Source:
    """The source of a graph, which must have no free symbols; `without` names rewrites to leave out.

    `in_loop` says that the function is a step that others repeat, written for speed as the inside of a loop is.
    """
    if graph.free:
        first = graph.free[0]
        raise FreeSymbolError(f"source: the graph depends on the symbol {first.name!r}, which is not among its inputs")
    writer = Writer(optimize(merge_loops(graph), without), name)
    writer.in_loop = in_loop
    return module(writer)


# ---------------------------------------------------------------------------------------------------------- module


def module(writer: Writer) -> Source:
    """All that a writer has to write, as a module of one function."""
    writer.body(writer.graph, "    ", set())
    results = [_result(i, writer) for i in range(len(writer.graph.outputs))]
    texts = [text for text, _ in results]
    listed = _wrapped(texts, 11)
    last = f"    return ({listed}{',' if len(texts) == 1 and listed == texts[0] else ''})"
    uses = tuple(name for _, used in results for name in used)
    by_keyword = [*writer.constants, *[f"{name}=None" for name in writer.progress]]
    by_keyword += ["empty=np.empty"] if writer.pooled else []
    by_keyword = ["*", *by_keyword] if by_keyword else []
    parameters = _wrapped(writer.arguments + by_keyword, len(writer.function) + 5)
    if len(writer.lines) > PART:
        code = _in_parts(writer, parameters, last, uses)
    else:
        code = "\n".join([f"def {writer.function}({parameters}):", *[text for text, _, _ in writer.lines], last])
    text = "\n\n\n".join([*_header(code), code]) + "\n"
    return Source(writer.function, text, writer.constants, [x.weak for x in writer.graph.inputs], writer.progress)


def _result(position: int, writer: Writer) -> tuple[str, tuple[str, ...]]:
    # an output as an array of the caller's own: a copy wherever it could be part of something else
    y = writer.graph.outputs[position]
    text = writer.texts[y]
    named = text.text.isidentifier()  # another expression of the same text makes another array
    first = not named or all(writer.texts[other].text != text.text for other in writer.graph.outputs[:position])
    fresh = first and not y.is_leaf and not y.primitive.view
    if y.primitive is pick and first:
        fresh = writer.is_whole(y)
    if fresh and y.shape != ():
        return text.text, text.uses
    kind = f", dtype={literal(y.dtype)}" if y.weak else ""
    return f"np.array({text.text}{kind})", text.uses


def _header(code: str) -> list[str]:
    texts, used = _helper_texts(), set[str]()
    pending = _called(code)
    while pending:
        name = pending.pop()
        used.add(name)
        pending |= _called(texts[name]) - used
    return ["import numpy as np", *[_untyped(texts[name]) for name in HELPERS if name in used]]


def _called(code: str) -> set[str]:
    return set(re.findall(r"\b(\w+)\(", code)).intersection(HELPERS)


@functools.cache
def _helper_texts() -> dict[str, str]:
    # the whole file's text, cut where the functions part: to ask for the source of a function takes long
    blocks = inspect.getsource(helpers).split("\n\n\n")
    return {found[1]: block for block in blocks if (found := re.search(r"^def (\w+)", block, re.MULTILINE))}


def _in_parts(writer: Writer, parameters: str, last: str, last_uses: tuple[str, ...]) -> str:
    # long straight code as functions that hand each other their variables in a dict `v`
    name = writer.function
    parts = _cut(writer.lines)
    given = [*writer.arguments, *writer.constants, *writer.progress, *["empty"] * writer.pooled]
    needed = [_used_before_set(part) for part in parts]
    later = set(last_uses).union(*needed)
    functions, known = [], set(given)
    for i, part in enumerate(parts):
        own, inside = (
            {x for line, names, _ in part if line.startswith("     ") is in_loop for x in names}
            for in_loop in (False, True)
        )
        carried = inside & known & later  # what a loop sets inside is its own, but for carries that started before
        loads = [f'    {x} = v["{x}"]' for x in sorted(needed[i] | carried)]
        sets = dict.fromkeys(x for _, names, _ in part for x in names if x in later and x in own | carried)
        saves = [f'    v["{x}"] = {x}' for x in sets]
        known |= own
        functions.append("\n".join([f"def {name}_part_{i + 1}(v):", *loads, *[text for text, _, _ in part], *saves]))
    begin = ", ".join(f'"{x}": {x}' for x in given)
    calls = [f"    {name}_part_{i + 1}(v)" for i in range(len(parts))]
    ends = [f'    {x} = v["{x}"]' for x in dict.fromkeys(last_uses)]
    main = "\n".join([f"def {name}({parameters}):", f"    v = {{{begin}}}", *calls, *ends, last])
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


def _cut(lines: list[Line]) -> list[list[Any]]:
    # pieces of about PART lines; a loop stays whole
    parts: list[list[Any]] = [[]]
    for line in lines:
        if len(parts[-1]) >= PART and not line[0].startswith("     "):
            parts.append([])
        parts[-1].append(line)
    return parts


def _used_before_set(lines: Iterable[Line]) -> set[str]:
    known: set[str] = set()
    needed: set[str] = set()
    for _, sets, uses in lines:
        needed.update(name for name in uses if name not in known)
        known.update(sets)
    return needed


def _untyped(text: str) -> str:
    # a helper's source without its annotations, which would need imports
    before, definition, after = text.partition("def ")
    first, rest = after.split("\n", 1)
    first = re.sub(r": (Array|Any|int|tuple\[int, \.\.\.\])", "", re.sub(r" -> \w+:", ":", first)).replace(" = ", "=")
    return f"{before}{definition}{first}\n{rest}".rstrip()
