"""A picture as DOT, the language of Graphviz. The same graph gives the same bytes.

Names in DOT are positions: `n12` is the graph's node 12, `n12u1` another copy of that leaf, `n12_3` node 3 of the step
of loop 12, `n12i0` and `n12o0` its ports, `f0` a fold. (graphviz is imported when the first graph is drawn.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from ..nodes import CONSTANT, Node
from . import labels, style
from .picture import Arrow, Box, Fold, Picture
from .places import Place
from .rows import rows, with_junctions

__all__ = ["Writer"]

ANCHORED = 3  # boxes of each pass

Line = tuple[str, str]  # a line of a label, and how it looks: "bold", "small" or ""


class Writer:
    """Writes a picture; see `render` for the options."""

    def __init__(
        self, picture: Picture, title: str | None, direction: str, shapes: bool, values: bool, legend: bool,
        overlay: Mapping[Node, float],
    ) -> None:  # fmt: skip
        self.picture, self.title, self.shapes, self.values, self.legend = picture, title, shapes, values, legend
        self.boxes, self.arrows = with_junctions(*picture.drawn())
        self.direction = direction
        used = {place for box in self.boxes for place in box.place.around()}
        self.inside: dict[Place, list[Box]] = {p: [] for p in picture.root.walk() if p in used or not p.parent}
        for box in self.boxes:
            self.inside[box.place].append(box)
        self.scale = _Scale(overlay)
        self.border = self._borders()

    def _borders(self) -> dict[Node, str]:
        # a colour for each leaf that is drawn more than once
        copies: dict[Node, int] = {}
        for box in self.boxes:
            if box.role in ("symbol", "weight"):
                copies[box.node] = copies.get(box.node, 0) + 1
        shared = [node for node, count in copies.items() if count > 1]
        return {node: style.IDENTITY[i % len(style.IDENTITY)] for i, node in enumerate(shared)}

    def write(self, plainer: bool = False) -> str:
        """The DOT source. The plainer one leaves to Graphviz what makes a layout slow: shapes, links and rows."""
        from graphviz import Digraph

        look = {**style.GRAPH, "rankdir": self.direction, "newrank": "false" if plainer else "true"}
        dot = Digraph("minigrad", graph_attr=look, node_attr=style.NODE, edge_attr=style.EDGE)
        if self.title:
            dot.attr(label=_html([(labels.clean(self.title, 120), "bold")]), labelloc="t", fontsize="18")
        if not plainer:
            self._forward_first(dot)
        self._places(dot, Digraph)
        for arrow in self.arrows:
            if not plainer or arrow.kind != "link":
                self._arrow(dot, arrow, self.shapes and not plainer)
        if not plainer:
            self._rows(dot)
        if self.legend:
            self._legend(dot, Digraph)
        return str(dot.source)

    def _forward_first(self, dot: Any) -> None:
        # Two points of the first rank, one above the other: what begins the forward pass hangs on the upper one, what
        # begins the rest on the lower. (On few boxes: unseen arrows take up space too.)
        led_to = {arrow.ends[1] for arrow in self.arrows}
        first = [box for boxes in self.inside.values() for box in boxes if box not in led_to]
        backward = [box for box in first if box.place.in_pass][:ANCHORED]
        if backward:
            dot.node("above", "", **style.UNSEEN)
            dot.node("below", "", **style.UNSEEN)
            dot.body.append("\t{rank=same; above -> below [style=invis]}\n")
            for box in [box for box in first if not box.place.in_pass][:ANCHORED]:
                dot.edge("above", box.key, style="invis", weight="0")
            for box in backward:
                dot.edge("below", box.key, style="invis", weight="0")

    # ------------------------------------------------------------------------------------------- places and boxes

    def _places(self, dot: Any, new: Any) -> None:
        order = list(self.inside)
        drawn: dict[Place, Any] = {}
        # beside a backward pass, all else is drawn as a pass too
        beside = any(place.in_pass for place in order)
        forward = new("cluster_forward", graph_attr=FORWARD_PASS) if beside else dot
        for number, place in enumerate(order):
            drawn[place] = new(f"cluster_{number}", graph_attr=_cluster(place)) if place.parent else dot
            for box in self.inside[place]:
                self._box(drawn[place] if place.parent else forward, box)
        for place in reversed(order):  # a subgraph is copied into the one around it, so inner ones are finished first
            inner = [child for child in place.children.values() if child in drawn]
            for child in inner:
                if place.parent or not child.in_pass:
                    (drawn[place] if place.parent else forward).subgraph(drawn[child])
        if forward is not dot:
            dot.subgraph(forward)
        for child in self.picture.root.children.values():
            if child in drawn and child.in_pass:
                dot.subgraph(drawn[child])

    def _box(self, dot: Any, box: Box) -> None:
        if box.role == "junction":
            dot.node(box.key, "", **style.ROLES["junction"])
            return
        lines = self._lines(box)
        look = dict(style.ROLES[box.role])
        if box.role == "operation" and len(lines) == 1 and len(lines[0][0]) == 1:
            look |= style.ROUND
        if box.is_leaf and box.node in self.border:
            look |= {"color": self.border[box.node], "penwidth": "2.4"}
        if box.is_output:
            look |= style.OUTPUT
        fill, text = self.scale.of(box)
        if fill:
            look |= {"fillcolor": fill, "fixedsize": "false"}
            lines.append((text, "small"))
        tip = lines[0][0] if isinstance(box, Fold) else labels.tooltip(box.node)
        dot.node(box.key, _html(lines), tooltip=tip, **look)

    def _lines(self, box: Box) -> list[Line]:
        node, title = box.node, labels.title(box.node, self.picture.prefix)
        if isinstance(box, Fold):
            return self._contents(box)
        if box.role == "carry":
            return [(title, "bold"), (f"carry {box.port}", "small")]
        if box.role == "slice":
            return [(f"{title}[t]", "bold")]
        detail = labels.detail(node)
        value = labels.value(node) if node.primitive is CONSTANT and self.values else ""
        if box.role == "gradient":
            made_by = " ".join([value or labels.operation(node), *([detail] if detail else [])])
            return [(title, "bold"), (made_by, "small")]
        if box.role == "weight":
            lines = [(title if node.name else value or "array", "bold" if node.name else "")]
            lines += [(value, "small")] if node.name and value else []
        elif node.name:
            lines = [(title, "bold"), *([] if box.is_leaf else [(labels.operation(node), "small")])]
        else:
            lines = [(title, "")]
        return [*lines, (detail, "small")] if detail else lines

    def _contents(self, fold: Fold) -> list[Line]:
        lines = [(line, "" if i else "bold") for i, line in enumerate(fold.heading)]
        lines += [(line, "small") for line in labels.counts(fold.members)]
        names = [labels.title(leaf, self.picture.prefix) for leaf in fold.leaves if leaf.name]
        if names:
            more = f" and {len(names) - 4:,} more" if len(names) > 4 else ""
            lines.append((f"with {', '.join(names[:4])}{more}", "small"))
        return lines

    # ----------------------------------------------------------------------------------------------------- arrows

    def _arrow(self, dot: Any, arrow: Arrow, shapes: bool) -> None:
        kind, (first, second) = arrow.kind, arrow.ends
        if kind == "data" and arrow.head.place.in_pass and not arrow.tail.place.in_pass:
            kind = "across"
        elif kind == "data" and "junction" in (arrow.head.role, arrow.tail.role):
            kind = "state" if self.picture.of_node.get(arrow.tail.node, arrow.tail).role == "state" else "step"
        look = dict(style.ARROWS[kind])
        label = ": ".join(part for part in (arrow.operand, arrow.shape if shapes else "") if part)
        if arrow.times > 1:
            label = f"{arrow.times:,} of {label}" if label else f"{arrow.times:,}"
            look["penwidth"] = "2.2"
        if kind == "back":
            label = "next step"
        if label:
            look["label"] = f" {label} "
        if first is not arrow.tail:
            look["dir"] = "back"
        if arrow.head.role == "junction":
            look["dir"] = "none"
        dot.edge(first.key, second.key, **look)

    def _rows(self, dot: Any) -> None:
        for number, (last, first) in enumerate(rows(self.boxes, self.arrows)):
            dot.node(f"row{number}", "", **style.UNSEEN)
            for box in last:
                dot.edge(box.key, f"row{number}", style="invis", weight="0")
            for box in first:
                dot.edge(f"row{number}", box.key, style="invis", weight="0", minlen="0")

    # ----------------------------------------------------------------------------------------------------- legend

    def _legend(self, dot: Any, new: Any) -> None:
        roles = {box.role for box in self.boxes} | {"output" for box in self.boxes if box.is_output}
        looks = {**style.ROLES, "output": {**style.ROLES["operation"], **style.OUTPUT}}
        shown = [(f"legend_{role}", text, looks[role]) for role, text in style.LEGEND.items() if role in roles]
        shown += [(f"legend_{i}", text, {**looks["operation"], "fillcolor": fill}) for i, (text, fill) in
                  enumerate(self.scale.legend())]  # fmt: skip
        legend = new("cluster_legend", graph_attr={"label": "", "style": "rounded", "color": "#d5d9e0", "margin": "8"})
        for key, text, look in shown:
            legend.node(key, text, **{**look, "fontsize": "10", "tooltip": text})
        for (first, _, _), (second, _, _) in pairwise(shown):
            legend.edge(first, second, style="invis")
        dot.subgraph(legend)


class _Scale:
    """The overlay's numbers as fills: logarithmic where all are positive and span two powers of ten or more."""

    def __init__(self, overlay: Mapping[Node, float]) -> None:
        self.numbers = {node: float(number) for node, number in overlay.items()}
        finite = [number for number in self.numbers.values() if math.isfinite(number)] or [0.0]
        self.low, self.high = min(finite), max(finite)
        self.by_powers = self.low > 0 and self.high / self.low >= 100

    def of(self, box: Box) -> tuple[str, str]:
        """Fill and text for a box; empty where the overlay says nothing of it."""
        number = None if box.port or isinstance(box, Fold) else self.numbers.get(box.node)
        if number is None:
            return "", ""
        if not math.isfinite(number):
            return "#d9d9d9", f"{number}"
        at, low, high = (math.log(v) if self.by_powers else v for v in (number, self.low, self.high))
        return style.ramp((at - low) / (high - low) if high > low else 0.5), f"{number:.3g}"

    def legend(self) -> list[Line]:
        """The least and the greatest number, with their fills."""
        if not self.numbers:
            return []
        return [(f"least: {self.low:.3g}", style.ramp(0.0)), (f"greatest: {self.high:.3g}", style.ramp(1.0))]


