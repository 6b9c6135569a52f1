"""The JSON of protobuf messages, with google's own converter as the reference."""

from __future__ import annotations

import json
import math
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novita_sdk.typed import ContractError
from tests.support.adapters import adapter

pytestmark = pytest.mark.core

# Google's converter is looser than the mapping: it takes true for 1, 0.5 for an enum's 0, and skips what isn't base64.
LOOSE = {"color", "colors", "data", "blobs"}
JSON = st.recursive(
    st.none() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "int_32": INT32,
    "int_64": INT64,
    "uint_32": st.integers(0, 2**32 - 1),
    "uint_64": st.integers(0, 2**64 - 1),
    "sint_64": INT64,
    "fixed_32": st.integers(0, 2**32 - 1),
    "float_32": FLOAT32,
    "float_64": st.floats(allow_nan=False),
    "flag": st.booleans(),
    "text": st.text(max_size=8),
    "data": st.binary(max_size=8),
    "color": st.integers(0, 4),
    "maybe": INT32,
    "numbers": st.lists(INT64, max_size=3),
    "texts": st.lists(st.text(max_size=3), max_size=3),
    "colors": st.lists(st.integers(0, 4), max_size=3),
    "counts": st.dictionaries(st.text(max_size=3), INT64, max_size=3),
    "names": st.dictionaries(INT32, st.text(max_size=3), max_size=3),
    "blobs": st.dictionaries(st.text(max_size=3), st.binary(max_size=4), max_size=3),
    "renamed": st.text(max_size=3),
    "floats": st.lists(FLOAT32, max_size=3),
}
SATURATED = {
    "int32": -1,
    "int64": 2**62,
    "uint32": 1,
    "uint64": 2**63,
    "sint64": -1,
    "fixed32": 1,
    "float32": 0.1,
    "float64": "NaN",
    "flag": True,
    "text": "é",
    "data": "AA==",
    "color": 1,
    "child": {"text": "x"},
    "maybe": 0,
    "numbers": [1],
    "texts": ["x"],
    "colors": ["COLOR_RED", 9],
    "children": [{}],
    "counts": {"a": 1},
    "names": {"-1": "x"},
    "byFlag": {"true": {}},
    "blobs": {"a": "AA=="},
    "left": "x",
    "otherName": "x",
    "time": "2026-01-02T03:04:05Z",
    "span": "-1.5s",
    "free": {"a": [1]},
    "anyJson": [None],
    "boxed": 1,
    "nothing": None,
    "times": ["2026-01-02T03:04:05Z"],
    "floats": ["Infinity", 1e-5],
    "packed": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"},
}
"""Every field once, but for the other member of the oneof."""

LEAF = st.fixed_dictionaries({}, optional=FIELDS)
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def through(kind: Any, value: Any) -> Any:
    """What a value becomes after a reading and a writing."""
    return json.loads(adapter(kind).dump(adapter(kind).parse(value)))


@relaxed
@given(top=LEAF, child=LEAF, items=st.lists(LEAF, max_size=2), flags=st.dictionaries(st.booleans(), LEAF))
def test_every_message_survives_both_ways_and_google_agrees(
    kinds: ModuleType, top: dict[str, Any], child: dict[str, Any], items: list[dict[str, Any]], flags: dict[bool, Any]
) -> None:
    message = kinds.Kinds(**top, child=kinds.Kinds(**child), children=[kinds.Kinds(**item) for item in items])
    for flag, fields in flags.items():
        message.by_flag[flag].CopyFrom(kinds.Kinds(**fields))
    data = adapter(kinds.Kinds).dump(message)
    assert adapter(kinds.Kinds).parse(json.loads(data)) == message
    assert json_format.Parse(data, kinds.Kinds()) == message
    assert adapter(kinds.Kinds).parse(json_format.MessageToDict(message)) == message


