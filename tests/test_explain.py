"""`graph.explain()`: its numbers are those of what really runs, its reasons those that hold, its page can be read."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import pytest

import minigrad as mg
import rnn
from minigrad.counting import Costs, costs
from minigrad.errors import ArgumentError
from minigrad.explaining import Explanation
from minigrad.phrases import count_text, expression, listed, phrase, short_names, size_text
from minigrad.rewrites import PASSES, PIPELINE, merge_loops, optimize
from minigrad.source import generate

from .cell_drawing import random_cell
from .counted import run_counted

Array = Any
BATCH, INPUTS, HIDDEN, STEPS = 3, 4, 6, 5


def normal(*shape: int, dtype: str = "float64") -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def loss(cell: Any, xs: Array) -> Array:
    hs, _ = rnn.scan(cell, xs)
    return mg.sum(hs[-1] ** 2)


def gradient_of(cell: Any, shape: tuple[int, int, int], dtype: str = "float64") -> mg.Graph:
    return mg.trace(mg.value_and_grad(loss), cell, np.zeros(shape, dtype))


def four_products(w: dict[str, Array], h: Array) -> Array:
    def step(h: Array, _: None) -> tuple[Array, None]:
        a, b, c, d = (mg.tanh(h @ w[name]) for name in "abcd")
        return a * b + c * d, None

    return mg.scan(step, h, length=10)[0]


FOUR = {name: np.ones((3, 3)) for name in "abcd"}, np.ones((2, 3))


# ------------------------------------------------------------------------------------------------------ counts by hand


def test_four_products_that_share_an_operand_become_one() -> None:
    found = mg.trace(four_products, *FOUR).explain()
    # a step: four products; four tanh, two multiplications, one addition; and what is returned is a copy
    assert (found.before.products, found.before.passes) == (10 * 4, 10 * (4 + 2 + 1) + 1)
    # one product, one tanh of all, two multiplications, one addition; the matrices are stacked once
    assert (found.after.products, found.after.passes) == (10, 10 * (1 + 2 + 1) + 2)
    assert found.before.flops == found.after.flops == 10 * (4 * (2 * 2 * 3 * 3) + (4 + 3) * 2 * 3)
    joined = next(rewrite for rewrite in found.rewrites if rewrite.name == "join_products")
    assert (joined.before.products, joined.after.products) == (40, 10)
    assert joined.did[0] == "4 products became one: h @ [w['a'], w['b'], w['c'], w['d']]"


def test_straight_code() -> None:
    found = costs(mg.trace(lambda a, b: mg.tanh(a @ b) + 1.0, np.ones((3, 4)), np.ones((4, 5))))
    assert (found.products, found.passes, found.views, found.loops) == (1, 2, 0, ())
    assert found.flops == 2 * 3 * 4 * 5 + 2 * 15
    assert found.moved == 8 * (12 + 20 + 15) + 2 * 8 * (15 + 15)


def test_a_step_of_an_lstm_costs_what_its_equations_say() -> None:
    batch, inputs, hidden, steps = 16, 32, 64, 100
    cell = rnn.LSTMCell.init(inputs, hidden, dtype="float32")
    found = mg.trace(loss, cell, np.zeros((steps, batch, inputs), "float32")).explain()
    (loop,) = found.after.loops
    assert loop.steps == steps and loop.carries == ("h", "c") and not loop.reverse
    size = batch * hidden
    assert loop.step.product_flops == 4 * 2 * size * hidden  # h @ w_h of four gates; x @ w_x is done before
    assert loop.step.products == 1
    # four sums; three sigmoids of four operations; g; f * c + i * g; tanh(c); o * tanh(c)
    assert loop.step.pass_flops == (4 + 3 * 4 + 1 + 3 + 1 + 1) * size
    assert found.before.loops[0].step.product_flops == 4 * 2 * size * (inputs + hidden)
    assert found.before.work.product_flops == found.after.work.product_flops
    assert found.before.products == 8 * steps and found.after.products == steps + 1


# -------------------------------------------------------------------------------------- the same as what really happens


def attention(w: dict[str, Array], xs: Array) -> Array:
    def step(h: Array, x: Array) -> tuple[Array, Array]:
        found = mg.softmax(xs @ h[:4], axis=0) @ xs
        h = mg.tanh(mg.concatenate([x, found]) @ w["x"] + h @ w["h"])
        return h, h

    return mg.sum(mg.scan(step, np.zeros(6), xs)[1] ** 2)


def checkpointed(w: dict[str, Array], xs: Array) -> Array:
    h, _ = mg.scan(lambda h, x: (mg.tanh(x @ w["x"][:4] + h @ w["h"]), None), np.zeros(6), xs, checkpoint=2)
    return mg.sum(h**2)


def large(a: Array, b: Array) -> Array:
    return mg.sum(mg.tanh(a @ b) * 2 + 1)  # so large that memory is kept for it


def unrolled(cell: Any, xs: Array) -> Array:
    return mg.sum(rnn.unroll(cell, xs)[0] ** 2)


def masked(cell: Any, xs: Array) -> Array:
    return mg.sum(rnn.scan(cell, xs, lengths=np.array([5, 2, 0]))[0] ** 2)


WEIGHTS = {"x": normal(8, 6), "h": normal(6, 6)}
PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "rnn": (loss, (rnn.RNNCell.init(INPUTS, HIDDEN), normal(STEPS, BATCH, INPUTS))),
    "lstm": (loss, (rnn.LSTMCell.init(INPUTS, HIDDEN, dtype="float32"), normal(STEPS, BATCH, INPUTS, dtype="float32"))),
    "lstm, one row": (loss, (rnn.LSTMCell.init(INPUTS, HIDDEN), normal(STEPS, 1, INPUTS))),
    "gru": (loss, (rnn.GRUCell.init(INPUTS, HIDDEN), normal(STEPS, BATCH, INPUTS))),
    "gru, reset before": (loss, (rnn.GRUCell.init(INPUTS, HIDDEN, reset="before"), normal(STEPS, BATCH, INPUTS))),
    "gru, masked": (masked, (rnn.GRUCell.init(INPUTS, HIDDEN), normal(STEPS, BATCH, INPUTS))),
    "lstm, unrolled": (unrolled, (rnn.LSTMCell.init(INPUTS, HIDDEN), normal(2, BATCH, INPUTS))),
    "attention": (attention, (WEIGHTS, normal(5, 4))),
    "checkpointed": (checkpointed, (WEIGHTS, normal(7, 4))),
    "large": (large, (normal(200, 200), normal(200, 200))),
}


def agreeing(graph: mg.Graph, arrays: list[Array], without: tuple[str, ...] = ()) -> None:
    """What is counted from shapes is what NumPy is really asked to do."""
    found = costs(optimize(merge_loops(graph), without))
    with np.errstate(all="ignore"):
        real, _ = run_counted(generate(graph, "f", without), arrays)
    assert (found.products, found.passes, found.views) == (real.products, real.passes, real.views)
    assert found.work.product_flops == real.product_flops
    assert found.moved == pytest.approx(real.moved, rel=0.15)  # of what goes over an array several times, roughly


@pytest.mark.parametrize("without", [(), ("hoist",), ("join_entries", "sum_after"), tuple(PASSES)], ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_counted_is_what_is_called(program: str, without: tuple[str, ...]) -> None:
    f, arguments = PROGRAMS[program]
    graph = mg.trace(mg.value_and_grad(f), *arguments)
    agreeing(graph, [np.asarray(leaf) for leaf in mg.tree_leaves(arguments)], without)


def test_the_counting_run_computes_what_the_plain_one_does() -> None:
    f, arguments = PROGRAMS["lstm"]
    source = generate(mg.trace(mg.value_and_grad(f), *arguments), "f")
    arrays = [np.asarray(leaf) for leaf in mg.tree_leaves(arguments)]
    count, results = run_counted(source, arrays)
    assert count.products and all(map(np.array_equal, results, source(*arrays)))


@pytest.mark.parametrize("seed", range(12))
def test_random_steps_cost_what_is_counted(seed: int) -> None:
    cell = random_cell(seed)
    arrays = [np.asarray(a) for a in (*cell.moving.values(), *cell.fixed.values())]
    graph = mg.trace(cell.gradient(mg.scan), cell.moving, cell.fixed)
    for without in ((), ("hoist",)):
        found = costs(optimize(merge_loops(graph), without))
        with np.errstate(all="ignore"):
            real, _ = run_counted(generate(graph, "f", without), arrays)
        assert (found.products, found.passes) == (real.products, real.passes)
    assert str(graph.explain())


@pytest.mark.parametrize("cell", [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell])
def test_memory_is_what_a_call_takes_at_most(cell: Any) -> None:
    made, xs = cell.init(32, 64, dtype="float32"), np.zeros((100, 16, 32), "float32")
    graph = gradient_of(made, xs.shape, "float32")
    source, arrays = generate(graph, "f"), [np.asarray(leaf) for leaf in mg.tree_leaves((made, xs))]
    source.function(*arrays)
    tracemalloc.start()
    try:
        source.function(*arrays)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.97 < graph.explain().after.memory / peak < 1.1


# ------------------------------------------------------------------------------------------------------ what rewrites do


def test_every_pass_stands_there_in_order_and_each_begins_where_the_one_before_ended() -> None:
    graph = gradient_of(rnn.LSTMCell.init(INPUTS, HIDDEN), (STEPS, BATCH, INPUTS))
    found = graph.explain()
    assert [rewrite.name for rewrite in found.rewrites] == PIPELINE
    ends = [found.before, *[rewrite.after for rewrite in found.rewrites]]
    assert [rewrite.before for rewrite in found.rewrites] == ends[:-1] and found.after == ends[-1]
    assert found.before == costs(merge_loops(graph)) and found.after == costs(optimize(merge_loops(graph)))
    did = {rewrite.name: " ".join(rewrite.did) for rewrite in found.rewrites if rewrite.did}
    assert "4 products became one: x @ w_x of forget, input, output, candidate" in did["join_products"]
    assert "4 products became one: h @ w_h of forget, input, output, candidate" in did["join_products"]
    assert f"x @ w_x of forget, input, output, candidate leaves the loop: {STEPS} steps at once" in did["hoist"]
    assert f"12 carries leave the loop of {STEPS} steps: forget.w_x, forget.w_h, forget.b" in did["sum_after"]
    assert "matmul" in did["join_columns"] and "sigmoid 3 -> 1" in " ".join(
        line for rewrite in found.rewrites for line in rewrite.did if rewrite.name == "join_entries"
    )


@pytest.mark.parametrize("left_out", list(PASSES))
def test_a_pass_that_is_left_out_is_not_there(left_out: str) -> None:
    graph = gradient_of(rnn.GRUCell.init(INPUTS, HIDDEN), (STEPS, BATCH, INPUTS))
    found = graph.explain(without=[left_out])
    assert left_out not in {rewrite.name for rewrite in found.rewrites} | {reason.rule for reason in found.reasons}
    assert found.without == (left_out,) and f"left out: {left_out}" in str(found)
    assert found.after == costs(optimize(merge_loops(graph), left_out)) and found == graph.explain(without=left_out)


def test_an_unknown_pass_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"no rewrite is named 'join'[\s\S]*join_products"):
        mg.trace(four_products, *FOUR).explain(without="join")


def test_explaining_changes_nothing() -> None:
    graph, other = (mg.trace(mg.grad(loss), rnn.GRUCell.init(INPUTS, HIDDEN), np.zeros((STEPS, BATCH, INPUTS))) for _ in range(2))
    page = str(graph.explain())
    assert graph.source == other.source and str(graph.explain()) == page == str(other.explain())


def test_a_compiled_function_explains_what_a_call_runs() -> None:
    f = mg.compile(mg.grad(loss), without=["hoist"])
    arguments = rnn.LSTMCell.init(INPUTS, HIDDEN), np.zeros((STEPS, BATCH, INPUTS))
    assert f.explain(*arguments) == f.trace(*arguments).explain(without=["hoist"])
    assert f.explain(*arguments).after != mg.compile(mg.grad(loss)).explain(*arguments).after


def test_types() -> None:
    found = mg.trace(four_products, *FOUR).explain()
    assert_type(found, Explanation)
    assert_type(found.after, Costs)
    assert_type(found.after.flops, int)
    assert_type(found.rewrites[0].before.products, int)
    assert isinstance(found, Explanation)


# --------------------------------------------------------------------------------------------------------------- reasons


def reasons(f: Callable[..., Any], *arguments: Any) -> str:
    return "\n".join(f"{reason.rule}: {reason}" for reason in mg.trace(f, *arguments).explain().reasons)


def test_what_the_carry_holds_in_the_loop() -> None:
    found = reasons(mg.grad(loss), rnn.LSTMCell.init(INPUTS, HIDDEN), np.zeros((STEPS, BATCH, INPUTS)))
    assert "hoist: h @ w_h of forget, input, output, candidate stays in the loop: h is the carry" in found
    assert re.search(r"\[d_candidate, .*d_output\] @ w_h_T of .* d_forget.* made from the carry d_c", found)
    assert "x @" not in found  # which is done before the loop


def test_reset_before_keeps_the_candidate_apart() -> None:
    found = reasons(mg.grad(loss), rnn.GRUCell.init(INPUTS, HIDDEN, reset="before"), np.zeros((STEPS, BATCH, INPUTS)))
    product = "(reset * h) @ cell.candidate.w_h"
    apart = f"join_products: {product} is not joined with h @ w_h of reset, update: "
    assert apart + "its operand reset * h is another, and needs that product first" in found
    assert f"hoist: {product} stays in the loop: reset * h is made from the carry h" in found
    after = reasons(mg.grad(loss), rnn.GRUCell.init(INPUTS, HIDDEN), np.zeros((STEPS, BATCH, INPUTS)))
    assert "join_products" not in after


def test_an_input_that_the_carry_modifies_stays() -> None:
    def modified(w: Array, u: Array, xs: Array) -> Array:
        def step(h: Array, x: Array) -> tuple[Array, None]:
            with mg.scope("gate"):
                gate = mg.sigmoid(mg.sum(h, axis=1, keepdims=True))
            with mg.scope("modified"):
                x = x * gate
            h = mg.tanh(mg.tanh(x @ w) * (h @ u))
            return h, None

        return mg.sum(mg.scan(step, np.zeros((2, 6)), xs)[0])

    found = reasons(modified, normal(4, 6), normal(6, 6), normal(5, 2, 4))
    assert "hoist: modified @ w stays in the loop: modified is made from the carry through gate" in found
    assert "its operand is the carry" in found


def test_attention_asks_with_the_carry() -> None:
    found = reasons(attention, WEIGHTS, normal(5, 4))
    assert "xs @ carry[:4] stays in the loop: carry[:4] is made from the carry" in found
    assert re.search(r"concatenate\(.*\) is made from the carry through matmul, softmax", found)


def test_both_operands_that_change_are_not_joined() -> None:
    def f(xs: Array) -> Array:
        def step(h: Array, x: Array) -> tuple[Array, None]:
            return mg.tanh(h @ (x * mg.sum(h)) + h @ x.T), None

        return mg.scan(step, np.zeros((3, 3)), xs)[0]

    assert "from step to step" in reasons(f, normal(4, 3, 3))


def test_matrices_of_other_shapes_are_not_joined() -> None:
    def f(w: Array, u: Array, h: Array) -> Array:
        return mg.scan(lambda h, _: (mg.tanh(h @ w) * mg.sum(h @ u), None), h, length=3)[0]

    found = reasons(f, np.ones((3, 3)), np.ones((3, 5)), np.ones((2, 3)))
    assert "h @ u is not joined with h @ w: their matrices have shapes (3, 3) and (3, 5)" in found


def test_what_no_rule_takes_out_of_the_loop_is_named() -> None:
    def f(w: Array, xs: Array) -> Array:
        def step(h: Array, x: Array) -> tuple[Array, None]:
            return mg.tanh(h + mg.linalg.cholesky(x) @ w), None

        return mg.scan(step, np.zeros((2, 2)), xs)[0]

    found = reasons(f, np.eye(2), np.stack([np.eye(2)] * 3))
    assert "stays in the loop, though it needs no carry: no rule does np.linalg.cholesky(x) (cholesky)" in found


def test_what_is_not_left_for_after_the_loop_says_why() -> None:
    def summary(w: Array, h: Array) -> Array:
        return mg.scan(lambda h, _: (mg.tanh(h), mg.exp(h) @ w), h, length=3)[1]

    def root(w: Array, h: Array) -> Array:
        return mg.scan(lambda h, _: (mg.tanh(h) + 2.0 * np.eye(2), mg.linalg.cholesky(h) @ w), h, length=3)[1]

    found = reasons(summary, np.ones((50, 1)), np.ones((50, 50)))
    assert "postpone: np.exp(h) @ w stays in the loop, though no carry needs it: it takes h of all steps" in found
    assert "which is 60.0 kB, to make 1.20 kB" in found
    assert "postpone" not in reasons(summary, np.ones((50, 50)), np.ones((50, 50)))  # as large as what is made
    assert "no rule does np.linalg.cholesky(h) (cholesky)" in reasons(root, np.ones((2, 2)), np.eye(2))


def test_a_sum_that_no_rule_takes_is_named() -> None:
    def f(w: Array, xs: Array) -> Array:
        return mg.scan(lambda total, x: (total + mg.cumsum(w * x), None), np.zeros(3), xs)[0]

    found = reasons(f, np.ones(3), np.ones((5, 3)))
    assert "sum_after: the sum carry is taken step by step: no rule takes np.cumsum(multiply(...), axis=0)" in found


def test_what_is_run_again_keeps_nothing() -> None:
    found = reasons(mg.grad(checkpointed), WEIGHTS, normal(6, 4))
    assert re.search(r"sum_after: the sum d_.* keeps nothing for all steps", found)


def test_what_would_not_fit_the_cache_is_named_with_its_size() -> None:
    cell = rnn.RNNCell.init(32, 64)
    found = reasons(mg.grad(loss), cell, np.zeros((100, 16, 32)))
    assert re.search(r"hoist: .*1 - .* stay in the loop, .*819 kB for all steps is more than the 262 kB", found)
    assert "262 kB" not in reasons(mg.grad(loss), cell, np.zeros((10, 1, 32)))


def test_equal_operations_on_parts_that_are_no_neighbours_stay_apart() -> None:
    found = reasons(four_products, *FOUR)
    assert re.search(r"join_entries: .*\[2\] \* .*\[3\] is not joined with .*: parts 0, 2 of .* are no neighbours", found)


def test_reasons_know_the_line() -> None:
    (reason, *_) = mg.trace(four_products, *FOUR).explain().reasons
    assert reason.origin is not None and reason.origin.filename == __file__


# -------------------------------------------------------------------------------------------------------------- the page


def test_the_page_fits_a_screen_and_is_aligned() -> None:
    for name in PROGRAMS:
        f, arguments = PROGRAMS[name]
        lines = str(mg.trace(mg.value_and_grad(f), *arguments).explain()).splitlines()
        assert all(len(line) <= 125 for line in lines) and len(lines) < 120
        head = next(i for i, line in enumerate(lines) if line.startswith("what is left"))
        table = [line for line in lines[head:] if line.startswith("    ") and re.search(r"s$", line) and "µ" in line]
        assert len({len(line) for line in table if "rule" not in line}) == 1


def test_small_sizes_are_bound_by_calls_and_large_ones_by_products() -> None:
    def shares(batch: int, inputs: int, hidden: int, steps: int) -> dict[str, float]:
        cell = rnn.LSTMCell.init(inputs, hidden, dtype="float32")
        found = gradient_of(cell, (steps, batch, inputs), "float32").explain()
        assert sum(found.shares.values()) == pytest.approx(1) and found.seconds > 0
        return found.shares

    assert shares(1, 8, 16, 100)["calls"] > 0.8
    assert shares(64, 256, 512, 50)["products"] > 0.8


def test_a_graph_without_a_loop_says_so() -> None:
    x = mg.symbol("x", (3,))
    found = mg.Graph([], [mg.tanh(x) * 2.0]).explain()  # of free symbols too
    assert found.after.passes == 2 and "there is no loop in this graph" in str(found)


def test_nothing_to_do_is_no_error() -> None:
    x = mg.symbol("x", (3,))
    found = mg.Graph([x], [x]).explain()
    assert found.after.products == 0 and found.after.passes == 1  # what the caller gets is a copy
    assert str(found) and found.rewrites[0].did == ()
    empty = mg.trace(lambda h: mg.scan(lambda h, _: (mg.tanh(h), None), h, length=0)[0], np.ones(3)).explain()
    assert empty.after.passes == 1 and str(empty)


# ---------------------------------------------------------------------------------------------------------------- words


def test_words() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 12_345, 999_499, 999_600, 5e9)] == [
        "0 B", "999 B", "1.00 kB", "12.3 kB", "999 kB", "1.00 MB", "5.00 GB",
    ]  # fmt: skip
    assert [count_text(n) for n in (7, 12_345, 999_999, 1_000_000)] == ["7", "12,345", "999,999", "1.00 M"]
    assert listed([str(i) for i in range(9)], 3) == "0, 1, 2 and 6 more" and listed(["a", "a", "b"]) == "a, b"
    assert short_names(["c.f.w", "c.g.w"]) == (["f", "g"], "w") and short_names(["w"]) == (["w"], "")
    assert short_names(["a", "a.b"]) == (["a", "a.b"], "")


def test_expressions_have_the_parentheses_that_they_need() -> None:
    a, b, c = (mg.symbol(name, (3, 3)) for name in "abc")
    assert phrase((a + b) * c) == "(a + b) * c" and phrase(a - (b - c)) == "a - (b - c)"
    assert phrase((a * b) @ c) == "(a * b) @ c" and phrase(2 * a) == "2 * a"
    assert phrase(a.T @ b[0]) == "a.T @ b[0]"
    deep = a
    for _ in range(30):
        deep = mg.tanh(deep * b + c)
    assert len(expression(deep)) < 60 and expression(deep).startswith("np.tanh(")
