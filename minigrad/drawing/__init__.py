"""Drawings of graphs: DOT, SVG, PNG and PDF.

    render(y, "f.svg")                     a node, several, or a graph; the suffix is the format
    render(mg.trace(fn, *args))            without a path: a Drawing, which shows itself in a notebook
    svg(y)                                 the text of the SVG

In reading order: `labels` (what is written), `picture` (a graph as boxes, arrows and places), `folding` (what is left
out), `rows` (steps in a row), `style` (how it looks), `dot` (a picture as DOT), `layout` (DOT as SVG, PNG, PDF).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import MinigradError, explain
from ..graph import Graph
from ..nodes import Node
from ..pytree import tree_leaves
from .dot import Writer
from .folding import fold as fold_picture
from .layout import FORMATS, LayoutError, lay_out
from .picture import Picture

__all__ = ["Drawing", "LayoutError", "render", "svg"]

SUFFIXES = {".dot": "dot", ".gv": "dot", **{f".{form}": form for form in FORMATS}}
DIRECTIONS = ("LR", "TB", "RL", "BT")


class Drawing:
    """A graph, drawn: `source` is its DOT, `str(drawing)` too; a notebook shows it as SVG."""

    def __init__(self, source: str, plainer: str, boxes: int, timeout: float) -> None:
        self.source = source
        self._plainer, self._boxes, self._timeout = plainer, boxes, timeout

    def to(self, form: str) -> bytes:
        """The drawing as "dot", "svg", "png" or "pdf".

        Raises MissingExtraError where there is no layout program, LayoutError where it fails or takes too long.
        """
        if form not in SUFFIXES.values():
            raise ValueError(explain("drawing", f"the format is dot, svg, png or pdf, got {form!r}"))
        return self.source.encode() if form == "dot" else lay_out(self.source, self._plainer, form, self._timeout)

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"<drawing of {self._boxes:,} boxes>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        try:
            return {"image/svg+xml": self.to("svg").decode(), "text/plain": repr(self)}
        except (MinigradError, OSError):  # a notebook must show something, with or without a layout program
            return {"text/plain": self.source}


def render(
    what: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    direction: str = "LR",
    shapes: bool = True,
    values: bool = True,
    legend: bool = True,
    max_nodes: int = 300,
    fold: str | Sequence[str] = (),
    expand: str | Sequence[str] = (),
    overlay: Mapping[Node, Any] | None = None,
    timeout: float = 60.0,
) -> Drawing:
    """Draw a node, a list (or other pytree) of nodes, or a graph; write it to `path` if there is one.

    The path's suffix is the format: .dot and .gv need no layout, .svg, .png and .pdf do. The file is written whole or
    not at all. `direction` is "LR" (from left to right) or "TB" (from top to bottom). `shapes` writes shapes on arrows
    (an arrow without one carries a scalar), `values` the values of small constants.

    With more than `max_nodes` boxes, all but the first and the last of numbered scopes (t=0, t=1, ...) become one box
    that says what is in it, and scopes become boxes, until one can see the whole. `fold` names scopes that are one box
    in any case, `expand` scopes that stay open: patterns as in `graph.find`, "t=*/forget". `overlay` colours nodes by
    a number each, such as the norm of the gradient there. `timeout` (seconds) is for the layout; where a third of it is
    not enough, the graph is drawn in a plainer way, with a warning.

    Raises ValueError (an unknown suffix or option, a pattern that no scope fits), TypeError (not a node),
    MissingExtraError (no layout program), LayoutError (it fails or takes too long), OSError (the path).

    >>> import minigrad as mg
    >>> x = mg.symbol("x", (3,))
    >>> drawing = render(mg.tanh(x))
    >>> drawing, "tanh" in drawing.source
    (<drawing of 2 boxes>, True)
    """
    form = _format(path)
    if direction not in DIRECTIONS:
        raise ValueError(explain("render", f"direction is one of {', '.join(DIRECTIONS)}, got {direction!r}"))
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 1:
        raise ValueError(explain("render", f"max_nodes is a whole number, 1 or more, got {max_nodes!r}"))
    picture = Picture(_graph(what))
    fold_picture(picture, max_nodes, _patterns(fold, picture), _patterns(expand, picture))
    writer = Writer(picture, title, direction, shapes, values, legend, _numbers(overlay or {}, picture))
    drawing = Drawing(writer.write(), writer.write(plainer=True), len(writer.boxes), timeout)
    if path is not None:
        _write(path, drawing.to(form))
    return drawing


def svg(what: Any) -> str:
    """The text of the SVG that `render` draws. Raises as it does."""
    return render(what).to("svg").decode()


# ------------------------------------------------------------------------------------------------------- arguments


def _graph(what: Any) -> Graph:
    if isinstance(what, Graph):
        return what
    nodes = [] if callable(what) and not isinstance(what, Node) else tree_leaves(what)
    if not nodes or not all(isinstance(node, Node) for node in nodes):
        found = type(what).__name__ if isinstance(what, Node) or not nodes else type(nodes[0]).__name__
        problem = f"a node, a list of nodes, or a graph can be drawn, got {found}"
        raise TypeError(explain("render", problem, instead="for a function, mg.render(mg.trace(fn, *args))"))
    return Graph([], nodes)


def _format(path: str | os.PathLike[str] | None) -> str:
    suffix = ".dot" if path is None else os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        problem = f"the suffix of {os.fspath(path or '')!r} is no format that can be drawn"
        raise ValueError(explain("render", problem, instead=f"a path that ends in {', '.join(SUFFIXES)}"))
    return SUFFIXES[suffix]


def _patterns(patterns: str | Sequence[str], picture: Picture) -> list[str]:
    listed = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in listed:
        if not picture.places_like(pattern):
            scopes = list(dict.fromkeys("/".join(place.path) for place in picture.root.walk() if place.parent))
            known = ", ".join(scopes[:8]) + (", ..." if len(scopes) > 8 else "")
            problem = f"no scope fits the pattern {pattern!r}; " + (f"there are {known}" if known else "there is none")
            raise ValueError(explain("render", problem))
    return listed


def _numbers(overlay: Mapping[Node, Any], picture: Picture) -> dict[Node, float]:
    if overlay and not {box.node for box in picture.boxes}.intersection(overlay):
        problem = "none of the overlay's nodes is in the graph"
        raise ValueError(explain("render", problem, instead="overlay={node: number, ...}"))
    return {node: float(number) for node, number in overlay.items()}


def _write(path: str | os.PathLike[str], data: bytes) -> None:
    # beside the file, then in its place: whoever looks sees the old file or the whole new one
    target = os.path.realpath(path)
    partial = f"{target}.{os.getpid()}.part"
    try:
        try:
            with open(partial, "xb") as file:
                file.write(data)
            os.replace(partial, target)
        finally:
            if os.path.exists(partial):
                os.remove(partial)
    except OSError as error:
        problem = f"render: the drawing cannot be written ({error.strerror})"
        raise OSError(error.errno, problem, os.fspath(path)) from None
