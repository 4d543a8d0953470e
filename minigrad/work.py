"""What NumPy has to do to compute one node: calls, floating-point operations, bytes.

    work = work_of(node)
    work.products, work.passes, work.views     calls of NumPy's functions, found in the primitive's text
    work.flops, work.moved                     from the shapes
    kind_of(node)                              what that is listed under: "products", "arithmetic", "tanh", ...
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from .graph import bytes_of
from .naming import HELPERS
from .nodes import CONSTANT, Node
from .primitives import helpers
from .primitives.linear_algebra import matmul
from .primitives.structure import cast
from .primitives.text import params_key, render

__all__ = ["Work", "kind_of", "read_by", "total", "work_of"]


class Work(NamedTuple):
    """What some calls of NumPy's functions do.

    `products` multiply or factor matrices; `passes` go over arrays entry by entry: arithmetic, functions, sums, copies;
    `views` only look at an array in another way. An operation on two numbers counts as one floating-point operation,
    and so does a function such as exp, though it takes longer: `functions` counts the entries of these. `moved` are the
    bytes of all operands and results.
    """

    products: int = 0
    passes: int = 0
    views: int = 0
    product_flops: int = 0
    pass_flops: int = 0
    functions: int = 0
    moved: int = 0

    @property
    def calls(self) -> int:
        """Calls that compute something: products and passes."""
        return self.products + self.passes

    @property
    def flops(self) -> int:
        """Floating-point operations of products and passes."""
        return self.product_flops + self.pass_flops

    def times(self, count: int) -> Work:
        """The same work done several times."""
        return Work(*[a * count for a in self])


def total(works: Iterable[Work]) -> Work:
    """All of them together."""
    return Work(*map(sum, zip(Work(), *works, strict=True)))


_VIEWS = {"reshape", "transpose", "broadcast_to", "flip", "moveaxis", "swapaxes", "expand_dims", "squeeze", "T"}
_FREE = {"s_", "errstate", "empty", "float16", "float32", "float64", "bool", "range", "len", "float"}
_FACTORS = {  # leading terms, by n³ of an n by n matrix (Golub & Van Loan 2013, Matrix Computations)
    "inv": 2.0, "solve": 2 / 3, "det": 2 / 3, "det_sign": 2 / 3, "log_abs_det": 2 / 3, "cholesky": 1 / 3, "qr_q": 8 / 3,
    "qr_r": 4 / 3, "eigenvalues": 4 / 3, "eigenvectors": 9.0, "singular_values": 8 / 3, "left_vectors": 20.0,
    "right_vectors": 20.0, "cofactors": 20.0, "pinv": 22.0,
}  # fmt: skip
_FUNCTIONS = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sigmoid", "cbrt", "power", "sinc", "arctan2", "hypot",
    "logaddexp", "logaddexp2", "logsumexp", "softmax", "log_softmax",
}  # fmt: skip
_MOVING = {"full", "place", "scatter_add", "gather", "join", "stack", "cast", "contiguous"}  # no arithmetic

_known: dict[Any, tuple[int, int, int]] = {}


def _calls_of(node: Node) -> tuple[int, int, int]:
    # products, passes and views in the primitive's NumPy text
    key = (node.primitive, len(node.inputs), *params_key(node.params))
    if key not in _known:
        names = [f"_{i}" for i in range(len(node.inputs))]
        _known[key] = (0, 1, 0) if node.primitive.name == "gather" else (
            _calls_in(ast.parse(render(node.primitive, names, node.params), mode="eval"))
        )
    return _known[key]


def _calls_in(tree: ast.AST) -> tuple[int, int, int]:
    products = passes = views = 0
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Subscript):  # what stands in the brackets is Python's own arithmetic
            views += isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name)
            passes += isinstance(node.ctx, ast.Store)
            pending.append(node.value)
            continue
        pending += ast.iter_child_nodes(node)
        if isinstance(node, ast.BinOp):
            products += isinstance(node.op, ast.MatMult)
            passes += not isinstance(node.op, ast.MatMult)
        elif isinstance(node, (ast.Compare, ast.AugAssign)):
            passes += 1
        elif isinstance(node, ast.UnaryOp):
            passes += not isinstance(node.operand, (ast.Constant, ast.Attribute))  # -1, -np.inf
        elif isinstance(node, ast.Attribute):
            views += node.attr == "T"
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            if name in HELPERS and not owner:
                inner = _calls_in(_body_of(getattr(helpers, name)))
                products, passes, views = products + inner[0], passes + inner[1], views + inner[2]
            elif name in ("matmul", "dot", "einsum") or owner == "np.linalg":
                products += 1
            elif name in _VIEWS:
                views += 1
            elif name not in _FREE and (name != "asarray" or node.keywords):
                passes += 1
    return products, passes, views


def _body_of(helper: Any) -> ast.AST:
    (function,) = ast.parse(inspect.getsource(helper)).body
    assert isinstance(function, ast.FunctionDef)
    return ast.Module(function.body, [])


def size_of(node: Node) -> int:
    """The number of entries."""
    return math.prod(node.shape)


def read_by(nodes: Iterable[Node]) -> int:
    """The bytes of these operands; a bare number has none."""
    return sum(0 if x.primitive is CONSTANT and x.weak else bytes_of(x) for x in nodes)


def kind_of(node: Node) -> str:
    """What a node's work is listed under: products, arithmetic, tanh, copies, ..."""
    name = node.primitive.name
    if name in ("matmul", "einsum", *_FACTORS):
        return "products"
    if _is_function(node):
        return name
    if name in _MOVING:
        return "copies"
    return "arithmetic" if node.primitive.elementwise else "views" if node.primitive.view else "reductions"


