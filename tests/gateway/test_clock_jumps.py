"""Wall clocks that jump, within a process and between two: no job is lost to them, and none is late."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Limits, ManualClock, SQLiteStore
from novita_gateway._clock import BoardClock, Timer
from novita_gateway._errors import JobNotFoundError
from novita_sdk.models import ExecutionPolicy, JobRequest, JobResult, JobStatus, RunRequest

HOUR = 3_600_000
JUMPS = [-10 * 365 * 24 * HOUR, -HOUR, -1, 0, 1, HOUR, 10 * 365 * 24 * HOUR]
"""Milliseconds, while no gateway runs."""
LIMITS = Limits(retention=HOUR, ttl=2 * HOUR, execution_timeout=HOUR)


def run(ttl: int | None = None) -> RunRequest:
    policy = None if ttl is None else ExecutionPolicy(ttl=ttl)
    return RunRequest(endpoint="ep", request=JobRequest(input=b"1", policy=policy))


async def opened(path: Path, clock: ManualClock) -> SQLiteStore:
    store = SQLiteStore(path, clock=clock, limits=LIMITS)
    await store.open()
    return store


async def stop(store: SQLiteStore, path: Path, how: str) -> Path:
    """Stops a gateway in good order, or as kill -9 does; returns the file that the next one opens."""
    if how == "closed":
        await store.close()
        return path
    copy = path.with_name(f"after-{path.name}")
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    await store.close()
    return copy


@pytest.mark.parametrize("how", ["closed", "killed"])
@pytest.mark.parametrize("jump", JUMPS)
async def test_a_restart_after_a_jump_forgets_nothing_and_counts_on(tmp_path: Path, jump: int, how: str) -> None:
    path, clock = tmp_path / "jobs.db", ManualClock()
    store = await opened(path, clock)
    done, running = (await store.submit(run())).id, (await store.submit(run())).id
    clock.advance(60)
    await store.take("ep", "w1", 2, 0)
    clock.advance(30)
    await store.finish("ep", "w1", done, JobResult(output=b"1"))
    short = (await store.submit(run(ttl=HOUR // 2))).id
    path = await stop(store, path, how)

    clock = ManualClock(clock.now() + jump)
    store = await opened(path, clock)

    async def states() -> list[str]:
        return [(await store.status("ep", job_id)).status for job_id in (done, running, short)]

    assert await states() == ["COMPLETED", "IN_PROGRESS", "PENDING"]
    assert times(await store.status("ep", done)) == (60_000, 30_000)
    clock.advance(40)
    await store.ping("ep", "w1", [running])
    clock.advance(40)
    assert await states() == ["COMPLETED", "IN_PROGRESS", "PENDING"]
    taken = await store.take("ep", "w2", 1, 0)
    await store.finish("ep", "w2", taken.value[0].id, JobResult(output=b"1"))
    assert times(await store.status("ep", short)) == (80_000, 0)
    # What was left of every time is what is left now.
    late = (await store.submit(run(ttl=HOUR // 2))).id
    for _ in range(50):
        await store.ping("ep", "w1", [running])
        clock.advance(50)
    assert (await store.status("ep", late)).status == "TIMED_OUT"
    assert (await store.status("ep", running)).status == "IN_PROGRESS"
    for _ in range(22):
        await store.ping("ep", "w1", [running])
        clock.advance(50)
    assert (await store.status("ep", running)).status == "TIMED_OUT"
    with pytest.raises(JobNotFoundError):
        await store.status("ep", done)
    await store.close()


def times(status: JobStatus) -> tuple[int, int]:
    return status.delay_time, status.execution_time


async def test_jobs_are_forgotten_where_the_time_of_the_file_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The safety switched off: the tests above can fail."""
    path, clock = tmp_path / "jobs.db", ManualClock()
    store = await opened(path, clock)
    job = await store.submit(run())
    await store.close()
    monkeypatch.setattr(BoardClock, "resume", lambda *_: None)
    clock = ManualClock(clock.now() + 24 * HOUR)
    store = await opened(path, clock)
    clock.advance(1)
    assert (await store.status("ep", job.id)).status == "TIMED_OUT"
    await store.close()


async def test_a_gateway_that_is_restarted_again_and_again_does_forget_in_the_end(tmp_path: Path) -> None:
    path, clock = tmp_path / "jobs.db", ManualClock()
    store = await opened(path, clock)
    job = await store.submit(run())
    await store.take("ep", "w1", 1, 0)
    await store.finish("ep", "w1", job.id, JobResult(output=b"1"))
    for _ in range(4):
        assert (await store.status("ep", job.id)).status == "COMPLETED"
        clock.advance(900)
        await store.close()
        store = await opened(path, clock)
    clock.advance(1)
    with pytest.raises(JobNotFoundError):
        await store.status("ep", job.id)
    await store.close()


class WallClock(ManualClock):
    """A clock of a user's own that is set: `skew` moves what it says, and not when it calls."""

    skew = 0

    def now(self) -> int:
        return super().now() + self.skew

    def call_at(self, when: int, callback: Any) -> Timer:
        return super().call_at(when - self.skew, callback)


async def test_a_clock_that_is_set_back_makes_no_time_negative_and_none_too_long(tmp_path: Path) -> None:
    clock = WallClock()
    store = await opened(tmp_path / "jobs.db", clock)
    ids = [(await store.submit(run())).id for _ in range(2)]
    clock.advance(5)
    clock.skew -= HOUR
    await store.take("ep", "w1", 2, 0)
    clock.advance(5)
    clock.skew -= HOUR
    await store.finish("ep", "w1", ids[0], JobResult(output=b"1"))
    status = await store.status("ep", ids[0])
    assert 0 <= status.delay_time <= 5000
    assert 0 <= status.execution_time <= 5000
    clock.advance(70)
    assert (await store.status("ep", ids[1])).status == "PENDING", "the lease did not end"
    await store.close()


PROGRAM = """
import sys, time
real, skew = time.time, float(sys.argv[2])
time.time = lambda: real() + skew
from novita_gateway import Gateway, Limits, SQLiteStore, serve_forever
store = SQLiteStore(sys.argv[1], limits=Limits(ttl=3_600_000, retention=3_600_000))
serve_forever(
    lambda: Gateway(store=store, api_key="k", worker_token="w"),
    on_start=lambda gateway: print(gateway.url, flush=True),
)
"""


def test_processes_whose_clocks_disagree_lose_nothing_between_them(tmp_path: Path) -> None:
    day = 86_400
    ids: dict[str, str] = {}
    for skew in (0, 400 * day, -400 * day, day, 0):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "jobs.db"), str(skew)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            for job_id, expected in ids.items():
                status = call(url, "GET", f"status/{job_id}", "k")
                assert status["status"] == expected
                assert status.get("delayTime", 0) >= 0
                assert status.get("executionTime", 0) >= 0
            finished, queued = (call(url, "POST", "run", "k", {"input": skew})["id"] for _ in range(2))
            while (taken := call(url, "GET", "job-take/w1", "w")["id"]) != finished:
                call(url, "POST", f"job-done/w1/{taken}", "w", {"output": 1})
                ids[taken] = "COMPLETED"
            call(url, "POST", f"job-done/w1/{finished}", "w", {"output": 1})
            ids |= {finished: "COMPLETED", queued: "PENDING"}
            process.send_signal(signal.SIGKILL if skew > 0 else signal.SIGTERM)
    assert len(ids) == 10


def call(url: str, verb: str, path: str, key: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/ep/{path}", data, {"Authorization": key}, method=verb)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or b"null")
