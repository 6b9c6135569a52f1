"""JSON payloads: what users pass as input, return as output and report as progress."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from novita_sdk.wire import json_scan
from novita_sdk.wire.plain import to_plain

__all__ = [
    "MAX_PAYLOAD",
    "OFFLOADED_TYPE",
    "JSONValue",
    "PayloadError",
    "PayloadTooLargeError",
    "check_size",
    "dump",
    "load",
]

JSONValue: TypeAlias = Any
"""Any value `json` can write: dict, list, str, int, float, bool, None. The one alias where JSON is meant."""

MAX_PAYLOAD: Final = 4 * 1024 * 1024
"""Largest input or output in bytes, as the platform's public pages give it."""

OFFLOADED_TYPE: Final = "application/vnd.novita.output+json"
"""Media type that tells an output which is kept elsewhere, as a file, from a file that a handler returned."""

# Made once: `json.dumps` makes an encoder for every call that asks for more than its defaults.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()

_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")


class PayloadError(ValueError):
    """A value can't travel as JSON. The message names the path to it."""


class PayloadTooLargeError(PayloadError):
    """A payload is over the limit.

    Attributes:
        size: Encoded size in bytes.
        limit: Largest size in bytes.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} is {size:,} bytes of JSON; the limit is {limit:,} bytes. "
            "Put large data into object storage and pass its URL."
        )
        self.size = size
        self.limit = limit


def dump(value: object, what: str = "input") -> bytes:
    """Serialises a value to compact UTF-8 JSON.

    Args:
        value: What to serialise. Tuples become arrays and scalar keys become strings, as in `json`; arrays of numpy and
            torch, dates, decimals, UUIDs, enums, paths, dataclasses, mappings and sets become what `to_plain` says.
        what: How an error calls the value.

    Raises:
        PayloadError: The value holds something that JSON hasn't; the message names the path to it.
    """
    try:
        return _ENCODER.encode(value).encode()
    except RecursionError:
        raise PayloadError(f"{what} is nested too deeply for JSON") from None
    except TypeError:
        return _dump_plain(value, what)
    except ValueError as error:
        raise PayloadError(_explain(value, what, error)) from None


def _dump_plain(value: object, what: str) -> bytes:
    """Writes what JSON hasn't as what it has, where that is the same."""
    try:
        plain = to_plain(value)
    except RecursionError:
        raise PayloadError(_explain(value, what, ValueError("it is nested too deeply"))) from None
    except ValueError as error:
        raise PayloadError(f"{what} can't be written as JSON: {error}") from None
    try:
        return _ENCODER.encode(plain).encode()
    except RecursionError:
        raise PayloadError(f"{what} is nested too deeply for JSON") from None
    except (TypeError, ValueError) as error:
        raise PayloadError(_explain(plain, what, error)) from None


def load(data: bytes, what: str = "the payload") -> JSONValue:
    """Parses a payload; integers keep every digit and objects their key order.

    Args:
        data: The JSON.
        what: How an error calls the payload.

    Raises:
        PayloadError: The bytes are not JSON, or hold what Python doesn't read: an integer of thousands of digits, or
            a thousand levels; the message tells the place.
    """
    try:
        value, end = _DECODER.raw_decode(text := str(data, "utf-8"))
        if end == len(text):
            return value
    except (RecursionError, ValueError):
        pass
    return _load(data, what)


def _load(data: bytes, what: str) -> JSONValue:
    """Also takes space around the value, a byte order mark and UTF-16, and words the errors."""
    try:
        return json.loads(data)
    except (RecursionError, ValueError) as error:
        raise PayloadError(json_scan.explain(data, what, error)) from None


def check_size(data: bytes, what: str, limit: int = MAX_PAYLOAD) -> None:
    """Refuses a payload over the limit.

    Raises:
        PayloadTooLargeError: Names the size and the limit, in bytes.
    """
    if len(data) > limit:
        raise PayloadTooLargeError(what, len(data), limit)


def _explain(value: object, what: str, error: Exception) -> str:
    """Names the first value that makes `dump` fail; falls back to json's own words."""
    stack: list[tuple[str, object, frozenset[int]]] = [(what, value, frozenset())]
    while stack:
        path, item, parents = stack.pop()
        if id(item) in parents:
            return f"{path} refers back to an object that contains it; JSON has no cycles"
        if isinstance(item, dict):
            for key in item:
                if problem := _key_problem(key):
                    return f"{path} has the key {key!r}, {problem}"
            children: Iterable[tuple[str, object]] = ((_member(path, key), child) for key, child in item.items())
        elif isinstance(item, (list, tuple)):
            children = ((f"{path}[{index}]", child) for index, child in enumerate(item))
        elif problem := _scalar_problem(item):
            return f"{path} {problem}"
        else:
            continue
        inside = parents | {id(item)}
        stack.extend(reversed([(child_path, child, inside) for child_path, child in children]))
    return f"{what} can't be written as JSON: {error}"


def _member(path: str, key: object) -> str:
    if isinstance(key, str) and _IDENTIFIER.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key)}]"


def _key_problem(key: object) -> str | None:
    if isinstance(key, str):
        return None if _is_text(key) else "which holds a lone surrogate; it is not valid text"
    if key is None or isinstance(key, (bool, int, float)):
        return None
    return f"a {type(key).__name__}; JSON keys are strings"


def _scalar_problem(item: object) -> str | None:
    if isinstance(item, str):
        return None if _is_text(item) else "holds a lone surrogate; it is not valid text"
    if isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):
        return f"is {item}; JSON has no NaN or Infinity"
    if isinstance(item, (bytes, bytearray, memoryview)):
        return f"is {type(item).__name__}; encode it (base64) or upload it and pass a URL"
    try:
        json.dumps(item)
    except (TypeError, ValueError) as error:
        reason = f" ({error})" if isinstance(error, ValueError) else ""
        return f"is of type {type(item).__name__}, which JSON can't hold{reason}"
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
