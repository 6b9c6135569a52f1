"""The sleep worker: deployed, and submitted to from a command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from novita_gateway import Gateway
from tests.support.repository import EXAMPLES
from tests.support.world import WorkerRunner

EXAMPLE = EXAMPLES / "sleep-worker"


def submit(gateway: Gateway, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE / "submit_task.py", *words],
        env={**environment, "NOVITA_ENDPOINT_BASE_URL": gateway.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module", autouse=True)
def _worker(run_worker: WorkerRunner) -> Iterator[None]:
    with run_worker(EXAMPLE / "handler.py", "sleeper-app"):
        yield


def test_flags_name_endpoint_app_and_key(gateway: Gateway, plain_environment: dict[str, str]) -> None:
    words = ("--endpoint", "sleeper", "--app-name", "app", "--api-key", gateway.api_key, "--seconds", "0.1")
    outcome = submit(gateway, plain_environment, *words)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["slept_seconds"] == 0.1
    assert "submitted to sleeper-app" in outcome.stderr


def test_the_environment_is_the_default(gateway: Gateway, plain_environment: dict[str, str]) -> None:
    variables = {"NOVITA_ENDPOINT_ID": "sleeper", "NOVITA_APP_NAME": "app", "NOVITA_API_KEY": gateway.api_key}
    outcome = submit(gateway, {**plain_environment, **variables}, "--seconds", "0")
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["slept_seconds"] == 0


def test_an_impossible_input_fails_the_job_with_a_reason(gateway: Gateway, plain_environment: dict[str, str]) -> None:
    words = ("--endpoint", "sleeper-app", "--api-key", gateway.api_key, "--seconds", "-1")
    outcome = submit(gateway, plain_environment, *words)
    assert outcome.returncode != 0
    assert "seconds must be a number from 0 to 3600, not -1" in outcome.stderr


def test_a_missing_endpoint_is_asked_for(gateway: Gateway, plain_environment: dict[str, str]) -> None:
    outcome = submit(gateway, plain_environment)
    assert outcome.returncode == 2
    assert "NOVITA_ENDPOINT_ID" in outcome.stderr
