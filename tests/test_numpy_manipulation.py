"""Shapes, joining, splitting and arranging: what NumPy's functions give, and the derivatives of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import MinigradError
from minigrad.nodes import Node
from minigrad.numpy_api import arrangement, manipulation

from .calls import CALLS, Call, axis_of, call, calls, check_derivatives, check_values, shapes, some_axes

NAMES = sorted({*manipulation.__all__, *arrangement.__all__})
WITHOUT_DERIVATIVE = {"argsort"}

# ---------------------------------------------------------------------------------------------- shapes and axes


def other_shape(draw: Any, size: int) -> tuple[int, ...]:
    """A shape of that many entries, perhaps with one size left open."""
    if size == 0:
        return draw(st.sampled_from([(0,), (0, 2), (3, 0), (2, 0, 1), (-1,), (-1, 3)]))
    sizes = []
    while size > 1:
        factor = draw(st.sampled_from([n for n in range(2, size + 1) if size % n == 0]))
        sizes.append(factor)
        size //= factor
    sizes += [1] * draw(st.integers(0, 2))
    sizes = list(draw(st.permutations(sizes)))
    if sizes and draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return tuple(sizes)


@call("reshape")
def _(draw: Any, numbers: Any) -> Call:
    x, order = numbers(draw(shapes())), draw(st.sampled_from(["C", "F"]))
    shape = other_shape(draw, x.size)
    shape = draw(st.sampled_from([shape, list(shape), shape[0] if len(shape) == 1 else shape]))
    return Call(lambda m, x: m.reshape(x, shape, order), [x])


@call("ravel")
def _(draw: Any, numbers: Any) -> Call:
    order = draw(st.sampled_from(["C", "F"]))
    return Call(lambda m, x: m.ravel(x, order=order), [numbers(draw(shapes()))])


@call("transpose")
def _(draw: Any, numbers: Any, name: str = "transpose") -> Call:
    x = numbers(draw(shapes()))
    order = [i - x.ndim * draw(st.integers(0, 1)) for i in draw(st.permutations(range(x.ndim)))]
    axes = draw(st.sampled_from([None, order, tuple(order)]))
    return Call(lambda m, x: getattr(m, name)(x, axes), [x])


@call("permute_dims")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["transpose"](draw, numbers, "permute_dims")


@call("matrix_transpose")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, x: m.matrix_transpose(x), [numbers(draw(shapes(2)))])


@call("swapaxes")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1)))
    i, j = axis_of(draw, x.ndim), axis_of(draw, x.ndim)
    return Call(lambda m, x: m.swapaxes(x, i, j), [x])


@call("moveaxis")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1)))
    source = some_axes(draw, x.ndim)
    target = tuple(draw(st.permutations(range(x.ndim)))[: len(source)])
    if len(source) == 1 and draw(st.booleans()):
        last = target[0] - x.ndim
        return Call(lambda m, x: m.moveaxis(x, source[0], last), [x])
    return Call(lambda m, x: m.moveaxis(x, source, list(target)), [x])


@call("rollaxis")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1)))
    axis, start = axis_of(draw, x.ndim), draw(st.integers(-x.ndim, x.ndim))
    return Call(lambda m, x: m.rollaxis(x, axis, start), [x])


@call("expand_dims")
def _(draw: Any, numbers: Any) -> Call:
    x, more = numbers(draw(shapes(0, 2))), draw(st.integers(1, 2))
    axes = tuple(draw(st.permutations(range(x.ndim + more)))[:more])
    axis = draw(st.sampled_from([axes, list(axes)])) if more > 1 else axes[0] - (x.ndim + 1) * draw(st.integers(0, 1))
    return Call(lambda m, x: m.expand_dims(x, axis), [x])


@call("squeeze")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(st.lists(st.sampled_from([1, 1, 2, 0]), max_size=4).map(tuple)))
    single = [i for i, n in enumerate(x.shape) if n == 1]
    choices: list[Any] = [None, tuple(single), (), *single, *[i - x.ndim for i in single]]
    axis = draw(st.sampled_from(choices))
    return Call(lambda m, x: m.squeeze(x, axis), [x])


@call("atleast_1d")
def _(draw: Any, numbers: Any, name: str = "atleast_1d") -> Call:
    arrays = [numbers(draw(shapes())) for _ in range(draw(st.integers(1, 2)))]
    return Call(lambda m, *xs: getattr(m, name)(*xs), arrays)


@call("atleast_2d")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["atleast_1d"](draw, numbers, "atleast_2d")


@call("atleast_3d")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["atleast_1d"](draw, numbers, "atleast_3d")


@call("broadcast_to")
def _(draw: Any, numbers: Any) -> Call:
    shape = draw(shapes())
    own = tuple(n if draw(st.booleans()) else 1 for n in shape)[draw(st.integers(0, len(shape))) :]
    wanted = shape[0] if len(shape) == 1 and draw(st.booleans()) else shape
    return Call(lambda m, x: m.broadcast_to(x, wanted), [numbers(own)])


@call("broadcast_arrays")
def _(draw: Any, numbers: Any) -> Call:
    shape = draw(shapes())
    own = [tuple(n if draw(st.booleans()) else 1 for n in shape)[draw(st.integers(0, len(shape))) :] for _ in range(3)]
    return Call(lambda m, *xs: m.broadcast_arrays(*xs), [numbers(s) for s in own[: draw(st.integers(1, 3))]])


# ---------------------------------------------------------------------------------------- joining and splitting


def several(draw: Any, numbers: Any, shape: tuple[int, ...], axis: int | None) -> list[Any]:
    """One to three arrays of this shape, but for the length along an axis."""
    arrays = []
    for _ in range(draw(st.integers(1, 3))):
        sizes = list(shape)
        if axis is not None:
            sizes[axis] = draw(st.integers(0, 3))
        arrays.append(numbers(tuple(sizes)))
    return arrays


@call("concatenate")
def _(draw: Any, numbers: Any, name: str = "concatenate") -> Call:
    shape = draw(shapes(1))
    axis = axis_of(draw, len(shape))
    arrays = several(draw, numbers, shape, axis)
    chosen = draw(st.sampled_from([axis, axis, None]))
    dtype = draw(st.sampled_from([{}, {}, {"dtype": "float64"}]))
    return Call(lambda m, *xs: getattr(m, name)(xs, axis=chosen, **dtype), arrays)


@call("concat")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["concatenate"](draw, numbers, "concat")


@call("stack")
def _(draw: Any, numbers: Any) -> Call:
    shape = draw(shapes(0, 2))
    axis = axis_of(draw, len(shape) + 1)
    return Call(lambda m, *xs: m.stack(list(xs), axis), several(draw, numbers, shape, None))


@call("hstack")
def _(draw: Any, numbers: Any, name: str = "hstack") -> Call:
    shape = draw(shapes())
    return Call(lambda m, *xs: getattr(m, name)(xs), several(draw, numbers, shape, None))


@call("vstack")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["hstack"](draw, numbers, "vstack")


@call("dstack")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["hstack"](draw, numbers, "dstack")


@call("column_stack")
def _(draw: Any, numbers: Any) -> Call:
    rows = draw(st.integers(0, 3))
    arrays = [numbers((rows, draw(st.integers(0, 2))) if draw(st.booleans()) else (rows,)) for _ in range(2)]
    return Call(lambda m, *xs: m.column_stack(xs), arrays)


@call("append")
def _(draw: Any, numbers: Any) -> Call:
    shape = draw(shapes(1))
    axis = draw(st.sampled_from([None, axis_of(draw, len(shape))]))
    arrays = (several(draw, numbers, shape, axis) * 2)[:2]
    return Call(lambda m, x, values: m.append(x, values, axis), arrays)


def cuts(draw: Any, size: int, equal: bool) -> Any:
    """A number of parts, or the places to cut at."""
    parts = draw(st.sampled_from([n for n in range(1, 5) if not equal or size % n == 0]))
    return draw(st.sampled_from([parts, draw(st.lists(st.integers(-4, 4), max_size=3))]))


@call("split")
def _(draw: Any, numbers: Any, name: str = "split") -> Call:
    x = numbers(draw(shapes(1)))
    axis = axis_of(draw, x.ndim)
    where = cuts(draw, x.shape[axis], name == "split")
    return Call(lambda m, x: getattr(m, name)(x, where, axis), [x])


@call("array_split")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["split"](draw, numbers, "array_split")


@call("hsplit")
def _(draw: Any, numbers: Any, name: str = "hsplit", least: int = 1) -> Call:
    x = numbers(draw(shapes(least, 4)))
    axis = {"hsplit": 0 if x.ndim == 1 else 1, "vsplit": 0, "dsplit": 2}[name]
    where = cuts(draw, x.shape[axis], True)
    return Call(lambda m, x: getattr(m, name)(x, where), [x])


@call("vsplit")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["hsplit"](draw, numbers, "vsplit", 2)


@call("dsplit")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["hsplit"](draw, numbers, "dsplit", 3)


@call("unstack")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1, side=1)))
    axis = axis_of(draw, x.ndim)
    return Call(lambda m, x: m.unstack(x, axis=axis), [x])


# ------------------------------------------------------------------------------------------------------ arranging


@call("tile")
def _(draw: Any, numbers: Any) -> Call:
    reps = draw(st.integers(0, 3) | shapes())
    return Call(lambda m, x: m.tile(x, reps), [numbers(draw(shapes()))])


def maybe_axis(draw: Any, ndim: int) -> int | None:
    return draw(st.none() if ndim == 0 else st.none() | st.integers(-ndim, ndim - 1))


@call("repeat")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes()))
    axis = maybe_axis(draw, x.ndim)
    size = x.size if axis is None else x.shape[axis]
    repeats = draw(st.integers(0, 3) | st.lists(st.integers(0, 2), min_size=size, max_size=size))
    return Call(lambda m, x: m.repeat(x, repeats, axis), [x])


@call("roll")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes()))
    axis = maybe_axis(draw, x.ndim)
    shift: Any = draw(st.integers(-5, 5))
    if x.ndim and draw(st.booleans()):
        axis = tuple(axis_of(draw, x.ndim) for _ in range(2))  # type: ignore[assignment]
        shift = draw(st.sampled_from([shift, (shift, draw(st.integers(-5, 5)))]))
    return Call(lambda m, x: m.roll(x, shift, axis), [x])


@call("flip")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes()))
    axis = draw(st.sampled_from([maybe_axis(draw, x.ndim), some_axes(draw, x.ndim)]))
    return Call(lambda m, x: m.flip(x, axis), [x])


@call("fliplr")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, x: m.fliplr(x), [numbers(draw(shapes(2)))])


@call("flipud")
def _(draw: Any, numbers: Any) -> Call:
    return Call(lambda m, x: m.flipud(x), [numbers(draw(shapes(1)))])


@call("rot90")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(2)))
    axes = tuple(i - x.ndim * draw(st.integers(0, 1)) for i in draw(st.permutations(range(x.ndim)))[:2])
    k = draw(st.integers(-4, 6))
    return Call(lambda m, x: m.rot90(x, k, axes), [x])


@call("pad")
def _(draw: Any, numbers: Any) -> Call:
    mode = draw(st.sampled_from(["constant", "constant", "edge", "reflect", "symmetric", "wrap"]))
    x = numbers(draw(shapes(side=0 if mode == "constant" else 1)))
    one = st.integers(0, 4)
    width: Any = one | st.tuples(one, one) | st.lists(st.tuples(one, one), min_size=x.ndim, max_size=x.ndim)
    if x.ndim:
        width |= st.dictionaries(st.integers(-x.ndim, -1), st.tuples(one, one) | one, max_size=2)
    width = draw(width)
    if x.ndim == 0:
        width = draw(one)
    more: dict[str, Any] = {}
    if mode == "constant" and draw(st.booleans()):
        value = st.integers(-3, 3)
        more["constant_values"] = draw(value | st.tuples(value, value)) if x.ndim else draw(value)
    return Call(lambda m, x: m.pad(x, width, mode, **more), [x])


@call("take")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(side=1)))
    axis, mode = maybe_axis(draw, x.ndim), draw(st.sampled_from(["raise", "wrap", "clip"]))
    size = x.size if axis is None else x.shape[axis]
    slack = 0 if mode == "raise" else 5
    shape = draw(shapes(0, 2))
    count = int(np.prod(shape))
    flat = draw(st.lists(st.integers(-size - slack, size - 1 + slack), min_size=count, max_size=count))
    where = np.array(flat, "int64").reshape(shape)
    if draw(st.booleans()):
        return Call(lambda m, x, where: m.take(x, where, axis, mode=mode), [x, where])
    return Call(lambda m, x: m.take(x, where.tolist(), axis=axis, mode=mode), [x])


@call("take_along_axis")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1, side=1)))
    axis = draw(st.sampled_from([None, axis_of(draw, x.ndim)]))
    shape = (x.size,) if axis is None else x.shape
    along = 0 if axis is None else axis % x.ndim
    shape = tuple(
        draw(st.integers(0, 4)) if i == along else draw(st.sampled_from([n, 1])) for i, n in enumerate(shape)
    )
    size, count = (x.size if axis is None else x.shape[along]), int(np.prod(shape))
    flat = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
    return Call(lambda m, x, i: m.take_along_axis(x, i, axis), [x, np.array(flat, "int64").reshape(shape)])


@call("delete")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1, side=1)))
    axis = draw(st.sampled_from([None, axis_of(draw, x.ndim)]))
    size = x.size if axis is None else x.shape[axis]
    one = st.integers(-size, size - 1)
    where = draw(one | st.lists(one, max_size=3) | st.just(slice(None, None, 2)))
    return Call(lambda m, x: m.delete(x, where, axis), [x])


@call("argsort")
def _(draw: Any, numbers: Any, name: str = "argsort") -> Call:
    x = numbers(draw(shapes(1)))
    axis = draw(st.sampled_from([None, axis_of(draw, x.ndim)]))
    how = draw(st.sampled_from([{"kind": "stable"}, {"stable": True}]))
    return Call(lambda m, x: getattr(m, name)(x, axis, **how), [x])


@call("sort")
def _(draw: Any, numbers: Any) -> Call:
    return CALLS["argsort"](draw, numbers, "sort")


@call("diff")
def _(draw: Any, numbers: Any) -> Call:
    x = numbers(draw(shapes(1)), ("float64", "float32", "int64", "bool"))
    axis, n = axis_of(draw, x.ndim), draw(st.integers(0, 3))
    ends = draw(st.sampled_from([(), ("prepend",), ("append",), ("prepend", "append")]))
    line = list(x.shape)
    line[axis] = draw(st.integers(0, 2))
    shape = draw(st.sampled_from([(), tuple(line)]))
    more = [numbers(shape, (x.dtype.name,)) for _ in ends]
    return Call(lambda m, x, *more: m.diff(x, n, axis, **dict(zip(ends, more, strict=True))), [x, *more])


# ---------------------------------------------------------------------------------------------------------- tests


def test_every_function_has_calls() -> None:
    assert set(NAMES) <= set(CALLS)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_values(name: str, data: Any) -> None:
    check_values(data.draw(calls(name)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_DERIVATIVE])
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_derivatives(name: str, data: Any) -> None:
    check_derivatives(data.draw(calls(name, smooth=True)))


# -------------------------------------------------------------------------------------------------------- errors

X, VECTOR, CUBE = np.arange(6.0).reshape(2, 3), np.arange(3.0), np.zeros((2, 3, 4))
SHAPE = r"\(2, 3\)"
REFUSED: dict[str, tuple[Any, str]] = {
    "reshape": (lambda m: m.reshape(X, (4,)), SHAPE),
    "reshape, two open": (lambda m: m.reshape(X, (-1, -1)), SHAPE),
    "reshape, uneven": (lambda m: m.reshape(X, (4, -1)), SHAPE),
    "reshape, empty": (lambda m: m.reshape(X[:0], (0, -1)), r"\(0, 3\) has no shape \(0, -1\)"),
    "reshape, float": (lambda m: m.reshape(X, (2.0, 3)), r"\(2.0, 3\) is no shape"),
    "transpose": (lambda m: m.transpose(X, (0,)), r"axes \(0,\) do not name each of 2 axes once"),
    "transpose, twice": (lambda m: m.transpose(X, (1, 1)), "twice"),
    "transpose, out of range": (lambda m: m.transpose(X, (0, 2)), "axis 2 is out of bounds for 2 dimensions"),
    "matrix_transpose": (lambda m: m.matrix_transpose(VECTOR), r"2 axes at least, got shape \(3,\)"),
    "swapaxes": (lambda m: m.swapaxes(X, 0, 2), "axis 2 is out of bounds for 2 dimensions"),
    "moveaxis": (lambda m: m.moveaxis(X, (0, 1), (0,)), "differ in length"),
    "moveaxis, out of range": (lambda m: m.moveaxis(X, -3, 0), "axis -3 is out of bounds"),
    "rollaxis": (lambda m: m.rollaxis(X, 0, 3), "start 3 is out of bounds"),
    "expand_dims": (lambda m: m.expand_dims(X, (0, 0)), "twice"),
    "expand_dims, out of range": (lambda m: m.expand_dims(X, 3), "axis 3 is out of bounds for 3 dimensions"),
    "squeeze": (lambda m: m.squeeze(X, 1), "axis 1 has length 3"),
    "broadcast_to": (lambda m: m.broadcast_to(X, (3, 2)), rf"{SHAPE} does not broadcast to \(3, 2\)"),
    "broadcast_to, narrower": (lambda m: m.broadcast_to(X, (3,)), rf"{SHAPE} does not broadcast to \(3,\)"),
    "broadcast_arrays": (lambda m: m.broadcast_arrays(X, VECTOR[:2]), rf"{SHAPE} and \(2,\)"),
    "concatenate": (lambda m: m.concatenate([X, X.T]), rf"{SHAPE}, \(3, 2\) differ on another axis than 0"),
    "concatenate, ragged": (lambda m: m.concatenate([X, VECTOR]), rf"{SHAPE}, \(3,\)"),
    "concatenate, axis": (lambda m: m.concatenate([X, X], axis=2), "axis 2 is out of bounds for 2 dimensions"),
    "concatenate, nothing": (lambda m: m.concatenate([]), "at least one array"),
    "concatenate, scalars": (lambda m: m.concatenate([1.0, 2.0]), r"0-d.*\n(.*\n)*.*mg\.stack"),
    "concatenate, one scalar": (lambda m: m.concatenate(np.float64(1.0)), "sequence of arrays"),
    "stack": (lambda m: m.stack([X, X.T]), rf"{SHAPE}, \(3, 2\)"),
    "stack, axis": (lambda m: m.stack([X, X], 4), "axis 4 is out of bounds for 3 dimensions"),
    "stack, nothing": (lambda m: m.stack([]), "at least one array"),
    "hstack": (lambda m: m.hstack([X, VECTOR]), SHAPE),
    "vstack": (lambda m: m.vstack([X, VECTOR[:2]]), SHAPE),
    "dstack": (lambda m: m.dstack([X, VECTOR]), r"\(2, 3, 1\)"),
    "column_stack": (lambda m: m.column_stack([X, VECTOR]), SHAPE),
    "append": (lambda m: m.append(X, VECTOR, 0), SHAPE),
    "split": (lambda m: m.split(X, 2, axis=1), "axis 1 of size 3 cannot be cut into 2 equal parts"),
    "split, axis": (lambda m: m.split(X, 2, axis=2), "axis 2 is out of bounds"),
    "array_split": (lambda m: m.array_split(X, 0), "1 or more, got 0"),
    "hsplit": (lambda m: m.hsplit(np.float64(1.0), 1), r"1 axes at least, got shape \(\)"),
    "vsplit": (lambda m: m.vsplit(VECTOR, 1), r"2 axes at least, got shape \(3,\)"),
    "dsplit": (lambda m: m.dsplit(X, 1), "3 axes at least"),
    "unstack": (lambda m: m.unstack(X, axis=2), "axis 2 is out of bounds"),
    "tile": (lambda m: m.tile(X, -1), "0 or more, got -1"),
    "tile, float": (lambda m: m.tile(X, 1.5), "whole number, got 1.5"),
    "repeat": (lambda m: m.repeat(X, [1, 2], axis=1), "2 repeats for 3 entries along axis 1"),
    "repeat, negative": (lambda m: m.repeat(X, -1), "0 or more, got -1"),
    "roll": (lambda m: m.roll(X, 1, axis=2), "axis 2 is out of bounds"),
    "roll, tables": (lambda m: m.roll(X, [[1]], axis=0), "numbers or sequences of numbers"),
    "flip": (lambda m: m.flip(X, (0, 0)), "twice"),
    "fliplr": (lambda m: m.fliplr(VECTOR), r"2 axes at least, got shape \(3,\)"),
    "flipud": (lambda m: m.flipud(np.float64(1.0)), "1 axes at least"),
    "rot90": (lambda m: m.rot90(X, 1, (0, -2)), "twice"),
    "rot90, one axis": (lambda m: m.rot90(X, 1, (0,)), "two axes"),
    "pad": (lambda m: m.pad(X, (1, 2, 3)), r"pad_width \(1, 2, 3\) is neither"),
    "pad, negative": (lambda m: m.pad(X, -1), "0 or more, got -1"),
    "pad, empty": (lambda m: m.pad(X[:0], 1, "edge"), "axis 0 is empty"),
    "pad, mode": (lambda m: m.pad(X, 1, "mirror"), "mode 'mirror' is not supported"),
    "take": (lambda m: m.take(X, 6), "index 6 is out of bounds for axis 0 with size 6"),
    "take, axis": (lambda m: m.take(X, 0, axis=2), "axis 2 is out of bounds"),
    "take, mode": (lambda m: m.take(X, 0, mode="nearest"), "'raise', 'wrap' or 'clip', got 'nearest'"),
    "take_along_axis": (lambda m: m.take_along_axis(X, np.array([0]), 0), "has 2 axes, the indices have 1"),
    "take_along_axis, shapes": (lambda m: m.take_along_axis(X, np.zeros((3, 2), int), 1), r"\(2, 1\) and \(3, 2\)"),
    "take_along_axis, bounds": (lambda m: m.take_along_axis(X, np.full((2, 1), 3), 1), "index 3 is out of bounds"),
    "take_along_axis, float": (lambda m: m.take_along_axis(X, X, 0), "integers, got float64"),
    "delete": (lambda m: m.delete(X, 7), "index 7 is out of bounds for axis 0 with size 6"),
    "argsort": (lambda m: m.argsort(X, axis=2), "axis 2 is out of bounds"),
    "sort": (lambda m: m.sort(np.float64(1.0)), "axis -1 is out of bounds for 0 dimensions"),
    "argsort, kind": (lambda m: m.argsort(X, kind="bogo"), "kind 'bogo' is not known"),
    "diff": (lambda m: m.diff(X, n=-1), "0 or more, got -1"),
    "diff, scalar": (lambda m: m.diff(np.float64(1.0)), "axis -1 is out of bounds"),
    "diff, append": (lambda m: m.diff(X, append=np.zeros((3, 1))), SHAPE),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_errors_name_operation_shapes_and_line(case: str) -> None:
    refused, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError, IndexError)) as theirs:
        refused(np)
    with pytest.raises((ValueError, TypeError, IndexError), match=message) as caught:
        refused(mg)
    assert isinstance(caught.value, MinigradError)
    assert isinstance(caught.value, type(theirs.value))
    text = str(caught.value)
    assert f"test_numpy_manipulation.py:{refused.__code__.co_firstlineno}" in text
    assert text.startswith(case.split(",")[0]), "the operation that was called"


def test_unsupported_orders_and_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="order is 'C' or 'F', got 'A'"):
        mg.reshape(X, 6, order="A")
    with pytest.raises(ValueError, match=r"\(2, 3\) has no shape \(-2, 3\)"):
        mg.reshape(X, (-2, 3))  # NumPy takes any negative number for an open size
    with pytest.raises(ValueError, match="1 or more, got 0"):
        mg.split(X, 0)
    with pytest.raises(ValueError, match="mode 'mean' is not supported"):
        mg.pad(X, 1, "mean")
    with pytest.raises(TypeError, match="indices are integers, got float64"):
        mg.take(X, [0.0])  # NumPy rounds
    with pytest.raises(TypeError, match="unexpected keyword"):
        mg.concatenate([X], casting="unsafe")
    with pytest.raises(TypeError, match="unexpected keyword"):
        mg.sort(X, order="name")
    with pytest.raises(TypeError, match="unexpected keyword"):
        mg.pad(X, 1, "edge", reflect_type="odd")


# -------------------------------------------------------------------------------------------------- what else holds


def test_sorting_with_ties_is_stable_and_its_gradient_follows_the_permutation() -> None:
    x = np.array([2.0, 1.0, 2.0, 1.0, np.nan, 0.0])
    assert mg.argsort(x).tolist() == [5, 1, 3, 0, 2, 4]
    y, pullback = mg.vjp(lambda x: mg.sort(x), x)
    assert y.tolist()[:5] == [0, 1, 1, 2, 2]
    assert pullback(np.arange(6.0))[0].tolist() == [3, 1, 4, 2, 5, 0]


@pytest.mark.parametrize("value", [0, 1, -2.5, (0, 1), ((1, 1), (1, 1)), ((1, 2), (3, 4)), ((0, 0), (0, 5))])
def test_padding_with_constants(value: Any) -> None:
    for width in (1, (2, 0), ((0, 0), (1, 2))):
        expected = np.pad(X, width, constant_values=value)
        assert mg.pad(X, width, constant_values=value).tolist() == expected.tolist()
        whole = np.pad(X.astype(int), width, constant_values=value)
        assert mg.pad(X.astype(int), width, constant_values=value).tolist() == whole.tolist()


def test_gradients_of_repeated_entries_add_up() -> None:
    gradient = mg.grad(lambda x: mg.sum(mg.take(x, [0, 0, 2], mode="wrap") * np.array([1.0, 10.0, 100.0])))
    assert gradient(VECTOR).tolist() == [11, 0, 100]
    assert mg.grad(lambda x: mg.sum(mg.pad(x, 2, "edge")))(VECTOR).tolist() == [3, 1, 3]


def test_bare_numbers_become_arrays_as_in_numpy() -> None:
    narrow = mg.constant(np.float32(1.0))
    assert mg.stack([narrow, 0.5]).dtype == np.float64
    assert mg.concatenate([mg.reshape(narrow, 1), [0.5]]).dtype == np.float64
    assert not mg.squeeze(0.5).weak
    assert (mg.ravel(0.5) * np.float32(1)).dtype == np.float64
    tangent = mg.grad(lambda a: mg.sum(mg.stack([a, a * a])))(3.0)
    assert float(tangent) == 7.0


def test_lists_that_hold_nodes_are_stacked() -> None:
    a = mg.constant(2.0)
    assert mg.reshape([[a, 1.0]], 2).tolist() == [2, 1]
    assert mg.concatenate([[a, a], [3.0]]).tolist() == [2, 2, 3]


def test_numpys_functions_take_nodes_among_arrays() -> None:
    node = mg.constant(VECTOR)
    for result in (np.concatenate([VECTOR, node]), np.stack([node, VECTOR]), np.append(VECTOR, node),
                   np.hstack((VECTOR, node)), np.broadcast_arrays(VECTOR, node)[0]):  # fmt: skip
        assert isinstance(result, Node)


def test_methods() -> None:
    node = mg.constant(CUBE)
    assert node.reshape(6, -1).shape == node.reshape((6, 4)).shape == (6, 4)
    assert node.T.shape == node.transpose().shape == node.transpose(2, 1, 0).shape == (4, 3, 2)
    assert node.mT.shape == node.swapaxes(1, 2).shape == (2, 4, 3)
    assert node.ravel().shape == node.flatten().shape == (24,)
    assert node.repeat(2, axis=1).shape == (2, 6, 4)
    assert node.take([0], axis=2).shape == (2, 3, 1)
    assert mg.constant(X[:1]).squeeze().shape == (3,)
