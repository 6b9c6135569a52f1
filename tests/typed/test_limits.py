"""Values that are too deep, too many or no text: the contract refuses them like any other, and the job says so."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pydantic
import pytest

from novita_sdk.typed import ContractError
from tests.support.adapters import adapter

pytestmark = pytest.mark.core

SURROGATE = "\ud800"
"""What `json` makes of the six characters `\\ud800`; no UTF-8 can hold it."""


@dataclass
class Tree:
    name: str = ""
    children: list[Tree] = field(default_factory=list)


class TreeModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = ""
    children: list[TreeModel] = []


def problem(kind: Any, value: Any) -> ContractError:
    with pytest.raises(ContractError) as caught:
        adapter(kind).parse(value)
    # What a worker posts of it.
    json.dumps([str(caught.value), *(item.to_json() for item in caught.value.violations)], allow_nan=False).encode()
    str(caught.value).encode()
    return caught.value


def nested(levels: int, wrap: Callable[[Any], Any], innermost: Any) -> Any:
    value = innermost
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("levels", [150, 100_000])
def test_a_value_that_is_too_deep_is_refused(kinds: ModuleType, levels: int) -> None:
    for wrap in (lambda item: {"child": item}, lambda item: {"free": {"a": item}}):
        assert problem(kinds.Kinds, nested(levels, wrap, {})).violations
    assert problem(kinds.Kinds, {"free": {"a": nested(levels, lambda item: [item], 1)}}).violations
    assert problem(kinds.Kinds, {"int_32": nested(levels, lambda item: [item], 1)}).violations[0].field == "int_32"


@pytest.mark.parametrize("kind", [Tree, TreeModel])
def test_a_deep_value_of_another_type_is_refused_too(kind: Any) -> None:
    assert problem(kind, nested(100_000, lambda item: {"children": [item]}, {})).violations
    assert problem(kind, {"name": nested(100_000, lambda item: [item], 1)}).violations


def test_as_deep_as_protobuf_goes_is_not_too_deep(kinds: ModuleType) -> None:
    value = nested(90, lambda item: {"child": item}, {"text": "x"})
    message = adapter(kinds.Kinds).parse(value)
    assert adapter(kinds.Kinds).parse(json.loads(adapter(kinds.Kinds).dump(message))) == message


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"anyJson": 10**400}, "any_json"),
        ({"free": {"a": 10**400}}, "free"),
        ({"free": {"a": SURROGATE}}, "free"),
        ({"texts": ["a", SURROGATE]}, "texts"),
        ({"counts": {SURROGATE: 1}}, "counts"),
        ({"child": {SURROGATE: 1}}, "child.\\ud800"),
        ({"float_64": "1e999"}, "float_64"),
        ({"color": SURROGATE}, "color"),
    ],
)
def test_what_a_message_cant_hold_is_named_in_words_that_can_be_sent(kinds: ModuleType, value: Any, path: str) -> None:
    assert problem(kinds.Kinds, value).violations[0].field == path


@pytest.mark.parametrize("kind", [Tree, TreeModel])
def test_a_lone_surrogate_in_another_type_can_be_sent_in_the_error(kind: Any) -> None:
    assert problem(kind, {"name": "x", SURROGATE: 1}).violations
    assert problem(kind, {"name": 5, "children": SURROGATE}).violations


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"any_json": {"number_value": math.nan}}, "any_json"),
        ({"child": {"times": [{"seconds": 1}, {"seconds": 10**15}]}}, "child.times[1]"),
        ({"packed": {"type_url": "type.googleapis.com/no.Such"}}, "packed"),
    ],
)
def test_an_output_that_json_cant_hold_is_named_with_its_path(
    kinds: ModuleType, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(ContractError) as caught:
        adapter(kinds.Kinds).dump(kinds.Kinds(**fields))
    assert [item.field for item in caught.value.violations] == [path]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("message", {"numbers": ["x"] * 20_000}),
        ("message", {"children": [{"nope": 1}] * 20_000}),
        ("message", {f"unknown{number}": 1 for number in range(20_000)}),
        ("message", {"names": {f"x{number}": "y" for number in range(20_000)}}),
        (Tree, {f"unknown{number}": 1 for number in range(20_000)}),
        (TreeModel, {"children": ["x"] * 20_000}),
    ],
)
def test_of_many_violations_a_hundred_are_listed(kinds: ModuleType, kind: Any, value: Any) -> None:
    error = problem(kinds.Kinds if kind == "message" else kind, value)
    assert len(error.violations) == 100
    assert str(error).endswith("; … and more")
    assert len(str(error)) < 200_000
