"""What is wrong with a value that should follow a contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novita_sdk.wire.payload import JSONValue, PayloadError

__all__ = ["ContractError", "InputError", "OutputError", "Violation", "join"]

_SHOWN = 80
"""Characters of a value that an error shows."""


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
    """A value breaks its contract; the message lists every violation.

    Attributes:
        code: `INVALID_INPUT`, `INVALID_OUTPUT`, or `INVALID` where neither is known.
        type_name: The type that the value should have.
        violations: At least one.
    """

    code = "INVALID"

    def __init__(self, type_name: str, violations: Sequence[Violation]) -> None:
        super().__init__(f"not a valid {type_name}: {'; '.join(map(str, violations))}")
        self.type_name = type_name
        self.violations = tuple(violations)


class InputError(ContractError):
    """The input of a job breaks the contract of its handler."""

    code = "INVALID_INPUT"


class OutputError(ContractError, PayloadError):
    """What a handler returned breaks its contract, so it can't be sent."""

    code = "INVALID_OUTPUT"


def join(path: str, rest: str) -> str:
    """The path of a field inside another one."""
    return f"{path}{rest}" if not rest or not path or rest.startswith("[") else f"{path}.{rest}"


def shown(value: JSONValue) -> str:
    """A value for an error message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def cut(value: JSONValue) -> JSONValue:
    """A value as a violation keeps it: text is cut, and what JSON has no scalar for becomes text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
