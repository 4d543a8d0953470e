"""The figures of the report, by matplotlib (extra `study`): the same study gives the same bytes.

    figures = draw(study)                  {"learning": Figure, "gradients": Figure}
    save(figures["learning"], "svg")       bytes
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.errors import missing_extra

from .experiment import CellStudy, Study
from .flow import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "require_matplotlib", "save"]

# told apart by hue, by lightness and by dash, so in print and by the colour-blind too (Okabe & Ito 2008)
COLOURS = {"rnn": "#d55e00", "lstm": "#0072b2", "gru": "#009e73"}
DASHES: dict[str, Any] = {"rnn": (0, (5, 1.5)), "lstm": "-", "gru": (0, (1.5, 1.2))}
INK, FAINT = "#1f2933", "#8a94a0"

STYLE = {
    "font.size": 11, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT,
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.8, "xtick.color": INK, "ytick.color": INK, "xtick.labelsize": 10,
    "ytick.labelsize": 10, "lines.linewidth": 2.0, "axes.grid": True, "axes.grid.axis": "y", "grid.color": "#e6e9ed",
    "grid.linewidth": 0.8, "figure.facecolor": "white", "svg.hashsalt": "minigrad", "svg.fonttype": "none",
    "path.simplify": False,
}  # fmt: skip

# no dates and no versions inside the files
METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def require_matplotlib() -> Any:
    """The module matplotlib; MissingExtraError, which names the command that installs it, where it is missing."""
    try:
        import matplotlib
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError:
        raise missing_extra("matplotlib", "study", "the report") from None
    return matplotlib


def draw(study: Study) -> dict[str, Figure]:
    """The figures of a measured study, by name: "learning" and "gradients"."""
    matplotlib = require_matplotlib()
    with matplotlib.rc_context(STYLE):
        learning = matplotlib.figure.Figure(figsize=(5.8, 3.8), layout="constrained")
        _learning(learning.add_subplot(), study)
        gradients = matplotlib.figure.Figure(figsize=(5.8, 6.4), layout="constrained")
        panels = gradients.subplots(2, 1, sharex=True, sharey=True)
        for axes, moment in zip(panels, ("initial", "trained"), strict=True):
            _gradients(axes, study, moment)
    return {"learning": learning, "gradients": gradients}


def save(figure: Figure, form: str) -> bytes:
    """A figure as the bytes of a file: "svg" or "png"."""
    buffer = io.BytesIO()
    with require_matplotlib().rc_context(STYLE):
        figure.savefig(buffer, format=form, dpi=160, metadata=METADATA[form])
    return buffer.getvalue()


def _learning(axes: Axes, study: Study) -> None:
    end = max(study.updates, 1)
    ends = []
    for cell in study.cells:
        updates = [point.update for point in cell.curve]
        colour, dash = COLOURS[cell.name], DASHES[cell.name]
        axes.plot(updates, [point.held_out for point in cell.curve], color=colour, linestyle=dash)
        ends.append((cell.held_out, f"{cell.label} {cell.held_out:.2f}", colour))
    names = ("unigrams", "bigrams", "trigrams")
    for name, entropy in zip(names, study.entropies, strict=True):
        axes.axhline(entropy, color=FAINT, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(f"{name} {entropy:.2f}", (0.99, entropy), (0, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=9, color="#5a6672")  # fmt: skip
    bottom = min([*study.entropies, *[point.held_out for cell in study.cells for point in cell.curve]])
    axes.set(xlim=(0, end), ylim=(max(0.0, bottom - 0.4), None), xlabel="updates", ylabel="bits per held-out character")
    _label_ends(axes, ends)


def _gradients(axes: Axes, study: Study, moment: str) -> None:
    ends = []
    for cell in study.cells:
        for part, norms in cell.flow[moment].items():
            low, middle, high = spread(norms)
            seen = np.isfinite(middle)  # where nothing at all arrives there is no point on a log axis
            if not seen.any():
                continue
            lags, colour = np.flatnonzero(seen), COLOURS[cell.name]
            width = 2.0 if part == "h" else 1.2
            axes.plot(lags, middle[seen], color=colour, linestyle=DASHES[cell.name], linewidth=width)
            if part == "h":
                low = np.where(np.isfinite(low), low, middle)  # where in some windows nothing arrives
                axes.fill_between(lags, low[seen], high[seen], color=colour, alpha=0.12, linewidth=0)
            ends.append((float(middle[seen][-1]), _part_label(cell, part), colour))
    axes.set_title({"initial": "Before training", "trained": "After training"}[moment])
    axes.set(xlim=(0, max(study.settings.steps - 1, 1)), ylabel="norm of the gradient")
    axes.yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:g}}}$")
    axes.yaxis.set_major_locator(require_matplotlib().ticker.MaxNLocator(integer=True))
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("steps back from the loss")
    _label_ends(axes, ends)


def _part_label(cell: CellStudy, part: str) -> str:
    return cell.label if len(cell.flow["initial"]) == 1 else f"{cell.label} {part}"


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Write each curve's name where it ends, right of the axes, moved apart where they would overlap."""
    figure, ends = axes.get_figure(root=True), sorted(ends)
    assert figure is not None
    bottom, top = axes.get_ylim()
    height = figure.get_size_inches()[1] * 72 * 0.8 / len(figure.axes)  # of the axes, in points, about
    needed = 13.5 * (top - bottom) / height
    placed = [y for y, _, _ in ends]
    for _ in range(100):  # neighbours push each other apart until all have room
        for i in range(len(placed) - 1):
            push = max(0.0, needed - (placed[i + 1] - placed[i])) / 2
            placed[i], placed[i + 1] = placed[i] - push, placed[i + 1] + push
    for (_, label, colour), at in zip(ends, placed, strict=True):
        axes.text(1.015, at, label, transform=axes.get_yaxis_transform(), color=colour, fontsize=10,
                  fontweight="bold", va="center")  # fmt: skip
