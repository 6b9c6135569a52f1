"""The stop orders: collected by a worker, whichever gateway it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from novita_gateway._clock import Clock
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.statements import NOW
from novita_gateway.store.postgres.waiting import Waiters

__all__ = ["Stops"]

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
