"""Everybody who can do the work, behind one interface.

    contestant = CONTESTANTS["minigrad"](problem)
    contestant.both()                      loss and gradients, as the library hands them out, waited for
    contestant.forward()                   the loss alone
    contestant.steps()                     a new state, and one step at a time for inference
    contestant.gradients(contestant.both())        as NumPy arrays, gate by gate: to see that all do the same

Other libraries are imported only when they are asked for; `available(name)` says why one cannot be had.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import rnn

from .handwritten import gates_of, network, usual, weights_of
from .handwritten.textbook import TEXTBOOK
from .problems import GATES, STEPS, Gates, Problem

__all__ = ["ABSENT", "CONTESTANTS", "NEEDS", "WHAT", "available", "limit_threads", "versions"]

Array = Any
WHAT = ("both", "forward", "steps")
CELLS = {"rnn": rnn.RNNCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell}


class Contestant:
    """One library, or way of writing the work, at one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def both(self) -> Any:
        """Loss and gradients."""
        raise NotImplementedError

    def forward(self) -> Any:
        """The loss."""
        raise NotImplementedError

    def steps(self) -> Any:
        """h after the last step, each taken by itself."""
        raise NotImplementedError

    def gradients(self, result: Any) -> Gates:
        """What `both` returned, as NumPy arrays."""
        raise NotImplementedError


def _plain_sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# ------------------------------------------------------------------------------------------------------------ NumPy


class Handwritten(Contestant):
    """NumPy, by hand, as fast as we know how to make it: the yardstick."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.network = network(problem.cell, problem.size, problem.dtype)
        self.stepper = network(problem.cell, (*problem.size[:3], 1), problem.dtype)
        self.weights = weights_of(problem.cell, problem.gates)

    def both(self) -> Any:
        return self.network(self.weights, self.problem.xs)

    def forward(self) -> Any:
        return self.network.forward(self.weights, self.problem.xs)

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
        kind = {"rnn": usual.RNN, "lstm": usual.LSTM, "gru": usual.GRU}[problem.cell]
        self.network = kind(problem.size, problem.dtype)
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

    run = staticmethod(rnn.scan)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        gates = {name: rnn.Affine(**gate) for name, gate in problem.gates.items()}
        self.cell = CELLS[problem.cell](**gates)
        self.compiled, self.compiled_forward = mg.compile(mg.value_and_grad(self.loss)), mg.compile(self.loss)
        self.net = rnn.Stateful(self.cell)

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
        parts = {gate: vars(getattr(result[1], gate)) for gate in self.problem.gates}
        return {gate: {key: array for key, array in arrays.items() if array is not None} for gate, arrays in parts.items()}


class Unrolled(Minigrad):
    """The same in `rnn.unroll`: every step is in the graph."""

    run = staticmethod(rnn.unroll)


# ---------------------------------------------------------------------------------------------------- other packages


class Torch(Contestant):
    """PyTorch's own layers: nn.RNN, nn.LSTM, nn.GRU."""

    ORDER = {**GATES, "lstm": ("input", "forget", "candidate", "output")}

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.torch = torch = importlib.import_module("torch")
        layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[problem.cell]
        self.net = layer(problem.size.inputs, problem.size.hidden)
        gates = [problem.gates[name] for name in self.ORDER[problem.cell]]
        biases = [np.zeros_like(gate["b"]) for gate in gates[:-1]] + [gates[-1].get("b_h", 0 * gates[-1]["b"])]
        parts = [[gate["w_x"].T for gate in gates], [gate["w_h"].T for gate in gates], [gate["b"] for gate in gates]]
        with torch.no_grad():
            for parameter, arrays in zip(self.net.parameters(), [*parts, biases], strict=True):
                parameter.copy_(torch.from_numpy(np.concatenate(arrays)))
        self.xs = torch.from_numpy(problem.xs)

    def _loss(self) -> Any:
        _, state = self.net(self.xs)
        return ((state[0] if self.problem.cell == "lstm" else state) ** 2).sum()

    def both(self) -> Any:
        self.net.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        return loss

    def forward(self) -> Any:
        with self.torch.inference_mode():
            return self._loss()

    def steps(self) -> Any:
        with self.torch.inference_mode():
            state = None
            for x in self.xs:
                h, state = self.net(x[None], state)
        return h[0]

    def gradients(self, result: Any) -> Gates:
        names = self.ORDER[self.problem.cell]
        split = [np.split(parameter.grad.numpy(), len(names)) for parameter in self.net.parameters()]
        gates = {name: {"w_x": w_x.T, "w_h": w_h.T, "b": b} for name, w_x, w_h, b in zip(names, *split[:3])}
        if self.problem.cell == "gru":
            gates["candidate"]["b_h"] = split[3][-1]
        return gates


