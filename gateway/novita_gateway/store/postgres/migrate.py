"""The schema of the database: numbered SQL files, each applied once, in a transaction of its own."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from novita_gateway._errors import StoreError

if TYPE_CHECKING:
    import asyncpg

__all__ = ["VERSION", "check_schema_name", "check_version", "migrate", "migrations"]

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,40}")


def migrations() -> dict[int, str]:
    """The files, by their number. Each leaves what the version before needs: both run beside each other for a while."""
    folder = resources.files("novita_gateway.store.postgres") / "migrations"
    files = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    return {
        int(file.name.removesuffix(".sql")): file.read_text("utf-8") for file in sorted(files, key=lambda f: f.name)
    }


VERSION: Final = 1
"""Of the schema that this gateway works with: the number of the last file."""


def check_schema_name(schema: str) -> str:
    """Returns the name if it can stand in a statement and in a channel's name as it is; else raises ValueError."""
    if not _NAME.fullmatch(schema):
        raise ValueError(f"schema {schema!r}: use lower-case letters, digits and '_', at most 41")
    return schema


async def migrate(connection: asyncpg.Connection[Any], schema: str) -> list[int]:
    """Brings the tables to `VERSION`; one gateway does it, and others wait for that. Returns what was applied.

    Raises:
        StoreError: The tables are of a newer gateway.
    """
    applied = []
    for number, text in migrations().items():
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"novita_gateway {schema}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (version integer PRIMARY KEY, applied timestamptz NOT NULL"
                " DEFAULT now())"
            )
            if await _version(connection) < number:
                await connection.execute(text)
                await connection.execute("INSERT INTO migration (version) VALUES ($1)", number)
                applied.append(number)
    await check_version(connection, schema)
    return applied


async def check_version(connection: asyncpg.Connection[Any], schema: str) -> None:
    """Raises StoreError unless the tables are there, and not of a newer gateway."""
    version = await _version(connection)
    if version > VERSION:
        raise StoreError(
            f"schema {schema!r} of the database is of a newer gateway: it has version {version}, and this one works"
            f" with versions up to {VERSION}; update novita-gpus"
        )
    if version < VERSION:
        raise StoreError(
            f"schema {schema!r} of the database has version {version}, and this gateway needs {VERSION}; run"
            " novita-gpus gateway migrate --store DSN"
        )


async def _version(connection: asyncpg.Connection[Any]) -> int:
    """The last file that was applied; 0 where none was."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM migration"))
