"""Bad input: an error that names the operation, the operands, the user's line, and what to write instead."""

from __future__ import annotations

import builtins
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, methods
from minigrad.errors import MinigradError, explain, missing_extra, user_line
from minigrad.graph import Graph
from minigrad.source import generate

A = mg.symbol("a", (2, 3))
B = mg.symbol("b", (4,))
I = mg.symbol("i", (3,), "int64")  # noqa: E741
C = mg.constant(np.ones((2, 2)), name="c")

# What is wrong -> (the built-in exception that it also is, the parts that the message must have, in order, the call)
Row = tuple[type[Exception], list[str], Callable[[], Any]]
BAD: dict[str, Row] = {
    # shapes and dtypes that do not go together
    "shapes do not broadcast": (ValueError, ["add", "(2, 3) and (4,)", "symbol 'a'", "symbol 'b'", "reshape"], lambda: A + B),
    "where": (ValueError, ["where", "(2, 3)", "(4,)"], lambda: mg.where(A > 0, B, 0.0)),
    "columns and rows": (ValueError, ["matmul", "(2, 3) and (4,)", "3 columns meet 4 rows", ".T"], lambda: A @ B),
    "matmul of a number": (ValueError, ["matmul", "at least one axis", "a * b"], lambda: A @ 2.0),
    "stacks": (ValueError, ["matmul", "(2,) and (3,)"], lambda: mg.matmul(np.ones((2, 1, 1)), np.ones((3, 1, 1)))),
    "reshape": (ValueError, ["reshape", "(2, 3)", "(5,)"], lambda: A.reshape(5)),
    "concatenate": (ValueError, ["concatenate", "(2, 3), (4, 4)"], lambda: mg.concatenate([A, np.ones((4, 4))])),
    "stack": (ValueError, ["stack", "(2, 3), (4,)"], lambda: mg.stack([A, B])),
    "broadcast_to": (ValueError, ["broadcast_to", "(4,)", "(2, 3)"], lambda: mg.broadcast_to(B, (2, 3))),
    "bits of a float": (TypeError, ["bitwise_and", "float64"], lambda: A & 1),
    "minus a boolean": (TypeError, ["negative", "bool"], lambda: -(A > 0)),
    "square systems": (ValueError, ["inv", "(2, 3)"], lambda: mg.linalg.inv(A)),
    # leaves
    "complex constant": (TypeError, ["constant 'z'", "complex", "real and imaginary"], lambda: mg.constant(1j, name="z")),
    "complex symbol": (TypeError, ["symbol 'z'", "complex"], lambda: mg.symbol("z", (2,), complex)),
    "complex operand": (TypeError, ["complex"], lambda: A * 1j),
    "objects": (TypeError, ["constant", "object"], lambda: mg.constant(np.array([None, 1]))),
    "strings": (TypeError, ["constant", "<U1", "floats, integers or booleans"], lambda: mg.constant("a")),
    "bytes": (TypeError, ["constant", "|S1"], lambda: mg.constant([b"a"])),
    "dates": (TypeError, ["constant", "datetime64"], lambda: mg.constant(np.array(["2020-01-01"], "M8[D]"))),
    "ragged": (ValueError, ["constant", "ragged", "pad"], lambda: mg.constant([[1.0], [1.0, 2.0]])),
    "masked": (TypeError, ["constant", "masked", "mg.where"], lambda: mg.constant(np.ma.masked_array([1.0], [True]))),
    "nodes in a list": (TypeError, ["constant", "nodes", "mg.stack"], lambda: mg.constant([A, A])),
    "a negative size": (ValueError, ["symbol 'x'", "(-1,)"], lambda: mg.symbol("x", (-1,))),
    "a size that is a float": (ValueError, ["symbol 'x'", "(2.0,)"], lambda: mg.symbol("x", (2.0,))),  # type: ignore[arg-type]
    # axes, indices, empty reductions
    "axis": (IndexError, ["sum", "axis 2", "2 dimensions", "symbol 'a'"], lambda: mg.sum(A, axis=2)),
    "negative axis": (IndexError, ["max", "axis -3"], lambda: mg.max(A, axis=-3)),
    "one axis twice": (ValueError, ["mean", "twice"], lambda: mg.mean(A, axis=(0, 0))),
    "an axis that is a float": (IndexError, ["sum", "0.5"], lambda: mg.sum(A, axis=0.5)),  # type: ignore[arg-type]
    "empty max": (ValueError, ["max", "no entries"], lambda: mg.max(np.zeros((0, 3)), axis=0)),
    "empty argmin": (ValueError, ["argmin", "no entries"], lambda: mg.argmin(np.zeros((0,)))),
    "empty logsumexp": (ValueError, ["logsumexp", "no entries"], lambda: mg.logsumexp(np.zeros((0,)))),
    "index out of bounds": (IndexError, ["index", "5", "axis 1", "size 3"], lambda: A[0, 5]),
    "too many indices": (IndexError, ["3 indices", "2 dimensions"], lambda: A[0, 0, 0]),
    "a float for an index": (IndexError, ["float64", "astype"], lambda: A[mg.symbol("j", (2,))]),
    "a computed mask": (IndexError, ["boolean", "mg.where"], lambda: A[A > 0]),
    "a mask of another shape": (IndexError, ["(3,)", "2"], lambda: A[np.array([True, False, True])]),
    "constant index array": (IndexError, ["7", "axis 0", "size 2"], lambda: A[np.array([0, 7])]),
    # values
    "a free symbol": (TypeError, ["'a'", "(2, 3)", "mg.evaluate"], lambda: np.asarray(A * 2)),
    "if node": (TypeError, ["if", "'a'", "mg.where"], lambda: bool(mg.sum(A) > 0)),
    "a missing feed": (ValueError, ["evaluate", "'b'", "{symbol: array"], lambda: mg.evaluate(mg.sum(A) + mg.sum(B), {A: np.ones((2, 3))})),
    "an unknown feed": (ValueError, ["evaluate", "'b'", "'a'"], lambda: mg.evaluate(mg.sum(A), {A: np.ones((2, 3)), B: np.ones(4)})),
    "a feed of another shape": (ValueError, ["evaluate", "'a'", "(2, 3)", "(3,)"], lambda: mg.evaluate(A, {A: np.ones(3)})),
    "a feed of another dtype": (ValueError, ["evaluate", "'i'", "int64", "float64"], lambda: mg.evaluate(I, {I: np.ones(3)})),
    "a feed for no symbol": (ValueError, ["evaluate", "'c'"], lambda: mg.evaluate(C * 2, {C: np.ones((2, 2))})),
    "in-place assignment": (TypeError, ["immutable", "mg.where"], lambda: C.__setitem__(0, 1.0)),
    "out=": (TypeError, ["np.add", "out="], lambda: np.add(C, 1.0, out=np.zeros((2, 2)))),
    "an array += node": (TypeError, ["np.add", "out=", "array + node"], lambda: np.ones((2, 2)).__iadd__(C)),
    "a name that is not there": (TypeError, ["np.fft", "no function"], lambda: np.fft.fft(C)),
    "a method of PyTorch's tensors": (AttributeError, ["node.backward", "mg.gradients"], lambda: mg.sum(A).backward()),  # type: ignore[attr-defined]
    "another": (AttributeError, ["node.detach", "'a'", "mg.stop_gradient"], lambda: A.detach()),  # type: ignore[attr-defined]
    "a function that is no method": (AttributeError, ["node.tanh", "mg.tanh(x)"], lambda: A.tanh()),  # type: ignore[attr-defined]
    # derivatives
    "integers in grad": (TypeError, ["grad", "n is int64", "derivative", "argnums"], lambda: mg.grad(lambda n: n)(np.arange(2))),
    "an int in grad": (TypeError, ["grad", "floating-point", "3.0, not 3"], lambda: mg.grad(lambda n: n * 1.0)(3)),
    "no scalar": (ValueError, ["grad", "(2,)", "mg.vjp", "mg.jacobian"], lambda: mg.grad(lambda x: x)(np.ones(2))),
    "no scalar in hessian": (ValueError, ["hessian: ", "(2,)", "mg.jacobian"], lambda: mg.hessian(lambda x: x)(np.ones(2))),
    "no scalar in hvp": (ValueError, ["hvp: ", "(2,)"], lambda: mg.hvp(lambda x: x, (np.ones(2),), (np.ones(2),))),
    "two results": (ValueError, ["grad", "one scalar", "(*, *)"], lambda: mg.grad(lambda x: (x, x))(1.0)),
    "an integer result": (TypeError, ["grad", "int64"], lambda: mg.grad(lambda x: mg.argmax(x))(np.ones(2))),
    "no such argument": (ValueError, ["grad", "argnums is 2", "1 argument"], lambda: mg.grad(lambda x: x, argnums=2)(1.0)),
    "aux": (TypeError, ["grad", "has_aux", "(scalar, aux)"], lambda: mg.grad(lambda x: x, has_aux=True)(1.0)),
    "no function": (TypeError, ["grad", "expected a function", "float"], lambda: mg.grad(1.0)(1.0)),  # type: ignore[arg-type]
    "a cotangent of another shape": (ValueError, ["pullback", "(3,)", "(2,)"], lambda: mg.vjp(lambda x: x, np.ones(2))[1](np.ones(3))),
    "a cotangent of another structure": (TypeError, ["pullback", "*", "(*, *)"], lambda: mg.vjp(lambda x: x, 1.0)[1]((1.0, 1.0))),
    "a tangent of another shape": (ValueError, ["jvp", "(3,)", "(2,)"], lambda: mg.jvp(lambda x: x, (np.ones(2),), (np.ones(3),))),
    "tangents that are no tuple": (TypeError, ["jvp", "(x,), (v,)"], lambda: mg.jvp(lambda x: x, 1.0, 1.0)),  # type: ignore[arg-type]
    "primals that are no tuple": (TypeError, ["hvp", "(x,), (v,)"], lambda: mg.hvp(lambda x: x, 1.0, 1.0)),  # type: ignore[arg-type]
    "an edge to nowhere": (ValueError, ["gradients", "'c'", "no path"], lambda: mg.gradients(mg.sum(A), [C], unused="error")),
    # loops
    "a carry that changes shape": (ValueError, ["scan", "(3,)", "(1, 3)"], lambda: mg.scan(lambda h, _: (h[None], None), np.ones(3), length=2)),
    "a carry that changes dtype": (ValueError, ["scan", "float64", "float32"], lambda: mg.scan(lambda h, _: (h.astype("float32"), None), np.ones(3), length=2)),
    "a carry that changes structure": (TypeError, ["scan", "structure", "*"], lambda: mg.scan(lambda h, _: ([h], None), np.ones(3), length=2)),
    "lengths": (ValueError, ["scan", "4", "3"], lambda: mg.scan(lambda h, x: (h, None), 0.0, (np.ones(4), np.ones(3)))),
    # pytrees
    "no pytree": (TypeError, ["params['k']", "set", "dataclass"], lambda: mg.grad(lambda params: 1.0)({"k": {1.0}})),
    "a pytree of another structure": (TypeError, ["tree_map", "{'a': *}", "{'b': *}"], lambda: mg.tree_map(lambda a, b: a, {"a": 1.0}, {"b": 1.0})),
    "arguments of another structure": (TypeError, ["graph.evaluate", "*"], lambda: mg.trace(lambda x: x, 1.0).evaluate(1.0, 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_the_message_names_operation_operands_and_line(what: str) -> None:
    kind, parts, call = BAD[what]
    first = call.__code__.co_firstlineno
    with pytest.raises(MinigradError) as caught:
        call()
    assert isinstance(caught.value, kind), f"{type(caught.value).__name__} is no {kind.__name__}"
    text = str(caught.value)
    position = 0
    for part in parts:
        found = text.find(part, position)
        assert found >= 0, f"{part!r} is not in the rest of:\n{text}"
        position = found
    assert re.search(rf"test_errors\.py:{first}\b", text), f"line {first} is not in:\n{text}"
    assert "minigrad/" not in re.sub(r"\S*test_errors\.py:\d+", "", text), "a line of the engine's own"
    assert len(text.splitlines()) < 12


def test_names_of_other_libraries_are_hints_and_no_attributes() -> None:
    assert not {*methods._ELSEWHERE} & {*methods.NODE_METHODS}
    for name, instead in methods._ELSEWHERE.items():
        assert not hasattr(A, name)
        with pytest.raises(AttributeError, match=re.escape(f"instead: {instead}")):
            getattr(A, name)
        for function in re.findall(r"mg\.(\w+)", instead):
            assert callable(getattr(mg, function))
    with pytest.raises(AttributeError, match="^'Node' object has no attribute 'shap'$"):
        A.shap  # type: ignore[attr-defined]  # noqa: B018


def test_every_error_is_a_minigrad_error_and_a_built_in_one() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        if name == "MinigradError" or issubclass(kind, Warning):
            continue
        assert issubclass(kind, MinigradError)
        assert any(issubclass(kind, base) for base in vars(builtins).values() if isinstance(base, type) and base not in (object, Exception, BaseException))
        assert kind.__doc__


def test_the_line_is_that_of_the_user_however_deep_the_call() -> None:
    def helper(x: Any) -> Any:
        return mg.mean(mg.softmax(x) @ np.ones(5))

    line = helper.__code__.co_firstlineno + 1
    for call in (lambda: mg.grad(helper)(np.ones(3)), lambda: mg.compile(mg.hessian(helper))(np.ones(3)),
                 lambda: mg.scan(lambda c, _: (helper(c), None), np.ones(3), length=2)):  # fmt: skip
        with pytest.raises(errors.ShapeError, match=rf"test_errors\.py:{line}\b"):
            call()


def test_the_operands_name_the_lines_that_made_them() -> None:
    first = mg.constant(np.ones(2), name="first")
    second = mg.sin(mg.constant(np.ones(3)))
    with pytest.raises(errors.ShapeError) as caught:
        first * second
    text = str(caught.value)
    assert f"constant 'first': shape (2,), float64, made at {first.origin}" in text
    assert f"sin: shape (3,), float64, made at {second.origin}" in text
    assert "test_errors.py" in str(first.origin)


def test_nothing_is_lost_when_something_goes_wrong() -> None:
    x = np.ones(3)
    compiled = mg.compile(lambda x: mg.sum(x) + mg.sum(x[:2] * np.ones(2)))
    with pytest.raises(errors.MinigradError):
        compiled(np.ones((2, 2, 2), object))
    with pytest.raises(errors.ShapeError):
        mg.compile(lambda x: x + np.ones(4))(x)
    assert compiled(x) == 5
    assert x.tolist() == [1, 1, 1]
    with pytest.raises(ZeroDivisionError), mg.scope("inside"):
        mg.grad(lambda x: 1 / 0)(1.0)
    assert mg.symbol("x").scope == ""
    assert mg.grad(lambda x: x * x)(3.0) == 6


def test_a_failed_trace_can_be_tried_again() -> None:
    attempts: list[int] = []

    def fragile(x: Any) -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyError("first")
        return x * 2

    compiled = mg.compile(fragile)
    with pytest.raises(KeyError):
        compiled(1.0)
    assert compiled(2.0) == 4


def test_structures_that_change_between_calls_are_traced_anew() -> None:
    compiled = mg.compile(lambda tree: mg.tree_map(lambda x: x * 2, tree))
    assert compiled({"a": 1.0})["a"] == 2
    assert compiled({"a": 1.0, "b": (2.0,)})["b"][0] == 4
    assert compiled([1.0])[0] == 2
    gradient = mg.grad(lambda tree: mg.sum(mg.stack(mg.tree_leaves(tree))))
    assert gradient({"a": 1.0}) == {"a": 1.0}
    assert gradient((1.0, [2.0])) == (1.0, [1.0])


def test_side_effects_on_arrays_handed_in_stay_outside() -> None:
    x = np.array([1.0, 2.0])
    traced = mg.trace(lambda a: a * mg.constant(x), np.ones(2))
    compiled = mg.compile(lambda a: a * x)
    assert compiled(np.ones(2)).tolist() == [1, 2]
    x[:] = 9
    assert traced.evaluate(np.ones(2)).tolist() == [1, 2]
    assert compiled(np.ones(2)).tolist() == [1, 2]
    y, pullback = mg.vjp(lambda a: a * a, given := np.array([3.0]))
    given[:] = 100
    y[:] = 0
    assert pullback(np.ones(1))[0].tolist() == [6]


def test_an_output_path_that_cannot_be_written(tmp_path: Path) -> None:
    graph = mg.trace(lambda x: x * 2, 1.0)
    for path in (tmp_path / "no" / "such.py", tmp_path):
        with pytest.raises(OSError) as caught:
            graph.save(str(path))
        assert str(tmp_path) in str(caught.value)
        with pytest.raises((OSError, ValueError)) as caught_too:
            graph.render(str(path / "f.dot" if path == tmp_path / "no" / "such.py" else path))
        assert str(tmp_path) in str(caught_too.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_names_the_command() -> None:
    error = missing_extra("pygraphviz", "draw", "drawing SVG")
    assert isinstance(error, ImportError)
    assert "pip install" in str(error)
    assert "[draw]" in str(error)
    assert "pygraphviz" in str(error)


def test_check_finite_names_the_first_node_and_its_operands() -> None:
    def f(x: Any) -> Any:
        with mg.scope("loss"):
            y = mg.log(x)
        return mg.sum(y * 0.0)

    line = f.__code__.co_firstlineno + 2
    for run in (lambda x: mg.compile(f, check_finite=True)(x), lambda x: mg.trace(f, x).evaluate(x, check_finite=True)):
        with np.errstate(all="ignore"), pytest.raises(errors.NonFiniteError) as caught:
            run(np.array([1.0, 0.0]))
        text = str(caught.value)
        for part in ("log", "inf", "index [1]", "from 0 to 1", "loss", f"test_errors.py:{line}"):
            assert part in text, text
        assert np.isfinite(run(np.array([1.0, 2.0])))


def test_explain_and_describe() -> None:
    text = explain("operation", "problem", [np.ones(2), 3, mg.symbol("x")], "instead")
    assert text.splitlines()[0] == "operation: problem"
    assert "ndarray: shape (2,), float64" in text
    assert "3 (int)" in text
    assert "symbol 'x': shape (), float64" in text
    assert text.splitlines()[-1] == "  instead: instead"
    origin = user_line()
    assert origin is not None
    assert origin.function == "test_explain_and_describe"
    assert str(origin).endswith(f":{origin.line}")


def test_code_without_a_file_has_a_line_too() -> None:
    namespace: dict[str, Any] = {"mg": mg, "np": np}
    with pytest.raises(errors.ShapeError, match="<typed in>:1"):
        exec(builtins.compile("mg.add(np.ones(2), np.ones(3))", "<typed in>", "exec"), namespace)


def test_the_traceback_is_short() -> None:
    try:
        A + B
    except errors.ShapeError:
        assert len(traceback.extract_tb(sys.exc_info()[2])) < 8


def test_source_of_a_graph_with_a_free_symbol() -> None:
    with pytest.raises(errors.FreeSymbolError, match="'a'"):
        generate(Graph([], [mg.sum(A)]))
