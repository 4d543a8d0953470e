"""What is paid once, and what is paid in memory.

    start_up(rounds=7)                     from process start to the first gradient, and what importing takes
    compiling("lstm", (100, 1000))         the first call, by the number of steps
    memory("lstm", SIZES["small"])         peak of one call of both passes
    checkpointed(1_000_000)                a long sequence in little memory
    calls_per_step("lstm", SIZES["tiny"])  NumPy calls inside the loops, read from the source

Each returns rows: dictionaries with the same keys.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import os
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

from . import timing
from .contestants import Handwritten, Minigrad, Unrolled, Usual, available
from .libraries import Jax
from .problems import SIZES, Contestant, Problem, Size

__all__ = ["calls_per_step", "checkpointed", "compiling", "memory", "start_up"]

Row = dict[str, Any]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 1 << 20

# --------------------------------------------------------------------------------------------------------- start-up

_WEIGHTS = """
import numpy as np
rng = np.random.default_rng(0)
xs = rng.standard_normal((100, 16, 32)).astype("float32")
"""
PROGRAMS = {
    "handwritten": f"""{_WEIGHTS}
from tests.benchmarks.handwritten import network
w = rng.uniform(-0.125, 0.125, (4, 97, 64)).astype("float32")
loss, gradients = network("lstm", (16, 32, 64, 100))([w], xs)
""",
    "minigrad": f"""{_WEIGHTS}
import minigrad as mg, rnn
def loss(cell, xs):
    hs, state = rnn.scan(cell, xs)
    return mg.sum(state.h ** 2)
cell = rnn.LSTMCell.init(32, 64, rng, dtype="float32")
value, gradient = mg.compile(mg.value_and_grad(loss))(cell, xs)
""",
    "import numpy": "import numpy",
    "import minigrad, rnn": "import minigrad, rnn",
    "python": "",
}
PEERS = {
    "autograd": f"""{_WEIGHTS}
import autograd, autograd.numpy as anp
def loss(ws):
    h = c = np.zeros((16, 64), "float32")
    for x in xs:
        f, i, g, o = [x @ w[:32] + h @ w[33:] + w[32] for w in ws]
        f, i, o = [0.5 * (anp.tanh(0.5 * z) + 1) for z in (f, i, o)]
        c = f * c + i * anp.tanh(g)
        h = o * anp.tanh(c)
    return anp.sum(h ** 2)
autograd.grad(loss)([rng.uniform(-0.125, 0.125, (97, 64)).astype("float32") for _ in range(4)])
""",
    "torch": f"""{_WEIGHTS}
import torch
h = torch.nn.LSTM(32, 64)(torch.from_numpy(xs))[1][0]
(h ** 2).sum().backward()
""",
    "jax": f"""{_WEIGHTS}
import jax, jax.numpy as jnp
def loss(ws):
    def step(state, x):
        h, c = state
        f, i, g, o = [x @ w[:32] + h @ w[33:] + w[32] for w in ws]
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
    zeros = jnp.zeros((16, 64), "float32")
    return (jax.lax.scan(step, (zeros, zeros), xs)[0][0] ** 2).sum()
