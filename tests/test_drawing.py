"""What is drawn, where, and what is left out of large drawings."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad import drawing
from minigrad.drawing import labels, style
from minigrad.drawing.folding import fold
from minigrad.drawing.picture import Fold, Picture
from minigrad.drawing.places import Place, parting, place_of

from .drawn import GRAPHS, boxes_of, clusters, every_graph, expression, lays_out, parsed, plain, two_weights, unrolled

# --------------------------------------------------------------------------------------------------- what is drawn


@every_graph
def test_every_node_is_drawn_or_written_and_none_twice(graph):
    picture, boxes, _ = boxes_of(graph)
    keys = [box.key for box in boxes]
    assert len(set(keys)) == len(keys)
    drawn = {box.node for box in boxes}
    written = {node.inputs[i] for node in all_nodes(graph) for i in labels.literals(node)}
    for node in all_nodes(graph):
        assert node in drawn or node in written or node.shape is None or stands_in(node, graph), node.label
    assert [node for node in graph.outputs if not any(box.is_output and box.node is node for box in boxes)] == []
    dot = parsed(drawing.render(graph, max_nodes=10_000))
    assert set(keys) <= {str(node) for node in dot.nodes()}


def all_nodes(graph):
    nodes = list(graph.nodes)
    for inner in graph.subgraphs():
        nodes += all_nodes(inner)
    return nodes


def stands_in(node, graph):
    """Whether a symbol stands in a loop for something outside, which is what is drawn."""
    loops = [n.params["loop"] for n in all_nodes(graph) if n.shape is None]
    return any(node in loop.graph.inputs[loop.carries + loop.slices :] for loop in loops)


@pytest.mark.parametrize(
    "name", ["expression", "gradient", "two weights", "second order", "LSTM", "LSTM gradient", "GRU step"]
)
def test_arrows_are_the_edges_of_the_graph(name):
    graph = GRAPHS[name]
    edges = Counter((x, y) for y in graph.nodes for i, x in enumerate(y.inputs) if i not in labels.literals(y))
    _, _, arrows = boxes_of(graph)
    assert Counter((a.tail.node, a.head.node) for a in arrows if a.kind == "data") == edges
    # and in DOT, where what one step hands to the next goes through a junction, and backward arrows are turned around
    dot = parsed(drawing.render(graph, legend=False, max_nodes=10_000))
    ways = Counter()
    for edge in dot.edges():
        if edge.attr["style"] not in ("invis", "dotted"):
            ends = (str(edge[0]), str(edge[1]))
            ways[ends[::-1] if turned(edge) else ends] += 1
    position = {f"n{i}": node for i, node in enumerate(graph.nodes)}
    into = {head: tail for tail, head in ways if "s" in head}
    direct = Counter()
    for (tail, head), times in ways.items():
        if "s" not in head:
            tail = into.get(tail, tail)
            direct[position[tail.partition("u")[0]], position[head.partition("u")[0]]] += times
    assert direct == edges


def turned(edge):
    """Whether an edge of DOT runs against its arrow: by `dir`, or into a junction of a backward pass."""
    if edge.attr["dir"] == "none":
        return "s" in str(edge[0]) and str(edge[0]).startswith(f"{edge[1]}s")
    return edge.attr["dir"] == "back"


@pytest.mark.parametrize("name", ["two weights", "LSTM", "LSTM gradient", "GRU step"])
def test_clusters_are_the_scopes(name):
    graph = GRAPHS[name]
    found = clusters(parsed(drawing.render(graph, legend=False, max_nodes=10_000)))
    drawn = {tuple(p.removesuffix(" pass") for p in path if p != "forward pass") for path in found} - {()}
    scopes = {tuple(node.scope.split("/")) for node in graph.nodes if node.scope and not node.is_leaf}
    assert drawn == {scope[: i + 1] for scope in scopes for i in range(len(scope))}
    for path, names in found.items():
        scope = [p.removesuffix(" pass") for p in path if p != "forward pass"]
        for key in names:
            node = graph.nodes[int(key[1:].partition("u")[0].partition("s")[0])]
            if not node.is_leaf and "s" not in key and node.scope:
                assert node.scope.split("/") == scope


def test_a_shared_weight_is_drawn_at_every_use_and_recognised():
    dot = parsed(drawing.render(two_weights(3)[-1], legend=False))
    for name, position in (("u", 0), ("w", 1)):
        copies = [n for n in dot.nodes() if plain(n.attr["label"]).startswith(name)]
        assert sorted(copies) == [f"n{position}", f"n{position}u1", f"n{position}u2"]
        assert len({n.attr["color"] for n in copies}) == 1
        assert {n.attr["penwidth"] for n in copies} == {"2.4"}
    assert dot.get_node("n0").attr["color"] != dot.get_node("n1").attr["color"]
    assert [len(list(dot.out_edges(copy))) for copy in ("n0", "n0u1", "n0u2")] == [1, 1, 1]


def test_one_input_used_in_several_gates_of_a_step_is_drawn_once():
    graph = mg.trace(
        lambda c, x, s: c(x, s), rnn.LSTMCell.init(3, 4, rng=0), np.ones((2, 3)), rnn.LSTMState(*[np.ones((2, 4))] * 2)
    )
    _, boxes, arrows = boxes_of(graph)
    (x,) = [box for box in boxes if box.node.name == "x"]
    assert len([arrow for arrow in arrows if arrow.tail is x]) == 4


def test_uses_that_are_far_apart_get_copies_of_their_own():
    w = mg.constant(2.0, name="w")
    y = w
    for _ in range(20):
        y = mg.tanh(y * w)
    _, boxes, _ = boxes_of(mg.Graph([], [y]))
    assert 5 <= len([box for box in boxes if box.node is w]) <= 20


def test_roles_differ_by_shape_and_by_colour():
    unalike = {role: look for role, look in style.ROLES.items() if role not in ("carry", "number", "junction")}
    looks = [(look["shape"], look.get("style")) for look in unalike.values()]
    assert len(set(looks)) == len(looks)
    assert len({look["fillcolor"] for look in unalike.values()}) == len(unalike)
    for look in unalike.values():  # light fills: dark text on them has a contrast of at least 7
        assert contrast(look["fillcolor"].replace("white", "#ffffff"), style.NODE["fontcolor"]) > 7


def contrast(a, b):
    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.dot(
            [0.2126, 0.7152, 0.0722], np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        )

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def roles(graph):
    return {box.key: box.role for box in boxes_of(graph)[1]}


def test_roles_of_a_step_by_step_network_and_its_gradient():
    u, _, h = two_weights(3)
    (du,) = mg.gradients(h, [u])
    graph = mg.Graph([], [h, du])
    found = {box.node: box for box in boxes_of(graph)[1]}
    states = [box.node for box in found.values() if box.role == "state"]
    assert [node.primitive.name for node in states] == ["tanh"] * 3
    assert [node.scope for node in states] == ["t=0", "t=1", "t=2"]
    assert found[du].role == "gradient"
    assert found[du].is_output
    assert found[h].is_output
    assert labels.title(du) == "d_u"
    assert found[u].role == "weight"
    assert {box.role for box in found.values() if (box.node.name or "").startswith("x")} == {"symbol"}


def test_inputs_in_a_dataclass_or_a_dict_are_weights_and_others_are_data():
    def f(params, xs, pair):
        return params["w"] * xs + pair[0]

    graph = mg.trace(f, {"w": np.ones(2)}, np.ones(2), (np.ones(2),))
    by_name = {box.node.name: box.role for box in boxes_of(graph)[1]}
    assert [by_name[node.name] for node in graph.inputs] == ["weight", "symbol", "symbol"]
    cell = {box.node.name: box.role for box in boxes_of(GRAPHS["LSTM"])[1]}
    assert {cell[name] for name in cell if name and name.startswith("c.")} == {"weight"}
    assert cell["xs"] == "symbol"


def test_the_argument_that_holds_all_weights_is_not_repeated_in_every_name():
    source = drawing.render(GRAPHS["GRU step"]).source
    assert "<B>candidate.w_h</B>" in source
    assert "<B>c.candidate.w_h</B>" not in source


def test_an_input_that_is_output_and_one_that_is_not_used_are_drawn():
    graph = mg.trace(lambda x, y: x, np.ones(2), np.ones(3))
    dot = parsed(drawing.render(graph))
    assert dot.get_node("n0").attr["peripheries"] == "2"
    assert dot.has_node("n1")


def test_what_is_written_on_boxes_and_arrows():
    a, b = mg.symbol("a", (3, 3)), mg.symbol("b", (3, 3))
    written = {labels.operation(node) for node in [
        1 - a, a * 2.0, a**2, a**-1, a**0.5, a - b, a / b, a @ b, a > b, mg.where(a > b, a, b), mg.sigmoid(a), a[0], a[:, 1:],
        mg.sum(a), mg.astype(a, "float32"), mg.arctan2(a, b),
    ]}  # fmt: skip
    assert written == {
        "1 −", "× 2", "( )²", "( )⁻¹", "( ) ^ 0.5", "a − b", "a ÷ b", "a @ b", "a > b", "a ? b : c", "σ", "[0]", "[:, 1:]",
        "Σ", "to float32", "arctan2(a, b)",
    }  # fmt: skip
    assert labels.operation(mg.symbol("x", (2, 3)) @ mg.symbol("w", (3, 4))) == "@"  # only one order fits
    dot = parsed(drawing.render(a - b))
    assert sorted(edge.attr["label"].strip() for edge in dot.in_edges("n2")) == ["a: 3×3", "b: 3×3"]
    bare = parsed(drawing.render(a - b, shapes=False))
    assert sorted(edge.attr["label"].strip() for edge in bare.in_edges("n2")) == ["a", "b"]


def test_values_of_small_constants_are_shown_and_can_be_left_out():
    w, big = mg.constant([0.5, 1 / 3], name="w"), mg.constant(np.arange(9.0), name="big")
    source = drawing.render([w * 1.0, big * 1.0]).source
    assert "[0.5, 0.3333]" in source
    assert "<B>big</B>>" in source
    assert "0.3333" not in drawing.render(w * 1.0, values=False).source
    assert labels.value(mg.constant(np.zeros((3, 3)))) == "all 0"


# ------------------------------------------------------------------------------------------------ gradients and loops


def test_the_backward_pass_is_a_cluster_against_the_arrows_with_links_to_what_it_answers_to():
    w, x, y = expression()
    dw, dx = mg.gradients(y, [w, x])
    dot = parsed(drawing.render([y, dw, dx], legend=False))
    found = clusters(dot)
    assert set(found) == {("forward pass",), ("backward pass",)}
    graph = mg.Graph([], [y, dw, dx])
    for i, node in enumerate(graph.nodes):
        if not node.is_leaf and dot.has_node(f"n{i}"):
            seed = labels.is_gradient(node) and not node.inputs
            assert (f"n{i}" in found["backward pass",]) == (node.scope.startswith("backward") or seed)
    inner = [e for e in dot.edges() if set(map(str, e)) <= set(found["backward pass",])]
    assert {edge.attr["dir"] for edge in inner} == {"back"}
    links = {(str(e[0]), str(e[1])) for e in dot.edges() if e.attr["style"] == "dotted"}
    linked = {(graph.nodes[int(a[1:])].primitive.name, labels.title(graph.nodes[int(b[1:])])) for a, b in links}
    assert linked == {("matmul", "d_@"), ("tanh", "d_tanh"), ("sum", "d_Σ")}


def test_a_backward_pass_of_a_backward_pass_goes_forward_again():
    z = mg.constant(0.3, name="z")
    (first,) = mg.gradients(mg.tanh(z * z), [z])
    found = clusters(parsed(drawing.render(mg.gradients(first, [z]), legend=False)))
    assert ("backward pass", "backward pass 2") in found
    root = Place(None, "")
    assert place_of("backward/t=1", root, []).backward
    assert not place_of("backward/backward/t=1", root, []).backward


def test_tangents_are_a_pass_of_their_own_that_goes_forward():
    dot = parsed(drawing.render(GRAPHS["tangents"], legend=False))
    assert set(clusters(dot)) == {("forward pass",), ("tangents",)}
    assert "back" not in {edge.attr["dir"] for edge in dot.edges()}


def test_a_loop_is_a_cluster_that_holds_its_step_and_says_how_often():
    dot = parsed(drawing.render(GRAPHS["loop"], legend=False))
    found = clusters(dot)
    (inside,) = [names for path, names in found.items() if path == ("↻ repeat 5 times",)]
    ports = {
        plain(dot.get_node(n).attr["label"]): n
        for n in inside
        if dot.get_node(n).attr["shape"] in ("hexagon", "parallelogram")
    }
    assert sorted(ports) == ["carry carry in", "carry carry out", "carry[t]", "x[t]"]
    shapes = {text: dot.get_node(n).attr["shape"] for text, n in ports.items()}
    assert shapes["carry carry in"] != shapes["x[t]"]
    (back,) = [edge for edge in dot.edges() if edge.attr["style"] == "dashed"]
    assert plain(dot.get_node(back[0]).attr["label"]).endswith("out")
    assert plain(dot.get_node(back[1]).attr["label"]).endswith("in")
    assert back.attr["label"].strip() == "next step"
    # the weight from outside is drawn in the loop, where it is used
    assert [n for n in inside if plain(dot.get_node(n).attr["label"]) == "w"]


def test_the_gradient_of_a_loop_is_a_loop_from_last_to_first():
    found = clusters(parsed(drawing.render(GRAPHS["loop gradient"], legend=False)))
    assert ("forward pass", "↻ repeat 5 times") in found
    assert ("backward pass", "↻ repeat 5 times, last to first") in found


def test_scopes_in_a_loop_and_loops_in_loops():
    def inner(c, x):
        with mg.scope("forget"):
            return mg.tanh(c * x), c

    def outer(c, row):
        with mg.scope("rows"):
            return mg.scan(inner, c, row)[0], c

    with mg.scope("model"):
        y = mg.scan(outer, mg.symbol("c"), mg.symbol("xs", (3, 4)))[0]
    found = clusters(parsed(drawing.render(y, legend=False)))
    assert ("model", "↻ repeat 3 times", "rows", "↻ repeat 4 times", "forget") in found


@lays_out
def test_steps_stand_in_a_row():
    """Every box of a step is to the left of every box of the next, forward and backward."""
    u, w, h = two_weights(3)
    for what in (h, [h, *mg.gradients(h, [u, w])]):
        drawn = drawing.render(what, legend=False)
        at = positions(drawn)
        steps = {path: [at[name] for name in names if name in at] for path, names in clusters(parsed(drawn)).items()}
        for outer in {path[:-1] for path in steps if path[-1] == "t=0"}:
            for a, b in (("t=0", "t=1"), ("t=1", "t=2")):
                assert max(steps[*outer, a]) < min(steps[*outer, b])


def positions(drawn):
    """Name of a box -> its horizontal position in the SVG."""
    space = "{http://www.w3.org/2000/svg}"
    found = {}
    for group in ElementTree.fromstring(drawn.to("svg")).iter(f"{space}g"):
        if group.get("class") == "node":
            shape = group.find(f".//{space}ellipse"), group.find(f".//{space}polygon"), group.find(f".//{space}path")
            numbers = next(s for s in shape if s is not None)
            text = numbers.get("cx") or (numbers.get("points") or numbers.get("d", "")).lstrip("M").split(",")[0]
            found[group.findtext(f"{space}title")] = float(text)
    return found


# ---------------------------------------------------------------------------------------------------------- folding


def test_nothing_is_folded_while_it_fits():
    _, boxes, _ = boxes_of(GRAPHS["LSTM"], 300)
    assert not any(isinstance(box, Fold) for box in boxes)


@lays_out
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_an_unrolled_lstm_of_1000_steps_stays_readable_and_quick(backward):
    loss, cell, xs = unrolled(1000)
    graph = mg.trace(mg.grad(loss) if backward else loss, cell, xs)
    start = time.perf_counter()
    drawn = drawing.render(graph, legend=False)
    svg = drawn.to("svg")
    assert time.perf_counter() - start < 20  # on a busy machine; a second or two on an idle one
    dot = parsed(drawn)
    assert len(dot.nodes()) <= 300
    paths = {path[-1] for path in clusters(dot)}
    assert {"t=0", "t=999"} <= paths
    assert not paths & {"t=1", "t=500", "t=998"}
    assert "t=1 … t=998" in svg.decode()
    assert "998 steps, each:" in svg.decode()
    assert "8 @" in svg.decode()  # what is in each of them: two products a gate


def test_folded_steps_keep_what_leads_in_and_out():
    _, _, h = two_weights(200)
    dot = parsed(drawing.render(h, legend=False))
    (folded,) = [node for node in dot.nodes() if "t=1 … t=198" in plain(node.attr["label"])]
    text = plain(folded.attr["label"])
    assert "198 steps, each:" in text
    assert "2 × · 1 + · 1 tanh" in text
    assert "with u, x1, w, x2 and 196 more" in text
    assert len([edge for edge in dot.in_edges(folded) if edge.attr["style"] != "invis"]) == 1
    assert len([edge for edge in dot.out_edges(folded) if edge.attr["style"] != "invis"]) == 1


def test_steps_that_differ_are_said_to():
    h = mg.symbol("h")
    for t in range(200):
        with mg.scope(f"t={t}"):
            h = mg.tanh(h * 2.0 + 1.0) if t % 2 else mg.sin(h * 2.0 + 1.0)
    source = drawing.render(h).source
    assert "198 steps, in all:" in source
    assert "198 +" in source
    assert "99 sin" in source


def test_more_than_fits_is_folded_scope_by_scope_then_in_the_middle():
    loss, cell, xs = unrolled(3)
    graph = mg.trace(loss, cell, xs)
    _, boxes, _ = boxes_of(graph, 40)
    assert len(boxes) <= 40
    assert {box.heading[0] for box in boxes if isinstance(box, Fold)}
    y = mg.symbol("x")
    for _ in range(1000):
        y = mg.tanh(y)
    _, boxes, arrows = boxes_of(mg.Graph([], [y]), 50)
    (middle,) = [box for box in boxes if isinstance(box, Fold)]
    assert sum(middle.members.values()) + len(boxes) - 2 == 1000
    assert len([arrow for arrow in arrows if middle in (arrow.tail, arrow.head)]) == 2


@pytest.mark.parametrize("most", [1, 2, 5, 20, 100])
@every_graph
def test_any_limit_is_kept_or_nothing_more_can_be_folded(graph, most):
    picture, boxes, _ = boxes_of(graph, most)
    depths = {box.place.depth for box in boxes if not isinstance(box, Fold) and not box.is_leaf}
    assert len(boxes) <= most or depths <= {0}
    assert parsed(drawing.render(graph, max_nodes=most))


def test_fold_and_expand_name_scopes():
    loss, cell, xs = unrolled(2)
    graph = mg.trace(loss, cell, xs)
    picture = Picture(graph)
    fold(picture, 10_000, ["t=*/forget"])
    boxes, _ = picture.drawn()
    assert sorted(box.heading[0] for box in boxes if isinstance(box, Fold)) == ["forget", "forget"]
    graph = mg.trace(loss, cell, np.ones((50, 2, 3)))
    paths = {path[-1] for path in clusters(parsed(drawing.render(graph, expand="t=7", legend=False)))}
    assert {"t=0", "t=7", "t=49"} <= paths
    assert "t=8" not in paths
    assert clusters(parsed(drawing.render(graph, fold="t=*", max_nodes=10_000, legend=False))) == {}


@pytest.mark.parametrize("nodes", [100_000])
def test_a_long_chain_takes_linear_time(nodes):
    def seconds(count):
        y = mg.symbol("x")
        for _ in range(count):
            y = mg.tanh(y)
        start = time.process_time()
        drawn = drawing.render(y)
        assert len(parsed(drawn).nodes()) < 300
        return time.process_time() - start

    seconds(1000)
    assert seconds(nodes) < 20 * max(seconds(nodes // 10), 0.05)


def test_the_ways_to_two_places_part():
    root = Place(None, "")
    a, b = place_of("layer/t=0/forget", root, []), place_of("layer/t=1", root, [])
    around, below_a, below_b = parting(a, b)
    assert (around.name, below_a.name, below_b.name) == ("layer", "t=0", "t=1")
    assert below_a.step == ("t", 0)
