"""An output that can't be sent fails its job and says why."""

from __future__ import annotations

import json

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

UNWRITABLE = {
    "{'image': b'png'}": "output.image is bytes",
    "{'a': [1, float('nan')]}": "output.a[1] is nan",
    "{'a': '\\ud800'}": "output.a holds a lone surrogate",
    "{'a': object()}": "output.a is of type object",
}


@pytest.mark.parametrize("how", ["return", "yield"])
def test_an_output_that_json_cannot_hold_fails_the_job_and_names_the_path(
    gateway: WorkerGateway, spawn: Spawn, how: str
) -> None:
    spawn(f'def handler(job):\n    {how} eval(job["input"])\nstart({{"handler": handler}})\n')
    for value, path in UNWRITABLE.items():
        error = json.loads(gateway.result(gateway.submit(value))["error"])
        assert path in error["error_message"]
        assert error["code"] == "INVALID_OUTPUT"


def test_a_cycle_fails_the_job(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn('def handler(job):\n    a = []\n    a.append(a)\n    return {"a": a}\nstart({"handler": handler})\n')
    assert "output.a[0]" in json.loads(gateway.result(gateway.submit())["error"])["error_message"]


def test_an_output_over_the_limit_fails_the_job_and_names_size_and_limit(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn('def handler(job):\n    return "x" * job["input"]\nstart({"handler": handler})\n')
    limit = 4 * 1024 * 1024
    assert gateway.result(gateway.submit(limit - 2)) == {"output": "x" * (limit - 2)}
    error = json.loads(gateway.result(gateway.submit(limit - 1))["error"])
    assert "4,194,305 bytes" in error["error_message"]
    assert "4,194,304 bytes" in error["error_message"]
    assert error["code"] == "OUTPUT_TOO_LARGE"
