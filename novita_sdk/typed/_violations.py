"""The errors of a value that breaks its contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from novita_sdk.wire.payload import JSONValue, PayloadError

__all__ = ["LISTED", "ContractError", "InputError", "OutputError", "Violation", "cut", "join", "shown", "too_deep"]

LISTED: Final = 100
"""Violations that an error lists; a list of a million wrong numbers must not become a longer error."""

_SHOWN: Final = 80
"""Characters of a value that an error shows."""

_PATH: Final = 1000
"""Characters of a path or message that an error shows; both may hold keys of the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule that one field breaks.

    Attributes:
        field: Path of the field: `images[0].url`; empty for the value itself.
        rule: The rule's name: `string.min_len` for one of the proto's, else `type`, `range`, `unknown_field` and such.
        message: What must be: `must be at least 1 characters`.
        value: What is; long text is cut.
    """

    field: str
    rule: str
    message: str
    value: JSONValue = None

    def __str__(self) -> str:
        where = f"{self.field} " if self.field else ""
        return f"{where}{self.message} ({self.rule}), not {shown(self.value)}"

    def to_json(self) -> dict[str, JSONValue]:
        """The violation as a JSON object."""
        return {"field": self.field, "rule": self.rule, "message": self.message, "value": self.value}


class ContractError(ValueError):
    """A value breaks its contract; the message lists every violation, or the first hundred.

    Attributes:
        code: `INVALID_INPUT`, `INVALID_OUTPUT`, or `INVALID` where neither is known.
        type_name: The type that the value should have.
        violations: At least one.
    """

    code = "INVALID"

    def __init__(self, type_name: str, violations: Sequence[Violation]) -> None:
        self.type_name = type_name
        self.violations = tuple(map(_sendable, violations[:LISTED]))
        more = "; … and more" if len(violations) > LISTED else ""
        super().__init__(f"not a valid {type_name}: {'; '.join(map(str, self.violations))}{more}")


class InputError(ContractError):
    """The input of a job breaks the contract of its handler."""

    code = "INVALID_INPUT"


class OutputError(ContractError, PayloadError):
    """What a handler returned breaks its contract, so it can't be sent."""

    code = "INVALID_OUTPUT"


def join(path: str, rest: str) -> str:
    """The path of a field inside another one."""
    return f"{path}{rest}" if not rest or not path or rest.startswith("[") else f"{path}.{rest}"


def too_deep(value: JSONValue) -> Violation:
    """What is wrong with a value that has more levels than can be read or written."""
    return Violation(field="", rule="depth", message="is nested too deeply", value=cut(value))


def shown(value: JSONValue) -> str:
    """A value for an error message, cut where it is long."""
    return _shorten(_repr(value), _SHOWN)


def cut(value: JSONValue) -> JSONValue:
    """A value as a violation keeps it: text is cut, and what JSON has no scalar for becomes text."""
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _shorten(value if isinstance(value, str) else _repr(value), _SHOWN)


def _sendable(violation: Violation) -> Violation:
    """The violation with what any channel takes: of limited length, and without lone surrogates."""
    return replace(
        violation,
        field=_shorten(violation.field, _PATH),
        message=_shorten(violation.message, _PATH),
        value=cut(violation.value),
    )


def _shorten(text: str, length: int) -> str:
    return text[:length].encode("utf-8", "backslashreplace").decode() + ("…" if len(text) > length else "")


def _repr(value: JSONValue) -> str:
    try:
        return repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply to be shown"
