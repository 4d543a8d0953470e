"""Properties of every entry of the table of primitives, on the rows of `samples.py`.

The functions `check_...` hold what is checked; `mutate.py` calls them too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.evaluation import Plan
from minigrad.nodes import Node, Primitive, constant, symbol
from minigrad.primitives.text import function

from .differences import complex_step, directional, pulled_back
from .invariants import check_graph
from .references import reference
from .samples import ELSEWHERE, SAMPLES, Case, all_cases
from .singular import CURVED, SINGULAR, Point

Array = Any

CASES = list(all_cases())
SMOOTH = [case for case in CASES if case.smooth]

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_smooth_case = pytest.mark.parametrize("case", SMOOTH, ids=str)


def arguments(case: Case, drawn: list[Any]) -> list[Array]:
    """The smooth ones among a case's operands."""
    return [drawn[i] for i in case.smooth]


def evaluator(f: Callable[..., Node], arrays: list[Array]) -> Callable[..., Array]:
    """A function of nodes as one of arrays, by walking its graph."""
    symbols = [symbol(f"x{i}", np.shape(x), np.asarray(x).dtype) for i, x in enumerate(arrays)]
    plan = Plan(symbols, [f(*symbols)])
    return lambda *values: np.asarray(plan.run(values)[0])


def normal_like(value: Array, seed: int) -> Array:
    """Random numbers of the value's shape, as a direction."""
    return np.random.default_rng(seed).normal(size=np.shape(value))


def same_bits(a: Array, b: Array) -> bool:
    """Equal in dtype, shape and bits, the sign of a zero among them; one NaN is as good as another."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    nan = np.isnan(a)
    return bool(np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes())


def assert_close(found: Array, expected: Array, what: str, tolerance: float = 1e-7) -> None:
    """Equal up to rounding, relative to the largest entry."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: shape {found.shape} instead of {expected.shape}"
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


# -------------------------------------------------------------------------------------------------- the table itself


def test_every_primitive_has_a_sample_row() -> None:
    missing = set(Primitive.table) - set(SAMPLES) - set(ELSEWHERE)
    assert not missing, f"write rows in tests/samples.py for {sorted(missing)}"