@relaxed
@given(name=st.sampled_from(sorted(FIELDS.keys() - LOOSE)), value=JSON)
def test_whatever_is_refused_google_refuses_too_and_the_rest_means_the_same(
    kinds: ModuleType, name: str, value: Any
) -> None:
    expected: Message | None
    try:
        expected = json_format.ParseDict({name: value}, kinds.Kinds())
    except (json_format.ParseError, UnicodeError, TypeError, ValueError):
        expected = None
    try:
        found = adapter(kinds.Kinds).parse({name: value})
    except ContractError as error:
        assert expected is None, (error, expected)
    else:
        assert expected is not None, found
        assert str(found) == str(expected)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"int_64": 2**62}, {"int64": str(2**62)}),
        ({"uint64": str(2**64 - 1)}, {"uint64": str(2**64 - 1)}),
        ({"int32": 7.0}, {"int32": 7}),
        ({"int32": "1e3"}, {"int32": 1000}),
        ({"color": "COLOR_BLUE"}, {"color": "COLOR_BLUE"}),
        ({"color": 2}, {"color": "COLOR_BLUE"}),
        ({"color": 77}, {"color": 77}),
        ({"data": "_-8"}, {"data": "/+8="}),
        ({"float_32": 0.1}, {"float32": 0.1}),
        ({"float_64": "Infinity"}, {"float64": "Infinity"}),
        ({"time": "2026-01-02T03:04:05.500Z"}, {"time": "2026-01-02T03:04:05.500Z"}),
        ({"span": "1.5s"}, {"span": "1.500s"}),
        ({"free": {"a": [1, None, {"b": True}]}}, {"free": {"a": [1.0, None, {"b": True}]}}),
        ({"anyJson": None}, {"anyJson": None}),
        ({"boxed": "5"}, {"boxed": "5"}),
        ({"nothing": None}, {"nothing": None}),
        ({"times": ["2026-01-02T03:04:05Z"]}, {"times": ["2026-01-02T03:04:05Z"]}),
        ({"otherName": "x"}, {"otherName": "x"}),
        ({"byFlag": {"true": {"text": "x"}}}, None),
        ({"text": None, "maybe": None, "child": None}, {"text": ""}),
        (
            {"packed": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}},
            {"packed": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}},
        ),
    ],
)
def test_the_proto3_json_mapping(kinds: ModuleType, value: Any, written: Any) -> None:
    found = through(kinds.Kinds, value)
    if written is not None:
        assert {key: found[key] for key in written} == written


