"""The check that JSON can be read by everybody who may get it, at the price of a few passes over its bytes.

The grammar allows what readers do not take: `json` refuses integers of more than 4,300 digits, msgspec such integers
with their sign and numbers beyond a double's range (which `json` turns into infinity), and both stop at the depth of
their stack.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import accumulate
from typing import Final

import msgspec

from novita_sdk.wire.codec import WireError

__all__ = ["MAX_DEPTH", "MAX_DIGITS", "check_readable"]

MAX_DEPTH: Final = 500
"""Arrays and objects inside each other, the envelope included: half of what a reader's stack takes by default, because
the other half may be in use."""

MAX_DIGITS: Final = 4300
"""Characters of an integer, its sign included; CPython's default for its digits."""

_KINDS: Final = bytes.maketrans(b"123456789E{", b"000000000e[")
_LARGE_EXPONENT: Final = b"e000"
_MANY_DIGITS: Final = b"0" * 200
"""With fewer digits and an exponent of two, no number is beyond a double's range."""

_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")
_BLOCK: Final = 250
"""Brackets that are counted at once; only where they could go too deep, one after the other."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][-+.0-9eE]*', re.DOTALL)
_SEARCHED: Final = 256 * 1024
"""Bytes in which a number is looked for, to say where it is; for more, the caller would wait too long."""

_ANY: Final = msgspec.json.Decoder()


def check_readable(data: bytes, what: str) -> None:
    """Refuses JSON that not everybody can read although it is valid.

    Args:
        data: The JSON; whether it is any is for the decoder to say.
        what: How the error calls it.

    Raises:
        WireError: Says what can't be read and, where it is a number in up to 256 KiB, at which byte.
    """
    # Both tests see too much rather than too little, for they look into strings as well; then it is looked at closely.
    kinds = data.translate(_KINDS, b"+")
    if kinds.count(b"[") > MAX_DEPTH and _is_deep(data):
        raise WireError(f"{what}: nested more than {MAX_DEPTH} levels deep, which not everybody can read")
    # From the end, because that search looks for the rare `e` and not for a digit: several times as fast as `in`.
    if kinds.rfind(_LARGE_EXPONENT) >= 0 or kinds.rfind(_MANY_DIGITS) >= 0:
        try:
            _ANY.decode(data)
        except msgspec.ValidationError as error:  # whatever else is wrong, the decoder says better
            raise WireError(f"{what}: {_bad_number(data) or error}") from None
        except (ValueError, msgspec.MsgspecError):  # msgspec's own are no ValueErrors before 0.21
            return


def _is_deep(data: bytes) -> bool:
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = data.translate(_BRACKETS, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' in structure:
        structure = b"".join(structure.split(b'"')[::2])  # a string stands between the first and the second, and so on
    level = 0
    for start in range(0, len(structure), _BLOCK):
        block = structure[start : start + _BLOCK]
        opened = block.count(b"[")
        if level + opened > MAX_DEPTH:
            steps = memoryview(block.translate(_STEPS)).cast("b")
            if max(accumulate(steps, initial=level)) > MAX_DEPTH:
                return True
        level += 2 * opened - len(block)
    return False


def _bad_number(data: bytes) -> str | None:
    for match in _TOKEN.finditer(data[:_SEARCHED]):
        token = match[0]
        if token.startswith(b'"') or len(token) < len(_LARGE_EXPONENT):
            continue
        if token.lstrip(b"-").isdigit():
            if len(token) > MAX_DIGITS:
                digits = f"{len(token.lstrip(b'-')):,}"
                return f"an integer of {digits} digits at byte {match.start():,}; {MAX_DIGITS - 1:,} can be read by all"
            continue
        with suppress(ValueError):
            if abs(float(token)) == float("inf"):
                return f"the number {token[:40].decode()} at byte {match.start():,} is beyond what a double holds"
    return None