@pytest.mark.parametrize("name", SAMPLES)
def test_there_are_as_many_rules_as_operands(name: str) -> None:
    primitive = Primitive.table[name]
    smooth: set[int] = set()
    for case in SAMPLES[name]:
        smooth |= set(case.smooth)
        with_rule = [i for i in range(len(case.operands)) if primitive.rules and primitive.rule(i) is not None]
        if not callable(primitive.rules) and primitive.rules:
            assert len(primitive.rules) == len(case.operands)
        # what the row says has no derivative has none: fixed floats are not mistaken for smooth ones
        floats = [i for i, x in enumerate(case.draw()) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
        y = primitive(*map(mg.constant, case.draw()), **case.params)
        if y.dtype.kind == "f":
            assert [i for i in floats if i in with_rule] == case.smooth
    arity = max(len(case.operands) for case in SAMPLES[name])
    assert smooth == {i for i in range(arity) if primitive.rules and primitive.rule(i) is not None}


# ---------------------------------------------------------------------------------------------------------- values


@every_case
def test_value_is_that_of_the_reference(case: Case) -> None:
    for seed in range(3):
        drawn = case.draw(seed)
        value = np.asarray(mg.evaluate([case.function(drawn)(*arguments(case, drawn))], {})[0])
        expected = np.asarray(reference(case.primitive.name)(*drawn, **case.params))
        assert_close(value, expected, str(case), 1e-13)


@every_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_shape_and_dtype_are_inferred(case: Case, dtype: Any) -> None:
    drawn = case.draw(dtype=dtype)
    node = case.function(drawn)(*[constant(x) for x in arguments(case, drawn)])
    value = function(case.primitive, case.params, len(drawn))(*drawn)
    assert (node.shape, node.dtype) == (np.shape(value), np.asarray(value).dtype)
    (evaluated,) = mg.evaluate([node], {})
    assert (node.shape, node.dtype) == (evaluated.shape, evaluated.dtype)


@every_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_source_gives_the_same_bits(case: Case, dtype: Any) -> None:
    drawn = case.draw(dtype=dtype)
    f, arrays = case.function(drawn), arguments(case, drawn)
    plain = evaluator(f, arrays)(*arrays)
    compiled = mg.compile(f)(*arrays)
    assert isinstance(compiled, np.ndarray)
    assert same_bits(plain, compiled)


@every_smooth_case
def test_strides_do_not_matter(case: Case) -> None:
    # the same numbers as a transposed copy, as every second entry of a larger array, and read backwards
    drawn = case.draw()
    f, arrays = case.function(drawn), arguments(case, drawn)
    expected, pullback = mg.vjp(f, *arrays)
    ct = np.asarray(normal_like(expected, 1))
    shares = pullback(ct)
    for relaid in (_fortran, _every_second, _backwards):
        odd = [relaid(x) for x in arrays]
        before = [x.copy() for x in odd]
        value, pullback = mg.vjp(f, *odd)
        compiled = mg.compile(f)(*odd)
        assert_close(value, expected, "value", 1e-13)
        assert_close(compiled, expected, "compiled value", 1e-13)
        for found, share in zip(pullback(relaid(ct)), shares, strict=True):
            assert_close(found, share, "gradient", 1e-12)
        for x, was in zip(odd, before, strict=True):
            assert np.array_equal(x, was), "an array handed in was changed"


def _fortran(x: Array) -> Array:
    return np.asarray(x, order="F")


def _every_second(x: Array) -> Array:
    wide = np.zeros([2 * n for n in x.shape])
    part = wide[(..., *[slice(None, None, 2) for _ in x.shape])]
    part[...] = x
    return part


def _backwards(x: Array) -> Array:
    flipped = (..., *[slice(None, None, -1) for _ in x.shape])
    return x[flipped].copy()[flipped]


# ------------------------------------------------------------------------------------------------- first derivatives


def check_vjp(f: Callable[..., Node], arrays: list[Array], what: str, compiled: bool = False) -> None:
    """The shares of all arguments against central differences, entry by entry; shape and dtype are the arguments'."""
    run = evaluator(f, arrays)
    ct = normal_like(run(*arrays), 2)
    check_graph(mg.trace(lambda ct, *xs: mg.vjp(f, *xs)[1](ct), ct, *arrays))
    shares = _vjp(f, arrays, ct, compiled)
    for i, (x, share) in enumerate(zip(arrays, shares, strict=True)):
        assert (share.shape, share.dtype) == (x.shape, x.dtype)
        assert_close(share, pulled_back(run, arrays, i, ct), f"{what}: gradient by argument {i}")


def _vjp(f: Callable[..., Node], arrays: list[Array], ct: Array, compiled: bool = False) -> tuple[Array, ...]:
    def pulled(ct: Array, *arrays: Array) -> Any:
        return mg.vjp(f, *arrays)[1](ct)

    return (mg.compile(pulled) if compiled else pulled)(ct, *arrays)  # type: ignore[no-any-return]


def check_jvp(f: Callable[..., Node], arrays: list[Array], what: str, compiled: bool = False) -> None:
    """The tangent of the value against differences along a random direction, and <ct, J t> = <J^T ct, t>."""
    run = evaluator(f, arrays)
    value = run(*arrays)
    tangents = [normal_like(x, 10 + i) for i, x in enumerate(arrays)]

    def pushed(*both: Array) -> Any:
        return mg.jvp(f, both[: len(arrays)], both[len(arrays) :])

    again, tangent = (mg.compile(pushed) if compiled else pushed)(*arrays, *tangents)
    assert (tangent.shape, tangent.dtype) == (value.shape, value.dtype)
    assert_close(again, value, f"{what}: value", 1e-12)
    assert_close(tangent, directional(run, arrays, tangents), f"{what}: tangent")
    ct = normal_like(value, 2)
    shares = _vjp(f, arrays, ct)
    there = np.sum(ct * tangent)
    back = np.sum([np.sum(s * t) for s, t in zip(shares, tangents, strict=True)])
    assert_close(there, back, f"{what}: <ct, J t> = <J^T ct, t>", 1e-11)


def gradient_of(case: Case, drawn: list[Any]) -> Callable[..., Node]:
    """(ct, *arguments) -> the sum of all shares, each with random weights: a function to differentiate once more."""
    f = case.function(drawn)
    weights = [normal_like(drawn[i], 20 + i) for i in case.smooth]

    def pulled(ct: Any, *nodes: Any) -> Node:
        shares = mg.gradients(f(*nodes), list(nodes), cotangent=ct)
        total: Node = mg.stack([mg.sum(s * w) for s, w in zip(shares, weights, strict=True)])
        return total

    return pulled


@every_smooth_case
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_vjp(case: Case, compiled: bool) -> None:
    drawn = case.draw()
    check_vjp(case.function(drawn), arguments(case, drawn), str(case), compiled)


@every_smooth_case
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_jvp(case: Case, compiled: bool) -> None:
    drawn = case.draw()
    check_jvp(case.function(drawn), arguments(case, drawn), str(case), compiled)


@pytest.mark.parametrize("case", [case for case in SMOOTH if case.analytic], ids=str)
def test_jvp_by_complex_step(case: Case) -> None:
    drawn = case.draw(seed=3)
    arrays = arguments(case, drawn)
    tangents = [normal_like(x, 10 + i) for i, x in enumerate(arrays)]
    call = function(case.primitive, case.params, len(drawn))

    def run(*values: Array) -> Array:
        full = list(drawn)
        for position, value in zip(case.smooth, values, strict=True):
            full[position] = value
        return call(*full)

    _, tangent = mg.jvp(case.function(drawn), arrays, tangents)
    assert_close(tangent, complex_step(run, arrays, tangents), str(case), 3e-14)


@every_smooth_case
def test_gradients_have_the_dtype_of_the_argument(case: Case) -> None:
    drawn = case.draw(dtype=np.float32)
    f, arrays = case.function(drawn), arguments(case, drawn)
    value, pullback = mg.vjp(f, *arrays)
    ct = normal_like(value, 2)
    wide = mg.vjp(case.function(case.draw()), *[x.astype(np.float64) for x in arrays])[1](ct)
    graph = mg.trace(lambda ct, *xs: mg.vjp(f, *xs)[1](ct), ct.astype(value.dtype), *arrays)
    if all(getattr(x, "dtype", None) == np.float32 for x in (value, *drawn)):
        assert not [node for node in graph.nodes if node.dtype == np.float64 and not node.weak], "float64 on the way"
    for share, expected, x in zip(pullback(ct.astype(value.dtype)), wide, arrays, strict=True):
        assert (share.shape, share.dtype) == (x.shape, x.dtype)
        assert_close(share, expected, str(case), 2e-5)


@every_smooth_case
def test_gradients_of_mixed_dtypes(case: Case) -> None:
    # each argument in turn is float32 among float64: its gradient alone is
    for narrow in [n for n, i in enumerate(case.smooth) if case.operands[i].narrow]:  # type: ignore[union-attr]
        drawn = case.draw()
        arrays = arguments(case, drawn)
        arrays[narrow] = arrays[narrow].astype(np.float32)
        value, pullback = mg.vjp(case.function(drawn), *arrays)
        for i, share in enumerate(pullback(np.ones(value.shape))):
            assert share.dtype == (np.float32 if i == narrow else np.float64)
        tangents = [normal_like(x, i).astype(x.dtype) for i, x in enumerate(arrays)]
        assert mg.jvp(case.function(drawn), arrays, tangents)[1].dtype == value.dtype


def test_cast_to_a_narrower_float_casts_the_cotangent_back() -> None:
    x = np.array([1.0, 1e-9, 1 / 3])
    y, pullback = mg.vjp(lambda x: mg.astype(x, "float32") * np.array([1, 2, 3], "float32"), x)
    (share,) = pullback(np.array([1.0, 1.0, 0.1], "float32"))
    assert (y.dtype, share.dtype) == (np.float32, np.float64)
    assert_close(share, [1, 2, 0.3], "gradient", 1e-7)


@pytest.mark.parametrize("case", [c for c in SMOOTH if len(c.smooth) > 1 and c.primitive.elementwise], ids=str)
def test_one_node_for_two_operands(case: Case) -> None:
    # f(x, x) has the sum of the shares for its gradient
    drawn = case.draw(1)
    f, (first, *_) = case.function(drawn), arguments(case, drawn)
    first = np.abs(first) + 0.1
    y, pullback = mg.vjp(lambda x: f(*[x] * len(case.smooth)), first)
    _, separate = mg.vjp(f, *[first] * len(case.smooth))
    ct = normal_like(y, 4)
    assert_close(pullback(ct)[0], sum(separate(ct)), "gradient", 1e-12)


# ------------------------------------------------------------------------------------------------ second derivatives


@every_smooth_case
def test_vjp_of_vjp(case: Case) -> None:
    drawn = case.draw()
    arrays = arguments(case, drawn)
    ct = normal_like(evaluator(case.function(drawn), arrays)(*arrays), 3)
    check_vjp(gradient_of(case, drawn), [ct, *arrays], f"gradient of {case}")


@every_smooth_case
def test_jvp_of_vjp(case: Case) -> None:
    drawn = case.draw()
    arrays = arguments(case, drawn)
    ct = normal_like(evaluator(case.function(drawn), arrays)(*arrays), 3)
    check_jvp(gradient_of(case, drawn), [ct, *arrays], f"gradient of {case}")


@every_smooth_case
def test_vjp_of_jvp(case: Case) -> None:
    drawn = case.draw()
    arrays = arguments(case, drawn)
    tangents = [normal_like(x, 10 + i) for i, x in enumerate(arrays)]

    def pushed(*nodes: Any) -> Any:
        return mg.jvp(case.function(drawn), nodes, [constant(t) for t in tangents])[1]

    check_vjp(pushed, arrays, f"tangent of {case}")


# ------------------------------------------------------------------------------------------------------------ edges


def slopes_at(point: Point, i: int, mode: str, around: Any = lambda x, f: f(x)) -> Array:
    """The derivative by operand i: of the sum in reverse mode, or along one unit vector after the other in forward mode."""
    operands = [np.asarray(x) for x in point.operands]
    smooth = [x for x in range(len(operands)) if operands[x].dtype.kind == "f"]
    case = Case(point.primitive, point.operands, point.params, analytic=False)

    def alone(x: Any) -> Node:
        return case.primitive(*[x if j == i else mg.constant(v) for j, v in enumerate(operands)], **case.params)

    f = lambda x: around(x, alone)  # noqa: E731
    assert i in smooth
    with np.errstate(all="ignore"):
        if mode in ("vjp", "compiled vjp"):
            gradient = mg.grad(lambda x: mg.sum(f(x)) * SCALE)
            return (mg.compile(gradient) if mode == "compiled vjp" else gradient)(operands[i])  # type: ignore[no-any-return]
        slopes = np.zeros(operands[i].shape)
        for entry in np.ndindex(slopes.shape):
            unit = np.zeros(slopes.shape)
            unit[entry] = 1.0
            push = lambda x, t: mg.jvp(f, (x,), (t,))[1]  # noqa: E731
            tangent = (mg.compile(push) if mode == "compiled jvp" else push)(operands[i], unit)
            slopes[entry] = np.sum(tangent) * SCALE
        return slopes


SCALE = 2.5  # of the cotangent, so that it matters


@pytest.mark.parametrize("mode", ["vjp", "jvp", "compiled vjp", "compiled jvp"])
@pytest.mark.parametrize("point", SINGULAR, ids=str)
def test_singular_points(point: Point, mode: str) -> None:
    for i, expected in enumerate(point.slopes):
        if expected is not None:
            found, expected = slopes_at(point, i, mode), np.multiply(expected, SCALE)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300, err_msg=f"operand {i}")


