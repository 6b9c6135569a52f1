"""Client and jobs, with plain JSON and with output types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypedDict, assert_type

from shop.v1.shop_pb2 import Draw, Drawn

from novita_sdk import AsyncClient, AsyncJob, Client, InvalidInputError, Job, JobInfo, Policy, SubmitOptions
from novita_sdk.files import File
from novita_sdk.typed import AsyncTypedJob, TypedJob, Violation
from novita_sdk.webhooks import receive


@dataclass
class Total:
    total: int


class TotalDict(TypedDict):
    total: int


def sync(client: Client) -> None:
    endpoint = client.endpoint("e")
    job = endpoint.run({"a": 1}, idempotency_key="k", check=True, policy={"ttl": 60_000})
    assert_type(job, Job)
    assert_type(job.job_id, str)
    assert_type(job.status(), str)
    assert_type(job.info(), JobInfo)
    typed = endpoint.run(Draw(), output_type=Drawn)
    assert_type(typed, TypedJob[Drawn])
    assert_type(typed.output(timeout=3), Drawn)
    assert_type(typed.stream(), Iterator[Drawn])
    assert_type(endpoint.run({}, output_type=Total).output().total, int)
    assert_type(endpoint.run({}, output_type=TotalDict).output(), TotalDict)
    assert_type(endpoint.run(input={"input": 1}, low_priority=True), Job)
    assert_type(endpoint.run(input=Draw(), output_type=Drawn), TypedJob[Drawn])
    assert_type(endpoint.run_sync({}, output_type=Drawn, idempotency_key="k", timeout=3), Drawn)
    assert_type(endpoint.run_sync(input={}, output_type=Total, check=True), Total)
    assert_type(endpoint.map([{}], output_type=Drawn, concurrency=2, manifest="m"), Iterator[Drawn])
    assert_type(endpoint.map([{}], output_type=Drawn, return_exceptions=True), Iterator[Drawn | Exception])
    policy: Policy = {"ttl": 60_000, "lowPriority": True}
    options: SubmitOptions = {"policy": policy, "webhook": None}
    endpoint.run({}, **options)
    assert_type(endpoint.job("j"), Job)
    assert_type(endpoint.job("j", output_type=Drawn), TypedJob[Drawn])
    assert_type(TypedJob.from_string(typed.to_string(), client, Drawn), TypedJob[Drawn])
    assert_type(Drawn(images=[File.from_path("a.png").to_message()]), Drawn)
    try:
        endpoint.run(Draw())
    except InvalidInputError as error:
        assert_type(error.violations, tuple[Violation, ...])


async def asynchronous(client: AsyncClient) -> None:
    endpoint = client.endpoint("e")
    assert_type(await endpoint.run({"a": 1}), AsyncJob)
    assert_type(endpoint.job("j"), AsyncJob)
    assert_type(endpoint.job("j", output_type=Drawn), AsyncTypedJob[Drawn])
    assert_type(AsyncTypedJob.from_string("{}", client, Drawn), AsyncTypedJob[Drawn])
    typed = await endpoint.run(Draw(), output_type=Drawn)
    assert_type(typed, AsyncTypedJob[Drawn])
    assert_type(await typed.output(), Drawn)
    assert_type(typed.stream(), AsyncIterator[Drawn])
    assert_type(await endpoint.run_sync({}, output_type=Drawn), Drawn)
    assert_type(endpoint.map([{}], output_type=Drawn), AsyncIterator[Drawn])


def webhook(body: bytes) -> None:
    received = receive(body, {}, secret="whsec_AAAA")
    assert_type(received.info, JobInfo)
    assert_type(received.output(Drawn), Drawn)
