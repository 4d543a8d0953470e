"""How tightly a primitive's text binds is read off the text, so that an expression put into another keeps its meaning."""

import ast

import numpy as np
import pytest

import minigrad as mg
from minigrad.nodes import Primitive
from minigrad.primitives.shape_rules import elementwise
from minigrad.primitives.text import ATOM, binding, render

TEMPLATES = [p for p in Primitive.table.values() if isinstance(p.text, str) and p.text and "{all}" not in p.text]
PAIRS = [p for p in TEMPLATES if p.is_operator and "{1}" in str(p.text)]
SIGNS = [p for p in TEMPLATES if p.is_operator and "{1}" not in str(p.text)]


def stated(primitive, operands):
    """The text with every operand in parentheses: what it has to mean."""
    return render(primitive, [f"({text})" for text in operands], {})


def written(primitive, operands):
    """The text with parentheses only where the binding asks for them; operands are (text, how tightly it binds)."""
    form = binding(primitive, {}, len(operands))
    return render(primitive, [t if own >= need else f"({t})" for (t, own), need in zip(operands, form.operands)], {})


def same(a, b):
    return ast.dump(ast.parse(a, mode="eval")) == ast.dump(ast.parse(b, mode="eval"))


@pytest.mark.parametrize("outer", PAIRS, ids=lambda p: p.name)
@pytest.mark.parametrize("inner", [*PAIRS, *SIGNS], ids=lambda p: p.name)
def test_an_operator_inside_another_keeps_its_meaning(outer, inner):
    names = ["a", "b"][: len(binding(inner, {}, 2 if inner in PAIRS else 1).operands)]
    text, own = render(inner, names, {}), binding(inner, {}, len(names)).own
    for operands in ([(text, own), ("c", ATOM)], [("c", ATOM), (text, own)]):
        assert same(written(outer, operands), stated(outer, [t for t, _ in operands])), written(outer, operands)


def test_parentheses_stand_only_where_they_are_needed():
    a, b, c = (mg.symbol(name) for name in "abc")
    expected = {
        "a + b * c": a + b * c, "(a + b) * c": (a + b) * c, "a - (b - c)": a - (b - c), "a - b - c": a - b - c,
        "-a ** b": -(a**b), "(-a) ** b": (-a) ** b, "a ** -b": a**-b, "a ** b ** c": a ** (b**c), "(a ** b) ** c": (a**b) ** c,
        "np.tanh(a + b)": mg.tanh(a + b), "(a < b) & (b < c)": (a < b) & (b < c),
    }  # fmt: skip
    for text, node in expected.items():
        assert f"np.array({text})" in mg.Graph([a, b, c], [node]).source


def test_an_operand_that_stands_twice_is_computed_once():
    double = elementwise("test_softsign", "{0} / (1 + np.abs({0}))", lambda ct, y, x: ct * mg.square(1 - mg.abs(y)))
    try:
        source = mg.trace(lambda x: 2 ** double(mg.exp(x)), np.ones(3)).source
        assert source.count("np.exp") == 1
        assert "2 ** (exp_x / (1 + np.abs(exp_x)))" in source
        mg.check_gradients(lambda x: double(x).sum(), np.array([-2.0, 0.5]))
    finally:
        del Primitive.table["test_softsign"]
