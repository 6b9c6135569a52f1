"""The sync client in threads, in forked children and under Ctrl-C; what making one costs; jobs that change process."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

import novita_sdk
from novita_gateway import Gateway
from novita_sdk import Client, RequestEvent, errors
from tests.support.hand_worker import HandWorker
from tests.support.processes import run_python


def test_threads_share_a_client(client: Client, endpoint_name: str) -> None:
    endpoint = client.endpoint(endpoint_name)
    with ThreadPoolExecutor(16) as pool:
        jobs = list(pool.map(endpoint.run, range(100)))
        assert len({job.job_id for job in jobs}) == 100
        assert set(pool.map(lambda job: job.status(), jobs)) <= {"PENDING", "IN_QUEUE"}


def test_threads_that_begin_together_load_one_driver(gateway: Gateway) -> None:
    with novita_sdk.Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        barrier = threading.Barrier(8)

        def begin(_: int) -> object:
            barrier.wait(60)
            return client._open()

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(begin, range(8)))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(gateway: Gateway, endpoint_name: str, tmp_path: Path) -> None:
    program = """
import os, sys, novita_sdk
client = novita_sdk.Client(api_key=sys.argv[1], base_url=sys.argv[2])
endpoint = client.endpoint(sys.argv[3])
job = endpoint.run("before")
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        for _ in range(20):
            assert endpoint.run(number).status() in ("PENDING", "IN_QUEUE")
        assert job.status() in ("PENDING", "IN_QUEUE")
        os._exit(0)
    children.append(pid)
for _ in range(20):
    assert endpoint.run("parent").status() in ("PENDING", "IN_QUEUE")
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
assert endpoint.health()["jobs"]["inQueue"] == 101
"""
    done = run_python(program, gateway.api_key, gateway.url, endpoint_name, options=("-W", "error"))
    assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def interrupted_while_asking(gateway: Gateway) -> Iterator[Client]:
    """A client whose first question after a job's state is met by a Ctrl-C."""
    main = threading.main_thread().ident
    assert main is not None
    keys: list[threading.Thread] = []

    def press(event: RequestEvent) -> None:
        if "/status/" in event.url and not keys:
            keys.append(threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGINT)))
            keys[0].start()

    with novita_sdk.Client(api_key=gateway.api_key, base_url=gateway.url, on_request=[press]) as client:
        yield client
    for key in keys:
        key.join()


def test_ctrl_c_leaves_the_job_usable_and_says_how_to_go_on(
    gateway: Gateway, endpoint_name: str, worker: HandWorker
) -> None:
    with interrupted_while_asking(gateway) as client:
        job = client.endpoint(endpoint_name).run({})
        with pytest.raises(KeyboardInterrupt) as raised:
            job.output(timeout=60)
        (note,) = raised.value.__notes__
        assert f"endpoint.job('{job.job_id}')" in note
        worker.finish(worker.take()["id"], output=1)
        assert job.output(timeout=60) == 1


@pytest.mark.parametrize(("manifest", "said"), [(None, "With manifest="), ("run.jsonl", "the same manifest")])
def test_ctrl_c_in_a_batch_says_how_to_go_on(
    gateway: Gateway, endpoint_name: str, tmp_path: Path, manifest: str | None, said: str
) -> None:
    path = None if manifest is None else tmp_path / manifest
    with interrupted_while_asking(gateway) as client:
        with pytest.raises(KeyboardInterrupt) as raised:
            list(client.endpoint(endpoint_name).map([1, 2, 3], manifest=path))
        assert said in raised.value.__notes__[0]
        client.endpoint(endpoint_name).purge_queue()  # nobody waits for these jobs any longer


def test_a_wait_keeps_its_deadline_while_others_hold_every_place(
    gateway: Gateway, endpoint_name: str, worker: HandWorker
) -> None:
    with novita_sdk.Client(api_key=gateway.api_key, base_url=gateway.url, max_connections=2) as client:
        jobs = [client.endpoint(endpoint_name).run(number) for number in range(3)]
        with ThreadPoolExecutor(3) as pool:
            long = [pool.submit(job.wait, 60) for job in jobs[:2]]
            with pytest.raises(errors.WaitTimeoutError):
                jobs[2].wait(timeout=0.5)
            assert not any(wait.done() for wait in long)
            for _ in jobs:
                worker.finish(worker.take()["id"], output=1)
            assert [wait.result().status for wait in long] == ["COMPLETED", "COMPLETED"]


async def test_a_cancelled_task_leaves_the_job_usable(gateway: Gateway, endpoint_name: str, worker: HandWorker) -> None:
    async with novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client:
        job = await client.endpoint(endpoint_name).run({})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await job.output(timeout=60)
        await asyncio.to_thread(lambda: worker.finish(worker.take()["id"], output=1))
        assert await job.output(timeout=60) == 1


