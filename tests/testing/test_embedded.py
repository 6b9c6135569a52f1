"""A handler of one's own under test, with everything real but the deployment."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import requests

from novita_sdk import Client, Endpoint, JobFailedError, JobTimedOutError
from novita_sdk.files import File
from novita_sdk.uploads import upload_bytes
from novita_testing import Faults, Limits, ManualClock, embedded
from novita_testing._options import WorkerOptions
from novita_worker import ConfigError, JobContext
from novita_worker._config import WorkerConfig
from tests.support.waiting import DEADLINE, eventually

pytest_plugins = ["pytester"]


def echo(job: dict[str, Any]) -> dict[str, Any]:
    return {"echo": job["input"]}


def test_a_handler_is_called_through_a_real_endpoint_in_well_under_a_second() -> None:
    def seconds() -> float:
        begin = time.monotonic()
        with embedded(echo) as endpoint:
            assert endpoint.run_sync({"prompt": "é"}, timeout=60) == {"echo": {"prompt": "é"}}
            return time.monotonic() - begin

    # The first one also loads what it needs, and the machine may be busy for a while.
    assert any(seconds() < 0.5 for _ in range(50))


def test_async_handlers_generators_and_worker_options_work() -> None:
    async def chunks(job: dict[str, Any]) -> Any:
        for index in range(job["input"]["count"]):
            yield index

    with embedded(chunks, return_aggregate_stream=True) as endpoint:
        job = endpoint.run({"count": 3})
        assert list(job.stream(timeout=60)) == [0, 1, 2]
        assert job.output(timeout=60) == [0, 1, 2]


def test_a_handlers_error_reaches_the_caller() -> None:
    def broken(job: dict[str, Any]) -> None:
        raise ValueError("as asked")

    with embedded(broken) as endpoint, pytest.raises(JobFailedError, match="as asked"):
        endpoint.run_sync({}, timeout=60)


@contextmanager
def patient(endpoint: Endpoint) -> Iterator[Endpoint]:
    """The endpoint, through a client that goes on whatever the number of faults in a row."""
    settings = endpoint._client._settings
    with Client(api_key=settings.api_key, base_url=settings.base_url, retry_budget=DEADLINE) as client:
        yield client.endpoint(endpoint.endpoint_id)


def test_faults_are_survived() -> None:
    faults = Faults(seed=4, lost_reply=0.15, unavailable=0.15, too_many_requests=0.1, slow_body=0.1)
    limits = Limits(lease=300, max_attempts=50)
    with embedded(echo, faults=faults, limits=limits, concurrency=4) as impatient, patient(impatient) as endpoint:
        jobs = [endpoint.run({"n": index}) for index in range(8)]
        assert [job.output(timeout=60) for job in jobs] == [{"echo": {"n": index}} for index in range(8)]


def pings(endpoint: Endpoint) -> int:
    """How many the endpoint's gateway has answered."""
    settings = endpoint._client._settings
    url = settings.base_url.removesuffix("/v1") + "/metrics"
    page = requests.get(url, headers={"Authorization": settings.api_key}, timeout=60).text
    found = re.search(r'_requests_total\{method="Ping",status="200"\} (\d+)', page)
    return int(found[1]) if found else 0


def wait_for_pings(endpoint: Endpoint, count: int) -> None:
    """Waits for so many more."""
    enough = pings(endpoint) + count
    eventually(lambda: pings(endpoint) >= enough)


def test_pings_keep_a_job_that_runs_longer_than_its_lease() -> None:
    started, release = threading.Event(), threading.Event()

    def slow(job: dict[str, Any]) -> str:
        started.set()
        release.wait(DEADLINE)
        return "done"

    clock = ManualClock()
    with embedded(slow, clock=clock, limits=Limits(lease=300, max_attempts=1)) as endpoint:
        job = endpoint.run({})
        assert started.wait(DEADLINE)
        for _ in range(3):
            wait_for_pings(endpoint, 2)  # the first may have left before the job came
            clock.advance(0.2)
        release.set()
        assert job.output(timeout=60) == "done"


def test_lost_pings_end_a_lease() -> None:
    over = threading.Event()

    def slow(job: dict[str, Any]) -> None:
        over.wait(DEADLINE)

    with embedded(slow, faults=Faults(lost_ping=1.0), limits=Limits(lease=300, max_attempts=1)) as endpoint:
        with pytest.raises(JobFailedError, match="stopped pinging"):
            endpoint.run_sync({}, timeout=60)
        over.set()


