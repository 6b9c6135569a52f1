"""The SQLite file over the releases: every released schema is served, migrated forward or refused with a sentence.

`schemas/` has for every version a file as that version's gateway wrote it, as SQL, and what that gateway answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

import pytest

import novita_gateway
from novita_gateway import Gateway, ManualClock, SQLiteStore, Store
from novita_gateway._errors import StoreError
from novita_gateway.board import rows
from novita_gateway.store import sqlite_migrations
from novita_gateway.store.sqlite_columns import columns_of
from novita_gateway.store.sqlite_migrations import VERSION
from tests.gateway.conftest import WEBHOOK_SECRET
from tests.support.gateway_api import Connect

SCHEMAS = Path(__file__).with_name("schemas")
DIGESTS = {
    1: "649027fdbaf876c31df3a46966cdc72a48e14ba5d915d9fd1c4fdbc618a196b5",
    2: "979d3af4739eabe25eca5432353a2c827d9374ded353b7df60a35053e6319c85",
}
"""SHA-256 of `schemas/N.sql`, by version: a recorded file stands for those that users have, and never changes."""
ENDPOINTS = ("ep", "lost", "other")


def dump(path: Path) -> str:
    """The file as SQL, with the two numbers of its header."""
    with closing(sqlite3.connect(path)) as connection:
        header = [
            f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in ("application_id", "user_version")
        ]
        return "\n".join([*header, *connection.iterdump(), ""])


def build(sql: str, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
    return path


async def fill(connect: Connect, path: Path) -> int:
    """Writes jobs in every state, with every kind of payload; returns the time at which the last one came."""
    clock = ManualClock()
    api = await connect(Gateway(store=SQLiteStore(path, clock=clock), allow_private_webhooks=True))

    async def run(body: Any, **headers: str) -> str:
        clock.advance(0.1)
        job_id: str = await api.submit(json.dumps(body).encode(), **headers)
        clock.advance(0.2)
        return job_id

    async def taken(body: Any, worker: str = "pod1") -> str:
        job_id = await run(body)
        assert (await api.take(worker))["id"] == job_id
        clock.advance(0.3)
        return job_id

    async def chunk(job_id: str, body: bytes, worker: str = "pod1") -> None:
        assert (
            await api.worker("POST", f"/v1/ep/job-stream/{worker}/{job_id}", b'{"output": ' + body + b"}")
        ).status == 200

    async def read(job_id: str) -> None:
        assert len((await api.client("GET", f"/v1/ep/stream/{job_id}")).json["stream"]) == 1

    schema = {"methods": [{"input": {"type": "object"}, "output": {"type": "string"}}]}
    assert (await api.worker("POST", "/v1/ep/job-schema/pod1", json.dumps(schema).encode())).status == 200
    await api.submit(b'{"input": "comes back"}', endpoint="lost")
    await api.take(endpoint="lost")
    clock.advance(61)
    await api.submit(b'{"input": "elsewhere"}', endpoint="other")

    hook = "http://127.0.0.1:9/nobody"
    await api.done(await taken({"input": {"n": 1}}), b'{"output": {"text": "\xc3\xa9 \\u0000"}}')
    await api.done(await taken({"input": "large"}), b'{"output": "' + b"x" * 5000 + b'"}')
    streamed = await taken({"input": "streamed"})
    await chunk(streamed, b'"one"')
    await read(streamed)
    await chunk(streamed, b'"two"')
    await chunk(streamed, b'{"three": 3}')
    await api.done(streamed, b'{"output": ["one", "two", 3]}')
    await api.done(await taken({"input": "fails", "webhook": hook}), b'{"error": "it\'s broken"}')
    await taken({"input": "too long", "policy": {"executionTimeout": 1000}})
    clock.advance(1.5)
    await api.client("POST", f"/v1/ep/cancel/{await run({'input': 'cancelled'}, Idempotency_Key='gone')}")
    again = await taken({"input": "again"})
    await api.done(again, b'{"error": "once"}')
    progress = await taken({"input": "progress", "policy": {"executionTimeout": 500_000}}, "pod2")
    await api.done(progress, b'{"status": "IN_PROGRESS", "output": {"percent": 50}}', "pod2")
    streaming = await taken({"input": "streaming"}, "pod2")
    await chunk(streaming, b"1", "pod2")
    await read(streaming)
    await chunk(streaming, b"2", "pod2")
    assert (await api.client("POST", f"/v1/ep/retry/{again}")).status == 200
    await run({"input": "low", "policy": {"lowPriority": True, "ttl": 3_600_000}})
    await run({"input": "keyed", "webhook": hook}, Idempotency_Key="it's a key")
    await run({"input": None})
    return clock.now()


async def answers(connect: Connect, path: Path, now: int) -> Any:
    """What a gateway on the file says of every job; it reads the streams and takes the queues as well."""
    return await answers_of(connect, lambda: SQLiteStore(path, clock=ManualClock(now)))


async def answers_of(connect: Connect, make_store: Callable[[], Store]) -> Any:
    """The same for a store that has the jobs already."""
    store = make_store()
    await store.open()
    notice = await asyncio.wait_for(store.next_notice(), 10)
    await store.close()
    keys: dict[str, Any] = {"api_key": "k", "worker_token": "w", "webhook_secret": WEBHOOK_SECRET}
    api = await connect(Gateway(store=make_store(), allow_private_webhooks=True, **keys))
    found: dict[str, Any] = {"notice": [notice.endpoint, notice.job_id, notice.revision]}

    async def ask(verb: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        reply = await api.client(verb, f"/v1/{path}", body, **headers)
        said = {name: value for name, value in reply.json.items() if reply.status == 200 or name != "message"}
        found[" ".join((verb, path, *headers.values()))] = [reply.status, said]
        return said

    for endpoint in ENDPOINTS:
        await ask("GET", f"{endpoint}/health")
        await ask("GET", f"{endpoint}/schema")
        for job in (await ask("GET", f"{endpoint}/requests"))["jobs"]:
            await ask("GET", f"{endpoint}/status/{job['id']}")
            await ask("GET", f"{endpoint}/stream/{job['id']}")
    await ask("POST", "ep/run", b'{"input": "something else"}', Idempotency_Key="gone")
    await ask("POST", "ep/run", b'{"input": "something else"}', Idempotency_Key="it's a key")
    for endpoint in ENDPOINTS:
        queued = (await api.client("GET", f"/v1/{endpoint}/health")).json["jobs"]["inQueue"]
        batch = await api.worker("GET", f"/v1/{endpoint}/job-take-batch/pod9?batch_size={queued}")
        found[f"queue of {endpoint}"] = batch.json
    return found


async def record(connect: Connect, folder: Path, target: Path) -> None:
    now = await fill(connect, folder / "made.db")
    sql = dump(folder / "made.db")
    said = await answers(connect, build(sql, folder / "copy.db"), now)
    target.with_suffix(".sql").write_text(sql)
    target.with_suffix(".json").write_text(json.dumps({"now": now, "answers": said}, indent=1) + "\n")


def assert_within(recorded: Any, said: Any, where: str = "") -> None:
    """What was recorded is said again; a later gateway may say more of a job."""
    match recorded, said:
        case dict(), dict():
            for name, value in recorded.items():
                assert_within(value, said.get(name), f"{where}/{name}")
        case list(), list():
            assert len(recorded) == len(said), where
            for index, (value, other) in enumerate(zip(recorded, said, strict=True)):
                assert_within(value, other, f"{where}/{index}")
        case _:
            assert recorded == said, where


def columns(path: Path) -> dict[str, dict[str, tuple[object, ...]]]:
    """Type, nullness and key of every column, by table and name."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: {
                name: (kind, not_null, key)
                for _, name, kind, not_null, _, key in connection.execute(f"PRAGMA table_info({table})")
            }
            for table in tables
        }


