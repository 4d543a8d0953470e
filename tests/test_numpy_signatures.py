"""A function under NumPy's name is called as NumPy's: the same parameters in the same order with the same defaults.

What we do not take raises, it is never ignored; and a name that is not there says which one is near.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import numpy_api

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def shared(ours: Any, theirs: Any, prefix: str = "") -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Our functions and NumPy's of the same name; dtypes, constants and functions that only we have left out."""
    pairs = {}
    for name in sorted(ours.__all__):
        function, other = getattr(ours, name), getattr(theirs, name, None)
        if callable(function) and callable(other) and function is not other and not isinstance(other, type):
            pairs[prefix + name] = (function, other)
    return pairs


PAIRS = shared(numpy_api, np) | shared(numpy_api.linalg, np.linalg, "linalg.")

# NumPy's default for these says "whatever is usual"; ours says what that is.
USUAL = {"keepdims": False, "axis": -1} | dict.fromkeys(
    ["a_max", "a_min", "append", "correction", "initial", "max", "min", "prepend", "where"]
)

# Parameters that NumPy takes as **kwargs, with the defaults that its documentation gives.
DOCUMENTED = {"pad": {"constant_values": 0}}

every_pair = pytest.mark.parametrize("name", PAIRS)


def parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of a function, by name, in order."""
    try:
        found = dict(inspect.signature(function).parameters)
    except ValueError:
        pytest.skip("this version of NumPy does not tell the signature")
    more = DOCUMENTED.get(function.__name__, {})
    return found | {name: Parameter(name, Parameter.KEYWORD_ONLY, default=default) for name, default in more.items()}


def test_there_is_something_to_compare() -> None:
    assert len(PAIRS) > 180
    assert set(PAIRS) >= {"add", "tanh", "clip", "sum", "std", "median", "linspace", "zeros_like", "pad", "linalg.norm"}


@every_pair
def test_positional_parameters_stand_in_numpys_order(name: str) -> None:
    ours, theirs = map(parameters, PAIRS[name])
    expected = [p for p in theirs.values() if p.kind in POSITIONAL]
    for i, p in enumerate(p for p in ours.values() if p.kind in POSITIONAL):
        assert p.kind is expected[i].kind, f"{p.name} is positional-only in one of the two"
        if p.kind is not Parameter.POSITIONAL_ONLY:
            assert p.name == expected[i].name


@every_pair
def test_every_parameter_is_one_of_numpys(name: str) -> None:
    ours, theirs = map(parameters, PAIRS[name])
    keywords = {p.name for p in theirs.values() if p.kind is not Parameter.POSITIONAL_ONLY}
    for p in ours.values():
        if p.kind is not Parameter.POSITIONAL_ONLY:
            assert p.name in keywords
            assert (p.kind is Parameter.VAR_POSITIONAL) == (theirs[p.name].kind is Parameter.VAR_POSITIONAL)
    assert not any(p.kind is Parameter.VAR_KEYWORD for p in ours.values()), "what we do not take must raise"


@every_pair
def test_defaults_are_numpys(name: str) -> None:
    ours, theirs = map(parameters, PAIRS[name])
    in_order = [p for p in theirs.values() if p.kind in POSITIONAL]
    for i, p in enumerate(ours.values()):
        other = in_order[i] if p.kind is Parameter.POSITIONAL_ONLY else theirs[p.name]
        if other.default is np._NoValue or (other.default is True and p.name == "where"):
            assert p.default == USUAL[p.name]
        else:
            assert p.default is other.default or p.default == other.default, f"{p.name} is {other.default} in NumPy"


@every_pair
def test_parameters_that_we_do_not_take_raise(name: str) -> None:
    ours, theirs = map(parameters, PAIRS[name])
    required = [p for p in ours.values() if p.default is Parameter.empty and p.kind in POSITIONAL]
    no_keywords = (Parameter.VAR_KEYWORD, Parameter.POSITIONAL_ONLY)
    for p in [p for p in theirs.values() if p.name not in ours and p.kind not in no_keywords]:
        with pytest.raises(TypeError, match=f"'{p.name}'"):
            PAIRS[name][0](*[np.ones(2) for _ in required], **{p.name: None})


@every_pair
def test_out_of_range_positions_raise(name: str) -> None:
    ours, theirs = map(parameters, PAIRS[name])
    if any(p.kind is Parameter.VAR_POSITIONAL for p in ours.values()):
        return
    taken = [p for p in ours.values() if p.kind in POSITIONAL]
    if len(taken) < len([p for p in theirs.values() if p.kind in POSITIONAL]):
        with pytest.raises(TypeError, match="positional argument"):
            PAIRS[name][0](*[np.ones(2) for _ in range(len(taken) + 1)])


# --------------------------------------------------------------------------------------------------- how it is written


@pytest.mark.parametrize("name", sorted(numpy_api.__all__))
def test_every_function_says_what_it_does_and_shows_it(name: str) -> None:
    function = getattr(mg, name)
    if inspect.isfunction(function) and function.__module__.startswith("minigrad."):
        assert function.__doc__ is not None
        assert ">>>" in function.__doc__


def test_help_shows_the_signature() -> None:
    assert str(inspect.signature(mg.tanh)).startswith("(x: ")
    assert mg.tanh.__name__ == "tanh"
    assert "hyperbolic tangent" in mg.tanh.__doc__


def test_array_api_aliases_are_the_same_functions() -> None:
    aliases = {"acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
               "atan2": "arctan2", "atanh": "arctanh", "pow": "power", "bitwise_invert": "invert",
               "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift", "abs": "absolute",
               "concat": "concatenate", "permute_dims": "transpose"}  # fmt: skip
    for alias, name in aliases.items():
        assert getattr(mg, alias) is getattr(mg, name)


# ------------------------------------------------------------------------------------------------- what is not there


def test_a_name_of_numpys_that_is_not_there_says_so_and_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"'nancumsum'.*NumPy has it, minigrad does not.*mg\.nansum|mg\.cumsum"):
        mg.nancumsum  # noqa: B018
    with pytest.raises(AttributeError, match=r"'tahn'.*no such name.*mg\.tanh"):
        mg.tahn  # noqa: B018
    assert not hasattr(mg, "quantum_entanglement")


def test_nearest() -> None:
    assert numpy_api.nearest("logsumexpp") == "mg.logsumexp"
    assert numpy_api.nearest("linalg.nrom") == "mg.linalg.norm"
    assert numpy_api.nearest("xyzzy") == ""


def test_a_numpy_function_that_is_not_there_says_so_when_it_meets_a_node() -> None:
    with pytest.raises(TypeError, match=r"(?s)np\.unwrap.*minigrad has no function"):
        np.unwrap(mg.symbol("x", (3,)))
