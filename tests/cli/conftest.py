"""The real command as a process, and a real worker that does what its input says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from novita_gateway import Gateway
from tests.support.command import WORKER, Cli, Start, commands, run_inline, run_to_end
from tests.support.scripted_gateway import ScriptedGateway, Stage, staged
from tests.support.world import WorkerRunner


@pytest.fixture
def environment(plain_environment: dict[str, str], gateway: Gateway, tmp_path: Path) -> dict[str, str]:
    """What a user has exported to reach the gateway."""
    return {
        **{name: value for name, value in plain_environment.items() if name not in {"CI", "NO_COLOR", "TERM"}},
        "HOME": str(tmp_path),
        "NOVITA_ENDPOINT_BASE_URL": gateway.url,
        "NOVITA_API_KEY": gateway.api_key,
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the command and returns while it runs."""
    with commands(environment, tmp_path) as start:
        yield start


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    """Runs the command to its end."""
    return run_to_end(environment, tmp_path)


@pytest.fixture
def inline(environment: dict[str, str]) -> Cli:
    """Runs the command in this process, where one of its own would add nothing."""
    return run_inline(environment)


@pytest.fixture(scope="session")
def served(run_worker: WorkerRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of an endpoint with a worker."""
    file = tmp_path_factory.mktemp("served") / "handler.py"
    file.write_text(WORKER)
    with run_worker(file, "served"):
        yield "served"


@pytest.fixture
def handler_file(tmp_path: Path) -> Path:
    """The worker's code, for commands that start it themselves."""
    file = tmp_path / "handler.py"
    file.write_text(WORKER)
    return file


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The server of every script."""
    with staged() as stage:
        yield stage


@pytest.fixture
def scripted(stage: Stage) -> ScriptedGateway:
    """A gateway that follows the test's script."""
    return stage.play()
