"""What was found, in words. Every sentence is chosen by the numbers of the study, none is there whatever comes out.

    learning(study)                        who predicts how well, against n-grams and against each other
    gradients(study)                       where the gradient vanishes, fades, arrives or explodes, before and after
    conclusion(study)                      whether reaching far back and predicting well went together
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from .experiment import CellStudy, Study
from .flow import Decay, decay, spread

__all__ = [
    "NGRAMS", "Row", "bits", "comparisons", "conclusion", "gradients", "half_life", "learning", "listed", "ranking",
    "rows", "share", "stopped", "verdicts",
]  # fmt: skip

CLOSE = 0.03  # bits: less is not told apart by one run
OVERFIT = 0.2  # bits between training and held-out text
NGRAMS = ("unigrams", "bigrams", "trigrams")
ALL = {2: "Both", 3: "All three"}


def listed(items: Sequence[str]) -> str:
    """Items as a list in a sentence.

    >>> listed(["the RNN"]), listed(["the RNN", "the LSTM", "the GRU"])
    ('the RNN', 'the RNN, the LSTM and the GRU')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _the(cells: Iterable[CellStudy]) -> str:
    return listed([f"the {cell.label}" for cell in cells])


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


# -------------------------------------------------------------------------------------------------------- learning


def ranking(study: Study) -> list[CellStudy]:
    """The cells, best predictor of held-out text first."""
    return sorted(study.cells, key=lambda cell: cell.held_out)


def learning(study: Study) -> list[str]:
    """How well the cells predict, beside n-grams of the same text and beside each other."""
    return [*stopped(study), *bits(study), *comparisons(study)]


def stopped(study: Study) -> list[str]:
    """That training was interrupted, if it was."""
    if study.updates == study.settings.updates:
        return []
    return [f"Training was stopped after {study.updates:,} of {study.settings.updates:,} updates."]


def bits(study: Study) -> list[str]:
    """What each cell needs for a character."""
    best, *others = ranking(study)
    first = f"the {best.label} needs {best.held_out:.2f} bits for a held-out character"
    return [f"After {study.updates:,} updates {listed([first, *[f'the {c.label} {c.held_out:.2f}' for c in others]])}."]


def comparisons(study: Study) -> list[str]:
    """Who beats which n-grams and whom, and who knows its text by heart."""
    order = ranking(study)
    return [*_against_ngrams(study, order), *_against_each_other(order), *_by_heart(order)]


def _against_ngrams(study: Study, order: Sequence[CellStudy]) -> list[str]:
    found = []
    groups: dict[int, list[CellStudy]] = {}
    for cell in order:
        groups.setdefault(sum(cell.held_out < entropy for entropy in study.entropies), []).append(cell)
    for beaten, cells in groups.items():
        one = len(cells) == 1
        who = _sentence(_the(cells)) if one or len(cells) < len(order) else ALL[len(cells)]
        if beaten == 0:
            verb = "is worse" if one else "are worse"
            found.append(f"{who} {verb} even than {_ngram(study, 0)}.")
        elif beaten == len(study.entropies):
            found.append(f"{who} {'predicts' if one else 'predict'} better than {_ngram(study, beaten - 1)}.")
        else:
            verb = "beats" if one else "beat"
            found.append(f"{who} {verb} {_ngram(study, beaten - 1)}, but not {_ngram(study, beaten)}.")
    return found


def _ngram(study: Study, order: int) -> str:
    return f"{NGRAMS[order]} of the same text ({study.entropies[order]:.2f} bits)"


def _against_each_other(order: Sequence[CellStudy]) -> list[str]:
    if len(order) == 1:
        return []
    best, second = order[0], order[1]
    lead = second.held_out - best.held_out
    if lead < CLOSE:
        level = [cell for cell in order if cell.held_out - best.held_out < CLOSE]
        found = [f"{_sentence(_the(level))} are within {CLOSE} bits: one run does not tell them apart."]
    else:
        found = [f"The {best.label} predicts best, {lead:.2f} bits ahead of the {second.label}."]
    plain = [cell for cell in order if cell.name == "rnn"]
    gated = [cell for cell in order if cell.name != "rnn"]
    if plain and gated and len(order) > 2:
        behind = [cell for cell in gated if cell.held_out > plain[0].held_out + CLOSE]
        if behind:
            found.append(f"At this budget the RNN, which has no gates, is ahead of {_the(behind)}.")
        elif plain[0].held_out > max(cell.held_out for cell in gated) + CLOSE:
            gap = plain[0].held_out - min(cell.held_out for cell in gated)
            found.append(f"The RNN, the only one without gates, is last, {gap:.2f} bits behind the best.")
    return found


