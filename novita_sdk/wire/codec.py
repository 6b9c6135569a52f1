"""The JSON form of the protocol's messages, table-driven from their descriptors.

What each kind of surprise does:

- a missing required key, a value of the wrong type, invalid JSON: `WireError`, naming message and field
- an unknown key: kept where the message has a `json_extra` map, else ignored; one that names a field is never written
  from that map, so that no member stands twice
- `null` for anything but a JSON payload: as if the key were missing
- an opaque payload: carried byte for byte, never parsed into Python objects
- NaN, Infinity and escaped lone surrogates, which are no JSON but what Python's `json` and so published workers write:
  invalid, unless the reader is lenient, which takes them in payloads

`salvage` is for replies of which no good part may be lost: there a surprise costs no more than the value that it is in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from novita_sdk.models import json_extra, json_payload, required

__all__ = ["WireError", "decode", "decode_array", "encode", "parse_scalar", "salvage"]

T = TypeVar("T")
MessageT = TypeVar("MessageT", bound=Message)

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder()
# msgspec's own errors are no ValueErrors before 0.21.
_DECODE_ERRORS = (ValueError, msgspec.MsgspecError)

_ESCAPES = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>\\u[dD][89a-fA-F]..)|\\.", re.DOTALL)
_DIGITS = re.compile(r"-?[0-9]{1,20}")

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_INT: msgspec.json.Decoder[object] = msgspec.json.Decoder(int | None)
_FLOAT: msgspec.json.Decoder[object] = msgspec.json.Decoder(float | None)
_DECODERS: dict[int, msgspec.json.Decoder[object]] = {
    FieldDescriptor.CPPTYPE_BOOL: msgspec.json.Decoder(bool | None),
    FieldDescriptor.CPPTYPE_STRING: msgspec.json.Decoder(str | None),
    FieldDescriptor.CPPTYPE_DOUBLE: _FLOAT,
    FieldDescriptor.CPPTYPE_FLOAT: _FLOAT,
    # The ranges are protobuf's to check.
    **dict.fromkeys(_INTEGERS, _INT),
}

_TABLES: dict[type[Message], _Table] = {}
"""Filled at first use; a table depends on nothing but its message type."""


class WireError(ValueError):
    """Bytes that don't follow the contract; the message names the message type and the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    key: str
    encoded_key: bytes
    """The key as it stands in JSON, with its colon."""
    is_repeated: bool
    has_presence: bool
    is_required: bool
    is_payload: bool
    message_type: type[Message] | None
    integer_range: tuple[int, int] | None
    cpp_type: int
    decode: Callable[[msgspec.Raw], object] | None
    """Reads a value that is as it should be, None for `null`; message fields and repeated ones have none."""

    @property
    def expected(self) -> str:
        if self.message_type is not None:
            return "an object"
        if self.integer_range is not None:
            return "an integer"
        names = {FieldDescriptor.CPPTYPE_BOOL: "true or false", FieldDescriptor.CPPTYPE_STRING: "a string"}
        return names.get(self.cpp_type, "a number")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    message: str
    fields: tuple[_Field, ...]
    by_key: dict[str, _Field]
    by_name: dict[str, _Field]
    required: tuple[_Field, ...]
    extra: str | None
    """Name of the map that takes the keys no field has."""


def decode(message_type: type[MessageT], data: bytes, *, lenient: bool = False) -> MessageT:
    """Parses the JSON object of a message.

    Raises:
        WireError: The bytes are not that message's JSON.
    """
    table = _table(message_type)
    _check_utf8(table, data)
    return _read(message_type, table, data, lenient=lenient)


def decode_array(message_type: type[MessageT], data: bytes, *, lenient: bool = False) -> list[MessageT]:
    """Parses a JSON array of messages.

    Raises:
        WireError: The bytes are not such an array.
    """
    table = _table(message_type)
    _check_utf8(table, data)
    return _read_array(message_type, table, data, lenient=lenient)


def salvage(message_type: type[MessageT], data: bytes) -> list[MessageT | None]:
    """Parses the JSON of a message, or of an array of them, as far as it goes.

    It is lenient. A required member may be missing; one of the wrong type counts as one that no field has, and a value
    of the wrong type in a repeated one is left out.

    Returns:
        The messages in their order, with None for what is no JSON object.

    Raises:
        WireError: The bytes are no text, or an array that is not JSON.
    """
    table = _table(message_type)
    _check_utf8(table, data)
    if data.lstrip()[:1] == b"[":
        return [_salvage(message_type, table, item) for item in _parse(_ARRAY, table, data, lenient=True)]
    return [_salvage(message_type, table, data)]


