"""Batches that survive the death of their client: real processes, real kills."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from novita_gateway import Gateway, Waits, serve_in_thread
from novita_sdk import Endpoint, errors
from novita_sdk.files import File
from tests.support.hand_worker import HandWorker
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker
from tests.support.waiting import Meanwhile

OURS = {"Novita-Long-Poll": "60000"}

SYNC = """
import sys, novita_sdk
url, key, endpoint, manifest, count = sys.argv[1:]
with novita_sdk.Client(api_key=key, base_url=url) as client:
    for output in client.endpoint(endpoint).map(range(int(count)), concurrency=6, manifest=manifest):
        print(output, flush=True)
"""

ASYNC = """
import asyncio, sys, novita_sdk
url, key, endpoint, manifest, count = sys.argv[1:]
async def main():
    async with novita_sdk.AsyncClient(api_key=key, base_url=url) as client:
        async for output in client.endpoint(endpoint).map(range(int(count)), concurrency=6, manifest=manifest):
            print(output, flush=True)
asyncio.run(main())
"""


@pytest.fixture
def counting_worker() -> Iterator[tuple[Gateway, Counter[int]]]:
    """A gateway with a worker on the endpoint `batch` that counts how often it sees each input."""
    runs: Counter[int] = Counter()
    stop = threading.Event()
    with serve_in_thread(lambda: Gateway(waits=Waits(take=200))) as gateway:
        environment = gateway.worker_env("batch")

        def work() -> None:
            with requests.Session() as session:
                session.headers["Authorization"] = environment["NOVITA_AI_API_KEY"]
                take = environment["NOVITA_WEBHOOK_GET_JOB"].replace("$ID", "w") + "&job_in_progress=0"
                while not stop.is_set():
                    reply = session.get(take, timeout=60)
                    if reply.status_code != 200:
                        continue
                    job = reply.json()
                    runs[job["input"]] += 1
                    done = environment["NOVITA_WEBHOOK_POST_OUTPUT"].replace("$NOVITA_POD_ID", "w")
                    url = done.replace("$ID", job["id"]) + "&isStream=false"
                    session.post(url, data=json.dumps({"output": job["input"] * 10}), timeout=60)

        thread = threading.Thread(target=work)
        thread.start()
        yield gateway, runs
        stop.set()
        thread.join(60)


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_every_input_runs_once_however_often_the_client_is_killed(
    counting_worker: tuple[Gateway, Counter[int]], tmp_path: Path, program: str
) -> None:
    gateway, runs = counting_worker
    count, manifest = 80, tmp_path / "run.jsonl"
    command = [sys.executable, "-c", program, gateway.url, gateway.api_key, "batch", str(manifest), str(count)]
    moments = random.Random(7)
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(moments.randint(1, 10)):
                process.stdout.readline()
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
    last = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert last.stdout.split() == [str(number * 10) for number in range(count)]
    assert runs == Counter(range(count))


def run(endpoint: Endpoint, inputs: list[Any], manifest: Path, **options: Any) -> list[Any]:
    return list(endpoint.map(inputs, manifest=manifest, return_exceptions=True, **options))


def test_a_finished_batch_is_read_from_its_manifest(
    endpoint: Endpoint, worker: HandWorker, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    manifest = tmp_path / "run.jsonl"
    inputs = [{"a": 1}, "boom", {"a": 1}]

    def work() -> None:
        for output in (10, 11, 12):
            job = worker.take()
            worker.finish(job["id"], **({"error": "boom"} if job["input"] == "boom" else {"output": output}))

    meanwhile(work)
    first = run(endpoint, inputs, manifest, concurrency=1)
    assert (first[0], first[2]) == (10, 12)
    second = run(endpoint, inputs, manifest)
    assert (second[0], second[2]) == (10, 12)
    assert [type(error) for error in (first[1], second[1])] == [errors.JobFailedError] * 2
    assert str(first[1]) == str(second[1])
    assert endpoint.health()["jobs"]["completed"] == 2


def test_another_manifest_means_other_jobs(
    endpoint: Endpoint, worker: HandWorker, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    def work() -> None:
        for number in range(2):
            worker.finish(worker.take()["id"], output=number)

    meanwhile(work)
    assert run(endpoint, [1], tmp_path / "one.jsonl") == [0]
    assert run(endpoint, [1], tmp_path / "two.jsonl") == [1]


def test_a_line_that_was_cut_short_is_dropped(
    endpoint: Endpoint, worker: HandWorker, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    manifest = tmp_path / "run.jsonl"
    meanwhile(lambda: worker.finish(worker.take()["id"], output="once"))
    assert run(endpoint, [1], manifest) == ["once"]
    whole = manifest.read_bytes()
    for cut in range(1, len(whole), 7):
        manifest.write_bytes(whole[:-cut])
        if manifest.read_bytes().count(b"\n"):
            assert run(endpoint, [1], manifest) == ["once"]


@pytest.mark.parametrize(
    "content", ["hello\n", "[]\n", '{"manifest": 99, "endpoint": "x", "batch": "b"}\n', '{"a": 1}\n']
)
def test_a_file_that_is_no_manifest_is_left_alone(endpoint: Endpoint, tmp_path: Path, content: str) -> None:
    manifest = tmp_path / "precious.jsonl"
    manifest.write_text(content)
    with pytest.raises(errors.InvalidInputError, match="is no manifest"):
        run(endpoint, [1], manifest)
    assert manifest.read_text() == content


def test_a_manifest_of_another_endpoint_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    manifest = tmp_path / "run.jsonl"
    assert run(endpoint, [], manifest) == []
    head = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**head, "endpoint": "other"}) + "\n")
    with pytest.raises(errors.InvalidInputError, match="belongs to endpoint other"):
        run(endpoint, [1], manifest)


def test_a_manifest_has_one_user_at_a_time(
    endpoint: Endpoint, worker: HandWorker, tmp_path: Path, meanwhile: Meanwhile
) -> None:
    manifest = tmp_path / "run.jsonl"
    meanwhile(lambda: worker.finish(worker.take()["id"], output=1))
    outputs = endpoint.map([1, 2], concurrency=1, manifest=manifest)
    assert isinstance(outputs, Generator)
    next(outputs)
    with pytest.raises(errors.InvalidInputError, match="in use by another"):
        run(endpoint, [1], manifest)
    outputs.close()
    endpoint.purge_queue()


def test_a_file_system_without_locks_will_do(
    endpoint: Endpoint, worker: HandWorker, tmp_path: Path, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    meanwhile(lambda: worker.finish(worker.take()["id"], output=1))
    assert run(endpoint, [1], tmp_path / "run.jsonl") == [1]


def test_a_submit_that_a_crash_cut_short_is_not_repeated_where_keys_are_not_recognised(
    scripted: ScriptedGateway, make_client: ClientMaker, tmp_path: Path
) -> None:
    manifest = tmp_path / "run.jsonl"
    scripted.script("run", Answer(fault="reset"))
    scripted.script("health", Answer(body={}))
    endpoint = make_client(base_url=scripted.url).endpoint("x")
    for _ in range(2):
        (error,) = run(endpoint, [1], manifest)
        assert isinstance(error, errors.SubmitUncertainError)
    assert len(scripted.calls("run")) == 1
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}, headers=OURS))
    scripted.script("health", Answer(body={}, headers=OURS))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": 5}, headers=OURS))
    assert run(make_client(base_url=scripted.url).endpoint("x"), [1], manifest) == [5]
    assert len({request.headers["idempotency-key"] for request in scripted.calls("run")}) == 1


def test_outputs_are_the_same_when_they_come_from_the_manifest(
    scripted: ScriptedGateway, make_client: ClientMaker, tmp_path: Path
) -> None:
    manifest = tmp_path / "run.jsonl"
    file = {"url": "https://bucket/a.png", "name": "a.png", "sha256": "0" * 64, "size": 1}
    output = b'{"loss": NaN, "text": "\\ud800", "image": %b}' % json.dumps(file).encode()
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script(
        "status",
        Answer(
            body=b'{"id":"j","status":"COMPLETED","output":%b}' % output, headers={"Content-Type": "application/json"}
        ),
    )
    endpoint = make_client(base_url=scripted.url).endpoint("x")
    first, again = (run(endpoint, [1], manifest)[0] for _ in range(2))
    assert isinstance(first["image"], File)
    assert isinstance(again["image"], File)
    assert repr(first) == repr(again)
    assert len(scripted.calls("status")) == 1


def test_a_full_disk_leaves_no_half_lines(scripted: ScriptedGateway, tmp_path: Path) -> None:
    manifest = tmp_path / "run.jsonl"
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": "x" * 2000}))
    program = """
import resource, signal, sys, novita_sdk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with novita_sdk.Client(api_key="k", base_url=sys.argv[1]) as client:
    for error in client.endpoint("x").map([1, 2], manifest=sys.argv[2], concurrency=1, return_exceptions=True):
        print(type(error).__name__)
"""
    command = [sys.executable, "-c", program, scripted.url, str(manifest)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["OSError", "OSError"]
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [line["job_id"] for line in lines if "job_id" in line] == ["j", "j"]
    assert not any("status" in line for line in lines)


def test_a_submit_that_was_refused_is_made_again(
    scripted: ScriptedGateway, make_client: ClientMaker, tmp_path: Path
) -> None:
    manifest = tmp_path / "run.jsonl"
    scripted.script("run", Answer(status=401), Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": 5}))
    endpoint = make_client(base_url=scripted.url).endpoint("x")
    (error,) = run(endpoint, [1], manifest)
    assert isinstance(error, errors.AuthenticationError)
    assert run(endpoint, [1], manifest) == [5]
