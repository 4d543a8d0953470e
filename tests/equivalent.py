"""Changes to rules that change nothing, each with its reason: `mutate.py` does not expect a test to notice them.

A label is the one that the report prints. One that is listed here and noticed all the same is an error too, so that the
list stays as short as it can be.
"""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}


def equivalent(reason: str, *labels: str) -> None:
    """List changes that change nothing."""
    EQUIVALENT.update(dict.fromkeys(labels, reason))


equivalent(
    "only the shape and the dtype are used, and they are the same",
    "elementwise.py: _power_by_base: ct  ->  x  (number 4)",
    "elementwise.py: _power_by_base: ct  ->  y  (number 4)",
    "elementwise.py: _softer: y  ->  ct",
    "reductions.py: _shared_by_winners: ct  ->  x  (number 2)",
    "reductions.py: _shared_by_winners: ct  ->  y  (number 2)",
    "reductions.py: _cumprod_rule: ct  ->  x  (number 2)",
    "reductions.py: _cumprod_rule: ct  ->  y  (number 2)",
    "reductions.py: _cumprod_rule: x  ->  ct  (number 2)",
    "reductions.py: _cumprod_rule: x  ->  y  (number 2)",
)
equivalent(
    "a shorter way for exponents that are literals; without it the slope is the same",
    "elementwise.py: _power_by_base: 1  ->  2",
    "elementwise.py: _power_by_base: ct if value == 1 else ct * (value * x ** (value - 1))  ->  ct * (value * x ** (value - 1))",
    "elementwise.py: _power_by_base: p  ->  ct  (number 6)",
    "elementwise.py: _power_by_base: p  ->  ct  (number 7)",
    "elementwise.py: _power_by_base: p  ->  x  (number 6)",
    "elementwise.py: _power_by_base: p  ->  x  (number 7)",
    "elementwise.py: _power_by_base: p  ->  y  (number 6)",
    "elementwise.py: _power_by_base: p  ->  y  (number 7)",
)
equivalent(
    "where two operands are equal, the result is infinite as each of them is",
    "elementwise.py: _softer: y  ->  mine",
    "elementwise.py: _softer: y  ->  mine  (number 2)",
    "elementwise.py: _softer: y  ->  mine  (number 3)",
    "elementwise.py: _softer: y  ->  other",
    "elementwise.py: _softer: y  ->  other  (number 2)",
    "elementwise.py: _softer: y  ->  other  (number 3)",
    "elementwise.py: logaddexp[0]: y  ->  a",
    "elementwise.py: logaddexp[0]: y  ->  b",
    "elementwise.py: logaddexp[1]: y  ->  a",
    "elementwise.py: logaddexp[1]: y  ->  b",
    "elementwise.py: logaddexp2[0]: y  ->  a",
    "elementwise.py: logaddexp2[0]: y  ->  b",
    "elementwise.py: logaddexp2[1]: y  ->  a",
    "elementwise.py: logaddexp2[1]: y  ->  b",
)
equivalent(
    "the result is that operand wherever it is asked",
    "elementwise.py: _winner: y  ->  mine",
    "elementwise.py: clip[0]: high  ->  y",
    "elementwise.py: clip[0]: low  ->  y",
    "elementwise.py: clip[1]: high  ->  y",
    "elementwise.py: clip[1]: low  ->  y  (number 2)",
    "elementwise.py: clip[2]: high  ->  y",
    "elementwise.py: clip[2]: high  ->  y  (number 2)",
)
equivalent(
    "the result is 0, or positive, or has that sign, exactly where the operand is or has",
    "elementwise.py: copysign[0]: b  ->  y",
    "elementwise.py: power[0]: x  ->  y  (number 2)",
    "elementwise.py: relu[0]: x  ->  y",
    "elementwise.py: root[0]: y  ->  x  (number 2)",
    "structure.py: absorb[0]: zero  ->  y",
)
equivalent(
    "a number that 0 is divided by, or whose logarithm 0 is multiplied by, or that 0 is the power of",
    "elementwise.py: hypot[0]: 1  ->  2",
    "elementwise.py: hypot[1]: 1  ->  2",
    "elementwise.py: power[0]: 1  ->  2",
    "linear_algebra.py: _p_norm_rule: 1  ->  2  (number 2)",
    "linear_algebra.py: _p_norm_rule: 1  ->  2  (number 3)",
    "linear_algebra.py: vector_norm[0]: np.inf  ->  1.0",
)
equivalent(
    "to multiply by 1 or -1 is to divide by it",
    "elementwise.py: copysign[0]: ct * sign(a) * copysign(1.0, b)  ->  ct * sign(a) / copysign(1.0, b)",
)
equivalent(
    "the first factor of a recurrence is not used: s[0] = b[0]",
    "reductions.py: _cumprod_rule: 0.0  ->  1.0",
    "reductions.py: _reversed_recurrence: 0.0  ->  1.0",
)
equivalent(
    "a product of another shape with the same entries: this one is the faster or the shorter",
    "linear_algebra.py: _by_left: len(a.shape)  ->  a.shape  (number 2)",
    "linear_algebra.py: _by_left: len(b.shape)  ->  b.shape  (number 2)",
    "linear_algebra.py: _by_right: 2  ->  3",
    "linear_algebra.py: _by_right: a  ->  b  (number 3)",
    "linear_algebra.py: _by_right: a  ->  ct  (number 3)",
    "linear_algebra.py: _by_right: a  ->  y  (number 3)",
    "linear_algebra.py: _by_right: b  ->  a",
    "linear_algebra.py: _by_right: b  ->  ct",
    "linear_algebra.py: _by_right: b  ->  y",
    "linear_algebra.py: _by_right: ct  ->  y  (number 5)",
    "linear_algebra.py: _by_right: len(a.shape)  ->  a.shape  (number 3)",
    "linear_algebra.py: _by_right: len(a.shape) > 2  ->  len(a.shape) >= 2",
    "linear_algebra.py: _by_right: len(b.shape)  ->  b.shape",
    "linear_algebra.py: _by_right: len(b.shape)  ->  b.shape  (number 3)",
)
equivalent(
    "of a square matrix the vectors span all space, so there is no part outside",
    "linear_algebra.py: _left_vectors_rule: u  ->  a  (number 2)",
    "linear_algebra.py: _left_vectors_rule: u  ->  a  (number 3)",
    "linear_algebra.py: _left_vectors_rule: u  ->  ct  (number 2)",
    "linear_algebra.py: _left_vectors_rule: u  ->  ct  (number 3)",
    "linear_algebra.py: _left_vectors_rule: u.shape[-2] > u.shape[-1]  ->  u.shape[-2] >= u.shape[-1]",
    "linear_algebra.py: _right_vectors_rule: vt  ->  a  (number 2)",
    "linear_algebra.py: _right_vectors_rule: vt  ->  a  (number 3)",
    "linear_algebra.py: _right_vectors_rule: vt  ->  ct  (number 2)",
    "linear_algebra.py: _right_vectors_rule: vt  ->  ct  (number 3)",
    "linear_algebra.py: _right_vectors_rule: vt.shape[-1] > vt.shape[-2]  ->  vt.shape[-1] >= vt.shape[-2]",
)

