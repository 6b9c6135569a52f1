"""The workers that were heard of, noted when they are new and then now and again; and what they are to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from novita_gateway._clock import Clock
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.statements import NOW
from novita_gateway.store.postgres.waiting import Waiters

__all__ = ["Stops", "Workers"]

PART: Final = 8
"""The part of the time for which a worker is remembered after which it is noted again."""
MOST: Final = 100_000
"""Workers that one gateway remembers to have noted."""

_SAW: Final = f"""
INSERT INTO worker (endpoint, id, seen)
SELECT endpoint, id, {NOW} FROM unnest($2::text[], $3::text[]) AS w(endpoint, id) ORDER BY endpoint, id
ON CONFLICT (endpoint, id) DO UPDATE SET seen = excluded.seen
"""  # noqa: S608 - constants
_FORGET: Final = f"""
WITH w AS (DELETE FROM worker WHERE seen <= {NOW} - $2::bigint)
DELETE FROM stop WHERE ordered <= {NOW} - $2::bigint
    AND NOT EXISTS (SELECT FROM worker WHERE (worker.endpoint, worker.id) = (stop.endpoint, stop.worker_id)
        AND seen > {NOW} - $2::bigint)
"""  # noqa: S608 - constants

_COLLECT: Final = """
WITH d AS (
    DELETE FROM stop USING unnest($1::text[], $2::text[]) AS q(endpoint, worker_id)
    WHERE stop.endpoint = q.endpoint AND stop.worker_id = q.worker_id
    RETURNING stop.endpoint, stop.worker_id, stop.id, stop.ordered)
SELECT endpoint, worker_id, id FROM d ORDER BY ordered, id
"""
_RESTORE: Final = f"""
INSERT INTO stop (ordered, endpoint, worker_id, id)
SELECT {NOW}, job.endpoint, $3, job.id FROM job
WHERE endpoint = $2 AND id = ANY($4::text[]) AND (status <> 1 OR worker_id <> $3)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants


class Workers:
    """Notes who calls.

    Args:
        connections: Whose commits need not wait for the standby.
        clock: Tells when a worker was noted last.
        memory: Milliseconds for which a worker that does not call is counted.
        now: The time by a clock of the tests; None for the database's.
    """

    def __init__(self, connections: Connections, *, clock: Clock, memory: int, now: Callable[[], int | None]) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory
        self._now = now
        self._noted: dict[tuple[str, str], int] = {}
        self._batches: Batches[tuple[str, str], None] = Batches(self._note, at_once=1)

    async def saw(self, endpoint: str, worker_id: str) -> None:
        """A worker called. Returns when other gateways count it too."""
        key, now = (endpoint, worker_id), self._clock.now()
        if now - self._noted.get(key, -self._memory) < self._memory // PART:
            return
        await self._batches.call(key)
        if len(self._noted) >= MOST:
            self._noted.clear()
        self._noted[key] = now

    async def forget(self) -> None:
        """Lets go of those that are not heard of any more, and of their stop orders."""
        await self._connections.fetch(_FORGET, self._now(), self._memory)

    async def _note(self, keys: Sequence[tuple[str, str]]) -> Sequence[None]:
        endpoints, ids = zip(*set(keys), strict=True)
        await self._connections.fetch(_SAW, self._now(), endpoints, ids)
        return [None] * len(keys)


class Stops:
    """Collects stop orders.

    Args:
        connections: Whose commits need not wait for the standby: an order that is lost comes again with a ping.
        clock: Tells when a wait is over.
        waiters: Those who wait here.
        now: The time by a clock of the tests; None for the database's.
    """

    def __init__(
        self, connections: Connections, *, clock: Clock, waiters: Waiters[str], now: Callable[[], int | None]
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._waiters = waiters
        self._now = now
        self._batches: Batches[tuple[str, str], list[str]] = Batches(self._collect, at_once=1)

    async def collect(self, endpoint: str, worker_id: str, wait: int) -> list[str]:
        """The ids that the worker is to stop; waits for one."""
        end = self._clock.now() + wait
        with self._waiters.watch(words.stopped(endpoint, worker_id)) as watch:
            while True:
                ids = await self._batches.call((endpoint, worker_id))
                if ids or wait <= 0 or not await watch.until(end):
                    return ids

    async def restore(self, endpoint: str, worker_id: str, ids: Sequence[str]) -> None:
        """The reply with these could not be written."""
        await self._connections.fetch(_RESTORE, self._now(), endpoint, worker_id, list(ids))

    async def _collect(self, workers: Sequence[tuple[str, str]]) -> Sequence[list[str]]:
        endpoints, ids = zip(*set(workers), strict=True)
        found: dict[tuple[str, str], list[str]] = {}
        for record in await self._connections.fetch(_COLLECT, endpoints, ids):
            found.setdefault((record["endpoint"], record["worker_id"]), []).append(record["id"])
        # Of two requests of one worker that came together, the first gets them.
        return [found.pop(worker, []) for worker in workers]
