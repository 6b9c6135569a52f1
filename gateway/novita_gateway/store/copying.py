"""The way of an SQLite file's jobs into a database: all of them in one transaction, or none."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from novita_gateway._errors import StoreError
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_gateway.store.postgres.database import opened_database
from novita_gateway.store.postgres.rows import row_columns, row_values
from novita_gateway.store.postgres.statements import NOW
from novita_gateway.store.sqlite_file import SqliteFile
from novita_sdk.threads import GATEWAY_THREADS

if TYPE_CHECKING:
    import asyncpg

__all__ = ["Copied", "copy_jobs"]

_TIMES: Final = ("created", "expires", "taken", "finished")
"""Moments on the board's time; the rest of a row's numbers are counts and durations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied.

    Attributes:
        jobs: How many, by their state.
        payloads: Inputs, outputs, errors, progress and chunks.
        schemas: Of endpoints.
    """

    jobs: Mapping[str, int]
    payloads: int
    schemas: int


async def copy_jobs(
    file: Path, dsn: str, *, schema: str = "novita_gateway", limits: Limits | None = None, now: int | None = None
) -> Copied:
    """Copies the jobs of an SQLite file that no gateway has open into a database without jobs.

    Ids, states, revisions, idempotency keys, places in the queue, payloads, streams, webhooks that are to be called and
    the endpoints' schemas stay as they are. Of time, none passes between the file's last gateway and the database's
    first: what was left of ttl and retention is left. Running jobs get a fresh lease. The file keeps its jobs; one of
    an earlier version is brought up to date, as a gateway would.

    Args:
        file: The file.
        dsn: The database; its tables are made or brought up to date.
        schema: Of the tables.
        limits: Of the gateways.
        now: Milliseconds since the epoch in place of the database's time, for tests.

    Raises:
        StoreError: A gateway has the file open, there is no such file, the database has jobs already or can't be
            reached, or the connection was lost; then nothing was copied, unless the message says otherwise.
    """
    if not await GATEWAY_THREADS.run(file.exists):
        raise StoreError(f"there is no file {file}")
    source = await GATEWAY_THREADS.run(SqliteFile, file)  # holds its lock, so that no gateway begins with it meanwhile
    with closing(source):
        async with opened_database(dsn, schema) as connection:
            return await _copy(source, connection, limits or Limits(), now)


async def _copy(source: SqliteFile, connection: asyncpg.Connection[Any], limits: Limits, now: int | None) -> Copied:
    import asyncpg

    is_ending = False
    try:
        async with connection.transaction():
            copied = await _copy_all(source, connection, limits, now)
            is_ending = True
    except sqlite3.Error as error:
        raise StoreError(f"the file could not be read ({error}); nothing was copied") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        words = error or type(error).__name__
        if is_ending:
            raise StoreError(
                f"the copy ended in its last moment ({words}), so that all was copied or nothing; copy again, which is"
                " refused if all was"
            ) from error
        raise StoreError(f"the copy was cut off ({words}); nothing was copied") from error
    return copied


async def _copy_all(source: SqliteFile, connection: asyncpg.Connection[Any], limits: Limits, now: int | None) -> Copied:
    # Gateways that run on the database wait with their submits, and others with their copies.
    await connection.execute("LOCK TABLE job, endpoint_schema IN SHARE ROW EXCLUSIVE MODE")
    if await connection.fetchval("SELECT EXISTS (SELECT FROM job) OR EXISTS (SELECT FROM endpoint_schema)"):
        raise StoreError("the database has jobs or schemas already, and two stores are not mixed; name an empty one")
    rows = await GATEWAY_THREADS.run(source.load)
    last = await GATEWAY_THREADS.run(source.load_time)
    time = int(await connection.fetchval(f"SELECT {NOW}", now))
    _move(rows, 0 if last is None else time - last, time, limits)
    payloads = _Bodies(source, {row.seq: (row.endpoint, row.id) for row in rows})
    schemas = list(source.schemas())
    copy = connection.copy_records_to_table
    await copy("job", columns=row_columns(), records=map(row_values, rows))
    await copy("body", columns=("endpoint", "id", "part", "body"), records=iter(payloads))
    await copy("endpoint_schema", columns=("endpoint", "body"), records=schemas)
    # What is submitted from now on comes behind them, and what is given back in front.
    await connection.execute("SELECT setval('rank', $1::bigint)", 1 + max((abs(row.rank) for row in rows), default=0))
    return Copied(jobs=Counter(row.status for row in rows), payloads=payloads.count, schemas=len(schemas))


class _Bodies:
    """The payloads of the rows as records of the table `body`, counted."""

    def __init__(self, source: SqliteFile, owners: Mapping[int, tuple[str, str]]) -> None:
        self._source = source
        self._owners = owners
        self.count = 0

    def __iter__(self) -> Iterator[tuple[str, str, int, bytes]]:
        for seq, part, body in self._source.bodies():
            if (owner := self._owners.get(seq)) is not None:
                self.count += 1
                yield (*owner, part, body)


def _move(rows: Sequence[Row], shift: int, now: int, limits: Limits) -> None:
    """Moves rows from the file's time to the database's."""
    for row in rows:
        for name in _TIMES:
            if (moment := getattr(row, name)) is not None:
                setattr(row, name, moment + shift)
        if row.is_running:
            row.lease_until = now + limits.lease
        row.wake = row.due(limits.retention)
