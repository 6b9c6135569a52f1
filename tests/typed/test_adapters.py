"""Dataclasses, TypedDicts and pydantic models as contracts."""

from __future__ import annotations

import datetime
import enum
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from novita_sdk.typed import ContractError, find_adapter
from tests.support.adapters import adapter

pytestmark = pytest.mark.core


@dataclass
class Layer:
    weight: float = 1.0


@dataclass
class Draw:
    prompt: str
    width: int = 512
    layers: list[Layer] = field(default_factory=list)
    when: datetime.date | None = None


class DrawDict(TypedDict):
    prompt: str
    width: NotRequired[int]


class DrawModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    prompt: str = pydantic.Field(min_length=1)
    width: int = pydantic.Field(default=512, ge=64)
    when: datetime.date | None = None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Draw, Draw(prompt="é", width=64, layers=[Layer(weight=0.5)], when=datetime.date(2026, 1, 2))),
        (DrawDict, {"prompt": "é"}),
        (DrawModel, DrawModel(prompt="é", when=datetime.date(2026, 1, 2))),
    ],
)
def test_values_survive_both_ways(kind: Any, value: Any) -> None:
    assert adapter(kind).parse(json.loads(adapter(kind).dump(value))) == value


@pytest.mark.parametrize("kind", [Draw, DrawDict, DrawModel])
def test_missing_wrong_and_unknown_members_are_named(kind: Any) -> None:
    def problem(value: Any) -> ContractError:
        with pytest.raises(ContractError) as caught:
            adapter(kind).parse(value)
        return caught.value

    assert "prompt" in str(problem({}))
    wrong = problem({"prompt": "x", "width": "wide"}).violations[0]
    assert (wrong.field, wrong.value) == ("width", "wide")
    assert problem({"prompt": "x", "with": 5}).violations[0].field == "with"
    assert "object" in str(problem("x")).lower()


class Tone(enum.Enum):
    WARM = "warm"


@dataclass
class Limited:
    size: Annotated[int, msgspec.Meta(ge=3)]
    tone: Tone = Tone.WARM
    when: datetime.date | None = None
    counts: dict[int, int] = field(default_factory=dict)
    pair: tuple[int, int] = (1, 2)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Limited, {}, "size must be there (required)"),
        (Limited, {"size": 2}, "size must be int >= 3 (type), not 2"),
        (Limited, {"size": "a"}, "size must be int (type), not 'a'"),
        (Limited, {"size": 3, "tone": "x"}, "tone has an invalid enum value 'x' (type); it is 'x'"),
        (Limited, {"size": 3, "counts": {"a": 1}}, "counts has a key that must be int (type), not \"{'a': 1}\""),
        (Limited, {"size": 3, "pair": [1]}, "pair must be array of length 2 (type), not '[1]'"),
        (Limited, {"size": 3, "sise": 1}, "sise is not known; did you mean size? (unknown_field)"),
        (Draw, {"prompt": "a", "layers": [7]}, "layers[0] must be object (type), not 7"),
        (DrawModel, {}, "prompt must be there (missing)"),
        (DrawModel, {"prompt": "a", "with": 1}, "with is not known (extra_forbidden)"),
        (DrawModel, {"prompt": ""}, "prompt must have at least 1 character (string_too_short), not ''"),
        (
            DrawModel,
            {"prompt": "a", "width": 8},
            "width must be greater than or equal to 64 (greater_than_equal), not 8",
        ),
    ],
)
def test_a_violation_reads_as_a_sentence(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(ContractError) as caught:
        adapter(kind).parse(value)
    assert str(caught.value.violations[0]) == said


def test_a_problem_deep_inside_has_its_path() -> None:
    with pytest.raises(ContractError) as caught:
        adapter(Draw).parse({"prompt": "x", "layers": [{}, {"weight": "heavy"}]})
    assert (caught.value.violations[0].field, caught.value.violations[0].value) == ("layers[1].weight", "heavy")
    with pytest.raises(ContractError) as caught:
        adapter(Draw).parse({"prompt": "x", "layers": [{"wait": 1}]})
    assert caught.value.violations[0].field == "layers[0].wait"


def test_pydantic_lists_every_violation() -> None:
    with pytest.raises(ContractError) as caught:
        adapter(DrawModel).parse({"prompt": "", "width": 3})
    assert [(item.field, item.rule) for item in caught.value.violations] == [
        ("prompt", "string_too_short"),
        ("width", "greater_than_equal"),
    ]


@pytest.mark.parametrize("kind", [Draw, DrawDict])
def test_lenient_reading_ignores_unknown_members(kind: Any) -> None:
    assert adapter(kind).parse({"prompt": "x", "with": 5}, lenient=True) is not None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Draw, Draw(prompt=5)),  # type: ignore[arg-type] # the mistake
        (DrawDict, {"width": 5}),
        (DrawModel, DrawModel.model_construct(prompt="", width=1)),
        (DrawModel, {"prompt": "x"}),
        (Draw, object()),
    ],
)
def test_an_output_that_does_not_fit_its_type_is_not_written(kind: Any, value: Any) -> None:
    with pytest.raises(ContractError):
        adapter(kind).dump(value)


@pytest.mark.parametrize("kind", [Draw, DrawDict, DrawModel])
def test_the_schema_says_what_is_required(kind: Any) -> None:
    assert '"prompt"' in json.dumps(adapter(kind).schema())


@pytest.mark.parametrize("kind", [dict, dict[str, int], list, Any, None, str, object, "Draw"])
def test_plain_json_has_no_adapter(kind: Any) -> None:
    assert find_adapter(kind) is None
