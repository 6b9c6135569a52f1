"""The database of a store: its tables and their versions, what is refused, and what happens when it is busy or away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from novita_gateway import PostgresStore, StoreError, migrate_database
from novita_gateway.store.postgres import batches, migrate
from novita_gateway.store.postgres.checks import refuse_shared_sessions
from novita_gateway.store.postgres.connections import BusyError, Connections
from novita_sdk.models import JobRequest, RunRequest
from tests.support.cutting_proxy import cutting_proxy
from tests.support.stores import dropped, execute, new_schema, until_parked
from tests.support.waiting import DEADLINE


@pytest.fixture
def tables(postgres: str) -> Iterator[str]:
    schema = new_schema()
    with dropped(postgres, schema):
        yield schema


def request() -> RunRequest:
    return RunRequest(endpoint="ep", request=JobRequest(input=b"1"))


def test_the_files_are_numbered_without_a_gap_and_end_with_the_version() -> None:
    assert list(migrate.migrations()) == list(range(1, migrate.VERSION + 1))


async def test_tables_are_made_once_whoever_comes_first(postgres: str, tables: str) -> None:
    applied = await asyncio.gather(*(migrate_database(postgres, tables) for _ in range(5)))
    assert sorted(map(len, applied)) == [0, 0, 0, 0, migrate.VERSION]


async def test_tables_of_a_newer_gateway_are_refused(postgres: str, tables: str) -> None:
    await migrate_database(postgres, tables)
    await execute(postgres, f"INSERT INTO migration (version) VALUES ({migrate.VERSION + 1})", schema=tables)
    for migrating in (True, False):
        with pytest.raises(
            StoreError, match="of a newer gateway: it has version 2, and this one works with versions up to 1"
        ):
            await PostgresStore(postgres, schema=tables, migrate=migrating).open()


async def test_a_gateway_that_must_not_migrate_says_what_to_run(postgres: str, tables: str) -> None:
    await execute(postgres, f"CREATE SCHEMA {tables}")
    with pytest.raises(StoreError, match="novita-gpus gateway migrate"):
        await PostgresStore(postgres, schema=tables, migrate=False).open()


async def test_a_database_that_can_lose_acknowledged_work_is_told_or_refused(
    postgres: str, tables: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StoreError, match="synchronous_standby_names is empty"):
        await PostgresStore(postgres, schema=tables, require_synchronous=True).open()
    with caplog.at_level(logging.WARNING):
        store = PostgresStore(postgres, schema=tables)
        await store.open()
        await store.close()
    assert "ACKNOWLEDGED WORK CAN BE LOST" in caplog.text


async def test_a_wrong_place_is_told_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        await PostgresStore("postgresql://me:secret@127.0.0.1:1/jobs").open()
    assert "127.0.0.1:1/jobs" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_calls_beyond_a_bound_are_refused_and_may_come_again(
    postgres: str, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST", 5)
    store = PostgresStore(postgres, schema=tables, connections=1)
    await store.open()
    results = await asyncio.gather(*(store.submit(request()) for _ in range(9)), return_exceptions=True)
    refused = [error for error in results if isinstance(error, BusyError)]
    assert len(refused) == 4
    assert refused[0].status == 503
    assert refused[0].headers["Retry-After"] == "1"
    await store.submit(request())
    await store.close()


async def test_a_gateway_goes_on_when_all_its_connections_were_cut(postgres: str, tables: str) -> None:
    """Also the one that listens: until it does so again, the gateway looks by itself."""
    async with cutting_proxy(postgres) as proxy:
        store = PostgresStore(proxy.dsn, schema=tables, count_age=0)
        other = PostgresStore(postgres, schema=tables, count_age=0)
        await store.open()
        await other.open()
        take = asyncio.ensure_future(store.take("ep", "w1", 1, 60_000))
        await until_parked(store)
        proxy.cut()
        job = await other.submit(request())
        assert [taken.id for taken in (await take).value] == [job.id]
        await store.close()
        await other.close()


async def test_a_pooler_that_hands_out_sessions_by_transaction_is_refused(postgres: str) -> None:
    """Behind one, two connections meet one session of the server."""
    asyncpg = pytest.importorskip("asyncpg")
    first, second = [await asyncpg.connect(postgres) for _ in range(2)]
    await refuse_shared_sessions(first, second)
    with pytest.raises(StoreError, match="pool_mode=session"):
        await refuse_shared_sessions(first, first)
    await first.close()
    await second.close()


async def test_a_connection_that_is_free_goes_to_the_next_where_who_was_called_is_cancelled(postgres: str) -> None:
    connections = Connections(postgres, size=1, settings={})
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: object, __: bool, /) -> None:
        held.set()
        await go_on.wait()

    async def hold_and_cancel() -> None:
        await connections.run(hold)
        called.cancel()  # in the same turn of the loop: it has been called and has not run yet

    holder = asyncio.create_task(hold_and_cancel())
    await held.wait()
    called = asyncio.create_task(connections.fetch("SELECT 1"))
    behind = asyncio.create_task(connections.fetch("SELECT 2 AS two"))
    await asyncio.sleep(0)  # both stand in the line
    go_on.set()
    try:
        await holder
        (record,) = await asyncio.wait_for(behind, DEADLINE)
        assert (record["two"], called.cancelled()) == (2, True)
    finally:
        behind.cancel()
        await connections.close()
