"""A change of a contract that breaks those who call it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BreakingChange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakingChange:
    """One change that breaks callers.

    Attributes:
        place: `file:line:column` in the new protos, as far as it is known.
        rule: The rule's name in buf, or one of ours: `RULE_STRICTER`, `NEW_FIELD_REQUIRED`, `RULE_LOOSER`.
        change: What is different.
        effect: What that does to callers and workers of the other version.
    """

    place: str
    rule: str
    change: str
    effect: str

    def __str__(self) -> str:
        return f"{self.place}: {self.change} Effect: {self.effect}. ({self.rule})"
