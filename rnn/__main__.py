"""`python -m rnn`: three cells learn a text, and show where their gradients go. See `python -m rnn --help`."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import time
from dataclasses import replace
from typing import Any, TextIO

import minigrad as mg
from minigrad.errors import MinigradError, missing_extra

from .experiment import CELLS, QUICK, Settings, Study, measure, train
from .figures import require_matplotlib
from .findings import NGRAMS
from .output import OutputFolder
from .report import HEADINGS, build, summary
from .text import Text, load

__all__ = ["main"]

PROGRAM = "python -m rnn"
EVERY = 5.0  # seconds between two lines of progress where there is no terminal
INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell reports them

DESCRIPTION = """\
Train a vanilla RNN, an LSTM and a GRU on a text, character by character, and measure how far back the gradient of
their loss reaches, before training and after. Writes an article with figures (index.html), the drawings, the
generated code and the numbers to a folder, and what was found to standard output.
"""
EXAMPLES = f"""\
examples:
  {PROGRAM}                              on the help topics that come with Python; a minute or two
  {PROGRAM} --quick                      the same, smaller: some seconds
  {PROGRAM} --text book.txt --out book   on a text of your own (UTF-8, the longer the better)
  {PROGRAM} --cells lstm gru --steps 100

The same options and seed give the same files on the same machine. Ctrl-C stops training and reports what is done.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 for what cannot be done, 2 for wrong usage, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a file name that the terminal cannot show is no reason to fail
    try:
        code = _run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _say("interrupted: nothing was written")
        return INTERRUPTED
    except BrokenPipeError:
        _silence(sys.stdout)  # whoever read our output has gone
        return BROKEN_PIPE
    except (MinigradError, OSError) as error:
        _say(str(error))
    except MemoryError:
        _say(f"out of memory with --hidden {options.hidden} and --steps {options.steps}; take fewer")
    return 1


def _say(text: str) -> None:
    try:
        print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        _silence(sys.stderr)  # nobody listens to what we say on the way; the report is wanted all the same


def _silence(stream: TextIO) -> None:
    """From here on, drop what is written, also what is still to be flushed at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --------------------------------------------------------------------------------------------------------- options


def _whole(least: int) -> Any:
    def whole_number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small, the least is {least}")
        return value

    return whole_number


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=PROGRAM, description=DESCRIPTION, epilog=EXAMPLES, formatter_class=form)
    add = parser.add_argument
    add("--text", metavar="FILE", help="a UTF-8 text to learn (default: the help topics that come with Python)")
    add("--out", metavar="DIR", default="rnn-report", help="folder for the report (default: %(default)s); an earlier"
        " report in it is replaced, a folder with anything else in it is refused")  # fmt: skip
    add("--cells", nargs="+", choices=list(CELLS), metavar="CELL",
        help=f"which cells, of {', '.join(CELLS)} (default: all)")  # fmt: skip
    add("--hidden", type=_whole(1), metavar="N", help=f"hidden units of each cell (default: {default.hidden})")
    add("--steps", type=_whole(2), metavar="N", help=f"characters in a window: how far back training looks, and over"
        f" how many steps gradients are followed (default: {default.steps})")  # fmt: skip
    add("--updates", type=_whole(1), metavar="N", help=f"how long each cell is trained (default: {default.updates:,})")
    add("--seed", type=_whole(0), metavar="N", help=f"for everything random (default: {default.seed})")
    quick = ", ".join(f"{key} {QUICK[key]}" for key in ("hidden", "steps", "updates"))
    add("--quick", action="store_true", help=f"smaller and shorter, unless said otherwise: {quick}")
    add("--quiet", action="store_true", help="no progress on standard error")
    add("--version", action="version", version=f"minigrad-rnn {mg.__version__}")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    given = {key: getattr(options, key) for key in ("hidden", "steps", "updates", "seed")}
    chosen = {**(QUICK if options.quick else {}), **{key: value for key, value in given.items() if value is not None}}
    cells = tuple(name for name in CELLS if options.cells is None or name in options.cells)
    return replace(Settings(), cells=cells, **chosen)


def _command(options: argparse.Namespace) -> str:
    """What gives the same report again; where it goes and where the text lies is not part of it."""
    words = PROGRAM.split()
    words += ["--text", os.path.basename(options.text)] if options.text else []
    words += ["--quick"] if options.quick else []
    words += ["--cells", *options.cells] if options.cells else []
    for key in ("hidden", "steps", "updates", "seed"):
        value = getattr(options, key)
        words += [f"--{key}", str(value)] if value is not None else []
    return shlex.join(words)


# ------------------------------------------------------------------------------------------------------------- run


def _run(options: argparse.Namespace) -> int:
    require_matplotlib()
    settings, text = _settings(options), load(options.text)
    text.split(settings.steps)  # raises where the text is too short, before anything is written
    with _one_thread():
        return _report(options, settings, text, OutputFolder(options.out))


def _one_thread() -> Any:
    """Products on one thread: these are so small that more only get in each other's way, and on a busy machine that
    costs ten times the time."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        raise missing_extra("threadpoolctl", "study", "training") from None
    return threadpool_limits(limits=1)


