"""Handlers under test."""

from __future__ import annotations

from typing import assert_type

from novita_sdk import Endpoint
from novita_testing import Faults, Limits, ManualClock, embedded
from novita_testing.pytest_plugin import StartEndpoint
from novita_worker import JobContext


def handler(job: dict[str, object], context: JobContext) -> object:
    return job["input"]


def test_it() -> None:
    with embedded(handler, endpoint="ep", clock=ManualClock(), faults=Faults(lost_ping=0.5), concurrency=2) as endpoint:
        assert_type(endpoint, Endpoint)


def test_the_fixture(novita_endpoint: StartEndpoint) -> None:
    assert_type(novita_endpoint(handler, limits=Limits(lease=500), job_timeout=1.5), Endpoint)
