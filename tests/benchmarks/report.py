"""What was measured as text, as a table for a page, as JSON, and as a figure.

    print(line_of(row)); print(markdown(rows)); files(machine, sections, rows)
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .timing import Spread

__all__ = ["COLUMNS", "figure", "files", "heading", "line_of", "number", "table", "times_table"]

Row = dict[str, Any]
COLUMNS = ("size", "cell", "what")
WIDTH = 12
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#f0e442", "#000000")


def number(value: Any) -> str:
    """A table's entry: `1.05 ±.02` for a ratio, three digits for a time."""
    if isinstance(value, Spread):
        digits = 2 if value.median < 10 else 1 if value.median < 100 else 0
        half = (value.high - value.low) / 2
        return f"{value.median:.{digits}f} ±{half:.{digits}f}".replace("±0.", "±.")
    if isinstance(value, float):
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def heading(names: Sequence[str]) -> str:
    """The first line of the table of ratios."""
    cells = [f"{name:<7}" for name in COLUMNS] + [f"{'by hand, ms':>{WIDTH}}"] + [f"{name:>{WIDTH}}" for name in names]
    return " ".join(cells)


def line_of(row: Row, names: Sequence[str]) -> str:
    """A line of it: milliseconds of the yardstick, and everybody's time as a multiple of that."""
    milliseconds = number(row["seconds"]["handwritten"].median * 1e3)
    cells = [f"{row[key]:<7}" for key in COLUMNS] + [f"{milliseconds:>{WIDTH}}"]
    return " ".join(cells + [f"{number(row['ratios'].get(name)):>{WIDTH}}" for name in names])


def times_table(rows: Sequence[Row], names: Sequence[str]) -> str:
    """The table of ratios, in Markdown."""
    header = [*COLUMNS, "by hand, ms", *names]
    body = [
        [*[row[key] for key in COLUMNS], number(row["seconds"]["handwritten"].median * 1e3),
         *[number(row["ratios"].get(name)) for name in names]]
        for row in rows
    ]  # fmt: skip
    return _markdown(header, body)


def table(rows: Sequence[Row]) -> str:
    """Any other rows, in Markdown."""
    return _markdown(list(rows[0]), [[_entry(value) for value in row.values()] for row in rows])


def _entry(value: Any) -> str:
    if isinstance(value, Spread):
        return number(value)
    if isinstance(value, tuple):
        return "×".join(map(str, value))
    return number(value)


def _markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *body]
    return "\n".join("| " + " | ".join(f"{cell:<{w}}" for cell, w in zip(line, widths)) + " |" for line in lines)


def figure(rows: Sequence[Row], names: Sequence[str]) -> bytes | None:
    """Ratios as bars, a panel for each cell and kind of work, as SVG; None without matplotlib, or peers."""
    if importlib.util.find_spec("matplotlib") is None or not rows or not names:
        return None
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row["what"], row["cell"]) for row in rows))
    drawing = Figure(figsize=(8, 2.6 * len(panels)), layout="constrained")
    for axes, panel in zip(drawing.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        chosen = [row for row in rows if (row["what"], row["cell"]) == panel]
        for i, name in enumerate(names):
            found = [(x, row["ratios"][name]) for x, row in enumerate(chosen) if name in row["ratios"]]
            if not found:
                continue
            middle = [ratio.median for _, ratio in found]
            errors = [[r.median - r.low for _, r in found], [r.high - r.median for _, r in found]]
            places = [x + (i + 0.5) / len(names) * 0.8 - 0.4 for x, _ in found]
            above = [m - 1 for m in middle]  # bars start from 1, also downward
            axes.bar(places, above, 0.8 / len(names), 1, yerr=errors, label=name, color=OKABE_ITO[i % len(OKABE_ITO)])
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xticks(range(len(chosen)), [row["size"] for row in chosen])
        axes.set_title(f"{panel[1]}, {panel[0]}: time as a multiple of hand-written NumPy's", fontsize=10)
    drawing.axes[0].legend(fontsize=8, ncols=4)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def files(
    machine: Mapping[str, str], times: Sequence[Row], names: Sequence[str], others: Mapping[str, Any]
) -> dict[str, bytes]:
    """benchmarks.md, benchmarks.json and, where there is matplotlib, benchmarks.svg."""
    parts = ["# Benchmarks", "\n".join(f"- {key}: {value}" for key, value in machine.items())]
    if times:
        parts += ["Time as a multiple of hand-written NumPy's: median and half the range between the quartiles.",
                  times_table(times, names)]  # fmt: skip
    for title, rows in others.items():
        parts += [f"## {title}", table(rows)]
    data = {"machine": dict(machine), "times": times, "costs": dict(others)}
    result = {
        "benchmarks.md": ("\n\n".join(parts) + "\n").encode(),
        "benchmarks.json": json.dumps(data, indent=1).encode(),
    }
    drawn = figure(times, names)
    return {**result, "benchmarks.svg": drawn} if drawn else result
