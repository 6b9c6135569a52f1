"""A look at JSON without building its values: to say where Python's own readers fail, and to go round that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

__all__ = ["explain", "split"]

_STRING: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_KEY: Final = re.compile(rb"[ \t\r\n]*(" + _STRING + rb")[ \t\r\n]*:[ \t\r\n]*", re.DOTALL)
_SCALAR: Final = re.compile(
    _STRING + rb"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null|NaN|-?Infinity", re.DOTALL
)
_BRACKETS: Final = re.compile(_STRING + rb"|[\[{]+|[\]}]+", re.DOTALL)
_TOKEN: Final = re.compile(
    rb"(" + _STRING + rb")[ \t\r\n]*(:?)|([\[{])|([\]}])|(,)|(-?[0-9]{641,})(?![0-9.eE])", re.DOTALL
)
"""Integers of up to 640 digits can always be read; see `sys.set_int_max_str_digits`."""

_LOOKED_AT: Final = 1_000_000
"""Containers among which the deepest is looked for, which takes a second."""

_SHOWN: Final = 8
"""Steps of a path that are shown; one that nests without end has thousands."""

_CLOSING: Final = {b"[": b"]", b"{": b"}"}


def split(data: bytes) -> dict[str, bytes] | list[bytes]:
    """The members of an object or the items of an array, each as its JSON, however deep or large it is.

    Raises:
        ValueError: It is neither, or doesn't end.
    """
    start = _skip(data, 0)
    opening = data[start : start + 1]
    if opening not in _CLOSING:
        raise ValueError("neither an object nor an array")
    members: dict[str, bytes] = {}
    items: list[bytes] = []
    position, closing = _skip(data, start + 1), _CLOSING[opening]
    while data[position : position + 1] != closing:
        if opening == b"{":
            match = _KEY.match(data, position)
            if match is None:
                raise ValueError(f"no key at byte {position}")
            end = _end(data, match.end())
            members[str(json.loads(match[1]))] = data[match.end() : end]
        else:
            end = _end(data, position)
            items.append(data[position:end])
        position = _skip(data, end)
        if data[position : position + 1] == b",":
            position = _skip(data, position + 1)
        elif data[position : position + 1] != closing:
            raise ValueError(f"neither a comma nor an end at byte {position}")
    if _skip(data, position + 1) != len(data):
        raise ValueError("something follows")
    return members if opening == b"{" else items


def explain(data: bytes, what: str, error: Exception) -> str:
    """Says why JSON can't be read here: which integer is too large, how deep it is nested, or what `json` says.

    Args:
        data: The JSON.
        what: How to call it.
        error: What `json.loads` raised.
    """
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return f"{what} is not JSON: {error}"
    if isinstance(error, RecursionError):
        places = ((len(path), -position) for position, path, _ in islice(_walk(data), _LOOKED_AT))
        deepest, at = max(places, default=(0, 0))
        where = next((_path(what, path) for position, path, _ in _walk(data) if position == -at), what)
        return f"{what} is nested too deeply for Python's json: {deepest:,} levels, at byte {-at:,} ({where})"
    for position, path, digits in _walk(data):
        if digits:
            return f"{_path(what, path)} is an integer of {digits:,} digits, at byte {position:,}: {error}"
    return f"{what} is not JSON: {error}"


def _skip(data: bytes, position: int) -> int:
    match = _SPACE.match(data, position)
    return position if match is None else match.end()


def _end(data: bytes, position: int) -> int:
    """Where the value ends that begins here."""
    if data[position : position + 1] not in _CLOSING:
        match = _SCALAR.match(data, position)
        if match is None:
            raise ValueError(f"no value at byte {position}")
        return match.end()
    depth = 0
    for match in _BRACKETS.finditer(data, position):
        first, size = match[0][:1], match.end() - match.start()
        if first in _CLOSING:
            depth += size
        elif first != b'"':
            if depth <= size:
                return match.start() + depth
            depth -= size
    raise ValueError("it does not end")


def _walk(data: bytes) -> Iterator[tuple[int, list[str | int], int]]:
    """Every opening of a container and every long integer: its place, its path, and its digits.

    The path is one list that goes on changing.
    """
    path: list[str | int] = []
    for match in _TOKEN.finditer(data):
        string, colon, opening, closing, comma, number = match.groups()
        if opening:
            path.append("" if opening == b"{" else 0)
            yield match.start(), path, 0
        elif number:
            yield match.start(), path, len(number.lstrip(b"-"))
        elif path and closing:
            path.pop()
        elif path and comma and isinstance(path[-1], int):
            path[-1] += 1
        elif path and string and colon and isinstance(path[-1], str):
            path[-1] = string[1:-1].decode(errors="replace")


def _path(what: str, path: list[str | int]) -> str:
    if len(path) > _SHOWN:
        return f"{_path(what, path[: _SHOWN // 2])}…{_path('', path[-_SHOWN // 2 :])}"
    return what + "".join(f"[{step}]" if isinstance(step, int) else f".{step:.40}" if step else "" for step in path)
