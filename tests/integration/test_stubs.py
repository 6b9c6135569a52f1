"""The generated stubs against a real gateway: every method of both services, blocking and not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator
from typing import Any

from google.protobuf.message import Message

from novita_gateway import Gateway
from novita_sdk import AsyncClient, Client
from novita_sdk.models import (
    CancelRequest,
    EndpointSchema,
    FinishJobRequest,
    GetHealthRequest,
    GetSchemaRequest,
    GetStatusRequest,
    JobRequest,
    JobResult,
    ListJobsRequest,
    MethodSchema,
    PingRequest,
    PublishSchemaRequest,
    PurgeQueueRequest,
    ReadStreamRequest,
    RetryRequest,
    RunRequest,
    RunSyncRequest,
    StreamChunk,
    StreamJobRequest,
    TakeJobRequest,
    TakeJobsRequest,
    WatchStopsRequest,
)
from novita_sdk.rpc import (
    JobsServiceAsync,
    JobsServiceMethods,
    JobsServiceSync,
    Method,
    WorkerServiceAsync,
    WorkerServiceMethods,
    WorkerServiceSync,
)
from tests.support.repository import DOCS

ALL = (*JobsServiceMethods.ALL, *WorkerServiceMethods.ALL)
METHODS: dict[type[Message], Method[Message, Message]] = {method.request: method for method in ALL}


def life(endpoint: str) -> Generator[Message, Any, None]:
    """Yields the requests of both sides of a few jobs, is sent the responses, and checks them."""
    pod = "pod1"
    schema = EndpointSchema(methods=[MethodSchema(input=b'{"type":"object"}')])
    yield PublishSchemaRequest(endpoint=endpoint, worker_id=pod, schema=schema)
    assert (yield GetSchemaRequest(endpoint=endpoint)).schema == schema

    submit = JobRequest(input=b'{"seed":1125899906842624123}')
    job_id = (yield RunRequest(endpoint=endpoint, request=submit)).job.id
    taken = (yield TakeJobRequest(endpoint=endpoint, worker_id=pod)).job
    assert (taken.id, taken.input) == (job_id, submit.input)
    yield PingRequest(endpoint=endpoint, worker_id=pod, job_id=job_id)
    yield StreamJobRequest(endpoint=endpoint, worker_id=pod, id=job_id, chunk=StreamChunk(output=b"[1]"))
    read = yield ReadStreamRequest(endpoint=endpoint, id=job_id)
    assert [chunk.output for chunk in read.stream] == [b"[1]"]

    yield FinishJobRequest(endpoint=endpoint, worker_id=pod, id=job_id, result=JobResult(error=b'"no luck"'))
    failed = (yield GetStatusRequest(endpoint=endpoint, id=job_id)).job
    assert (failed.status, failed.error) == ("FAILED", b'"no luck"')
    assert (yield RetryRequest(endpoint=endpoint, id=job_id)).job.id == job_id
    assert [job.id for job in (yield TakeJobsRequest(endpoint=endpoint, worker_id=pod, batch_size=2)).jobs] == [job_id]
    yield FinishJobRequest(endpoint=endpoint, worker_id=pod, id=job_id, result=JobResult(output=b'{"n":1.0}'))
    done = (yield GetStatusRequest(endpoint=endpoint, id=job_id)).job
    assert (done.status, done.output) == ("COMPLETED", b'{"n":1.0}')

    stopped = (yield RunSyncRequest(endpoint=endpoint, request=submit, wait=1)).job.id
    assert (yield TakeJobRequest(endpoint=endpoint, worker_id=pod)).job.id == stopped
    assert (yield CancelRequest(endpoint=endpoint, id=stopped)).job.status == "CANCELLED"
    assert (yield WatchStopsRequest(endpoint=endpoint, worker_id=pod)).jobs_to_stop == [stopped]

    queued = (yield RunRequest(endpoint=endpoint, request=submit)).job.id
    assert (yield GetHealthRequest(endpoint=endpoint)).health.jobs.in_queue == 1
    assert (yield PurgeQueueRequest(endpoint=endpoint)).removed == 1
    assert [job.id for job in (yield ListJobsRequest(endpoint=endpoint)).jobs] == [queued, stopped, job_id]


def sent(steps: Generator[Message, Message, None], request: Message, response: Message) -> Message | None:
    """The request that follows a response, if there is one."""
    assert type(response) is METHODS[type(request)].response
    try:
        return steps.send(response)
    except StopIteration:
        return None


class Stubs:
    """Calls what a request is for, by its name in Python, and keeps count."""

    def __init__(self, *stubs: object) -> None:
        self._stubs = dict(zip(("JobsService", "WorkerService"), stubs, strict=True))
        self.called: set[type[Message]] = set()

    def call(self, request: Message) -> Any:
        method = METHODS[type(request)]
        self.called.add(method.request)
        return getattr(self._stubs[method.service.rpartition(".")[2]], method.python_name)(request)


def test_every_method_by_its_blocking_stub(gateway: Gateway) -> None:
    with (
        Client(api_key=gateway.api_key, base_url=gateway.url) as client,
        Client(api_key=gateway.worker_token, base_url=gateway.url) as worker,
    ):
        stubs, steps = Stubs(JobsServiceSync(client), WorkerServiceSync(worker)), life("stubs-sync")
        request: Message | None = next(steps)
        while request is not None:
            request = sent(steps, request, stubs.call(request))
    assert stubs.called == METHODS.keys()


async def test_every_method_by_its_stub_for_event_loops(gateway: Gateway) -> None:
    async with (
        AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client,
        AsyncClient(api_key=gateway.worker_token, base_url=gateway.url) as worker,
    ):
        stubs, steps = Stubs(JobsServiceAsync(client), WorkerServiceAsync(worker)), life("stubs-async")
        request: Message | None = next(steps)
        while request is not None:
            request = sent(steps, request, await stubs.call(request))
    assert stubs.called == METHODS.keys()


def test_the_stub_in_the_documentation_works_as_it_stands(gateway: Gateway, plain_environment: dict[str, str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "client.md").read_text(encoding="utf-8"), re.M | re.S)
    (code,) = (block for block in blocks if "JobsServiceSync" in block)
    environment = {"NOVITA_API_KEY": gateway.api_key, "NOVITA_ENDPOINT_BASE_URL": gateway.url}
    command = [sys.executable, "-W", "error", "-c", code]
    outcome = subprocess.run(
        command, env={**plain_environment, **environment}, capture_output=True, text=True, check=False
    )
    assert (outcome.returncode, outcome.stdout) == (0, "0\n"), outcome.stderr
