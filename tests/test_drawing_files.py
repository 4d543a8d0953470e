"""Drawings as files: hostile names, determinism, options, formats, errors, layout programs, notebooks."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import minigrad as mg
from minigrad import drawing
from minigrad.drawing import labels, layout, style

from .drawn import GRAPHS, clusters, expression, lays_out, parsed, plain, two_weights, unrolled

# -------------------------------------------------------------------------------------------------- hostile names

HOSTILE = [
    'a"b', "back\\slash", "\\N\\G\\l", "<b>bold</b>", "<not closed", "a & b &amp; c", "new\nline\r\ttab", "nul\0inside",
    "∂ℒ/∂θ 中文 🎉", "\ud800 lone", "\u202e reversed", "\ufffe", "x" * 5000, "]; evil [label=1", "--><script>", "n0", "=", "t=",
    "a/b", "{curly|braces}", "%s %n", " ", "' or 1=1", "t=99999999999999999999999999",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_break_neither_dot_nor_svg(name):
    with mg.scope(name), mg.scope("t=0"):
        y = mg.tanh(mg.symbol(name, (2,)) * mg.constant(np.ones(2), name=name))
    drawn = drawing.render([mg.sum(y), *mg.gradients(mg.sum(y), [y])], title=name)
    dot = parsed(drawn)
    assert {"n0", "n1", "n2", "n3"} <= {str(node) for node in dot.nodes()}
    texts = " ".join(ElementTree.fromstring(drawn.to("svg")).itertext())
    assert labels.clean(name) in texts.replace("\xa0", " ")
    assert "script" not in {
        element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawn.to("svg")).iter()
    }


def test_clean_keeps_good_names_and_both_ends_of_long_ones():
    assert labels.clean("forget.w_x") == "forget.w_x"
    assert labels.clean("a" * 50 + "end") == "a" * 17 + "…" + "aaaaaaaend"


def test_deep_scopes_are_cut():
    x = mg.symbol("x")
    scopes = [mg.scope(f"s{i}") for i in range(500)]
    for scope in scopes:
        scope.__enter__()
    y = mg.tanh(x)
    for scope in reversed(scopes):
        scope.__exit__(None, None, None)
    drawn = drawing.render(y)
    assert max(len(path) for path in clusters(parsed(drawn))) == 12
    assert drawn.to("svg").startswith(b"<?xml")


# ----------------------------------------------------------------------------------------------------- determinism


@lays_out
def test_the_same_graph_gives_the_same_bytes():
    def make():
        loss, cell, xs = unrolled(3)
        return drawing.render(mg.trace(mg.grad(loss), cell, xs))

    first, second = make(), make()
    assert first.source == second.source
    assert all(first.to(form) == second.to(form) for form in ("svg", "png"))
    made = first.to("pdf")  # which says when it was made
    assert b"/CreationDate (D:19700101000000" in made
    assert made == second.to("pdf")


def test_hash_seeds_and_serial_numbers_do_not_show():
    program = (
        "import minigrad as mg, numpy as np, rnn, sys\nfrom minigrad import drawing\n"
        "for _ in range(int(sys.argv[1])): mg.symbol('x')\n"
        "cell = rnn.GRUCell.init(3, 4, rng=0)\n"
        "loss = lambda c, xs: mg.sum(rnn.unroll(c, xs)[0])\n"
        "print(drawing.render(mg.trace(mg.grad(loss), cell, np.ones((40, 2, 3)))).source)\n"
    )
    outputs = set()
    for seed, shift in (("1", "0"), ("2", "1000")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", program, shift], capture_output=True, env=environment, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1


# ----------------------------------------------------------------------------------------------- options and files


def test_title_direction_and_legend():
    y = expression()[-1]
    dot = parsed(drawing.render(y, title="A unit", direction="TB"))
    assert dot.graph_attr["rankdir"] == "TB"
    assert plain(dot.graph_attr["label"]) == "A unit"
    legend = {plain(dot.get_node(n).attr["label"]) for n in dot.nodes() if n.startswith("legend")}
    assert legend == {"input", "weight", "operation", "output"}  # what is there, and no more
    assert "legend" not in drawing.render(y, legend=False).source


def test_an_overlay_colours_nodes_by_a_number():
    _, _, h = two_weights(3)
    graph = mg.Graph([], [h])
    states = [node for node in graph.nodes if node.primitive.name == "tanh"]
    numbers = dict(zip(states, [1e-6, 1e-3, 1.0], strict=True))
    dot = parsed(drawing.render(graph, overlay=numbers))
    position = {node: i for i, node in enumerate(graph.nodes)}
    fills = [dot.get_node(f"n{position[state]}").attr["fillcolor"] for state in states]
    assert fills[0] == style.ramp(0.0)
    assert fills[1] == style.ramp(0.5)  # logarithmic
    assert fills[2] == style.ramp(1.0)
    texts = [plain(n.attr["label"]) for n in dot.nodes()]
    assert "least: 1e-06" in texts
    assert "greatest: 1" in texts
    assert "#d9d9d9" in drawing.render(graph, overlay={states[0]: np.nan, states[1]: 1.0}).source
    with pytest.raises(ValueError, match="none of the overlay's nodes"):
        drawing.render(graph, overlay={mg.symbol("other"): 1.0})


MAGIC = {"dot": b"digraph", "gv": b"digraph", "svg": b"<?xml", "png": b"\x89PNG\r\n", "pdf": b"%PDF-", "SVG": b"<?xml"}


@lays_out
@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_chooses_the_format(tmp_path, suffix):
    path = tmp_path / f"f.{suffix}"
    drawn = drawing.render(expression()[-1], path)
    data = path.read_bytes()
    assert data.startswith(MAGIC[suffix])
    assert data == drawn.to("dot" if suffix == "gv" else suffix.lower())
    assert os.listdir(tmp_path) == [path.name]


def test_a_path_may_be_a_string_and_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "f.dot"
    path.write_text("old")
    drawing.render(expression()[-1], str(path))
    assert path.read_text().startswith("digraph")


@pytest.mark.parametrize("name", ["f.jpg", "f", "f.svg.txt", ".svg"])
def test_an_unknown_suffix_is_an_error_that_names_the_known(tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.dot, \.gv, \.svg, \.png, \.pdf"):
        drawing.render(expression()[-1], tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_path_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"render: the drawing cannot be written .*missing"):
        drawing.render(expression()[-1], tmp_path / "missing" / "f.dot")
    (tmp_path / "d.dot").mkdir()
    with pytest.raises(OSError, match="cannot be written"):
        drawing.render(expression()[-1], tmp_path / "d.dot")
    assert os.listdir(tmp_path) == ["d.dot"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "f.svg"
    path.write_text("old")

    def fails(*_):
        raise layout.LayoutError("no")

    monkeypatch.setattr(drawing, "lay_out", fails)
    with pytest.raises(layout.LayoutError):
        drawing.render(expression()[-1], path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.svg"]


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (3.0, "float"),
        (np.ones(3), "ndarray"),
        ([], "list"),
        (lambda x: x, "function"),
        ("x", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_not_a_node_is_an_error_that_says_how_to_draw_a_function(what, found):
    with pytest.raises(TypeError, match=rf"got {found}[\s\S]*mg\.trace\(fn"):
        drawing.render(what)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "up"}, "direction is one of LR, TB, RL, BT"),
        ({"max_nodes": 0}, "max_nodes is a whole number"),
        ({"max_nodes": True}, "max_nodes is a whole number"),
        ({"fold": "t=*/forgot"}, r"no scope fits the pattern 't=\*/forgot'; there are t=0, t=1, t=2"),
        ({"expand": ["t=9"]}, "no scope fits the pattern 't=9'"),
    ],
)
def test_a_wrong_option_is_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        drawing.render(two_weights(3)[-1], **options)


# ------------------------------------------------------------------------------------------------ layout programs


def without_dot(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


def test_without_any_layout_program_the_error_names_the_one_command(tmp_path, monkeypatch):
    without_dot(monkeypatch)
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'minigrad-rnn\[draw\]'") as caught:
        drawing.render(expression()[-1], tmp_path / "f.svg")
    assert isinstance(caught.value, mg.errors.MinigradError)
    assert os.listdir(tmp_path) == []
    drawing.render(expression()[-1], tmp_path / "f.dot")  # which needs none


def test_graphvizs_own_program_is_preferred(tmp_path, monkeypatch):
    """A stand-in for `dot` on the path, which lays out by pygraphviz and writes down how it was called."""
    pytest.importorskip("pygraphviz", reason="the extra draw is not installed")
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys, pygraphviz\nopen({str(tmp_path / 'called')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        "graph = pygraphviz.AGraph(string=sys.stdin.read())\n"
        "sys.stdout.buffer.write(graph.draw(format=sys.argv[1][2:], prog='dot'))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    drawing.render(expression()[-1], tmp_path / "f.png")
    assert (tmp_path / "called").read_text() == "-Tpng -Gdpi=144"
    assert (tmp_path / "f.png").read_bytes().startswith(MAGIC["png"])


def broken(monkeypatch, tmp_path, body):
    without_dot(monkeypatch)
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(layout, "_BY_PYGRAPHVIZ", f"import sys\nsource = sys.stdin.read()\n{body}")


def test_a_layout_that_takes_too_long_falls_back_on_a_plainer_drawing(monkeypatch, tmp_path):
    pytest.importorskip("pygraphviz", reason="the extra draw is not installed")
    body = (
        "import time, pygraphviz\n"
        "if 'newrank=true' in source: time.sleep(60)\n"
        "sys.stdout.buffer.write(pygraphviz.AGraph(string=source).draw(format='svg', prog='dot'))"
    )
    broken(monkeypatch, tmp_path, body)
    with pytest.warns(UserWarning, match="longer than 3 s; drawn in a plainer way"):
        data = drawing.render(expression()[-1], timeout=9).to("svg").decode()
    assert ">tanh<" in data
    assert "3×4" not in data


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import time; time.sleep(60)", r"takes longer than [\s\S]*instead: a smaller max_nodes"),
        ("import os; os.kill(os.getpid(), 11)", "failed with exit code -11"),
        ("sys.exit('no memory')", r"exit code 1\s+no memory"),
        ("pass", "failed with exit code 0"),
    ],
)
def test_a_layout_that_fails_is_an_error_and_leaves_this_process_alone(monkeypatch, tmp_path, body, message):
    broken(monkeypatch, tmp_path, body)
    with pytest.raises(layout.LayoutError, match=message) as caught:
        drawing.render(expression()[-1], timeout=1.5).to("svg")
    assert isinstance(caught.value, mg.errors.MinigradError)


def test_neither_graphviz_nor_pygraphviz_is_imported_before_something_is_drawn():
    program = "import sys, minigrad\nassert not {'graphviz', 'pygraphviz'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


# -------------------------------------------------------------------------------------------------------- notebooks


@lays_out
def test_a_drawing_a_node_and_a_graph_show_themselves_in_a_notebook():
    y = expression()[-1]
    for shown in (drawing.render(y), y, mg.Graph([], [y])):
        bundle = shown._repr_mimebundle_()
        assert set(bundle) == {"image/svg+xml", "text/plain"}
        assert ElementTree.fromstring(bundle["image/svg+xml"].encode()).tag.endswith("svg")
    assert drawing.svg(y) == drawing.render(y).to("svg").decode()


def test_without_a_layout_program_a_notebook_shows_text(monkeypatch):
    without_dot(monkeypatch)
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    y = expression()[-1]
    assert drawing.render(y)._repr_mimebundle_() == {"text/plain": drawing.render(y).source}
    assert set(y._repr_mimebundle_()) == {"text/plain"}


def test_a_drawing_prints_its_dot_and_refuses_unknown_formats():
    drawn = drawing.render(expression()[-1])
    assert str(drawn) == drawn.source
    assert repr(drawn) == "<drawing of 5 boxes>"
    with pytest.raises(ValueError, match="dot, svg, png or pdf"):
        drawn.to("jpg")


def test_a_graph_renders_itself(tmp_path):
    graph = GRAPHS["expression"]
    graph.render(tmp_path / "f.dot", legend=False)
    assert (tmp_path / "f.dot").read_text() == drawing.render(graph, legend=False).source
