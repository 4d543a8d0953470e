"""A node is indexed as NumPy indexes an array: values, shapes, gradients and errors, for indices of all kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import IndexingError
from minigrad.nodes import Node

Array = Any

# ------------------------------------------------------------------------------------------------ random indices


def shapes(most: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(0, 4), max_size=most).map(tuple)


def laid_out(draw: Any, shape: tuple[int, ...], dtype: str) -> Array:
    """Distinct numbers, in rows, in columns, or strided and backwards."""
    size = int(np.prod(shape))
    values = (np.arange(size) - size // 3).astype(dtype).reshape(shape)
    kind = draw(st.sampled_from(["rows", "columns", "strided"]))
    if kind == "columns":
        return np.asarray(values, order="F")
    if kind == "strided":
        wide = np.zeros([2 * n for n in shape], dtype)
        part = wide[tuple(slice(None, None, -2) for _ in shape)] if shape else wide
        part[...] = values
        return part
    return values


def whole_number(size: int, slack: int) -> st.SearchStrategy[int]:
    """A position on an axis, or, with slack, beyond its ends."""
    low, high = -size - slack, size - 1 + slack
    return st.integers(low, high) if low <= high else st.nothing()


@st.composite
def bounds(draw: Any, size: int) -> slice:
    ends = st.none() | st.integers(-size - 2, size + 2)
    return slice(draw(ends), draw(ends), draw(st.none() | st.sampled_from([1, 2, 3, -1, -2, -3])))


@st.composite
def entry(draw: Any, sizes: tuple[int, ...], block: tuple[int, ...], slack: int) -> tuple[Any, int]:
    """One entry of an index, and how many axes it uses."""
    size = sizes[0]
    kinds = ["slice", "slice", "all"] + ["integer", "array", "list", "numpy integer", "0-d"] * (size + slack > 0)
    kind = draw(st.sampled_from([*kinds, "mask", "wide mask"]))
    if kind == "slice":
        return draw(bounds(size)), 1
    if kind == "all":
        return slice(None), 1
    if kind == "integer":
        return draw(whole_number(size, slack)), 1
    if kind in ("numpy integer", "0-d"):
        value = np.int32(draw(whole_number(size, slack)))
        return (value if kind == "numpy integer" else np.asarray(value)), 1
    if kind in ("mask", "wide mask"):
        ndim = min(len(sizes), 1 if kind == "mask" else 2)
        shape = [n + draw(st.integers(0, slack)) for n in sizes[:ndim]]
        flags = draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flags, dtype=bool).reshape(shape), ndim
    shape = tuple(n if draw(st.booleans()) else 1 for n in block)[draw(st.integers(0, len(block))) :]
    positions = draw(st.lists(whole_number(size, slack), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    array = np.array(positions, dtype=draw(st.sampled_from(["int64", "int32"]))).reshape(shape)
    return (array if kind == "array" else array.tolist()), 1


@st.composite
def indices(draw: Any, shape: tuple[int, ...], slack: int = 0) -> Any:
    """An index for an array of this shape; with slack, one that may not fit."""
    block = draw(st.lists(st.integers(0, 3), max_size=2).map(tuple))
    key: list[Any] = []
    axis, skipped = 0, False
    while axis < len(shape) + slack:
        extra = draw(st.sampled_from([None] * 6 + ["new axis", "dots", "true", "false", "stop"]))
        if extra == "new axis":
            key.append(None)
        elif extra == "dots" and not (skipped and slack == 0):
            key.append(Ellipsis)
            skipped = True
            axis += draw(st.integers(0, max(len(shape) - axis, 0)))
            continue
        elif extra in ("true", "false"):
            key.append(draw(st.sampled_from([extra == "true", np.bool_(extra == "true")])))
        elif extra == "stop":
            break
        if axis < len(shape) + slack:
            part, used = draw(entry((*shape[axis:], *[3] * slack)[: max(len(shape) - axis, 1)], block, slack))
            key.append(part)
            axis += used
    return key[0] if len(key) == 1 and draw(st.booleans()) else tuple(key)


def on_numpy(x: Array, key: Any) -> tuple[Any, Exception | None]:
    try:
        return x[key], None
    except (IndexError, ValueError) as error:
        return None, error


def split(key: Any) -> tuple[list[Array], Any]:
    """The integer arrays of an index, and a function that puts others (nodes, say) in their places."""
    parts = list(key) if isinstance(key, tuple) else [key]
    places = [i for i, p in enumerate(parts) if isinstance(p, np.ndarray) and p.dtype.kind in "iu"]

    def rebuilt(*arrays: Any) -> Any:
        new = list(parts)
        for i, array in zip(places, arrays, strict=True):
            new[i] = array
        return tuple(new) if isinstance(key, tuple) else new[0]

    return [parts[i] for i in places], rebuilt


def same(found: Any, expected: Array) -> None:
    found = np.asarray(found)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.array_equal(found, expected)


# -------------------------------------------------------------------------------------------------------- values


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_values_and_shapes(data: Any) -> None:
    shape = data.draw(shapes())
    x = laid_out(data.draw, shape, data.draw(st.sampled_from(["float64", "float32", "int64", "bool"])))
    key = data.draw(indices(shape))
    expected, error = on_numpy(x, key)
    if error is not None:
        with pytest.raises((IndexError, ValueError)):
            mg.constant(x)[key]
        return
    node = mg.constant(x)[key]
    assert (node.shape, node.dtype) == (expected.shape, expected.dtype)
    same(node, expected)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_compiled_with_indices_that_are_inputs(data: Any) -> None:
    shape = data.draw(shapes(3))
    x = laid_out(data.draw, shape, "float64")
    key = data.draw(indices(shape))
    expected, error = on_numpy(x, key)
    if error is not None:
        return
    arrays, rebuilt = split(key)
    found = mg.compile(lambda x, *arrays: x[rebuilt(*arrays)])(x, *arrays)
    same(found, expected)
    assert not np.shares_memory(found, x)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_numpy_refuses_is_refused(data: Any) -> None:
    shape = data.draw(shapes(3))
    x = laid_out(data.draw, shape, "float64")
    key = data.draw(indices(shape, slack=2))
    expected, error = on_numpy(x, key)
    if error is None:
        same(mg.constant(x)[key], expected)
    else:
        with pytest.raises((IndexError, ValueError), match=r"test_indexing\.py:"):
            mg.constant(x)[key]


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_indices_that_are_computed_are_checked_by_numpy(data: Any) -> None:
    shape = data.draw(shapes(3).filter(len))
    x = laid_out(data.draw, shape, "float64")
    key = data.draw(indices(shape, slack=1))
    expected, _ = on_numpy(x, key)
    arrays, rebuilt = split(key)
    try:
        node = mg.constant(x)[rebuilt(*[mg.constant(a) + 0 for a in arrays])]
        found = np.asarray(node)
    except (IndexError, ValueError):
        assert expected is None
    else:
        assert expected is not None
        same(found, expected)


# ----------------------------------------------------------------------------------------------------- gradients


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_gradients_are_added_up_where_the_entries_came_from(data: Any) -> None:
    shape = data.draw(shapes(3))
    x = laid_out(data.draw, shape, data.draw(st.sampled_from(["float64", "float32"])))
    key = data.draw(indices(shape))
    expected, error = on_numpy(x, key)
    if error is not None:
        return
    arrays, rebuilt = split(key)

    def taken(x: Node) -> Node:
        return x[rebuilt(*[mg.constant(a) + 0 for a in arrays])] if data.draw(st.booleans()) else x[key]

    ct = np.arange(1, expected.size + 1, dtype=x.dtype).reshape(expected.shape)
    y, pullback = mg.vjp(taken, x)
    (share,) = pullback(ct)
    added = np.zeros_like(x)
    np.add.at(added, key, ct)
    same(y, expected)
    same(share, added)
    t = np.linspace(-1, 1, x.size, dtype=x.dtype).reshape(x.shape)
    same(mg.jvp(taken, (x,), (t,))[1], t[key])
    # the Hessian of sum(ct x[key]^2 / 2) is diagonal: the cotangents of each entry, added up
    _, product = mg.hvp(lambda x: mg.sum(ct * taken(x) ** 2) * 0.5, (x,), (t,))
    np.testing.assert_allclose(product, added * t, rtol=1e-6)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_compiled_gradients(data: Any) -> None:
    shape = data.draw(shapes(3))
    x = laid_out(data.draw, shape, "float64")
    key = data.draw(indices(shape))
    expected, error = on_numpy(x, key)
    if error is not None:
        return
    arrays, rebuilt = split(key)
    weight = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    gradient = mg.compile(mg.grad(lambda x, *arrays: mg.sum(weight * x[rebuilt(*arrays)])))
    added = np.zeros_like(x)
    np.add.at(added, key, weight)
    same(gradient(x, *arrays), added)


def test_an_index_may_be_a_node_in_a_loop() -> None:
    x, order = np.array([1.0, 10.0, 100.0]), np.array([2, 0, 2])

    def total(x: Node) -> Any:
        return mg.scan(lambda carry, i: (carry + x[i], carry), mg.constant(0.0), order)[0]

    assert float(total(mg.constant(x))) == 201
    assert mg.grad(total)(x).tolist() == [1, 0, 2]


# ------------------------------------------------------------------------------------- a stack gives its operands


def test_a_stack_indexed_by_a_constant_is_its_operand() -> None:
    items = [mg.symbol(f"h{i}", (2, 3)) for i in range(5)]
    hs = mg.stack(items)
    assert hs[3] is items[3]
    assert hs[-1] is items[4]
    assert hs[np.int64(2)] is items[2]
    assert hs[np.array(2)] is items[2]
    assert hs[mg.constant(2)] is items[2]
    assert hs[mg.constant(2, name="last")] is items[2]
    assert hs[..., 1, :, :] is items[1]
    assert hs[1, :] is items[1]
    assert list(hs)[2] is items[2]
    assert mg.unstack(hs)[4] is items[4]
    assert hs[1:][0] is items[1]
    assert hs[::-1][0] is items[4]
    assert hs[1:][::2][1] is items[3]
    assert hs[3, 1].inputs[0] is items[3]
    assert hs[2][None].inputs[0] is items[2]


def test_a_stack_along_another_axis_too() -> None:
    items = [mg.symbol(f"h{i}", (2, 3)) for i in range(4)]
    for axis in (1, 2, -1):
        stacked = mg.stack(items, axis=axis)
        at = (slice(None),) * (axis % 3)
        assert stacked[(*at, 3)] is items[3]
        assert stacked[(*at, slice(1, None))][(*at, 0)] is items[1]
        assert mg.unstack(stacked, axis=axis)[0] is items[0]
    assert mg.stack(items, axis=1)[0, 2].inputs[0] is items[2]


def test_arrays_among_the_operands_of_a_stack() -> None:
    h, array = mg.symbol("h", (3,)), np.arange(3.0)
    stacked = mg.stack([array, h, array])
    assert stacked[1] is h
    assert stacked[0].primitive.name == "constant"
    assert stacked[0].tolist() == [0, 1, 2]


def test_an_operand_of_another_dtype_is_converted() -> None:
    h, wide = mg.symbol("h", (3,), "float32"), mg.symbol("wide", (3,))
    stacked = mg.stack([h, wide])
    assert (stacked[0].dtype, stacked[1]) == (np.float64, wide) or stacked[1] is wide
    assert stacked[0].dtype == np.float64
    assert float(mg.stack([1.0, mg.constant(2.0)])[0]) == 1.0


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_indexing_a_stack_gives_the_right_values(data: Any) -> None:
    count, axis = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2))
    arrays = [np.arange(6.0).reshape(2, 3) + 10 * i for i in range(count)]
    expected = np.stack(arrays, axis)
    first = data.draw(indices(expected.shape).filter(lambda key: on_numpy(expected, key)[1] is None))
    once = expected[first]
    second = data.draw(indices(once.shape).filter(lambda key: on_numpy(once, key)[1] is None))
    same(mg.stack(list(map(mg.constant, arrays)), axis)[first][second], once[second])


# -------------------------------------------------------------------------------------------------------- errors

X = np.arange(12.0).reshape(3, 4)
REFUSED = {
    "out of bounds": (lambda x: x[3], "index 3 is out of bounds for axis 0 with size 3"),
    "out of bounds below": (lambda x: x[:, -5], "index -5 is out of bounds for axis 1 with size 4"),
    "array out of bounds": (lambda x: x[[0, 7]], "index 7 is out of bounds for axis 0 with size 3"),
    "array below bounds": (lambda x: x[..., np.array([0, -9])], "index -9 is out of bounds for axis 1 with size 4"),
    "too many": (lambda x: x[0, 0, 0], r"3 indices for 2 dimensions"),
    "two ellipses": (lambda x: x[..., ...], "one `...`"),
    "float": (lambda x: x[1.0], "integer or boolean, got float64"),
    "float array": (lambda x: x[np.array([0.0])], "integer or boolean, got float64"),
    "string": (lambda x: x["a"], "indexing"),
    "dict": (lambda x: x[{}], "indexing"),
    "short mask": (lambda x: x[[True, False]], r"a mask of shape \(2,\) stands for axes of shape \(3,\)"),
    "wide mask": (lambda x: x[np.ones((3, 5), bool)], r"a mask of shape \(3, 5\) stands for axes of shape \(3, 4\)"),
    "late mask": (lambda x: x[0, np.ones(3, bool)], r"a mask of shape \(3,\) stands for axes of shape \(4,\)"),
    "deep mask": (lambda x: x[np.ones((3, 4, 1), bool)], "3 indices for 2 dimensions"),
    "no broadcast": (lambda x: x[[0, 1], [0, 1, 2]], r"\(2,\) and \(3,\)"),
    "float in a slice": (lambda x: x[1.5:], "a slice's bounds are integers or None, got 1.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_name_the_problem_and_the_line(case: str) -> None:
    index, message = REFUSED[case]
    with pytest.raises((IndexError, TypeError)):
        index(X)
    with pytest.raises(IndexingError, match=message) as caught:
        index(mg.constant(X, name="scores"))
    assert f"test_indexing.py:{index.__code__.co_firstlineno}" in str(caught.value)


def test_the_operand_is_named() -> None:
    with pytest.raises(IndexingError, match=r"'scores': shape \(3, 4\), float64, made at .*test_indexing.py"):
        mg.symbol("scores", (3, 4))[5]


def test_a_step_of_zero() -> None:
    with pytest.raises(ValueError, match="step"):
        mg.constant(X)[::0]


def test_a_computed_mask_points_to_where() -> None:
    x = mg.symbol("x", (3,))
    with pytest.raises(IndexingError, match=r"mg\.where"):
        x[x > 0]


def test_a_computed_bound_points_to_an_index() -> None:
    x, start = mg.symbol("x", (9,)), mg.symbol("start", (), "int64")
    with pytest.raises(IndexingError, match=r"start \+ np\.arange"):
        x[start:]
    window = x[start + np.arange(3)]
    assert mg.evaluate([window], {x: np.arange(9.0), start: 4})[0].tolist() == [4, 5, 6]


def test_a_list_of_nodes_is_an_index() -> None:
    i, j = mg.constant(2), mg.constant(0)
    assert mg.constant([10, 20, 30])[[i, j]].tolist() == [30, 10]


def test_a_list_that_is_ragged() -> None:
    with pytest.raises(ValueError, match="ragged"):
        mg.constant(X)[[[0], [1, 2]]]


def test_a_result_taken_by_a_numpy_integer_is_no_view() -> None:
    x = np.arange(6.0).reshape(2, 3)
    row = mg.compile(lambda x, y: x[mg.argmax(y)])(x, np.array([0.0, 1.0]))
    row[...] = 7
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
