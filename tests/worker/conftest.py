"""A gateway whose every answer a test can script, and real worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn, worker_processes


@pytest.fixture
def gateway() -> Iterator[WorkerGateway]:
    with WorkerGateway() as gateway:
        yield gateway


@pytest.fixture
def spawn(gateway: WorkerGateway, tmp_path: Path) -> Iterator[Spawn]:
    """Starts a worker process from a script; `start` and everything of `novita_worker` is imported there."""
    with worker_processes(tmp_path, gateway.environ()) as spawn:
        yield spawn


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where the environment says that results are kept."""
    return tmp_path / "spool"


@pytest.fixture
def environ(gateway: WorkerGateway, spool: Path) -> dict[str, str]:
    return {**gateway.environ(), "NOVITA_SPOOL_DIR": str(spool)}
