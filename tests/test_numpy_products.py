"""Products and diagonals: what NumPy's functions give, and the derivatives of that."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.nodes import Node
from minigrad.numpy_api import products

from .calls import CALLS, Call, axis_of, call, calls, check_derivatives, check_refused, check_values, shapes, some_axes

ALIASES = ("cross", "diagonal", "matmul", "matrix_transpose", "outer", "tensordot", "trace", "vecdot")
NAMES = sorted(products.__all__) + [f"linalg.{name}" for name in ALIASES]

# --------------------------------------------------------------------------------- vectors, matrices and stacks


def size(draw: Any) -> int:
    return int(draw(st.sampled_from([0, 1, 2, 2, 3, 3])))


def stacked(draw: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts against this one."""
    return tuple(n if draw(st.integers(0, 2)) else 1 for n in shape)[draw(st.integers(0, len(shape))) :]


@call("matmul")
def _(draw: Any, numbers: Any) -> Call:
    n, k, m, stack = size(draw), size(draw), size(draw), draw(shapes(0, 2))
    left, right = (draw(st.sampled_from(["vector", "matrix", "stack"])) for _ in range(2))
    a = (k,) if left == "vector" else (*(stacked(draw, stack) if left == "stack" else ()), n, k)
    b = (k,) if right == "vector" else (*(stacked(draw, stack) if right == "stack" else ()), k, m)
    return Call(lambda m, a, b: m.matmul(a, b), [numbers(a), numbers(b)])


@call("linalg.matmul")
def _(draw: Any, numbers: Any) -> Call:
    drawn = CALLS["matmul"](draw, numbers)
    return Call(lambda m, a, b: m.linalg.matmul(a, b), drawn.arrays)


@call("dot")
def _(draw: Any, numbers: Any) -> Call:
    k, a, b = size(draw), draw(shapes(0, 2)), draw(shapes(0, 2))
    choices = [((*a, k), (k,)), ((*a, k), (*b, k, size(draw))), ((), b), (a, ()), ((k,), (k,))]
    return Call(lambda m, a, b: m.dot(a, b), [numbers(s) for s in draw(st.sampled_from(choices))])


@call("vdot")
def _(draw: Any, numbers: Any) -> Call:
    a = draw(shapes())
    return Call(lambda m, a, b: m.vdot(a, b), [numbers(a), numbers(draw(st.sampled_from([a, a[::-1]])))])


@call("vecdot")
def _(draw: Any, numbers: Any, prefix: str = "") -> Call:
    stack, k = draw(shapes(0, 2)), size(draw)
    a, b = (*stacked(draw, stack), k), (*stacked(draw, stack), k)
    axis = -1
    if draw(st.booleans()):
        axis, a, b = -2, (*a[:-1], k, 2), (*b[:-1], k, draw(st.sampled_from([1, 2])))
    if prefix:
        return Call(lambda m, a, b: m.linalg.vecdot(a, b, axis=axis), [numbers(a), numbers(b)])
    return Call(lambda m, a, b: m.vecdot(a, b, axis=axis), [numbers(a), numbers(b)])


@call("linalg.vecdot")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["vecdot"](draw, numbers, "linalg")


@call("matvec")
def _(draw: Any, numbers: Any) -> Call:
    stack, n, k = draw(shapes(0, 2)), size(draw), size(draw)
    a, b = (*stacked(draw, stack), n, k), (*stacked(draw, stack), k)
    return Call(lambda m, a, b: m.matvec(a, b), [numbers(a), numbers(b)])


@call("vecmat")
def _(draw: Any, numbers: Any) -> Call:
    stack, n, k = draw(shapes(0, 2)), size(draw), size(draw)
    a, b = (*stacked(draw, stack), k), (*stacked(draw, stack), k, n)
    return Call(lambda m, a, b: m.vecmat(a, b), [numbers(a), numbers(b)])


@call("inner")
def _(draw: Any, numbers: Any) -> Call:
    k, a, b = size(draw), draw(shapes(0, 2)), draw(shapes(0, 2))
    pair = draw(st.sampled_from([((*a, k), (*b, k)), ((*a, k), ()), ((), (*b, k))]))
    return Call(lambda m, a, b: m.inner(a, b), [numbers(s) for s in pair])


@call("outer")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, a, b: m.outer(a, b), [numbers(draw(shapes(0, 2))) for _ in range(2)])


@call("linalg.outer")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, a, b: m.linalg.outer(a, b), [numbers((size(draw),)) for _ in range(2)])


@call("kron")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, a, b: m.kron(a, b), [numbers(draw(shapes(0, 2))) for _ in range(2)])


