"""`python -m minigrad source`: a function's gradient, or a cell's, as a module of NumPy."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.__main__ as command
from minigrad.rewrites import PASSES

MODEL = r'''
import numpy as np
import minigrad as mg

TABLE, HUGE = np.arange(40.0).reshape(20, 2), np.arange(20_000.0)
NUMBER = 3

def line(w, x, rate=0.5, n=2, *, shift=None):
    """The sum of a line's powers, \\ and \"\"\" included.

    More about it.
    """
    return rate * mg.sum(mg.tanh(x @ w) ** n) + (0.0 if shift is None else mg.mean(shift * shift))

def all_given(x=np.array([1.0, 2.0, 4.0]), y=2.0):
    return mg.sum(mg.log(x) * y)

def example():
    return {"a": [1.0, np.ones(3)], "b": np.array([0, 2])}

def tree(tree, flag=False):
    return mg.sum(mg.constant(TABLE)[tree["b"]] * tree["a"][0]) * mg.prod(tree["a"][1])

def holds_much(x):
    return mg.sum(mg.constant(HUGE) * x)

def vector(x):
    return x * 2.0

def kinked(x):
    return mg.sum(mg.relu(x))

def broken(x):
    return x.no_such_thing

def wrong_shapes(x):
    return x @ np.ones((7, 7))

def unrolled(w, xs):
    h = np.zeros(3)
    for t in range(5):
        with mg.scope(f"t={t}"):
            h = mg.tanh(xs[t] + w @ h)
    return mg.sum(h ** 2)

class Model:
    @staticmethod
    def cost(x):
        return mg.sum(x ** 3)
'''

@pytest.fixture
def model(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "a model.py"
    path.write_text(MODEL, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "a model", raising=False)
    return str(path)


def written(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What the module that comes to standard output defines."""
    assert command.main(["source", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    namespace: dict[str, Any] = {"__name__": "written"}
    exec(compile(printed.out, "written.py", "exec"), namespace)
    assert namespace["worst_error"]() < 1e-6
    return namespace


def refused(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """The one line that says why not."""
    assert command.main(["source", *words]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("python -m minigrad source: ")
    return line


# ---------------------------------------------------------------------------------------------- functions of one's own


def test_a_function_with_an_example_of_its_arguments(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = written(capsys, f"{model}:line", "--args", "rng.normal(size=2), rng.normal(size=(30, 2)), n=3")
    rng = np.random.default_rng(5)
    w, x, rate = rng.normal(size=2), rng.normal(size=(30, 2)), 0.25
    value, gradient = module["line_and_gradient"](w, x, rate)

    def line(w: Any, x: Any, rate: Any) -> Any:
        return rate * mg.sum(mg.tanh(x @ w) ** 3)

    expected, slopes = mg.value_and_grad(line, argnums=(0, 1, 2))(w, x, rate)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert list(gradient) == ["w", "x", "rate"]
    for found, slope in zip(gradient.values(), slopes, strict=True):
        np.testing.assert_allclose(found, slope, rtol=1e-12)
    assert "The sum of a line's powers, \\ and \"\"\" included.\n" in module["__doc__"]
    assert "More about it" not in module["__doc__"]
    assert "--args 'rng.normal(size=2), rng.normal(size=(30, 2)), n=3'`" in module["__doc__"]
    with pytest.raises(ValueError, match=r"made for an array of shape \(30, 2\), got \(29, 2\)"):
        module["line_and_gradient"](w, x[:29], rate)


def test_what_to_differentiate_by(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = written(capsys, f"{model}:line", "--args", "np.ones(2), np.ones((3, 2)), shift=np.ones(4)", "--by", "w", "shift")
    _, gradient = module["line_and_gradient"](np.ones(2), np.ones((3, 2)), 0.5, np.ones(4))
    assert list(gradient) == ["w", "shift"]
    assert gradient["shift"].tolist() == [0.5] * 4


def test_an_example_is_not_needed_where_all_arguments_have_values(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    value, gradient = written(capsys, f"{model}:all_given")["all_given_and_gradient"](np.array([1.0, 2.0, 4.0]), 2.0)
    assert value == pytest.approx(np.log(64))
    assert gradient["x"].tolist() == [2, 1, 0.5]


def test_arguments_may_be_pytrees_and_integers(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = written(capsys, f"{model}:tree", "--args", "example()")
    value, gradient = module["tree_and_gradient"](2.0, np.full(3, 2.0), np.array([1, 0]))
    assert value == (2 + 3 + 0 + 1) * 2 * 8
    assert list(gradient) == ["tree_a_0", "tree_a_1"]
    assert gradient["tree_a_0"] == 48


def test_an_unrolled_network(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = written(capsys, f"{model}:unrolled", "--args", "rng.normal(size=(3, 3)), rng.normal(size=(5, 3))")
    assert module["unrolled_and_gradient"](np.zeros((3, 3)), np.zeros((5, 3)))[0] == 0


def test_a_function_in_a_class_or_an_installed_module(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = written(capsys, f"{model}:Model.cost", "--args", "np.array([1.0, 2.0])")
    assert module["Model_cost_and_gradient"](np.array([1.0, 2.0]))[1]["x"].tolist() == [3, 12]
    assert written(capsys, "minigrad:sum", "--args", "np.ones(3)")["sum_and_gradient"](np.ones(3))[0] == 3


# --------------------------------------------------------------------------------------------------------------- cells


def test_a_cell_with_sizes_for_its_check(capsys: pytest.CaptureFixture[str]) -> None:
    module = written(capsys, "gru", "--batch", "2", "--input", "3", "--hidden", "7", "--steps", "9")
    assert "source gru --batch 2 --input 3 --hidden 7 --steps 9`" in module["__doc__"]
    assert command.main(["source", "gru", "--batch", "2", "--input", "3", "--hidden", "7", "--steps", "9"]) == 0
    assert "    steps, batch, inputs, units = 9, 2, 3, 7\n" in capsys.readouterr().out


def test_a_cell_as_it_is_run_and_with_rewrites_of_choice(capsys: pytest.CaptureFixture[str]) -> None:
    def text(*words: str) -> str:
        assert command.main(["source", "lstm", *words]) == 0
        return capsys.readouterr().out

    plain, fast, bare = text(), text("--fast"), text("--without", *PASSES)
    assert "for t in reversed(range(steps)):" in plain
    assert len({plain, fast, bare}) == 3
    assert "source lstm --fast`" in fast
    assert f"source lstm --without {' '.join(PASSES)}`" in bare
    assert bare.count("np.zeros") > plain.count("np.zeros") + 10, "every weight's gradient adds up in the loop"


def test_to_a_file_that_runs_and_checks_itself(tmp_path: pathlib.Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = [sys.executable, "-m", "minigrad", "source", "rnn", "--out", "bptt.py"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run([sys.executable, "-I", "bptt.py"], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rnn_bptt: the worst entry of the gradient is ")
    path = tmp_path / "bptt.py"
    path.write_text(path.read_text(encoding="utf-8").replace("d_h + d_errors[t]", "d_errors[t]"), encoding="utf-8")
    assert subprocess.run([sys.executable, "-I", "bptt.py"], cwd=tmp_path, capture_output=True, timeout=60).returncode == 1


# ----------------------------------------------------------------------------------------------------------- the files


def test_several_go_to_a_folder(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["source", "rnn", "gru", "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gru_bptt.py", "rnn_bptt.py"]
    assert "to go to: --out FOLDER" in refused(capsys, "rnn", "gru")
    assert "is none" in refused(capsys, "rnn", "gru", "--out", str(tmp_path / "nowhere"))


def test_only_what_the_command_wrote_is_written_over(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bptt.py"
    for kind in ("rnn", "gru"):
        assert command.main(["source", kind, "--out", str(path)]) == 0
        assert f"source {kind}`" in path.read_text(encoding="utf-8")
    for content in (b"mine", b"\xff\xfe"):
        path.write_bytes(content)
        assert "bptt.py is there, and was not written by this command; --force" in refused(capsys, "rnn", "--out", str(path))
        assert path.read_bytes() == content
    assert command.main(["source", "rnn", "--out", str(path), "--force"]) == 0
    assert b"mine" not in path.read_bytes()


def test_where_nothing_can_be_written_nothing_is(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "no folder" / "bptt.py"
    assert refused(capsys, "rnn", "--out", str(missing)).endswith(f"cannot write {missing}: no such file or directory")
    (tmp_path / "file").write_text("")
    assert "not a directory" in refused(capsys, "rnn", "--out", str(tmp_path / "file" / "bptt.py"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_wrong_gradient_is_not_written(model: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.py"
    line = refused(capsys, f"{model}:kinked", "--args", "np.zeros(3)", "--out", str(out), code=1)
    assert "kinked_and_gradient: the gradient is off from central differences by 5.0e-01" in line
    assert not out.exists()


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("what", "words", "message"),
    [
        ("lstn", [], "no cell is called 'lstn', there are rnn, lstm, gru; a function is module:function or file.py:function"),
        ("no_such_module:f", [], "cannot import no_such_module: ModuleNotFoundError"),
        ("no_file.py:f", [], "cannot import no_file.py: FileNotFoundError"),
        (":f", [], "cannot import : ValueError"),
        ("MODEL:nothing", [], "has no function 'nothing'"),
        ("MODEL:NUMBER", [], "is no function, but int"),
        ("MODEL:line", [], "missing a required argument: 'w'; give an example of them: --args '...', as in line(...)"),
        ("MODEL:line", ["--args", "1.0"], "line: missing a required argument: 'x'"),
        ("MODEL:line", ["--args", "1.0 +"], "--args '1.0 +' cannot be read: SyntaxError"),
        ("MODEL:line", ["--args", "nothing"], "--args 'nothing' cannot be read: NameError"),
        ("MODEL:vector", ["--args", "3"], "the example of vector holds no float, so there is nothing to differentiate by"),
        ("MODEL:vector", ["--args", "3.0", "--by", "y"], "vector has no argument 'y', only x"),
        ("MODEL:line", ["--args", "np.ones(2), np.ones((3, 2))", "--by", "n"], "by in n: it holds no float"),
        ("MODEL:vector", ["--args", "np.ones(3)"], "returns one number, this one returns (3,), float64; .*; instead: sum or mean it"),
        ("MODEL:broken", ["--args", "3.0"], ":broken fails on its example: AttributeError: 'Node' object has no attribute"),
        ("MODEL:wrong_shapes", ["--args", "np.ones(3)"], "matmul: .*(3,)"),
        ("MODEL:holds_much", ["--args", "2.0"], "holds an array of 20,000 numbers, constant, too many to write out; .*make it an argument"),
        ("MODEL:vector", ["--steps", "3"], "--steps is for cells; the example of a function says it in --args"),
        ("lstm", ["--args", "3"], "--args and --by are for functions; lstm is a cell"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_line(
    model: str, capsys: pytest.CaptureFixture[str], what: str, words: list[str], message: str
) -> None:
    line = refused(capsys, what.replace("MODEL", model), *words)
    start = 0
    for part in message.split(".*"):
        assert part in line[start:]
        start = line.index(part, start) + len(part)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "arguments are required: COMMAND"),
        (["source"], "arguments are required: WHAT"),
        (["source", "lstm", "--steps", "0"], "argument --steps: 0 is no whole number above 0"),
        (["source", "lstm", "--dtype", "int"], "argument --dtype: invalid choice: 'int'"),
        (["source", "lstm", "--without", "tidying"], "argument --without: invalid choice: 'tidying'"),
        (["source", "lstm", "--fast", "--without", "simplify"], "not allowed with argument"),
        (["draw", "lstm"], "invalid choice: 'draw'"),
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(words)
    assert message in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["source", "--help"])
    helped = capsys.readouterr().out
    for option in ("--out", "--args", "--by", "--batch", "--input", "--hidden", "--steps", "--dtype", "--fast", "--without", "--force"):
        assert option in helped
    assert "examples:" in helped
    with pytest.raises(SystemExit, match="0"):
        command.main(["--version"])
    assert capsys.readouterr().out.split() == ["minigrad-rnn", mg.__version__]


def test_a_closed_pipe_is_no_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys, minigrad.__main__ as m; sys.stdin.read(); sys.exit(m.main(['source', 'rnn']))"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141
