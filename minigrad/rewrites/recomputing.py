"""What is cheaper to compute again than to keep.

    recompute       a loop that reads the stack of 1 - z, where the stack of z is kept anyway, reads that of z
"""

from __future__ import annotations

from ..graph import Graph, Loop, rebuild
from ..loop import stand_in
from ..nodes import CONSTANT, Node, made_for
from ..primitives.structure import pick
from .editing import LoopEditor, edit_loops
from .parts import part, part_of

__all__ = ["recompute"]

CHEAP = {"add", "subtract", "multiply", "negative"}  # entry by entry, in about the time of a copy


def recompute(graph: Graph) -> Graph:
    """The slice of a stack of 1 - z -> 1 - z, of the slice of the stack of z; sums and products too.

    Only where the loop that stacks it stacks all that it is made from, too.
    """
    return edit_loops(graph, _recomputed)


def _recomputed(loop: LoopEditor) -> bool:
    changed = False
    for x, array in list(loop.slices.items()):
        with made_for() as context:
            context.node(x)
            made = _made_again(loop, array)
        if made is not None:
            made.name = x.name
            del loop.slices[x]
            loop.replace({x: made})
            changed = True
    return changed


def _made_again(loop: LoopEditor, array: Node) -> Node | None:
    # the step's value of a stack, from the steps' values of what it was made from; None where those are not stacked
    if array.primitive is not pick or array.inputs[0].params["loop"].length != loop.loop.length:
        return None
    producer: Loop = array.inputs[0].params["loop"]
    value = producer.graph.outputs[array.params["position"]]
    if array.params["position"] < producer.carries or value.primitive.name not in CHEAP:
        return None
    operands = [_step_of(loop, array.inputs[0], x) for x in value.inputs]
    return None if any(x is None for x in operands) else rebuild(value, operands)  # type: ignore[arg-type]


def _step_of(loop: LoopEditor, producer: Node, x: Node) -> Node | None:
    # the value at this step of what the producer's step calls x
    if x.primitive is CONSTANT:
        return x
    found = part_of(x)
    if found is not None:
        whole = _step_of(loop, producer, found[0])
        return None if whole is None else part(whole, found[1])
    made: Loop = producer.params["loop"]
    position = next((i for i, y in enumerate(made.graph.outputs) if i >= made.carries and y is x), None)
    if position is None:
        return None
    for symbol, array in loop.slices.items():
        if array.primitive is pick and array.inputs[0] is producer and array.params["position"] == position:
            return symbol
    symbol = stand_in(x)
    loop.slices[symbol] = pick(producer, position=position)
    return symbol
