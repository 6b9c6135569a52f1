"""Bounded memory between a generator and a slow link."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final

__all__ = ["ChunkWindow"]

MAX_CHUNKS: Final = 1024
MAX_BYTES: Final = 8 * 1024 * 1024


class ChunkWindow:
    """Counts the chunks of one job that are not delivered yet, and holds up the generator that is too far ahead."""

    def __init__(self, *, is_bounded: bool = True) -> None:
        self._condition = threading.Condition()
        self._chunks = 0
        self._bytes = 0
        self._is_open = is_bounded
        self._async_waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @property
    def _has_room(self) -> bool:
        return not self._is_open or (self._chunks < MAX_CHUNKS and self._bytes < MAX_BYTES)

    def add(self, size: int) -> None:
        """Counts a chunk of so many bytes."""
        with self._condition:
            self._chunks += 1
            self._bytes += size

    def remove(self, size: int) -> None:
        """A chunk was delivered."""
        with self._condition:
            self._chunks -= 1
            self._bytes -= size
            self._wake()

    def close(self) -> None:
        """Nobody is to wait any more."""
        with self._condition:
            self._is_open = False
            self._wake()

    def wait(self) -> None:
        """Blocks the calling thread until there is room."""
        with self._condition:
            self._condition.wait_for(lambda: self._has_room)

    async def wait_async(self) -> None:
        """Waits on the running loop until there is room."""
        while True:
            with self._condition:
                if self._has_room:
                    return
                event = asyncio.Event()
                self._async_waiter = (asyncio.get_running_loop(), event)
            await event.wait()

    def _wake(self) -> None:
        if not self._has_room:
            return
        self._condition.notify_all()
        if self._async_waiter is not None:
            loop, event = self._async_waiter
            self._async_waiter = None
            with contextlib.suppress(RuntimeError):  # the job has ended, and a loop of its own with it
                loop.call_soon_threadsafe(event.set)