def _by_heart(order: Sequence[CellStudy]) -> list[str]:
    gaps = [(cell, cell.held_out - cell.curve[-1].training) for cell in order]
    over = [f"the {cell.label} by {gap:.2f} bits" for cell, gap in gaps if gap > OVERFIT]
    if not over:
        return []
    return [f"On the text that was trained on, fewer are needed, in {listed(over)}: part of it is known by heart."]


# ------------------------------------------------------------------------------------------------------- gradients


class Row(NamedTuple):
    """One part of a cell's state: how its gradient falls with the lag, before and after training.

    `far` is log10 of the norm at the last lag, before and after.
    """

    cell: CellStudy
    part: str
    initial: Decay
    trained: Decay
    far: tuple[float, float]

    @property
    def label(self) -> str:
        """RNN h, LSTM c, ..."""
        return f"{self.cell.label} {self.part}"

    @property
    def left(self) -> tuple[str, str]:
        """What is left at the last lag of what there is at lag 0, before and after, in words."""
        falls = (self.initial, self.trained)
        words = [share(far if math.isinf(far) else d.total) for far, d in zip(self.far, falls, strict=True)]
        return words[0], words[1]


def rows(study: Study) -> list[Row]:
    """A row for each cell and each part of its state."""
    found = []
    for cell in study.cells:
        for part, before in cell.flow["initial"].items():
            middle, after = spread(before)[1], spread(cell.flow["trained"][part])[1]
            found.append(Row(cell, part, decay(middle), decay(after), (float(middle[-1]), float(after[-1]))))
    return found


def share(power: float) -> str:
    """10 to this power, as one says it: a percentage down to one in a hundred, else a power of ten.

    >>> share(-0.3), share(-12.34), share(2.0), share(-math.inf)
    ('50 %', '10^-12.3', '100 times', 'nothing')
    """
    if math.isnan(power):
        return "unknown"
    if math.isinf(power):
        return "nothing" if power < 0 else "infinite"
    if -2 <= power < 1:
        return f"{100 * 10**power:.0f} %"
    return f"{10**power:.0f} times" if 1 <= power < 3 else f"10^{power:.1f}{' times' if power > 0 else ''}"


def half_life(fall: Decay) -> str:
    """After how many steps half of a gradient is left.

    >>> half_life(Decay(-3.0, -0.3, 1.0034, 10)), half_life(Decay(0.5, 0.05, math.inf, 10))
    ('1.0', 'does not fall')
    """
    if math.isnan(fall.half_life):
        return "unknown"
    if math.isinf(fall.half_life):
        return "does not fall"
    if fall.half_life > 10 * fall.lags:
        return f"over {10 * fall.lags:,}"
    return f"{fall.half_life:.1f}" if fall.half_life < 10 else f"{fall.half_life:.0f}"


VERDICTS: list[tuple[float, str]] = [  # the least total change, in orders of magnitude, that is called so
    (3.0, "explodes"), (1.0, "grows"), (-1.0, "arrives"), (-3.0, "fades"), (-math.inf, "vanishes"),
]  # fmt: skip


_MOMENTS: dict[str, Callable[[Row], Decay]] = {
    "before training": lambda row: row.initial, "after training": lambda row: row.trained,
}  # fmt: skip


def verdict(fall: Decay) -> str:
    """Whether over the window a gradient vanishes, fades, arrives, grows or explodes.

    >>> verdict(Decay(-15.0, -0.24, 1.2, 63)), verdict(Decay(-0.5, -0.01, 38.0, 63))
    ('vanishes', 'arrives')
    """
    return next(word for least, word in VERDICTS if fall.total >= least)


def gradients(study: Study) -> list[str]:
    """What becomes of the gradient on its way back, before training and after, and what training changed."""
    found = rows(study)
    if any(math.isnan(row.initial.total) or math.isnan(row.trained.total) for row in found):
        return ["So little of the gradient arrives that its decay cannot be measured."]
    return [
        *[line for when, which in _MOMENTS.items() for line in _moment(study, found, when, which)],
        *_conveyor(study, found),
        *_changes(found),
    ]


def _severity(fall: Decay) -> tuple[int, int]:
    # what is told together: the same verdict over the same number of lags; what vanishes comes first
    return -[word for _, word in VERDICTS].index(verdict(fall)), fall.lags


def verdicts(study: Study) -> list[str]:
    """The same in short: which cells' gradients vanish, fade, arrive, grow or explode, before training and after."""
    found = [row for row in rows(study) if row.part == "h" and not math.isnan(row.initial.total + row.trained.total)]
    if not found:
        return []
    told = {}
    for when, which in _MOMENTS.items():
        groups = {word: [row.cell for row in found if verdict(which(row)) == word] for _, word in reversed(VERDICTS)}
        told[when] = listed([f"{word} in {_the(cells)}" for word, cells in groups.items() if cells])
    before, after = told.values()
    parts = [f"before training and after it {before}"] if before == after else [f"{w} it {t}" for w, t in told.items()]
    return [f"The gradient, {study.settings.steps - 1:,} steps back: {'; '.join(parts)}."]


