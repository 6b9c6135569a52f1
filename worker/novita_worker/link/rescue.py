"""The rescue of JSON that is odd in parts: its pieces, whatever is in them, and members that stand twice.

Slow beside a parser in C, and used only where one failed or may have chosen wrongly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from novita_sdk.wire.payload import JSONValue

__all__ = ["explain", "first_members", "first_text", "items", "may_repeat"]

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)
_MEMBER: Final = re.compile(rb'\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*', re.DOTALL)
_ESCAPED_LETTERS: Final = (b"\\u006", b"\\u007")
"""What a name begins with that hides a letter."""


def items(text: bytes) -> list[bytes]:
    """The objects of an array, or the one object, each as its text; what is cut off at the end is left out."""
    stripped = text.strip()
    pieces, is_whole = _pieces(stripped)
    match stripped[:1]:
        case b"{":
            return [stripped] if is_whole else []
        case b"[":
            return pieces
        case _:
            return []


def first_members(text: bytes) -> JSONValue:
    """The JSON value; of members of the outermost object that have the same name, the first. Inside, as Python has it.

    Raises:
        ValueError: It is not JSON, or has more than Python reads.
        RecursionError: It is nested too deeply.
    """
    outermost: list[tuple[str, JSONValue]] = []

    def keep(pairs: list[tuple[str, JSONValue]]) -> dict[str, JSONValue]:
        nonlocal outermost
        outermost = pairs  # the outermost object is the last to end
        return dict(pairs)

    value = json.loads(str(text, "utf-8"), object_pairs_hook=keep)
    if not isinstance(value, dict):
        return value
    members: dict[str, JSONValue] = {}
    for name, member in outermost:
        members.setdefault(name, member)
    return members


def first_text(text: bytes, name: str) -> str | None:
    """The first member of that name in an object that need not be JSON as a whole; None where it is no text."""
    pieces, _ = _pieces(text)
    for piece in pieces:
        if (member := _MEMBER.fullmatch(piece)) is not None:
            try:
                key, value = (json.loads(part.decode(errors="replace")) for part in member.groups())
            except ValueError:
                continue
            if key == name:
                return str(value)
    return None


def may_repeat(text: bytes, names: Sequence[str], count: int) -> bool:
    """Whether one of so many objects may have a member of these names twice; without a look into what they hold."""
    return any(text.count(f'"{name}"'.encode()) > count for name in names) or any(
        escape in text for escape in _ESCAPED_LETTERS
    )


def explain(error: Exception) -> str:
    """The error in the words of somebody who sent the JSON."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if "int_max_str_digits" in str(error):
        return "it holds an integer with more digits than Python reads"
    return str(error)


def _pieces(text: bytes) -> tuple[list[bytes], bool]:
    """What stands between the commas of an array or object, and whether its end is there."""
    depth = start = 0
    pieces: list[bytes] = []
    for token in _TOKEN.finditer(text):
        match text[token.start() : token.start() + 1]:
            case b"[" | b"{":
                depth += 1
                if depth == 1:
                    start = token.end()
            case b"]" | b"}":
                depth -= 1
                if depth == 0:
                    pieces.append(text[start : token.start()])
                    return [piece for piece in pieces if piece.strip()], True
            case b"," if depth == 1:
                pieces.append(text[start : token.start()])
                start = token.end()
            case _:
                pass
    return pieces, False
