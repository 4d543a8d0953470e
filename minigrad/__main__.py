"""`python -m minigrad source`: a function's gradient, or a cell's, as a module of NumPy that explains itself."""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from . import __version__
from .errors import GradientCheckError, MinigradError
from .pytree import tree_leaves
from .rewrites import PASSES
from .source import write_file
from .textbook import Lesson, write_module

__all__ = ["main"]

PROGRAM = "python -m minigrad"
CELLS = "rnn.textbook"  # where lessons are that have a name: imported only when one is asked for
OURS = f"Written by `{PROGRAM} source"  # in every file that may be written over
SIZES = {"batch": "batch", "input": "inputs", "hidden": "units", "steps": "steps"}  # options, and what they say
WRONG, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141

DESCRIPTION = """\
Write a function that returns one number, and its gradient, as a module that needs nothing but NumPy: named sizes and
results, forward loop, backward loop, gradients, and a self-check against central differences when it is run.
"""
EXAMPLES = f"""\
WHAT is the name of a cell, rnn, lstm or gru, for its backpropagation through time; or a function of yours, as
module:function or path/to/file.py:function, with an example of its arguments.

examples:
  {PROGRAM} source lstm                                   to standard output
  {PROGRAM} source lstm --out bptt.py && python bptt.py
  {PROGRAM} source rnn lstm gru --out examples/generated  all three, to a folder
  {PROGRAM} source model.py:loss --args "np.ones((3, 2)), rng.normal(size=3), rate=0.5" --by w --out gradient.py

In --args, np is NumPy, rng a seeded generator, and the names of the function's own module are known. Files are
written whole or not at all, and only over what was written by this command.
"""
ABOUT = """\
The value of `{name}` and its gradient, in NumPy alone.

{summary}`d_a` is the gradient by a, for all a.

Written by `{command}`.
Run as a script, it checks the gradient against central differences.
"""


