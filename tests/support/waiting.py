"""Waiting for what another thread or process does and tells nobody of."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

DEADLINE = 120.0
"""Seconds. Only a test that fails waits so long, and a busy machine may take a while to start a process."""

INTERVAL = 0.01

ResultT = TypeVar("ResultT")


def eventually(condition: Callable[[], ResultT], what: str | Callable[[], str] = "it never came") -> ResultT:
    """Waits until the condition has a true value, and returns that; `what` is said where it never has."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(INTERVAL)
    return value


async def eventually_async(condition: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Waits until the condition has a true value, and returns that."""
    async with asyncio.timeout(DEADLINE):
        while not (value := await condition()):  # noqa: ASYNC110  it is another process that tells nobody
            await asyncio.sleep(INTERVAL)
    return value


Meanwhile = Callable[[Callable[[], object]], None]
"""Runs a function in a thread; its failure fails the test."""


@contextmanager
def threads() -> Iterator[Meanwhile]:
    """Runs functions in threads while a block lasts, and ends with all of them; raises the first failure."""
    started: list[threading.Thread] = []
    failures: list[BaseException] = []

    def start(function: Callable[[], object]) -> None:
        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - shown below
                failures.append(error)

        started.append(threading.Thread(target=run))
        started[-1].start()

    yield start
    for thread in started:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
