"""When the next take may go out. Pure: the time and randomness are arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay

__all__ = ["Pace"]

_EMPTY_PAUSE: Final = RetryPolicy(first_delay=0.05, max_delay=1.0, budget=None)
_FAILURE_PAUSE: Final = RetryPolicy(first_delay=0.2, max_delay=15.0, budget=None)
_EMPTY: Final = Failure(kind=FailureKind.UNSENT)
_PARKED: Final = 0.5
"""Seconds after which an empty reply is the end of a parked take, not a gateway that answers at once."""


class Pace:
    """Spaces takes that bring nothing, so that a gateway that answers at once is not hammered.

    Args:
        random: Gives a number in [0, 1), for jitter.

    Attributes:
        at: When the next take may go out; 0 is any time.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._empty = 0
        self._failed = 0
        self.at = 0.0

    def brought_jobs(self) -> None:
        """A take brought jobs."""
        self._empty = self._failed = 0
        self.at = 0.0

    def was_empty(self, now: float, waited: float) -> None:
        """A take brought nothing after so many seconds."""
        self._failed = 0
        if waited >= _PARKED:
            self._empty = 0
            self.at = 0.0
        else:
            self._empty += 1
            self._pause(_EMPTY_PAUSE, _EMPTY, self._empty, now)

    def failed(self, now: float, failure: Failure) -> None:
        """A take went wrong."""
        self._failed += 1
        self._pause(_FAILURE_PAUSE, failure, self._failed, now)

    def _pause(self, policy: RetryPolicy, failure: Failure, attempt: int, now: float) -> None:
        delay = next_delay(policy, failure, attempt=attempt, elapsed=0.0, random=self._random())
        # A take is tried again whatever the answer was: a wrong key or a missing route may be put right.
        self.at = now + (policy.max_delay if delay is None else delay)