class UsageError(Exception):
    """Something in the command that there is not, or that does not go together."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 where a gradient is wrong, 2 for what cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        _source(options)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except GradientCheckError as error:
        return _failed(error, WRONG)
    except (UsageError, MinigradError) as error:
        return _failed(error, USAGE)


def _failed(error: object, code: int) -> int:
    print(f"{PROGRAM} source: {'; '.join(line.strip() for line in str(error).splitlines())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Tools of minigrad.")
    parser.add_argument("--version", action="version", version=f"minigrad-rnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    source = commands.add_parser("source", help="a gradient as a module of NumPy that explains itself",
                                 description=DESCRIPTION, epilog=EXAMPLES, formatter_class=form)  # fmt: skip
    add = source.add_argument
    add("what", nargs="+", metavar="WHAT", help="rnn, lstm, gru, module:function or file.py:function")
    add("--out", metavar="PATH", help="a file, or a folder for files named after what they hold (default: standard"
        " output)")  # fmt: skip
    add("--args", metavar="EXAMPLE", help="arguments of the function, as they would stand in a call of it")
    add("--by", nargs="+", metavar="NAME", help="the arguments to differentiate by (default: all with floats)")
    for name in SIZES:
        add(f"--{name}", type=_size, metavar="N", help=f"{SIZES[name]} in a cell's self-check; its code takes any")
    add("--dtype", choices=["float32", "float64"], help="of a cell (default: float64)")
    choice = source.add_mutually_exclusive_group()
    choice.add_argument("--fast", action="store_true", help="as it is run, with all rewrites; not as it is best read")
    choice.add_argument("--without", nargs="+", choices=list(PASSES), metavar="REWRITE", help="as it is run without"
                        f" these rewrites, of {', '.join(PASSES)}")  # fmt: skip
    add("--force", action="store_true", help="write over whatever file is there")
    return parser


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


# ------------------------------------------------------------------------------------------------------------ source


def _source(options: argparse.Namespace) -> None:
    lessons = [_lesson(what, options) for what in options.what]
    paths = [_path(options.out, lesson, len(lessons) > 1, options.force) for lesson in lessons]
    without = () if options.fast else options.without
    texts = [write_module(lesson, without) for lesson in lessons]
    for path, text in zip(paths, texts, strict=True):
        if path is None:
            print(text, end="")
            continue
        try:
            write_file(path, text.encode())
        except OSError as error:
            raise UsageError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _path(out: str | None, lesson: Lesson, several: bool, force: bool) -> str | None:
    if out is None:
        if several:
            raise UsageError("several modules need a folder to go to: --out FOLDER")
        return None
    if several and not os.path.isdir(out):
        raise UsageError(f"several modules need a folder to go to, and {out} is none")
    path = os.path.join(out, f"{lesson.name}.py") if os.path.isdir(out) else out
    if os.path.exists(path) and not force and not _is_ours(path):
        raise UsageError(f"{path} is there, and was not written by this command; --force writes over it")
    return path


def _is_ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return OURS in file.read()
    except (OSError, UnicodeDecodeError):
        return False


def _lesson(what: str, options: argparse.Namespace) -> Lesson:
    for_cells = {name: getattr(options, name) for name in (*SIZES, "dtype") if getattr(options, name) is not None}
    if ":" in what:
        if for_cells:
            raise UsageError(f"--{next(iter(for_cells))} is for cells; the example of a function says it in --args")
        return _lesson_of_function(what, options)
    cells = importlib.import_module(CELLS)
    if what not in cells.LESSONS:
        known = ", ".join(cells.LESSONS)
        function = "a function is module:function or file.py:function"
        raise UsageError(f"no cell is called {what!r}, there are {known}; {function}")
    if options.args is not None or options.by is not None:
        raise UsageError(f"--args and --by are for functions; {what} is a cell")
    dtype = for_cells.pop("dtype", "float64")
    command = _command(options, what)
    sizes = {**cells.SIZES, **{SIZES[name]: value for name, value in for_cells.items()}}
    lesson: Lesson = cells.LESSONS[what](sizes, dtype, command)
    return lesson


def _command(options: argparse.Namespace, what: str) -> str:
    """What writes the same text again; where it goes is no part of it."""
    words = [*PROGRAM.split(), "source", what]
    for name in ("args", "by", *SIZES, "dtype", "without"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name}", *(value if isinstance(value, list) else [str(value)])]
    return shlex.join(words + ["--fast"] * options.fast)


def _lesson_of_function(what: str, options: argparse.Namespace) -> Lesson:
    target, _, name = what.rpartition(":")
    module = _module(target)
    try:
        function = functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        raise UsageError(f"{target} has no function {name!r}") from None
    if not callable(function):
        raise UsageError(f"{name} in {target} is no function, but {type(function).__name__}")
    arguments = _arguments(function, name, module, options.args)
    by = options.by or [key for key, value in arguments.items() if _has_floats(value)]
    for key in by:
        if key not in arguments:
            raise UsageError(f"{name} has no argument {key!r}, only {', '.join(arguments)}")
        if not _has_floats(arguments[key]):
            raise UsageError(f"there is nothing to differentiate by in {key}: it holds no float")
    if not by:
        raise UsageError(f"the example of {name} holds no float, so there is nothing to differentiate by")
    signature = inspect.signature(function)

    def called(**values: Any) -> Any:
        bound = inspect.BoundArguments(signature, values)
        try:
            return function(*bound.args, **bound.kwargs)
        except MinigradError:
            raise
        except Exception as error:
            raise UsageError(f"{what} fails on its example: {_of(error)}") from None

    short = re.sub(r"\W", "_", name)
    summary = (inspect.getdoc(function) or "").split("\n\n")[0]
    return Lesson(f"{short}_and_gradient", called, arguments, by, ABOUT.format(
        name=name, summary=f"{summary}\n\n" if summary else "", command=_command(options, what)
    ))  # fmt: skip


def _module(target: str) -> ModuleType:
    try:
        if not target.endswith(".py"):
            return importlib.import_module(target)
        name = os.path.splitext(os.path.basename(target))[0]
        spec = importlib.util.spec_from_file_location(name, target)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        sys.path.insert(0, os.path.dirname(os.path.abspath(target)))
        spec.loader.exec_module(module)
        return module
    except Exception as error:  # whatever a module does when it is imported
        raise UsageError(f"cannot import {target}: {_of(error)}") from None


def _arguments(function: Callable[..., Any], name: str, module: ModuleType, example: str | None) -> Mapping[str, Any]:
    """The example's arguments by name; where a function has a value for each by itself, none has to be given."""
    known = {**vars(module), "np": np, "rng": np.random.default_rng(0), "_call": lambda *args, **kwargs: (args, kwargs)}
    try:
        args, kwargs = eval(f"_call({example or ''})", known)
    except Exception as error:
        raise UsageError(f"--args {example!r} cannot be read: {_of(error)}") from None
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        instead = "" if example else f"; give an example of them: --args '...', as in {name}(...)"
        raise UsageError(f"{name}: {error}{instead}") from None
    bound.apply_defaults()
    return bound.arguments


def _has_floats(value: Any) -> bool:
    return any(np.asarray(leaf).dtype.kind == "f" for leaf in tree_leaves(value))


def _of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
