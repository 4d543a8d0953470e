"""Generated source: it is what runs, it runs alone, and no name can do harm."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import source
from minigrad.graph import Graph
from minigrad.source import generate

Array = Any


def module_from(path: Path) -> Any:
    """The saved module, imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------- what is read is what runs


def test_editing_the_text_changes_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    execute = source.execute

    def edited(text: str) -> dict[str, Any]:
        assert "np.sin(" in text
        return execute(text.replace("np.sin(", "np.cos("))

    monkeypatch.setattr(source, "execute", edited)
    x = np.array([0.5, 1.0])
    assert np.array_equal(mg.compile(lambda x: mg.sin(x))(x), np.cos(x))
    monkeypatch.undo()
    assert np.array_equal(mg.compile(lambda x: mg.sin(x))(x), np.sin(x))


def test_source_of_the_graph_is_the_text_that_compile_runs() -> None:
    def f(x: Any, w: Any) -> Any:
        return mg.tanh(x @ w).sum()

    x, w = np.ones(3), np.ones((3, 2))
    compiled = mg.compile(f)
    text = compiled.source(x, w)
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    assert namespace["f"](x, w)[0] == compiled(x, w)
    assert mg.trace(f, x, w).source.replace("def compute(", "def f(") == text


def test_source_reads_as_a_person_would_write_it() -> None:
    graph = mg.trace(lambda x, w, b: mg.tanh(x @ w + b), np.ones((2, 3)), np.ones((3, 4)), np.ones(4))
    assert graph.source == (
        "import numpy as np\n\n\n"
        "def compute(x, w, b):\n"
        "    return (np.tanh(x @ w + b),)\n"
    )  # fmt: skip


def test_parentheses_follow_pythons_precedence() -> None:
    # every operator under every other, on either side, against the graph evaluated node by node
    operators = {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
        "//": lambda a, b: a // b, "%": lambda a, b: a % b, "**": lambda a, b: a**b, "neg": lambda a, b: -a,
        "<": lambda a, b: a < b, "index": lambda a, b: a[::-1], "call": lambda a, b: mg.maximum(a, b),
    }  # fmt: skip
    x, y = np.array([1.25, 2.5, 0.75]), np.array([2.0, 0.5, 3.0])
    for outer in operators.values():
        for inner in operators.values():
            for side in (lambda a, b, o=outer, i=inner: o(i(a, b) * 1.5, b), lambda a, b, o=outer, i=inner: o(i(a, b), b),
                         lambda a, b, o=outer, i=inner: o(b, i(a, b)), lambda a, b, o=outer, i=inner: o(-a, i(b, a))):  # fmt: skip
                try:
                    graph = mg.trace(side, x, y)
                except TypeError:  # booleans have no minus
                    continue
                with np.errstate(all="ignore"):
                    assert np.array_equal(mg.compile(side)(x, y), graph.evaluate(x, y), equal_nan=True), graph.source
    integers = {"&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "<<": lambda a, b: a << b,
                ">>": lambda a, b: a >> b, "~": lambda a, b: ~a, "+": lambda a, b: a + b, "==": lambda a, b: a == b}  # fmt: skip
    p, q = np.array([5, 3, 9]), np.array([1, 2, 4])
    for outer in integers.values():
        for inner in integers.values():
            for side in (lambda a, b, o=outer, i=inner: o(i(a, b), b), lambda a, b, o=outer, i=inner: o(b, i(a, b))):
                graph = mg.trace(side, p, q)
                assert np.array_equal(mg.compile(side)(p, q), graph.evaluate(p, q)), graph.source


def test_constants_keep_their_bits() -> None:
    odd = [0.1, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1 / 3, -1.5e300]
    for value in (*odd, *map(np.float32, odd[:-1]), np.float16(0.1), 7, -3, True, np.int8(-5), np.uint64(2**64 - 1),
                  np.array(odd), np.array(odd[:-1], "float32"), np.array([[1, 2]], "int16"), np.zeros((0, 3)),
                  np.array([True, False]), np.arange(20.0), np.array(odd * 3), np.ones((2, 1, 2), "float32")):  # fmt: skip
        node = mg.constant(value)
        (found,) = generate(Graph([], [node]))()
        assert found.dtype == np.asarray(value).dtype
        assert found.tobytes() == np.asarray(value).tobytes()


def test_weak_numbers_print_as_literals() -> None:
    text = mg.trace(lambda x: x * 0.5 + 2, np.ones(2, "float32")).source
    assert "x * 0.5 + 2" in text


def test_a_single_long_output() -> None:
    constants = np.arange(16.0) / 7
    (found,) = generate(Graph([], [mg.constant(constants)]))()
    assert np.array_equal(found, constants)


def test_scopes_become_comments() -> None:
    def f(x: Any) -> Any:
        for t in range(2):
            with mg.scope(f"t={t}"), mg.scope("forget"):
                x = mg.sigmoid(x * 2.0 + t)
        return x * x

    text = mg.trace(f, np.ones(2)).source
    assert "# t=0/forget" in text
    assert "# t=1/forget" in text
    assert "forget_0" in text
    assert not text[text.index("def compute") :].count("x_")