def _cluster(place: Place) -> dict[str, str]:
    kind = "loop" if place.loop else place.in_pass or ("step" if place.step else "scope")
    label: Line = (labels.clean(place.name), "")
    if place.loop:
        label = (f"↻ repeat {place.loop.length:,} times{', last to first' if place.loop.reverse else ''}", "bold")
    elif place.name == "backward":
        order = [around.name for around in place.around()].count("backward")
        label = ("backward pass" if order == 1 else f"backward pass {order}", "bold")
    elif place.name == "forward":
        label = ("tangents", "bold")
    return {
        **style.CLUSTERS[kind], "style": "rounded,filled", "fillcolor": style.SHADES[place.in_pass][place.depth % 2],
        "label": _html([label]), "fontsize": "12", "labeljust": "l", "margin": "9",
        "tooltip": f"scope {labels.clean('/'.join(place.path), 200)}",
    }  # fmt: skip


def _html(lines: Iterable[Line]) -> str:
    # an HTML-like label; nothing that is foreign reaches it unescaped
    parts = []
    for text, look in lines:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if look == "bold":
            escaped = f"<B>{escaped}</B>"
        elif look == "small":  # between larger spaces, which keep it off the line above
            space = '<FONT POINT-SIZE="14"> </FONT>'
            escaped = f'{space}<FONT POINT-SIZE="10" COLOR="{style.SMALL}">{escaped}</FONT>{space}'
        parts.append(escaped)
    return f"<{'<BR/>'.join(parts)}>"


FORWARD_PASS = {
    **style.CLUSTERS["scope"], "style": "rounded,filled", "fillcolor": style.SHADES[""][0], "fontsize": "12",
    "label": _html([("forward pass", "bold")]), "labeljust": "l", "margin": "9", "tooltip": "forward pass",
}  # fmt: skip
