"""A handler of one's own under test, with everything real but the deployment."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from novita_sdk import JobFailedError, JobTimedOutError
from novita_testing import Faults, Limits, ManualClock, embedded

pytest_plugins = ["pytester"]


def echo(job: dict[str, Any]) -> dict[str, Any]:
    return {"echo": job["input"]}


def test_a_handler_is_called_through_a_real_endpoint_in_well_under_a_second() -> None:
    times = []
    for _ in range(3):  # the first one also loads what it needs, and the machine may be busy
        begin = time.monotonic()
        with embedded(echo) as endpoint:
            assert endpoint.run_sync({"prompt": "é"}, timeout=10) == {"echo": {"prompt": "é"}}
            times.append(time.monotonic() - begin)
    assert min(times) < 0.5


def test_async_handlers_generators_and_worker_options_work() -> None:
    async def chunks(job: dict[str, Any]) -> Any:
        for index in range(job["input"]["count"]):
            yield index

    with embedded(chunks, return_aggregate_stream=True) as endpoint:
        job = endpoint.run({"count": 3})
        assert list(job.stream(timeout=10)) == [0, 1, 2]
        assert job.output(timeout=10) == [0, 1, 2]


def test_a_handlers_error_reaches_the_caller() -> None:
    def broken(job: dict[str, Any]) -> None:
        raise ValueError("as asked")

    with embedded(broken) as endpoint, pytest.raises(JobFailedError, match="as asked"):
        endpoint.run_sync({}, timeout=10)


def test_faults_are_survived() -> None:
    faults = Faults(seed=4, lost_reply=0.15, unavailable=0.15, too_many_requests=0.1, slow_body=0.1)
    with embedded(echo, faults=faults, limits=Limits(lease=500, max_attempts=50)) as endpoint:
        jobs = [endpoint.run({"n": index}) for index in range(8)]
        assert [job.output(timeout=30) for job in jobs] == [{"echo": {"n": index}} for index in range(8)]


def test_a_job_times_out_by_a_clock_that_the_test_moves() -> None:
    started, release = threading.Event(), threading.Event()

    def slow(job: dict[str, Any]) -> None:
        started.set()
        release.wait(10)

    clock = ManualClock()
    with embedded(slow, clock=clock) as endpoint:
        job = endpoint.run({}, policy={"executionTimeout": 600_000})
        assert started.wait(10)
        clock.advance(601)
        release.set()
        with pytest.raises(JobTimedOutError):
            job.output(timeout=10)


def test_the_pytest_fixture_serves_handlers_for_one_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["novita_testing.pytest_plugin"]')
    pytester.makepyfile(
        """
        def test_it(novita_endpoint):
            one = novita_endpoint(lambda job: job["input"] + 1)
            two = novita_endpoint(lambda job: job["input"] * 2, endpoint="doubling")
            assert one.run_sync({"input": 20}, timeout=10) == 21
            assert two.run_sync({"input": 21}, timeout=10) == 42
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error")
    result.assert_outcomes(passed=1)


def test_the_gateway_package_offers_it_too() -> None:
    import novita_gateway

    assert novita_gateway.embedded is embedded
    assert Path(novita_gateway.__file__).name == "__init__.py"
