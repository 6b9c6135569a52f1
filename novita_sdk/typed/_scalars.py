"""Scalars of the proto3 JSON mapping: one function that reads and one that writes each."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from novita_sdk.typed._fields import enum
from novita_sdk.typed._violations import Violation, cut, join

__all__ = ["SKIPPED", "Mismatch", "Reader", "Writer", "key_reader", "key_writer", "scalar_reader", "scalar_writer"]

Reader: TypeAlias = Callable[[object], object]
Writer: TypeAlias = Callable[[Any], object]
"""Takes what a message has in the field: its descriptor alone says of which type that is."""

SKIPPED: Final = object()
"""What a lenient reader gives for an enum value that it doesn't know."""

_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_LONG: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_MAX_FLOAT: Final = 3.4028234663852886e38
"""The largest 32-bit float."""
_FLOAT_LIMIT: Final = 3.4028235677973366e38
"""The first double that no longer rounds to a 32-bit float."""
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_URL_SAFE: Final = str.maketrans("-_", "+/")


class Mismatch(Exception):  # noqa: N818  never leaves this package
    """A value that can't be read; carries the violations below the place where it was raised."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations

    def below(self, place: str) -> list[Violation]:
        """The violations as they are called one level up."""
        return [replace(item, field=join(place, item.field)) for item in self.violations]


def scalar_reader(field: FieldDescriptor, *, lenient: bool) -> Reader:
    """What reads one value of a field that is no message."""
    kind = field.cpp_type
    if kind in _INTEGERS:
        return _integer(*_INTEGERS[kind])
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(enum(field), lenient=lenient)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return _bytes if field.type == FieldDescriptor.TYPE_BYTES else _string
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return _bool
    return _float32 if kind == FieldDescriptor.CPPTYPE_FLOAT else _float64


def scalar_writer(field: FieldDescriptor) -> Writer | None:
    """What makes JSON of one value of a field that is no message; None where it is JSON already."""
    kind = field.cpp_type
    if kind in _LONG:
        return str
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        names = enum(field).values_by_number
        # google.protobuf.NullValue has one value, and it is null.
        if enum(field).full_name == "google.protobuf.NullValue":
            return lambda _: None
        return lambda number: names[number].name if number in names else number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda data: base64.b64encode(data).decode("ascii")
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return _write_float32
    return _write_float64 if kind == FieldDescriptor.CPPTYPE_DOUBLE else None


def key_reader(field: FieldDescriptor) -> Reader:
    """What reads a map's key, which is text in JSON."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _bool_key
    return scalar_reader(field, lenient=False)


def key_writer(field: FieldDescriptor) -> Callable[[object], str]:
    """What makes text of a map's key."""
    return (lambda key: "true" if key else "false") if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else str


def _refuse(rule: str, message: str, value: object) -> Mismatch:
    return Mismatch([Violation(field="", rule=rule, message=message, value=cut(value))])


def _integer(low: int, high: int) -> Reader:
    def read(value: object) -> int:
        number = value if type(value) is int else _whole(value)
        if not low <= number <= high:
            raise _refuse("range", f"must be between {low} and {high}", value)
        return number

    return read


def _whole(value: object) -> int:
    """Numbers without a fraction: 5, 5.0, "5", "5e2"."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        value = int(value) if match.lastindex is None else float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _refuse("type", "must be an integer", value)
    return value


def _float64(value: object) -> float:
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        if _NUMBER.fullmatch(value):
            value = float(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _refuse("type", "must be a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _refuse("range", 'must be finite; "NaN" and "Infinity" are text in JSON', value)
    return number


def _float32(value: object) -> float:
    number = _float64(value)
    if abs(number) >= _FLOAT_LIMIT and not math.isinf(number):
        raise _refuse("range", "must fit into a 32-bit float", value)
    return number


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _refuse("type", "must be true or false", value)
    return value


def _bool_key(value: object) -> bool:
    if value not in ("true", "false"):
        raise _refuse("type", 'must be "true" or "false"', value)
    return value == "true"


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _refuse("type", "must be a string", value)
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise _refuse("type", "must be base64", value)
    text = value.rstrip("=")
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise _refuse("type", "must be base64", value) from None


def _enum(kind: EnumDescriptor, *, lenient: bool) -> Reader:
    numbers = {name: value.number for name, value in kind.values_by_name.items()}
    whole = _integer(*_INTEGERS[FieldDescriptor.CPPTYPE_INT32])
    is_null = kind.full_name == "google.protobuf.NullValue"

    def read(value: object) -> object:
        if isinstance(value, str):
            number = numbers.get(value)
            if number is not None:
                return number
            if lenient:
                return SKIPPED
            raise _refuse("enum", f"must be one of {', '.join(numbers)}", value)
        return 0 if is_null and value is None else whole(value)

    return read


def _write_float64(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_float32(value: float) -> float | str:
    """The shortest number that is the same 32-bit float."""
    if not math.isfinite(value):
        return _write_float64(value)
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= _MAX_FLOAT and struct.unpack("f", struct.pack("f", short))[0] == value:
            return short
    return value
