"""The published snippets, as users have them, against the embedded gateway with only environment variables set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from novita_gateway import Gateway, serve_in_thread
from tests.support.world import WorkerRunner

SNIPPETS = Path(__file__).parent / "snippets"


@pytest.fixture(scope="module")
def running_gateway() -> Iterator[Gateway]:
    with serve_in_thread(lambda: Gateway(api_key="your-api-key")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def endpoint_of_worker(running_gateway: Gateway, run_worker: WorkerRunner) -> Iterator[None]:
    """One worker for each endpoint that the snippets name."""
    worker = SNIPPETS / "worker.py"
    with (
        run_worker(worker, "name", gateway=running_gateway),
        run_worker(worker, "endpoint-id-app", gateway=running_gateway),
    ):
        yield


def run_client(name: str, gateway: Gateway, environment: dict[str, str], cwd: Path) -> str:
    """Runs a snippet and returns what it printed."""
    outcome = subprocess.run(
        [sys.executable, SNIPPETS / name],
        env={**environment, "NOVITA_ENDPOINT_BASE_URL": gateway.url, "NOVITA_API_KEY": gateway.api_key},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""
    return outcome.stdout


@pytest.mark.usefixtures("endpoint_of_worker")
class TestSnippets:
    def test_client(self, running_gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path) -> None:
        status, output = run_client("client.py", running_gateway, plain_environment, tmp_path).splitlines()
        assert status in {"PENDING", "IN_QUEUE", "IN_PROGRESS"}
        assert "'input': {'prompt': 'a red apple on a table'}" in output

    def test_client_with_app_name(
        self, running_gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
    ) -> None:
        output, health, purged = run_client(
            "client_with_app.py", running_gateway, plain_environment, tmp_path
        ).splitlines()
        assert "a red apple" in output
        assert "'completed': 1" in health
        assert "'removed': 0" in purged

    def test_a_workflow_reaches_the_handler_as_sent(
        self, running_gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
    ) -> None:
        assert run_client("client_comfyui.py", running_gateway, plain_environment, tmp_path) == "True\n"

    def test_an_error_field_fails_the_job(
        self, running_gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
    ) -> None:
        problem, status = run_client("client_failure.py", running_gateway, plain_environment, tmp_path).splitlines()
        assert problem.startswith("JobFailedError")
        assert "the prompt was refused" in problem
        assert status == "FAILED"
