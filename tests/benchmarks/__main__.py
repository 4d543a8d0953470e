"""`python -m tests.benchmarks`: how fast compiled cells are. See `python -m tests.benchmarks --help`."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.errors import MinigradError
from rnn.output import OutputFolder

from . import contestants, costs, report, timing
from .handwritten.textbook import TEXTBOOK
from .problems import GATES, SIZES, Contestant, Problem

__all__ = ["main"]

PROGRAM = "python -m tests.benchmarks"
PEERS = [name for name in contestants.CONTESTANTS if name != "handwritten"]
USUAL_PEERS = [name for name in PEERS if name not in ("unrolled", "textbook")]
COSTS = ("calls", "memory", "startup", "compile", "checkpoint")
TOLERANCE = 1e-4  # of gradients in float32, relative to the largest entry of each
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell reports them

DESCRIPTION = """\
Times the gradient of sum(h_T ** 2) by all weights of an RNN, an LSTM and a GRU, in float32. Contestants take turns in
one process; each number is a multiple of the time of NumPy written by hand (tests/benchmarks/handwritten) in the same
round: the median, and half the range between the quartiles. Everybody's gradients are compared before they are timed.
"""
EXAMPLES = f"""\
sizes (batch, inputs, hidden, steps):
{chr(10).join(f"  {name:<8} {tuple(size)}" for name, size in SIZES.items())}

peers:
  products   the matrix products of the yardstick alone: the floor
  minigrad   a cell from primitives in rnn.scan, compiled       unrolled    the same in rnn.unroll
  usual      by hand, tuned in the usual way                    textbook    by hand, not tuned
  torch      PyTorch's own layer                                torch-cell  PyTorch, a cell of primitives
  jax        jit of lax.scan, a cell of primitives              autograd    HIPS autograd, a cell of primitives
  Those that are not installed are left out, with a word.

examples:
  {PROGRAM}                                       both passes, all cells and sizes; some minutes
  {PROGRAM} --cells lstm --sizes tiny small --peers minigrad products
  {PROGRAM} --what forward steps --out results    and write tables, JSON and a figure
  {PROGRAM} --what startup compile memory calls   what is paid once

Other work on the machine spoils every number. Where the system allows it, the process keeps to as many processor cores
as it has threads, so that nobody gets more.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 for what cannot be done or is wrong, 130 after Ctrl-C, which writes
    what was measured until then."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has gone
        return BROKEN_PIPE
    except (MinigradError, OSError, RuntimeError) as error:
        _say(str(error))
        return 1


def _say(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=PROGRAM, description=DESCRIPTION, epilog=EXAMPLES, formatter_class=form)
    add = parser.add_argument
    add("--cells", nargs="+", choices=list(GATES), default=list(GATES), metavar="CELL",
        help=f"of {', '.join(GATES)} (default: all)")  # fmt: skip
    add("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES), metavar="SIZE",
        help=f"of {', '.join(SIZES)} (default: all)")  # fmt: skip
    add("--what", nargs="+", choices=[*contestants.WHAT, *COSTS], default=["both"], metavar="WHAT",
        help="both: loss and gradients (default); forward: the loss alone; steps: inference, one step at a time;"
        " calls: NumPy calls a step; memory: peak of both passes; startup: process start to first gradient;"
        " compile: the first call by the number of steps; checkpoint: an LSTM of 1,000,000 steps")  # fmt: skip
    add("--peers", nargs="*", choices=PEERS, default=USUAL_PEERS, metavar="PEER",
        help=f"who else takes part (default: {' '.join(USUAL_PEERS)})")  # fmt: skip
    add("--seconds", type=float, default=1.0, metavar="S",
        help="for each contestant at each cell and size (default: %(default)s; five rounds at least)")  # fmt: skip
    add("--clock", choices=list(CLOCKS), default="wall",
        help="wall (default), or cpu: processor time of all threads, where a busy machine disturbs less")  # fmt: skip
    add("--threads", type=int, default=1, metavar="N", help="for matrix products (default: %(default)s)")
    add("--out", metavar="DIR", help="write benchmarks.md, .json and, with matplotlib, .svg to this folder")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.threads < 1:
        raise RuntimeError(f"--threads is at least 1, got {options.threads}")
    folder = OutputFolder(options.out) if options.out else None
    names = _take_part(options.peers)
    with _keep_to_cores(options.threads), contestants.limit_threads(options.threads):
        machine = {**_machine(names, options.threads), "clock": options.clock}
        print("\n".join(f"{key}: {value}" for key, value in machine.items()), end="\n\n", flush=True)
        times: list[dict[str, Any]] = []
        others: dict[str, Any] = {}
        try:
            _time_all(options, names, times)
            _cost_all(options, names, others)
            code = 0
        except KeyboardInterrupt:
            _say("interrupted")
            code = INTERRUPTED
    if folder and (times or others):
        for path in folder.write(report.files(machine, times, names, others)):
            _say(f"wrote {path}")
    elif folder:
        folder.discard()
    return code


