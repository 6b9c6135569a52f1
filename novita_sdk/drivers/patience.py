"""The time that one answer may take in all, since a timeout of a socket starts anew with every byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from novita_sdk.flows.steps import Send

__all__ = ["SLOWEST", "Patience"]

SLOWEST: Final = 4 * 1024
"""Bytes a second. An answer that comes slower than that uses up the timeout of its request; at this pace or above a
large one may take any time."""


class Patience:
    """The end of one request, which what it brings puts off.

    Args:
        step: The request.
        clock: Monotonic seconds.
    """

    def __init__(self, step: Send, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._timeout = step.timeout
        self._last = float("inf") if step.within is None else self._start + step.within
        self._until = self._last

    def begin(self, extra: float = 0.0) -> None:
        """The request is sent; waiting for a free connection counts for the caller's deadline alone.

        Args:
            extra: Seconds that it may take beyond its timeout, to connect.
        """
        self._until = self._clock() + self._timeout + extra

    def received(self, size: int) -> None:
        """So many bytes have come."""
        self._until = min(self._until + size / SLOWEST, self._clock() + self._timeout)

    @property
    def deadline(self) -> float:
        """When it is over, on the clock."""
        return min(self._until, self._last)

    def left(self) -> float:
        """Seconds until then; less than 0 afterwards."""
        return self.deadline - self._clock()

    def __str__(self) -> str:
        return f"no whole answer in {self._clock() - self._start:.3g} s"
