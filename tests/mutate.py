"""Tests of the tests: change every VJP rule, one thing at a time, and see that the checks notice.

    python -m tests.mutate                 all primitives; exit status 1 if a changed rule passes all checks
    python -m tests.mutate tanh matmul     some of them
    python -m tests.mutate scan            the rules of the loop, and the reverse and forward passes themselves

Two kinds of changes. In the table: the share of one operand is negated, doubled, zero, missing, or another operand's.
In the source of the rules, and of the functions that they call: an operator, a number, a comparison, a name is another
one, a call or a branch is left out. Each mutant is judged by the checks of `test_primitives.py` on the rows of the
primitives that it reaches, in plain mode.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import time
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import forward, loop, reverse, uses
from minigrad.nodes import Primitive
from minigrad.primitives import elementwise, linear_algebra, reductions, shape_rules, structure
from minigrad.primitives.structure import full

from . import (
    test_checkpoint,
    test_conventions,
    test_gradients,
    test_graph,
    test_inside_loops,
    test_loop,
    test_loop_rewrites,
    test_source,
)
from . import test_primitives as checks
from .equivalent import EQUIVALENT
from .samples import SAMPLES
from .singular import CURVED, SINGULAR

MODULES = [structure, elementwise, reductions, linear_algebra, shape_rules]

# What makes a derivative of rules, and of a loop's step: judged by tests of loops, edges and conventions.
ENGINE = {
    loop: ("_joint_vjp", "_backward_loop", "_reached", "_frontier", "_stacked", "_or_zeros", "_joint_jvp"),
    reverse: ("accumulate", "_share", "fit", "selects", "Slopes.steep", "_can_be_steep", "_Walk.add", "_Walk.visit",
              "_Walk.visit_pick", "_Walk.visit_loop", "_Walk.pass_on"),
    forward: ("push", "_tangent"),
    uses: ("_levels", "_uses", "_travelled", "live_outputs", "_live_inputs", "passes", "Edge.in_step", "Edge.hands_on"),
}  # fmt: skip
SECONDS = 30  # that the checks of one mutant may take


class Mutant(NamedTuple):
    """A changed rule: what it is called, the primitives that it reaches, and how to put it in and take it out."""

    label: str
    reaches: tuple[str, ...]
    apply: Callable[[], None]
    undo: Callable[[], None]


# ------------------------------------------------------------------------------------------------------------ judging


def passes(names: tuple[str, ...]) -> bool:
    """Whether the primitives pass all checks: first derivatives, singular points, second derivatives, dtypes."""
    cases = [case for name in names for case in SAMPLES.get(name, ())]
    cases = sorted([case for case in cases if case.smooth], key=str)
    points = [point for point in SINGULAR if point.primitive.name in names]
    curves = [point for point in CURVED if point.primitive.name in names]
    try:
        with np.errstate(all="ignore"):
            if "scan" in names:
                check_engine()
            for case in cases:
                checks.test_vjp(case, False)
            for point in points:
                checks.test_singular_points(point, "vjp")
            for point in curves:
                checks.test_second_derivatives_at_singular_points(point, False)
            for case in cases:
                checks.test_vjp_of_vjp(case)
                checks.test_gradients_of_mixed_dtypes(case)
                checks.test_gradients_have_the_dtype_of_the_argument(case)
                checks.test_jvp(case, False)
            for name in SAMPLES.keys() & set(names):
                checks.test_there_are_as_many_rules_as_operands(name)
                if Primitive.table[name].bounded:
                    checks.test_bounded_slopes_are_finite_wherever_the_value_is(name)
    except (Exception, pytest.fail.Exception):  # whatever it is, somebody has noticed
        return False
    return True


def check_engine() -> None:
    """Loops against differences, in both modes and to second order; edges, policies, selections."""
    arrays = [test_loop.W, test_loop.B, test_loop.H, test_loop.XS]
    for case in test_loop.CASES:
        f = functools.partial(test_loop.scalar, case, mg.scan)
        checks.check_vjp(f, arrays, case.__name__)
        checks.check_jvp(f, arrays, case.__name__)
    for name in ("add", "multiply", "cast", "maximum", "stack"):
        for case in [case for case in SAMPLES[name] if case.smooth]:
            checks.test_vjp(case, False)
            checks.test_jvp(case, False)
            checks.test_gradients_of_mixed_dtypes(case)
    test_graph.test_every_node_knows_the_line_that_made_it()
    test_source.test_cotangents_are_called_after_their_nodes()
    for seed in range(8):
        inside = test_inside_loops.random_case(seed)
        test_inside_loops.check_weights_by_step(inside)
        test_inside_loops.check_nodes_inside(inside)
    for module in (test_gradients, test_loop, test_inside_loops):
        for name, test in vars(module).items():
            if name.startswith("test_") and not hasattr(test, "pytestmark") and not hasattr(test, "hypothesis"):
                test(*[test_gradients.weight()] * test.__code__.co_argcount)
    for case in test_loop.CASES:
        f = mg.grad(functools.partial(test_loop.scalar, case, mg.scan), argnums=(0, 1, 2, 3))
        checks.check_vjp(lambda *xs, f=f: mg.stack([mg.sum(mg.sin(g)) for g in f(*xs)]), arrays, f"gradient of {case.__name__}")
    test_loop_rewrites.test_the_gradient_of_a_loop_in_a_loop_runs_both_steps_once()
    test_checkpoint.test_the_loop_is_one_of_chunks_and_its_gradient_runs_them_again()
    test_checkpoint.test_a_checkpointed_loop_inside_a_checkpointed_loop(3, 2)
    test_checkpoint.test_progress_is_told_in_steps_by_both_passes(3, [3, 6, 7], [1, 4, 7], False, False)
    test_conventions.test_where_as_the_last_operation()
    test_conventions.test_a_zero_tangent_that_no_selection_made_absorbs_nothing()
    test_conventions.test_slopes_that_are_finite_need_no_guard()
    for where in test_conventions.WHERE.values():
        for mode in ("reverse", "forward"):
            derivative = functools.partial(test_conventions.MODES[mode])
            test_conventions.test_where_gives_the_branch_not_taken_exactly_0(lambda f, x, d=derivative: d(f, np.array(x)), where)
    for mode in ("reverse", "forward"):
        test_conventions.test_without_a_selection_ieee_arithmetic_decides(mode)
    for mode in ("reverse", "forward"):
        derivative = functools.partial(test_conventions.MODES[mode])
        test_conventions.test_a_selection_absorbs_nothing_beside_it(lambda f, x, d=derivative: d(f, np.array(x)))
    test_conventions.test_dtype_of_a_gradient_is_that_of_what_it_is_the_gradient_of()
    test_conventions.test_what_the_output_does_not_depend_on_has_zeros_or_an_error()


class _TooLongError(Exception):
    pass


def _alarm(*_: object) -> None:
    raise _TooLongError


def survives(mutant: Mutant) -> bool:
    """Whether the checks pass with the changed rule."""
    mutant.apply()
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        return passes(mutant.reaches)
    except _TooLongError:
        return False
    finally:
        signal.alarm(0)
        mutant.undo()


# -------------------------------------------------------------------------------------------------------- in the table


def table_mutants(primitive: Primitive) -> Iterator[Mutant]:
    """Shares that are negated, doubled, zero, missing, or those of another operand."""
    arity = max((len(case.operands) for case in SAMPLES.get(primitive.name, ())), default=0)
    rules = [primitive.rule(i) for i in range(arity)] if primitive.rules else []
    for i, rule in enumerate(rules):
        if rule is None:
            continue
        for change, changed in _changes(rule, _is_flat(primitive, i)).items():
            yield _table_mutant(primitive, i, change, changed)
        for j, other in enumerate(rules):
            if other is not None and other.__code__.co_code != rule.__code__.co_code:
                yield _table_mutant(primitive, i, f"has the share of operand {j}", other)


def _is_flat(primitive: Primitive, i: int) -> bool:
    # whether the share is zero always
    case = next(case for case in SAMPLES[primitive.name] if i in case.smooth)
    operands = [mg.constant(x) for x in case.draw()]
    y = primitive(*operands, **case.params)
    share = primitive.share(i, y, y)
    return share is not None and share.primitive is full


def _changes(rule: Callable[..., Any], flat: bool) -> dict[str, Any]:
    if flat:
        return {"is the cotangent": lambda ct, *_, **__: ct, "is missing": None}
    zeros = lambda share: full(shape=share.shape, value=0.0, dtype=share.dtype)  # noqa: E731
    return {
        "is negated": lambda *args, **params: -rule(*args, **params),
        "is doubled": lambda *args, **params: rule(*args, **params) * 2,
        "is zero": lambda *args, **params: zeros(rule(*args, **params)),
        "is missing": None,
    }


def _table_mutant(primitive: Primitive, i: int, change: str, changed: Any) -> Mutant:
    rules = primitive.rules

    def apply() -> None:
        if callable(rules):
            primitive.rules = lambda position: changed if position == i else rules(position)
        else:
            primitive.rules = [changed if position == i else rule for position, rule in enumerate(rules)]

    def undo() -> None:
        primitive.rules = rules

    return Mutant(f"{primitive.name}: share of operand {i} {change}", (primitive.name,), apply, undo)


# ------------------------------------------------------------------------------------------------------- in the source


def source_mutants(names: set[str]) -> Iterator[Mutant]:
    """Every change of `changes` at every place in the rules of these primitives, and in what the rules call."""
    reached = _functions_of_rules()
    for module in MODULES:
        path = str(module.__file__)
        with open(path) as file:
            tree = ast.parse(file.read())
        original = compile(tree, path, "exec")
        live = [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__module__ == module.__name__]
        for code, primitives in reached.items():
            if code.co_filename != path or not primitives & names:
                continue
            node = _node_of(code, tree)
            inside = f"{os.path.basename(path)}: {_owner(node, tree)}"
            yield from _function_mutants(node, inside, tuple(sorted(primitives)), tree, path, live, original)


def engine_mutants() -> Iterator[Mutant]:
    """The same changes in the functions that make derivatives of rules."""
    for module, names in ENGINE.items():
        path = str(module.__file__)
        with open(path) as file:
            tree = ast.parse(file.read())
        original = compile(tree, path, "exec")
        live = [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__module__ == module.__name__]
        for name in names:
            yield from _function_mutants(_definition(name, tree), f"{os.path.basename(path)}: {name}", ("scan",), tree, path, live, original)


def _definition(name: str, tree: ast.AST) -> ast.FunctionDef:
    for part in name.split("."):
        tree = next(n for n in tree.body if getattr(n, "name", None) == part)  # type: ignore[attr-defined]
    assert isinstance(tree, ast.FunctionDef)
    return tree


def _function_mutants(
    node: ast.AST, inside: str, reaches: tuple[str, ...], tree: ast.Module, path: str, live: list[Any], original: Any
) -> Iterator[Mutant]:
    seen: Counter[str] = Counter()
    for text, change, restore in changes(node):
        seen[text] += 1
        text += f"  (number {seen[text]})" if seen[text] > 1 else ""
        change()
        try:
            mutated = compile(ast.fix_missing_locations(tree), path, "exec")
        finally:
            restore()
        yield _source_mutant(f"{inside}: {text}", reaches, live, original, mutated)


def _source_mutant(label: str, reaches: tuple[str, ...], live: list[Any], old: Any, new: Any) -> Mutant:
    # code objects stand in the same order in the changed module; each live function gets the one in its own place
    pairs = [(a, b) for a, b in zip(_all_codes(old), _all_codes(new)) if a != b and a.co_freevars == b.co_freevars]
    touched = [(f, a, b) for f in live for a, b in pairs if f.__code__ == a]

    def apply() -> None:
        for f, _, b in touched:
            f.__code__ = b

    def undo() -> None:
        for f, a, _ in touched:
            f.__code__ = a

    return Mutant(label, reaches, apply, undo)


def _all_codes(code: types.CodeType) -> list[types.CodeType]:
    found, pending = [], [code]
    while pending:
        one = pending.pop()
        found.append(one)
        pending += [inner for inner in one.co_consts if isinstance(inner, types.CodeType)]
    return found


def _functions_of_rules() -> dict[types.CodeType, set[str]]:
    # the code of each rule, and of the functions that rules call by name -> the primitives that it reaches
    reached: dict[types.CodeType, set[str]] = {}
    own = {module.__name__ for module in MODULES}
    for name, primitive in Primitive.table.items():
        if not primitive.rules or name not in SAMPLES:
            continue
        if callable(primitive.rules):
            pending = [primitive.rules]
        else:
            pending = [rule for rule in primitive.rules if rule is not None]
        seen = set()
        while pending:
            function = pending.pop()
            if function in seen or function.__module__ not in own:
                continue
            seen.add(function)
            reached.setdefault(function.__code__, set()).add(name)
            called = {n for code in _all_codes(function.__code__) for n in code.co_names}
            pending += [f for n in called if isinstance(f := function.__globals__.get(n), types.FunctionType)]
            cells = [cell.cell_contents for cell in function.__closure__ or ()]
            pending += [f for f in cells if isinstance(f, types.FunctionType)]
    return reached


def _node_of(code: types.CodeType, tree: ast.Module) -> ast.AST:
    # the lambda or function that the code was made from: the innermost one around all of it
    places = [p for p in code.co_positions() if None not in p and p[2:] != (0, 0)]
    first, last = min(p[0] for p in places), max(p[1] for p in places)  # type: ignore[type-var]
    left = min(p[2] for p in places if p[0] == first)  # type: ignore[type-var]
    around = [
        node for node in ast.walk(tree)
        if isinstance(node, (ast.Lambda, ast.FunctionDef)) and node.lineno <= first and node.end_lineno >= last  # type: ignore[operator]
        and (node.lineno, node.col_offset) <= (first, left)
        and isinstance(node, ast.Lambda) == (code.co_name == "<lambda>")
    ]  # fmt: skip
    return max(around, key=lambda node: (node.lineno, node.col_offset))


def _owner(node: ast.AST, tree: ast.Module) -> str:
    # what the report calls a rule: "clip[1]" is the second lambda of clip's entry
    for statement in tree.body:
        inside = [n for n in ast.walk(statement) if isinstance(n, (ast.Lambda, ast.FunctionDef))]
        if any(n is node for n in inside):
            if isinstance(statement, ast.FunctionDef):
                return statement.name
            lambdas = sorted([n for n in inside if isinstance(n, ast.Lambda)], key=lambda n: (n.lineno, n.col_offset))
            position = next(i for i, n in enumerate(lambdas) if n is node)
            return f"{ast.unparse(statement.targets[0])}[{position}]" if isinstance(statement, ast.Assign) else "?"
    return "?"


# -------------------------------------------------------------------------------------------------------------- changes

Change = tuple[str, Callable[[], None], Callable[[], None]]

BINARY = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
          ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.MatMult: ast.Mult}  # fmt: skip
COMPARED = {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
            ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}  # fmt: skip


def changes(function: ast.AST) -> Iterator[Change]:
    """Each replacement of an expression in a function's body: what it reads, how to make it, how to take it back."""
    parameters = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]  # type: ignore[attr-defined]
    body = function.body if isinstance(function.body, list) else [function.body]  # type: ignore[attr-defined]
    pending: list[ast.AST] = [*body]
    if not isinstance(function.body, list):  # type: ignore[attr-defined]
        for replacement in replacements(function.body, parameters):  # type: ignore[attr-defined]
            yield _replace(function, "body", None, function.body, replacement)  # type: ignore[attr-defined]
    while pending:
        parent = pending.pop()
        if isinstance(parent, (ast.Assert, ast.Raise)) or (isinstance(parent, ast.Expr) and isinstance(parent.value, ast.Constant)):
            continue  # errors and docstrings are not what is measured here
        for field, value in ast.iter_fields(parent):
            if isinstance(parent, ast.keyword) and parent.arg == "strict":
                continue  # lengths that are equal by construction
            if isinstance(parent, (ast.arguments, ast.AnnAssign)) and field in ("defaults", "annotation", "kw_defaults"):
                continue
            for position, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    pending.append(child)
                if isinstance(child, ast.expr):
                    for replacement in replacements(child, parameters):
                        yield _replace(parent, field, position, child, replacement)


