"""How a generated function is set in order for a reader: names for sizes and results, and no value changed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.prose import filled, in_sections, place_after, take_apart
from minigrad.sizes import SizeNames
from minigrad.source import execute
from minigrad.textbook import Lesson, write_module
from minigrad.wording import name_results

# --------------------------------------------------------------------------------------------------- names for sizes

THREE = [{"steps": 11, "batch": 13}, {"steps": 13, "batch": 17}, {"steps": 17, "batch": 11}]


def in_all(template: str) -> list[str]:
    """The text in three sizes."""
    numbers = re.compile(r"<([^>]*)>")
    return [numbers.sub(lambda found: str(eval(found[1], dict(sizes))), template) for sizes in THREE]  # noqa: B023


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("np.empty((<steps>, <batch>))", "np.empty((steps, batch))"),
        ("x[<batch>:<2 * batch>]", "x[batch:2 * batch]"),
        ("x.reshape(<steps * batch>, 3)", "x.reshape(steps * batch, 3)"),
        ("x / <steps * batch>", "x / (steps * batch)"),
        ("<4 * steps> * x", "(4 * steps) * x"),
        ("range(<steps - 1>)", "range(steps - 1)"),
        ("x[<batch> - 1]", "x[batch - 1]"),
        ("x ** 2 + 11", "x ** 2 + 11"),
        ("f(<steps>, out=y)\n# at <steps>\ng(<batch>)", "f(steps, out=y)\n# at 11\ng(batch)"),
        ("f([\n  <steps>, <steps>])", "f([\n  steps, steps])"),
        ("'<steps>'", None),
        ("x * <steps / 10>", None),
        ("x[<steps ** 2>]", None),
        ("steps + <batch>", None),
    ],
)
def test_numbers_get_the_names_of_sizes(template: str, expected: str | None) -> None:
    assert SizeNames(THREE).rewrite(in_all(template)) == expected


def test_texts_that_differ_in_more_than_numbers_have_no_names() -> None:
    assert SizeNames(THREE).rewrite(["f(11)", "g(13)", "f(17)"]) is None
    assert SizeNames(THREE).rewrite(["f(11)", "f(13) + 1", "f(17)"]) is None
    assert SizeNames(THREE).rewrite(["f(\n11)", "f(13\n)", "f(17)"]) == "f(\nsteps)", "lines may break elsewhere"


def test_shapes_get_the_names_of_sizes() -> None:
    names = SizeNames(THREE)
    assert names.shape([(11, 13, 5), (13, 17, 5), (17, 11, 5)]) == "(steps, batch, 5)"
    assert names.shape([(26,), (34,), (22,)]) == "(2 * batch,)"
    assert names.shape([(), (), ()]) == "()"


# ------------------------------------------------------------------------------------------------- a function's lines


def test_what_a_reader_gets_to_see() -> None:
    text = '''import numpy as np


def helper(x):
    return x


def f(
        xs, w, *, empty=np.empty,
    ):
    # backward/t=*/gate
    w_T = w.T
    flat_T = np.reshape(xs, (6, 2)).T
    h = empty((2,))
    for t in range(3):
        x = xs[t]
        y = xs[t]
        # t=*/gate
        h_2 = x @ w + h
        z = y.dot(w) * y.dot(w_T)
        h = h_2 * 2
    # backward
    d_h = h * h
    # backward/t=*/gate
    for t in reversed(range(3)):
        d_h_2 = d_h @ w_T
        # backward/t=*/other
        d_h = d_h_2 + xs[t]
    # backward
    return (np.array(h), d_h, np.array(w), np.array(h[0]), np.array(h[0]), flat_T @ xs)
'''
    found = take_apart(text, "f")
    assert found.parameters == ["xs", "w"]
    assert found.prelude.startswith("def helper")
    assert found.results == ["h", "d_h", "np.array(w)", "np.array(h[0])", "np.array(h[0])", "flat.T @ xs"]
    lines = in_sections(found.lines)
    expected = """\
    # forward
    flat = np.reshape(xs, (6, 2))
    h = np.empty((2,))
    for t in range(3):
        y = xs[t]
        # gate
        h = xs[t] @ w + h
        z = y @ w * (y @ w.T)
        h = h * 2

    # backward
    d_h = h * h
    for t in reversed(range(3)):
        # gate
        d_h = d_h @ w.T
        # other
        d_h = d_h + xs[t]

    # gradients, summed over all steps"""
    assert [line for line in lines if line.strip() != "# gate"] == [
        line for line in expected.splitlines() if line.strip() != "# gate"
    ]


