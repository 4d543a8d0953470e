"""Judge all ways to run random recurrent steps by each other.

    python -m tests.random_cells --count 500 --seed 0     cells 0 to 499; prints the smallest step that fails
    python -m tests.random_cells --seed 137               one cell again, with its step
    python -m tests.random_cells --without join_products  the ways that leave a rewrite out, only

What is drawn: `cell_drawing`, from `cell_operations`. How it is judged: `cell_judge`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .cell_drawing import random_cell
from .cell_judge import Judge


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge cells; the exit code is 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.random_cells", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="the first cell")
    parser.add_argument("--count", type=int, default=1, help="how many cells, each with the next seed")
    parser.add_argument("--subsets", type=int, default=8, help="how many subsets of the rewrites to try on each cell (0: all)")
    parser.add_argument("--without", action="append", default=None, metavar="REWRITE", help="leave out these, in all ways")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first cell that fails")
    parser.add_argument("--whole", action="store_true", help="show the failing cell whole, without looking for a smaller one")
    options = parser.parse_args(arguments)
    judge = Judge(options.subsets or None, always_without=tuple(options.without or ()))
    failed = 0
    for seed in range(options.seed, options.seed + options.count):
        cell = random_cell(seed)
        if options.count == 1:
            print(cell)
        failure = judge.failure(cell, seed)
        if failure is not None:
            failed += 1
            print(judge.report(cell, failure, seed, smaller=not options.whole), flush=True)
            if not options.keep_going:
                break
        elif (seed - options.seed) % 50 == 49:
            print(f"{seed - options.seed + 1} cells, {failed} failed, {judge.comparisons:,} comparisons", file=sys.stderr)
    done = seed - options.seed + 1 if options.count else 0
    print(f"{done} cells, {failed} failed; {judge.comparisons:,} runs compared, {judge.skipped} cells skipped: rounding "
          f"decides in them. Rewrites: {', '.join(judge.passes)}; checkpoints: {'yes' if judge.checkpoints else 'not yet'}")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
