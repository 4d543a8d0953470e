"""The same work by other libraries, each imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from .problems import GATES, STEPS, Array, Contestant, Gates, Problem

__all__ = ["Autograd", "Jax", "Torch", "TorchCell"]


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