def test_a_clock_that_is_moved_by_a_lease_ends_it() -> None:
    started, release = threading.Event(), threading.Event()

    def handler(job: dict[str, Any]) -> str:
        started.set()
        release.wait(DEADLINE)
        return "done"

    clock = ManualClock()
    with embedded(handler, clock=clock, limits=Limits(lease=60_000), concurrency=2) as endpoint:
        job = endpoint.run({})
        assert started.wait(DEADLINE)
        clock.advance(60)
        eventually(lambda: job.info().retries == 1)
        release.set()
        assert job.output(timeout=60) == "done"


def test_a_job_that_comes_again_while_its_stopped_run_goes_on_is_run_again() -> None:
    started, cancelled = threading.Barrier(3), threading.Barrier(3)
    release = {"a": threading.Event(), "b": threading.Event()}

    def handler(job: dict[str, Any], context: JobContext) -> int:
        name = job["input"]["name"]
        if job["attempt"] == 1:
            started.wait(DEADLINE)
            eventually(lambda: context.cancelled)
            cancelled.wait(DEADLINE)
            release[name].wait(DEADLINE)
        return int(job["attempt"])

    clock = ManualClock()
    with embedded(handler, clock=clock, limits=Limits(lease=60_000), concurrency=2) as endpoint:
        jobs = [endpoint.run({"name": name}) for name in release]
        started.wait(DEADLINE)  # a job that is taken and not begun yet would be stopped without a run
        clock.advance(60)  # no take is parked, so that the stop orders arrive before the jobs do
        cancelled.wait(DEADLINE)
        release["a"].set()
        eventually(lambda: all(job.info().retries == 1 for job in jobs))
        release["b"].set()
        assert [job.output(timeout=60) for job in jobs] == [2, 2]


def test_files_and_large_outputs_travel_beside_the_job() -> None:
    def handler(job: dict[str, Any]) -> dict[str, Any]:
        return {"large": "x" * 5_000_000, "file": File.from_bytes(job["input"]["data"].encode(), name="a.txt")}

    with embedded(handler) as endpoint:
        output = endpoint.run_sync({"data": "é"}, timeout=60)
        assert len(output["large"]) == 5_000_000
        assert output["file"].read().decode() == "é"


@pytest.mark.parametrize("close_first", ["first", "second"])
def test_of_two_at_once_each_has_its_own_files(close_first: str) -> None:
    def handler(job: dict[str, Any], context: JobContext) -> list[Any]:
        data = context.open(job["input"]["file"]).read_bytes()
        return [File.from_bytes(data, name="a.txt"), upload_bytes("b.txt", data), context.upload_bytes("c.txt", data)]

    before = dict(os.environ)
    opened = {name: ExitStack() for name in ("first", "second")}
    try:
        endpoints = {name: stack.enter_context(embedded(handler, endpoint=name)) for name, stack in opened.items()}
        opened[close_first].close()
        (left,) = opened.keys() - {close_first}
        output = endpoints[left].run_sync({"file": File.from_bytes(b"data", name="in.txt")}, timeout=60)
        assert output[0].read() == b"data"
        for url in output[1:]:
            assert requests.get(url, timeout=60).content == b"data"
        assert dict(os.environ) == before
    finally:
        for stack in opened.values():
            stack.close()


def test_a_worker_that_can_not_be_made_raises_where_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="spool folder"), embedded(echo, spool_dir=tmp_path / "file"):
        raise AssertionError("it started")


def test_the_options_are_the_fields_of_a_workers_config() -> None:
    known = get_type_hints(WorkerConfig)
    assert get_type_hints(WorkerOptions) == {
        field.name: known[field.name] for field in fields(WorkerConfig) if field.name != "handler"
    }


def test_a_job_times_out_by_a_clock_that_the_test_moves() -> None:
    started, release = threading.Event(), threading.Event()

    def slow(job: dict[str, Any]) -> None:
        started.set()
        release.wait(DEADLINE)

    clock = ManualClock()
    with embedded(slow, clock=clock) as endpoint:
        job = endpoint.run({}, policy={"executionTimeout": 600_000})
        assert started.wait(DEADLINE)
        clock.advance(601)
        release.set()
        with pytest.raises(JobTimedOutError):
            job.output(timeout=60)


def test_the_pytest_fixture_serves_handlers_for_one_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest('pytest_plugins = ["novita_testing.pytest_plugin"]')
    pytester.makepyfile(
        """
        def test_it(novita_endpoint):
            one = novita_endpoint(lambda job: job["input"] + 1)
            two = novita_endpoint(lambda job: job["input"] * 2, endpoint="doubling", concurrency=2)
            assert one.run_sync({"input": 20}, timeout=60) == 21
            assert two.run_sync({"input": 21}, timeout=60) == 42
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=1)


def test_the_gateway_package_offers_it_too() -> None:
    import novita_gateway

    assert novita_gateway.embedded is embedded
    assert Path(novita_gateway.__file__).name == "__init__.py"
