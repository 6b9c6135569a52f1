"""runpod's clients by their names, against a gateway and a worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

import novita_gpus as runpod
from novita_gateway import Gateway
from novita_gpus.endpoint import AsyncioEndpoint, AsyncioJob
from novita_gpus.endpoint.runner import Job, RunPodClient
from novita_sdk import JobFailedError, WaitTimeoutError
from tests.support.processes import run_python
from tests.support.world import WorkerRunner

WORKER = """
import novita_gpus as runpod

def handler(job):
    if job["input"] == "fail":
        raise ValueError("it failed")
    return {"got": job["input"]}

def stream(job):
    yield from job["input"]["chunks"]

def choose(job):
    return stream(job) if isinstance(job["input"], dict) and "chunks" in job["input"] else handler(job)

runpod.serverless.start({"handler": choose})
"""


@pytest.fixture(scope="module")
def served(gateway: Gateway, run_worker: WorkerRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("served") / "handler.py"
    script.write_text(WORKER)
    with run_worker(script, "from-runpod"):
        yield "from-runpod"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, gateway: Gateway) -> None:
    """As users set them."""
    monkeypatch.setattr(runpod, "api_key", gateway.api_key, raising=False)
    monkeypatch.setattr(runpod, "endpoint_url_base", gateway.url, raising=False)


def test_an_endpoint(served: str) -> None:
    endpoint = runpod.Endpoint(served)
    rp_job = endpoint.run({"input": {"prompt": "hello"}})
    assert rp_job.output(timeout=60) == {"got": {"prompt": "hello"}}
    assert rp_job.status() == "COMPLETED"
    assert endpoint.run_sync({"prompt": "hello"}, 60) == {"got": {"prompt": "hello"}}
    assert endpoint.run_sync({"input": {}}, timeout=60) == {"got": {}}
    assert list(endpoint.run({"chunks": [1, 2]}).stream()) == [1, 2]
    assert endpoint.health()["workers"] == {"idle": 1, "running": 0}
    assert endpoint.purge_queue()["removed"] == 0
    with pytest.raises(JobFailedError, match="it failed"):
        endpoint.run_sync({"input": "fail"}, 60)
    with pytest.raises(TimeoutError):
        runpod.Endpoint("nobody-serves-this").run_sync({"prompt": "hello"}, 0.2)


def test_a_client_and_a_job_by_id(served: str) -> None:
    client = RunPodClient()
    queued = client.post(f"{served}/run", {"input": 5})
    assert Job(served, queued["id"], client).output(timeout=60) == {"got": 5}
    assert client.get(f"{served}/status/{queued['id']}", timeout=5)["status"] == "COMPLETED"


async def test_an_asyncio_endpoint(served: str, gateway: Gateway) -> None:
    async with aiohttp.ClientSession() as session:
        endpoint = AsyncioEndpoint(served, session)
        job: AsyncioJob = await endpoint.run({"input": "the input, whatever keys it has"})
        await job.wait(timeout=60)
        assert await job.status() == "COMPLETED"
        assert await job.output() == {"got": {"input": "the input, whatever keys it has"}}
        assert [chunk async for chunk in (await endpoint.run({"chunks": [1, 2]})).stream()] == [1, 2]
        assert (await endpoint.health())["workers"]["idle"] == 1
        assert (await endpoint.purge_queue())["removed"] == 0

        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {gateway.api_key}"}
        again = AsyncioJob(served, job.job_id, session, headers)
        assert await again.output(timeout=60) == await job.output()
        assert await AsyncioJob.from_string(job.to_string(), again._client).status() == "COMPLETED"

        with pytest.raises(JobFailedError, match="it failed"):
            await (await endpoint.run("fail")).output(timeout=60)
        waiting = await AsyncioEndpoint("nobody-serves-this", session).run({})
        with pytest.raises(WaitTimeoutError):
            await waiting.output(timeout=0.2)
        assert await waiting.cancel()
        assert not session.closed


def test_a_key_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runpod, "api_key", None)
    with pytest.raises(RuntimeError, match="API key") as told:
        RunPodClient()
    assert isinstance(told.value, runpod.error.AuthenticationError)
    assert isinstance(told.value, runpod.error.RunPodError)


def test_the_difference_is_told_once() -> None:
    done = run_python(
        "from novita_gpus.endpoint.runner import RunPodClient\nfor _ in range(3):\n    RunPodClient('key')\n"
    )
    assert done.returncode == 0
    assert done.stderr.count("code written for runpod runs here") == 1
    for difference in ("a failed job raises its error", "until it is acknowledged", "progress stays in order"):
        assert difference in done.stderr


def test_names_load_what_they_need_and_no_more(tmp_path: Path) -> None:
    heavy = ["aiohttp", "boto3", "google.protobuf", "msgspec", "novita_gateway", "novita_worker", "requests"]
    program = (
        "import json, sys\n"
        "import novita_gpus as runpod\n"
        "runpod.serverless.utils, runpod.serverless.modules, runpod.endpoint, runpod.serverless.runpod_version\n"
        f"loaded = [[name for name in {heavy} if name in sys.modules]]\n"
        "runpod.RunPodLogger, runpod.serverless.utils.rp_cuda.is_available, runpod.serverless.register_fitness_check\n"
        f"loaded.append([name for name in {heavy} if name in sys.modules])\n"
        "print(json.dumps(loaded))\n"
    )
    done = run_python(program)
    assert json.loads(done.stdout) == [[], []], done.stderr
    assert sys.version_info >= (3, 11)


@pytest.mark.parametrize(("line", "times"), [("import novita_gpus as runpod", 1), ("import novita_gpus", 0)])
def test_a_client_is_told_once_what_is_not_as_with_runpod(line: str, times: int) -> None:
    name = line.split()[-1]
    done = run_python(f"{line}\nfor _ in range(3): {name}.Endpoint('ep', api_key='K')")
    assert (done.stdout + done.stderr).count("written for runpod runs here as it is, except") == times
