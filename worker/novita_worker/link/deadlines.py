"""Ends calls that take too long."""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["Patience"]

INTERVAL: Final = 0.5
"""Seconds between two looks: a timer for every call would cost a short job more than its share."""


class Patience:
    """Cancels tasks whose call is late at two looks in a row. Belongs to one event loop.

    At the first, the answer may be there and unread: a handler that held the GIL has kept the loop from it.

    >>> patience.begin(30.0)
    >>> try:
    ...     await call()
    ... except asyncio.CancelledError:
    ...     if not patience.is_over(): raise
    ... finally:
    ...     patience.end()
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadlines: dict[asyncio.Task[Any] | None, float] = {}
        self._overdue: set[asyncio.Task[Any] | None] = set()
        self._late: set[asyncio.Task[Any] | None] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """The running task begins a call that may take so long."""
        self._deadlines[asyncio.current_task()] = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._look)

    def is_over(self) -> bool:
        """Whether it was this object that cancelled the running task; the cancellation is then taken back."""
        task = asyncio.current_task()
        if task is None or task not in self._late:
            return False
        task.uncancel()
        return True

    def end(self) -> None:
        """The call of the running task is over."""
        task = asyncio.current_task()
        del self._deadlines[task]
        self._overdue.discard(task)
        self._late.discard(task)

    def close(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        for task, deadline in self._deadlines.items():
            if deadline > now or task is None or task in self._late:
                continue
            if task in self._overdue:
                self._late.add(task)
                task.cancel()
            self._overdue.add(task)
        self._timer = self._loop.call_later(INTERVAL, self._look) if self._deadlines else None