def _moment(study: Study, found: Sequence[Row], when: str, which: Callable[[Row], Decay]) -> list[str]:
    visible = sorted([row for row in found if row.part == "h"], key=lambda row: _severity(which(row)))
    texts = []
    for (_, lags), members in groupby(visible, key=lambda row: _severity(which(row))):
        group = list(members)
        falls = [which(row) for row in group]
        word, left = verdict(falls[0]), listed([share(fall.total) for fall in falls])
        large = f"it is {left} as large" if word in ("grows", "explodes") else f"{left} of it is left"
        rest = f"{left} of it is there" if word == "arrives" else large
        text = f"{word} in {_the(row.cell for row in group)}: {lags:,} steps back, {rest}"
        if word in ("vanishes", "fades"):
            costs, halves = [f"{-fall.per_step:.2g}" for fall in falls], [half_life(fall) for fall in falls]
            text += f"; a step costs {listed(costs)} orders of magnitude,"
            text += f" so half of it is gone every {listed(halves)} steps"
        texts.append(text)
    cut = [row.cell for row in visible if which(row).lags < study.settings.steps - 1]
    more = [f"Further back than that, nothing arrives in {_the(cut)} that a float64 can hold."] if cut else []
    return [f"{_sentence(when)} the gradient {'. It '.join(texts)}.", *more]


def _conveyor(study: Study, found: Sequence[Row]) -> list[str]:
    # the LSTM's c beside its h, after training
    parts = {row.part: row for row in found if row.cell.name == "lstm"}
    if "c" not in parts or not all(math.isfinite(parts[part].far[1]) for part in ("h", "c")):
        return []
    more = parts["c"].far[1] - parts["h"].far[1]
    lags = study.settings.steps - 1
    if abs(more) < 0.3:
        return [f"In the trained LSTM about as much arrives at the cell state c as at h, {lags:,} steps back."]
    amount = f"{10 ** abs(more):.1f} times" if abs(more) < 2 else f"10^{abs(more):.1f} times"
    if more > 0:
        return [f"In the trained LSTM {amount} as much arrives at the cell state c as at h, {lags:,} steps back."]
    return [f"In the trained LSTM {amount} as much arrives at h as at the cell state c, {lags:,} steps back."]


def _changes(found: Sequence[Row]) -> list[str]:
    texts = {"further": [], "less far": [], "about as far": []}  # type: dict[str, list[str]]
    for row in found:
        if row.part == "h":
            slower = row.trained.per_step - row.initial.per_step
            limit = 0.1 * abs(row.initial.per_step)
            how = "further" if slower > limit else "less far" if slower < -limit else "about as far"
            halves = f" (half-life {_span(row.initial)}, then {_span(row.trained)})"
            texts[how].append(f"the {row.cell.label}{'' if how == 'about as far' else halves}")
    parts = [f"{how} back in {listed(cells)}" for how, cells in texts.items() if cells]
    return [f"Training makes the gradient reach {', and '.join(parts)}."]


def _span(fall: Decay) -> str:
    return "without end" if math.isinf(fall.half_life) else f"{half_life(fall)} steps"


def conclusion(study: Study) -> list[str]:
    """Whether the cell whose gradient reaches furthest is the one that predicts best."""
    visible = [row for row in rows(study) if row.part == "h" and not math.isnan(row.trained.total)]
    if len(visible) < 2:
        return []
    furthest = max(visible, key=lambda row: (row.trained.lags, row.trained.total))
    nearest = min(visible, key=lambda row: (row.trained.lags, row.trained.total))
    lead = furthest.trained.total - nearest.trained.total
    found = []
    if furthest.trained.lags == nearest.trained.lags and lead > 0.3:
        times = f"{10**lead:.0f} times" if lead < 3 else f"10^{lead:.0f} times"
        who = f"the {furthest.cell.label} keeps {times} as much of its gradient as the {nearest.cell.label}"
        found.append(f"After training, {furthest.trained.lags:,} steps back, {who}.")
    order = ranking(study)
    if order[1].held_out - order[0].held_out < CLOSE:
        who = f"furthest in the {furthest.cell.label}; which cell predicts best is too close to call"
        return [*found, f"The gradient reaches {who}."]
    if order[0] is furthest.cell:
        return [*found, f"The cell whose gradient reaches furthest back, the {order[0].label}, also predicts best."]
    who = f"furthest in the {furthest.cell.label}, yet the {order[0].label} predicts best"
    return [*found, f"The gradient reaches {who}: in this run, reach alone did not decide."]
