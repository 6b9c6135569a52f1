"""The stores of the tests, and the inside of one for what only it can be asked."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Limits, ManualClock, MemoryStore, PostgresStore, SQLiteStore, Store
from novita_gateway.store.board_store import BoardStore
from novita_gateway.store.sqlite import SqliteJournal
from tests.support.waiting import eventually_async

KINDS = [
    pytest.param("memory", marks=pytest.mark.core),
    pytest.param("sqlite", marks=pytest.mark.core),
    pytest.param("postgres", marks=pytest.mark.gateway),
]
"""Of stores, each with the layer of its tests: for `parametrize`, or the params of a fixture."""

_numbers = itertools.count()


def writer_of(store: Store) -> sqlite3.Connection:
    """The connection that an SQLite store writes over."""
    assert isinstance(store, BoardStore)
    assert isinstance(store._journal, SqliteJournal)
    connection: sqlite3.Connection = store._journal._file._writer
    return connection


async def until_parked(store: Store, count: int = 1) -> None:
    """Returns when so many requests wait at a store."""

    async def is_parked() -> bool:
        return store.parked >= count

    await asyncio.sleep(0)
    await eventually_async(is_parked)


@dataclass
class Stores:
    """Makes the stores of one kind: they share what is kept, where a kind of store can be shared.

    Attributes:
        kind: `memory`, `sqlite` or `postgres`.
        path: The file of an SQLite store.
        dsn: The server of a PostgreSQL store.
        schema: Its tables.
        clock: Moves all of them.
    """

    kind: str
    path: Path | None = None
    dsn: str = ""
    schema: str = ""
    clock: ManualClock = field(default_factory=ManualClock)

    def make(self, *, limits: Limits | None = None, clock: ManualClock | None = None) -> Store:
        """Another store; with the clock of all unless one is given."""
        clock = clock or self.clock
        if self.kind == "memory":
            return MemoryStore(limits=limits, clock=clock)
        if self.kind == "sqlite":
            assert self.path is not None
            return SQLiteStore(self.path, limits=limits, clock=clock)
        return PostgresStore(self.dsn, schema=self.schema, limits=limits, clock=clock, count_age=0)

    async def advance(self, seconds: float, *stores: Store) -> None:
        """Moves the time on; returns when what is due then has happened."""
        await advance(self.clock, seconds, *stores)


async def advance(clock: ManualClock, seconds: float, *stores: Store) -> None:
    """Moves the time of stores on; returns when what is due then has happened at them."""
    clock.advance(seconds)
    for store in stores:
        if isinstance(store, PostgresStore):
            await store.sweep()


def new_schema() -> str:
    """A name for tables that nobody else has."""
    return f"t{os.getpid()}_{next(_numbers)}_{secrets.token_hex(4)}"


@contextmanager
def dropped(dsn: str, schema: str) -> Iterator[None]:
    """Drops the tables after a block."""
    try:
        yield
    finally:
        asyncio.run(execute(dsn, f"DROP SCHEMA IF EXISTS {schema} CASCADE"))


async def execute(dsn: str, *statements: str, schema: str = "public") -> list[Any]:
    """Carries statements out; returns the records of the last."""
    import asyncpg

    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        records: list[Any] = []
        for statement in statements:
            records = await connection.fetch(statement)
        return records
    finally:
        await connection.close()


@contextmanager
def stores_of(kind: str, path: Path, dsn: Callable[[], str]) -> Iterator[Stores]:
    """Stores of that kind, with nothing in them."""
    if kind != "postgres":
        yield Stores(kind, path=path)
        return
    stores = Stores(kind, dsn=dsn(), schema=new_schema())
    with dropped(stores.dsn, stores.schema):
        yield stores
