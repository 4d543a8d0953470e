"""NumPy that keeps count: what a generated function really calls when it runs.

    found = run_counted(source, arrays)        products, passes, views, and what they read, write and compute
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.source import Source

__all__ = ["Count", "run_counted"]

Array = Any
VIEWS = {"reshape", "transpose", "broadcast_to", "flip", "moveaxis", "swapaxes", "expand_dims", "squeeze"}
CREATED = {"zeros", "ones", "full", "array", "ascontiguousarray", "asarray"}
PRODUCTS = {"matmul", "dot", "einsum"}


@dataclass
class Count:
    """What was called so far."""

    products: int = 0
    passes: int = 0
    views: int = 0
    product_flops: int = 0
    moved: int = 0


class Counted(np.ndarray[Any, Any]):
    """An array whose operations are counted, and whose results are such arrays again."""

    count = Count()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        plain = [plainly(x) for x in inputs]
        if out:
            options["out"] = tuple(plainly(x) for x in out)
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            product(plain, result)
        else:
            Counted.count.passes += 1
            moved(*plain, result)
        return out[0] if out else counted(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return called(func, *args, **kwargs)

    def dot(self, other: Array, out: Any = None) -> Array:
        assert out is None
        result = plainly(self).dot(plainly(other))
        product([plainly(self), plainly(other)], result)
        return counted(result)

    def __getitem__(self, key: Any) -> Any:
        basic = all(isinstance(i, (int, slice, type(None), type(...))) for i in (key if isinstance(key, tuple) else (key,)))
        result = plainly(self)[tuple(map(plainly, key)) if isinstance(key, tuple) else plainly(key)]
        if basic:
            Counted.count.views += 1
        else:
            Counted.count.passes += 1
            moved(result, result)
        return counted(result)

    def __setitem__(self, key: Any, value: Any) -> None:
        place, value = plainly(self)[key], plainly(value)
        if not (isinstance(value, np.ndarray) and np.shares_memory(place, value)):  # a[0] *= b puts back what is there
            Counted.count.passes += 1
            moved(value, value)
        plainly(self)[key] = value

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, **options: Any) -> Array:
        Counted.count.views += 1
        return counted(plainly(self).reshape(*shape, **options))

    def transpose(self, *axes: Any) -> Array:
        Counted.count.views += 1
        return counted(plainly(self).transpose(*axes))

    T = property(lambda self: self.transpose())


def plainly(x: Any) -> Any:
    """The array without its counting."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(plainly, x))
    return x.view(np.ndarray) if isinstance(x, Counted) else x


def counted(x: Any) -> Any:
    """The array, or the 0-d one of a NumPy number, with its operations counted."""
    if isinstance(x, tuple):
        return tuple(map(counted, x))
    return np.asarray(x).view(Counted) if isinstance(x, (np.ndarray, np.generic)) else x


def moved(*arrays: Any) -> None:
    Counted.count.moved += sum(x.nbytes for x in arrays if isinstance(x, (np.ndarray, np.generic)))


def product(operands: Sequence[Array], result: Array) -> None:
    Counted.count.products += 1
    if not isinstance(operands[0], str):  # of einsum, how much is multiplied is a matter of its subscripts
        Counted.count.product_flops += 2 * np.size(result) * operands[0].shape[-1]
    moved(*operands, result)


def called(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function of NumPy's, counted as one call, whatever it calls in its turn."""
    out = kwargs.get("out")
    result = func(*map(plainly, args), **{name: plainly(x) for name, x in kwargs.items()})
    if func.__name__ in VIEWS:
        Counted.count.views += 1
    elif func.__name__ in PRODUCTS:
        product([plainly(x) for x in args], result)
    elif not (func.__name__ == "asarray" and np.shares_memory(result, plainly(args[0]))):
        Counted.count.passes += 1
        operands = [x for a in args for x in (a if isinstance(a, (list, tuple)) else [a]) if isinstance(x, np.ndarray)]
        moved(*operands, result)
    return counted(result) if out is None else out


def counting_numpy() -> types.SimpleNamespace:
    """NumPy's module, whose functions make and take counted arrays."""
    names = {name: getattr(np, name) for name in dir(np) if not name.startswith("__")}
    for name in CREATED:
        names[name] = lambda *args, _function=names[name], **kwargs: called(_function, *args, **kwargs)
    names["empty"] = empty
    return types.SimpleNamespace(**names)


def empty(shape: Any, dtype: Any = np.float64) -> Array:
    return np.empty(shape, dtype).view(Counted)


def run_counted(source: Source, arrays: Sequence[Array]) -> tuple[Count, tuple[Array, ...]]:
    """Run generated source on arrays: what was called, and the results."""
    Counted.count = Count()
    namespace: dict[str, Any] = {}
    exec(source.text, namespace)
    namespace["np"] = counting_numpy()
    options = {"empty": empty} if source.keeps_memory else {}
    results = namespace[source.name](*map(counted, arrays), **source.constants, **source.progress, **options)
    return Counted.count, tuple(map(plainly, results))
