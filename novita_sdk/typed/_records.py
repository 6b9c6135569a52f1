"""Dataclasses and TypedDicts, read and written by msgspec."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from novita_sdk.typed._paths import FILE_SCHEMA, OpenFile, expect_file, without_key
from novita_sdk.typed._violations import LISTED, ContractError, Violation, cut, join, too_deep
from novita_sdk.wire.payload import JSONValue

__all__ = ["RecordAdapter"]

T = TypeVar("T")

_PLACE: Final = re.compile(r"(?P<reason>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
"""How msgspec says where: ``Expected `int`, got `str` - at `$.width` ``."""
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)


class RecordAdapter(Generic[T]):
    """Reads and writes one dataclass or TypedDict."""

    def __init__(self, kind: type[T]) -> None:
        self.name = kind.__name__
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind, dec_hook=partial(_decode, expect_file))
        self.has_paths = False
        # Also refuses members of types that JSON hasn't, which the decoder would first notice in a job.
        self._schema = msgspec.json.schema(kind, schema_hook=self._describe)

    def parse(self, value: JSONValue, *, lenient: bool = False, open_file: OpenFile = expect_file) -> T:
        """As `Adapter.parse`; stops at the first member of a wrong type."""
        try:
            result = msgspec.convert(value, self._kind, dec_hook=partial(_decode, open_file))
            unknown = [] if lenient else self._unknown(value, result)
        except msgspec.ValidationError as error:
            raise ContractError(self.name, [_violation(error, value)]) from None
        except RecursionError:
            raise ContractError(self.name, [too_deep(value)]) from None
        except UnicodeError as error:
            raise ContractError(self.name, [_unwritable(error, value)]) from None
        if unknown:
            raise ContractError(self.name, unknown)
        return result

    def dump(self, value: object) -> bytes:
        """As `Adapter.dump`; stops at the first member of a wrong type."""
        try:
            data = msgspec.json.encode(value, enc_hook=_encode)
            self._decoder.decode(data)
        except msgspec.ValidationError as error:
            raise ContractError(self.name, [_violation(error, None)]) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise ContractError(self.name, [_unwritable(error, value)]) from None
        return data

    def schema(self) -> dict[str, JSONValue]:
        """As `Adapter.schema`."""
        return self._schema

    def _unknown(self, value: object, result: object) -> list[Violation]:
        return list(islice(_unknown(value, msgspec.to_builtins(result, enc_hook=str), ""), LISTED + 1))

    def _describe(self, kind: type) -> dict[str, JSONValue]:
        if kind is not Path:
            raise NotImplementedError
        self.has_paths = True
        return FILE_SCHEMA


def _unwritable(error: Exception, value: object) -> Violation:
    return Violation(field="", rule="type", message=f"must fit into JSON: {error}", value=cut(value))


def _decode(open_file: OpenFile, kind: type, value: JSONValue) -> Path:
    if kind is not Path:
        raise NotImplementedError
    return open_file(value)


def _encode(value: object) -> object:
    if isinstance(value, Path):
        raise TypeError("a path means nothing elsewhere; send the file, as File.from_path(path)")
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


def _violation(error: msgspec.ValidationError, value: object) -> Violation:
    match = _PLACE.fullmatch(str(error))
    path, reason = (match["path"] or "", match["reason"]) if match else ("", str(error))
    place = path.removeprefix(".")
    if missing := _MISSING.fullmatch(reason):
        return Violation(field=join(place, missing["name"]), rule="required", message="must be there")
    message = f"has a key that {_sentence(reason)}" if match and match["key"] else _sentence(reason)
    return Violation(field=place, rule="type", message=message, value=cut(without_key(_at(value, path))))


def _sentence(reason: str) -> str:
    """What msgspec says, as it goes on after the path of a field."""
    reason = reason.replace("`", "")
    if reason.startswith("Expected "):
        return f"must be {reason.removeprefix('Expected ').rpartition(', got ')[0] or reason.removeprefix('Expected ')}"
    lower = reason[:1].lower() + reason[1:]
    return f"has an {lower}" if lower.startswith("invalid ") else lower


def _at(value: object, path: str) -> object:
    """The member that a msgspec path names, or None where it names a key or a set."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        match value:
            case dict() if name:
                value = value.get(name)
            case list() | tuple() if index and int(index) < len(value):
                value = value[int(index)]
            case _:
                return None
    return value


def _unknown(given: object, taken: object, path: str) -> Iterator[Violation]:
    """Members of the input that the result has not taken up."""
    if isinstance(given, dict) and isinstance(taken, dict):
        for key, item in given.items():
            place = join(path, key)
            if key not in taken:
                # The names that have defaults are not all in it, so that a list of them would be wrong.
                near = difflib.get_close_matches(key, taken, n=1)
                message = f"is not known; did you mean {near[0]}?" if near else "is not known"
                yield Violation(field=place, rule="unknown_field", message=message, value=cut(item))
            else:
                yield from _unknown(item, taken[key], place)
    elif isinstance(given, list) and isinstance(taken, list):
        for index, (item, other) in enumerate(zip(given, taken, strict=False)):
            yield from _unknown(item, other, f"{path}[{index}]")