def _report(options: argparse.Namespace, settings: Settings, text: Text, folder: OutputFolder) -> int:
    try:
        study, stopped = _train(text, settings, options.quiet)
        if stopped:
            _say(f"interrupted: writing the report of {study.updates:,} updates (Ctrl-C again gives it up)")
        elif not options.quiet:
            _say("measuring gradients and writing the report")
        study = measure(study)
        files, notes = build(study, _command(options))
        folder.write(files)
    except BaseException:
        folder.discard()
        raise
    for note in notes:
        _say(note)
    print(_emphasised(summary(study)))
    print(f"\nThe article: {os.path.join(options.out, 'index.html')}")
    if stopped:
        _say(f"stopped after {study.updates:,} of {settings.updates:,} updates; for all of them: {_command(options)}")
    return INTERRUPTED if stopped else 0


def _train(text: Text, settings: Settings, quiet: bool) -> tuple[Study, bool]:
    """The study after training, or after the last round that was finished before Ctrl-C; and whether that came."""
    study: Study | None = None
    progress = _Progress(settings, quiet)
    try:
        for study in train(text, settings):
            progress.show(study)
    except KeyboardInterrupt:
        if study is None or study.updates == 0:
            raise
        return study, True
    finally:
        progress.close()
    assert study is not None
    return study, False


class _Progress:
    """Progress on standard error: a bar on a terminal, else a line now and then."""

    def __init__(self, settings: Settings, quiet: bool) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            raise missing_extra("tqdm", "study", "progress") from None
        form = "{percentage:3.0f} %|{bar:6}| {remaining}  {desc}"  # 80 columns with three cells
        self.bar = tqdm(total=settings.updates, disable=True if quiet else None, bar_format=form, dynamic_ncols=True)
        self.plain, self.total, self.said = self.bar.disable and not quiet, settings.updates, -EVERY

    def show(self, study: Study) -> None:
        cells = " ".join(f"{cell.label} {cell.held_out:.2f}" for cell in study.cells)
        if self.plain and (time.monotonic() - self.said >= EVERY or study.updates == self.total):
            self.said = time.monotonic()
            ngrams = ", ".join(f"{name} {bits:.2f}" for name, bits in zip(NGRAMS, study.entropies, strict=True))
            _say(f"update {study.updates:,} of {self.total:,}: {cells} bits per held-out character ({ngrams})")
        elif not self.bar.disable:
            ngrams = " ".join(f"{bits:.2f}" for bits in study.entropies)
            self.bar.set_description_str(f"{cells} bits, n-grams {ngrams}", refresh=False)
            self.bar.update(study.updates - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def _emphasised(text: str) -> str:
    """The summary, with bold headings where a terminal shows it and nobody objects (https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return "\n".join(f"\033[1m{line}\033[0m" if line.startswith(HEADINGS) else line for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
