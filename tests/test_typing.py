"""What a type checker knows of nodes and graphs: `mypy --strict` checks this file, and the tests run it."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
from typing import Any, assert_type

import numpy as np
import pytest

import minigrad as mg
from minigrad import methods, numpy_api

STUB = pathlib.Path(mg.__file__).with_name("interface.pyi")
CLASSES = {node.name: node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ClassDef)}


def test_expressions_have_types() -> None:
    w, x = mg.constant(np.ones((3, 4)), name="w"), mg.symbol("x", shape=(4,))
    assert_type(w, mg.Node)
    assert_type(w @ x, mg.Node)
    assert_type(mg.tanh(w @ x).sum(), mg.Node)
    assert_type(2 * x[0] - 1.5 + x.mean() ** 2, mg.Node)
    assert_type(x.shape, tuple[int, ...])
    assert_type(-x.T > 0, mg.Node)
    assert_type(len(x), int)
    assert_type(list(w), list[mg.Node])
    assert_type(float(w[0, 0]), float)
    assert all(isinstance(node, mg.Node) for node in (w, w @ x, mg.tanh(w @ x).sum(), -x.T > 0, *w))


def test_arrays_and_nodes_make_nodes() -> None:
    x = mg.symbol("x", shape=(4,))
    array: np.ndarray[Any, np.dtype[np.float64]] = np.ones((3, 4))
    assert_type(x * array, mg.Node)
    assert isinstance(array * x, mg.Node)


def test_pytrees_of_constants_keep_their_type() -> None:
    weights = {"w": np.ones(3)}
    assert isinstance(mg.constant(weights)["w"], mg.Node)


def test_graphs_have_types() -> None:
    graph = mg.trace(lambda x: x * 2.0, np.ones(3))
    assert_type(graph, mg.Graph)
    assert_type(graph.source, str)
    assert_type(graph.simplify(), mg.Graph)
    assert_type(graph.outputs[0], mg.Node)
    assert isinstance(graph.source, str)


def test_type_checkers_see_the_public_names() -> None:
    seen: set[str] = set()
    for item in ast.parse(pathlib.Path(mg.__file__).with_suffix(".pyi").read_text()).body:
        if isinstance(item, ast.ImportFrom) and item.names[0].name == "*":
            assert item.module is not None
            seen |= set(vars(importlib.import_module(f"minigrad.{item.module}"))["__all__"])
        elif isinstance(item, ast.ImportFrom):
            assert all(alias.asname == alias.name for alias in item.names)
            seen |= {alias.name for alias in item.names}
    assert seen - {"numpy_api"} == set(mg.__all__)


# ------------------------------------------------------------------------- the declarations and the table that is bound


def declared(name: str) -> dict[str, ast.FunctionDef | ast.AnnAssign]:
    found: dict[str, ast.FunctionDef | ast.AnnAssign] = {}
    for item in CLASSES[name].body:
        if isinstance(item, ast.FunctionDef):
            found[item.name] = item
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found[item.target.id] = item
    return found


@pytest.mark.parametrize(("name", "table", "undeclared"), [
    ("NodeMethods", methods.NODE_METHODS, {"__array__", "__reduce__"}),
    ("GraphMethods", methods.GRAPH_METHODS, set()),
])  # fmt: skip
def test_what_is_declared_is_what_is_bound(name: str, table: dict[str, Any], undeclared: set[str]) -> None:
    assert set(declared(name)) == set(table) - undeclared
    for key, item in declared(name).items():
        assert isinstance(table[key], property) == isinstance(item, ast.AnnAssign), key


FUNCTIONS = {key for key, value in methods.NODE_METHODS.items() if value is getattr(numpy_api, key, None)}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_methods_are_declared_with_the_arguments_of_the_function(name: str) -> None:
    item = declared("NodeMethods")[name]
    assert isinstance(item, ast.FunctionDef)
    function = list(inspect.signature(methods.NODE_METHODS[name]).parameters.values())[1:]
    positional = [p.name for p in function if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    by_keyword = [p.name for p in function if p.kind is inspect.Parameter.KEYWORD_ONLY]
    arguments = item.args
    assert [a.arg for a in (*arguments.posonlyargs, *arguments.args)][1:] == positional
    assert [a.arg for a in arguments.kwonlyargs] == by_keyword
    optional = [p.name for p in function if p.default is not inspect.Parameter.empty]
    assert len(arguments.defaults) + sum(d is not None for d in arguments.kw_defaults) == len(optional)
