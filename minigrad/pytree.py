"""Flatten and rebuild nested containers with arrays at the leaves.

    leaves, structure = flatten({"w": w, "layers": [a, b]})
    tree = structure.rebuild(leaves)

Tuples, lists, dicts, named tuples and dataclasses are containers. Arrays, nodes and floats are leaves. Whatever
decides *how* a function computes rather than *on what* (`str`, `None`, `bool`, `int`, callables) is structure: it
is compared, not differentiated. Containers are rebuilt without calling `__init__`; dicts keep their order.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .errors import StructureError, explain

__all__ = [
    "Structure", "flatten", "flatten_like", "flatten_with_paths", "is_fixed", "sign", "tree_leaves", "tree_map",
]  # fmt: skip

_STATIC_TYPES = (str, bytes, type(None), bool, int, slice, type(Ellipsis), np.dtype, enum.Enum, range)


class Structure:
    """The shape of a pytree, without its leaves. Hashable; equal when the containers and the static parts are equal.

    `kind` is the container's type, `keys` names its children, `children` are their structures. A leaf has kind
    "leaf"; a static part has kind "static" and holds its value.
    """

    __slots__ = ("_hash", "children", "keys", "kind", "size", "value")

    def __init__(
        self, kind: Any, keys: tuple[Any, ...] = (), children: tuple[Structure, ...] = (), value: Any = None
    ) -> None:
        self.kind, self.keys, self.children, self.value = kind, keys, children, value
        self.size: int = 1 if kind == "leaf" else sum(child.size for child in children)
        self._hash = hash((kind, keys, children, _hashable(value)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        return self is other or (
            self._hash == other._hash
            and self.kind == other.kind
            and self.keys == other.keys
            and self.children == other.children
            and type(self.value) is type(other.value)
            and bool(self.value == other.value)
        )

    def __repr__(self) -> str:
        if self.kind == "leaf":
            return "*"
        if self.kind == "static":
            return repr(self.value)
        if self.kind in (tuple, list):
            inner = ", ".join(map(repr, self.children))
            return f"[{inner}]" if self.kind is list else f"({inner}{',' if len(self.children) == 1 else ''})"
        pairs = zip(self.keys, self.children, strict=True)
        if self.kind is dict:
            return "{" + ", ".join(f"{key!r}: {child!r}" for key, child in pairs) + "}"
        return f"{self.kind.__name__}(" + ", ".join(f"{key}={child!r}" for key, child in pairs) + ")"

    def __reduce__(self) -> tuple[Any, ...]:
        return Structure, (self.kind, self.keys, self.children, self.value)

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """The pytree of this structure with these leaves."""
        if len(leaves) != self.size:
            raise StructureError(explain("rebuild", f"structure {self!r} has {self.size} leaves, got {len(leaves)}"))
        return next(iter(leaves)) if self.kind == "leaf" else _rebuild(self, iter(leaves).__next__)


def _hashable(value: Any) -> Any:
    if isinstance(value, slice):  # unhashable before Python 3.12
        return ("slice", value.start, value.stop, value.step)
    return value


_LEAF = Structure("leaf")


def _rebuild(structure: Structure, next_leaf: Callable[[], Any]) -> Any:
    kind, keys = structure.kind, structure.keys
    if type(kind) is str:  # what is no leaf is static
        return structure.value
    children: list[Any] = []
    for child in structure.children:
        children.append(next_leaf() if child.kind == "leaf" else _rebuild(child, next_leaf))
    if kind is tuple:
        return tuple(children)
    if kind is list:
        return children
    if kind is dict:
        return dict(zip(keys, children, strict=True))
    if issubclass(kind, tuple):
        return tuple.__new__(kind, children)
    if issubclass(kind, dict):
        rebuilt = kind.__new__(kind)
        put = OrderedDict.__setitem__ if issubclass(kind, OrderedDict) else dict.__setitem__
        for key, child in zip(keys, children, strict=True):
            put(rebuilt, key, child)
        return rebuilt
    instance = object.__new__(kind)
    if _fields_are_plain(kind, keys):
        instance.__dict__.update(zip(keys, children, strict=True))
        return instance
    for key, child in zip(keys, children, strict=True):
        object.__setattr__(instance, key, child)  # works on frozen dataclasses too
    return instance


@functools.cache
def _fields_are_plain(kind: type, names: tuple[str, ...]) -> bool:
    # whether to set the fields is to put them into the instance's dict, which is faster: no slots, no properties
    return kind.__dictoffset__ != 0 and not any(hasattr(getattr(kind, name, None), "__set__") for name in names)


def _is_leaf(value: Any) -> bool:
    if type(value) is float:
        return True
    array_like = hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "ndim")
    return array_like and not isinstance(value, type)  # np.float64 itself has all three


def _flatten(value: Any, path: str, out: list[tuple[str, Any]]) -> Structure:
    # pytree -> its structure; appends (path, leaf) to out
    if _is_leaf(value) or isinstance(value, (float, complex)):
        out.append((path, value))
        return _LEAF
    kind: Any = type(value)
    if isinstance(value, (*_STATIC_TYPES, type)):
        return Structure("static", value=value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        names = tuple(value._fields)
        _READ[kind] = iter
        children = tuple(_flatten(v, _join(path, n), out) for n, v in zip(names, value, strict=True))
        return Structure(kind, names, children)
    if kind in (tuple, list):
        children = tuple(_flatten(v, f"{path}[{i}]", out) for i, v in enumerate(value))
        return Structure(kind, (), children)
    if isinstance(value, dict):
        keys = tuple(value)
        return Structure(kind, keys, tuple(_flatten(v, f"{path}[{k!r}]", out) for k, v in value.items()))
    if dataclasses.is_dataclass(value):
        names = _field_names(kind)
        _READ[kind] = _all_of(names)
        return Structure(kind, names, tuple(_flatten(getattr(value, n), _join(path, n), out) for n in names))
    if callable(value):
        return Structure("static", value=value)
    problem = (
        f"{kind.__module__}.{kind.__qualname__} is no pytree: containers are tuples, lists, dicts, named tuples and "
        "dataclasses; leaves are arrays, nodes and floats"
    )
    instead = "make the class a dataclass, or close over the object instead of passing it"
    raise StructureError(explain(path or "argument", problem, instead=instead))


@functools.cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# Classes of containers met so far, and what gives the children of an instance: the short way of `sign`.
_READ: dict[type, Callable[[Any], Iterable[Any]]] = {}
_PLAIN = {type(None), bool, int, str}


@functools.cache
def _all_of(names: tuple[str, ...]) -> Callable[[Any], Iterable[Any]]:
    if len(names) < 2:  # attrgetter gives no tuple then
        return lambda value: [getattr(value, name) for name in names]
    return operator.attrgetter(*names)


def sign(values: Iterable[Any], leaves: list[Any], key: list[Any]) -> None:
    """Append the leaves of pytrees to `leaves`, and to `key` all that tells such pytrees apart but the leaves' values.

    `flatten` for calls that are counted in microseconds: keys are equal where structures, shapes and dtypes are (bare
    floats are a kind of their own). Read from the left, a key says at each place what comes next, so two different
    structures never have the same.

    >>> leaves, key = [], []
    >>> sign([np.ones(3), (2.0, "relu")], leaves, key)
    >>> leaves, key
    ([array([1., 1., 1.]), 2.0], [(3,), dtype('float64'), <class 'tuple'>, 2, <class 'float'>, (<class 'str'>, 'relu')])
    """
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            leaves.append(value)
            key.append(value.shape)
            key.append(value.dtype)
        elif kind in _READ:
            key.append(kind)
            sign(_READ[kind](value), leaves, key)
        elif kind in _PLAIN:
            key.append((kind, value))
        elif kind is float:
            leaves.append(value)
            key.append(float)
        elif kind is tuple or kind is list:
            key.append(kind)
            key.append(len(value))
            sign(value, leaves, key)
        elif kind is dict:
            key.append(dict)
            key.append(tuple(value))
            sign(value.values(), leaves, key)
        else:
            pairs, structure = flatten_with_paths(value)
            if kind in _READ:  # now that it has been met
                sign((value,), leaves, key)
                continue
            key.append(structure)
            for _, leaf in pairs:
                leaves.append(leaf)
                like = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
                key += [type(leaf), like.shape, like.dtype]


def is_fixed(tree: Any) -> bool:
    """Whether a pytree has the same leaves for ever: its containers are tuples and frozen dataclasses.

    >>> is_fixed((1.0, (2.0, "relu"))), is_fixed((1.0, [2.0]))
    (True, False)
    """
    if isinstance(tree, tuple):
        return all(is_fixed(child) for child in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        frozen = type(tree).__dataclass_params__.frozen  # type: ignore[attr-defined]
        return frozen and all(is_fixed(getattr(tree, name)) for name in _field_names(type(tree)))
    return not isinstance(tree, (list, dict))


def flatten_with_paths(tree: Any, path: str = "") -> tuple[list[tuple[str, Any]], Structure]:
    """The leaves of a pytree, each with its path ("cell.forget.w_h", "[0]['b']"), and its structure."""
    out: list[tuple[str, Any]] = []
    structure = _flatten(tree, path, out)
    return out, structure


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a pytree, in order, and its structure.

    >>> flatten({"a": 1.0, "b": (2.0, None)})
    ([1.0, 2.0], {'a': *, 'b': (*, None)})
    """
    pairs, structure = flatten_with_paths(tree)
    return [leaf for _, leaf in pairs], structure


def flatten_like(tree: Any, structure: Structure, what: str) -> list[Any]:
    """The leaves of a pytree that must have the given structure; `what` names it in the error."""
    leaves, found = flatten(tree)
    if found != structure:
        raise StructureError(explain(what, f"expected the structure {structure!r}, got {found!r}"))
    return leaves


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves of a pytree: arrays, nodes and floats, in order.

    >>> tree_leaves({"w": 1.0, "more": [2.0, (3.0, "relu")]})
    [1.0, 2.0, 3.0]
    """
    return flatten(tree)[0]


def tree_map(fn: Callable[..., Any], tree: Any, *trees: Any) -> Any:
    """Apply `fn` to every leaf of `tree`, together with the same leaf of `trees`, which have the same structure.

    >>> tree_map(lambda a, b: a + 10 * b, {"w": 1.0, "b": 2.0}, {"w": 3.0, "b": 4.0})
    {'w': 31.0, 'b': 42.0}
    """
    leaves, structure = flatten(tree)
    others = [flatten_like(other, structure, "tree_map") for other in trees]
    return structure.rebuild([fn(*row) for row in zip(leaves, *others, strict=True)])
