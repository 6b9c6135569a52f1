"""The board's pulse: whether the process stood still, so that nobody could be heard."""

from __future__ import annotations

from typing import Final

from novita_gateway.board.rows import NEVER

__all__ = ["Pulse"]

PART: Final = 4
"""The part of a lease after which a board is asked at the latest, while leases are held; if it is asked nothing for as
long again, the process stood still. What is shorter hides no worker that pings three times in a lease."""

SHORTEST: Final = 100
"""Milliseconds by which a loaded machine may be late, however short the leases are."""


class Pulse:
    """Remembers when the board was asked last.

    Args:
        lease: Milliseconds.

    Attributes:
        now: When the board was asked last.
        resumed: When the process began, or went on after it had last stood still.
        held: Leases that workers hold.
    """

    def __init__(self, lease: int) -> None:
        self._tolerance = max(SHORTEST, lease // PART)
        self.now = 0
        self.resumed = -NEVER
        self.held = 0

    def begin(self, now: int) -> None:
        """The process begins."""
        self.now = self.resumed = now

    def due(self, wake: int | None) -> int | None:
        """When the board is to be asked at the latest, if by its timers that is at `wake`."""
        return wake if wake is None or self.held == 0 else min(wake, self.now + self._tolerance)

    def beat(self, now: int, due: int | None) -> None:
        """The board is asked something, and `due` is when it should have been at the latest."""
        if due is not None and now - max(due, self.now) > self._tolerance:
            self.resumed = now
        self.now = now