# ------------------------------------------------------------------------------------ the reverse and forward passes

equivalent(
    "more is computed, and falls away: nobody asks for it",
    "loop.py: _joint_vjp: _is_float(x) and (i < n or wanted[i])  ->  _is_float(x) or (i < n or wanted[i])",
    "loop.py: _frontier: node in needed and (not is_forward(node))  ->  node in needed or not is_forward(node)  (number 2)",
    "loop.py: _joint_vjp: _reached(inputs, back)  ->  inputs",
    "loop.py: _reached: outputs  ->  inputs",
    "loop.py: _joint_vjp: i < n  ->  i <= n  (number 5)",
    "loop.py: _joint_vjp: n + m  ->  n  (number 5)",
    "reverse.py: _Walk.pass_on: x  ->  node  (number 4)",
)
equivalent(
    "what it leaves out is left out by another condition too",
    "forward.py: push: node in tangents or (node.dtype is not None and node.dtype.kind != 'f')  ->  "
    "node in tangents and (node.dtype is not None and node.dtype.kind != 'f')",
    "loop.py: _joint_vjp: n + m  ->  n  (number 2)",
    "reverse.py: _Walk.visit_loop: all((ct is None for ct in cts)) or node.primitive.joint_vjp is None  ->  "
    "all((ct is None for ct in cts)) and node.primitive.joint_vjp is None",
    "reverse.py: _share: y.primitive.share(i, ct, y) if x.dtype.kind == 'f' else None  ->  y.primitive.share(i, ct, y)",
)
equivalent(
    "the mark is a node that nobody uses",
    "loop.py: _frontier: node.serial <= mark  ->  node.serial < mark",
)
equivalent(
    "the same items in the same order; or any of several equal ones; or a dictionary that is the caller's own",
    "forward.py: push: dict(seeds)  ->  seeds",
    "forward.py: push: bool(past)  ->  past",
    "loop.py: _joint_vjp: sorted(live)  ->  live",
    "uses.py: live_outputs: sorted(results)  ->  results",
    "uses.py: Edge.hands_on: bool(self.loops)  ->  self.loops",
    "loop.py: _stacked: reversed(list(enumerate(loop.graph.outputs[loop.carries:])))  ->  "
    "list(enumerate(loop.graph.outputs[loop.carries:]))",
)
equivalent(
    "edges are equal by their consumer and position",
    "reverse.py: _Walk.pass_on: x  ->  i  (number 4)",
    "reverse.py: _Walk.pass_on: x  ->  node  (number 3)",
    "reverse.py: _Walk.pass_on: x  ->  self  (number 4)",
    "reverse.py: _Walk.pass_on: x  ->  share  (number 4)",
)
equivalent(
    "in forward mode no slope stands behind a selection, so there is nothing to absorb",
    "forward.py: _tangent: False  ->  True",
    "reverse.py: accumulate: absorbing  ->  seeds",
    "reverse.py: accumulate: absorbing  ->  targets",
)
equivalent(
    "what is passed on as it is has a finite slope: to absorb it changes nothing",
    "reverse.py: _share: ct  ->  absorbing  (number 2)",
    "reverse.py: _share: ct  ->  i  (number 2)",
    "reverse.py: _share: ct  ->  y  (number 2)",
)
equivalent(
    "what a closure stands for is older than its symbol, so more is looked at",
    "uses.py: _uses: node  ->  asked  (number 2)",
    "uses.py: _uses: node  ->  asked  (number 3)",
)
equivalent(
    "a sum is reshaped to the operand's shape, whether its axes were kept or not",
    "reverse.py: fit: False  ->  True",
    "reverse.py: fit: share if share.shape == x.shape else reshape(share, shape=x.shape)  ->  reshape(share, shape=x.shape)",
)