ws = [rng.uniform(-0.125, 0.125, (97, 64)).astype("float32") for _ in range(4)]
jax.block_until_ready(jax.jit(jax.grad(loss))(ws))
""",
}


def _output_of(program: str) -> str:
    """What a program prints, in a process of its own."""
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    command, environment = [sys.executable, "-W", "ignore", "-c", program], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a program that should have been measured failed:\n{program}\n{done.stderr}")
    return done.stdout


def start_up(peers: Sequence[str] = (), seconds: float = 30.0) -> list[Row]:
    """From process start to the first gradient of an LSTM at size small, and of imports: the processes take turns."""
    chosen = {**PROGRAMS, **{name: PEERS[name] for name in peers if name in PEERS and not available(name)}}
    times = timing.take_turns({name: functools.partial(_output_of, text) for name, text in chosen.items()}, seconds)
    rows = []
    for name, values in times.items():
        yardstick = times["import numpy" if name.startswith("import") else "handwritten"]
        seconds_taken, ratio = timing.spread(values), timing.spread(timing.ratios(values, yardstick))
        rows.append({"program": name, "seconds": seconds_taken, "ratio": ratio})
    return rows


# -------------------------------------------------------------------------------------------------------- compiling


def compiling(cell: str, scanned: Sequence[int], unrolled: Sequence[int], jax_unrolled: Sequence[int]) -> list[Row]:
    """What is done once, at size small, by the number of steps: "made" is from tracing to the generated source, or to
    what XLA compiled; the first call does that and runs, the second one only runs."""
    rows = []
    kinds: list[tuple[str, Any, Sequence[int]]] = [
        ("minigrad scan", Minigrad, scanned), ("minigrad unrolled", Unrolled, unrolled),
    ]  # fmt: skip
    if not available("jax"):
        kinds += [("jax scan", Jax, scanned), ("jax unrolled", lambda p: Jax(p, unroll=True), jax_unrolled)]
    for name, kind, lengths in kinds:
        for steps in lengths:
            problem = Problem(cell, SIZES["small"]._replace(steps=steps))
            contestant = kind(problem)  # the other one, since some would keep what they made
            made, first, second = (_seconds(call) for call in (kind(problem).make, contestant.both, contestant.both))
            rows.append({"kind": name, "cell": cell, "steps": steps, "made": made, "first": first, "second": second})
    return rows


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# ----------------------------------------------------------------------------------------------------------- memory


def memory(cell: str, size: Size) -> list[Row]:
    """Peak of the arrays of both passes, above weights and inputs: those of a call, and those kept for the next."""
    rows: list[Row] = []
    kinds: dict[str, type[Contestant]] = {"handwritten": Handwritten, "usual": Usual, "minigrad": Minigrad}
    for name, kind in kinds.items():
        problem = Problem(cell, size)
        tracemalloc.start()
        contestant = kind(problem)
        contestant.both()  # what compiling takes is another question
        gc.collect()
        tracemalloc.reset_peak()
        result = contestant.both()
        _, peak = tracemalloc.get_traced_memory()
        objects = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, 0)])
        peak -= sum(trace.size for trace in objects.traces)  # graphs and views are no arrays
        peak -= sum(w.nbytes for w in getattr(contestant, "weights", ()))  # made for this contestant
        tracemalloc.stop()
        del result, contestant
        rows.append({"cell": cell, "size": size, "contestant": name, "MiB": peak / MIB})
    for row in rows:
        row["ratio"] = row["MiB"] / rows[0]["MiB"]
    return rows


_CHECKPOINTED = """
import resource, time
import numpy as np
import minigrad as mg, rnn
steps = {steps}
def loss(cell, xs):
    hs, state = rnn.scan(cell, xs, checkpoint={checkpoint!r})
    return mg.sum(state.h ** 2)
cell = rnn.LSTMCell.init(8, 32, 0, dtype="float32")
gradient = mg.compile(mg.value_and_grad(loss))
gradient(cell, np.zeros((4, 1, 8), "float32"))
xs = np.random.default_rng(0).standard_normal((steps, 1, 8), dtype="float32")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
gradient(cell, xs)
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, (after - before) * 1024, xs.nbytes)
"""


def checkpointed(steps: int, checkpoint: Any = "sqrt") -> list[Row]:
    """LSTM(32), batch 1, float32, in a process of its own: how far its memory grew above input and imports."""
    printed = _output_of(_CHECKPOINTED.format(steps=steps, checkpoint=checkpoint))
    seconds, grown, own = map(float, printed.split())
    row = {"steps": steps, "checkpoint": checkpoint, "seconds": seconds, "MiB": grown / MIB, "MiB of input": own / MIB}
    return [row]


# ------------------------------------------------------------------------------------------------------------ calls

_FREE = {"range", "reversed", "zip", "enumerate", "slice", "len", "list", "tuple"}


class _Calls(ast.NodeVisitor):
    """Counts what a line makes NumPy do: calls, arithmetic, what is written into arrays, and views that are made."""

    def __init__(self, helpers: dict[str, ast.FunctionDef]) -> None:
        self.helpers, self.calls, self.views = helpers, 0, 0

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in self.helpers:
            for line in self.helpers[name].body:
                self.visit(line)
        elif name not in _FREE:
            self.calls += 1
        for part in [*node.args, *[k.value for k in node.keywords]]:
            self.visit(part)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.calls += 1
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.calls += not isinstance(node.operand, ast.Constant)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.calls += 1
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store):
            self.calls += 1
        else:
            self.views += 1
        self.visit(node.value)  # what stands in the index is Python's own arithmetic


def _count(text: str) -> tuple[int, int]:
    """NumPy calls and views in all innermost loops of a module: of one step, forward and backward."""
    tree = ast.parse(textwrap.dedent(text))
    helpers = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    inner = [loop for loop in loops if not any(isinstance(n, ast.For) for line in loop.body for n in ast.walk(line))]
    counter = _Calls(helpers)
    for loop in inner:
        for line in loop.body:
            counter.visit(line)
    return counter.calls, counter.views


def calls_per_step(cell: str, size: Size) -> list[Row]:
    """How many NumPy calls a step of both passes makes, by hand and in the generated source."""
    problem, rows = Problem(cell, size), []
    kind = type(Handwritten(problem).network)
    names = ["__call__", "_backward"]
    if size.batch == 1:
        names.append("_run" if hasattr(kind, "_run") else "forward")
    methods = [textwrap.dedent(inspect.getsource(getattr(kind, name))) for name in names if hasattr(kind, name)]
    contestant = Minigrad(problem)
    texts = {"handwritten": "\n".join(methods), "minigrad": contestant.make()}
    for name, text in texts.items():
        calls, views = _count(text)
        rows.append({"cell": cell, "size": size, "contestant": name, "calls": calls, "views": views})
    return rows