def test_fields_without_presence_are_always_written_and_the_others_only_if_set(kinds: ModuleType) -> None:
    found = through(kinds.Kinds, {})
    assert (found["int32"], found["texts"], found["color"], found["counts"]) == (0, [], "COLOR_UNSPECIFIED", {})
    assert {"maybe", "child", "left", "time"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("value", "field", "rule"),
    [
        ({"int32": 2**31}, "int_32", "range"),
        ({"int32": 1.5}, "int_32", "type"),
        ({"int32": True}, "int_32", "type"),
        ({"uint_64": -1}, "uint_64", "range"),
        ({"float_32": 1e39}, "float_32", "range"),
        ({"float_64": math.inf}, "float_64", "range"),
        ({"flag": "true"}, "flag", "type"),
        ({"text": 5}, "text", "type"),
        ({"text": "\ud800"}, "text", "type"),
        ({"data": "***"}, "data", "type"),
        ({"color": "PINK"}, "color", "enum"),
        ({"texts": "x"}, "texts", "type"),
        ({"texts": ["x", None]}, "texts[1]", "type"),
        ({"children": [{}, {"child": {"numbers": [1, "x"]}}]}, "children[1].child.numbers[1]", "type"),
        ({"counts": {"a": "x"}}, 'counts["a"]', "type"),
        ({"names": {"x": "y"}}, 'names["x"]', "type"),
        ({"child": []}, "child", "type"),
        ({"time": "yesterday"}, "time", "type"),
        ({"left": "x", "right": 1}, "right", "oneof"),
        ({"renamed": "x", "otherName": "y"}, "renamed", "oneof"),
        ({"colour": 1}, "colour", "unknown_field"),
        ([], "", "type"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_path_rule_and_value(
    kinds: ModuleType, value: Any, field: str, rule: str
) -> None:
    with pytest.raises(ContractError) as caught:
        adapter(kinds.Kinds).parse(value)
    (violation,) = caught.value.violations
    assert (violation.field, violation.rule) == (field, rule)
    assert field in str(caught.value)


def test_all_problems_are_listed_at_once(kinds: ModuleType) -> None:
    with pytest.raises(ContractError) as caught:
        adapter(kinds.Kinds).parse({"int32": "x", "children": [{"flag": 1}], "nope": 1})
    assert [item.field for item in caught.value.violations] == ["int_32", "children[0].flag", "nope"]


def test_lenient_reading_ignores_what_it_does_not_know(kinds: ModuleType) -> None:
    value = {"nope": 1, "text": "x", "color": "PINK", "colors": ["PINK", "COLOR_RED"], "child": {"nope": 2}}
    message = adapter(kinds.Kinds).parse(value, lenient=True)
    assert message == kinds.Kinds(text="x", colors=[1], child=kinds.Kinds())


def test_rules_of_the_proto_are_checked_with_path_rule_and_value(shop: ModuleType) -> None:
    value = {"prompt": "", "width": 8, "layers": [{"weight": 0.5}, {"weight": 2}], "named": {"a": {"weight": 3}}}
    with pytest.raises(ContractError) as caught:
        adapter(shop.Draw).parse(value)
    found = {item.field: (item.rule, item.value) for item in caught.value.violations}
    assert found == {
        "prompt": ("string.min_len", ""),
        "width": ("int32.gte_lte", 8),
        "layers[1].weight": ("float.lte", 2.0),
        'named["a"].weight': ("float.lte", 3.0),
    }


def test_the_schema_holds_for_whatever_is_written_and_says_the_rules(kinds: ModuleType, shop: ModuleType) -> None:
    written = through(kinds.Kinds, SATURATED)
    jsonschema.validate(written, adapter(kinds.Kinds).schema())
    draw = adapter(shop.Draw).schema()
    jsonschema.validate({"prompt": "x", "width": 64, "layers": [{"weight": 0.5}]}, draw)
    for wrong in ({"prompt": ""}, {"width": 8}, {"layers": [{"weight": 2}]}, {"named": {"a": {"weight": "x"}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, draw)


def test_rules_are_checked_before_writing_too(shop: ModuleType) -> None:
    with pytest.raises(ContractError, match="must be at least 1 characters"):
        adapter(shop.Draw).dump(shop.Draw(width=100))


def test_another_type_is_not_written(shop: ModuleType) -> None:
    with pytest.raises(ContractError, match="must be a Drawn message"):
        adapter(shop.Drawn).dump({"images": []})


def test_long_values_are_cut_in_errors(shop: ModuleType) -> None:
    with pytest.raises(ContractError) as caught:
        adapter(shop.Draw).parse({"width": "9" * 10_000})
    assert len(str(caught.value)) < 300


def test_what_proto2_requires_must_be_there_both_ways(old: ModuleType) -> None:
    value = {"inner": {}, "inners": [{"count": 1}, {}]}
    for lenient in (False, True):
        with pytest.raises(ContractError) as caught:
            adapter(old.Old).parse(value, lenient=lenient)
        found = {(item.field, item.rule, item.message) for item in caught.value.violations}
        assert found == {(path, "required", "must be there") for path in ("name", "inner.count", "inners[1].count")}
    with pytest.raises(ContractError, match="name must be there"):
        adapter(old.Old).dump(old.Old())
    schema = adapter(old.Old).schema()
    assert [schema["$defs"][f"old.v1.{name}"]["required"] for name in ("Old", "Inner")] == [["name"], ["count"]]
    assert through(old.Old, {"name": "a", "inner": {"count": 0}}) == {"name": "a", "inner": {"count": 0}, "inners": []}


def test_two_versions_of_one_message_are_checked_each_by_its_own_rules(shop: ModuleType) -> None:
    """As in a client that has an old contract and asks for the worker's."""
    pool = DescriptorPool()
    files: dict[str, FileDescriptorProto] = {}

    def collect(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            collect(dependency)
        file.CopyToProto(files.setdefault(file.name, FileDescriptorProto()))

    collect(shop.DESCRIPTOR)
    newer = files["shop/v1/shop.proto"].message_type[0]
    newer.field.add(name="extra", number=9, type=9, label=1)
    newer.field[0].name, newer.field[0].json_name = "words", "words"
    for file in files.values():
        pool.Add(file)
    other = GetMessageClass(pool.FindMessageTypeByName("shop.v1.Draw"))
    for _ in range(2):
        for kind, name in ((shop.Draw, "prompt"), (other, "words")):
            with pytest.raises(ContractError, match=f"{name} must be at least 1 characters"):
                adapter(kind).parse({"width": 64})
    assert through(other, {"words": "a", "width": 64, "extra": "b"})["extra"] == "b"
