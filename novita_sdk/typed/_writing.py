"""JSON from messages, after the proto3 JSON mapping.

Fields without presence are always written, as plain clients expect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from novita_sdk.typed._fields import descriptor, fields, is_delegated, is_repeated, map_fields, message_class
from novita_sdk.typed._scalars import Mismatch, Writer, key_writer, scalar_writer
from novita_sdk.typed._violations import Violation, cut

__all__ = ["message_writer"]


_WRITERS: dict[type[Message], Writer] = {}
"""Filled at first use; a writer depends on nothing but its message type."""


def message_writer(kind: type[Message]) -> Writer:
    """What makes a JSON object, as Python values, of a message of a type."""
    writer = _WRITERS.get(kind)
    if writer is None:
        writer = _WRITERS[kind] = _make_writer(kind)
    return writer


def _make_writer(kind: type[Message]) -> Writer:
    if is_delegated(descriptor(kind)):
        return _delegated(kind)
    rows = [(field.name, field.json_name, field.has_presence, _writer(field)) for field in fields(kind)]

    def write(message: Message) -> dict[str, object]:
        result: dict[str, object] = {}
        for name, key, has_presence, convert in rows:
            if has_presence and not message.HasField(name):
                continue
            value = getattr(message, name)
            try:
                result[key] = value if convert is None else convert(value)
            except Mismatch as mismatch:
                raise Mismatch(mismatch.below(name)) from None
        return result

    return write


def _writer(field: FieldDescriptor) -> Writer | None:
    if entry := map_fields(field):
        key, value = entry
        return _map(key_writer(key), _value_writer(value))
    one = _value_writer(field)
    if not is_repeated(field):
        return one
    return list if one is None else _list(one)


def _value_writer(field: FieldDescriptor) -> Writer | None:
    if field.message_type is None:
        return scalar_writer(field)
    kind = message_class(field)
    # Looked up when it is used, because a message may contain itself.
    return lambda message: message_writer(kind)(message)


def _delegated(kind: type[Message]) -> Writer:
    def write(message: Message) -> object:
        try:
            return json_format.MessageToDict(message)
        except (json_format.Error, ArithmeticError, ValueError, TypeError) as error:
            problem = f"must be a {descriptor(kind).full_name} that JSON can hold: {error}"
            raise Mismatch([Violation(field="", rule="type", message=problem, value=cut(message))]) from None

    return write


def _list(write_item: Writer) -> Writer:
    def write(items: Sequence[object]) -> list[object]:
        result: list[object] = []
        try:
            for item in items:
                result.append(write_item(item))  # noqa: PERF401  its length is the index of what can't be written
        except Mismatch as mismatch:
            raise Mismatch(mismatch.below(f"[{len(result)}]")) from None
        return result

    return write


def _map(write_key: Callable[[object], str], write_value: Writer | None) -> Writer:
    def write(items: Mapping[object, object]) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in items.items():
            try:
                result[write_key(key)] = value if write_value is None else write_value(value)
            except Mismatch as mismatch:
                raise Mismatch(mismatch.below(f'["{key}"]')) from None
        return result

    return write
