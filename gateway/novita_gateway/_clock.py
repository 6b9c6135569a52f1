"""The gateway's time: the system's, or one that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["BoardClock", "Clock", "ManualClock", "SystemClock", "Timer"]


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Makes it never come."""
        ...


class Clock(Protocol):
    """Tells the time and calls back."""

    def now(self) -> int:
        """Milliseconds since the epoch; never goes back."""
        ...

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Calls back on the running event loop, at that time or soon after."""
        ...


class SystemClock:
    """The epoch time at which it was made, plus the monotonic time since."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int((time.monotonic() + self._offset) * 1000)

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Calls back at that time."""
        # A millisecond more, because `now` rounds down and would find the time not yet come.
        return asyncio.get_running_loop().call_later(max(0, when - self.now() + 1) / 1000, callback)


class BoardClock:
    """A board's own time, in milliseconds: it passes as a clock's does, and only while a gateway runs.

    A restart goes on where the last process stopped, whatever the wall clock says by then: how long nobody ran can't be
    told from a wall clock that was set, and a job must not be lost to either.

    Args:
        clock: Tells how time passes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shift = 0
        self._last = 0

    def resume(self, last: int) -> None:
        """Goes on from there."""
        self._shift = last - self._clock.now()
        self._last = last

    def now(self) -> int:
        """Milliseconds; never goes back, also where the clock does."""
        now = self._clock.now() + self._shift
        if now < self._last:
            self._shift += self._last - now
            return self._last
        self._last = now
        return now

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Calls back at that time of this clock."""
        return self._clock.call_at(when - self._shift, callback)


class ManualClock:
    """Stands still until it is advanced.

    Args:
        start: Milliseconds since the epoch.
    """

    def __init__(self, start: int = 1_700_000_000_000) -> None:
        self._now = start
        self._calls: list[tuple[int, int, _ManualTimer]] = []
        self._counter = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self._now

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Calls back as soon as the clock was advanced to that time."""
        self._loop = asyncio.get_running_loop()
        timer = _ManualTimer(callback)
        heapq.heappush(self._calls, (when, next(self._counter), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Moves the time on, and makes the calls that fall due on the way, each at its time.

        Call it from any thread; it returns when all is done.
        """
        if self._loop is None or self._loop.is_closed() or _running_loop() is self._loop:
            self._advance(round(seconds * 1000))
        else:

            async def advance() -> None:
                self._advance(round(seconds * 1000))

            asyncio.run_coroutine_threadsafe(advance(), self._loop).result()

    def _advance(self, milliseconds: int) -> None:
        end = self._now + milliseconds
        while self._calls and self._calls[0][0] <= end:
            when, _, timer = heapq.heappop(self._calls)
            self._now = max(self._now, when)
            timer.run()
        self._now = end


class _ManualTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def run(self) -> None:
        if self._callback is not None:
            self._callback()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
