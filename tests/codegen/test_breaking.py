"""Changes of a contract that break its callers, and those that don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from novita_codegen import BreakingChange, GenerateError, breaking_changes, descriptors

SHOP = """\
syntax = "proto3";

package shop.v1;

import "buf/validate/validate.proto";

message Draw {
  string prompt = 1 [(buf.validate.field).string.min_len = 1];
  int32 width = 2;
  repeated string tags = 3;
  Style style = 4;
  string frame = 5;
}

enum Style {
  STYLE_UNSPECIFIED = 0;
  STYLE_OIL = 1;
}

enum Mood {
  MOOD_UNSPECIFIED = 0;
}

message Note {}

message Drawn {
  string url = 1;
}

service DrawService {
  rpc Draw(.shop.v1.Draw) returns (Drawn);

  rpc Sketch(.shop.v1.Draw) returns (stream Drawn);
}
"""


def compare(folder: Path, old: str, new: str, contract: str = SHOP) -> list[BreakingChange]:
    """Compares the contract with itself after one replacement."""
    assert old in contract
    for name, text in {"old": contract, "new": contract.replace(old, new)}.items():
        path = folder / name / "shop" / "v1" / "shop.proto"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return breaking_changes(folder / "old", folder / "new")


@pytest.mark.parametrize(
    ("old", "new", "rule", "effect"),
    [
        ("  int32 width = 2;\n", "", "FIELD_NO_DELETE", "callers that send it are refused"),
        ("int32 width", "int32 breadth", "FIELD_SAME_JSON_NAME", "in JSON it is another member"),
        ("int32 width", "string width", "FIELD_WIRE_JSON_COMPATIBLE_TYPE", "can't be read"),
        ("repeated string tags", "string tags", "FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY", "a list is now a single"),
        ("returns (stream Drawn)", "returns (Drawn)", "RPC_SAME_SERVER_STREAMING", "wait for one output"),
        ("rpc Sketch", "rpc Scribble", "RPC_NO_DELETE", "jobs that name it fail"),
        ("service DrawService", "service PaintService", "SERVICE_NO_DELETE", "jobs that name it fail"),
        ("  STYLE_OIL = 1;\n", "", "ENUM_VALUE_NO_DELETE", "callers that send it are refused"),
        ("STYLE_OIL = 1", "STYLE_OILS = 1", "ENUM_VALUE_SAME_NAME", "in JSON it is another member"),
        ("enum Mood {\n  MOOD_UNSPECIFIED = 0;\n}\n", "", "ENUM_NO_DELETE", "callers that send it are refused"),
        ("message Note {}\n", "", "MESSAGE_NO_DELETE", "callers that send it are refused"),
        (
            "string frame = 5;",
            "oneof edge { string frame = 5; }",
            "FIELD_SAME_ONEOF",
            "members that could stand together",
        ),
        ("rpc Draw(.shop.v1.Draw)", "rpc Draw(Note)", "RPC_SAME_REQUEST_TYPE", "the inputs of callers are refused"),
        ("rpc Draw(.shop", "rpc Draw(stream .shop", "RPC_SAME_CLIENT_STREAMING", "can't talk to it"),
        ("Draw) returns (Drawn)", "Draw) returns (Note)", "RPC_SAME_RESPONSE_TYPE", "callers can't read the output"),
    ],
)
def test_a_breaking_change_is_named_with_place_rule_and_effect(
    tmp_path: Path, old: str, new: str, rule: str, effect: str
) -> None:
    (change,) = compare(tmp_path, old, new)
    assert change.rule == rule
    assert effect in change.effect
    assert change.place.startswith("shop/v1/shop.proto:") or rule == "SERVICE_NO_DELETE"
    assert "http" not in str(change)


def test_a_field_that_becomes_required_is_a_breaking_change(tmp_path: Path) -> None:
    contract = 'syntax = "proto2";\nmessage M {\n  optional string a = 1;\n}\n'
    changes = compare(tmp_path, "optional", "required", contract)
    assert "MESSAGE_SAME_REQUIRED_FIELDS" in [change.rule for change in changes]


RULES = """\
syntax = "proto3";

