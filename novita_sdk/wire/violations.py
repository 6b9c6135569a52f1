"""A rule that a value breaks, as errors list it and as it travels in the error of a job."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from novita_sdk.wire.payload import JSONValue

__all__ = ["Violation", "cut", "shorten", "shown"]

_SHOWN: Final = 80
"""Characters of a value that an error shows."""

_WITHOUT_VALUE: Final = frozenset(
    {"depth", "extra_forbidden", "file", "local_file", "missing", "oneof", "required", "schema", "unknown_field"}
)
"""Rules that are not about the value."""


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
        text = f"{where}{self.message} ({self.rule})"
        if self.rule in _WITHOUT_VALUE:
            return text
        return f"{text}{', not' if 'must' in self.message.split() else '; it is'} {shown(self.value)}"

    def to_json(self) -> dict[str, JSONValue]:
        """The violation as a JSON object."""
        return {"field": self.field, "rule": self.rule, "message": self.message, "value": self.value}


def shown(value: object) -> str:
    """A value for an error message, cut where it is long."""
    return shorten(_repr(value), _SHOWN)


def cut(value: object) -> str | int | float | None:
    """A value as a violation keeps it: text is cut, and what JSON has no scalar for becomes text."""
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return shorten(value if isinstance(value, str) else _repr(value), _SHOWN)


def shorten(text: str, length: int) -> str:
    """At most so many characters of a text, with a mark where it was cut, and without lone surrogates."""
    return text[:length].encode("utf-8", "backslashreplace").decode() + ("…" if len(text) > length else "")


def _repr(value: object) -> str:
    try:
        return repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply to be shown"