def encode(message: Message) -> bytes:
    """Writes a message as JSON: fields without presence always, the others where they are set.

    Raises:
        WireError: A required field is empty, or text holds a lone surrogate.
    """
    table = _table(type(message))
    has = message.HasField
    parts: list[bytes] = []
    for field in table.fields:
        if field.has_presence and not has(field.name):
            continue
        value = getattr(message, field.name)
        if field.is_required and not value:
            raise WireError(f"{table.message}.{field.key} is empty")
        if field.is_payload:
            text = value
        elif field.is_repeated:
            text = b"[" + b",".join([_encode_value(item) for item in value]) + b"]"
        else:
            text = _encode_value(value)
        parts.append(field.encoded_key + text)
    if table.extra is not None:
        extra = cast("dict[str, bytes]", getattr(message, table.extra))
        parts.extend(msgspec.json.encode(key) + b":" + extra[key] for key in extra if key not in table.by_key)
    return b"{" + b",".join(parts) + b"}"


def parse_scalar(message_type: type[Message], name: str, text: str) -> str | int | float | bool:
    """Parses the text of a path or query parameter as the type of the named field.

    Raises:
        WireError: The text is not of that type.
    """
    table = _table(message_type)
    field = table.by_name[name]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL and text in {"true", "false"}:
        return text == "true"
    try:
        number: int | float = float(text) if field.integer_range is None else int(text)
    except ValueError:
        raise WireError(f"{table.message}.{field.key} must be {field.expected}, not {text[:40]!r}") from None
    return cast("int | float", _checked(table, field, number))


def _check_utf8(table: _Table, data: bytes) -> None:
    """Looks into the bytes that msgspec hands through."""
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        raise WireError(f"{table.message}: the bytes are not UTF-8") from None


def _parse(decoder: msgspec.json.Decoder[T], table: _Table, data: bytes | msgspec.Raw, *, lenient: bool) -> T:
    """The members of an object or the items of an array, each as its JSON."""
    try:
        return decoder.decode(data)
    except RecursionError:
        raise WireError(f"{table.message}: nested too deeply") from None
    except _DECODE_ERRORS as error:
        if lenient:
            with suppress(RecursionError, *_DECODE_ERRORS):
                return msgspec.convert(_parse_as_python_does(bytes(data)), decoder.type)
        raise WireError(f"{table.message}: {_reason(bytes(data), error)}") from None


def _parse_as_python_does(data: bytes) -> dict[str, msgspec.Raw] | list[msgspec.Raw]:
    value = json.loads(data)
    if isinstance(value, dict):
        return {key: msgspec.Raw(json.dumps(item).encode()) for key, item in value.items()}
    if isinstance(value, list):
        return [msgspec.Raw(json.dumps(item).encode()) for item in value]
    raise ValueError(type(value))


def _salvage(message_type: type[MessageT], table: _Table, data: bytes | msgspec.Raw) -> MessageT | None:
    try:
        members = _parse(_OBJECT, table, data, lenient=True)
    except WireError:
        return None
    message = message_type()
    _fill(message, table, members, lenient=True, salvage=True)
    return message


def _read(message_type: type[MessageT], table: _Table, data: bytes | msgspec.Raw, *, lenient: bool) -> MessageT:
    message = message_type()
    _fill(message, table, _parse(_OBJECT, table, data, lenient=lenient), lenient=lenient)
    return message


def _read_array(
    message_type: type[MessageT], table: _Table, data: bytes | msgspec.Raw, *, lenient: bool
) -> list[MessageT]:
    items = _parse(_ARRAY, table, data, lenient=lenient)
    return [_read(message_type, table, item, lenient=lenient) for item in items]


def _fill(
    message: Message, table: _Table, members: dict[str, msgspec.Raw], *, lenient: bool, salvage: bool = False
) -> None:
    """Sets the message's fields in place, which costs half of what its constructor does."""
    by_key, extra = table.by_key, table.extra
    for key, raw in members.items():
        field = by_key.get(key)
        if field is not None:
            try:
                if field.decode is not None:
                    if (value := field.decode(raw)) is not None:
                        setattr(message, field.name, value)
                    continue
            except _DECODE_ERRORS:
                pass  # it is odd, and looked at more closely below
            try:
                _set(message, table, field, raw, lenient=lenient, salvage=salvage)
                continue
            except WireError:
                if not salvage:
                    raise
        if extra is not None:
            getattr(message, extra)[key] = bytes(raw)
    if not salvage:
        for field in table.required:
            if not getattr(message, field.name):
                raise WireError(f"{table.message}.{field.key} is missing")


