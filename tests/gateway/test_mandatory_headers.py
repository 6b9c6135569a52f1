"""What HTTP asks of answers and requests beside their bodies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Gateway, SQLiteStore
from tests.support.gateway_api import Api, Connect

from .test_files import upload


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("DELETE", "/v1/ep/run", "POST"),
        ("OPTIONS", "/v1/ep/status/j", "GET"),
        ("HEAD", "/v1/ep/job-take/w", "GET"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
        ("DELETE", f"/v1/blobs/{'0' * 64}", "GET, HEAD, PUT"),
        ("GET", "/v1/ep/files", "POST"),
    ],
)
async def test_a_405_says_what_is_allowed(api: Api, verb: str, path: str, allowed: str) -> None:
    reply = await api.client(verb, path)
    assert (reply.status, reply.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/metrics"])
async def test_pages_answer_head_as_get_without_a_body(api: Api, path: str) -> None:
    head, whole = await api.client("HEAD", path), await api.client("GET", path)
    assert (head.status, head.body, head.headers["Content-Type"]) == (200, b"", whole.headers["Content-Type"])


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize("path", ["/v1/ep/health", "/v1/ep/job-take/w", "/metrics"])
async def test_a_401_says_how_to_authenticate(api: Api, path: str, key: str | None) -> None:
    reply = await api.call("GET", path, None, **({} if key is None else {"Authorization": f"Bearer {key}"}))
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="novita-gateway"')


async def test_a_503_says_when_to_ask_again(connect: Connect, tmp_path: Path) -> None:
    store: Any = SQLiteStore(tmp_path / "jobs.db")
    api = await connect(Gateway(store=store))
    connection = store._journal._file._writer
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    reply = await api.client("POST", "/v1/ep/run", b'{"input": "' + b"x" * 100_000 + b'"}')
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    connection.execute("PRAGMA max_page_count = 1000000")


async def test_a_range_that_is_not_there_is_told_the_length(api: Api) -> None:
    reply = await api.call("GET", await upload(api), Range="bytes=400000-")
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */300000")


@pytest.mark.parametrize(
    ("version", "coding"),
    [("1.0", "chunked"), ("1.0", "Chunked"), ("1.1", "gzip, chunked"), ("1.1", "x, chunked")],
)
@pytest.mark.parametrize("target", ["POST /v1/ep/run", "PUT /v1/blobs/" + "0" * 64])
async def test_a_body_whose_end_two_servers_could_see_in_two_places_is_refused(
    api: Api, target: str, version: str, coding: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.gateway.port)
    head = f"{target} HTTP/{version}\r\nHost: x\r\nAuthorization: {api.gateway.api_key}\r\nConnection: keep-alive\r\n"
    second = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(f'{head}Transfer-Encoding: {coding}\r\n\r\nb\r\n{{"input":1}}\r\n0\r\n\r\n{second}'.encode())
    reply = await asyncio.wait_for(reader.read(), 10)
    assert reply.startswith(f"HTTP/{version} 400 ".encode()), reply
    assert b"Transfer-Encoding" in reply
    assert b'"status":"ok"' not in reply, "what follows may be the rest of its body"
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 0
    writer.close()
    await writer.wait_closed()