@call("cross")
def _(draw: Any, numbers: Any) -> Call:
    stack = draw(shapes(0, 2))
    a, b = [*stacked(draw, stack)], [*stacked(draw, stack)]
    where: dict[str, int] = {}
    for shape, name in ((a, "axisa"), (b, "axisb")):
        where[name] = axis_of(draw, len(shape) + 1)
        shape.insert(where[name] % (len(shape) + 1), 3)
    where["axisc"] = axis_of(draw, max(len(a), len(b)))
    if draw(st.booleans()):
        a, b, where = [*stack, 3], [*stack, 3], {}
    return Call(lambda m, a, b: m.cross(a, b, **where), [numbers(tuple(a), SIGNED), numbers(tuple(b), SIGNED)])


SIGNED = ("float64", "float32", "int64")  # booleans cannot be subtracted


@call("linalg.cross")
def _(draw: Any, numbers: Any) -> Call:
    axis, shape = draw(st.sampled_from([(-1, (2, 3)), (0, (3, 2)), (-2, (3, 2))]))
    return Call(lambda m, a, b: m.linalg.cross(a, b, axis=axis), [numbers(shape, SIGNED), numbers(shape, SIGNED)])


def summed(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], Any]:
    """Shapes of two arrays, and over which axes they are to be summed."""
    a, more = draw(shapes()), draw(shapes(0, 2))
    over = some_axes(draw, len(a))
    b = (*[a[i] for i in over], *more)
    if over == tuple(range(len(a) - len(over), len(a))) and draw(st.booleans()):
        return a, b, len(over)
    order = draw(st.permutations(range(len(b))))
    places = [order.index(i) for i in range(len(over))]
    axes = (over[0], places[0]) if len(over) == 1 and draw(st.booleans()) else (over, places)
    return a, tuple(b[i] for i in order), axes


@call("tensordot")
def _(draw: Any, numbers: Any) -> Call:
    a, b, axes = summed(draw)
    return Call(lambda m, a, b: m.tensordot(a, b, axes), [numbers(a), numbers(b)])


@call("linalg.tensordot")
def _(draw: Any, numbers: Any) -> Call:
    a, b, axes = summed(draw)
    return Call(lambda m, a, b: m.linalg.tensordot(a, b, axes=axes), [numbers(a), numbers(b)])


# --------------------------------------------------------------------------------------------------------- einsum


@call("einsum")
def _(draw: Any, numbers: Any) -> Call:
    sizes = {label: draw(st.sampled_from([0, 1, 2, 2, 3])) for label in "abcD"}
    dotted = draw(shapes(0, 2))
    terms, arrays, with_dots = [], [], False
    for _ in range(draw(st.integers(1, 3))):
        labels = draw(st.lists(st.sampled_from(sorted(sizes)), max_size=3))
        # a label that stands once in a term may have length 1 there, and is stretched
        shape = [1 if labels.count(n) == 1 and not draw(st.integers(0, 4)) else sizes[n] for n in labels]
        term = list(labels)
        if draw(st.integers(0, 2)) == 0:
            place = draw(st.integers(0, len(term)))
            term.insert(place, "...")
            shape[place:place] = stacked(draw, dotted)
            with_dots = True
        terms.append("".join(term))
        arrays.append(numbers(tuple(shape)))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        known = sorted({n for n in subscripts if n.isalpha()})
        result = list(draw(st.permutations(known)))[: draw(st.integers(0, len(known)))]
        if with_dots:
            result.insert(draw(st.integers(0, len(result))), "...")
        subscripts += " -> " + "".join(result)
    stretched = any(len(set(lengths)) > 1 for lengths in _lengths(terms, arrays))
    optimize = draw(st.sampled_from([{}, {"optimize": True}])) if not (stretched or with_dots) else {}
    return Call(lambda m, *xs: m.einsum(subscripts, *xs, **optimize), arrays)


def _lengths(terms: list[str], arrays: list[Any]) -> list[list[int]]:
    # the lengths that each label has
    found: dict[str, list[int]] = {}
    for term, x in zip(terms, arrays, strict=True):
        if "." not in term:
            for label, n in zip(term, x.shape, strict=True):
                found.setdefault(label, []).append(n)
    return list(found.values())


# ------------------------------------------------------------------------------------------------------ diagonals

DTYPES = st.sampled_from([{}, {"dtype": "float32"}, {"dtype": "int64"}])


