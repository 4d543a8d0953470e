"""Pytrees: flattened and rebuilt, compared, and said no to."""

from __future__ import annotations

import collections
import dataclasses
import enum
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.pytree import flatten, flatten_like, flatten_with_paths


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: Any
    name: str = "frozen"
    extra: Any = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.w, str):
            raise ValueError("rebuilding must not run __init__")


@dataclasses.dataclass(slots=True)
class Slotted:
    w: Any


class Colour(enum.Enum):
    RED = 1


class Mapping(dict[str, Any]):
    def __init__(self) -> None:
        raise AssertionError("rebuilding must not run __init__")


def leaves() -> st.SearchStrategy[Any]:
    return st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3), st.just(np.ones(2)))


def trees() -> st.SearchStrategy[Any]:
    keys = st.one_of(st.text(max_size=2), st.integers(0, 3))
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(keys, inner, max_size=3),
            st.builds(Point, inner, inner), st.builds(Frozen, w=st.lists(inner, max_size=2), extra=inner), st.builds(Slotted, inner),
        ),
        max_leaves=8,
    )  # fmt: skip


@given(trees())
def test_rebuilding_gives_the_tree_back(tree: Any) -> None:
    found, structure = flatten(tree)
    assert len(found) == structure.size
    again = structure.rebuild(found)
    assert repr(again) == repr(tree)
    found_again, structure_again = flatten(again)
    assert structure_again == structure
    assert hash(structure_again) == hash(structure)
    assert all(a is b for a, b in zip(found, found_again, strict=True))
    assert pickle.loads(pickle.dumps(structure)) == structure


@given(trees(), trees())
def test_structures_are_equal_only_when_containers_and_static_parts_are(a: Any, b: Any) -> None:
    blank = lambda tree: repr(flatten(tree)[1].rebuild([None] * flatten(tree)[1].size))  # noqa: E731
    (leaves_a, structure_a), (leaves_b, structure_b) = flatten(a), flatten(b)
    if structure_a == structure_b:
        assert blank(a) == blank(b)
        assert len(leaves_a) == len(leaves_b)
    elif blank(a) == blank(b):
        assert structure_a.size != structure_b.size or repr(structure_a) != repr(structure_b)


def test_what_is_a_leaf_and_what_is_structure() -> None:
    node = mg.constant(1.0)
    for leaf in (1.0, np.float64(1.0), np.int8(3), np.ones(2), node, np.bool_(True)):
        assert [x is leaf for x in mg.tree_leaves(leaf)] == [True]
    for static in (1, True, None, "text", b"bytes", len, np.float64, int, slice(1, 2), ..., Colour.RED, np.dtype("int8"), range(3)):
        assert mg.tree_leaves(static) == []
        assert flatten([static])[1].rebuild([])[0] is static


def test_static_parts_of_different_types_differ() -> None:
    structures = [flatten(value)[1] for value in (1, True, "1", None, 0, False, b"1", (), [], {})]
    for i, a in enumerate(structures):
        assert [a == b for b in structures] == [i == j for j in range(len(structures))]


def test_paths() -> None:
    tree = {"cell": Frozen(w=[np.ones(1), (2.0,)]), 3: Point(1.0, np.ones(2))}
    pairs, _ = flatten_with_paths(tree, "params")
    assert [path for path, _ in pairs] == ["params['cell'].w[0]", "params['cell'].w[1][0]", "params[3].x", "params[3].y"]


def test_dictionaries_keep_their_order_and_type() -> None:
    tree = collections.OrderedDict(b=1.0, a=collections.defaultdict(list, c=2.0))
    again = flatten(tree)[1].rebuild([10.0, 20.0])
    assert type(again) is collections.OrderedDict
    assert list(again.items()) == [("b", 10.0), ("a", {"c": 20.0})]
    assert again.popitem(last=False) == ("b", 10.0)
    assert type(again["a"]) is collections.defaultdict
    made = Mapping.__new__(Mapping)
    made["k"] = 1.0
    assert flatten(made)[1].rebuild([2.0]) == {"k": 2.0}
    assert flatten({"a": 1.0, "b": 2.0})[1] != flatten({"b": 1.0, "a": 2.0})[1]


def test_dataclasses_are_rebuilt_without_init() -> None:
    again = mg.tree_map(lambda w: w * 2, Frozen(w=np.ones(2)))
    assert (type(again), again.name, again.w.tolist()) == (Frozen, "frozen", [2, 2])
    assert flatten(Frozen(w=1.0))[1].rebuild(["a string"]).w == "a string"
    assert mg.tree_map(lambda w: w * 2, Slotted(2.0)) == Slotted(4.0)


def test_tree_map_of_several_trees() -> None:
    a, b = {"x": 1.0, "y": [2.0]}, {"x": 10.0, "y": [20.0]}
    assert mg.tree_map(lambda p, q: p - q, a, b) == {"x": -9.0, "y": [-18.0]}
    with pytest.raises(mg.errors.StructureError, match=r"(?s)tree_map.*'y'"):
        mg.tree_map(lambda p, q: p, a, {"x": 10.0})
    with pytest.raises(mg.errors.StructureError):
        mg.tree_map(lambda p, q: p, (1.0,), [1.0])


def test_constant_of_a_pytree_is_a_pytree_of_constants() -> None:
    tree = mg.constant(Frozen(w=(np.ones(2), 1.0), extra={"k": np.arange(2)}))
    assert type(tree) is Frozen
    assert [leaf.shape for leaf in mg.tree_leaves(tree)] == [(2,), (), (2,)]
    assert all(isinstance(leaf, mg.Node) for leaf in mg.tree_leaves(tree))


class Opaque:
    pass


def test_what_is_no_pytree_is_an_error_that_names_the_path() -> None:
    with pytest.raises(mg.errors.StructureError, match=r"(?s)model\['a'\]\[1\].*Opaque.*dataclass"):
        mg.grad(lambda model: 1.0)({"a": [1.0, Opaque()]})
    with pytest.raises(mg.errors.StructureError, match="set"):
        mg.compile(lambda x: x)({1.0, 2.0})
    with pytest.raises(mg.errors.StructureError, match="Opaque"):
        mg.compile(lambda x: Opaque())(1.0)
    with pytest.raises(mg.errors.StructureError, match="2 leaves, got 1"):
        flatten((1.0, 2.0))[1].rebuild([1.0])
    with pytest.raises(mg.errors.StructureError, match=r"what: expected the structure \(\*,\), got \[\*\]"):
        flatten_like([1.0], flatten((1.0,))[1], "what")
