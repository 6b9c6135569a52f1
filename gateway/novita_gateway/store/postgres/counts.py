"""Counts of jobs and workers: asked of the database, at most once in a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from novita_gateway._clock import Clock
from novita_gateway.board.ledger import Counters
from novita_gateway.store.messages import endpoint_health
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.statements import ENDPOINTS, HEALTH
from novita_sdk.models import EndpointHealth

__all__ = ["Counts"]

_NAMES = ("queued", "running", "completed", "failed", "retried", "idle_workers", "running_workers")


class Counts:
    """Counts.

    Args:
        connections: For reading.
        clock: Tells how old a count is.
        memory: Milliseconds for which a worker that does not call is counted.
        age: Milliseconds for which a count is answered again.
        now: The time by a clock of the tests; None for the database's.
    """

    def __init__(
        self, connections: Connections, *, clock: Clock, memory: int, age: int, now: Callable[[], int | None]
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory
        self._age = age
        self._now = now
        self._known: dict[str, tuple[int, EndpointHealth]] = {}
        self._batches: Batches[str, EndpointHealth] = Batches(self._count_batch, at_once=1)

    async def health(self, endpoint: str) -> EndpointHealth:
        """The counts of one endpoint; one that was never seen has none."""
        at, health = self._known.get(endpoint, (-self._age, EndpointHealth()))
        return health if self._clock.now() - at < self._age else await self._batches.call(endpoint)

    async def endpoints(self) -> Mapping[str, EndpointHealth]:
        """The counts of all endpoints that have jobs or workers."""
        names = sorted(record["endpoint"] for record in await self._connections.fetch(ENDPOINTS))
        found = await self._count(names)
        return {name: health for name, (is_known, health) in found.items() if is_known}

    async def _count_batch(self, names: Sequence[str]) -> Sequence[EndpointHealth]:
        found = await self._count(names)
        now = self._clock.now()
        self._known = {name: known for name, known in self._known.items() if now - known[0] < self._age}
        self._known.update((name, (now, health)) for name, (_, health) in found.items())
        return [found[name][1] for name in names]

    async def _count(self, names: Sequence[str]) -> dict[str, tuple[bool, EndpointHealth]]:
        found = await self._connections.fetch(HEALTH, self._now(), names, self._memory)
        records = {record["endpoint"]: record for record in found}
        return {
            name: (records[name]["is_known"], endpoint_health(Counters(**{key: records[name][key] for key in _NAMES})))
            for name in names
        }