@call("diagonal")
def _(draw: Any, numbers: Any, name: str = "diagonal", more: Any = MappingProxyType({})) -> Call:
    x, offset = numbers(draw(shapes(2))), draw(st.integers(-4, 4))
    i, j = (axis - x.ndim * draw(st.integers(0, 1)) for axis in draw(st.permutations(range(x.ndim)))[:2])
    return Call(lambda m, x: getattr(m, name)(x, offset, i, j, **more), [x])


@call("trace")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["diagonal"](draw, numbers, "trace", draw(DTYPES))


@call("linalg.diagonal")
def _(draw: Any, numbers: Any, name: str = "diagonal", more: Any = MappingProxyType({})) -> Call:
    x, offset = numbers(draw(shapes(2))), draw(st.integers(-4, 4))
    return Call(lambda m, x: getattr(m.linalg, name)(x, offset=offset, **more), [x])


@call("linalg.trace")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["linalg.diagonal"](draw, numbers, "trace", draw(DTYPES))


@call("diag")
def _(draw: Any, numbers: Any) -> Call:
    k = draw(st.integers(-4, 4))
    return Call(lambda m, v: m.diag(v, k), [numbers(draw(shapes(1, 2)))])


@call("diagflat")
def _(draw: Any, numbers: Any) -> Call:
    k = draw(st.integers(-3, 3))
    return Call(lambda m, v: m.diagflat(v, k), [numbers(draw(shapes(0, 2)))])


@call("tril")
def _(draw: Any, numbers: Any, name: str = "tril") -> Call:
    k = draw(st.integers(-4, 4))
    return Call(lambda m, x: getattr(m, name)(x, k), [numbers(draw(shapes(1)))])


@call("triu")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["tril"](draw, numbers, "triu")


@call("linalg.matrix_transpose")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, x: m.linalg.matrix_transpose(x), [numbers(draw(shapes(2)))])


# ---------------------------------------------------------------------------------------------------------- tests


def test_every_function_has_calls() -> None:
    assert set(NAMES) <= set(CALLS)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_values(name: str, data: Any) -> None:
    check_values(data.draw(calls(name)))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_derivatives(name: str, data: Any) -> None:
    check_derivatives(data.draw(calls(name, smooth=True)))


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_operator_is_matmul(data: Any) -> None:
    a, b = data.draw(calls("matmul")).arrays
    for found in (mg.constant(a) @ mg.constant(b), mg.constant(a) @ b, a @ mg.constant(b)):
        assert isinstance(found, Node)
        np.testing.assert_array_equal(np.asarray(found), a @ b)


def test_einsum_with_lists_of_labels() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    for labels in ([0, 1], [1, 2], [0, 2]), ([0, 1], [1, 2]), ([0, 1], [1, 2], [2, 0]), ([0, ...], [..., 2], [0, 2, ...]):
        args = [a, labels[0], b[:, :3] if Ellipsis in labels[0] else b, *labels[1:]]
        try:
            expected = np.einsum(*args)
        except ValueError:
            with pytest.raises(ValueError, match="einsum"):
                mg.einsum(*args)
        else:
            np.testing.assert_array_equal(np.asarray(mg.einsum(*args)), expected)


