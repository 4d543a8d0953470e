"""A generated function, taken apart and set in order for a reader.

    function = take_apart(text, "gradient")        its parameters, the lines of its body, the expressions it returns
    in_sections(function.lines)                     the same lines, under headings: forward, backward, after the loops
    filled("a, b, c", "    ")                       text broken into lines

What is computed is never changed. Transposes and slices stand where they are used; a name is used again where nobody
needs what it was (`d_h_2 = d_h + ...` is `d_h = d_h + ...`); scopes become headings.
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

__all__ = ["WIDTH", "Function", "filled", "in_sections", "place_after", "take_apart"]

WIDTH = 110
FORWARD, BACKWARD, AFTERWARDS = "forward", "backward", "gradients, summed over all steps"
_NAME = r"(?<![\w.\"'])[A-Za-z_]\w*"  # no attribute, and nothing in a string

_TRANSPOSED = re.compile(r"    (\w+)_T = (.+)\.T")


class Function(NamedTuple):
    """The pieces of a generated module with one function: `prelude` is what stands before it, without the import."""

    prelude: str
    parameters: list[str]
    lines: list[str]
    results: list[str]


def take_apart(text: str, name: str) -> Function:
    """The pieces of the function `name` of a generated module."""
    tree = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name)
    last, lines = tree.body[-1], text.splitlines()
    assert isinstance(last, ast.Return)
    assert isinstance(last.value, ast.Tuple)
    parameters = [argument.arg for argument in tree.args.args]
    by_keyword = zip(tree.args.kwonlyargs, tree.args.kw_defaults, strict=True)
    defaults = {argument.arg: ast.unparse(value) for argument, value in by_keyword if value is not None}
    start = next(i for i in range(tree.lineno - 1, len(lines)) if lines[i].endswith("):"))
    prelude = "\n".join(lines[: tree.lineno - 1]).removeprefix("import numpy as np").strip("\n")
    results = [_own(part, last.value.elts, parameters) for part in last.value.elts]
    known = _transposes(lines[start + 1 : last.lineno - 1]) | defaults
    body = _in_place(lines[start + 1 : last.lineno - 1], known)
    results = _in_place(results, known)
    for edit in (_slice_in_place, _same_name):
        body = _edited(body, edit, results)
    return Function(prelude, parameters, list(map(_with_operators, body)), list(map(_with_operators, results)))


def _own(part: ast.expr, results: Sequence[ast.expr], parameters: Sequence[str]) -> str:
    """A result without the `np.array(...)` around it, which matters only where it is an argument, or given twice."""
    text = ast.unparse(part)
    match part:
        case ast.Call(func=ast.Attribute(attr="array"), args=[inner], keywords=[]):
            array = ast.unparse(inner)
            others = [ast.unparse(other) for other in results]
            if array not in parameters and array not in others and others.count(text) == 1:
                return array
    return text


def _transposes(lines: Sequence[str]) -> dict[str, str]:
    """What stands for `w_T`, where that is set once before the loops: `w.T`."""
    taken = {name for line in lines for name in _split(line)[0]}
    known = {}
    for line in lines:
        match = _TRANSPOSED.fullmatch(line)
        if match is not None and (match[2].isidentifier() or match[1] not in taken):
            known[f"{match[1]}_T"] = f"{match[2] if match[2].isidentifier() else match[1]}.T"
    return known


def _in_place(lines: Sequence[str], known: dict[str, str]) -> list[str]:
    """The lines, with what is known written in the place of names."""
    kept: list[str] = []
    for line in lines:
        match = _TRANSPOSED.fullmatch(line)
        if match is None or f"{match[1]}_T" not in known:
            kept.append(re.sub(_NAME, lambda name: known.get(name[0], name[0]), line))
        elif not match[2].isidentifier():
            kept.append(f"    {match[1]} = {match[2]}")
        elif kept and kept[-1].lstrip().startswith("#"):  # which said where that came from
            kept.pop()
    return kept


def _with_operators(line: str) -> str:
    """`a.dot(b)`, which is faster where matrices are small, as `a @ b`."""
    if ".dot(" not in line:
        return line
    statement = _Products().visit(ast.parse(line.strip()))
    return line[: len(line) - len(line.lstrip())] + ast.unparse(statement)


class _Products(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Attribute(value=left, attr="dot"), args=[right], keywords=[]):
                return ast.BinOp(left, ast.MatMult(), right)
        return node


# ------------------------------------------------------------------------------------------------------- inside loops


def _edited(lines: list[str], edit: Callable[[list[str], set[str]], bool], results: Iterable[str]) -> list[str]:
    """The lines, with every loop at the top level edited: `edit(block, names used elsewhere)` as long as it does."""
    start = 0
    while start < len(lines):
        end = start + 1
        if lines[start].startswith("    for "):
            while end < len(lines) and lines[end].startswith("     "):
                end += 1
            block, others = lines[start + 1 : end], [*lines[: start + 1], *lines[end:], *results]
            elsewhere = {name for line in others for name in _names(line)}
            if not any(line.lstrip().startswith(("for ", "while ")) for line in block):
                while edit(block, elsewhere):
                    pass
                lines, end = [*lines[: start + 1], *block, *lines[end:]], start + 1 + len(block)
        start = end
    return lines


def _names(line: str) -> list[str]:
    return [] if line.lstrip().startswith("#") else re.findall(_NAME, line)


def _split(line: str) -> tuple[list[str], list[str]]:
    """The names that a line gives new values, and all others that stand in it."""
    match = re.match(r" +([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*) = ", line)
    return (match[1].split(", "), _names(line[match.end() :])) if match else ([], _names(line))


def _changed(line: str) -> set[str]:
    """The names that a line gives values, and those of arrays that it writes into."""
    into = re.match(r" +([A-Za-z_]\w*)(?:\[[^=]*\])? [-+*/@]*= ", line)
    return {*_split(line)[0], *([into[1]] if into else []), *re.findall(r"\bout=([A-Za-z_]\w*)", line)}


def _slice_in_place(block: list[str], elsewhere: set[str]) -> bool:
    """`x = xs[t]` where x stands once becomes `xs[t]` there, if xs stays as it is."""
    for i, line in enumerate(block):
        match = re.fullmatch(r" +(\w+) = (\w+)\[t\]", line)
        if match is None or match[1] in elsewhere:
            continue
        uses = [j for j, other in enumerate(block) for name in _names(other) if name == match[1] and j != i]
        stays = not any(match[2] in _changed(other) for other in block)
        if len(uses) == 1 and uses[0] > i and stays and match[1] not in _changed(block[uses[0]]):
            block[uses[0]] = re.sub(rf"\b{match[1]}\b", f"{match[2]}[t]", block[uses[0]])
            del block[i]
            return True
    return False


def _same_name(block: list[str], elsewhere: set[str]) -> bool:
    """`d_h_2`, set once, is called `d_h` if nobody asks for what that was before it gets another value."""
    for i, line in enumerate(block):
        for name in _split(line)[0]:
            base, others = re.sub(r"_\d+$", "", name), block[:i] + block[i + 1 :]
            if base == name or name in elsewhere or any(name in _split(other)[0] for other in others):
                continue
            uses = [j for j, other in enumerate(block) if name in _split(other)[1]]
            if uses and uses[0] > i and _is_idle(base, block, i, uses[-1], base in elsewhere):
                for j in (i, *uses):
                    block[j] = re.sub(rf"(?<!\.)\b{name}\b", base, block[j])
                return True
    return False


def _is_idle(name: str, block: Sequence[str], start: int, end: int, lives_on: bool) -> bool:
    # whether nobody needs the value that a name has behind line `start`, and nobody gives it another before `end`
    if any(name in _names(line) for line in block[start + 1 : end]) or name in _split(block[end])[1]:
        return False
    for line in block[end:]:
        sets, uses = _split(line)
        if name in uses:
            return False
        if name in sets:
            return True
    carried = next((name in _split(line)[1] for line in block if name in _names(line)), False)
    return not lives_on and not carried


# ---------------------------------------------------------------------------------------------------------- sections


def in_sections(lines: Sequence[str]) -> list[str]:
    """The lines of a body under headings, and inside loops the scopes that they belong to, where no name says so."""
    top = [i for i, line in enumerate(lines) if not line.startswith("     ")]
    loops = [i for i in top if lines[i].startswith("    for ")]
    late = [i for i in top if lines[i].startswith(("    # backward", "    d_")) and (not loops or i > loops[0])]
    backward = late[0] if late else len(lines)
    loops = [i for i in loops if i > backward]
    after = next((i for i in top if i > loops[-1]), len(lines)) if loops else len(lines)
    headings = {backward: ["", f"    # {BACKWARD}"], after: ["", f"    # {AFTERWARDS}"]}
    written, said = [f"    # {FORWARD}"], ""
    for i, line in enumerate(lines):
        written += headings.get(i, [])
        comment = re.fullmatch(r"( +)# (.*)", line)
        if comment is None:
            written.append(line)
        elif (place := _place(comment[2])) != said or i in headings:
            written += [f"{comment[1]}# {place}"] if place and not _says(lines[i + 1 :], place) else []
            said = place
    return written + headings.get(len(lines), []) * (after == len(lines) and bool(loops))


def _says(lines: Sequence[str], place: str) -> bool:
    # whether a name says what a comment would
    own = itertools.takewhile(lambda line: not line.lstrip().startswith("#"), lines)
    return any(place in name.split("_") for line in own for name in _names(line))


def _place(scope: str) -> str:
    # "backward/layer/t=*/forget" -> "layer/forget"
    return "/".join(part for part in scope.split("/") if part not in ("backward", "forward", "t=*"))


def place_after(lines: Sequence[str], expression: str) -> int:
    """Where at the top level an expression can stand first: behind all that sets or changes what it uses."""
    names, place = set(re.findall(_NAME, expression)), 0
    for i, line in enumerate(lines):
        if _changed(line) & names:
            place = next((j for j in range(i + 1, len(lines)) if not lines[j].startswith("     ")), len(lines))
    return place


# ------------------------------------------------------------------------------------------------------------- lines


def filled(text: str, indent: str, further: str | None = None) -> str:
    """Text on as many lines as it needs, which are not broken behind a colon."""
    found = textwrap.wrap(
        text.replace(": ", ":\0"), WIDTH, initial_indent=indent, break_long_words=False, break_on_hyphens=False,
        subsequent_indent=indent if further is None else further,
    )  # fmt: skip
    return "\n".join(found).replace(":\0", ": ")