def test_cotangents_are_called_after_their_nodes() -> None:
    def loss(x: Any) -> Any:
        with mg.scope("gate"):
            gate = mg.sigmoid(x * 2.0)
        return mg.sum(gate * mg.sin(gate) * gate)

    text = mg.trace(mg.grad(loss), np.ones(2)).source
    assert "d_gate = " in text
    assert "d_x" in mg.trace(mg.grad(lambda x: mg.sum(mg.sin(x) * mg.cos(x)) + mg.sum(x) * mg.sum(x)), np.ones(2)).source

    def looped(h: Any) -> Any:
        return mg.sum(mg.scan(lambda h, _: (mg.tanh(h) * h, None), h, length=3)[0])

    assert "d_h" in mg.trace(mg.grad(looped), np.ones(2)).source


# ---------------------------------------------------------------------------------------------------- it runs alone


def test_saved_source_runs_with_nothing_but_numpy(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(5, 5))

    def loss(x: Any) -> Any:
        h, ys = mg.scan(lambda h, x: (mg.sigmoid(h @ weights + x), h), np.zeros(5), x)
        return mg.sum(h * h) + mg.sum(ys[np.array([0, 0, 1])]) + mg.logsumexp(h)

    x = np.random.default_rng(1).normal(size=(4, 5))
    graph = mg.trace(mg.grad(loss), x)
    written = graph.save(str(tmp_path / "gradient.py"))
    assert [Path(p).name for p in written] == ["gradient.py", "gradient.npz"]
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np\n"
        "import gradient\n"
        "(found,) = gradient.gradient(np.load('x.npy'), **np.load('gradient.npz'))\n"
        "assert not [m for m in sys.modules if m.startswith('minigrad')]\n"
        "np.save('found.npy', found)\n"
    )
    (tmp_path / "main.py").write_text(script)
    subprocess.run([sys.executable, "main.py"], cwd=tmp_path, check=True, env={"OMP_NUM_THREADS": "1"}, timeout=60)
    assert np.array_equal(np.load(tmp_path / "found.npy"), mg.compile(mg.grad(loss))(x))


def test_saving_leaves_nothing_half_written(tmp_path: Path) -> None:
    graph = mg.trace(lambda x: x * 2, np.ones(2))
    target = tmp_path / "folder.py"
    target.mkdir()
    with pytest.raises(OSError):
        graph.save(str(target))
    with pytest.raises(OSError):
        graph.save(str(tmp_path / "missing" / "f.py"))
    assert [p.name for p in tmp_path.iterdir()] == ["folder.py"]
    assert graph.save(str(tmp_path / "f.py")) == [str(tmp_path / "f.py")]
    assert module_from(tmp_path / "f.py").f(np.ones(2))[0].tolist() == [2, 2]


def test_only_the_helpers_that_are_used_stand_in_the_prelude() -> None:
    assert "def " not in mg.trace(mg.tanh, np.ones(2)).source.replace("def compute", "")
    text = mg.trace(mg.sigmoid, np.ones(2)).source
    assert "def sigmoid(x, out=None):" in text
    assert text.count("def ") == 2


@pytest.mark.parametrize("steps", [50, 900, 3000])
def test_long_source_is_cut_into_functions(steps: int) -> None:
    weights = np.random.default_rng(0).normal(size=(30,))

    def f(x: Any, y: Any) -> Any:
        first = x * 2.0
        for t in range(steps):
            with mg.scope(f"t={t}"):
                x = mg.sin(x) * weights + (y if t % 3 else first)
        h, _ = mg.scan(lambda h, _: (mg.cos(h), None), x, length=3)
        return h, x, first

    arrays = np.ones(30), np.full(30, 0.5)
    compiled = mg.compile(f, without="reroll")
    text = compiled.source(*arrays)
    assert ("_part_2" in text) == (steps > 800)
    longest = max(node.end_lineno - node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))  # type: ignore[operator]
    assert longest < 2 * source.PART
    for found, expected in zip(compiled(*arrays), mg.trace(f, *arrays).evaluate(*arrays), strict=True):
        assert np.array_equal(found, expected)


# -------------------------------------------------------------------------------------------------- names are harmless

HOSTILE = [
    "np", "v", "x; import os", "__import__", "import os\nos.system('true')", "lambda", "def", "None", "print", "self",
    "a b", "été", "变量", "x" * 300, "1x", "#", "'''", "\\", "x.y[0]['k']", "sigmoid", "scatter_add", "compute", "match",
    "__builtins__", "exec", "t", "range", "reversed", "\u2028", "\x00", "x\r\nraise SystemExit", "%s{0}", "_", "-", "a-b", "a_b", "f_part_1",
]  # fmt: skip


