"""The errors of a value that breaks its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from novita_sdk.wire.payload import JSONValue, PayloadError
from novita_sdk.wire.violations import Violation, cut, shorten, shown

__all__ = [
    "LISTED",
    "LOCAL_FILE",
    "ContractError",
    "InputError",
    "OutputError",
    "Violation",
    "cut",
    "join",
    "shown",
    "too_deep",
]

LISTED: Final = 100
"""Violations that an error lists; a list of a million wrong numbers must not become a longer error."""

LOCAL_FILE: Final = "local_file"
"""The rule that no file of this machine may be in what is sent, before such files are uploaded."""

_PATH: Final = 1000
"""Characters of a path or message that an error shows; both may hold keys of the value."""


class ContractError(ValueError):
    """A value breaks its contract; the message lists every violation, or the first hundred.

    Attributes:
        code: `INVALID_INPUT`, `INVALID_OUTPUT`, or `INVALID` where neither is known.
        type_name: The type that the value should have.
        violations: At least one.

    The advice, where there is one, ends the message.
    """

    code = "INVALID"

    def __init__(self, type_name: str, violations: Sequence[Violation], advice: str = "") -> None:
        self.type_name = type_name
        self.violations = tuple(map(_sendable, violations[:LISTED]))
        more = "; … and more" if len(violations) > LISTED else ""
        super().__init__(
            f"not a valid {type_name}: {'; '.join(map(str, self.violations))}{more}{advice and f'. {advice}'}"
        )


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


def _sendable(violation: Violation) -> Violation:
    """The violation with what any channel takes: of limited length, and without lone surrogates."""
    return replace(
        violation,
        field=shorten(violation.field, _PATH),
        message=shorten(violation.message, _PATH),
        value=cut(violation.value),
    )