class TorchCell(Contestant):
    """PyTorch, eager, with a cell of primitives."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.torch = torch = importlib.import_module("torch")
        self.xs = torch.from_numpy(problem.xs)
        self.gates = {
            name: {key: torch.from_numpy(array.copy()).requires_grad_() for key, array in gate.items()}
            for name, gate in problem.gates.items()
        }
        self.leaves = [leaf for gate in self.gates.values() for leaf in gate.values()]

    def _last(self) -> Any:
        torch, step, state = self.torch, STEPS[self.problem.cell], self.problem.states(self.torch.zeros)
        for x in self.xs:
            state = step(self.gates, x, state, torch.sigmoid, torch.tanh)
        return state[0]

    def both(self) -> Any:
        for leaf in self.leaves:
            leaf.grad = None
        loss = (self._last() ** 2).sum()
        loss.backward()
        return loss

    def forward(self) -> Any:
        with self.torch.inference_mode():
            return (self._last() ** 2).sum()

    def steps(self) -> Any:
        with self.torch.inference_mode():
            return self._last()

    def gradients(self, result: Any) -> Gates:
        return {name: {key: leaf.grad.numpy() for key, leaf in gate.items()} for name, gate in self.gates.items()}


class Jax(Contestant):
    """JAX: jit of value_and_grad of lax.scan, with a cell of primitives."""

    def __init__(self, problem: Problem, unroll: bool = False) -> None:
        super().__init__(problem)
        self.jax = jax = importlib.import_module("jax")
        self.gates, self.xs = jax.device_put(problem.gates), jax.device_put(problem.xs)
        run = self._unrolled if unroll else self._scanned
        self.compiled, self.compiled_forward = jax.jit(jax.value_and_grad(run)), jax.jit(run)
        self.one_step = jax.jit(self._step)

    def _step(self, gates: Gates, x: Array, state: Any) -> Any:
        return STEPS[self.problem.cell](gates, x, state, self.jax.nn.sigmoid, self.jax.numpy.tanh)

    def _start(self) -> Any:
        return self.problem.states(self.jax.numpy.zeros, dtype=self.problem.dtype)

    def _scanned(self, gates: Gates, xs: Array) -> Array:
        state, _ = self.jax.lax.scan(lambda state, x: (self._step(gates, x, state), None), self._start(), xs)
        return (state[0] ** 2).sum()

    def _unrolled(self, gates: Gates, xs: Array) -> Array:
        state = self._start()
        for x in xs:
            state = self._step(gates, x, state)
        return (state[0] ** 2).sum()

    def make(self) -> Any:
        """Both passes compiled, from the start."""
        return self.compiled.lower(self.gates, self.xs).compile()

    def both(self) -> Any:
        return self.jax.block_until_ready(self.compiled(self.gates, self.xs))

    def forward(self) -> Any:
        return self.jax.block_until_ready(self.compiled_forward(self.gates, self.xs))

    def steps(self) -> Any:
        state = self._start()
        for x in self.problem.xs:
            state = self.jax.block_until_ready(self.one_step(self.gates, x, state))
        return state[0]

    def gradients(self, result: Any) -> Gates:
        return {name: {key: np.asarray(leaf) for key, leaf in gate.items()} for name, gate in result[1].items()}


class Autograd(Contestant):
    """HIPS autograd, with a cell of primitives."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        autograd = importlib.import_module("autograd")
        self.numpy = importlib.import_module("autograd.numpy")
        self.gradient = autograd.value_and_grad(self._loss)

    def _loss(self, gates: Gates) -> Any:
        step, state = STEPS[self.problem.cell], self.problem.states(dtype=self.problem.dtype)
        for x in self.problem.xs:
            state = step(gates, x, state, self._sigmoid, self.numpy.tanh)
        return self.numpy.sum(state[0] ** 2)

    def _sigmoid(self, x: Array) -> Array:
        return 0.5 * (self.numpy.tanh(0.5 * x) + 1)

    def both(self) -> Any:
        return self.gradient(self.problem.gates)

    def forward(self) -> Any:
        return self._loss(self.problem.gates)

    def gradients(self, result: Any) -> Gates:
        gates: Gates = result[1]
        return gates


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
    if importlib.util.find_spec("torch") is not None:
        importlib.import_module("torch").set_num_threads(threads)
    return importlib.import_module("threadpoolctl").threadpool_limits(limits=threads)


def versions(names: list[str]) -> dict[str, str]:
    """Of the packages that the contestants need."""
    packages = ["numpy", *dict.fromkeys(NEEDS[name] for name in names if name in NEEDS)]
    found = importlib.import_module("importlib.metadata")
    return {"minigrad": mg.__version__, **{package: found.version(package) for package in packages}}