def _set(message: Message, table: _Table, field: _Field, raw: msgspec.Raw, *, lenient: bool, salvage: bool) -> None:
    """Sets any field to any value; `null` leaves it as it is."""
    if (message_type := field.message_type) is not None:
        if bytes(raw) == b"null":
            return
        inner, part = _table(message_type), getattr(message, field.name)
        if field.is_repeated:
            part.extend(_read_array(message_type, inner, raw, lenient=lenient))
            return
        _fill(part, inner, _parse(_OBJECT, inner, raw, lenient=lenient), lenient=lenient, salvage=salvage)
        part.SetInParent()
        return
    try:
        value = _ANY.decode(raw)
    except _DECODE_ERRORS as error:
        raise WireError(f"{table.message}.{field.key}: {error}") from None
    if value is None:
        return
    if not field.is_repeated:
        setattr(message, field.name, _checked(table, field, value))
        return
    if not isinstance(value, list):
        raise WireError(f"{table.message}.{field.key} must be an array")
    for item in value:
        try:
            getattr(message, field.name).append(_checked(table, field, item))
        except WireError:
            if not salvage:
                raise


def _checked(table: _Table, field: _Field, value: object) -> object:
    if field.integer_range is not None:
        low, high = field.integer_range
        if type(value) is int and low <= value <= high:
            return value
        # The proto3 JSON mapping writes 64-bit integers as strings, and some languages write whole floats.
        is_digits = isinstance(value, str) and _DIGITS.fullmatch(value)
        if is_digits or (isinstance(value, float) and value.is_integer()):
            value = int(cast("str | float", value))
            if low <= value <= high:
                return value
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if isinstance(value, bool):
            return value
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if isinstance(value, str):
            return value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise WireError(f"{table.message}.{field.key} must be {field.expected}")


def _encode_value(value: object) -> bytes:
    if isinstance(value, Message):
        return encode(value)
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise WireError("text with a lone surrogate can't be sent") from None


def _table(message_type: type[Message]) -> _Table:
    table = _TABLES.get(message_type)
    if table is None:
        table = _TABLES[message_type] = _make_table(message_type)
    return table


def _make_table(message_type: type[Message]) -> _Table:
    descriptor = cast("Descriptor", message_type.DESCRIPTOR)
    fields = [_field(message_type, field) for field in descriptor.fields if not _is_extra(field)]
    extra = next((field.name for field in descriptor.fields if _is_extra(field)), None)
    return _Table(
        message=descriptor.name,
        fields=tuple(fields),
        by_key={field.key: field for field in fields},
        by_name={field.name: field for field in fields},
        required=tuple(field for field in fields if field.is_required),
        extra=extra,
    )


def _field(message_type: type[Message], field: FieldDescriptor) -> _Field:
    options = field.GetOptions()
    inner = field.message_type
    is_repeated = not field.has_presence and _is_list(message_type, field)
    is_payload = options.Extensions[json_payload]
    return _Field(
        name=field.name,
        key=field.json_name,
        encoded_key=msgspec.json.encode(field.json_name) + b":",
        is_repeated=is_repeated,
        has_presence=field.has_presence,
        is_required=options.Extensions[required],
        is_payload=is_payload,
        message_type=None if inner is None else GetMessageClass(inner),
        integer_range=_INTEGERS.get(field.cpp_type),
        cpp_type=field.cpp_type,
        decode=None if is_repeated or inner is not None else bytes if is_payload else _DECODERS[field.cpp_type].decode,
    )


def _is_list(message_type: type[Message], field: FieldDescriptor) -> bool:
    # FieldDescriptor.label is deprecated in protobuf 7, and is_repeated is absent from 5.29.
    return not isinstance(getattr(message_type(), field.name), (str, bytes, int, float, bool, Message))


def _is_extra(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[json_extra])


def _reason(data: bytes, error: Exception) -> str:
    if not data.strip():
        return "empty where a JSON object was expected"
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    if lone := next((match for match in _ESCAPES.finditer(data) if match["lone"]), None):
        return f"the lone surrogate {lone[0].decode('ascii', 'replace')} at byte {lone.start():,}, which is no text"
    return f"not JSON ({error}): {str(data[:40], 'utf-8', 'replace')!r}"