def _take_part(peers: Sequence[str]) -> list[str]:
    names = []
    for name in peers:
        reason = contestants.available(name)
        if reason:
            _say(f"{name} is left out: {reason}")
        else:
            names.append(name)
    return names


@contextlib.contextmanager
def _keep_to_cores(threads: int) -> Iterator[None]:
    """This process, and those that it starts, on as many cores as threads, until the end."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}")
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        if cores:
            os.sched_setaffinity(0, sorted(cores)[-threads:])  # the first is everybody else's favourite
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        if cores:
            os.sched_setaffinity(0, cores)


def _machine(names: Sequence[str], threads: int) -> dict[str, str]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "versions": ", ".join(f"{package} {version}" for package, version in contestants.versions(list(names)).items()),
        "blas": f"{blas['name']} {blas['version']}, threads: {threads}",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# ------------------------------------------------------------------------------------------------------------ times


def _time_all(options: argparse.Namespace, names: Sequence[str], rows: list[dict[str, Any]]) -> None:
    kinds = [what for what in contestants.WHAT if what in options.what]
    work = [(what, size, cell) for what in kinds for size in options.sizes for cell in options.cells]
    if work:
        print(report.heading(names), flush=True)
    with _progress(len(work)) as done:
        for what, size, cell in work:
            row = _time(what, size, cell, names, options)
            done.write(report.line_of(row, names), file=sys.stdout)
            done.update()
            rows.append(row)
    print(flush=True)


def _time(what: str, size: str, cell: str, names: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """One line of the table: everybody who does this work, compared and timed."""
    problem = Problem(cell, SIZES[size])
    taking_part = ["handwritten", *[name for name in names if what not in contestants.ABSENT.get(name, ())]]
    those = {name: contestants.CONTESTANTS[name](problem) for name in taking_part}
    if what == "both":
        _compare(problem, {name: one for name, one in those.items() if name != "products"})
    calls = {name: getattr(one, what) for name, one in those.items()}
    times = timing.take_turns(calls, options.seconds * len(those), CLOCKS[options.clock])
    by_hand = times["handwritten"]
    return {
        "what": what, "size": size, "cell": cell,
        "seconds": {name: timing.spread(values) for name, values in times.items()},
        "ratios": {name: timing.spread(timing.ratios(times[name], by_hand)) for name in taking_part[1:]},
    }  # fmt: skip


def _compare(problem: Problem, those: dict[str, Contestant]) -> None:
    """Raise RuntimeError where somebody's gradients differ from those of the textbook."""
    gates = {name: {key: a.astype("float64") for key, a in gate.items()} for name, gate in problem.gates.items()}
    _, expected = TEXTBOOK[problem.cell](gates, problem.xs.astype("float64"))
    for name, one in those.items():
        found = one.gradients(one.both())
        for gate, parts in expected.items():
            for key, array in parts.items():
                error = float(np.max(np.abs(found[gate][key] - array)) / np.max(np.abs(array)))
                if not error < TOLERANCE:
                    raise RuntimeError(f"{name}: the gradient by {gate}.{key} of {problem.cell} is off by {error:.1e}")


class _Quiet:
    """What stands in for tqdm where there is none."""

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, text: str, file: Any) -> None:
        print(text, file=file, flush=True)

    def update(self) -> None: ...


def _progress(total: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return _Quiet()
    return tqdm(total=total, disable=None, leave=False, unit="row")


# ------------------------------------------------------------------------------------------------------------ costs


def _cost_all(options: argparse.Namespace, names: Sequence[str], found: dict[str, Any]) -> None:
    work: dict[str, tuple[str, Callable[[], list[dict[str, Any]]]]] = {
        "calls": ("NumPy calls in the loops, per step of both passes", lambda: [
            row for size in options.sizes for cell in options.cells for row in costs.calls_per_step(cell, SIZES[size])
        ]),
        "memory": ("Peak memory of both passes", lambda: [
            row for size in options.sizes for cell in options.cells for row in costs.memory(cell, SIZES[size])
        ]),
        "startup": ("Start-up, LSTM, size small", lambda: costs.start_up(names, 30 * options.seconds)),
        "compile": ("First call, LSTM, size small", lambda: costs.compiling(
            "lstm", (100, 1000, 10_000), (125, 250, 500, 1000), (10, 25) if "jax" in names else ()
        )),
        "checkpoint": ("LSTM(32), batch 1, one gradient", lambda: costs.checkpointed(1_000_000)),
    }  # fmt: skip
    for key, (title, measure) in work.items():
        if key in options.what:
            found[title] = measure()
            print(f"{title}\n\n{report.table(found[title])}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
