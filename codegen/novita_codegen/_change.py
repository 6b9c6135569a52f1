"""A change of a contract that breaks those who call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["REFUSED", "UNREADABLE", "BreakingChange"]

REFUSED: Final = "inputs that callers could send are refused"
UNREADABLE: Final = "callers of the old version refuse outputs that break their rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakingChange:
    """One change that breaks callers.

    Attributes:
        place: `file:line:column` in the new protos, as far as it is known; of a schema, the file and the part.
        rule: The rule's name in buf, or one of ours: `RULE_STRICTER`, `RULE_LOOSER`, `NEW_FIELD_REQUIRED`,
            `METHOD_GONE`, `STREAM`.
        change: What is different.
        effect: What that does to callers and workers of the other version.
    """

    place: str
    rule: str
    change: str
    effect: str

    def __str__(self) -> str:
        return f"{self.place}: {self.change} Effect: {self.effect}. ({self.rule})"
