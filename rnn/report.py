"""The report of `python -m rnn`: a page that reads like a short article, its figures, drawings, code and numbers.

    files, notes = build(study, command)   {"index.html": bytes, ...} and lines to tell the user
    summary(study)                         a screenful of text

All of it follows from the study: the same study gives the same bytes.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
import platform
import re
import tempfile
import textwrap
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.drawing import LayoutError
from minigrad.errors import MissingExtraError

from . import figures, findings
from .characters import EMBEDDING
from .experiment import CellStudy, Study, loss
from .findings import half_life, listed
from .flow import spread

__all__ = ["HEADINGS", "build", "summary"]

WIDTH = 80
HEADINGS = ("Bits per held-out character", "The gradient of the last step's loss")

_TEMPLATE = Path(__file__).with_name("report.html")


def build(study: Study, command: str) -> tuple[dict[str, bytes], list[str]]:
    """All files of the report, and what the user should know about them, one line each.

    `command` is what makes the same report again. Raises MissingExtraError without matplotlib.
    """
    files: dict[str, bytes] = {}
    for name, figure in figures.draw(study).items():
        files |= {f"{name}.{form}": figures.save(figure, form) for form in ("svg", "png")}
    drawings, notes = _drawings(study)
    files |= drawings
    for cell in study.cells:
        files |= _source(study, cell)
    files |= {"learning.csv": _learning_csv(study), "gradients.csv": _gradients_csv(study)}
    files |= {"results.json": _results_json(study), "summary.txt": summary(study).encode() + b"\n"}
    return {"index.html": _page(study, files, command).encode(), **files}, notes


# -------------------------------------------------------------------------------------------------- cells and code


def _step(cell: Any, x: Any, state: Any) -> Any:
    return cell(x, state)[1]


def _backward(cell: Any, x: Any, state: Any, arriving: Any) -> Any:
    # the gradient at the new state -> the gradient at the old one
    _, pullback = mg.vjp(lambda state: _step(cell, x, state), state)
    return pullback(arriving)[0]


def _drawings(study: Study) -> tuple[dict[str, bytes], list[str]]:
    """Each cell's step, and its step with the way back, as SVG; as DOT where nothing can lay them out."""
    found: dict[str, bytes] = {}
    notes: list[str] = []
    for cell in study.cells:
        step = cell.model.cell
        x, state = np.zeros((1, EMBEDDING), np.float32), step.initial_state(1)
        graphs = {"cell": mg.trace(_step, step, x, state), "backward": mg.trace(_backward, step, x, state, state)}
        for name, graph in graphs.items():
            drawing = mg.render(graph.simplify())
            try:
                found[f"{name}_{cell.name}.svg"] = drawing.to("svg")
            except (MissingExtraError, LayoutError) as error:
                found[f"{name}_{cell.name}.dot"] = drawing.to("dot")
                notes = [f"the cells are written as DOT instead of being drawn: {str(error).splitlines()[0]}"]
    return found, notes


def _source(study: Study, cell: CellStudy) -> dict[str, bytes]:
    """The generated source of a cell's loss and gradient, and its constants, as files."""
    ids = np.zeros((study.settings.steps + 1, study.settings.batch), study.text.ids.dtype)
    graph = mg.trace(mg.value_and_grad(loss), cell.model, ids)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in graph.save(os.path.join(folder, f"gradient_{cell.name}.py")):
            with open(path, "rb") as file:
                found[os.path.basename(path)] = file.read()
    return found


# --------------------------------------------------------------------------------------------------------- numbers


