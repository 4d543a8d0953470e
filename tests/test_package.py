"""The frame: what the wheel holds, what an import costs, and that the rooms of the building stand on each other."""

from __future__ import annotations

import ast
import doctest
import graphlib
import importlib.util
import pathlib
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator

import pytest
from hatchling.builders.wheel import WheelBuilder

import minigrad as mg
import rnn

ROOT = pathlib.Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("minigrad", "rnn")

# A room imports from rooms before it, never from rooms after it.
ROOMS = {
    "minigrad": [
        "errors", "pytree", "nodes", "graph", "primitives", "indexing", "evaluation", "numpy_api", "tracing", "uses",
        "reverse", "forward", "loop", "rewrites", "schedule", "naming", "expressions", "memory", "writer", "source",
        "specialising",
        "phrases", "work", "counting", "obstacles", "explaining",
        "transforms", "compiling", "sizes", "prose", "wording", "textbook", "checking", "drawing", "methods",
        "__init__", "__main__",
    ],
    "rnn": [
        "initializers", "cells", "sequences", "textbook", "layers", "tasks", "training", "saves", "exchange", "text",
        "characters", "flow", "truncation", "experiment", "figures", "findings", "output", "report", "__init__", "__main__",
    ],
}  # fmt: skip
# Slow to import, or not always there: imported where they are used.
OPTIONAL = {
    "difflib", "graphviz", "matplotlib", "pydoc_data", "pygraphviz", "shutil", "subprocess", "threadpoolctl", "tqdm",
}  # fmt: skip


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_text())


ALL = [(name, tree) for package in PACKAGES for name, tree in modules(package)]
every_module = pytest.mark.parametrize(("name", "tree"), ALL, ids=[name for name, _ in ALL])


def imported(name: str, tree: ast.AST) -> Iterator[str]:
    """The project's own modules that this code imports, by their full names; those for type checkers left out."""
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(name.split(".")[: -node.level]) if node.level else ""
            start = ".".join(part for part in (base, node.module) if part)
            found = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in found:
            while target and not module_file(target):
                target = target.rpartition(".")[0]
            if target.split(".")[0] in PACKAGES:
                yield f"{target}.__init__" if (ROOT / target.replace(".", "/")).is_dir() else target


def module_file(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


# ---------------------------------------------------------------------------------------------------------- the wheel


def test_the_wheel_holds_both_packages_whole(tmp_path: pathlib.Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(about).decode()
    there = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == there
    assert {f"{package}/py.typed" for package in PACKAGES} < held
    assert "License-Expression: MIT" in metadata
    for extra in PROJECT["optional-dependencies"]:
        assert f"Provides-Extra: {extra}" in metadata


def test_what_is_needed_and_what_is_extra() -> None:
    assert {need.split(">")[0] for need in PROJECT["dependencies"]} == {"numpy", "graphviz"}
    assert {"draw", "study", "test", "dev"} <= set(PROJECT["optional-dependencies"])


def test_the_version_is_said_once() -> None:
    assert mg.__version__ == PROJECT["version"]
    assert f"\n## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


# --------------------------------------------------------------------------------------------------------- an import


def test_an_import_brings_nothing_that_may_be_missing_or_slow() -> None:
    code = "import sys, numpy; before = set(sys.modules); import minigrad, rnn; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    brought = {name.split(".")[0] for name in done.stdout.split()}
    assert not (OPTIONAL | {"hypothesis", "pytest", "torch"}) & brought
    # each module costs every program some time before it begins: what else comes than NumPy needs itself, is listed
    assert brought <= {"__future__", "copy", "dataclasses", "fnmatch", "importlib", "minigrad", "rnn", "threading"}


def test_the_first_gradient_imports_nothing() -> None:
    code = """
import sys, numpy as np, minigrad as mg, rnn
np.random.default_rng(0)  # NumPy imports a part of itself here
before = set(sys.modules)
mg.compile(mg.value_and_grad(lambda cell, xs: mg.sum(rnn.scan(cell, xs)[0])))(rnn.LSTMCell.init(2, 3), np.ones((4, 1, 2)))
print(*set(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []  # np.ma alone takes as long as all that is done here


@pytest.mark.parametrize("package", [mg, rnn])
def test_public_names_are_there(package: object) -> None:
    names = vars(package)["__all__"]
    assert [name for name in names if not hasattr(package, name)] == []


@pytest.mark.parametrize("package", [mg, rnn])
def test_no_module_has_the_name_of_a_public_function(package: object) -> None:
    # importing the module would put it in the function's place
    prefix = vars(package)["__name__"]
    functions = [name for name in vars(package)["__all__"] if callable(getattr(package, name))]
    assert [name for name in functions if importlib.util.find_spec(f"{prefix}.{name}")] == []


@pytest.mark.parametrize("package", [mg, rnn, mg.linalg])
def test_every_public_function_has_an_example_which_is_run(package: object) -> None:
    public = {name: vars(package)[name] for name in vars(package)["__all__"]}
    functions = {name: value for name, value in public.items() if callable(value) and not isinstance(value, type)}
    assert [name for name, value in functions.items() if ">>>" not in (value.__doc__ or "")] == []
    finder = doctest.DocTestFinder(recurse=False)  # what it does not find, pytest does not run
    assert [name for name, value in functions.items() if not finder.find(value, name)] == []


# ----------------------------------------------------------------------------------------------------------- the rooms


@every_module
def test_rooms_stand_on_those_before_them(name: str, tree: ast.Module) -> None:
    package, room, *_ = name.split(".")
    order = ROOMS[package]
    for target in imported(name, tree):
        other, their_room, *_ = target.split(".")
        if other == package:
            assert order.index(their_room) <= order.index(room), f"{name} imports {target}"
        else:
            assert (package, other) == ("rnn", "minigrad"), f"{name} imports {target}"


def test_no_circles() -> None:
    graphlib.TopologicalSorter({name: set(imported(name, tree)) - {name} for name, tree in ALL}).prepare()


@every_module
def test_imports_stand_at_the_top_but_for_optional_packages(name: str, tree: ast.Module) -> None:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    assert all(alias.name.split(".")[0] in OPTIONAL for alias in node.names), ast.unparse(node)
                elif isinstance(node, ast.ImportFrom):
                    assert not node.level, ast.unparse(node)
                    assert str(node.module).split(".")[0] in OPTIONAL, ast.unparse(node)


@every_module
def test_files_and_functions_fit_in_a_head(name: str, tree: ast.Module) -> None:
    path = (ROOT / name.replace(".", "/")).with_suffix(".py")
    assert len(path.read_text().splitlines()) <= 600
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
