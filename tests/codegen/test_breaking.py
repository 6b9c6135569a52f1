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
