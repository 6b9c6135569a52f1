"""Kill -9 under load: nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novita_gateway import Gateway, Limits, ManualClock, SQLiteStore, StoreError
from novita_gateway._errors import JobNotFoundError
from novita_sdk.models import JobRequest, JobResult, RunRequest
from tests.support.gateway_api import Connect
from tests.support.gateway_process import GatewayProcess
from tests.support.stores import writer_of
from tests.support.waiting import DEADLINE, eventually_async


async def test_nothing_acknowledged_is_lost_when_the_gateway_is_killed(process: GatewayProcess) -> None:
    submitted: set[str] = set()
    finished: set[str] = set()
    run_after_their_end: set[str] = set()
    is_over = False
    killed = asyncio.Event()

    async def call(session: aiohttp.ClientSession, verb: str, path: str, body: Any, key: str) -> Any:
        """None where the answer was lost."""
        url = f"http://127.0.0.1:{process.port}/v1/ep/{path}"
        try:
            async with session.request(verb, url, json=body, headers={"Authorization": key}) as response:
                if response.status >= 500:
                    return None
                return await response.json() if response.status == 200 else {}
        except aiohttp.ClientError:
            await asyncio.sleep(0.01)
            return None

    async def client(session: aiohttp.ClientSession) -> None:
        while not killed.is_set():
            if reply := await call(session, "POST", "run", {"input": "x" * 500}, "k"):
                submitted.add(reply["id"])
                await asyncio.sleep(0.02)  # the rest of the test grows with every job

    async def worker(session: aiohttp.ClientSession, name: str) -> None:
        while not is_over:
            if job := await call(session, "GET", f"job-take/{name}", None, "w"):
                run_after_their_end.update(finished & {job["id"]})
                result = {"output": {"of": job["id"]}}
                if await call(session, "POST", f"job-done/{name}/{job['id']}", result, "w") is not None:
                    finished.add(job["id"])

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)) as session:
        tasks = [asyncio.create_task(client(session)) for _ in range(6)]
        tasks += [asyncio.create_task(worker(session, f"w{index}")) for index in range(3)]

        async def has_more(jobs: int, results: int) -> bool:
            return len(submitted) >= jobs and len(finished) >= results

        for _ in range(3):
            enough = len(submitted) + 8, len(finished) + 1
            await eventually_async(partial(has_more, *enough))
            process.stop(signal.SIGKILL)
            process.start()
        killed.set()

        async def all_is_done() -> bool:
            jobs = (await call(session, "GET", "health", None, "k"))["jobs"]
            return bool(jobs["inQueue"] == jobs["inProgress"] == 0)

        await eventually_async(all_is_done)
        is_over = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(submitted) > 20
        assert finished
        assert not run_after_their_end
        for job_id in submitted | finished:
            status = await call(session, "GET", f"status/{job_id}", None, "k")
            assert status["status"] == "COMPLETED", status
            assert status["output"] == {"of": job_id}
    assert process.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_cleanly(process: GatewayProcess, number: int) -> None:
    assert process.stop(number) == 0
    assert not process.path.with_name("jobs.db-wal").exists(), "the log was not folded into the file"


async def test_a_restart_resumes_the_queue_leases_chunks_and_webhook_notices(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(path)
    await store.open()
    ids = [(await store.submit(run_request(f'"{index}"'.encode()))).id for index in range(3)]
    taken = await store.take("ep", "w1", 1, 0)
    await store.append("ep", "w1", ids[0], b'"chunk"')
    await store.close()

    store = SQLiteStore(path)
    await store.open()
    assert (await store.status("ep", ids[0])).worker_id == "w1"
    assert [chunk.output for chunk in (await store.read_stream("ep", ids[0])).value.stream] == [b'"chunk"']
    rest = await store.take("ep", "w2", 5, 0)
    assert [(job.id, job.input) for job in rest.value] == [(ids[1], b'"1"'), (ids[2], b'"2"')]
    await store.finish("ep", "w1", taken.value[0].id, result(b"5"))
    assert (await store.status("ep", ids[0])).output == b"5"
    await store.close()


async def test_a_commit_that_power_loss_cut_short_takes_nothing_acknowledged_with_it(tmp_path: Path) -> None:
    path, log = tmp_path / "jobs.db", tmp_path / "jobs.db-wal"
    store = SQLiteStore(path)
    await store.open()
    await store.submit(run_request(b"0"))  # it makes the pages that the two others change
    first = await store.submit(run_request(b"1"))
    begin = log.stat().st_size
    second = await store.submit(run_request(b'"' + b"x" * 20_000 + b'"'))
    whole = log.read_bytes()
    for number, end in enumerate(range(begin, len(whole), 1777)):
        copy = tmp_path / f"{number}.db"
        copy.write_bytes(path.read_bytes())
        # What was not synced may be cut off, or be there in name alone.
        copy.with_name(f"{copy.name}-wal").write_bytes(whole[:end] + bytes(number % 2 * (len(whole) - end)))
        after = SQLiteStore(copy)
        await after.open()
        taken = await after.take("ep", "w", 5, 0)
        assert [(job.id, job.input) for job in taken.value][1:] == [(first.id, b"1")]
        with pytest.raises(JobNotFoundError):
            await after.status("ep", second.id)
        await after.close()
    await store.close()


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    connection = writer_of(store)
    settings = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "fullfsync")
    ]
    assert settings == ["wal", 2, 1]
    await store.close()


async def test_a_disk_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(path)
    await store.open()
    job = await store.submit(run_request(b"1"))
    await store.take("ep", "w1", 1, 0)
    await store.finish("ep", "w1", job.id, result(b'"' + b"x" * 50_000 + b'"'))
    await store.close()
    store = SQLiteStore(path)
    await store.open()
    with path.open("r+b") as file:
        file.truncate(4 * 4096)
    with pytest.raises(StoreError, match="could not read"):
        await store.status("ep", job.id)
    await store.close()


async def test_a_worker_that_pings_learns_after_a_restart_that_its_job_was_cancelled(process: GatewayProcess) -> None:
    async with aiohttp.ClientSession() as session:

        async def call(verb: str, path: str, key: str, body: Any = None) -> Any:
            url = f"http://127.0.0.1:{process.port}/v1/ep/{path}"
            async with session.request(verb, url, json=body, headers={"Authorization": key}) as response:
                assert response.status == 200
                return await response.json()

        job_id = (await call("POST", "run", "k", {"input": 1}))["id"]
        assert (await call("GET", "job-take/w1", "w"))["id"] == job_id
        assert (await call("POST", f"cancel/{job_id}", "k"))["status"] == "CANCELLED"
        process.stop(signal.SIGKILL)
        process.start()
        stop = asyncio.ensure_future(call("GET", "job-stop/w1", "w"))
        await call("GET", f"ping/w1?job_id={job_id}", "w")
        assert await asyncio.wait_for(stop, DEADLINE) == {"jobsToStop": [job_id]}


async def test_a_file_has_one_gateway_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with Gateway(store=SQLiteStore(path)):
        with pytest.raises(StoreError, match="another gateway has"):
            await Gateway(store=SQLiteStore(path)).start()
    async with Gateway(store=SQLiteStore(path)):
        assert path.stat().st_mode & 0o077 == 0, "others can read the inputs"


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("shopping list, which is not a database")
    with pytest.raises(StoreError, match="not a job store"):
        await SQLiteStore(path).open()
    assert path.read_text().startswith("shopping")
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE shopping (item TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        await SQLiteStore(path).open()
    assert path.read_bytes() == before


async def test_a_disk_that_can_not_be_written_is_said_and_recovered_from(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SQLiteStore(path)
    await store.open()
    await store.submit(run_request(b"1"))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="could not write"):
        await store.submit(run_request(b"2"))
    blocker.execute("ROLLBACK")
    blocker.close()
    await store.submit(run_request(b"3"))
    await store.close()
    store = SQLiteStore(path)
    await store.open()
    assert (await store.health("ep")).jobs.in_queue == 3, "a submit of unknown fate may exist, but nothing is lost"
    await store.close()


async def test_a_full_disk_is_said_and_recovered_from(tmp_path: Path, connect: Connect) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    api = await connect(Gateway(store=store))
    kept = await api.submit()
    await api.take()
    connection = writer_of(store)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    text = b'"' + b"x" * 100_000 + b'"'
    large = b'{"output": ' + text + b"}"
    for refused in (await api.client("POST", "/v1/ep/run", b'{"input": ' + text + b"}"), await api.done(kept, large)):
        assert (refused.status, refused.json["code"]) == (503, "STORE_UNAVAILABLE")
        assert "full" in refused.json["message"]
    assert (await api.client("GET", f"/v1/ep/status/{kept}")).status == 503, "a result that a kill would take back"
    connection.execute("PRAGMA max_page_count = 1000000")
    assert (await api.done(kept, large)).status == 200
    assert len((await api.status(kept))["output"]) == 100_000
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["completed"] == 1


async def test_running_jobs_get_a_fresh_lease_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    clock, limits = ManualClock(), Limits(lease=300)
    store = SQLiteStore(path, limits=limits, clock=clock)
    await store.open()
    job = await store.submit(run_request(b"1"))
    await store.take("ep", "w1", 1, 0)
    await store.close()
    clock.advance(0.35)
    store = SQLiteStore(path, limits=limits, clock=clock)
    await store.open()
    clock.advance(0.2)
    assert (await store.status("ep", job.id)).status == "IN_PROGRESS"
    clock.advance(0.2)
    again = await store.take("ep", "w2", 1, 5000)
    assert [(other.id, other.attempt) for other in again.value] == [(job.id, 2)]
    await store.close()


def run_request(body: bytes) -> RunRequest:
    return RunRequest(endpoint="ep", request=JobRequest(input=body))


def result(output: bytes) -> JobResult:
    return JobResult(output=output)
