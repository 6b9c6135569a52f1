"""How many jobs to ask for, and when: free slots, the modifier's answers, and the pace of takes. Pure.

A slot is reserved before a take goes out. At most one take is in flight: while it is parked the queue is empty, so a
second one would bring nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from novita_sdk.wire.retry import Failure
from novita_worker._limits import Limits
from novita_worker._pace import Pace
from novita_worker.desk.actions import Action, AskConcurrency, Take

__all__ = ["Intake"]


class Intake:
    """What a worker knows of its takes.

    Args:
        limits: What bounds the worker.
        random: Gives a number in [0, 1), for jitter.

    Attributes:
        concurrency: How many jobs may run now.
    """

    def __init__(self, limits: Limits, random: Callable[[], float]) -> None:
        self.concurrency = limits.concurrency
        self._limits = limits
        self._pace = Pace(random)
        self._is_open = True
        self._is_taking = False
        self._taken = 0
        self._is_asked = False
        self._asked_at = 0.0
        self._has_answer = False
        """Whether the modifier was asked since the last take went out."""
        self._ask_at: float | None = None

    @property
    def is_taking(self) -> bool:
        """Whether a take is in flight."""
        return self._is_taking

    @property
    def is_spent(self) -> bool:
        """Whether the worker has had as many jobs as it may."""
        return self._limits.max_jobs is not None and self._taken >= self._limits.max_jobs

    def brought(self, count: int, now: float) -> None:
        """A take brought so many jobs that were not here yet; a reply without one is as good as none."""
        self._is_taking = False
        self._taken += count
        if count:
            self._pace.brought_jobs()
        else:
            self._pace.was_empty(now, 0.0)

    def was_empty(self, now: float, waited: float) -> None:
        """A take brought nothing after so many seconds."""
        self._is_taking = False
        self._pace.was_empty(now, waited)

    def failed(self, now: float, failure: Failure) -> None:
        """A take went wrong."""
        self._is_taking = False
        self._pace.failed(now, failure)

    def answered(self, concurrency: int | None) -> None:
        """The modifier answered; None where its answer was of no use and the last one stays."""
        self._is_asked = False
        self._has_answer = True
        if concurrency is not None:
            self.concurrency = concurrency

    def close(self) -> None:
        """Nothing more is asked for."""
        self._is_open = False
        self._ask_at = None

    def next(self, now: float, *, used: int, undelivered: int) -> list[Action]:
        """What to ask for now.

        Args:
            now: The time.
            used: Jobs that run or are held.
            undelivered: Jobs that ended and are not delivered.
        """
        actions: list[Action] = []
        wanted = self._wanted(used, undelivered)
        is_due = self._ask_at is not None and self._ask_at <= now
        if is_due or (wanted and self._limits.scaling and not self._has_answer):
            self._ask_at = None
            if not self._is_asked:
                self._is_asked = True
                self._asked_at = now
                actions.append(AskConcurrency(self.concurrency))
        if wanted and now >= self._take_at:
            self._is_taking = True
            self._has_answer = False
            actions.append(Take(wanted, busy=used + undelivered > 0))
        elif not wanted and self._limits.scaling and self._is_open and self._ask_at is None:
            self._ask_at = now + self._limits.scale_interval
        return actions

    def due(self, *, used: int, undelivered: int) -> float | None:
        """When `next` has something to ask for that it hasn't now, or None while only events matter."""
        times = [] if self._ask_at is None else [self._ask_at]
        if self._take_at and self._wanted(used, undelivered):
            times.append(self._take_at)
        return min(times) if times else None

    @property
    def _take_at(self) -> float:
        """When the next take may go out. A modifier that does not answer holds it up no longer than its interval."""
        if self._limits.scaling and not self._has_answer:
            return max(self._pace.at, self._asked_at + self._limits.scale_interval)
        return self._pace.at

    def _wanted(self, used: int, undelivered: int) -> int:
        """Jobs to ask for now. Slots for running come first: a job held here could run elsewhere."""
        if not self._is_open or self._is_taking or undelivered >= self._limits.max_undelivered:
            return 0
        wanted = self.concurrency - used
        if wanted <= 0:
            wanted = max(0, self.concurrency + self._limits.prefetch - used)
        if self._limits.max_jobs is not None:
            wanted = min(wanted, self._limits.max_jobs - self._taken)
        return max(0, wanted)
