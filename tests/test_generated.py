"""The cells' backpropagation through time in `examples/generated`: current, right, and needing nothing but NumPy."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.__main__ as command
import rnn
from minigrad.textbook import write_module
from rnn.textbook import LESSONS, SIZES

FOLDER = pathlib.Path(__file__).parent.parent / "examples" / "generated"
MAKE = "python -m minigrad source rnn lstm gru --out examples/generated"
CELLS = {"rnn": rnn.RNNCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell}
every_cell = pytest.mark.parametrize("kind", CELLS)


def text_of(kind: str) -> str:
    return (FOLDER / f"{kind}_bptt.py").read_text(encoding="utf-8")


def module_of(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "generated"}
    exec(compile(text, "generated.py", "exec"), namespace)
    return namespace


def test_the_files_are_those_that_their_command_writes(tmp_path: pathlib.Path) -> None:
    assert command.main([*MAKE.split()[3:-1], str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"{kind}_bptt.py" for kind in CELLS}
    stale = [path.name for path in tmp_path.iterdir() if path.read_bytes() != (FOLDER / path.name).read_bytes()]
    assert not stale, f"these are not what is generated today; look at them, and if they read well: {MAKE}"


@every_cell
def test_each_needs_numpy_alone_and_checks_itself(kind: str, tmp_path: pathlib.Path) -> None:
    imports = [node for node in ast.walk(ast.parse(text_of(kind))) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in imports] == ["import numpy as np"]
    run = [sys.executable, "-I", str(FOLDER / f"{kind}_bptt.py")]  # isolated: from nowhere but the site's packages
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    worst = re.fullmatch(rf"{kind}_bptt: the worst entry of the gradient is (\S+) off from central differences\n", done.stdout)
    assert worst is not None
    assert 0 < float(worst[1]) < 1e-6


@every_cell
def test_the_check_sees_every_wrong_line_of_the_backward_pass(kind: str) -> None:
    lines = text_of(kind).splitlines()
    backward = [i for i, line in enumerate(lines) if re.match(r" +d_\w+(\[t\])? = (?!np\.(empty|zeros)\()", line)]
    assert len(backward) >= 8
    for i in backward:
        target, _, value = lines[i].partition(" = ")
        wrong = module_of("\n".join([*lines[:i], f"{target} = 1.001 * ({value})", *lines[i + 1 :]]))
        assert wrong["worst_error"]() > 1e-6, lines[i]


@every_cell
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 2, 4), (7, 1, 5, 2), (20, 8, 16, 12)])
def test_each_is_right_in_all_sizes(kind: str, sizes: tuple[int, int, int, int]) -> None:
    steps, batch, inputs, units = sizes
    rng = np.random.default_rng(1)
    cell = CELLS[kind].init(inputs, units, rng=rng)
    xs, targets = rng.normal(size=(steps, batch, inputs)), rng.normal(size=(steps, batch, units))

    def loss(cell: Any) -> Any:
        return mg.sum((rnn.unroll(cell, xs)[0] - targets) ** 2)

    value, gradient = mg.value_and_grad(loss)(cell)
    found_value, found = module_of(text_of(kind))[f"{kind}_bptt"](xs, targets, *mg.tree_leaves(cell))
    np.testing.assert_allclose(found_value, value, rtol=1e-12)
    for (name, a), b in zip(found.items(), mg.tree_leaves(gradient), strict=True):
        assert a.shape == b.shape, name
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13, err_msg=name)


@every_cell
def test_each_says_what_it_takes_and_where_it_comes_from(kind: str) -> None:
    text, module = text_of(kind), module_of(text_of(kind))
    assert f"Written by `python -m minigrad source {kind}`" in module["__doc__"]
    function = module[f"{kind}_bptt"]
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    for name in parameters:
        assert re.search(rf"\b{name}\b.*: \(|\b{name},", function.__doc__)
    for heading in ("forward", "backward", "gradients, summed over all steps"):
        assert text.count(f"    # {heading}\n") == 1
    assert max(map(len, text.splitlines())) <= 120
    code = text[text.index("    # forward") : text.index("def worst_error")]
    assert not re.search(r"\b(1\d|[2-9])\b", re.sub(r"2 \* |\*\* 2|axis=\([^)]*\)", "", code)), "sizes have names"


@every_cell
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_dtypes_and_rewrites_are_checked_too(kind: str, dtype: str) -> None:
    for without in (None, ()):  # written to be read, and as it is run
        module = module_of(write_module(LESSONS[kind](SIZES, dtype), without))
        zeros = [np.zeros(shape, dtype) for shape in [(6, 3, 4), (6, 3, 5)]]
        leaves = mg.tree_leaves(CELLS[kind].init(4, 5, dtype=dtype))
        value, gradients = module[f"{kind}_bptt"](*zeros, *leaves)
        assert {np.asarray(a).dtype for a in (value, *gradients.values())} == {np.dtype(dtype)}
