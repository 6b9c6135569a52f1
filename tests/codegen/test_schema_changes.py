"""Changes of contracts that are dataclasses or pydantic models, by the schemas that their workers publish."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import pydantic
import pytest

from novita_codegen import BreakingChange, GenerateError, breaking_changes
from novita_sdk.typed import find_adapter

Width: TypeAlias = Annotated[int, msgspec.Meta(ge=64, le=2048)]


@dataclass
class Layer:
    weight: Annotated[float, msgspec.Meta(le=1)] = 0
    inner: Layer | None = None


class Style(Enum):
    OIL = "oil"
    INK = "ink"


@dataclass
class Draw:
    prompt: Annotated[str, msgspec.Meta(max_length=90)]
    width: Width = 512
    style: Style = Style.OIL
    layers: list[Layer] = field(default_factory=list)
    seed: int | None = None


class Model(pydantic.BaseModel):
    prompt: str = pydantic.Field(max_length=90)
    width: int = pydantic.Field(512, ge=64)
    kind: Literal["a", "b"] = "a"
    extra: dict[str, int] = {}


def schema(kind: Any) -> Any:
    adapter = find_adapter(kind)
    assert adapter is not None
    return json.loads(json.dumps(adapter.schema()))


def compare(folder: Path, old: Any, new: Any, **members: Any) -> list[BreakingChange]:
    """Compares the schemas of two endpoints, which have the given input, or the given methods."""
    for name, value in {"old": old, "new": new}.items():
        methods = value if isinstance(value, list) else [{"input": value}]
        (folder / f"{name}.json").write_text(json.dumps({"methods": methods, **members}), encoding="utf-8")
    return breaking_changes(folder / "old.json", folder / "new.json")


def replaced(whole: Any, old: str, new: str) -> Any:
    text = json.dumps(whole)
    assert old in text, text
    return json.loads(text.replace(old, new))


@pytest.mark.parametrize(
    ("kind", "old", "new", "change"),
    [
        (Draw, '"maxLength": 90', '"maxLength": 80', "prompt: maxLength is 80 (before: 90)."),
        (Draw, '"maxLength": 90', '"maxLength": 90, "pattern": "^a"', "prompt: pattern is '^a', and was not there."),
        (Draw, '"minimum": 64', '"exclusiveMinimum": 64', "width: exclusiveMinimum is 64 (before: 64)."),
        (Draw, '"required": ["prompt"]', '"required": ["prompt", "width"]', "width: must be there now."),
        (Draw, '["ink", "oil"]', '["ink"]', "style: enum is ['ink'] (before: ['ink', 'oil'])."),
        (Draw, '"maximum": 1', '"maximum": 0.5', "layers[].weight: maximum is 0.5 (before: 1)."),
        (Draw, '{"type": "integer"}, {"type": "null"}', '{"type": "integer"}', "seed: type null is refused."),
        (Draw, '"seed"', '"seeds"', "seed: is not known any more."),
        (Model, '"maxLength": 90', '"maxLength": 80', "prompt: maxLength is 80 (before: 90)."),
        (Model, '["a", "b"]', '["b"]', "kind: enum is ['b'] (before: ['a', 'b'])."),
        (
            Model,
            '{"type": "integer"}',
            '{"type": "integer", "minimum": 1}',
            "extra[…]: minimum is 1, and was not there.",
        ),
        (Model, '"title": "Model"', '"additionalProperties": false', "The input: other members are refused."),
    ],
)
def test_what_is_stricter_for_an_input_is_named(tmp_path: Path, kind: Any, old: str, new: str, change: str) -> None:
    before = schema(kind)
    (found,) = compare(tmp_path, before, replaced(before, old, new), allowsUnknownFields=kind is Model)
    assert (found.place, found.rule) == ("new.json: input", "RULE_STRICTER")
    assert found.change.startswith(change)
    assert found.effect == "inputs that callers could send are refused"


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (Draw, '"maxLength": 90', '"maxLength": 100'),
        (Draw, '"required": ["prompt"]', '"required": []'),
        (Draw, '["ink", "oil"]', '["ink", "oil", "pen"]'),
        (Draw, '{"type": "integer"}', '{"type": "number"}'),
        (Draw, '"title": "Draw"', '"title": "Sketch", "description": "New words."'),
        (Draw, '"properties": {', '"properties": {"more": {"type": "string"}, '),
        (Model, '"minimum": 64', '"minimum": 8'),
    ],
)
def test_what_is_looser_for_an_input_breaks_nobody(tmp_path: Path, kind: Any, old: str, new: str) -> None:
    before = schema(kind)
    assert compare(tmp_path, before, before) == []
    assert compare(tmp_path, before, replaced(before, old, new)) == []


def test_outputs_break_their_readers_where_they_are_wider(tmp_path: Path) -> None:
    before = schema(Draw)
    wider = replaced(before, '"maxLength": 90', '"maxLength": 100')
    (found,) = compare(tmp_path, [{"output": before}], [{"output": wider}])
    assert found.rule == "RULE_LOOSER"
    assert found.change == "prompt is no longer held to a rule: maxLength is 90 (now: 100)."
    assert compare(tmp_path, [{"output": wider}], [{"output": before}]) == []
    more = replaced(before, '"properties": {', '"properties": {"more": {"type": "string"}, ')
    assert compare(tmp_path, [{"output": before}], [{"output": more}]) == []


def test_methods_that_went_and_streams_are_named(tmp_path: Path) -> None:
    old = [{"name": "Draw", "isStream": True}, {"name": "Sketch"}]
    found = compare(tmp_path, old, [{"name": "Draw"}])
    assert [(item.rule, item.place) for item in found] == [
        ("STREAM", "new.json: Draw.output"),
        ("METHOD_GONE", "new.json"),
    ]


def test_what_is_no_schema_is_refused(tmp_path: Path) -> None:
    compare(tmp_path, schema(Draw), schema(Draw))
    (tmp_path / "protos").mkdir()
    with pytest.raises(GenerateError, match="one is the schema of an endpoint"):
        breaking_changes(tmp_path / "old.json", tmp_path / "protos")
    (tmp_path / "new.json").write_text("{}", encoding="utf-8")
    with pytest.raises(GenerateError, match="has no methods"):
        breaking_changes(tmp_path / "old.json", tmp_path / "new.json")
