"""Workers tell their types to the gateway; clients read them, and check before they submit."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from novita_gateway import Gateway
from novita_sdk import AsyncClient, Client, Endpoint, InvalidInputError
from novita_sdk.models import EndpointSchema, MethodSchema
from novita_sdk.typed import describe, input_check, read_handler
from tests.support.typed_workers import SCRIPT, Serve
from tests.support.waiting import DEADLINE, eventually
from tests.support.web import serve_handler
from tests.support.world import bare_worker_env


@dataclass
class Sum:
    numbers: list[int]


def published(endpoint: Endpoint) -> dict[str, Any]:
    """The schema, as soon as the worker has told it."""
    schema = eventually(endpoint.schema, "no schema was published")
    assert schema is not None
    return schema


def test_a_worker_of_messages_tells_schemas_and_descriptors(serve: Serve, shop: ModuleType, gateway: Gateway) -> None:
    endpoint = serve("service")
    schema = published(endpoint)
    (method,) = schema["methods"]
    assert (method["name"], method["inputMessage"], method["outputMessage"]) == (
        "Draw",
        "shop.v1.Draw",
        "shop.v1.Drawn",
    )
    assert method["isStream"] is False
    jsonschema.validate({"prompt": "x", "width": 64}, method["input"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"prompt": "x", "width": 3}, method["input"])
    files = FileDescriptorSet.FromString(base64.b64decode(schema["descriptors"])).file
    assert "shop/v1/shop.proto" in [file.name for file in files]


def test_a_check_refuses_what_the_worker_would_and_queues_nothing(serve: Serve) -> None:
    endpoint = serve("annotated")
    published(endpoint)
    with pytest.raises(InvalidInputError, match="No job was submitted") as caught:
        endpoint.run({"prompt": "", "width": 8}, check=True)
    assert [(item.field, item.rule, item.value) for item in caught.value.violations] == [
        ("prompt", "string.min_len", ""),
        ("width", "int32.gte_lte", 8),
    ]
    with pytest.raises(InvalidInputError, match="did you mean prompt"):
        endpoint.run({"promt": "x", "width": 64}, check=True)
    assert list(endpoint.jobs()) == []
    assert endpoint.run({"prompt": "fig", "width": 64}, check=True).output(timeout=60)["images"]
    assert endpoint.run({"prompt": "fig", "width": 64}, check=True).output(timeout=60)["images"]


def test_a_lenient_worker_is_checked_leniently(serve: Serve) -> None:
    endpoint = serve("annotated", unknown_fields="ignore")
    assert published(endpoint)["allowsUnknownFields"] is True
    assert endpoint.run({"prompt": "fig", "width": 64, "new": 1}, check=True).output(timeout=60)["images"]


async def test_dataclasses_are_checked_by_their_schema(serve: Serve, gateway: Gateway) -> None:
    endpoint = serve("total")
    assert "descriptors" not in published(endpoint)
    with pytest.raises(InvalidInputError, match="No job was submitted") as caught:
        endpoint.run({"numbers": [1, "two"]}, check=True)
    assert [(item.field, item.rule, item.value) for item in caught.value.violations] == [("numbers[1]", "type", "two")]
    async with AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client:
        same = client.endpoint(endpoint.endpoint_id)
        assert (await same.schema() or {})["methods"][0]["input"]
        with pytest.raises(InvalidInputError):
            await same.run({"numbers": 1}, check=True)
        assert await (await same.run({"numbers": [1, 2]}, check=True)).output(30) == {"total": 3}


def test_an_endpoint_that_told_nothing_refuses_nothing(gateway: Gateway) -> None:
    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        endpoint = client.endpoint("untyped-endpoint")
        assert endpoint.schema() is None
        assert endpoint.run({"anything": 1}, check=True).status() == "PENDING"


def test_a_refusal_is_never_by_an_outdated_schema(gateway: Gateway, publish: Callable[[str, bytes], None]) -> None:
    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        endpoint = client.endpoint("changing")
        publish("changing", b'{"type": "integer"}')
        endpoint.run(1, check=True)
        publish("changing", b'{"type": "string"}')
        endpoint.run("one", check=True)
        with pytest.raises(InvalidInputError):
            endpoint.run(1, check=True)


@pytest.mark.parametrize("descriptors", ["?", "AAAA"])
def test_damaged_descriptors_are_an_error_of_their_own(descriptors: str) -> None:
    method = MethodSchema(input=b"{}", input_message="a.B")
    with pytest.raises(ValueError, match=r"damaged|no descriptor"):
        input_check(EndpointSchema(methods=[method], descriptors=descriptors))


def test_a_stream_says_so_and_plain_outputs_have_no_schema() -> None:
    def handler(request: Sum):  # type: ignore[no-untyped-def] # no output type
        yield request.numbers

    typed = read_handler(handler, context_type=int)
    assert typed is not None
    (method,) = describe(typed, lenient=False).methods
    assert method.is_stream
    assert not method.HasField("output")
    assert not method.HasField("name")


def test_a_gateway_without_the_route_is_asked_once_and_nothing_is_logged(
    generated: Path, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    calls: Counter[str] = Counter()
    enough = threading.Event()

    async def handle(request: web.Request) -> web.Response:
        word = request.path.split("/")[2]
        calls[word] += 1
        if calls["job-take"] > 3:
            enough.set()
        if request.method == "POST":
            return web.Response(status=404)
        await asyncio.sleep(0.05)
        return web.Response(status=204)

    with serve_handler(handle) as url:
        environment = {
            **plain_environment,
            "PYTHONPATH": os.pathsep.join([str(generated), os.environ.get("PYTHONPATH", "")]),
            **bare_worker_env(f"{url}/ep"),
        }
        command = [sys.executable, str(SCRIPT), "total", "{}"]
        worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            assert enough.wait(DEADLINE)
        finally:
            worker.terminate()
            _, log = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == 0
    assert calls["job-schema"] == 1
    assert "types" not in log
    assert "404" not in log


@pytest.fixture
def publish(gateway: Gateway) -> Callable[[str, bytes], None]:
    """Publishes a JSON Schema of an input as a worker does."""
    import requests

    def post(endpoint: str, schema: bytes) -> None:
        reply = requests.post(
            f"{gateway.url}/{endpoint}/job-schema/w1",
            json={"methods": [{"input": json.loads(schema)}]},
            headers={"Authorization": gateway.worker_token},
            timeout=60,
        )
        assert reply.status_code == 200, reply.text

    return post
