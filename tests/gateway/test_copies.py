"""Copies of a gateway's file: whole where the gateway was quiet, and known for what they lack where it was not."""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from novita_gateway import SQLiteStore
from novita_gateway.store import sqlite
from novita_sdk.models import JobRequest, JobResult, RunRequest
from tests.support.gateway_process import GatewayProcess
from tests.support.waiting import eventually_async

LACKS = "the newest jobs may be missing"


def run_request(body: bytes = b"1") -> RunRequest:
    return RunRequest(endpoint="ep", request=JobRequest(input=body))


async def jobs_of(path: Path, caplog: pytest.LogCaptureFixture) -> tuple[int, bool]:
    """How many jobs the file has, and whether it was said that it may lack some."""
    caplog.clear()
    store = SQLiteStore(path)
    with caplog.at_level(logging.WARNING, "novita_gateway"):
        await store.open()
    count = len((await store.take("ep", "reader", 1000, 0)).value)
    await store.close()
    return count, any(LACKS in record.getMessage() for record in caplog.records)


async def is_folded(store: Any) -> bool:
    return bool(store._journal._is_folded)


def copy(path: Path, name: str) -> Path:
    """The file alone, as `cp` would take it."""
    target = path.with_name(name)
    target.write_bytes(path.read_bytes())
    return target


async def test_a_copy_of_a_quiet_gateways_file_alone_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "QUIET", 0.05)
    path = tmp_path / "jobs.db"
    store = SQLiteStore(path)
    await store.open()
    for round_number in range(1, 4):
        for _ in range(20):
            await store.submit(run_request(b'"' + b"x" * 9000 + b'"'))
        await eventually_async(partial(is_folded, store))
        assert await jobs_of(copy(path, f"{round_number}.db"), caplog) == (round_number * 20, False)
    await store.close()


async def test_a_copy_of_a_busy_gateways_file_alone_is_known_for_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "QUIET", 3600.0)  # what makes the copy of a quiet one whole
    path = tmp_path / "jobs.db"
    store: Any = SQLiteStore(path)
    await store.open()
    for number in range(1, 1200):
        await store.submit(run_request(b'"' + b"x" * 9000 + b'"'))  # folded in between, for the log is long
        if number in {1, 2, 120, 300, 500, 1150}:
            count, is_said = await jobs_of(copy(path, f"{number}.db"), caplog)
            assert is_said, (number, count)
            assert count == 1 if number == 1 else count < number, "the first one after a rest is folded at once"
    await store.close()
    assert await jobs_of(copy(path, "closed.db"), caplog) == (1000, False)


@pytest.mark.parametrize("quiet", [0.05, 3600.0])
async def test_a_proper_backup_of_a_running_gateway_is_whole_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, quiet: float
) -> None:
    monkeypatch.setattr(sqlite, "QUIET", quiet)
    path = tmp_path / "jobs.db"
    store = SQLiteStore(path)
    await store.open()
    for number in range(1, 30):
        await store.submit(run_request())
        if number % 7 == 0:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / f"{number}")) as target:
                source.backup(target)
            assert await jobs_of(tmp_path / f"{number}", caplog) == (number, False)
    await store.close()


async def test_both_files_of_a_killed_gateway_are_whole_and_nothing_is_said(
    process: GatewayProcess, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        reply = await asyncio.to_thread(
            requests.post,
            f"http://127.0.0.1:{process.port}/v1/ep/run",
            json={"input": 1},
            headers={"Authorization": "k"},
            timeout=10,
        )
        assert reply.status_code == 200
    process.stop(signal.SIGKILL)
    assert await jobs_of(process.path, caplog) == (5, False)


async def test_a_reader_that_takes_its_time_holds_up_neither_jobs_nor_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "QUIET", 0.05)
    path = tmp_path / "jobs.db"
    store: Any = SQLiteStore(path)
    await store.open()
    await store.submit(run_request())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job").fetchone()
        job = await store.submit(run_request())
        await store.take("ep", "w", 2, 0)
        await store.finish("ep", "w", job.id, JobResult(output=b"1"))
        reader.execute("COMMIT")
    await eventually_async(partial(is_folded, store))
    await store.close()
    assert not caplog.records
