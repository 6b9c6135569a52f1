"""The database as one thing: its sessions' settings, its two kinds of connections, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from novita_gateway._errors import StoreError
from novita_gateway.store.postgres.checks import check_durability, check_server, refuse_shared_sessions
from novita_gateway.store.postgres.connections import Connections, connect
from novita_gateway.store.postgres.migrate import check_schema_name, check_version, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

__all__ = ["Database", "migrate_database", "opened_database"]

_SETTINGS: Final[Mapping[str, str]] = {
    "application_name": "novita-gateway",
    # Every plan is the one along the indexes, also where the statistics are of a table that was empty a minute ago.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # A statement that is cancelled while it waits for the standby has committed; see connections.py.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
}
SOFT: Final = 3
"""Connections whose commits don't wait: for hints, pings and who was heard of."""
_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class Database:
    """One database.

    Args:
        dsn: Where it is.
        schema: Of the tables.
        size: Connections whose commits wait for the standby, at most.
        migrate: Whether to bring older tables up to date.
        require_synchronous: Refuse a server that could lose acknowledged work in a failover.
        on_loss: Called when a connection was lost.

    Attributes:
        hard: Connections whose commits are as safe as the server can make them.
        soft: Connections for what may be lost.
        soft_settings: Of a session for what may be lost.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str,
        size: int,
        migrate: bool,
        require_synchronous: bool,
        on_loss: Callable[[], object],
    ) -> None:
        self._dsn = dsn
        self._schema = check_schema_name(schema)
        self._migrate = migrate
        self._require_synchronous = require_synchronous
        self._settings = _settings(schema)
        self.soft_settings: Final = {**self._settings, "synchronous_commit": "off"}
        self.hard: Final = Connections(dsn, size=size, settings=self._settings, on_loss=on_loss)
        self.soft: Final = Connections(dsn, size=SOFT, settings=self.soft_settings)

    async def open(self) -> int:
        """Looks whether it can be worked with; returns its time, in milliseconds since the epoch.

        Raises:
            StoreError: It can't be; the message says why.
        """
        async with _opened(self._dsn, self._settings) as first:
            async with _opened(self._dsn, self._settings) as second:
                await refuse_shared_sessions(first, second)
            await check_server(first)
            if self._migrate:
                await migrate(first, self._schema)
            else:
                await check_version(first, self._schema)
            await check_durability(first, require_synchronous=self._require_synchronous)
            return int(await first.fetchval(_NOW))

    async def close(self) -> None:
        """Ends every connection."""
        await self.hard.close()
        await self.soft.close()

    async def put_schema(self, endpoint: str, schema: bytes) -> None:
        """Keeps the schema that a worker tells, in place of the endpoint's last one."""
        await self.hard.fetch(
            "INSERT INTO endpoint_schema (endpoint, body) VALUES ($1, $2)"
            " ON CONFLICT (endpoint) DO UPDATE SET body = excluded.body",
            endpoint,
            schema,
        )

    async def file_place(self) -> str | None:
        """Where the gateway that told it last keeps files; None where none has."""
        records = await self.hard.fetch("SELECT place FROM file_place")
        return str(records[0]["place"]) if records else None

    async def set_file_place(self, place: str, *, before: str | None) -> bool:
        """Tells a place unless another was told since `before`; returns whether it was told."""
        statement = (
            "INSERT INTO file_place (place) VALUES ($1) ON CONFLICT DO NOTHING RETURNING place"
            if before is None
            else "UPDATE file_place SET place = $1 WHERE place IN ($1, $2) RETURNING place"
        )
        return bool(await self.hard.fetch(statement, place, *([] if before is None else [before])))


async def migrate_database(dsn: str, schema: str = "novita_gateway") -> list[int]:
    """Brings the tables of a job store up to date; returns the numbers of the files that were applied.

    Raises:
        StoreError: They can't be; the message says why.
        ValueError: The schema's name can't be one.
    """
    async with _checked(dsn, schema) as connection:
        return await migrate(connection, schema)


@asynccontextmanager
async def opened_database(dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of its own to tables that are up to date.

    Raises:
        StoreError: They can't be, or the connection was lost; the message says why.
        ValueError: The schema's name can't be one.
    """
    async with _checked(dsn, schema) as connection:
        await migrate(connection, schema)
        yield connection


@asynccontextmanager
async def _checked(dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to a server that can be worked with."""
    settings = _settings(check_schema_name(schema))
    async with _opened(dsn, settings) as first:
        async with _opened(dsn, settings) as second:
            await refuse_shared_sessions(first, second)
        await check_server(first)
        yield first


def _settings(schema: str) -> dict[str, str]:
    return {**_SETTINGS, "search_path": schema, "synchronous_commit": "on"}


@asynccontextmanager
async def _opened(dsn: str, settings: Mapping[str, str]) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection; whatever it says no to is a StoreError that names the database, without its password."""
    try:
        import asyncpg
    except ImportError:
        raise StoreError("this store needs asyncpg; install it with: pip install 'novita-gpus[postgres]'") from None
    try:
        connection = await connect(dsn, settings)
        try:
            yield connection
        finally:
            connection.terminate()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreError(f"cannot open the job store at {_place(dsn)}: {error or type(error).__name__}") from error


def _place(dsn: str) -> str:
    """Where it is, without names and passwords."""
    parts = urlsplit(dsn)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else "the given DSN"
