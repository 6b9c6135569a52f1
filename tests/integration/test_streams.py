"""Streams of workers that are killed in the middle: what is on disk is delivered once, and what is not begins anew."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from novita_gateway import Faults, Gateway, Limits, MemoryStore, SQLiteStore, Store, serve_in_thread
from novita_sdk import Client, StreamRestartedError
from tests.support.waiting import DEADLINE, eventually, threads
from tests.support.worker_process import Spawn, WorkerProcess, worker_processes

COUNT = 12
WHOLE = list(range(COUNT))

GENERATOR = """
def handler(job):
    yield from range(12)
    logging.warning("all made")
start({"handler": handler, "return_aggregate_stream": True})
"""
UNNUMBERED = """
from novita_worker.desk.outbox import NOWHERE, Outbox
Outbox._place = lambda *_: NOWHERE
"""
SLOW = """
def handler(job):
    for number in range(12):
        yield number if job["attempt"] > 1 else "first"
        if number == 4 and job["attempt"] == 1:
            logging.warning("in the middle")
            hold()
start({"handler": handler})
"""


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], Store]:
    def make(lease: int) -> Store:
        limits = Limits(lease=lease)
        return MemoryStore(limits=limits) if request.param == "memory" else SQLiteStore(tmp_path / "db", limits=limits)

    return make


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    with worker_processes(tmp_path, {}) as spawn:
        yield spawn


def environ(gateway: Gateway, spool: Path) -> dict[str, str]:
    # The pod's name stays over a restart of its process.
    return {**gateway.worker_env("ep"), "NOVITA_SPOOL_DIR": str(spool), "NOVITA_PING_INTERVAL": "1000"}


def kill(worker: WorkerProcess) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def unsent(folder: Path) -> int:
    """How many chunks the spool's one job has still to post."""
    (file,) = folder.glob("*/*.result")
    sent = file.with_suffix(".sent")
    return file.read_bytes().count(b"\nchunk ") - (sent.stat().st_size if sent.exists() else 0)


def survive(spawn: Spawn, spool: Path, store: Store, prelude: str = "") -> list[list[object]]:
    """What two readers get of a worker that is killed with most of its chunks on disk, while replies are lost."""
    found: list[list[object]] = []
    # Each lost reply costs the worker a pause, so that the kill comes while chunks are still there to post.
    faults = Faults(seed=7, lost_reply=0.5, methods={"StreamJob", "ReadStream"})
    with (
        serve_in_thread(lambda: Gateway(store=store, faults=faults)) as gateway,
        Client(api_key=gateway.api_key, base_url=gateway.url) as client,
    ):
        with threads() as meanwhile:
            job = client.endpoint("ep").run({})
            for _ in range(2):
                meanwhile(lambda: found.append(list(client.endpoint("ep").job(job.job_id).stream(timeout=DEADLINE))))
            first = spawn(prelude + GENERATOR, environ=environ(gateway, spool))
            first.wait_for_log("all made")
            eventually(lambda: list(spool.glob("*/*.result")))
            kill(first)
            assert unsent(spool) > 0
            second = spawn(prelude + GENERATOR, environ=environ(gateway, spool))
            assert job.output(timeout=DEADLINE) == WHOLE
            second.end()
            assert list(spool.iterdir()) == []
        found.append(list(job.stream(timeout=DEADLINE)))
    return found


def test_chunks_on_the_disk_of_a_killed_worker_are_posted_once(
    spawn: Spawn, tmp_path: Path, make_store: Callable[[int], Store]
) -> None:
    assert survive(spawn, tmp_path / "spool", make_store(120_000)) == [WHOLE] * 3


def test_without_numbers_they_are_doubled(spawn: Spawn, tmp_path: Path) -> None:
    *_, found = survive(spawn, tmp_path / "spool", MemoryStore(limits=Limits(lease=120_000)), UNNUMBERED)
    assert set(found) == set(WHOLE)
    assert len(found) > COUNT


def test_a_stream_that_another_worker_begins_anew_says_so_to_who_has_read_of_it(
    spawn: Spawn, tmp_path: Path, make_store: Callable[[int], Store]
) -> None:
    with serve_in_thread(lambda: Gateway(store=make_store(2000))) as gateway:
        variables = environ(gateway, tmp_path / "spool")
        with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
            job = client.endpoint("ep").run({})
            first = spawn(SLOW, environ=variables)
            first.wait_for_log("in the middle")
            chunks = job.stream(timeout=DEADLINE)
            assert [next(chunks) for _ in range(5)] == ["first"] * 5
            kill(first)
            second = spawn(SLOW, environ=variables)
            with pytest.raises(StreamRestartedError, match=f"{job.job_id}.*after 5 chunks") as raised:
                list(chunks)
            assert (raised.value.job_id, raised.value.code) == (job.job_id, "STREAM_RESTARTED")
            assert list(job.stream(timeout=DEADLINE)) == WHOLE
            assert json.dumps(job.output(timeout=DEADLINE)) == "[]"
            second.end()
