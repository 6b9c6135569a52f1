"""The workers that were heard of: each is noted when it is new, and then now and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from novita_gateway._clock import Clock
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.statements import NOW

__all__ = ["Workers"]

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
