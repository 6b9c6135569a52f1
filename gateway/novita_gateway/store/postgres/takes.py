"""The takes that wait at one gateway, in line for each endpoint: one statement asks for all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from novita_gateway._clock import Clock
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import Part
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.rows import Parts, row_of
from novita_gateway.store.postgres.statements import TAKE, TAKEN

if TYPE_CHECKING:
    import asyncpg

__all__ = ["Taken", "Takes"]

SLOTS: Final = 1000
"""Jobs that one statement asks for, and one worker may ask for."""

Taken = list[tuple[Row, Parts]]
_Ask = tuple[str, Sequence[str]]
"""An endpoint, and the worker of each job that is asked for."""


class _Taker:
    """A worker that waits for jobs."""

    __slots__ = ("count", "is_asking", "is_over", "jobs", "worker_id")

    def __init__(self, worker_id: str, count: int) -> None:
        self.worker_id = worker_id
        self.count = count
        self.jobs: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self.is_asking = False
        """A statement that asks for it is on its way; its answer decides, even if the wait is over by then."""
        self.is_over = False


class Takes:
    """Hands the jobs of each endpoint to those who wait, in the order in which they came.

    Args:
        connections: Whose commits wait for the standby.
        clock: Tells when a wait is over.
        lease: Milliseconds.
        now: The time by a clock of the tests; None for the database's.
        give_back: Takes jobs back whose worker is gone.
        tell: Tells other gateways of endpoints that may have more jobs than are waited for here.
        taken: Is told which jobs were taken.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        clock: Clock,
        lease: int,
        now: Callable[[], int | None],
        give_back: Callable[[str, str, Sequence[str]], Awaitable[None]],
        tell: Callable[[Iterable[str]], object],
        taken: Callable[[Sequence[Row]], object],
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._lease = lease
        self._now = now
        self._give_back = give_back
        self._tell = tell
        self._taken = taken
        self._asks: Batches[_Ask, dict[str, Taken]] = Batches(self._run)
        """Of all endpoints together: an endpoint asks once at a time, and many may ask in the same turn."""
        self._lines: dict[str, deque[_Taker]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, bool] = {}
        """Endpoints of which something was heard while they were asked, and whether others are to hear it."""
        self.is_closed = False

    @property
    def parked(self) -> int:
        """Takes that wait, and have found nothing."""
        return sum(not taker.is_asking for line in self._lines.values() for taker in line)

    def __iter__(self) -> Iterator[str]:
        """The endpoints that somebody waits for."""
        return iter(list(self._lines))

    async def take(self, endpoint: str, worker_id: str, count: int, wait: int) -> Taken:
        """Jobs for a worker, up to `count`; waits for the first for so many milliseconds.

        Raises:
            StoreError: The database could not be asked.
        """
        taker = _Taker(worker_id, min(count, SLOTS))
        line = self._lines.setdefault(endpoint, deque())
        line.append(taker)
        timer = self._clock.call_at(self._clock.now() + wait, lambda: self._end(endpoint, taker)) if wait > 0 else None
        taker.is_over = wait <= 0 or self.is_closed
        taker.is_asking = True  # nothing was found yet, because nothing was asked
        self.ask(endpoint)
        try:
            return await taker.jobs
        except asyncio.CancelledError:
            taker.is_over = True
            self._leave(endpoint, taker)
            if taker.jobs.done() and not taker.jobs.cancelled() and (taken := taker.jobs.result()):
                await self._give_back(endpoint, worker_id, [row.id for row, _ in taken])
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def ask(self, endpoint: str, tell: bool = False) -> None:  # noqa: FBT001, FBT002 - as a callable, too
        """Looks for jobs of an endpoint, if somebody waits for them here.

        Args:
            endpoint: The endpoint.
            tell: Other gateways are to be told as well, unless all of its jobs are taken here.
        """
        if endpoint not in self._lines:
            if tell:
                self._tell([endpoint])
        elif endpoint in self._asking:
            self._news[endpoint] = tell or self._news.get(endpoint, False)
        else:
            task = asyncio.get_running_loop().create_task(self._serve(endpoint, tell=tell))
            self._asking[endpoint] = task

    async def close(self) -> None:
        """Ends every wait."""
        self.is_closed = True
        for endpoint, line in list(self._lines.items()):
            for taker in list(line):
                self._end(endpoint, taker)
        while self._asking:
            await asyncio.wait(self._asking.values())

    async def _serve(self, endpoint: str, *, tell: bool) -> None:
        try:
            await asyncio.sleep(0)  # with whatever else this turn of the loop brings
            while line := self._lines.get(endpoint):
                self._news.pop(endpoint, None)
                is_more = await self._ask_once(endpoint, line)
                if endpoint in self._news:
                    tell = self._news.pop(endpoint) or tell
                elif not is_more or all(not taker.is_asking for taker in self._lines.get(endpoint, ())):
                    tell = tell and is_more
                    break
        finally:
            del self._asking[endpoint]
            if tell:
                self._tell([endpoint])
            if self._news.pop(endpoint, False) or any(taker.is_asking for taker in self._lines.get(endpoint, ())):
                self.ask(endpoint)

    async def _ask_once(self, endpoint: str, line: deque[_Taker]) -> bool:
        """Asks for those in front; returns whether there may be more jobs than were asked for."""
        present = list(line)
        asked, slots = list[_Taker](), list[str]()
        for taker in present:
            taker.is_asking = True
            if len(slots) + taker.count <= SLOTS:
                asked.append(taker)
                slots += [taker.worker_id] * taker.count
        try:
            taken = await self._asks.call((endpoint, slots))
        except Exception as error:  # noqa: BLE001 - who waits is told
            for taker in present:
                self._leave(endpoint, taker)
                if not taker.jobs.done():
                    taker.jobs.set_exception(error)
            return False
        self._taken([row for jobs in taken.values() for row, _ in jobs])
        is_more = sum(map(len, taken.values())) == len(slots)
        for taker in asked if is_more else present:
            jobs = taken.get(taker.worker_id, [])
            taken[taker.worker_id], jobs = jobs[taker.count :], jobs[: taker.count]
            taker.is_asking = False
            if taker.jobs.done():  # its caller is gone
                if jobs:
                    await self._give_back(endpoint, taker.worker_id, [row.id for row, _ in jobs])
            elif jobs or taker.is_over or self.is_closed:
                self._leave(endpoint, taker)
                taker.jobs.set_result(jobs)
        return is_more

    async def _run(self, asks: Sequence[_Ask]) -> Sequence[dict[str, Taken]]:
        """The jobs that each worker got, for each of several endpoints."""
        token = uuid.uuid4()
        counts = [len(slots) for _, slots in asks]
        columns = (
            [endpoint for endpoint, _ in asks],
            counts,
            [before - count for before, count in zip(accumulate(counts), counts, strict=True)],
            [worker_id for _, slots in asks for worker_id in slots],
        )

        async def work(connection: asyncpg.Connection[Any], is_again: bool, /) -> list[Mapping[str, Any]]:  # noqa: FBT001 - as Work
            records: list[Mapping[str, Any]] = []
            for endpoint, slots in asks if is_again else ():
                records += await connection.fetch(TAKEN, endpoint, list(set(slots)), token)
            return records or await connection.fetch(TAKE, self._now(), *columns, self._lease, token)

        taken = {endpoint: dict[str, Taken]() for endpoint, _ in asks}
        for record in await self._connections.run(work):
            row, parts = row_of(record), Parts()
            parts.add(Part.REQUEST, record["body"])
            taken[row.endpoint].setdefault(row.worker_id or "", []).append((row, parts))
        return list(taken.values())

    def _end(self, endpoint: str, taker: _Taker) -> None:
        """Its wait is over; where a statement asks for it, that still decides."""
        taker.is_over = True
        if not taker.is_asking:
            self._leave(endpoint, taker)
            if not taker.jobs.done():
                taker.jobs.set_result([])

    def _leave(self, endpoint: str, taker: _Taker) -> None:
        line = self._lines.get(endpoint)
        if line is not None and taker in line:
            line.remove(taker)
            if not line:
                del self._lines[endpoint]
