"""Messages from parsed JSON, after the proto3 JSON mapping.

`google.protobuf.json_format` stops at the first problem and looks at each character of each string with a regular
expression. It reads the well-known types here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from novita_sdk.typed._fields import (
    descriptor,
    fields,
    is_delegated,
    is_repeated,
    map_fields,
    message_class,
    real_oneof,
)
from novita_sdk.typed._scalars import SKIPPED, Mismatch, Reader, key_reader, scalar_reader
from novita_sdk.typed._violations import LISTED, Violation, cut
from novita_sdk.wire.payload import JSONValue

__all__ = ["message_reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    read: Reader
    oneof: str | None
    takes_null: bool


_READERS: dict[tuple[type[Message], bool], Reader] = {}
"""Filled at first use; a reader depends on nothing but its message type and its leniency."""


def message_reader(kind: type[Message], *, lenient: bool) -> Reader:
    """What reads a message of a type.

    The reader raises `Mismatch`, with all violations, where the JSON is not that message's.
    """
    reader = _READERS.get((kind, lenient))
    if reader is None:
        reader = _READERS[kind, lenient] = _make_reader(kind, lenient=lenient)
    return reader


def _make_reader(kind: type[Message], *, lenient: bool) -> Reader:
    if is_delegated(descriptor(kind)):
        return _delegated(kind, lenient=lenient)
    table: dict[str, _Field] = {}
    for each in fields(kind):
        table[each.name] = table[each.json_name] = _field(each, lenient=lenient)

    def read(value: object) -> Message:
        if not isinstance(value, dict):
            raise _refuse("type", "must be an object", value)
        values: dict[str, object] = {}
        oneofs: dict[str, str] = {}
        violations: list[Violation] = []
        for key, item in value.items():
            if len(violations) > LISTED:
                break
            field = table.get(key)
            if field is None:
                if not lenient:
                    violations.append(_unknown(key, item, table))
                continue
            if item is None and not field.takes_null:
                continue
            try:
                result = field.read(item)
            except Mismatch as mismatch:
                violations += mismatch.below(field.name)
                continue
            if result is SKIPPED:
                continue
            if field.name in values:
                violations.append(_clash(field.name, "is there twice, under both of its names", item))
            if field.oneof is not None and (other := oneofs.setdefault(field.oneof, field.name)) != field.name:
                violations.append(_clash(field.name, f"can't be there together with {other}", item))
            values[field.name] = result
        if violations:
            raise Mismatch(violations)
        return _build(kind, values)

    return read


def _field(field: FieldDescriptor, *, lenient: bool) -> _Field:
    takes_null = False
    if entry := map_fields(field):
        key, value = entry
        read = _map(key_reader(key), _value_reader(value, lenient=lenient))
    elif is_repeated(field):
        read = _list(_value_reader(field, lenient=lenient))
    else:
        read = _value_reader(field, lenient=lenient)
        takes_null = _takes_null(field)
    return _Field(name=field.name, read=read, oneof=real_oneof(field), takes_null=takes_null)


def _value_reader(field: FieldDescriptor, *, lenient: bool) -> Reader:
    if field.message_type is None:
        return scalar_reader(field, lenient=lenient)
    kind = message_class(field)
    # Looked up when it is used, because a message may contain itself.
    return lambda value: message_reader(kind, lenient=lenient)(value)


def _list(read_item: Reader) -> Reader:
    def read(value: object) -> list[object]:
        if not isinstance(value, list):
            raise _refuse("type", "must be an array", value)
        items: list[object] = []
        violations: list[Violation] = []
        for index, item in enumerate(value):
            try:
                result = read_item(item)
            except Mismatch as mismatch:
                violations += mismatch.below(f"[{index}]")
                if len(violations) > LISTED:
                    break
            else:
                if result is not SKIPPED:
                    items.append(result)
        if violations:
            raise Mismatch(violations)
        return items

    return read


def _map(read_key: Reader, read_item: Reader) -> Reader:
    def read(value: object) -> dict[object, object]:
        if not isinstance(value, dict):
            raise _refuse("type", "must be an object", value)
        items: dict[object, object] = {}
        violations: list[Violation] = []
        for key, item in value.items():
            try:
                number, result = read_key(key), read_item(item)
            except Mismatch as mismatch:
                violations += mismatch.below(f'["{key}"]')
                if len(violations) > LISTED:
                    break
            else:
                if result is not SKIPPED:
                    items[number] = result
        if violations:
            raise Mismatch(violations)
        return items

    return read


def _delegated(kind: type[Message], *, lenient: bool) -> Reader:
    def read(value: JSONValue) -> Message:
        try:
            return json_format.ParseDict(value, kind(), ignore_unknown_fields=lenient)
        except (json_format.ParseError, DecodeError, ArithmeticError, ValueError, TypeError, AttributeError) as error:
            raise _refuse("type", f"must be a {descriptor(kind).full_name}: {error}", value) from None

    return read


def _build(kind: type[Message], values: dict[str, object]) -> Message:
    try:
        return kind(**values)
    except (ValueError, TypeError):
        raise Mismatch(_blame(kind, values)) from None


def _blame(kind: type[Message], values: dict[str, object]) -> list[Violation]:
    """Finds the fields that a message does not take, such as text with a lone surrogate."""
    violations = []
    for name, value in values.items():
        try:
            kind(**{name: value})
        except (ValueError, TypeError) as error:
            violations.append(Violation(field=name, rule="type", message=f"does not fit: {error}", value=cut(value)))
    return violations


def _takes_null(field: FieldDescriptor) -> bool:
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in ("google.protobuf.Value", "google.protobuf.NullValue")


def _unknown(key: str, value: object, table: dict[str, _Field]) -> Violation:
    near = difflib.get_close_matches(key, table, n=1)
    message = f"is not known; did you mean {near[0]}?" if near else "is not known"
    return Violation(field=key, rule="unknown_field", message=message, value=cut(value))


def _clash(name: str, message: str, value: object) -> Violation:
    return Violation(field=name, rule="oneof", message=message, value=cut(value))


def _refuse(rule: str, message: str, value: object) -> Mismatch:
    return Mismatch([Violation(field="", rule=rule, message=message, value=cut(value))])
