"""The work that goes on though nobody waits for it any more, such as taking back what a lost reply held."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from novita_gateway._errors import GatewayError

__all__ = ["Tasks", "nothing"]

ResultT = TypeVar("ResultT")

_log = logging.getLogger("novita_gateway")


class Tasks:
    """Keeps tasks until they are done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def settle(self) -> None:
        """Returns when all are done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        """Begins a piece of work."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def take_back(self, work: Coroutine[Any, Any, object]) -> None:
        """Takes a reply back, also if the caller is gone meanwhile; where that fails, the lease covers it."""
        with contextlib.suppress(GatewayError):
            await asyncio.shield(self.spawn(_told(work)))

    async def shielded(self, work: Coroutine[Any, Any, bool], undo: Callable[[], Awaitable[None]]) -> bool:
        """Does something whole; if the caller is gone by then, and it says that it did something, takes that back."""
        task = self.spawn(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:

            async def end() -> None:
                with contextlib.suppress(GatewayError):
                    if await task:
                        await undo()

            self.spawn(end())
            raise


async def nothing() -> None:
    """Takes nothing back."""


async def _told(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except GatewayError as error:
        _log.warning("what a lost reply held could not be taken back: %s", error)