@pytest.mark.parametrize("mode", ["vjp", "jvp", "compiled vjp", "compiled jvp"])
@pytest.mark.parametrize("point", SINGULAR, ids=str)
def test_a_selection_before_or_after_a_singular_point(point: Point, mode: str) -> None:
    # what is not selected has a slope of exactly 0, whatever the slope beside the selection is
    never = np.array(False)
    for i, operand in enumerate(map(np.asarray, point.operands)):
        if operand.dtype.kind == "f":
            before = lambda x, f, operand=operand: f(mg.where(never, x, operand))  # noqa: E731
            after = lambda x, f: mg.where(never, f(x), 0.0)  # noqa: E731
            for around in (before, after):
                assert not np.any(slopes_at(point, i, mode, around)), f"operand {i}"


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("point", CURVED, ids=str)
def test_second_derivatives_at_singular_points(point: Point, compiled: bool) -> None:
    for i, expected in enumerate(point.slopes):
        if expected is not None:

            def f(x: Any, i: int = i) -> Node:
                return point.primitive(*[x if j == i else mg.constant(v) for j, v in enumerate(point.operands)], **point.params)

            second = mg.grad(mg.grad(f))
            tangent = lambda x, f=f: mg.jvp(mg.grad(f), (x,), (1.0,))[1]  # noqa: E731
            for derivative in (second, tangent):
                found = (mg.compile(derivative) if compiled else derivative)(point.operands[i])
                np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0, err_msg=f"operand {i}")


