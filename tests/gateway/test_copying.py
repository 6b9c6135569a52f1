"""The way of an SQLite file's jobs into a database: everything is there, as the file's own gateway would have it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import ManualClock, PostgresStore, SQLiteStore, StoreError, copy_jobs
from novita_gateway.store.sqlite_file import SqliteFile
from novita_sdk.models import JobRequest, RunRequest
from tests.gateway.test_schema_versions import DIGESTS, SCHEMAS, answers_of, assert_within, build
from tests.support.gateway_api import Connect
from tests.support.gateway_process import GatewayProcess
from tests.support.stores import Stores, dropped, execute, new_schema
from tests.support.waiting import eventually_async

NEWEST = max(DIGESTS)


@pytest.fixture
def stores(postgres: str) -> Iterator[Stores]:
    made = Stores("postgres", dsn=postgres, schema=new_schema())
    with dropped(made.dsn, made.schema):
        yield made


def recorded_file(tmp_path: Path, version: int = NEWEST) -> Path:
    return build((SCHEMAS / f"{version}.sql").read_text(), tmp_path / "jobs.db")


def by_id(answers: dict[str, Any]) -> dict[str, Any]:
    """Lists of jobs in the order of their ids: a database lists by them, and a file by the order of the submits."""
    for said in answers.values():
        if isinstance(said[-1], dict) and "jobs" in said[-1] and isinstance(said[-1]["jobs"], list):
            said[-1]["jobs"].sort(key=lambda job: job["id"])
    return answers


@asynccontextmanager
async def connected(stores: Stores) -> AsyncIterator[Any]:
    import asyncpg

    connection = await asyncpg.connect(stores.dsn, server_settings={"search_path": stores.schema})
    try:
        yield connection
    finally:
        connection.terminate()


async def jobs_in(stores: Stores) -> int:
    (record,) = await execute(stores.dsn, "SELECT count(*) FROM job", schema=stores.schema)
    return int(record["count"])


@pytest.mark.parametrize("version", DIGESTS)
async def test_a_file_of_every_version_answers_from_the_database_as_it_did(
    tmp_path: Path, stores: Stores, connect: Connect, version: int
) -> None:
    path = recorded_file(tmp_path, version)
    with closing(SqliteFile(path)) as file:
        now = file.load_time()
    assert now is not None
    copied = await copy_jobs(path, stores.dsn, schema=stores.schema, now=now)
    assert sum(copied.jobs.values()) == 14
    assert copied.jobs["PENDING"] > 2
    assert copied.schemas == 1

    def store() -> PostgresStore:
        return PostgresStore(stores.dsn, schema=stores.schema, clock=ManualClock(now), count_age=0)

    recorded = json.loads((SCHEMAS / f"{version}.json").read_text())["answers"]
    assert_within(by_id(recorded), by_id(await answers_of(connect, store)))


async def test_time_stands_still_between_the_file_and_the_database(tmp_path: Path, stores: Stores) -> None:
    clock = ManualClock()
    before = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await before.open()
    request = JobRequest(input=b"1")
    request.policy.ttl = 10_000
    job_id = (await before.submit(RunRequest(endpoint="ep", request=request))).id
    clock.advance(4)
    await before.close()
    stores.clock.advance(1_000_000)
    await copy_jobs(tmp_path / "jobs.db", stores.dsn, schema=stores.schema, now=stores.clock.now())
    after = stores.make()
    await after.open()
    await stores.advance(5.9, after)
    assert (await after.status("ep", job_id)).status == "PENDING"
    await stores.advance(0.2, after)
    assert (await after.status("ep", job_id)).status == "TIMED_OUT"
    await after.close()


async def test_what_comes_later_is_taken_later_and_what_is_given_back_first(tmp_path: Path, stores: Stores) -> None:
    before = SQLiteStore(tmp_path / "jobs.db")
    await before.open()
    old = [(await before.submit(RunRequest(endpoint="ep", request=JobRequest(input=b"1")))).id for _ in range(20)]
    # Each goes back to the front.
    for _ in range(3):
        await (await before.take("ep", "w", 5, 0)).undo()
    await before.close()
    await copy_jobs(tmp_path / "jobs.db", stores.dsn, schema=stores.schema)
    after = PostgresStore(stores.dsn, schema=stores.schema)
    await after.open()
    new = (await after.submit(RunRequest(endpoint="ep", request=JobRequest(input=b"1")))).id
    first = await after.take("ep", "w", 3, 0)
    assert [job.id for job in first.value] == old[:3]
    await first.undo()
    assert [job.id for job in (await after.take("ep", "w", 100, 0)).value] == [*old, new]
    await after.close()


async def test_a_file_that_a_gateway_has_open_is_refused(tmp_path: Path, stores: Stores) -> None:
    process = GatewayProcess(tmp_path / "jobs.db")
    process.start()
    try:
        with pytest.raises(StoreError, match=r"another gateway has .*jobs.db open; stop it"):
            await copy_jobs(tmp_path / "jobs.db", stores.dsn, schema=stores.schema)
    finally:
        process.stop(signal.SIGTERM)
    copied = await copy_jobs(tmp_path / "jobs.db", stores.dsn, schema=stores.schema)
    assert not copied.jobs


async def test_a_gateway_does_not_begin_with_a_file_that_is_being_copied(tmp_path: Path, stores: Stores) -> None:
    path = recorded_file(tmp_path)
    store = stores.make()
    await store.open()  # makes the tables
    await store.close()

    async def waits() -> bool:
        found = await execute(
            stores.dsn, f"SELECT FROM pg_locks WHERE NOT granted AND relation = '{stores.schema}.job'::regclass"
        )
        return bool(found)

    async with connected(stores) as other, other.transaction():
        await other.execute("LOCK TABLE job")
        copy = asyncio.ensure_future(copy_jobs(path, stores.dsn, schema=stores.schema))
        await eventually_async(waits)
        with pytest.raises(StoreError, match="another gateway has"):
            await SQLiteStore(path).open()
    assert sum((await copy).jobs.values()) == 14


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, stores: Stores) -> None:
    with pytest.raises(StoreError, match="there is no file"):
        await copy_jobs(tmp_path / "none.db", stores.dsn, schema=stores.schema)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - in a coroutine


async def test_a_database_with_jobs_is_refused_and_stays_as_it_is(tmp_path: Path, stores: Stores) -> None:
    path = recorded_file(tmp_path)
    await copy_jobs(path, stores.dsn, schema=stores.schema)
    for _ in range(2):
        with pytest.raises(StoreError, match="the database has jobs or schemas already"):
            await copy_jobs(path, stores.dsn, schema=stores.schema)
    assert await jobs_in(stores) == 14


STAGES = {
    "in the middle": ("CREATE TRIGGER cut AFTER INSERT ON body", "nothing was copied"),
    "at the commit": (
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON body DEFERRABLE INITIALLY DEFERRED",
        "all was copied or nothing; copy again",
    ),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", ["PERFORM pg_terminate_backend(pg_backend_pid())", "RAISE 'disk full'"])
async def test_a_copy_that_is_cut_off_leaves_nothing_and_can_be_made_again(
    tmp_path: Path, stores: Stores, stage: str, fault: str
) -> None:
    path = recorded_file(tmp_path)
    trigger, words = STAGES[stage]
    store = stores.make()
    await store.open()  # makes the tables
    await store.close()
    await execute(
        stores.dsn,
        f"CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {fault}; RETURN NULL; END $$",
        f"{trigger} FOR EACH ROW WHEN (NEW.part = 1) EXECUTE FUNCTION cut()",
        schema=stores.schema,
    )
    with pytest.raises(StoreError, match=words):
        await copy_jobs(path, stores.dsn, schema=stores.schema)
    assert await jobs_in(stores) == 0
    await execute(stores.dsn, "DROP TRIGGER cut ON body", schema=stores.schema)
    assert sum((await copy_jobs(path, stores.dsn, schema=stores.schema)).jobs.values()) == 14


async def test_a_file_that_is_damaged_is_named_and_nothing_is_copied(tmp_path: Path, stores: Stores) -> None:
    path = recorded_file(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'body'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[page * size : (page + 3) * size] = b"\xff" * (3 * size)  # the leaves below the table's root
    path.write_bytes(content)
    with pytest.raises(StoreError, match="malformed"):
        await copy_jobs(path, stores.dsn, schema=stores.schema)
