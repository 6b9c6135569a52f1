"""The rarer changes: rows are locked, the rules of the board change them, and they are kept, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from novita_gateway.board import rules
from novita_gateway.board.commands import Event, EventKind
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import NEVER, Row
from novita_gateway.store.journal import FIRST_CHUNK, Part
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.rows import COLUMNS, SAVE, row_of, saved
from novita_gateway.store.postgres.statements import NOW, ORDER_STOPS
from novita_sdk.wire.payload import dump

if TYPE_CHECKING:
    import asyncpg

__all__ = ["Change", "Changed", "Changes", "Rule"]

ROWS_AT_ONCE: Final = 500

_LOCK: Final = f"""
WITH n AS MATERIALIZED (SELECT {NOW} AS now),
l AS MATERIALIZED (SELECT {COLUMNS}, token FROM job WHERE %s)
SELECT l.*, now, nextval('rank') AS fresh FROM l, n
"""  # noqa: S608 - constants
_NAMED: Final = _LOCK % (
    "(endpoint, id) IN (SELECT * FROM unnest($2::text[], $3::text[])) ORDER BY endpoint, id FOR UPDATE OF job"
)
_WAITING: Final = f"""
WITH n AS MATERIALIZED (SELECT {NOW} AS now),
w AS MATERIALIZED (
    SELECT endpoint, id FROM job WHERE endpoint = $2 AND status = 0 AND rank <= $3
    ORDER BY low_priority, rank LIMIT $4),
l AS MATERIALIZED (
    SELECT {COLUMNS}, token FROM job JOIN w USING (endpoint, id) ORDER BY job.endpoint, job.id FOR UPDATE OF job)
