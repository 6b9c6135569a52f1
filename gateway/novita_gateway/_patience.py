"""A timeout for what others send, which does not count the time in which this process could not read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ["arriving_within"]

LATE: Final = 4
"""The part of the time by which an event loop may be late; one that is later stood still."""


@asynccontextmanager
async def arriving_within(seconds: float) -> AsyncIterator[None]:
    """Ends what is inside when that time is over; where the event loop stood still, it begins again.

    Raises:
        TimeoutError: It did end.
    """
    loop = asyncio.get_running_loop()

    timer: asyncio.TimerHandle | None = None

    def wait() -> None:
        nonlocal timer
        timer = loop.call_later(seconds, look, loop.time() + seconds)

    def look(due: float) -> None:
        if loop.time() - due > seconds / LATE:
            wait()
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        wait()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
