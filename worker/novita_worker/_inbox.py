"""What other threads have to tell the I/O loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

from novita_worker.desk.actions import Action

__all__ = ["Inbox"]


class Inbox:
    """Carries events from any thread to the I/O loop, in their order. What comes before `open` waits for it.

    Args:
        perform: Does what an event asks for.
    """

    def __init__(self, perform: Callable[[list[Action]], None]) -> None:
        self._perform = perform
        self._events: deque[tuple[Callable[..., list[Action]], tuple[object, ...]]] = deque()
        self._is_open = False
        self._is_woken = False
        self._loop: asyncio.AbstractEventLoop
        self._context: Context

    def open(self) -> None:
        """Events are read from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._is_open = True
        self._read()

    def close(self) -> None:
        """Nothing is read any more."""
        self._is_open = False

    def put(self, event: Callable[..., list[Action]], *args: object) -> None:
        """Has the event called on the I/O loop; callable from any thread."""
        self._events.append((event, args))
        if self._is_open and not self._is_woken:
            self._is_woken = True
            # In a context of the worker's: in the caller's, all that follows would pass for its job's doing.
            self._loop.call_soon_threadsafe(self._read, context=self._context)

    def _read(self) -> None:
        self._is_woken = False
        while self._events:
            event, args = self._events.popleft()
            self._perform(event(*args))
