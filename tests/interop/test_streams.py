"""Published clients and workers in the same streams as this project's, which count chunks and have cursors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from novita_gateway import Gateway
from novita_sdk import Client
from tests.support.waiting import DEADLINE, threads

pytestmark = pytest.mark.venv

READER = Path(__file__).parent / "peers" / "stream.py"
WHOLE = [{"i": index, "u": "é"} for index in range(5)]


@pytest.mark.parametrize("worker", ["ours", "novita-gpus", "runpod"])
def test_a_published_client_and_two_of_ours_read_the_stream_of_one_job(
    worker: str,
    interop_gateway: Gateway,
    pythons: dict[str, Path],
    start_worker: Callable[[str, str, str], None],
    tmp_path: Path,
) -> None:
    endpoint = f"stream-{worker}"
    found: list[list[object]] = []
    command: list[str | Path] = [
        pythons["runpod"],
        READER,
        interop_gateway.url.replace("/v1", "/v2"),
        interop_gateway.api_key,
        endpoint,
    ]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True) as process,
        Client(api_key=interop_gateway.api_key, base_url=interop_gateway.url) as client,
    ):
        assert process.stdout is not None
        job = client.endpoint(endpoint).job(process.stdout.readline().strip())
        with threads() as meanwhile:
            for _ in range(2):
                meanwhile(lambda: found.append(list(job.stream(timeout=DEADLINE))))
            start_worker(worker, "aggregate", endpoint)
            found.append(json.loads(process.communicate(timeout=DEADLINE)[0]))
        found.append(list(job.stream(timeout=DEADLINE)))
        assert job.output(timeout=DEADLINE) == WHOLE
    assert found == [WHOLE] * 4