def version_one(tmp_path: Path, *statements: str) -> Path:
    path = build((SCHEMAS / "1.sql").read_text(), tmp_path / "jobs.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def patch(folder: Path, **additions: str) -> dict[str, str]:
    """Copies the gateway, with a field in its row and lines at the end of a module; returns the copy's environment."""
    package = Path(novita_gateway.__file__).parent
    copy = folder / "patched" / "novita_gateway"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if field := additions.get("field"):
        source = copy / Path(rows.__file__).relative_to(package)
        before, place, after = source.read_text().partition("    low_priority: bool = False\n")
        source.write_text(before + field + place + after)
    source = copy / Path(sqlite_migrations.__file__).relative_to(package)
    source.write_text(source.read_text() + additions.get("migrations", ""))
    return {**os.environ, "PYTHONPATH": str(copy.parent)}


def open_in_process(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = "import asyncio, sys, novita_gateway as g; asyncio.run(g.SQLiteStore(sys.argv[1]).open())"
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def run_tests(name: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs tests of this module against a patched gateway, with their files in `folder`."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--basetemp", str(folder)]
    return subprocess.run(
        [*command, __file__, "-k", name], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("version", DIGESTS)
async def test_a_file_of_a_released_version_is_served(tmp_path: Path, connect: Connect, version: int) -> None:
    sql = (SCHEMAS / f"{version}.sql").read_text()
    digest = hashlib.sha256(sql.encode()).hexdigest()
    assert digest == DIGESTS[version], f"{version}.sql was written by a released gateway and never changes"
    assert f"PRAGMA user_version = {version};" in sql
    recorded = json.loads((SCHEMAS / f"{version}.json").read_text())
    said = await answers(connect, build(sql, tmp_path / "jobs.db"), recorded["now"])
    assert_within(recorded["answers"], said)


async def test_the_columns_are_those_recorded_for_their_version(tmp_path: Path, connect: Connect) -> None:
    path = tmp_path / "fresh.db"
    store = SQLiteStore(path)
    await store.open()
    await store.close()
    recorded = SCHEMAS / f"{VERSION}.sql"
    if not recorded.exists():
        await record(connect, tmp_path, recorded)
        digest = hashlib.sha256(recorded.read_bytes()).hexdigest()
        pytest.fail(
            f"version {VERSION} was not recorded. It is now, in {recorded}: commit it, with {digest} in DIGESTS"
        )
    assert columns(path) == columns(build(recorded.read_text(), tmp_path / "recorded.db")), (
        f"the file's columns are not those of version {VERSION}: raise VERSION in sqlite_migrations.py, and run this"
        " test again to record the new version"
    )
    assert list(DIGESTS) == list(range(1, VERSION + 1)), "every version needs its recorded file, and its digest"


def test_a_new_field_of_the_row_opens_an_older_file_without_loss(tmp_path: Path) -> None:
    # In the middle, so that a fresh and a migrated file have their columns in another order; rows check themselves.
    field = """
    greeting: str = "it's"
    order: int | None = None
    is_new: bool = True
    def __post_init__(self) -> None:
        assert (self.greeting, self.order, self.is_new) == ("it's", None, True) and self.is_new is True, self
"""
    environment = patch(tmp_path, field=field, migrations=f"VERSION = {VERSION + 1}\n")
    outcome = run_tests("released_version", tmp_path / "inner", environment)
    assert outcome.returncode == 0, outcome.stdout
    paths = list((tmp_path / "inner").glob("*[0-9]/jobs.db"))
    assert len(paths) == len(DIGESTS)
    for path in paths:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
            rows = connection.execute('SELECT DISTINCT greeting, "order", is_new, ttl > 1 FROM job').fetchall()
            assert rows == [("it's", None, 1, 1)]
        assert open_in_process(path, environment).returncode == 0
        refusal = open_in_process(path, {**os.environ}).stderr
        assert f"it has version {VERSION + 1}" in refusal, "a gateway without the field would lose it"


def test_a_new_field_without_a_new_version_is_noticed(tmp_path: Path) -> None:
    environment = patch(tmp_path, field="    greeting: str = ''\n")
    outcome = run_tests("recorded_for_their_version or released_version", tmp_path / "inner", environment)
    assert outcome.returncode == 1
    assert "raise VERSION" in outcome.stdout
    assert "job.greeting is missing" in outcome.stdout


def test_steps_run_in_their_order_and_only_where_the_file_is_older(tmp_path: Path) -> None:
    path = version_one(tmp_path)
    steps = "{n: lambda c, n=n: c.execute('UPDATE schema SET endpoint = endpoint || ?', (n,)) for n in (103, 102, 1)}"
    environment = patch(tmp_path, migrations=f"VERSION, STEPS = 103, {steps}\n")
    for _ in range(2):
        outcome = open_in_process(path, environment)
        assert outcome.returncode == 0, outcome.stderr
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT endpoint FROM schema").fetchall() == [("ep102103",)]


HALF_WAY = f"""
import os, signal

def step(connection):
    connection.execute("PRAGMA cache_size = 1")  # so that what is not committed is on the disk all the same
    connection.execute("UPDATE job SET status = 'CANCELLED', worker_id = hex(zeroblob(100000))")
    connection.execute("DROP TABLE body")
    END

VERSION, STEPS = {VERSION + 1}, {{{VERSION + 1}: step}}
"""


async def test_a_migration_that_is_killed_half_way_leaves_the_file_as_it_was(tmp_path: Path, connect: Connect) -> None:
    path = version_one(tmp_path)
    before = dump(path)
    environment = patch(tmp_path, migrations=HALF_WAY.replace("END", "os.kill(os.getpid(), signal.SIGKILL)"))
    assert open_in_process(path, environment).returncode == -signal.SIGKILL
    assert path.with_name("jobs.db-wal").stat().st_size > 1_000_000, "it was killed before it wrote"
    assert dump(path) == before
    recorded = json.loads((SCHEMAS / "1.json").read_text())
    assert_within(recorded["answers"], await answers(connect, path, recorded["now"]))


def test_a_migration_that_fails_leaves_the_file_as_it_was_and_says_why(tmp_path: Path) -> None:
    path = version_one(tmp_path)
    before = dump(path)
    environment = patch(tmp_path, migrations=HALF_WAY.replace("END", "raise ValueError('the reason')"))
    outcome = open_in_process(path, environment)
    assert outcome.returncode == 1
    assert (
        f"StoreError: {path} could not be brought from version 1 to version {VERSION + 1} (the reason) and is as it"
        " was; remove the reason and start again, or open it with the novita-gpus that wrote it"
    ) in outcome.stderr
    assert dump(path) == before


async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = version_one(tmp_path, "PRAGMA user_version = 77")
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        await SQLiteStore(path).open()
    assert str(caught.value) == (
        f"{path} is of a newer gateway: it has version 77, and this one reads versions up to {VERSION};"
        " update novita-gpus, or name another file"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE job ADD COLUMN foreign_word TEXT", "job.foreign_word is unknown"),
        ("ALTER TABLE job DROP COLUMN read", "job.read is missing"),
        ("DROP TABLE schema", "schema.body is missing, schema.endpoint is missing"),
    ],
)
async def test_a_file_of_this_version_with_other_columns_is_refused_and_left_alone(
    tmp_path: Path, statement: str, said: str
) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    await store.close()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute(statement)
    before = dump(tmp_path / "jobs.db")
    with pytest.raises(StoreError, match=f"jobs.db has version {VERSION} but other columns .*{said}.*name another"):
        await store.open()
    assert dump(tmp_path / "jobs.db") == before


def test_columns_are_derived_from_the_fields() -> None:
    @dataclass(slots=True, kw_only=True, eq=False)
    class More(rows.Row):
        flag: bool | None = None
        share: float = 0.5
        blob: bytes = b""
        passing: int = field(default=0, metadata=rows.NOT_KEPT)

    derived = [(column.name, column.declaration, column.default, column.is_bool) for column in columns_of(More)]
    assert derived[0] == ("seq", "INTEGER PRIMARY KEY", MISSING, False)
    assert derived[-3:] == [
        ("flag", "INTEGER", None, True),
        ("share", "REAL NOT NULL", 0.5, False),
        ("blob", "BLOB NOT NULL", b"", False),
    ]
    assert not {"lease_until", "wake", "passing"} & {name for name, *_ in derived}

    @dataclass(slots=True, kw_only=True, eq=False)
    class Tagged(rows.Row):
        tags: list[str] = field(default_factory=list)

    with pytest.raises(TypeError, match=r"tags: list\[str\] can't be a column"):
        columns_of(Tagged)
