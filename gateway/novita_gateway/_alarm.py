"""Calls back when the board has something to look at."""

from __future__ import annotations

from collections.abc import Callable

from novita_gateway._clock import Clock, Timer

__all__ = ["Alarm"]


class Alarm:
    """One timer, set to the earliest of the times that were asked for.

    Args:
        clock: Tells the time.
        ring: Called at that time; it asks again for the next one.
    """

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: Timer | None = None
        self._when: int | None = None

    def set(self, when: int | None) -> None:
        """Makes it ring no later than that; None asks for nothing."""
        if when is None or (self._when is not None and self._when <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._when = when
        self._timer = self._clock.call_at(when, self._run)

    def cancel(self) -> None:
        """Makes it never ring."""
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        self._timer = self._when = None
        self._ring()
