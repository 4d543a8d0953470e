"""What to leave out of a drawing, so that one can still see something: many steps as one box that says what is in it.

Nothing is left out while a drawing has at most `most` boxes. Above that, in this order, until few enough are left:

    1. of scopes that differ in a number only, t=0 to t=99, all but the first and the last become one box
    2. where one place holds too many boxes, all but the first few and the last few become one box
    3. scopes become one box each, the innermost first

`folded` names scopes to fold whatever the size, `expanded` scopes that stay open; patterns as in `graph.find`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from . import labels
from .picture import Box, Fold, Picture
from .places import PASSES, Place

__all__ = ["fold"]

AIM = 0.4  # once something has to be left out, enough of it to see the whole: at most so much of `most` is left


def fold(picture: Picture, most: int, folded: Sequence[str] = (), expanded: Sequence[str] = ()) -> None:
    """Decide which boxes are drawn as one: sets `box.fold`."""
    _Folding(picture, folded, expanded).run(most)


class _Folding:
    def __init__(self, picture: Picture, folded: Sequence[str], expanded: Sequence[str]) -> None:
        self.picture = picture
        self.places = list(picture.root.walk())
        self.direct: dict[Place, int] = dict.fromkeys(self.places, 0)  # how many are drawn in a place itself
        for box in picture.boxes:
            if not box.is_leaf:
                self.direct[box.place] += 1 + len([x for x in box.inputs if x.is_leaf])
        self.count = 0  # of folds
        self.open: set[Place] = set()
        for pattern in expanded:
            for place in picture.places_like(pattern):
                self.open.update(place.around())
        for pattern in folded:
            for place in picture.places_like(pattern):
                self.close([place])

    def run(self, most: int) -> None:
        kept: dict[Place, set[Box]] = {}
        if self.visible() > most:
            aim = max(int(most * AIM), 2)
            self.fold_steps()
            kept = self.trim(aim) if self.visible() > aim else {}
            levels = {place: len([p for p in place.around() if p.name not in PASSES]) for place in self.places}
            for level in range(max(levels.values()), -1, -1):
                if self.visible() <= aim:
                    break
                for place in self.places:
                    if place.parent and levels[place] == level and place not in self.open and not place.fold:
                        self.close([place])
        self.assign(kept)

    def close(self, places: Sequence[Place]) -> None:
        """Draw these places, siblings, as one box."""
        first, last = places[0], places[-1]
        heading = f"loop of {first.loop.length:,} steps" if first.loop else labels.clean(first.name)
        if first is not last:
            heading += f" … {labels.clean(last.name)}"
        around = first.parent or self.picture.root
        made = Fold(f"f{self.count}", around, self.picture.boxes[0].node, [heading])
        made.step = first.step
        self.count += 1
        for place in places:
            place.fold = made

    def visible(self) -> int:
        """How many boxes are drawn as things stand; bare numbers count too, so this is on the safe side."""
        count, hidden, folds = 0, set(), set()
        for place in self.places:
            if place.parent in hidden:
                hidden.add(place)
            elif place.fold:
                hidden.add(place)
                folds.add(place.fold)
            else:
                count += self.direct[place]
        return count + len(folds)

    def fold_steps(self) -> None:
        for place in self.places:
            families: dict[str, list[tuple[int, Place]]] = {}
            for child in place.children.values():
                if child.step:
                    families.setdefault(child.step[0], []).append((child.step[1], child))
            for family in families.values():
                steps = [child for _, child in sorted(family, key=lambda numbered: numbered[0])]
                middle = [child for child in steps[1:-1] if child not in self.open]
                if len(middle) > 1:
                    self.close(middle)

    def trim(self, aim: int) -> dict[Place, set[Box]]:
        """Places that hold too much themselves -> the boxes that are still to be seen there."""
        crowded = {place: aim for place in self.places if self.direct[place] > aim and place not in self.open}
        ends = max(aim // (6 * max(len(crowded), 1)), 2)
        here: dict[Place, list[Box]] = {place: [] for place in crowded}
        for box in self.picture.boxes:
            if box.place in crowded and not box.is_leaf:
                here[box.place].append(box)
        kept = {place: {*boxes[:ends], *boxes[-ends:]} for place, boxes in here.items()}
        for place, boxes in kept.items():
            self.direct[place] = 1 + sum(1 + len([x for x in box.inputs if x.is_leaf]) for box in boxes)
        return kept

    def assign(self, kept: dict[Place, set[Box]]) -> None:
        """Tell every box which fold it is in, and every fold what it holds."""
        inside: dict[Place, Fold | None] = {}
        for place in self.places:
            own = place.fold if isinstance(place.fold, Fold) else None
            inside[place] = (inside[place.parent] if place.parent else None) or own
        rest: dict[Place, Fold] = {}
        contents: dict[Fold, dict[Place, Counter[str]]] = {}
        for box in self.picture.boxes:
            if box.is_leaf:
                continue
            place = box.place
            box.fold = inside[place]
            if box.fold is None and place in kept and box not in kept[place]:
                if place not in rest:
                    rest[place] = Fold(f"f{self.count + len(rest)}", place, box.node, [])
                box.fold = rest[place]
            if box.fold is not None:
                steps = contents.setdefault(box.fold, {})
                while place.parent and place is not box.fold.place and place.parent is not box.fold.place:
                    place = place.parent
                steps.setdefault(place, Counter())
                if not box.port:
                    steps[place][labels.kind(box.node)] += 1
        for made, steps in contents.items():
            _describe(made, list(steps.values()))


def _describe(fold: Fold, steps: list[Counter[str]]) -> None:
    total: Counter[str] = Counter()
    for step in steps:
        total.update(step)
    alike = len(steps) > 1 and all(step == steps[0] for step in steps)
    if not fold.heading:
        fold.heading = [f"{sum(total.values()):,} more"]
    if len(steps) > 1:
        fold.heading.append(f"{len(steps):,} steps, {'each' if alike else 'in all'}:")
    fold.members = dict(steps[0] if alike else total)
