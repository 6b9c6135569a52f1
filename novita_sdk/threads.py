"""Threads for the packages' own blocking work, apart from the default executor of a loop, which is its user's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Final, ParamSpec, TypeVar

__all__ = ["FILE_THREADS", "GATEWAY_THREADS", "WORKER_THREADS", "Threads"]

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A pool that is made when it is first used, and anew in a forked process.

    Args:
        name: Begins the names of its threads.
        most: How many there may be.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._pools: dict[int, ThreadPoolExecutor] = {}

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function in one of the threads, in a copy of the caller's context, as `asyncio.to_thread` does."""
        call = partial(copy_context().run, _call, partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._pool(), call)

    def _pool(self) -> ThreadPoolExecutor:
        process = os.getpid()
        if (pool := self._pools.get(process)) is None:
            # No lock, which a fork could copy while it is held: `setdefault` takes the first, and a pool that was never
            # used has no threads.
            pool = self._pools.setdefault(process, ThreadPoolExecutor(self._most, thread_name_prefix=self._name))
        return pool


def _call(function: Callable[[], T]) -> T:
    try:
        return function()
    except StopIteration as error:  # which no future can hold: whoever waits for it would wait for ever
        raise RuntimeError("StopIteration was raised") from error


FILE_THREADS: Final = Threads("novita-files", 32)
"""For the transfers of files."""

GATEWAY_THREADS: Final = Threads("novita-gateway", 4)
"""For the gateway's database: it never waits behind a transfer."""

WORKER_THREADS: Final = Threads("novita-worker", 4)
"""For the worker's spool and schema: they never wait behind a transfer."""
