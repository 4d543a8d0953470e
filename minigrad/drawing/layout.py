"""Lay DOT out and draw it: by Graphviz's program `dot` where it is on the path, else by pygraphviz.

Always in a process of its own, with a time limit: a layout runs in C, where it cannot be interrupted, and where an
unusual graph can bring the whole process down.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

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


def lay_out(dot: str, form: str, boxes: int, timeout: float) -> bytes:
    """DOT drawn as SVG, PNG or PDF. `boxes` is for the error's text.

    Raises MissingExtraError where there is no layout program, LayoutError where it fails or takes too long.
    """
    program, option = shutil.which("dot"), OPTIONS.get(form, "")
    if program:
        command = [program, f"-T{form}", *([option] if option else [])]
    elif importlib.util.find_spec("pygraphviz") is not None:
        command = [sys.executable, "-c", _BY_PYGRAPHVIZ, form, option]
    else:
        raise missing_extra("pygraphviz", "draw", f"drawing {form.upper()} without Graphviz's program `dot`")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}  # with one date, the same graph gives the same PDF
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        raise LayoutError(
            f"render: to lay out {boxes:,} boxes takes longer than {timeout:g} s\n"
            "  instead: a smaller max_nodes, fold='t=*', a longer timeout, or a path that ends in .dot (no layout)"
        ) from None
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()[-500:] or f"exit code {done.returncode}"
        raise LayoutError(f"render: {os.path.basename(command[0])} could not lay out {boxes:,} boxes: {said}")
    return done.stdout
