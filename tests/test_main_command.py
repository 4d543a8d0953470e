"""`python -m rnn`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import builtins
import csv
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
import rnn.__main__ as command
from minigrad.errors import missing_extra
from rnn.output import MARKER, OutputError, OutputFolder
from rnn.text import DEFAULT_NAME

for needed in ("matplotlib", "tqdm", "threadpoolctl"):
    pytest.importorskip(needed, reason="the command needs the extra `study`")

SMALL = ["--hidden", "5", "--steps", "6", "--updates", "3"]
CELLS = ("rnn", "lstm", "gru")


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "böök <1>.txt"
    path.write_text("It was the best of times,\nit was the worst of times.\n\n" * 30, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def report(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small report, to be read only."""
    folder = tmp_path_factory.mktemp("report") / "out"
    assert command.main([*SMALL, "--text", str(book), "--out", str(folder), "--quiet"]) == 0
    return folder


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **options.pop("env", {})}
    words = [sys.executable, "-m", "rnn", *arguments]
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ------------------------------------------------------------------------------------------------- what it writes


class Page(HTMLParser):
    """What a page links to, its ids, and whether its tags are closed."""

    VOID = {"meta", "br", "hr", "img", "link", "input"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and value is not None:
                self.links.append(value)
            if name == "id" and value is not None:
                self.ids.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_all_files_are_there(report: Path) -> None:
    names = set(contents(report))
    expected = {"index.html", "results.json", "learning.csv", "gradients.csv", "summary.txt", MARKER}
    expected |= {f"{figure}.{form}" for figure in ("learning", "gradients") for form in ("svg", "png")}
    expected |= {f"gradient_{cell}.py" for cell in CELLS}
    assert expected <= names
    for cell in CELLS:
        assert {f"cell_{cell}.svg", f"cell_{cell}.dot"} & names
        assert {f"backward_{cell}.svg", f"backward_{cell}.dot"} & names


def test_the_page_stands_on_its_own(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (report / link).is_file()
    assert "<script" not in text
    assert "url(http" not in text
    assert text.count("<svg ") == 2 + 2 * sum((report / f"cell_{cell}.svg").exists() for cell in CELLS)
    assert "$" not in re.sub(r"<pre.*?</pre>|<svg.*?</svg>", "", text, flags=re.DOTALL)


def test_the_page_shows_text_as_text(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    assert "böök &lt;1&gt;.txt" in text
    assert "<1>" not in text


def test_the_page_tells_what_was_found(report: Path) -> None:
    results = json.loads((report / "results.json").read_text(encoding="utf-8"))
    prose = " ".join("".join(Page((report / "index.html").read_text(encoding="utf-8")).text).split())
    for sentence in results["findings"]:
        if "10^" not in sentence:  # in the page these are set as powers
            assert sentence in prose


def test_csv_and_json_hold_the_same_numbers(report: Path) -> None:
    results = json.loads((report / "results.json").read_text(encoding="utf-8"))
    learning = list(csv.DictReader(io.StringIO((report / "learning.csv").read_text())))
    for cell in CELLS:
        mine = [(int(row["update"]), float(row["held_out_bits"])) for row in learning if row["cell"] == cell]
        assert mine == [(point["update"], point["held_out"]) for point in results["cells"][cell]["curve"]]
    gradients = list(csv.DictReader(io.StringIO((report / "gradients.csv").read_text())))
    assert {(row["cell"], row["state"]) for row in gradients} == {("rnn", "h"), ("lstm", "h"), ("lstm", "c"), ("gru", "h")}
    for cell, parts in ((cell, results["cells"][cell]["log10_gradient_norm_by_lag"]) for cell in CELLS):
        for moment, by_part in parts.items():
            for part, norms in by_part.items():
                key = (cell, part, moment)
                rows = [row for row in gradients if (row["cell"], row["state"], row["moment"]) == key]
                assert [float(row["log10_norm_mean"]) for row in rows] == norms
                assert [int(row["lag"]) for row in rows] == list(range(6))


def test_the_saved_source_runs_and_gives_the_loss(report: Path) -> None:
    import numpy as np

    from rnn.characters import CharacterModel
    from rnn.experiment import CELLS as KINDS
    from rnn.experiment import loss

    symbols = json.loads((report / "results.json").read_text(encoding="utf-8"))["text"]["symbols"]
    for name in CELLS:
        model = CharacterModel.init(KINDS[name], symbols, 5, rng=0)
        ids = np.random.default_rng(0).integers(0, symbols, (7, 32)).astype(np.int32)
        namespace: dict[str, Any] = {}
        exec((report / f"gradient_{name}.py").read_text(), namespace)
        constants = report / f"gradient_{name}.npz"
        more = dict(np.load(constants)) if constants.exists() else {}
        executed = mg.compile(mg.value_and_grad(loss)).source(model, ids)
        saved = (report / f"gradient_{name}.py").read_text()
        assert executed.replace("value_and_grad_of_loss", f"gradient_{name}") == saved
        value, *gradients = namespace[f"gradient_{name}"](*mg.tree_leaves(model), ids, **more)
        expected, gradient = mg.value_and_grad(loss)(model, ids)
        assert value == pytest.approx(float(expected), rel=1e-5)
        for found, leaf in zip(gradients, mg.tree_leaves(gradient), strict=True):
            assert np.allclose(found, leaf, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes(book: Path, tmp_path: Path) -> None:
    # from elsewhere, to elsewhere, and with another order of sets and dicts of strings
    folders = (tmp_path / "one", tmp_path / "two" / "three")
    for i, folder in enumerate(folders):
        folder.parent.mkdir(exist_ok=True)
        environment = {"PYTHONHASHSEED": str(i)}
        done = run(*SMALL, "--text", str(book), "--out", folder.name, "--quiet", cwd=folder.parent, env=environment)
        assert done.returncode == 0, done.stderr
    first, second = (contents(folder) for folder in folders)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_drawing_names_the_line_of_the_cell(book: Path, tmp_path: Path) -> None:
    assert run(*SMALL, "--text", str(book), "--out", "out", "--quiet", "--cells", "rnn", cwd=tmp_path).returncode == 0
    drawn = next((tmp_path / "out").glob("cell_rnn.*")).read_text(encoding="utf-8")
    assert "of cells.py" in drawn
    assert "frozen" not in drawn


def test_no_file_tells_the_time_or_the_place(report: Path) -> None:
    for name, data in contents(report).items():
        assert str(report.parent).encode() not in data, name
        assert not re.search(rb"\b\d\d:\d\d:\d\d\b", data), name


# --------------------------------------------------------------------------------------------------- what it says


def test_the_summary_fits_a_screen_and_says_what_was_found(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*SMALL, "--text", str(book), "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == f"The article: {tmp_path / 'out' / 'index.html'}"
    assert out.startswith((tmp_path / "out" / "summary.txt").read_text(encoding="utf-8"))
    for label in ("RNN h", "LSTM h", "LSTM c", "GRU h"):
        assert sum(line.strip().startswith(label) for line in lines) == 1
    assert re.search(r"update 3 of 3: RNN \d\.\d\d LSTM \d\.\d\d GRU \d\.\d\d bits .*unigrams \d\.\d\d, bigrams", err)


def on_a_terminal(words: list[str], columns: int = 80) -> str:
    """What a terminal of so many columns gets to see."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    seen = b""
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, stdin=theirs, env=environment):
        os.close(theirs)
        while True:
            try:
                read = os.read(ours, 4096)
            except OSError:  # Linux: the other side has gone
                break
            if not read:
                break
            seen += read
    os.close(ours)
    return seen.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_on_a_terminal_there_is_a_bar_and_bold_headings(book: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rnn", *SMALL, "--text", str(book), "--out", str(tmp_path / "out")]
    seen = on_a_terminal(words)
    bar = r"100 %\|█+\| 00:00  RNN \d\.\d\d LSTM \d\.\d\d GRU \d\.\d\d bits, n-grams \d\.\d\d \d\.\d\d \d\.\d\d"
    assert re.search(bar, seen)
    assert "\033[1mBits per held-out character" in seen
    assert "update 3 of 3" not in seen


def test_quiet_says_nothing_but_the_results(book: Path, tmp_path: Path) -> None:
    done = run(*SMALL, "--text", str(book), "--out", str(tmp_path / "out"), "--cells", "rnn", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert "RNN h" in done.stdout


@pytest.mark.parametrize(("variable", "bold"), [("", True), ("1", False)])
def test_headings_are_bold_on_a_terminal_unless_somebody_objects(
    monkeypatch: pytest.MonkeyPatch, variable: str, bold: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    text = "Bits per held-out character (lower is better)\n  LSTM 2.0"
    assert ("\033[1m" in command._emphasised(text)) is bold
    assert command._emphasised(text).replace("\033[1m", "").replace("\033[0m", "") == text


def test_off_a_terminal_nothing_is_bold(capsys: pytest.CaptureFixture[str]) -> None:
    assert command._emphasised("Bits per held-out character") == "Bits per held-out character"


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    helped = capsys.readouterr().out
    for option in ("--text", "--out", "--cells", "--hidden", "--steps", "--updates", "--seed", "--quick", "--quiet"):
        assert option in helped
    assert "examples:" in helped
    with pytest.raises(SystemExit, match="0"):
        command.main(["--version"])
    assert capsys.readouterr().out.split() == ["minigrad-rnn", mg.__version__]


def test_the_defaults_are_as_the_issue_has_them() -> None:
    options = command._parser().parse_args([])
    settings = command._settings(options)
    assert (options.out, options.text, settings.cells, settings.seed) == ("rnn-report", None, CELLS, 0)
    assert command._command(options) == "python -m rnn"


def test_quick_gives_way_to_what_is_said() -> None:
    settings = command._settings(command._parser().parse_args(["--quick", "--hidden", "9", "--cells", "gru", "rnn"]))
    assert (settings.hidden, settings.steps, settings.cells) == (9, command.QUICK["steps"], ("rnn", "gru"))


def test_the_command_of_a_report_makes_it_again() -> None:
    words = ["--text", "/a/place/my book.txt", "--quick", "--cells", "lstm", "--seed", "3", "--out", "x", "--quiet"]
    assert command._command(command._parser().parse_args(words)) == (
        "python -m rnn --text 'my book.txt' --quick --cells lstm --seed 3"
    )


# ---------------------------------------------------------------------------------------------- what it cannot do


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cells", "lstn"], "argument --cells: invalid choice: 'lstn'"),
        (["--hidden", "0"], "argument --hidden: 0 is too small, the least is 1"),
        (["--steps", "1"], "argument --steps: 1 is too small, the least is 2"),
        (["--updates", "0"], "argument --updates: 0 is too small, the least is 1"),
        (["--seed", "-1"], "argument --seed: -1 is too small, the least is 0"),
        (["--hidden", "many"], "argument --hidden: invalid whole_number value: 'many'"),
        (["--speed"], "unrecognized arguments: --speed"),
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read '.*t\.txt': no such file or directory"),
        (b"", r"t\.txt is empty: there is nothing to learn from"),
        (b"zzz", r"t\.txt holds one symbol only, 'z': there is nothing to predict"),
        (b"ab", r"t\.txt has 2 characters, and windows of 6 steps need at least 14: one window to train on and one to hold out"),
        (b"\x80abc", r"t\.txt is no text that can be read: byte 0 is no UTF-8 \(invalid start byte\); save it as UTF-8"),
    ],
)
def test_a_bad_text_is_one_line_and_writes_nothing(
    tmp_path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "t.txt").write_bytes(content)
    out = tmp_path / "out"
    assert command.main([*SMALL, "--text", str(tmp_path / "t.txt"), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert re.fullmatch(f"python -m rnn: {message}[^\n]*\n", printed.err)
    assert printed.out == ""
    assert not out.exists()


def test_a_folder_with_other_peoples_files_is_refused(
    tmp_path: Path, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert command.main([*SMALL, "--text", str(book), "--out", str(tmp_path)]) == 1
    assert "holds files that are not of a report (thesis.tex); nothing was written" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize(("place", "message"), [("file", "it is a file, no folder"), ("file/below", "not a directory")])
def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, book: Path, place: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert command.main([*SMALL, "--text", str(book), "--out", str(tmp_path / place)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("package", ["matplotlib", "tqdm", "threadpoolctl"])
def test_a_missing_extra_is_named_before_anything_is_done(
    package: str, tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert command.main([*SMALL, "--text", str(book), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert f"needs the package {package!r}; install it with: pip install 'minigrad-rnn[study]'" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_a_layout_program_the_drawings_are_dot(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(*_: Any) -> bytes:
        raise missing_extra("pygraphviz", "draw", "drawing SVG")

    original = mg.drawing.Drawing.to
    monkeypatch.setattr(mg.drawing.Drawing, "to", lambda self, form: original(self, form) if form == "dot" else nothing())
    out = tmp_path / "out"
    assert command.main([*SMALL, "--text", str(book), "--out", str(out), "--cells", "gru", "--quiet"]) == 0
    error = capsys.readouterr().err
    assert "the cells are written as DOT instead of being drawn" in error
    assert "minigrad-rnn[draw]" in error
    assert error.count("\n") == 1
    assert (out / "cell_gru.dot").read_text(encoding="utf-8").startswith("digraph")
    assert 'href="backward_gru.dot"' in (out / "index.html").read_text(encoding="utf-8")


def test_a_closed_pipe_is_no_traceback(tmp_path: Path, book: Path) -> None:
    words = [sys.executable, "-m", "rnn", *SMALL, "--text", str(book), "--out", str(tmp_path / "out"), "--cells", "rnn"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == command.BROKEN_PIPE
    assert "Traceback" not in error
    assert "Exception" not in error
    assert (tmp_path / "out" / "index.html").exists()


def test_nobody_listening_to_the_progress_does_not_lose_the_report(tmp_path: Path, book: Path) -> None:
    words = [sys.executable, "-m", "rnn", *SMALL, "--text", str(book), "--out", str(tmp_path / "out"), "--cells", "rnn"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        assert "RNN h" in process.stdout.read()
    assert process.returncode == 0
    assert (tmp_path / "out" / "index.html").exists()


# --------------------------------------------------------------------------------------------------------- Ctrl-C


def interrupted_after(rounds: int) -> Any:
    original = command.train

    def train(*arguments: Any) -> Iterator[Any]:
        for i, study in enumerate(original(*arguments)):
            yield study
            if i == rounds:
                signal.raise_signal(signal.SIGINT)

    return train


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "train", interrupted_after(2))
    out = tmp_path / "out"
    assert command.main([*SMALL, "--text", str(book), "--out", str(out), "--cells", "rnn", "gru"]) == 130
    printed = capsys.readouterr()
    assert "interrupted: writing the report of 2 updates" in printed.err
    assert "stopped after 2 of 3 updates; for all of them: python -m rnn --text" in printed.err
    assert "Training was stopped after 2 of 3 updates." in " ".join(printed.out.split())
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["updates"] == 2
    assert [len(results["cells"][name]["curve"]) for name in ("rnn", "gru")] == [3, 3]
    assert "2 of 3" in (out / "index.html").read_text(encoding="utf-8")


def test_ctrl_c_before_anything_is_done_leaves_nothing(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "train", interrupted_after(0))
    assert command.main([*SMALL, "--text", str(book), "--out", str(tmp_path / "out")]) == 130
    assert "interrupted: nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_during_the_report_leaves_the_earlier_one(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "out", [*SMALL, "--text", str(book), "--out", str(tmp_path / "out"), "--cells", "rnn"]
    assert command.main(words) == 0
    before = contents(out)
    monkeypatch.setattr(command, "measure", lambda study: signal.raise_signal(signal.SIGINT))
    assert command.main([*words, "--seed", "4"]) == 130
    assert contents(out) == before


# ------------------------------------------------------------------------------------------------ the output folder


def test_an_earlier_report_is_replaced_as_a_whole(tmp_path: Path) -> None:
    OutputFolder(str(tmp_path / "out")).write({"a.txt": b"1", "b.txt": b"2"})
    OutputFolder(str(tmp_path / "out")).write({"b.txt": b"3", "c.txt": b"4"})
    found = contents(tmp_path / "out")
    assert found.pop(MARKER).splitlines()[1:] == [b"b.txt", b"c.txt"]
    assert found == {"b.txt": b"3", "c.txt": b"4"}


def test_a_file_added_to_a_report_is_nobodys_to_overwrite(tmp_path: Path) -> None:
    OutputFolder(str(tmp_path / "out")).write({"a.txt": b"1"})
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="notes.txt"):
        OutputFolder(str(tmp_path / "out"))
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"1"


def test_a_file_that_comes_while_training_is_not_overwritten(tmp_path: Path) -> None:
    folder = OutputFolder(str(tmp_path / "out"))
    (tmp_path / "out" / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="index.html"):
        folder.write({"index.html": b"ours"})
    assert (tmp_path / "out" / "index.html").read_text() == "mine"


def test_a_list_that_was_tampered_with_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    OutputFolder(str(tmp_path / "out")).write({"a.txt": b"1"})
    marker = tmp_path / "out" / MARKER
    marker.write_text(marker.read_text() + "../precious.txt\n")
    OutputFolder(str(tmp_path / "out")).write({"b.txt": b"2"})
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = OutputFolder(str(tmp_path / "out"))
    folder.write({"a.txt": b"1"})

    def failing(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OutputError, match="no space left on device"):
        folder.write({"a.txt": b"2"})
    assert {name: data for name, data in contents(tmp_path / "out").items() if name != MARKER} == {"a.txt": b"1"}


def test_a_folder_made_in_vain_is_removed_again(tmp_path: Path) -> None:
    OutputFolder(str(tmp_path / "new")).discard()
    (tmp_path / "old").mkdir()
    OutputFolder(str(tmp_path / "old")).discard()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_the_default_text_needs_no_file() -> None:
    assert command.load(None).name == DEFAULT_NAME
    assert math.isclose(sum(command.load(None).ids[:3]), sum(command.load().ids[:3]))