EXTREMES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1e4, -1e4, 1e-300, 1e300, -1e300, 5e-324, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", [n for n, cases in SAMPLES.items() if cases[0].primitive.bounded])
def test_bounded_slopes_are_finite_wherever_the_value_is(name: str) -> None:
    case = SAMPLES[name][0]
    grids = [np.ravel(g) for g in np.meshgrid(*[EXTREMES] * len(case.operands))]
    operands = [g != 0 if isinstance(x, np.ndarray) and x.dtype.kind == "b" else g for g, x in zip(grids, case.draw())]
    with np.errstate(all="ignore"):
        value, pullback = mg.vjp(case.function(operands), *[operands[i] for i in case.smooth])
        for share in pullback(np.ones(value.shape)):
            assert np.all(np.isfinite(share[np.isfinite(value)]))


def _floats() -> st.SearchStrategy[float]:
    return st.one_of(st.sampled_from(EXTREMES.tolist()), st.floats(width=32))


ENTRYWISE = [n for n, cases in SAMPLES.items() if cases[0].primitive.elementwise]


@pytest.mark.parametrize("name", ENTRYWISE)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_numbers_plain_and_compiled(name: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(SAMPLES[name]))
    drawn = case.draw()
    arrays = [i for i, x in enumerate(drawn) if isinstance(x, np.ndarray)]
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=len(arrays), max_dims=3, max_side=3)).input_shapes
    width = data.draw(st.sampled_from([np.float32, np.float64]))
    for i, shape in zip(arrays, shapes, strict=True):
        if drawn[i].dtype.kind == "f":
            values = data.draw(hnp.arrays(np.float64, shape, elements=_floats()))
            with np.errstate(over="ignore", under="ignore"):
                drawn[i] = values.astype(width)
        else:
            drawn[i] = np.resize(drawn[i], shape)
    f = case.function(drawn)
    smooth = arguments(case, drawn)
    with np.errstate(all="ignore"):
        plain, pullback = mg.vjp(f, *smooth) if smooth else (mg.evaluate([f()], {})[0], None)
        assert same_bits(plain, mg.compile(f)(*smooth))
        assert plain.shape == np.broadcast_shapes(*shapes)
        if pullback is not None and case.smooth:
            ct = np.ones(plain.shape, plain.dtype)
            shares = mg.compile(lambda ct, *xs: mg.vjp(f, *xs)[1](ct))(ct, *smooth)
            for share, expected in zip(shares, pullback(ct), strict=True):
                assert same_bits(share, expected)


@every_case
def test_results_share_no_memory(case: Case) -> None:
    drawn = case.draw()
    f, arrays = case.function(drawn), arguments(case, drawn)
    compiled = mg.compile(lambda *xs: (f(*xs), f(*xs)))
    one, two = compiled(*arrays)
    three, _ = compiled(*arrays)
    plain, _ = mg.vjp(f, *arrays) if arrays else (one, None)
    for result in (one, two, three, plain):
        assert not any(np.shares_memory(result, x) for x in drawn if isinstance(x, np.ndarray))
        result[...] = 0  # the caller may write to it
    assert not np.shares_memory(one, two)
    assert not np.shares_memory(one, three)
