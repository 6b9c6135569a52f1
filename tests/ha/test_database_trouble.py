"""The database stands still, cuts connections, has too few of them, or a full disk: it holds work up and loses none."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
import pytest

from novita_sdk import AsyncClient, Client
from tests.support.ha.cluster import open_folder, signal_tree, sql
from tests.support.ha.gateways import API_KEY, LEASE
from tests.support.ha.history import Submitted
from tests.support.ha.load import workers
from tests.support.ha.proxy import run_proxy
from tests.support.ha.world import World, at_work, world
from tests.support.postgres_server import IS_ROOT, NOBODY, PostgresServer
from tests.support.waiting import DEADLINE, eventually


@contextmanager
def server(**settings: str) -> Iterator[PostgresServer]:
    """A server that a test may make trouble for."""
    with open_folder() as folder:
        made = PostgresServer(folder / "server", **settings)
        made.create()
        made.start()
        try:
            yield made
        finally:
            made.kill()


LONG: Final = """
def handler(job):
    with open("runs", "a") as file:
        file.write(job["id"] + "\\n")
    hold()
    return {"echo": job["input"]}
start({"handler": handler})
"""


def test_a_primary_that_stands_still_for_longer_than_a_lease(tmp_path: Path) -> None:
    """Its workers could not be heard meanwhile, so none of them loses a job to it."""
    with (
        server() as postgres,
        world(postgres.dsn, tmp_path) as some,
        workers([some.balancer.url] * 2, "long", tmp_path / "long", LONG) as long,
        Client(api_key=API_KEY, base_url=some.balancer.url) as client,
    ):
        jobs = [client.endpoint("long").run(input=number) for number in range(2)]
        eventually(lambda: len(long.runs()) == 2)
        with at_work(some):
            assert postgres.process is not None
            signal_tree(postgres.process.pid, signal.SIGSTOP)
            time.sleep(LEASE + 1)  # the lease is what is to pass
            signal_tree(postgres.process.pid, signal.SIGCONT)
        for process in long.processes:
            process.let_go()
        assert [job.wait(60).output for job in jobs] == [{"echo": 0}, {"echo": 1}]
        assert some.violations() == []
        assert [change for change in some.load.history.changes if change.after == "PENDING"] == []
        assert len(long.runs()) == 2


def test_connections_that_are_cut_at_any_time(database: str, tmp_path: Path) -> None:
    with run_proxy(database, 3) as proxy:
        ways = [proxy.dsn(n) for n in range(3)]
        with world(database, tmp_path, ways=ways) as some:
            with at_work(some):
                for when in ("before", "amid", "during", "after"):
                    for kind in ("submit", "take", "result"):
                        proxy.fail(kind, when).wait()
                    proxy.cut_all()
                    some.load.wait_for(10)
            assert some.violations() == []


SLOW: Final = (
    "CREATE FUNCTION audit.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " PERFORM pg_sleep(0.002); RETURN NEW; END $$",
    "CREATE TRIGGER slow BEFORE INSERT ON novita_gateway.job FOR EACH ROW EXECUTE FUNCTION audit.slow()",
)
"""Makes batches long enough to meet."""


def test_batches_with_the_same_keys_in_opposite_order(tmp_path: Path) -> None:
    """Three gateways get the same keys at once, each in another order: no batch waits for another in a circle."""
    with server() as postgres:
        with world(postgres.dsn, tmp_path) as some:
            sql(postgres.dsn, *SLOW)
            for turn in range(3):
                keys = [f"{turn}-{number}" for number in range(50)]
                asyncio.run(submit_everywhere(some, [keys, keys[::-1], keys[1::2] + keys[::2]]))
            assert some.violations() == []
        assert "deadlock detected" not in (postgres.folder / "log").read_text()


async def submit_everywhere(some: World, orders: list[list[str]]) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                AsyncClient(api_key=API_KEY, base_url=gateway.url, timeout=DEADLINE, max_connections=50)
            )
            for gateway in some.gateways
        ]

        async def submit(client: AsyncClient, key: str) -> None:
            job = await client.endpoint("ep").run(input={"key": key}, idempotency_key=key)
            some.load.history.submits.append(Submitted(key, job.job_id, {"key": key}))

        pairs = zip(clients, orders, strict=True)
        await asyncio.gather(*(submit(client, key) for client, order in pairs for key in order))


def test_a_starved_pool_queues_and_then_says_when_to_come_again(database: str, tmp_path: Path) -> None:
    with run_proxy(database, 3) as proxy:
        ways = [proxy.dsn(n) for n in range(3)]
        with world(database, tmp_path, ways=ways, connections=1) as some:
            with at_work(some):
                proxy.delay = 0.03
                replies = asyncio.run(ask_all(f"{some.gateways[0].url}/ep/requests", 600))
                proxy.delay = 0
            assert some.violations() == []
    assert set(replies) == {(200, None), (503, "1")}
    assert replies[200, None] > 200, "those who queued were not served"


async def ask_all(url: str, count: int) -> Counter[tuple[int, str | None]]:
    """Statuses of so many requests at once, with what they say about the next try."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {API_KEY}"}) as session:

        async def ask() -> tuple[int, str | None]:
            async with session.get(url) as reply:
                return reply.status, reply.headers.get("Retry-After")

        return Counter(await asyncio.gather(*(ask() for _ in range(count))))


def test_a_full_disk_holds_work_up_and_loses_nothing(tmp_path: Path) -> None:
    """The tables can't grow: calls are refused with a reason, and go on when there is room."""
    with small_disk() as disk, server() as postgres:
        sql(postgres.dsn, f"CREATE TABLESPACE small LOCATION '{disk}'", "CREATE DATABASE small TABLESPACE small")
        dsn = postgres.dsn.replace("/postgres", "/small").replace("/small@", "/postgres@")
        with world(dsn, tmp_path) as some:
            with at_work(some):
                filler = disk / "filler"
                fill(filler)
                eventually(lambda: any("No space left" in gateway.log.read_text() for gateway in some.gateways))
                filler.unlink()
            assert some.violations() == []


def test_a_full_disk_that_ends_the_server_loses_nothing(tmp_path: Path) -> None:
    """Its log can't grow: it ends, and is started again when there is room."""
    with small_disk("400m") as disk:
        postgres = PostgresServer(disk / "server", restart_after_crash="off")
        postgres.create()
        postgres.start()
        with world(postgres.dsn, tmp_path) as some:
            with at_work(some):
                filler = disk / "filler"
                fill(filler)
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    while True:
                        sql(postgres.dsn, "SELECT pg_logical_emit_message(false, 'novita', repeat('x', 1000000))")
                postgres.wait()
                filler.unlink()
                postgres.start()
            assert some.violations() == []
        postgres.kill()


def fill(file: Path) -> None:
    """Writes until there is no room."""
    with file.open("wb", buffering=0) as sink, suppress(OSError):
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    sink.write(bytes(size))


@contextmanager
def small_disk(size: str = "48m") -> Iterator[Path]:
    """A disk with little room; skips the test where none can be made."""
    if not IS_ROOT:
        pytest.skip("only root can make a small disk")
    with open_folder() as folder:
        options = f"size={size},uid={NOBODY},gid={NOBODY},mode=755"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "novita-ha", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode != 0:
            pytest.skip(f"no small disk can be made here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
