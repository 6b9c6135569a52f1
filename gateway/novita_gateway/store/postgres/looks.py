"""The look at everything that is waited for at one gateway: for what no hint came, one statement for all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.rows import CODES
from novita_gateway.store.postgres.takes import Takes
from novita_gateway.store.postgres.waiting import Waiters
from novita_sdk.wire import states

__all__ = ["Looks", "job_state"]

AT_ONCE: Final = 5000
"""Jobs that one statement looks at."""

_JOBS: Final = """
SELECT endpoint, id, status, revision, takes, chunks FROM job JOIN unnest($1::text[], $2::text[]) AS q(endpoint, id)
USING (endpoint, id)
"""
_OVER: Final = """
SELECT q.endpoint, q.id FROM unnest($1::text[], $2::text[]) AS q(endpoint, id)
LEFT JOIN job ON job.endpoint = q.endpoint AND job.id = q.id WHERE job.id IS NULL OR job.status >= 2
"""
"""Most of those who wait do so for a job's end, and the answer has only what is news to them."""
_STOPS: Final = """
SELECT DISTINCT endpoint, worker_id FROM stop JOIN unnest($1::text[], $2::text[]) AS q(endpoint, worker_id)
USING (endpoint, worker_id)
"""
_QUEUES: Final = """
SELECT endpoint FROM unnest($1::text[]) AS q(endpoint)
WHERE EXISTS (SELECT FROM job WHERE job.endpoint = q.endpoint AND status = 0)
"""


def job_state(kind: str, status: str, revision: int, takes: int, chunks: int) -> object:
    """What a request that waits for that kind of word has seen of a job, and looks for a change of."""
    is_final = status in states.FINAL
    return {"F": is_final, "R": (is_final, revision), "C": (is_final, takes, chunks)}[kind]


class Looks:
    """Looks.

    Args:
        connections: For reading.
        waiters: Who waits, each with the `job_state` that it has seen.
        takes: The takes that wait.
    """

    def __init__(self, connections: Connections, waiters: Waiters[str], takes: Takes) -> None:
        self._connections = connections
        self._waiters = waiters
        self._takes = takes

    async def look(self) -> None:
        """Wakes all whose job, queue or stop order is not as they have seen it.

        Raises:
            StoreError: The database could not be asked.
        """
        ends, jobs, workers = list[list[str]](), set[tuple[str, ...]](), set[tuple[str, ...]]()
        for word in self._waiters:
            kind, _, rest = word.partition(":")
            if kind == "F":
                ends.append(rest.split("/"))
            elif kind == words.NOTICE:
                self._waiters.call([word])
            else:
                (workers if kind == "S" else jobs).add(tuple(rest.split("/")))
        for start in range(0, len(ends), AT_ONCE):
            columns = map(list, zip(*ends[start : start + AT_ONCE], strict=True))
            for record in await self._connections.fetch(_OVER, *columns):
                self._waiters.call([words.final(record["endpoint"], record["id"])])
        await self._look_at_jobs(sorted(jobs))
        if workers:
            for record in await self._connections.fetch(_STOPS, *map(list, zip(*sorted(workers), strict=True))):
                self._waiters.call([words.stopped(record["endpoint"], record["worker_id"])])
        if endpoints := list(self._takes):
            for record in await self._connections.fetch(_QUEUES, endpoints):
                self._takes.ask(record["endpoint"])

    async def _look_at_jobs(self, jobs: Sequence[tuple[str, ...]]) -> None:
        for start in range(0, len(jobs), AT_ONCE):
            some = jobs[start : start + AT_ONCE]
            found = {
                (record["endpoint"], record["id"]): record
                for record in await self._connections.fetch(_JOBS, *map(list, zip(*some, strict=True)))
            }
            for endpoint, job_id in some:
                record = found.get((endpoint, job_id))
                for word in (words.revised(endpoint, job_id), words.chunks(endpoint, job_id)):
                    for watch in self._waiters.watches(word):
                        if record is None or watch.seen != _state(word[0], record):
                            watch.wake()


def _state(kind: str, record: Mapping[str, Any]) -> object:
    return job_state(kind, CODES[record["status"]], record["revision"], record["takes"], record["chunks"])
