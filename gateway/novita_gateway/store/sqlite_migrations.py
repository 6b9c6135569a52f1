"""The schema of the SQLite file: its tables, their version, and the steps that bring an older file to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Final

from novita_gateway._errors import StoreError
from novita_gateway.board.rows import Row
from novita_gateway.store.sqlite_columns import columns_of

__all__ = ["APPLICATION", "COLUMNS", "TABLES", "VERSION", "migrate"]

APPLICATION: Final = 0x6E6F7667
"""Marks the file as ours: `novg`."""

VERSION: Final = 2
"""Of the tables, and kept in the file. A new field of Row raises it, as any other change of the tables does: a gateway
that does not know the field must not take the file for its own."""

STEPS: Final[Mapping[int, Callable[[sqlite3.Connection], object]]] = {}
"""What a version changed, by its number. New tables and new columns with a default need no step: they are added after
the last one. A step runs inside the migration's transaction, so it calls `execute` alone: `executescript` commits."""

COLUMNS: Final = columns_of(Row)

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "job": {column.name: column.declaration for column in COLUMNS},
    "body": {"key": "INTEGER PRIMARY KEY", "body": "BLOB NOT NULL"},
    "schema": {"endpoint": "TEXT PRIMARY KEY", "body": "BLOB NOT NULL"},
    "clock": {"id": "INTEGER PRIMARY KEY", "now": "INTEGER NOT NULL"},
}
"""Declarations of the columns, by table and name. Their order in a file says nothing: a migrated one has another."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Brings a file of that version to `VERSION`, in one transaction; a new file has version 0.

    Raises:
        StoreError: It can't be, and is as it was. The message goes on from the file's path.
    """
    if version == VERSION:
        if differences := _differences(connection):
            raise StoreError(
                f"has version {VERSION} but other columns than this gateway ({differences}): an unreleased gateway or"
                " another program made them; open it with what made it, or name another file"
            )
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version > 0:
            for number in sorted(STEPS):
                if number > version:
                    STEPS[number](connection)
            _add_columns(connection)
        for table, columns in TABLES.items():
            declared = ", ".join(f'"{name}" {declaration}' for name, declaration in columns.items())
            connection.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({declared})')
        if differences := _differences(connection):
            raise StoreError(differences)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if version > 0 and isinstance(error, Exception):
            raise StoreError(
                f"could not be brought from version {version} to version {VERSION} ({error}) and is as it was; remove"
                " the reason and start again, or open it with the novita-gpus that wrote it"
            ) from error
        raise


def _add_columns(connection: sqlite3.Connection) -> None:
    found = _declarations(connection, "job")
    for column in COLUMNS:
        if column.name not in found and column.default is not MISSING:
            # ALTER TABLE takes no parameters, so SQLite itself spells the default.
            (default,) = connection.execute("SELECT quote(?)", (column.default,)).fetchone()
            connection.execute(f'ALTER TABLE job ADD COLUMN "{column.name}" {column.declaration} DEFAULT {default}')


def _differences(connection: sqlite3.Connection) -> str:
    """How the file's columns differ from this gateway's, in words; nothing if they don't."""
    words = []
    for table, expected in TABLES.items():
        found = _declarations(connection, table)
        for name in sorted(expected.keys() | found.keys()):
            match expected.get(name), found.get(name):
                case None, _:
                    words.append(f"{table}.{name} is unknown")
                case _, None:
                    words.append(f"{table}.{name} is missing")
                case wanted, there if wanted != there:
                    words.append(f"{table}.{name} is {there} instead of {wanted}")
    return ", ".join(words)


def _declarations(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns that a table of the file has; none where there is no such table."""
    return {
        name: f"{kind} PRIMARY KEY" if key else f"{kind} NOT NULL" if not_null else kind
        for _, name, kind, not_null, _, key in connection.execute(f'PRAGMA table_info("{table}")')
    }
