"""The README's examples run and print what it says they print; so do the scripts in `examples/`."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MEGABYTES = re.compile(r"\b([\d.]+) MB\b")  # what is measured, and depends a little on NumPy
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


class Block(NamedTuple):
    """A block of Python in the README: the line it starts at, its code, and what the README says it prints."""

    line: int
    code: str
    printed: str | None


def blocks() -> list[Block]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, re.DOTALL | re.MULTILINE)
    return [Block(text[: match.start()].count("\n") + 2, match[1], match[2]) for match in found]


def run(path: pathlib.Path, folder: pathlib.Path) -> str:
    """What a script prints, run in a folder of its own; warnings are errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(path)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_five_examples_and_some_say_what_they_print() -> None:
    assert len(blocks()) >= 5
    assert sum(block.printed is not None for block in blocks()) >= 3


@pytest.mark.parametrize("block", blocks(), ids=lambda block: f"line{block.line}")
def test_examples_of_the_readme(block: Block, tmp_path: pathlib.Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(block.code, encoding="utf-8")
    printed = run(script, tmp_path)
    if block.printed is not None:
        assert MEGABYTES.sub("# MB", printed) == MEGABYTES.sub("# MB", block.printed)
        measured, said = ([float(number) for number in MEGABYTES.findall(text)] for text in (printed, block.printed))
        assert measured == pytest.approx(said, rel=0.3)


def test_commands_print_what_the_readme_says(tmp_path: pathlib.Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```sh\n(python -m minigrad .*)\n```\n\n```text\n((?:[^`].*\n)*)```\n", text, re.MULTILINE)
    assert found
    for line, said in found:
        printed = ""
        for command in line.split(" && "):
            words = [sys.executable, *command.split()[1:]]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
            printed += subprocess.run(
                words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, encoding="utf-8", timeout=120, check=True
            ).stdout
        # an error from rounding has no digits that could be promised
        assert _without_numbers(printed) == _without_numbers(said)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d\.\de-\d+", "#", text)


def test_the_two_commands_are_one_line_each() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line.startswith("python3 -m venv ")]
    assert [line.rpartition(" -m ")[2] for line in commands] == ["rnn", "pytest"]
    assert all("pip install" in line and "&&" in line for line in commands)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_scripts(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert len(run(path, tmp_path).splitlines()) > 5
    text = path.read_text(encoding="utf-8")
    assert f"python examples/{path.name}" in text
    assert path.name in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_picture_in_the_readme_is_the_one_that_the_script_draws(tmp_path: pathlib.Path) -> None:
    (shown,) = re.findall(r"!\[.*\]\((.*)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    run(ROOT / "examples" / "gate.py", tmp_path)
    drawn = tmp_path / pathlib.Path(shown).name
    # where things stand is up to the layout program and its fonts; what stands there is not
    words = [
        sorted(re.findall(r"<text.*?>(.*?)</text>", path.read_text(encoding="utf-8"))) for path in (ROOT / shown, drawn)
    ]
    assert words[0] == words[1]
    assert "d_w_h" in words[0]


def test_there_are_scripts() -> None:
    assert {"derive_and_read_bptt", "gate", "moving_average", "where_gradients_go"} <= {path.stem for path in EXAMPLES}
