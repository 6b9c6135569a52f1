"""The same workers as they are with the package that they were written for: what is asked of ours is what that does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from novita_gateway import Gateway
from tests.support.runpod_workers import FOLDER, WORKERS, environment_of, served
from tests.support.world import connect

pytestmark = pytest.mark.venv


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_does_so_with_the_published_package(
    name: str, interop_gateway: Gateway, pythons: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "worker"
    shutil.copytree(FOLDER / name, folder)
    with served(tmp_path) as site, connect(interop_gateway) as client, (tmp_path / "log").open("wb") as log:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONUNBUFFERED": "1",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
            **environment_of(WORKERS[name], tmp_path, site),
            **interop_gateway.worker_env(f"runpod-{name}", flavour="runpod"),
        }
        process = subprocess.Popen(
            [pythons["runpod"], WORKERS[name].script],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            WORKERS[name].use(client.endpoint(f"runpod-{name}"), site)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)  # with its heartbeat
            process.wait()
