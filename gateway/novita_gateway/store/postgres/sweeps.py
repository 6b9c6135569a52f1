"""The sweeps: what time does to jobs, and the looks of those who may have missed a hint. Any gateway may, none must."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from novita_gateway._clock import Clock
from novita_gateway._errors import GatewayError
from novita_gateway.board.rows import NEVER
from novita_gateway.store.postgres.changes import ROWS_AT_ONCE, Changes
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.statements import NOW

__all__ = ["Sweeps"]

INTERVAL: Final = 1000
"""Milliseconds between two sweeps at most. A part of it is drawn, so that gateways don't sweep at once."""
SHORTEST: Final = 20
"""Milliseconds between two sweeps at least."""
PART: Final = 4
"""The part of a lease for which the event loop may stand still, or the database be away, before leases begin again."""
LATE: Final = 100
"""Milliseconds by which a loaded machine may be late, however short the leases are."""
FORGET: Final = 10_000
"""Milliseconds between two looks at who is not heard of any more."""

_NEXT: Final = f"SELECT {NOW} AS now, (SELECT min(wake) FROM job) AS wake"  # noqa: S608 - constants

_log = logging.getLogger("novita_gateway")


class Sweeps:
    """Sweeps when the next thing is due, and every second.

    A lease ends only where its worker could be heard for as long as one lasts: so a gateway judges none before it has
    been at work for that long without a break. A database that stands still is a break too; and because it may begin
    to at any time, leases are judged as of the time that its last quick answer told.

    Args:
        connections: For looking.
        changes: Looks at what is due.
        clock: Tells the time of this gateway.
        lease: Milliseconds.
        now: The time by a clock of the tests; None for the database's.
        look: Looks at everything that is waited for here.
        forget: Lets go of workers that are not heard of any more.
    """

    def __init__(
        self,
        connections: Connections,
        changes: Changes,
        *,
        clock: Clock,
        lease: int,
        now: Callable[[], int | None],
        look: Callable[[], Awaitable[None]],
        forget: Callable[[], Awaitable[None]],
    ) -> None:
        self._connections = connections
        self._changes = changes
        self._clock = clock
        self._lease = lease
        self._now = now
        self._look = look
        self._forget = forget
        self._resumed = clock.now()
        self._forgot = clock.now()
        self._told = 0
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begins."""
        self.resume()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="novita-gateway-sweeps")

    async def close(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def resume(self) -> None:
        """There was a break, in which workers may not have been heard."""
        self._resumed = self._clock.now()

    async def sweep(self, *, wait: bool) -> None:
        """Looks at everything that is due by now.

        Args:
            wait: Return only when it is done, also where another gateway does it.

        Raises:
            StoreError: The database could not be asked.
        """
        await self._next()
        await self._sweep(wait=wait)

    async def _sweep(self, *, wait: bool) -> None:
        may_judge = self._clock.now() - self._resumed >= self._lease
        until = self._told if may_judge else -NEVER
        while await self._changes.sweep(leases_until=until, wait=wait) == ROWS_AT_ONCE:
            pass

    async def _run(self) -> None:
        wait = 0
        while True:
            await self._sleep(wait)
            try:
                wait = await self._next()
                if wait <= 0:
                    await self._sweep(wait=False)
                    wait = await self._next()
                await self._look()
                if self._clock.now() - self._forgot >= FORGET:
                    self._forgot = self._clock.now()
                    await self._forget()
            except GatewayError as error:
                _log.warning("could not look at what is due; tries again: %s", error)
                wait = INTERVAL
            longest = int(INTERVAL * random.uniform(0.5, 1))
            wait = longest if wait <= 0 else min(max(wait, SHORTEST), longest)

    async def _next(self) -> int:
        """Milliseconds until the next thing is due."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        (record,) = await self._connections.fetch(_NEXT, self._now())
        if (loop.time() - begin) * 1000 > max(LATE, self._lease // PART):
            self.resume()
        self._told = int(record["now"])
        return INTERVAL if record["wake"] is None else int(record["wake"] - record["now"])

    async def _sleep(self, wait: int) -> None:
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        when = self._clock.now() + wait

        def ring() -> None:
            if self._clock.now() - when > max(LATE, self._lease // PART):
                self.resume()
            if not waited.done():
                waited.set_result(None)

        timer = self._clock.call_at(when, ring)
        try:
            await waited
        finally:
            timer.cancel()