def _is_function(node: Node) -> bool:
    # whether an entry takes much longer than a multiplication; squares do not
    exponent = node.inputs[1] if node.primitive.name == "power" else None
    squared = exponent is not None and exponent.primitive is CONSTANT and exponent.shape == () and exponent.cached == 2
    return node.primitive.name in _FUNCTIONS and not squared


def work_of(node: Node) -> Work:
    """What is done to compute a node from its inputs."""
    products, passes, views = _calls_of(node)
    if node.primitive is cast and node.dtype == node.inputs[0].dtype:  # nothing to be done
        passes = 0
    if not products and not passes:
        return Work(views=views)
    size, name, entries = size_of(node), node.primitive.name, max([size_of(node), *map(size_of, node.inputs)])
    product_flops = _product_flops(node) if products else 0
    pass_flops = 0 if products or name in _MOVING else passes * (size if node.primitive.elementwise else entries)
    moved = read_by(node.inputs) + bytes_of(node)
    if name in ("place", "scatter_add"):
        moved += bytes_of(node.inputs[0])  # into zeros
    elif not products:  # each further pass reads and writes what the one before made
        moved += (passes - 1) * 2 * entries * node.dtype.itemsize
    return Work(products, passes, views, product_flops, pass_flops, entries * _is_function(node), moved)


def _product_flops(node: Node) -> int:
    a = node.inputs[0]
    if node.primitive is matmul:
        return 2 * size_of(node) * a.shape[-1]
    if node.primitive.name == "einsum":
        terms = node.params["subscripts"].split("->")[0].split(",")
        sizes: dict[str, int] = {}
        for term, x in zip(terms, node.inputs, strict=True):
            for label, n in zip(term, x.shape, strict=True):
                sizes[label] = max(n, sizes.get(label, 1))
        return len(terms) * math.prod(sizes.values())
    rows, columns = (a.shape[-2:]) if len(a.shape) > 1 else (1, size_of(a))
    each = _FACTORS.get(node.primitive.name, 2.0) * rows * columns * min(rows, columns)
    if node.primitive.name == "solve":
        each += 2.0 * rows * columns * node.inputs[1].shape[-1]
    return round(each * size_of(a) / max(rows * columns, 1))