def test_einsum_of_many_operands_pair_by_pair_is_the_same() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(4, 5)), rng.normal(size=(5, 6)), rng.normal(size=(6, 3))
    loss = [lambda a, b, c, how=how: mg.sum(mg.einsum("ij,jk,kl->il", a, b, c, optimize=how) ** 2)
            for how in (False, True, "greedy", "optimal")]  # fmt: skip
    expected = mg.grad(loss[0], (0, 1, 2))(a, b, c)
    for other in loss[1:]:
        assert max(len(node.inputs) for node in mg.trace(other, a, b, c).nodes if node.primitive.name == "einsum") == 2
        for found, wanted in zip(mg.grad(other, (0, 1, 2))(a, b, c), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_triangles_select() -> None:
    # what is cut off gets exactly 0, also where its slope is infinite
    x = np.array([[1.0, 0.0], [4.0, 1.0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        gradient = mg.grad(lambda x: mg.sum(mg.tril(mg.sqrt(x))))(x)
    assert gradient.tolist() == [[0.5, 0], [0.25, 0.5]]


# -------------------------------------------------------------------------------------------------------- errors

X, CUBE, VECTOR = np.arange(6.0).reshape(2, 3), np.zeros((2, 3, 4)), np.arange(3.0)
REFUSED: dict[str, tuple[Any, str]] = {
    "matmul": (lambda m: m.matmul(X, X), r"\(2, 3\) and \(2, 3\) do not fit: 3 columns meet 2 rows"),
    "matmul, scalar": (lambda m: m.matmul(X, 2.0), r"a \* b"),
    "matmul, stacks": (lambda m: m.matmul(np.ones((2, 3, 3)), np.ones((4, 3, 3))), r"stacks \(2,\) and \(4,\)"),
    "dot": (lambda m: m.dot(X, X), r"\(2, 3\) and \(2, 3\) do not fit: axis 1 has size 3, axis 0 has 2"),
    "dot, many axes": (lambda m: m.dot(X, np.ones((4, 2, 5))), r"\(2, 3\) and \(4, 2, 5\)"),
    "vdot": (lambda m: m.vdot(X, VECTOR), r"\(6,\) and \(3,\)"),
    "vecdot": (lambda m: m.vecdot(X, VECTOR[:2]), "axis 1 has size 3, axis 0 has 2"),
    "vecdot, stacks": (lambda m: m.vecdot(X, np.ones((5, 3))), r"\(2, 3\) and \(5, 3\)"),
    "vecdot, scalar": (lambda m: m.vecdot(X, 1.0), r"1 axes at least, got shape \(\)"),
    "matvec": (lambda m: m.matvec(X, VECTOR[:2]), "axis 1 has size 3, axis 0 has 2"),
    "vecmat": (lambda m: m.vecmat(VECTOR, X), "axis 0 has size 3, axis 0 has 2"),
    "inner": (lambda m: m.inner(X, X.T), "axis 1 has size 3, axis 1 has 2"),
    "tensordot": (lambda m: m.tensordot(X, X, 1), "axis 1 has size 3, axis 0 has 2"),
    "tensordot, too many": (lambda m: m.tensordot(X, X, 3), "neither has so many"),
    "tensordot, lengths": (lambda m: m.tensordot(X, X, ((0, 1), (0,))), "as many"),
    "tensordot, twice": (lambda m: m.tensordot(X, X, ((0, 0), (0, 0))), "twice"),
    "tensordot, out of range": (lambda m: m.tensordot(X, X, (2, 0)), "axis 2 is out of bounds"),
    "cross": (lambda m: m.cross(np.ones(4), np.ones(4)), "length 3, these have 4 and 4"),
    "einsum": (lambda m: m.einsum("ij,jk->ik", X, X), "label 'j' has sizes 3 and 2"),
    "einsum, terms": (lambda m: m.einsum("ij,jk", X), "2 terms for 1 operands"),
    "einsum, too many": (lambda m: m.einsum("ijk->i", X), r"the term 'ijk' has 3 labels, its operand has shape \(2, 3\)"),
    "einsum, too few": (lambda m: m.einsum("i->i", X), "the term 'i' has 1 labels"),
    "einsum, unknown": (lambda m: m.einsum("ij->k", X), "label 'k' of the result belongs to no operand"),
    "einsum, twice": (lambda m: m.einsum("ij->ii", X), "the result has the label 'i' twice"),
    "einsum, diagonal": (lambda m: m.einsum("ii", X), "label 'i' has sizes 2 and 3 in one operand"),
    "einsum, no dots": (lambda m: m.einsum("i...->i", X), r"leaves out the 1 axes that `\.\.\.` stands for"),
    "einsum, dot": (lambda m: m.einsum("i.j", X), "single letters"),
    "einsum, four dots": (lambda m: m.einsum("i....", X), "single letters"),
    "einsum, digit": (lambda m: m.einsum("i1", X), "single letters"),
    "einsum, arrows": (lambda m: m.einsum("ij->i->j", X), "single letters"),
    "einsum, nothing": (lambda m: m.einsum(), "subscripts and operands"),
    "diagonal": (lambda m: m.diagonal(VECTOR), "2 axes at least"),
    "diagonal, twice": (lambda m: m.diagonal(X, 0, 1, 1), "twice"),
    "diagonal, out of range": (lambda m: m.diagonal(X, 0, 0, 2), "axis 2 is out of bounds"),
    "diag": (lambda m: m.diag(CUBE), r"a vector or a matrix, got shape \(2, 3, 4\)"),
    "trace": (lambda m: m.trace(VECTOR), "2 axes at least"),
    "tril": (lambda m: m.tril(1.0), "1 axes at least"),
    "linalg.outer": (lambda m: m.linalg.outer(X, VECTOR), r"takes vectors, got shapes \(2, 3\) and \(3,\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_errors_name_operation_shapes_and_line(case: str) -> None:
    check_refused(case, *REFUSED[case])


def test_what_is_not_supported_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        mg.einsum("i", VECTOR, order="F")
    with pytest.raises(TypeError, match="unexpected keyword"):
        mg.linalg.trace(X, out=None)
