"""Names for the sizes in a generated text: the same function, written in several sizes, tells what each number is.

    naming = SizeNames([{"steps": 11, "batch": 13}, {"steps": 13, "batch": 17}])
    naming.rewrite(["np.empty((11, 26))", "np.empty((13, 34))"])        np.empty((steps, 2 * batch))

A number that is the same in all texts stays. Where one changes in a way that is no small multiple of a product of
sizes, or the texts differ in more than numbers, or have such a name already, the answer is None.
"""

from __future__ import annotations

import io
import itertools
import math
import tokenize
from collections.abc import Mapping, Sequence

__all__ = ["SizeNames"]

MULTIPLES = range(1, 17)
IGNORED = {tokenize.NL, tokenize.COMMENT}  # a longer number breaks lines elsewhere
OPENING, CLOSING = {"(", "[", ",", ":", "=", "return"}, {")", "]", ",", ":", ""}  # an expression needs no parentheses


class SizeNames:
    """What numbers are called, given the values of the sizes in each text."""

    def __init__(self, values: Sequence[Mapping[str, int]]) -> None:
        self.names = list(values[0])
        products = [chosen for n in range(len(self.names) + 1) for chosen in itertools.combinations(self.names, n)]
        self._known: dict[tuple[int, ...], str] = {}
        for offset, chosen, multiple in itertools.product((0, -1, 1), products, MULTIPLES):
            if chosen:
                text = " * ".join(([str(multiple)] if multiple > 1 else []) + list(chosen))
                numbers = tuple(multiple * math.prod(sizes[name] for name in chosen) + offset for sizes in values)
                self._known.setdefault(numbers, text + {0: "", -1: " - 1", 1: " + 1"}[offset])

    def number(self, values: Sequence[int]) -> str | None:
        """A number with these values in the texts."""
        return str(values[0]) if len(set(values)) == 1 else self._known.get(tuple(values))

    def shape(self, shapes: Sequence[tuple[int, ...]]) -> str:
        """A shape that is one of these in each text."""
        numbers = [self.number(values) or str(values[0]) for values in zip(*shapes, strict=True)]
        return f"({', '.join(numbers)}{',' if len(numbers) == 1 else ''})"

    def rewrite(self, texts: Sequence[str]) -> str | None:
        """The first text, with names for its numbers."""
        rows = [_tokens(text) for text in texts]
        if len({len(row) for row in rows}) > 1 or any(token.string in self.names for token in rows[0]):
            return None
        lines = texts[0].splitlines(keepends=True)
        for i in reversed(range(len(rows[0]))):  # from the end, so that places stay where they are
            first, *others = (row[i] for row in rows)
            if all(token.string == first.string for token in others):
                continue
            if not all(token.type == tokenize.NUMBER and token.string.isdigit() for token in (first, *others)):
                return None
            name = self.number([int(token.string) for token in (first, *others)])
            if name is None:
                return None
            before, after = rows[0][i - 1].string, rows[0][i + 1].string.strip()
            if not name.isidentifier() and not (before in OPENING and after in CLOSING):
                name = f"({name})"
            (row, start), (_, end) = first.start, first.end
            lines[row - 1] = lines[row - 1][:start] + name + lines[row - 1][end:]
        return "".join(lines)


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    return [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in IGNORED]