def test_hostile_names_are_harmless() -> None:
    def f(tree: Any) -> Any:
        total: Any = 0.0
        for name, value in tree.items():
            with mg.scope(name):
                inner = mg.sigmoid(value) * mg.constant(np.arange(20.0), name=name)
                total = total + inner + mg.constant(2.0, name=name)
        h, _ = mg.scan(lambda h, x: (h * 0.5 + x, h), total, mg.constant(np.ones((3, 20)), name="range"))
        return {name: h * value for name, value in tree.items()}

    tree = {name: np.full(20, i + 1.0) for i, name in enumerate(HOSTILE)}
    compiled = mg.compile(f)
    found, expected = compiled(tree), mg.trace(f, tree).evaluate(tree)
    assert list(found) == HOSTILE
    for name in HOSTILE:
        assert np.allclose(found[name], expected[name], rtol=1e-13)
    check_text(compiled.source(tree))
    gradient = mg.compile(mg.grad(lambda tree: mg.sum(mg.stack(list(f(tree).values())))))
    assert all(np.isfinite(g).all() for g in gradient(tree).values())


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_each_hostile_name_as_symbol_constant_scope_key_and_function(name: str) -> None:
    x = mg.symbol(name, (20,))
    with mg.scope(name):
        y = mg.relu(x * mg.constant(np.arange(20.0), name=name) + 1.0)
        z = y * y + mg.sigmoid(y)
    made = generate(Graph([x], [z, y]), name)
    check_text(made.text)
    found, _ = made(np.ones(20))
    y_value = np.arange(20.0) + 1
    assert np.allclose(found, y_value**2 + 1 / (1 + np.exp(-y_value)))


def check_text(text: str) -> None:
    """The module holds imports of NumPy and functions; no assignment shadows NumPy, builtins or helpers."""
    tree = ast.parse(text)
    assert text.isascii()
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(functions) + 1 == len(tree.body)
    assert ast.unparse(tree.body[0]) == "import numpy as np"
    names = {function.name for function in functions}
    for function in functions:
        if not any(function.name == key for key in source.HELPERS):
            stored = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            stored |= {argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]} - {"v"}
            assert not stored & {"np", "v", *dir(builtins), *source.HELPERS, *names}
            called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
            assert all(c.startswith("np.") or c in {*source.HELPERS, *names, "range", "reversed"} for c in called)


def test_two_inputs_of_one_name() -> None:
    a, b = mg.symbol("x", (2,)), mg.symbol("x", (2,))
    first, second = generate(Graph([a, b], [a - b, b * 2.0]))(np.array([3.0, 4.0]), np.ones(2))
    assert first.tolist() == [2, 3]
    assert second.tolist() == [2, 2]


# ------------------------------------------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("size", [10, 30], ids=["a line at the top", "a parameter"])
def test_a_constant_after_a_loop_that_used_its_name(size: int) -> None:
    # names inside a loop are free again after it, but a constant is there from the start
    def f(xs: Any) -> Any:
        last, _ = mg.scan(lambda h, x: (h + x, None), np.zeros(size), xs)
        return last + mg.constant(np.arange(float(size)), name="x")

    xs = np.random.default_rng(0).normal(size=(4, size))
    np.testing.assert_allclose(mg.compile(f)(xs), xs.sum(axis=0) + np.arange(size), rtol=1e-12)


def test_outputs_are_arrays_of_the_callers_own() -> None:
    constant = np.arange(30.0)

    def f(x: Any) -> Any:
        doubled = x * 2.0
        kept = mg.constant(constant)
        return x, x, doubled, doubled, doubled.T, doubled[1:], kept, kept.reshape(5, 6), mg.sum(x), x[0, 0], mg.constant(1.0)

    x = np.ones((2, 3))
    compiled = mg.compile(f)
    first, second = compiled(x), compiled(x)
    everything = [*first, *second, x, constant]
    for i, one in enumerate(everything):
        assert isinstance(one, np.ndarray)
        assert not any(np.shares_memory(one, other) for other in everything[:i])
    for array in first:
        array[...] = -1
    for again, before in zip(compiled(x), second, strict=True):
        assert np.array_equal(again, before)


def test_zero_dimensional_results_are_arrays() -> None:
    compiled = mg.compile(lambda x: (mg.sum(x), x[0] * x[1], mg.max(x), x[0], x[1] > 0, 2.0, mg.argmax(x)))
    for result in (*compiled(np.ones(2)), *compiled(np.ones(2, "float32"))):
        assert type(result) is np.ndarray
        assert result.shape == ()


def test_a_free_symbol_has_no_source() -> None:
    x = mg.symbol("loose", (2,))
    with pytest.raises(mg.errors.FreeSymbolError, match="'loose'"):
        _ = Graph([], [x * 2]).source
    with pytest.raises(mg.errors.FreeSymbolError, match="'loose'"):
        _ = mg.trace(lambda y: mg.scan(lambda c, _: (c + x, None), y, length=2)[0], np.ones(2)).source
