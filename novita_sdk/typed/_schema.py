"""The JSON Schema of a message: the proto3 JSON mapping, and those rules of `buf/validate` that a schema can say."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

from novita_sdk.typed._fields import descriptor, enum, fields, is_repeated, is_required, map_fields, message_class

__all__ = ["message_schema"]

_Schema: TypeAlias = dict[str, object]

_INTEGER: Final[_Schema] = {"type": "integer"}
_LONG: Final[_Schema] = {"type": ["string", "integer"], "pattern": "^-?[0-9]+$"}
_FLOAT: Final[_Schema] = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_SCALARS: Final[Mapping[int, _Schema]] = {
    FieldDescriptor.CPPTYPE_INT32: {**_INTEGER, "minimum": -(2**31), "maximum": 2**31 - 1},
    FieldDescriptor.CPPTYPE_UINT32: {**_INTEGER, "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_INT64: _LONG,
    FieldDescriptor.CPPTYPE_UINT64: {**_LONG, "pattern": "^[0-9]+$"},
    FieldDescriptor.CPPTYPE_FLOAT: _FLOAT,
    FieldDescriptor.CPPTYPE_DOUBLE: _FLOAT,
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
_ANYTHING: Final[_Schema] = {}
_WELL_KNOWN: Final[Mapping[str, _Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Value": _ANYTHING,
    "google.protobuf.Any": {"type": "object", "required": ["@type"]},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
    "google.protobuf.Int32Value": _SCALARS[FieldDescriptor.CPPTYPE_INT32],
    "google.protobuf.UInt32Value": _SCALARS[FieldDescriptor.CPPTYPE_UINT32],
    "google.protobuf.Int64Value": _SCALARS[FieldDescriptor.CPPTYPE_INT64],
    "google.protobuf.UInt64Value": _SCALARS[FieldDescriptor.CPPTYPE_UINT64],
    "google.protobuf.FloatValue": _FLOAT,
    "google.protobuf.DoubleValue": _FLOAT,
}
# Names of rules and of what a schema has for them; the others are checked, but not written down here.
_EXPRESSIBLE: Final = frozenset({"string", "int32", "uint32", "sint32", "float", "double", "repeated", "map"})
"""Kinds of rules; the JSON of bytes, enums and 64-bit integers is text, about which theirs say nothing."""

_RULES: Final = {
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "const": "const",
    "gte": "minimum",
    "lte": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique": "uniqueItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
}


def message_schema(kind: type[Message]) -> _Schema:
    """The schema of a message type; messages inside it are under `$defs`."""
    definitions: dict[str, _Schema] = {}
    _define(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": _pointer(descriptor(kind)),
        "$defs": definitions,
    }


def _define(kind: type[Message], definitions: dict[str, _Schema]) -> None:
    name = descriptor(kind).full_name
    if name in definitions:
        return
    properties: dict[str, _Schema] = {}
    required: list[str] = []
    said = _said(descriptor(kind), descriptor(kind).file)
    definitions[name] = {"type": "object", "title": descriptor(kind).name, **said, "properties": properties}
    for field in fields(kind):
        rules = _rules(field)
        properties[field.json_name] = _field(field, definitions) | _limits(rules) | _said(field, descriptor(kind).file)
        if is_required(field) or (rules is not None and getattr(rules, "required", False)):
            required.append(field.json_name)
    if required:
        definitions[name]["required"] = required


def _field(field: FieldDescriptor, definitions: dict[str, _Schema]) -> _Schema:
    if entry := map_fields(field):
        return {"type": "object", "additionalProperties": _value(entry[1], definitions)}
    one = _value(field, definitions)
    return {"type": "array", "items": one} if is_repeated(field) else one


def _value(field: FieldDescriptor, definitions: dict[str, _Schema]) -> _Schema:
    if field.message_type is not None:
        if (known := _WELL_KNOWN.get(field.message_type.full_name)) is not None:
            return known
        _define(message_class(field), definitions)
        return {"$ref": _pointer(field.message_type)}
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        if enum(field).full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        return {"anyOf": [*_names(enum(field)), _INTEGER]}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return _SCALARS[field.cpp_type]


def _names(kind: EnumDescriptor) -> list[_Schema]:
    """All names of an enum in one schema, as before any was marked; then each that is not to be used any more."""
    old = [{"const": value.name, "deprecated": True} for value in kind.values if value.GetOptions().deprecated]
    return [{"enum": [value.name for value in kind.values], **_said(kind, kind.file)}, *old]


def _said(part: Descriptor | EnumDescriptor | FieldDescriptor, file: FileDescriptor) -> _Schema:
    """What the proto says in a comment, and whether to use it still."""
    said: _Schema = {}
    if text := _comments(file.name).get(part.full_name):
        said["description"] = text
    if part.GetOptions().deprecated:
        said["deprecated"] = True
    return said


def _comments(file: str) -> dict[str, str]:
    """The comments that the generator put into a file's module; descriptors have none."""
    name = file.removesuffix(".proto").replace("-", "_").replace("/", ".")
    found: dict[str, str] = getattr(sys.modules.get(f"{name}_pb2"), "_novita_comments", {})
    return found


def _pointer(kind: Descriptor) -> str:
    return f"#/$defs/{kind.full_name}"


def _rules(field: FieldDescriptor) -> Message | None:
    """The field's `buf.validate.FieldRules`, found without importing their definition."""
    for option, value in field.GetOptions().ListFields():
        if option.full_name == "buf.validate.field" and isinstance(value, Message):
            return value
    return None


def _limits(rules: Message | None) -> _Schema:
    if rules is None:
        return {}
    kind = rules.WhichOneof("type")
    if kind not in _EXPRESSIBLE:
        return {}
    limits: _Schema = {}
    for rule, value in getattr(rules, kind).ListFields():
        if rule.name in _RULES and isinstance(value, (str, int, float)):
            limits[_RULES[rule.name]] = value
        elif rule.name == "in":
            limits["enum"] = list(value)
    return limits