def body(lines: list[str]) -> str:
    """A module whose function returns all that it has made."""
    names = sorted({name for line in lines for name in re.findall(r"^ +([a-e]\w*) = ", line)} - set(IN_LOOP))
    return "\n".join(["import numpy as np", "", "", "def f(a, xs):", *lines, f"    return ({', '.join(names)},)"])


KEPT = ["b", "c", "d"]  # set before the loop, and given back
IN_LOOP = [f"{name}_{n}" for name in KEPT for n in (2, 3)] + ["e", "e_2"]  # set in it, and forgotten


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A loop that sets and uses names as generated ones do: everything is set before it is used."""
    lines = [f"    {name} = a * {i + 2}" for i, name in enumerate(KEPT)] + ["    s = np.zeros((3, 4))", "    for t in range(3):"]
    known = [*KEPT, "a", "xs[t]"]
    for _ in range(draw(st.integers(1, 9))):
        kind = draw(st.integers(0, 5))
        target = draw(st.sampled_from(KEPT + IN_LOOP))
        one, two = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        if kind == 0:
            lines.append(f"        s[t] = {one}")
        elif kind == 1:
            lines.append(f"        {target} = {draw(st.sampled_from(['xs', 's']))}[t]")
        elif kind == 2 and one.isidentifier() and one != "a":
            lines.append(f"        {one} = {one} * 0.5")
        else:
            lines.append(f"        {target} = {one} - 0.5 * {two}")
        if target not in known and lines[-1].startswith(f"        {target} ="):
            known.append(target)
    lines.append(f"        d = {draw(st.sampled_from(known))} + 1")
    return body([*lines, "    c = s * 2"])


@given(programs())
@example(body(["    b = a", "    for t in range(3):", "        b_2 = b + 1", "        c = b_2 * b", "        b = c"]))
@example(body(["    b = a", "    for t in range(3):", "        b_2 = b + 1", "        b = b_2", "    c = b"]))
@example(body(["    b = a", "    c = a", "    for t in range(3):", "        c = c + b", "        b_2 = c * 2", "        c = b_2"]))
def test_no_value_is_changed(text: str) -> None:
    function = take_apart(text, "f")
    edited = "\n".join(["import numpy as np", "def f(a, xs):", *in_sections(function.lines), f"    return {', '.join(function.results)},"])
    a, xs = np.arange(1.0, 5.0), np.linspace(-1, 1, 12).reshape(3, 4)
    for before, after in zip(execute(text)["f"](a, xs), execute(edited)["f"](a, xs), strict=True):
        np.testing.assert_array_equal(before, after, err_msg=edited)


def test_an_expression_stands_behind_what_it_needs() -> None:
    lines = ["    a = 1", "    for t in range(3):", "        s[t] = a", "        b = s", "    # then", "    d = 2", "    np.add(a, 1, out=c)"]
    assert [place_after(lines, text) for text in ("a + 1", "s", "b", "a + d", "c[0]", "np.x")] == [1, 4, 4, 6, 7, 0]


def test_lines_are_filled() -> None:
    long = ", ".join(f'"name_{i}": value_{i}' for i in range(20))
    lines = filled(long, "    ", "      ").splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[0].startswith('    "') and all(line.startswith('      "') for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == long


# -------------------------------------------------------------------------------------------------- words and modules


def test_nodes_are_named_as_a_person_would_name_them() -> None:
    x, w = mg.symbol("x", (3,)), mg.symbol("w", (3, 3))
    with mg.scope("gate"):
        inner = w @ x + 1.0
        gate = mg.sigmoid(2 * inner + x)
    with mg.scope("h"):
        h = gate * mg.tanh(x) + (1 - gate)
    graph = mg.trace(lambda: h) if False else mg.Graph([x, w], [h])
    name_results(graph)
    names = {node.name for node in graph.nodes if node.name}
    assert {"gate", "gate_sum", "gate_inner_sum", "tanh_x", "one_minus_gate", "h"} <= names
    assert (x.name, w.name) == ("x", "w")


def lesson(fn: Any, **arguments: Any) -> Lesson:
    return Lesson("f", fn, arguments, list(arguments), "About.")


def test_a_module_without_loops() -> None:
    text = write_module(lesson(lambda x, y: mg.sum(mg.exp(x) * y), x=np.ones(3), y=2.0))
    assert text.startswith('"""About.\n"""\n\nimport numpy as np\n\n\ndef f(x, y):\n')
    assert "    # forward\n" in text
    value, gradient = execute(text)["f"](np.zeros(3), 2.0)
    assert (value, gradient["x"].tolist(), gradient["y"]) == (6, [2, 2, 2], 3)


def test_results_that_are_arguments_or_given_twice_are_copies() -> None:
    f = execute(write_module(lesson(lambda x, y: mg.sum(x * y), x=np.ones(3), y=np.ones(3))))["f"]
    x, y = np.arange(3.0), np.ones(3)
    _, gradient = f(x, y)
    assert gradient["x"] is not y and gradient["y"] is not x
    assert not np.shares_memory(gradient["x"], y)
    f = execute(write_module(lesson(lambda x, y: mg.sum(mg.exp(x + y)), x=np.ones(3), y=np.ones(3))))["f"]
    _, gradient = f(x, y)
    assert not np.shares_memory(gradient["x"], gradient["y"])


def test_names_of_arguments_are_nobody_elses() -> None:
    # what the module itself calls loss, gradients, array, shape, d_x, name...
    def fn(loss: Any, d_loss: Any, array: Any, shape: Any, gradients: Any) -> Any:
        return mg.sum(loss * d_loss * array * shape * gradients)

    text = write_module(lesson(fn, **{name: np.full(3, 2.0) for name in ("loss", "d_loss", "array", "shape", "gradients")}))
    value, found = execute(text)["f"](*[np.full(3, 2.0)] * 5)
    assert value == 96
    assert all(gradient.tolist() == [16] * 3 for gradient in found.values())


def test_a_function_of_one_size_where_the_text_depends_on_it() -> None:
    def arguments(sizes: Any) -> dict[str, Any]:
        return {"x": np.ones(sizes["n"])}

    def fn(x: Any) -> Any:
        return mg.sum(x**2) if x.shape[0] % 2 else mg.sum(x**3)

    text = write_module(Lesson("f", fn, arguments, ["x"], "About.", sizes={"n": 4}, measures=["n = x.shape[0]"]))
    assert "made for an array of shape" in text
    assert execute(text)["f"](np.full(4, 2.0))[0] == 32
    with pytest.raises(ValueError, match=r"\(4,\), got \(5,\)"):
        execute(text)["f"](np.ones(5))


@pytest.mark.parametrize("value", [np.arange(30.0), np.arange(30), np.arange(30) % 2 == 0, np.float32(2), np.ones(30, "float32")])
def test_data_for_the_check_lies_where_the_example_does(value: Any) -> None:
    text = write_module(lesson(lambda x, w: mg.sum(mg.sqrt(x * w + 1.0)), x=value, w=np.full(3, 3.0)[0]))
    assert execute(text)["worst_error"]() < 1e-2


def test_a_gradient_that_is_wrong_is_found() -> None:
    wrong = lambda x: mg.sum(mg.stop_gradient(x) * x)  # noqa: E731  its derivative is x, its slope 2 x
    with pytest.raises(mg.errors.GradientCheckError, match="off from central differences by 1.0e"):
        write_module(lesson(wrong, x=np.array([1.0, 2.0])))