def _replace(parent: ast.AST, field: str, position: int | None, old: ast.expr, new: ast.expr) -> Change:
    def put(node: ast.expr) -> None:
        if position is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[position] = node

    text = f"{ast.unparse(old)}  ->  {ast.unparse(new)}"
    ast.copy_location(new, old)
    return text, lambda: put(new), lambda: put(old)


def replacements(node: ast.expr, parameters: list[str]) -> Iterator[ast.expr]:
    """What an expression is replaced by."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in BINARY:
            yield ast.BinOp(node.left, BINARY[type(node.op)](), node.right)
        yield node.left
        yield node.right
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield ast.Compare(node.left, [COMPARED[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Call) and node.args and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
        yield node.args[0]
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Attribute) and node.attr in ("inf", "pi"):
        yield ast.Constant(1.0)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in parameters:
        for other in parameters:
            if other != node.id:
                yield ast.Name(other, ast.Load())


# --------------------------------------------------------------------------------------------------------- the command

_mutants: list[Mutant] = []


def _judge(number: int) -> tuple[int, bool]:
    return number, survives(_mutants[number])


def _prepare() -> None:
    warnings.simplefilter("ignore")


def main(arguments: list[str] | None = None) -> int:
    """Judge all mutants; print the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("primitives", nargs="*", help="names of primitives; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    unknown = set(options.primitives) - {*SAMPLES, "scan"}
    if unknown:
        parser.error(f"no sample rows for {', '.join(sorted(unknown))}")
    names = set(options.primitives or [*SAMPLES, "scan"])
    for module in MODULES:
        importlib.import_module(module.__name__)
    _prepare()
    sound = [name for name in sorted(names) if not passes((name,))]
    if sound:
        print(f"the unchanged rules of {', '.join(sound)} do not pass: run the tests first", file=sys.stderr)
        return 2
    _mutants.extend(m for name in sorted(names - {"scan"}) for m in table_mutants(Primitive.table[name]))
    _mutants.extend(source_mutants(names))
    if "scan" in names:
        _mutants.extend(engine_mutants())
    started, survivors, expected, done = time.time(), [], set(EQUIVALENT), 0
    with multiprocessing.get_context("fork").Pool(options.jobs, _prepare) as pool:
        for number, alive in pool.imap_unordered(_judge, range(len(_mutants)), chunksize=8):
            done += 1
            label = _mutants[number].label
            if alive and label in expected:
                expected.remove(label)
            elif alive:
                survivors.append(label)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(_mutants)}, {len(survivors)} survivors", end="", file=sys.stderr)
    for label in sorted(survivors):
        print(label)
    noticed = sorted(expected) if not options.primitives else []
    for label in noticed:
        print(f"listed as equivalent, but noticed or gone: {label}")
    seconds = time.time() - started
    print(f"{len(_mutants)} mutants, {len(survivors)} survivors, {seconds:.0f} s", file=sys.stderr)
    return 1 if survivors or noticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
