"""Clients, endpoints, jobs and their methods that are pickled and copied: settings go along, connections don't."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import novita_gpus
import novita_sdk
from novita_gateway import Gateway
from tests.support.hand_worker import HandWorker

COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@dataclass
class Echo:
    """An output with a type."""

    number: int


@pytest.fixture(params=COPIES)
def again(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return COPIES[request.param]


def test_a_client_and_what_it_makes_can_be_copied(
    gateway: Gateway, endpoint_name: str, worker: HandWorker, again: Callable[[Any], Any]
) -> None:
    with novita_sdk.Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        endpoint = client.endpoint(endpoint_name)
        endpoint.health()  # with connections already there
        job = again(again(endpoint.run)({"n": 1}, output_type=Echo))
        assert gateway.api_key not in repr([client, endpoint, job, client._connection, endpoint.run])
        worker.finish(worker.take()["id"], output={"number": 7})
        assert again(job.output)(timeout=20) == Echo(7)
        assert job.output(timeout=20) == again(job).output() == Echo(7)
        assert again(endpoint).job(job.job_id).status() == "COMPLETED"
        assert again(client).endpoint(endpoint_name).health()


def test_a_published_endpoint_can_be_copied(gateway: Gateway, endpoint_name: str, again: Callable[[Any], Any]) -> None:
    endpoint = novita_gpus.Endpoint(endpoint_name, gateway.api_key, gateway.url)
    assert again(endpoint).run({}).status() == again(endpoint.run)({}).status() == "PENDING"


async def test_an_async_client_and_what_it_makes_can_be_copied(
    gateway: Gateway, endpoint_name: str, again: Callable[[Any], Any]
) -> None:
    async with novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client:
        endpoint = client.endpoint(endpoint_name)
        job = await endpoint.run({}, output_type=Echo)
        copies = [again(endpoint), again(job), again(endpoint.run).__self__, again(client).endpoint(endpoint_name)]
        assert await copies[1].status() == "PENDING"
        for each in (copies[0], *copies[2:]):
            assert await (await each.run({})).status() == "PENDING"
        for each in copies:
            await each._client.close()