package shop.v1;

import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";

message Draw {
  string prompt = 1 [(buf.validate.field).string = {min_len: 1, max_len: 90}];
  int32 width = 2 [(buf.validate.field).int32 = {gte: 64, lte: 2048}];
  repeated string tags = 3 [(buf.validate.field).repeated = {max_items: 9, items: {string: {max_len: 5}}}];
  map<string, float> weights = 4 [(buf.validate.field).map = {max_pairs: 9, values: {float: {lte: 1}}}];
  string style = 5 [(buf.validate.field).string = {in: ["oil", "ink"]}];
  string plain = 6;
  google.protobuf.Duration time = 7 [(buf.validate.field).duration.lte = {seconds: 9}];
  bytes seed = 8 [(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).bytes.len = 4];
  oneof edge {
    string frame = 9;
  }
  Inner inner = 10;
}

message Inner {
  option (buf.validate.message).cel = {id: "sum", message: "sum", expression: "this.a < 9"};
  int32 a = 1;
}

message Drawn {
  int32 score = 1 [(buf.validate.field).int32.lt = 10];
}

service DrawService {
  rpc Draw(.shop.v1.Draw) returns (Drawn);
}
"""


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("min_len: 1,", "min_len: 2,", 'Field "prompt" of message "Draw": string.min_len is 2 (before: min_len 1).'),
        ("max_len: 90", "max_len: 80", "string.max_len is 80 (before: max_len 90)"),
        ("max_len: 90", 'max_len: 90, pattern: "^a"', "string.pattern is ^a, and was not there"),
        ("max_len: 90", "max_len: 90, uuid: true", "string.uuid is True, and was not there"),
        ("lte: 2048", "lt: 2048", "int32.lt is 2048 (before: lte 2048)"),
        ("gte: 64", "gt: 64", "int32.gt is 64 (before: gte 64)"),
        ("gte: 64, lte: 2048", "gte: 9, lte: 8", "int32.gte is 9 (before: gte 64)"),
        ("lte: 2048", "lte: 2048, not_in: [7]", "int32.not_in is [7], and was not there"),
        ("max_items: 9", "max_items: 8", "repeated.max_items is 8 (before: max_items 9)"),
        ("max_items: 9", "max_items: 9, unique: true", "repeated.unique is True"),
        ("max_len: 5", "max_len: 4", "repeated.items.string.max_len is 4 (before: max_len 5)"),
        ("max_pairs: 9", "max_pairs: 9, min_pairs: 1", "map.min_pairs is 1, and was not there"),
        ("float: {lte: 1}", "float: {lt: 1}", "map.values.float.lt is 1.0 (before: lte 1.0)"),
        ('"oil", "ink"', '"oil"', "string.in is ['oil'] (before: in ['oil', 'ink'])"),
        ("plain = 6", "plain = 6 [(buf.validate.field).required = true]", "required is True, and was not there"),
        ("plain = 6", "plain = 6 [(buf.validate.field).string.len = 3]", "string.len is 3, and was not there"),
        ("seconds: 9", "seconds: 8", "duration.lte is seconds: 8 (before: lte seconds: 9)"),
        ("(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, ", "", "the rules are no longer ignored where"),
        ("oneof edge {", "oneof edge {\n    option (buf.validate.oneof).required = true;", 'Oneof "edge" of message'),
        ("this.a < 9", "this.a < 8", 'Message "Inner": cel id: "sum"'),
    ],
)
def test_a_stricter_rule_for_inputs_is_a_breaking_change(tmp_path: Path, old: str, new: str, change: str) -> None:
    found = compare(tmp_path, old, new, RULES)
    assert [(item.rule, item.effect) for item in found] == [
        ("RULE_STRICTER", "inputs that callers could send are refused")
    ] * len(found)
    assert change in found[0].change
    assert found[0].place.startswith("shop/v1/shop.proto:")
    assert not found[0].place.endswith(":1:1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min_len: 1,", "min_bytes: 0,"),
        ("max_len: 90", "max_len: 100"),
        ("lte: 2048", "lt: 2049"),
        ("gte: 64", "gt: 63"),
        ('"oil", "ink"', '"ink", "pen", "oil"'),
        ("plain = 6", "plain = 6 [(buf.validate.field).string.min_len = 0]"),
        ("max_items: 9", "max_items: 9, unique: false"),
        ("bytes.len = 4", "bytes.min_len = 4"),
        ("bytes.len = 4", "bytes.len = 4, (buf.validate.field).ignore = IGNORE_ALWAYS"),
        ("string plain = 6;", "string plain = 6;\n  string more = 11 [(buf.validate.field).string.max_len = 3];"),
        ("score = 1 [(buf.validate.field).int32.lt = 10]", "score = 1 [(buf.validate.field).int32.lte = 8]"),
    ],
)
def test_looser_rules_for_inputs_and_stricter_ones_for_outputs_break_nobody(tmp_path: Path, old: str, new: str) -> None:
    contract = RULES
    if "IGNORE_ALWAYS" in new:
        contract = RULES.replace("(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, ", "")
    assert compare(tmp_path, old, new, contract) == []


@pytest.mark.parametrize(
    "field",
    [
        "string more = 11 [(buf.validate.field).required = true];",
        "string more = 11 [(buf.validate.field).string.min_len = 1];",
        "repeated int32 more = 11 [(buf.validate.field).repeated.min_items = 1];",
        "oneof more { option (buf.validate.oneof).required = true; int32 one = 11; }",
    ],
)
def test_a_new_field_that_cant_be_left_out_is_a_breaking_change(tmp_path: Path, field: str) -> None:
    (change,) = compare(tmp_path, "string plain = 6;", f"string plain = 6;\n  {field}", RULES)
    assert change.rule == "NEW_FIELD_REQUIRED"
    assert '"more" of message "Draw" can\'t be left out' in change.change
    assert change.place.startswith("shop/v1/shop.proto:15:")


@pytest.mark.parametrize("new", ["lt = 11", "gt = 1"])
def test_a_looser_rule_for_outputs_is_a_breaking_change(tmp_path: Path, new: str) -> None:
    (change,) = compare(tmp_path, "lt = 10", new, RULES)
    assert (change.rule, change.effect) == (
        "RULE_LOOSER",
        "callers of the old version refuse outputs that break their rules",
    )
    assert 'Field "score" of message "Drawn" has a looser rule; of the old version\'s, int32.lt is 10' in change.change


def test_a_message_that_no_service_has_may_be_a_functions_input(tmp_path: Path) -> None:
    contract = RULES[: RULES.index("service")]
    (change,) = compare(tmp_path, "lt = 10", "lt = 9", contract)
    assert change.rule == "RULE_STRICTER"


def test_a_wrong_rule_is_named(tmp_path: Path) -> None:
    wrong = 'oneof x { int32 y = 11 [(buf.validate.field).cel = {id: "a", expression: "nope("}]; }'
    with pytest.raises(GenerateError, match=r"a rule of shop\.v1\.Draw is wrong"):
        compare(tmp_path, "string plain = 6;", f"string plain = 6;\n  {wrong}", RULES)


def test_new_fields_messages_and_methods_break_nobody(tmp_path: Path) -> None:
    assert compare(tmp_path, "int32 width = 2;", "int32 width = 2;\n  bool fast = 6;") == []


def test_descriptor_files_stand_for_protos(tmp_path: Path) -> None:
    compare(tmp_path, "  int32 width = 2;\n", "")
    image = tmp_path / "old.binpb"
    image.write_bytes(descriptors(tmp_path / "old"))
    assert [change.rule for change in breaking_changes(image, tmp_path / "new")] == ["FIELD_NO_DELETE"]


def test_a_file_without_descriptors_is_refused(tmp_path: Path) -> None:
    compare(tmp_path, "int32", "int64")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(GenerateError):
        breaking_changes(tmp_path / "notes.txt", tmp_path / "new")
