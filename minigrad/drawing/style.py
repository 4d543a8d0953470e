"""How a drawing looks: a shape and a colour for each role, light fills, dark text, a border that tells leaves apart.

Colours are never alone: each role has a shape of its own, and a leaf that is drawn several times has its name.
Borders of such leaves are from Okabe & Ito's palette, which readers with any colour vision can tell apart.
"""

from __future__ import annotations

__all__ = [
    "ARROWS", "CLUSTERS", "EDGE", "GRAPH", "IDENTITY", "LEGEND", "NODE", "OUTPUT", "ROLES", "ROUND", "SHADES",
    "SMALL", "UNSEEN", "ramp",
]  # fmt: skip

FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
INK, SMALL, LINE = "#1f2430", "#5d6470", "#8b93a1"
GREEN, RED = "#4a9a57", "#c8543c"

GRAPH = {
    "fontname": FONT, "fontsize": "15", "fontcolor": INK, "bgcolor": "white", "pad": "0.25", "nodesep": "0.25",
    "ranksep": "0.25",
}  # fmt: skip
NODE = {"fontname": FONT, "fontsize": "13", "fontcolor": INK, "color": LINE, "style": "filled", "penwidth": "1.1",
        "height": "0.32", "width": "0.4"}  # fmt: skip
EDGE = {"fontname": FONT, "fontsize": "9", "fontcolor": SMALL, "color": "#6b7280", "arrowsize": "0.65"}

ROLES: dict[str, dict[str, str]] = {
    "symbol": {"shape": "ellipse", "fillcolor": "#dcebfb", "color": "#4a86c5", "margin": "0.05,0.02"},
    "weight": {"shape": "box", "fillcolor": "#fdf0cd", "color": "#c9982f", "margin": "0.09,0.04"},
    "number": {"shape": "plaintext", "style": "", "margin": "0.02,0.01", "height": "0.2", "width": "0.2"},
    "operation": {"shape": "box", "style": "filled,rounded", "fillcolor": "white", "margin": "0.08,0.03"},
    "state": {"shape": "hexagon", "fillcolor": "#d9f0dc", "color": GREEN, "margin": "0.02,0.02", "penwidth": "1.6"},
    "gradient": {"shape": "octagon", "fillcolor": "#fbdfd9", "color": RED, "margin": "0.02,0"},
    "carry": {"shape": "hexagon", "fillcolor": "#d9f0dc", "color": GREEN, "margin": "0.02,0.02", "penwidth": "1.6"},
    "slice": {"shape": "parallelogram", "fillcolor": "#e6e2f6", "color": "#7a6bb5", "margin": "0,0.02"},
    "junction": {"shape": "point", "width": "0.07", "height": "0.07", "color": "#6b7280"},
    "fold": {"shape": "box3d", "fillcolor": "#eceef1", "color": "#6b7280", "margin": "0.16,0.1"},
}  # fmt: skip
ROUND = {"shape": "circle", "style": "filled", "margin": "0", "width": "0.36", "fixedsize": "true", "fontsize": "15"}
UNSEEN = {"shape": "point", "style": "invis", "width": "0", "height": "0"}
OUTPUT = {"peripheries": "2", "penwidth": "1.3", "color": INK}

# In the order in which the legend shows them.
LEGEND = {
    "symbol": "input", "weight": "weight", "state": "state", "carry": "carry", "slice": "slice",
    "operation": "operation", "gradient": "gradient", "fold": "folded", "output": "output",
}  # fmt: skip

CLUSTERS: dict[str, dict[str, str]] = {
    "scope": {"color": "#c3c8d1", "fontcolor": SMALL, "penwidth": "1"},
    "step": {"color": "#98a3b5", "fontcolor": INK, "penwidth": "1"},
    "loop": {"color": GREEN, "fontcolor": "#2f6b3a", "penwidth": "2.2"},
    "backward": {"color": "#dca08f", "fontcolor": "#9c3a25", "penwidth": "1"},
    "forward": {"color": "#b3a8dc", "fontcolor": "#53449a", "penwidth": "1"},
}
# Of places outside of a pass, in a backward pass, among tangents; nested ones alternate.
SHADES = {"": ("#f7f8fa", "#edf0f4"), "backward": ("#fef5f2", "#fae9e3"), "forward": ("#f8f6fe", "#efebfb")}

ARROWS: dict[str, dict[str, str]] = {
    "data": {},
    "state": {"weight": "6", "penwidth": "1.7"},
    "step": {"weight": "6"},
    "across": {"color": "#a7b0be"},  # a value of the forward pass that the backward pass uses
    "back": {"style": "dashed", "color": GREEN, "fontcolor": "#2f6b3a", "penwidth": "1.6", "constraint": "false"},
    "link": {"style": "dotted", "color": RED, "arrowhead": "none", "minlen": "0"},
}

# Okabe & Ito (2008), without the yellow, which is no border on white.
IDENTITY = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")


def ramp(part: float) -> str:
    """A fill between white (0) and orange (1), light enough for dark text.

    >>> ramp(0.0), ramp(1.0)
    ('#ffffff', '#f59a3c')
    """
    low, high = (255, 255, 255), (245, 154, 60)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(low, high, strict=True))
