"""A worker's pings from its own event loop: a process for them would cost a test more than all the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

import aiohttp
from yarl import URL

from novita_sdk.rpc import WorkerServiceMethods
from novita_worker._environment import Environment

__all__ = ["LoopHeartbeat"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class LoopHeartbeat:
    """Pings the gateway with the worker's jobs.

    Args:
        environment: Where and as whom.
        interval: Seconds before the first ping, and between two. There is none at the start, so that a test of faults
            meets the same requests however long it takes.
    """

    def __init__(self, environment: Environment, interval: float) -> None:
        self._urls = environment.urls
        self._headers = {"Authorization": environment.authorization}
        self._interval = interval
        self._ids: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to ping; call it on the I/O loop."""
        self._task = asyncio.get_running_loop().create_task(self._beat())

    def set_ids(self, ids: Iterable[str]) -> None:
        """Sets the jobs of the next ping."""
        self._ids = tuple(ids)

    def stop(self) -> None:
        """Pings no more."""
        if self._task is not None:
            self._task.cancel()

    async def _beat(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT) as session:
            while True:
                await asyncio.sleep(self._interval)
                url = URL(self._urls.ping(self._ids), encoded=True)
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # an injected fault
                    async with session.request(WorkerServiceMethods.PING.verb, url) as response:
                        await response.read()