def test_an_async_client_serves_many_loops(gateway: Gateway, endpoint_name: str) -> None:
    client = novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url)
    job_ids: list[str] = []

    async def use() -> None:
        job = await client.endpoint(endpoint_name).run({})
        assert await job.status() == "PENDING"
        job_ids.append(job.job_id)

    async def use_and_close() -> None:
        await use()
        async with asyncio.timeout(10):
            await client.close()  # the connections of other loops too

    async def use_beside_another_loop() -> None:
        await use()
        await asyncio.to_thread(lambda: asyncio.run(use_and_close()))
        await use_and_close()

    asyncio.run(use_beside_another_loop())
    asyncio.run(use_and_close())
    assert len(set(job_ids)) == 4


def test_an_async_client_may_outlive_its_loops(gateway: Gateway) -> None:
    """As a module's global does, with `asyncio.run` again and again and never a `close`."""
    program = """
import asyncio, sys, novita_sdk
client = novita_sdk.AsyncClient(api_key=sys.argv[1], base_url=sys.argv[2])
for _ in range(3):
    print(sorted(asyncio.run(client.endpoint("x").health())))
"""
    assert run_python(program, gateway.api_key, gateway.url).stdout.count("workers") == 3


def test_an_async_session_of_ones_own_ties_a_client_to_its_loop(gateway: Gateway) -> None:
    async def make() -> novita_sdk.AsyncClient:
        session = aiohttp.ClientSession()
        client = novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url, session=session)
        await client.endpoint("x").health()
        await session.close()
        return client

    async def use(client: novita_sdk.AsyncClient) -> None:
        await client.endpoint("x").health()

    with asyncio.Runner() as runner:
        client = runner.run(make())
        with pytest.raises(RuntimeError, match="session of your own"):
            asyncio.run(use(client))
        with pytest.raises(TypeError, match="session of your own"):
            pickle.dumps(client)


def test_a_job_changes_process_as_text(gateway: Gateway, client: Client, endpoint_name: str) -> None:
    job = client.endpoint(endpoint_name).run({})
    program = """
import sys, novita_sdk
with novita_sdk.Client(api_key=sys.argv[1], base_url=sys.argv[2]) as client:
    print(novita_sdk.Job.from_string(sys.argv[3], client).status())
"""
    done = run_python(program, gateway.api_key, gateway.url, job.to_string())
    assert (done.stdout.strip(), done.stderr) == (job.status(), "")
    assert novita_sdk.AsyncJob.from_string(job.to_string(), novita_sdk.AsyncClient(api_key="k")).job_id == job.job_id


def test_errors_of_a_process_pool_arrive_whole(client: Client) -> None:
    with pytest.raises(errors.NotFoundError) as raised:
        client.endpoint("x").job("none").status()
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.job_id, copy.response.status_code) == (str(raised.value), "none", 404)


def test_making_a_client_loads_nothing_that_sends() -> None:
    program = """
import json, sys, novita_sdk
novita_sdk.Client(api_key="k").endpoint("x").job("j")
novita_sdk.AsyncClient(api_key="k").endpoint("x").job("j")
print(json.dumps(sorted(sys.modules)))
"""
    done = run_python(program)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"requests", "urllib3", "aiohttp", "asyncio", "google", "logging", "msgspec", "ssl", "boto3"}


def test_reading_a_type_loads_no_optional_package() -> None:
    done = run_python("import sys, novita_sdk.typed as t; t.find_adapter(dict); print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert {"pydantic", "protovalidate", "requests", "aiohttp"}.isdisjoint(done.stdout.split())


def test_a_call_loads_only_what_it_needs(gateway: Gateway) -> None:
    program = """
import json, sys, novita_sdk
with novita_sdk.Client(api_key=sys.argv[1], base_url=sys.argv[2]) as client:
    client.endpoint("x").health()
print(json.dumps(sorted(sys.modules)))
"""
    done = run_python(program, gateway.api_key, gateway.url)
    assert done.returncode == 0, done.stderr
    unneeded = {"aiohttp", "asyncio", "boto3", "grpc", "novita_sdk.files._file", "novita_sdk.typed", "protovalidate"}
    assert not unneeded & set(json.loads(done.stdout))


def test_every_public_name_is_there() -> None:
    for name in novita_sdk.__all__:
        assert getattr(novita_sdk, name) is not None
    assert set(novita_sdk.__all__) <= set(dir(novita_sdk))
    with pytest.raises(AttributeError, match="nonsense"):
        novita_sdk.nonsense  # noqa: B018
