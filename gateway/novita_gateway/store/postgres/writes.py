"""The frequent writes: submits, results and pings, each kind in one statement for all that came together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from novita_gateway.board import rules
from novita_gateway.board.commands import Finish, Submit
from novita_gateway.board.limits import Limits
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.batches import Batches, rounds
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.news import News
from novita_gateway.store.postgres.rows import CODES
from novita_gateway.store.postgres.statements import FINISH, KNOWN, ORDER_STOPS, PING, SUBMIT

if TYPE_CHECKING:
    import asyncpg

__all__ = ["Result", "Writes"]


@dataclass(frozen=True, slots=True)
class Result:
    """A result of a worker, with its payloads."""

    command: Finish
    output: bytes | None
    error: bytes | None


class Writes:
    """Writes.

    Args:
        connections: Whose commits wait for the standby.
        soft: Whose commits need not: for pings, which come again.
        limits: Leases, attempts, retention.
        now: The time by a clock of the tests; None for the database's.
        news: Is told what happened.
    """

    def __init__(
        self,
        connections: Connections,
        soft: Connections,
        *,
        limits: Limits,
        now: Callable[[], int | None],
        news: News,
    ) -> None:
        self._connections = connections
        self._soft = soft
        self._limits = limits
        self._now = now
        self._news = news
        self._submits: Batches[tuple[Submit, bytes], str] = Batches(self._submit)
        self._results: Batches[Result, bool] = Batches(self._finish)
        self._pings: Batches[tuple[str, str, str], None] = Batches(self._ping, at_once=1)

    async def submit(self, command: Submit, request: bytes) -> str:
        """Queues a job; returns its id, or that of the job that has its idempotency key."""
        return await self._submits.call((command, request))

    async def finish(self, result: Result) -> bool:
        """Makes a job final if its worker holds it; returns whether there is such a job."""
        return await self._results.call(result)

    async def ping(self, endpoint: str, worker_id: str, job_id: str) -> None:
        """Extends a lease, or orders the job stopped where it went on without its worker."""
        await self._pings.call((endpoint, worker_id, job_id))

    async def _submit(self, submits: Sequence[tuple[Submit, bytes]]) -> Sequence[str]:
        first: dict[tuple[str, str], tuple[Submit, bytes]] = {}
        new: list[tuple[Submit, bytes]] = []
        for command, request in submits:
            key = (command.endpoint, command.idempotency_key or command.id)
            if command.idempotency_key is None or first.setdefault(key, (command, request))[0] is command:
                new.append((command, request))

        async def work(connection: asyncpg.Connection[Any], is_again: bool, /) -> list[Mapping[str, Any]]:  # noqa: FBT001 - as Work
            left = new
            if is_again:
                records = await connection.fetch(
                    KNOWN, [command.endpoint for command, _ in new], [command.id for command, _ in new]
                )
                known = {(record["endpoint"], record["id"]) for record in records}
                left = [pair for pair in new if (pair[0].endpoint, pair[0].id) not in known]
            return list(await connection.fetch(SUBMIT, self._now(), *self._columns(left))) if left else []

        records = await self._connections.run(work)
        by_key = {(record["endpoint"], record["idempotency_key"]): record["id"] for record in records}
        ids = []
        for command, _ in submits:
            own = first[command.endpoint, command.idempotency_key][0].id if command.idempotency_key else command.id
            ids.append(by_key.get((command.endpoint, command.idempotency_key), own) if command.idempotency_key else own)
        self._news.queued({command.endpoint for command, _ in new})
        return ids

    def _columns(self, submits: Sequence[tuple[Submit, bytes]]) -> Iterable[list[object]]:
        rows = [rules.submitted(command, seq=0, rank=0, now=0, limits=self._limits) for command, _ in submits]
        for name in ("endpoint", "id", "low_priority", "ttl", "execution_timeout", "notify", "idempotency_key"):
            yield [getattr(row, name) for row in rows]
        yield [request for _, request in submits]

    async def _finish(self, results: Sequence[Result]) -> Sequence[bool]:
        known: dict[int, bool] = {}
        told: list[str] = []
        places = list(enumerate(results))
        for some in rounds(places, lambda pair: (pair[1].command.endpoint, pair[1].command.id)):
            commands = [result.command for _, result in some]
            columns = (
                [command.endpoint for command in commands],
                [command.id for command in commands],
                [command.worker_id for command in commands],
                [command.take for command in commands],
                [result.output for _, result in some],
                [result.error for _, result in some],
            )
            for record in await self._connections.fetch(FINISH, self._now(), *columns, self._limits.retention):
                place, result = some[record["i"] - 1]
                known[place] = True
                # Where an earlier try did it, the change is not seen any more: who waits is told in any case.
                told.append(words.final(result.command.endpoint, result.command.id))
                if record["notify"]:
                    told.append(words.NOTICE)
        self._news.tell(told)
        return [place in known for place, _ in places]

    async def _ping(self, pings: Sequence[tuple[str, str, str]]) -> Sequence[None]:
        columns = map(list, zip(*pings, strict=True))
        stops = {
            (record["endpoint"], record["worker_id"], record["id"])
            for record in await self._soft.fetch(PING, self._now(), *columns, self._limits.lease)
            if rules.is_behind_the_worker(CODES[record["status"]])
        }
        if stops:
            await self._soft.fetch(ORDER_STOPS, self._now(), *map(list, zip(*sorted(stops), strict=True)))
        self._news.tell(words.stopped(endpoint, worker_id) for endpoint, worker_id, _ in stops)
        return [None] * len(pings)
