"""Passes from graph to graph that keep the meaning. In the order in which `simplify` takes them:

    merge_loops         loops over the same step and the same inputs become one loop with all their results
    drop_dead_results   results of loops that nothing uses, and what only those need, fall away
    simplify            one walk: constants folded, identities removed, equal expressions shared, dead ones dropped

Rules are in `simplify.py`, each a function whose docstring is its identity. IEEE arithmetic decides what is one:
`x * 0 -> 0`, `x - x -> 0` and `x + 0 -> x` (for -0.0) are not.
"""

from .loops import drop_dead_results, merge_loops
from .simplify import RULES, Rule, simplify

__all__ = ["RULES", "Rule", "drop_dead_results", "merge_loops", "simplify"]
