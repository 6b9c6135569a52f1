"""Batches: one statement for all the calls of a kind that came while the last ones ran."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, Generic, TypeVar

from novita_gateway.store.postgres.connections import BusyError

__all__ = ["Batches", "rounds"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

LIMIT: Final = 500
"""Calls in one statement."""
MOST: Final = 20_000
"""Calls of a kind that may wait; the next one is refused."""


class Batches(Generic[ItemT, ResultT]):
    """Collects calls and carries them out together.

    A batch is on its way whoever stops waiting for it: its statement is never cancelled.

    Args:
        run: Carries a batch out; returns a result for each call, in order.
        at_once: Batches that may be on their way together.
    """

    def __init__(self, run: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]], *, at_once: int = 2) -> None:
        self._run = run
        self._at_once = at_once
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_scheduled = False

    async def call(self, item: ItemT) -> ResultT:
        """Carries one call out with others.

        Raises:
            BusyError: Too many wait already.
            StoreError: The batch failed.
        """
        if len(self._waiting) >= MOST:
            raise BusyError(f"{MOST:,} calls of this kind wait for the database")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ResultT] = loop.create_future()
        self._waiting.append((item, future))
        if not self._is_scheduled and len(self._tasks) < self._at_once:
            self._is_scheduled = True
            loop.call_soon(self._start)
        return await future

    async def settle(self) -> None:
        """Returns when nothing is on its way any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self) -> None:
        self._is_scheduled = False
        while self._waiting and len(self._tasks) < self._at_once:
            batch = [self._waiting.popleft() for _ in range(min(LIMIT, len(self._waiting)))]
            task = asyncio.get_running_loop().create_task(self._carry_out(batch))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()

    async def _carry_out(self, batch: Sequence[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        try:
            results = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - who waits is told
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


def rounds(items: Iterable[ItemT], key: Callable[[ItemT], Hashable]) -> Iterator[list[ItemT]]:
    """The items in as few lists as have no key twice, each in the order of the items."""
    left = list(items)
    while left:
        now: dict[Hashable, ItemT] = {}
        later = [item for item in left if now.setdefault(key(item), item) is not item]
        yield list(now.values())
        left = later
