"""Graphs to be drawn, and how tests read what was drawn."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.drawing.folding import fold
from minigrad.drawing.picture import Picture

lays_out = pytest.mark.skipif(
    shutil.which("dot") is None and find_spec("pygraphviz") is None,
    reason="neither Graphviz nor the extra draw is there",
)


def expression():
    w, x = mg.constant(np.arange(12.0).reshape(3, 4), name="w"), mg.symbol("x", (4,))
    return w, x, mg.sum(mg.tanh(w @ x))


def two_weights(steps):
    """The smallest recurrent network, unrolled: h' = tanh(u x + w h)."""
    u, w, h = (mg.constant(v, name=n) for v, n in ((0.5, "u"), (0.9, "w"), (0.0, "h0")))
    for t in range(steps):
        with mg.scope(f"t={t}"):
            h = mg.tanh(u * mg.symbol(f"x{t}") + w * h)
    return u, w, h


def unrolled(steps, cell=None):
    cell = cell or rnn.LSTMCell.init(3, 4, rng=0)
    return lambda c, xs: mg.sum(rnn.unroll(c, xs)[0] ** 2), cell, np.ones((steps, 2, 3))


def scanned(w, xs):
    def step(h, x):
        h = mg.tanh(x @ w + h)
        return h, h

    return mg.sum(mg.scan(step, np.zeros(3), xs)[1] ** 2)


SCAN = (np.ones((2, 3)), np.ones((5, 2)))


def graphs():
    w, x, y = expression()
    u, v, h = two_weights(3)
    loss, cell, xs = unrolled(2)
    gru = rnn.GRUCell.init(3, 4, rng=0)
    return {
        "expression": mg.Graph([], [y]),
        "gradient": mg.Graph([], [y, *mg.gradients(y, [w, x])]),
        "two weights": mg.Graph([], [h, *mg.gradients(h, [u, v])]),
        "second order": mg.Graph([], mg.gradients(mg.gradients(h, [u])[0], [u, v])),
        "LSTM": mg.trace(loss, cell, xs),
        "LSTM gradient": mg.trace(mg.grad(loss), cell, xs).simplify(),
        "GRU step": mg.trace(lambda c, x, h: c(x, h), gru, np.ones((2, 3)), np.ones((2, 4))),
        "loop": mg.trace(scanned, *SCAN),
        "loop gradient": mg.trace(mg.grad(scanned), *SCAN).simplify(),
        "tangents": mg.trace(lambda x, v: mg.jvp(lambda x: mg.tanh(x) * x, (x,), (v,)), np.ones(3), np.ones(3)),
    }


GRAPHS = graphs()
every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def parsed(drawn):
    """DOT, read by Graphviz's own parser."""
    pygraphviz = pytest.importorskip("pygraphviz", reason="the extra draw is not installed")
    return pygraphviz.AGraph(string=drawn.source)


def clusters(dot):
    """Path of labels of a cluster -> the names of the boxes right in it."""
    found = {}
    stack = [((), graph) for graph in dot.subgraphs() if (graph.name or "").startswith("cluster")]
    while stack:
        path, graph = stack.pop()
        path = (*path, plain(graph.graph_attr["label"] or ""))
        inner = [child for child in graph.subgraphs() if (child.name or "").startswith("cluster")]
        below = {node for child in inner for node in child.nodes()}
        found[path] = [str(node) for node in graph.nodes() if node not in below]
        stack += [(path, child) for child in inner]
    return found


def plain(label):
    """The text of an HTML-like label."""
    lines = label.replace("<BR/>", " ")
    return " ".join("".join(ElementTree.fromstring(f"<x>{lines}</x>").itertext()).split())


def boxes_of(graph, most=10_000):
    picture = Picture(graph)
    fold(picture, most)
    return picture, *picture.drawn()
