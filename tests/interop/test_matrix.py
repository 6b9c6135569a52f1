"""Every client with every worker on one gateway: the published packages from the registry, and this project's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from novita_gateway import Gateway

pytestmark = pytest.mark.venv

PEERS = Path(__file__).parent / "peers"
CHUNKS = [{"i": index, "u": "é"} for index in range(3)]
CLIENTS = {"sync": "ours", "async": "ours", "novita_gpus": "novita-gpus", "runpod": "runpod"}
WORKERS = ["ours", "novita-gpus", "runpod"]
DEAF = "novita-gpus"
"""The worker that has no stop channel: what it runs on is ignored."""


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("worker", WORKERS)
def test_client_and_worker_agree_on_every_scenario(
    worker: str,
    client: str,
    interop_gateway: Gateway,
    pythons: dict[str, Path],
    start_worker: Callable[[str, str, str], None],
    tmp_path: Path,
) -> None:
    prefix = f"{worker}-{client}".replace("_", "-")
    version = "v2" if client == "runpod" else "v1"
    base_url = interop_gateway.url.replace("/v1", f"/{version}")
    arguments = [client, base_url, interop_gateway.api_key, prefix, str(tmp_path)]
    arguments.append("no" if worker == DEAF else "yes")
    with subprocess.Popen(
        [pythons[CLIENTS[client]], PEERS / "client.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first.strip() == "submitted":
            # Started after the submit: the published worker runs at once only what it takes at once.
            for mode in ("plain", "generator", "aggregate"):
                start_worker(worker, mode, f"{prefix}-{mode}")
        rest, errors = process.communicate(timeout=600)
    assert process.returncode == 0, f"{first}{errors}"
    results = json.loads(rest)

    def status(scenario: str, endpoint: str = "plain") -> dict[str, Any]:
        reply = requests.get(
            f"{base_url}/{prefix}-{endpoint}/status/{results[scenario]['id']}",
            headers={"Authorization": interop_gateway.api_key},
            timeout=60,
        )
        found: dict[str, Any] = reply.json()
        return found

    assert results["status queued"] == "PENDING"
    assert results["cancel queued"] == "CANCELLED"
    assert results["health"]["jobs"]["inQueue"] == 2
    assert results["purge"] == {"removed": 2, "status": "completed"}
    assert results["purged"] == ["CANCELLED", "CANCELLED"]

    assert [end["output"] for end in results["meet"]] == ["met"] * 4
    assert results["echo"]["output"] == {"echo": {"u": "héllo ☃ 😀", "n": 2**53 + 1, "f": 1.0, "z": None}}
    assert results["large"]["output"] is True
    assert status("echo")["workerId"]

    assert results["error"]["status"] == results["raise"]["status"] == "FAILED"
    assert status("error")["error"] == "as asked: é"
    assert status("error")["output"] == {"kept": [1, 2.0, None]}
    raised = json.loads(status("raise")["error"])
    assert (raised["error_type"], raised["error_message"]) == ("<class 'ValueError'>", "as asked: ☃")

    assert results["generator"]["status"] == "COMPLETED"
    assert results["aggregate"]["output"] == CHUNKS
    if client != "novita_gpus":
        assert results["stream"] == CHUNKS
        assert results["run_sync"] == {"echo": "at once"}

    assert results["progress"] == {"half": "é", "seed": 1125899906842624123}
    assert results["after progress"]["output"] == "done"

    assert results["cancel running"] == "CANCELLED"
    assert results["after cancel"]["output"] == {"echo": "still there"}
    assert results["cancelled"]["status"] == "CANCELLED"
    assert results["cancelled"]["output"] is None
