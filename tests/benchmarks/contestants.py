"""Everybody who can do the work, behind one interface.

    contestant = CONTESTANTS["minigrad"](problem)
    contestant.both()                      loss and gradients, as the library hands them out, waited for
    contestant.forward()                   the loss alone
    contestant.steps()                     a new state, and one step at a time for inference
    contestant.gradients(contestant.both())        as NumPy arrays, gate by gate: to see that all do the same

Other libraries are imported only when they are asked for; `available(name)` says why one cannot be had.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import rnn
from minigrad.errors import missing_extra

from .handwritten import gates_of, network, usual, weights_of
from .handwritten.textbook import TEXTBOOK
from .handwritten.tiles import LIMIT, WHOLE
from .libraries import Autograd, Jax, Torch, TorchCell
from .problems import GATES, STEPS, Array, Contestant, Gates, Problem

__all__ = ["ABSENT", "CONTESTANTS", "NEEDS", "WHAT", "available", "limit_threads", "versions"]

WHAT = ("both", "forward", "steps")
CELLS = {"rnn": rnn.RNNCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell}


def _plain_sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# ------------------------------------------------------------------------------------------------------------ NumPy


class Handwritten(Contestant):
    """NumPy, by hand, as fast as we know how to make it: the yardstick."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.weights = weights_of(problem.cell, problem.gates)
        self.network = self._fastest()

    def _fastest(self) -> Any:
        """Tiles or whole products: which are faster depends on what the BLAS knows of this processor."""
        problem = self.problem
        limits = [LIMIT, WHOLE] if problem.size.batch > 1 else [WHOLE]
        networks = [network(problem.cell, problem.size, problem.dtype, limit) for limit in limits]

        def seconds(one: Any) -> float:
            return min(timeit.repeat(lambda: one(self.weights, problem.xs), number=1, repeat=3))

        return min(networks, key=seconds)

    def both(self) -> Any:
        return self.network(self.weights, self.problem.xs)

    def forward(self) -> Any:
        return self.network.forward(self.weights, self.problem.xs)

    @functools.cached_property
    def stepper(self) -> Any:
        return network(self.problem.cell, (*self.problem.size[:3], 1), self.problem.dtype)

    def steps(self) -> Any:
        self.stepper.start(self.weights)
        for x in self.problem.xs:
            h = self.stepper.step(x)
        return h

    def gradients(self, result: Any) -> Gates:
        return gates_of(self.problem.cell, result[1])


class Products(Handwritten):
    """The matrix products of the yardstick, and nothing else: what is left when all else is free."""

    def both(self) -> Any:
        self.network.products()


class Usual(Contestant):
    """NumPy, by hand, tuned in the usual way."""

    ORDER = {**GATES, "lstm": ("forget", "input", "output", "candidate")}

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        gates = [problem.gates[name] for name in self.ORDER[problem.cell]]
        kinds: dict[str, Any] = {"rnn": usual.RNN, "lstm": usual.LSTM, "gru": usual.GRU}
        self.network = kinds[problem.cell](problem.size, problem.dtype)
        self.weights = [np.concatenate([gate[key] for gate in gates], axis=-1) for key in ("w_x", "w_h", "b")]
        self.weights += [gates[-1]["b_h"]] if problem.cell == "gru" else []

    def both(self) -> Any:
        return self.network(self.weights, self.problem.xs)

    def forward(self) -> Any:
        return self.network.forward(self.weights, self.problem.xs)

    def gradients(self, result: Any) -> Gates:
        names = self.ORDER[self.problem.cell]
        split = [np.split(array, len(names), axis=-1) for array in result[1][:3]]
        gates = {name: dict(zip(("w_x", "w_h", "b"), parts)) for name, *parts in zip(names, *split)}
        if self.problem.cell == "gru":
            gates["candidate"]["b_h"] = result[1][3]
        return gates


class Textbook(Contestant):
    """NumPy, gate by gate, nothing tuned."""

    def both(self) -> Any:
        return TEXTBOOK[self.problem.cell](self.problem.gates, self.problem.xs)

    def forward(self) -> Any:
        return (self.steps() ** 2).sum()

    def steps(self) -> Any:
        step, state = STEPS[self.problem.cell], self.problem.states(dtype=self.problem.dtype)
        for x in self.problem.xs:
            state = step(self.problem.gates, x, state, _plain_sigmoid, np.tanh)
        return state[0]

    def gradients(self, result: Any) -> Gates:
        gates: Gates = result[1]
        return gates


# --------------------------------------------------------------------------------------------------------- minigrad


class Minigrad(Contestant):
    """A cell from primitives, in `rnn.scan`, compiled."""

    run: Callable[..., Any] = staticmethod(rnn.scan)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        gates = {name: rnn.Affine(**gate) for name, gate in problem.gates.items()}
        self.cell = CELLS[problem.cell](**gates)
        self.compiled, self.compiled_forward = mg.compile(mg.value_and_grad(self.loss)), mg.compile(self.loss)
        self.net = rnn.Stateful(self.cell, copy=True)  # the yardstick, too, joins the weights before it steps

    def loss(self, cell: Any, xs: Array) -> Any:
        """sum(h_T ** 2), a node."""
        _, state = self.run(cell, xs)
        return mg.sum((state.h if self.problem.cell == "lstm" else state) ** 2)

    def make(self) -> str:
        """The source of both passes, from the start."""
        return self.compiled.source(self.cell, self.problem.xs)

    def both(self) -> Any:
        return self.compiled(self.cell, self.problem.xs)

    def forward(self) -> Any:
        return self.compiled_forward(self.cell, self.problem.xs)

    def steps(self) -> Any:
        self.net.reset()
        for x in self.problem.xs:
            h = self.net.step(x)
        return h

    def gradients(self, result: Any) -> Gates:
        return {
            gate: {key: array for key, array in vars(getattr(result[1], gate)).items() if array is not None}
            for gate in self.problem.gates
        }


class Unrolled(Minigrad):
    """The same in `rnn.unroll`: every step is in the graph."""

    run: Callable[..., Any] = staticmethod(rnn.unroll)


# --------------------------------------------------------------------------------------------------------- the list

CONTESTANTS: dict[str, Callable[[Problem], Contestant]] = {
    "handwritten": Handwritten,
    "products": Products,
    "minigrad": Minigrad,
    "unrolled": Unrolled,
    "usual": Usual,
    "textbook": Textbook,
    "torch": Torch,
    "torch-cell": TorchCell,
    "jax": Jax,
    "autograd": Autograd,
}
NEEDS = {"torch": "torch", "torch-cell": "torch", "jax": "jax", "autograd": "autograd"}
ABSENT = {  # what a contestant does not take part in
    "products": ("forward", "steps"), "usual": ("steps",), "autograd": ("steps",),
}


def available(name: str) -> str:
    """Why a contestant cannot be had, or nothing."""
    package = NEEDS.get(name)
    return f"{package} is not installed" if package and importlib.util.find_spec(package) is None else ""


def limit_threads(threads: int) -> Any:
    """Every library on as many threads; a context manager. To be called before JAX is imported."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        raise missing_extra("threadpoolctl", "study", "benchmarks") from None
    if not available("torch"):
        importlib.import_module("torch").set_num_threads(threads)
    return threadpool_limits(limits=threads)


def versions(names: list[str]) -> dict[str, str]:
    """Of the packages that the contestants need."""
    packages = ["numpy", *dict.fromkeys(NEEDS[name] for name in names if name in NEEDS)]
    found = importlib.import_module("importlib.metadata")
    return {"minigrad": mg.__version__, **{package: found.version(package) for package in packages}}
