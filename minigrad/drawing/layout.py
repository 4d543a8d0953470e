"""Lay DOT out and draw it: by Graphviz's program `dot` where it is on the path, else by pygraphviz.

Always in a process of its own, with a time limit: a layout runs in C, where it cannot be interrupted, and where an
unusual graph can bring the whole process down.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings

from ..errors import MinigradError, missing_extra

__all__ = ["FORMATS", "LayoutError", "lay_out"]

FORMATS = ("svg", "png", "pdf")
OPTIONS = {"png": "-Gdpi=144"}  # sharp on today's screens, and on a slide

_BY_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot", args=sys.argv[2]))
"""


class LayoutError(MinigradError, RuntimeError):
    """The layout program failed, or took too long."""


def lay_out(source: str, plainer: str, form: str, timeout: float) -> bytes:
    """DOT drawn as SVG, PNG or PDF; where that fails or takes a third of the timeout, a plainer DOT of the same graph.

    Raises MissingExtraError where there is no layout program, LayoutError where both fail.
    """
    import shutil  # slow to import, as is subprocess

    program, option = shutil.which("dot"), OPTIONS.get(form, "")
    if program:
        command = [program, f"-T{form}", *([option] if option else [])]
    elif importlib.util.find_spec("pygraphviz") is not None:
        command = [sys.executable, "-c", _BY_PYGRAPHVIZ, form, option]
    else:
        raise missing_extra("pygraphviz", "draw", f"drawing {form.upper()} without Graphviz's program `dot`")
    try:
        return _run(command, source, timeout / 3)
    except LayoutError as first:
        drawn = _run(command, plainer, timeout * 2 / 3)
        reason = str(first).splitlines()[0]
        warnings.warn(f"{reason}; drawn in a plainer way, without shapes on arrows", stacklevel=4)
        return drawn


def _run(command: list[str], source: str, timeout: float) -> bytes:
    import subprocess

    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LayoutError(
            f"render: the layout takes longer than {timeout:.3g} s\n"
            "  instead: a smaller max_nodes, fold='t=*', a longer timeout, or a path that ends in .dot (no layout)"
        ) from None
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise LayoutError(f"render: the layout failed with exit code {done.returncode}\n  {said}")
    # a PDF says when it was made: with one date for all, the same graph gives the same bytes
    return re.sub(rb"(?<=/CreationDate \(D:)\d{14}[^)]*", _no_date, done.stdout)


def _no_date(found: re.Match[bytes]) -> bytes:
    return b"19700101000000" + re.sub(rb"\d", b"0", found[0][14:])