SELECT l.*, now, nextval('rank') AS fresh FROM l, n
"""  # noqa: S608 - constants
_DUE: Final = _LOCK % (
    f"wake <= {NOW} AND (status <> 1 OR lease_until > {NOW} OR lease_until <= $2::bigint)"
    " ORDER BY wake LIMIT $3 FOR UPDATE OF job"
)
_DUE_AND_FREE: Final = _DUE.replace("FOR UPDATE OF job", "FOR UPDATE OF job SKIP LOCKED")
_CLEAR: Final = """
DELETE FROM body USING unnest($1::text[], $2::text[]) AS q(endpoint, id)
WHERE body.endpoint = q.endpoint AND body.id = q.id AND part > 0
"""
_PUT: Final = """
INSERT INTO body (endpoint, id, part, body) SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bytea[])
ON CONFLICT (endpoint, id, part) DO UPDATE SET body = excluded.body
"""
_DROP: Final = """
WITH q AS (SELECT * FROM unnest($1::text[], $2::text[]) AS q(endpoint, id)),
b AS (DELETE FROM body USING q WHERE body.endpoint = q.endpoint AND body.id = q.id)
DELETE FROM job USING q WHERE job.endpoint = q.endpoint AND job.id = q.id
"""


Rule: TypeAlias = Callable[[Row, int, int], list[Event]]
"""What a command makes of a row, the time and a new place in the queue: a call of `board/rules.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A command about one job.

    Attributes:
        endpoint: The job's.
        id: The job.
        rule: What becomes of it.
        part: The part of a payload that comes with it: kept if something happens. For chunks, `FIRST_CHUNK`.
        body: That payload.
    """

    endpoint: str
    id: str
    rule: Rule
    part: int = Part.REQUEST
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a change.

    Attributes:
        row: The job afterwards; None where there is none.
        events: What happened.
        was_done: An earlier try, whose answer was lost, had done it.
    """

    row: Row | None
    events: Sequence[Event] = ()
    was_done: bool = False


@dataclass(slots=True)
class _Effects:
    """What events mean for the tables."""

    rows: dict[tuple[str, str], tuple[Row, str]] = field(default_factory=dict)
    """What changed, with its state before that."""
    cleared: set[tuple[str, str]] = field(default_factory=set)
    bodies: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    stops: set[tuple[str, str, str]] = field(default_factory=set)
    dropped: set[tuple[str, str]] = field(default_factory=set)

    def add(self, row: Row, before: str, events: Sequence[Event]) -> None:
        """Takes in what happened to a row."""
        key = (row.endpoint, row.id)
        for event in events:
            if event.kind is EventKind.FORGOTTEN:
                self.dropped.add(key)
            elif event.kind is EventKind.STOP_ORDERED:
                self.stops.add((row.endpoint, event.worker_id, row.id))
            elif event.kind is EventKind.RESTARTED:
                self.cleared.add(key)
                for body in [body for body in self.bodies if body[:2] == key]:
                    del self.bodies[body]
            elif event.kind is EventKind.FINISHED and row.has_error and event.reason:
                self.bodies[*key, Part.ERROR] = dump(f"job {row.id}: {event.reason}")
        self.rows[key] = (row, self.rows.get(key, (row, before))[1])


class Changes:
    """Carries changes out.

    Args:
        connections: Whose commits wait for the standby.
        limits: Leases, attempts, retention.
        now: The time by a clock of the tests; None for the database's.
        tell: Is told what happened, after the commit.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        limits: Limits,
        now: Callable[[], int | None],
        tell: Callable[[Sequence[Event]], object],
    ) -> None:
        self._connections = connections
        self._limits = limits
        self._now = now
        self._tell = tell

    async def make(self, changes: Sequence[Change]) -> list[Changed]:
        """Carries changes out together, each on what the one before left."""
        token = uuid.uuid4()

        async def work(connection: asyncpg.Connection[Any], is_again: bool, /) -> list[Changed]:  # noqa: FBT001 - as Work
            async with connection.transaction():
                keys = list({(change.endpoint, change.id) for change in changes})
                records = await connection.fetch(_NAMED, self._now(), *map(list, zip(*keys, strict=True)))
                return await self._apply(connection, changes, records, token, is_again=is_again)

        done = await self._connections.run(work)
        self._tell([event for changed in done for event in changed.events])
        return done

    async def purge(self, endpoint: str, until: int, rule: Rule) -> tuple[int, int]:
        """Changes some of the jobs that wait with a rank up to `until`.

        Returns:
            At how many it looked, which is 0 when there are no more, and how many changed: others may have been taken.
        """
        token = uuid.uuid4()

        async def work(connection: asyncpg.Connection[Any], _: bool, /) -> list[Changed]:  # noqa: FBT001 - as Work
            async with connection.transaction():
                records = await connection.fetch(_WAITING, self._now(), endpoint, until, ROWS_AT_ONCE)
                changes = [Change(endpoint=endpoint, id=record["id"], rule=rule) for record in records]
                return await self._apply(connection, changes, records, token, is_again=False)

        done = await self._connections.run(work)
        self._tell([event for changed in done for event in changed.events])
        return len(done), sum(bool(changed.events) for changed in done)

    async def sweep(self, *, leases_until: int, wait: bool = False) -> int:
        """Looks at rows whose time has come; returns at how many.

        Args:
            leases_until: A lease that ended by then is over; one that ended later is left alone.
            wait: Wait for rows that another gateway looks at, instead of leaving them to it.
        """
        due = _DUE if wait else _DUE_AND_FREE

        async def work(connection: asyncpg.Connection[Any], _: bool, /) -> tuple[int, list[Event]]:  # noqa: FBT001 - as Work
            async with connection.transaction():
                records = await connection.fetch(due, self._now(), leases_until, ROWS_AT_ONCE)
                return len(records), await self._look_at(connection, records)

        count, events = await self._connections.run(work)
        self._tell(events)
        return count

    async def _apply(
        self,
        connection: asyncpg.Connection[Any],
        changes: Sequence[Change],
        records: Sequence[Mapping[str, Any]],
        token: uuid.UUID,
        *,
        is_again: bool,
    ) -> list[Changed]:
        found = {(record["endpoint"], record["id"]): record for record in records}
        rows = {key: row_of(record) for key, record in found.items()}
        effects, done = _Effects(), []
        # In the order in which rows change: who goes to the front later stands before those who did earlier.
        fresh = iter(sorted(record["fresh"] for record in records))
        ranks: dict[tuple[str, str], int] = {}
        for change in changes:
            key = (change.endpoint, change.id)
            row = rows.get(key)
            if row is None:
                done.append(Changed(None))
                continue
            if is_again and found[key]["token"] == token:
                done.append(Changed(row, was_done=True))
                continue
            now, before = max(found[key]["now"], row.taken or row.created), row.status
            if key not in ranks:
                ranks[key] = next(fresh)
            events = change.rule(row, now, ranks[key])
            if events:
                effects.add(row, before, events)
                if change.body is not None:
                    part = FIRST_CHUNK + row.chunks - 1 if change.part == FIRST_CHUNK else change.part
                    effects.bodies[*key, part] = change.body
            elif row.lease_until != found[key]["lease_until"]:
                effects.add(row, before, events)
            done.append(Changed(row, events))
        await self._keep(connection, effects, token)
        return done

    async def _look_at(self, connection: asyncpg.Connection[Any], records: Sequence[Mapping[str, Any]]) -> list[Event]:
        """Does to each row what was due, at the time at which it was, the earliest first."""
        ranks = sorted(record["fresh"] for record in records)
        now = max((record["now"] for record in records), default=0)
        effects, happened = _Effects(), []
        rows = sorted(map(row_of, records), key=lambda row: row.due(self._limits.retention))
        for row, rank in zip(rows, ranks, strict=True):
            before, events = row.status, list[Event]()
            while (due := row.due(self._limits.retention)) <= now:
                made = rules.look_at(row, resumed=-NEVER, rank=-rank, now=due, limits=self._limits)
                events += made
                if not made or made[0].kind is EventKind.FORGOTTEN:
                    break
            effects.add(row, before, events)
            happened += events
        await self._keep(connection, effects, uuid.uuid4())
        return happened

    async def _keep(self, connection: asyncpg.Connection[Any], effects: _Effects, token: uuid.UUID) -> None:
        kept = [pair for key, pair in effects.rows.items() if key not in effects.dropped]
        if kept:
            rows, before = zip(*kept, strict=True)
            await connection.execute(SAVE, token, *saved(rows, before, self._limits))
        if effects.cleared:
            await connection.execute(_CLEAR, *_columns(effects.cleared, 2))
        if effects.bodies:
            await connection.execute(_PUT, *_columns([(*key, body) for key, body in effects.bodies.items()], 4))
        if effects.stops:
            await connection.execute(ORDER_STOPS, self._now(), *_columns(effects.stops, 3))
        if effects.dropped:
            await connection.execute(_DROP, *_columns(effects.dropped, 2))


def _columns(records: Collection[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[record[index] for record in records] for index in range(width)]