def _csv(header: list[str], rows: list[list[Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([header, *rows])
    return buffer.getvalue().encode()


def _learning_csv(study: Study) -> bytes:
    rows = [[cell.name, p.update, p.training, p.held_out] for cell in study.cells for p in cell.curve]
    return _csv(["cell", "update", "training_bits", "held_out_bits"], rows)


def _gradients_csv(study: Study) -> bytes:
    rows = []
    for cell in study.cells:
        for moment, parts in cell.flow.items():
            for part, norms in parts.items():
                low, middle, high = (column.tolist() for column in spread(norms))
                columns = zip(range(len(middle)), middle, low, high, strict=True)
                rows += [[cell.name, part, moment, *values] for values in columns]
    return _csv(["cell", "state", "moment", "lag", "log10_norm_mean", "log10_norm_p10", "log10_norm_p90"], rows)


def _results_json(study: Study) -> bytes:
    cells = {}
    for cell in study.cells:
        decays = {row.part: {"initial": row.initial._asdict(), "trained": row.trained._asdict()}
                  for row in findings.rows(study) if row.cell is cell}  # fmt: skip
        means = {moment: {part: spread(norms)[1].tolist() for part, norms in parts.items()}
                 for moment, parts in cell.flow.items()}  # fmt: skip
        cells[cell.name] = {
            "held_out_bits": cell.held_out, "curve": [vars(point) for point in cell.curve],
            "log10_gradient_norm_by_lag": means, "decay": decays, "made_up": cell.made_up,
        }  # fmt: skip
    results = {
        "settings": vars(study.settings), "updates": study.updates, "prompt": study.prompt, "cells": cells,
        "text": {"name": study.text.name, "characters": len(study.text.ids), "symbols": len(study.text.symbols)},
        "entropies": dict(zip(("unigram", "bigram", "trigram"), study.entropies, strict=True)),
        "findings": findings.learning(study) + findings.gradients(study) + findings.conclusion(study),
    }  # fmt: skip
    return json.dumps(_finite(results), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    # JSON has no infinities: null stands for them
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------------------------------------------------ page


def _page(study: Study, files: dict[str, bytes], command: str) -> str:
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    settings, text = study.settings, study.text
    training, held_out = text.split(settings.steps)
    source, *others = [f"gradient_{cell.name}" for cell in study.cells]
    _, code = files[f"{source}.py"].decode().split(f"\ndef {source}(", 1)
    conveyor = "Thin lines are the LSTM's cell state c." if any(c.name == "lstm" for c in study.cells) else ""
    return template.substitute(
        cells=html.escape(listed([cell.label for cell in study.cells])),
        standfirst=_prose([_standfirst(study)]),
        key_findings="\n".join(f"<p>{_prose([line])}</p>" for line in _key_findings(study)),
        text_name=html.escape(text.name), characters=f"{len(text.ids):,}", symbols=len(text.symbols),
        held_out=f"{len(held_out):,}", blind=f"{math.log2(len(text.symbols)):.2f}",
        **{name: f"{bits:.2f}" for name, bits in zip(("unigram", "bigram", "trigram"), study.entropies, strict=True)},
        learning=_prose(findings.learning(study)), learning_figure=_inline(files["learning.svg"], "learning",
                                                                           "Learning curves"),
        hidden=settings.hidden, steps=f"{settings.steps:,}", batch=settings.batch, lags=f"{settings.steps - 1:,}",
        temperature=settings.temperature, samples="\n".join(_sample(study, cell) for cell in study.cells),
        gradients="</p>\n<p>".join(_prose([line]) for line in findings.gradients(study)),
        gradients_figure=_inline(files["gradients.svg"], "gradients", "Norm of the gradient by lag"),
        windows=study.cells[0].flow["initial"]["h"].shape[1], conveyor=conveyor, rows=_table(study),
        conclusion=_prose(findings.conclusion(study)), drawings="\n".join(_drawn(cell, files) for cell in study.cells),
        source_label=study.cells[0].label, source_file=_link(f"{source}.py"),
        source=html.escape(f"def {source}({code}"),
        source_others=f"The others: {listed([_link(f'{name}.py') for name in others])}." if others else "",
        command=html.escape(command),
        settings=_settings(study, len(training)),
        files=", ".join(_link(name) for name in sorted(files)),
    )  # fmt: skip


def _link(name: str) -> str:
    return f'<a href="{name}">{name}</a>'


def _standfirst(study: Study) -> str:
    names = {"rnn": "a vanilla RNN", "lstm": "an LSTM", "gru": "a GRU"}
    who = listed([names[cell.name] for cell in study.cells])
    learn, show, gradients = ("learn", "show", "their gradients reach") if len(study.cells) > 1 else (
        "learns", "shows", "its gradient reaches")  # fmt: skip
    return f"{who[0].upper()}{who[1:]} {learn} to predict {study.text.name}, and {show} how far back {gradients}."


def _key_findings(study: Study) -> list[str]:
    measured = [*findings.stopped(study), *findings.bits(study), *findings.verdicts(study)]
    return [*measured, *findings.conclusion(study)[-1:]]


def _prose(sentences: list[str]) -> str:
    """Sentences as HTML, with powers of ten set as such."""
    text = html.escape(" ".join(sentences), quote=False)
    return re.sub(r"10\^(-?)([\d.]*\d)", lambda m: f"10<sup>{'−' if m[1] else ''}{m[2]}</sup>", text)


def _inline(svg: bytes, name: str, label: str) -> str:
    """An SVG file as an element of the page; its ids get a prefix of their own, so that they clash with no other's."""
    text = svg.decode()
    text = re.sub(r"<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', text, count=1)


def _sample(study: Study, cell: CellStudy) -> str:
    made_up = f"<b>{html.escape(study.prompt)}</b>{html.escape(cell.made_up)}"
    return f'<h3 class="{cell.name}">{cell.label}, {cell.held_out:.2f} bits</h3>\n<pre class="sample">{made_up}</pre>'


def _table(study: Study) -> str:
    lines = []
    for row in findings.rows(study):
        both = (row.initial, row.trained)
        cells = [*row.left, *[f"{-d.per_step:.3f}" for d in both], *[half_life(d) for d in both]]
        values = "".join(f"<td>{_prose([cell])}</td>" for cell in cells)
        lines.append(f'<tr><td class="{row.cell.name}">{row.label}</td>{values}</tr>')
    return "\n".join(lines)


def _drawn(cell: CellStudy, files: dict[str, bytes]) -> str:
    captions = {"cell": f"One step of the {cell.label}.", "backward": f"The step of the {cell.label} and its way back."}
    parts = [f'<h3 class="{cell.name}">{cell.label}</h3>']
    for name, caption in captions.items():
        path = f"{name}_{cell.name}.svg"
        if path in files:
            picture = _sized(_inline(files[path], f"{name}-{cell.name}", caption))
            caption += f' <a href="{path}">Open it alone</a>.'
        else:
            picture, path = "", path.replace(".svg", ".dot")
            caption += f' No layout program was at hand; the graph is in <a href="{path}">{path}</a>.'
        box = f'<div class="scroll" tabindex="0">{picture}</div>' if picture else ""
        parts.append(f'<figure class="wide">{box}<figcaption>{caption}</figcaption></figure>')
    return "\n".join(parts)


def _sized(svg: str) -> str:
    """A drawing in a box that scrolls: as wide as the box, but never so small that it cannot be read."""
    width = float(re.search(r'width="([\d.]+)', svg)[1])  # type: ignore[index]  # in points
    svg = re.sub(r'(width|height)="[\d.]+pt"\s*', "", svg, count=2)
    style = f"width:100%;min-width:{width * 0.75:.0f}px;max-width:{width * 1.2:.0f}px"
    return svg.replace("<svg ", f'<svg style="{style}" ', 1)


def _settings(study: Study, training: int) -> str:
    settings = study.settings
    done = f"{study.updates:,}" + (f" of {settings.updates:,}" if study.updates < settings.updates else "")
    shown = {
        "text": f"{study.text.name}: {training:,} characters to train on",
        "hidden units, embedding": f"{settings.hidden}, {EMBEDDING}",
        "updates, windows in each, steps in a window": f"{done}, {settings.batch}, {settings.steps}",
        "optimiser": f"Adam, rate {settings.rate:g} falling to 0, gradients clipped at norm 1",
        "numbers": "float32 in training, float64 where gradients are measured",
        "seed": f"{settings.seed}",
        "made with": f"minigrad {mg.__version__}, NumPy {np.__version__}, Python {platform.python_version()}",
    }
    return "\n".join(f"<tr><td>{key}</td><td>{html.escape(value)}</td></tr>" for key, value in shown.items())


# --------------------------------------------------------------------------------------------------------- summary


def summary(study: Study) -> str:
    """A screenful: what was trained, how well it predicts, how far its gradient reaches, and what that says."""
    settings, text = study.settings, study.text
    lags = settings.steps - 1
    order = "   ".join(f"{cell.label} {cell.held_out:.2f}" for cell in findings.ranking(study))
    ngrams = "   ".join(f"{name} {bits:.2f}" for name, bits in zip(findings.NGRAMS, study.entropies, strict=True))
    table = [f"{'':8}{f'left {lags:,} steps back':>24}{'steps until half is gone':>28}",
             f"{'':8}{'before':>12}{'after':>12}{'before':>14}{'after':>14}   training"]
    for row in findings.rows(study):
        values = "".join(f"{left:>12}" for left in row.left)
        table.append(f"{row.label:8}{values}{half_life(row.initial):>14}{half_life(row.trained):>14}")
    said = [*findings.stopped(study), *findings.comparisons(study), *findings.verdicts(study)]
    said += findings.conclusion(study)
    size = f"{len(text.ids):,} characters, {len(text.symbols)} symbols"
    return "\n".join([
        f"{text.name}: {size}; {study.updates:,} updates, seed {settings.seed}", "",
        f"{HEADINGS[0]} (lower is better)", f"  {order}", f"  {ngrams}", "",
        f"{HEADINGS[1]}, on its way back", *[f"  {line}" for line in table], "",
        *textwrap.wrap(" ".join(said), WIDTH),
    ])  # fmt: skip
