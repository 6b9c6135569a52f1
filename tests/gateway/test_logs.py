"""What the gateway says about itself."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from novita_gateway import Gateway, Limits, ManualClock, MemoryStore, log_to
from tests.support.gateway_api import Api, Connect, raw_connection


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    logger = logging.getLogger("novita_gateway")
    before = (logger.level, logger.propagate, list(logger.handlers))
    stream = io.StringIO()
    log_to(io.StringIO())
    log_to(stream)
    yield stream
    logger.level, logger.propagate, logger.handlers = before


async def test_what_the_board_decides_is_logged_in_json_without_payloads_or_keys(
    connect: Connect, log: io.StringIO
) -> None:
    clock = ManualClock()
    api = await connect(Gateway(store=MemoryStore(clock=clock, limits=Limits(lease=5000))))
    job_id = await api.submit(b'{"input": "the payload"}')
    await api.take("w1")
    clock.advance(5)
    await api.client("POST", f"/v1/ep/cancel/{job_id}")
    await api.worker("GET", "/v1/ep/ping/w1?status=unhealthy&check=gpu&reason=ECC")
    lost, cancelled, unhealthy = map(json.loads, log.getvalue().splitlines())
    assert (lost["endpoint"], lost["job_id"], lost["worker_id"], lost["level"]) == ("ep", job_id, "w1", "INFO")
    assert "offered again" in lost["message"]
    assert "cancelled by a client" in cancelled["message"]
    assert (unhealthy["level"], unhealthy["check"]) == ("WARNING", "gpu")
    for secret in ("the payload", api.gateway.api_key, api.gateway.worker_token):
        assert secret not in log.getvalue()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/ep/health HTTP/1.1\r\nAuthorization: Bearer SECRET\x00\r\n\r\n",
        b"GET /v1/ep/health HTTP/1.1\r\nAuthorization: Bearer SECRET" + b"x" * 9000 + b"\r\n\r\n",
        b"GET /v1/SECRET" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"SECRET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: SECRET\r\n\r\n",
    ],
)
async def test_a_request_that_is_no_http_is_answered_in_json_and_repeated_nowhere(
    api: Api, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    async with raw_connection(api.gateway) as (reader, writer):
        writer.write(request_bytes)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body)["code"] == "BAD_REQUEST"
    assert b"SECRET" not in body
    assert "SECRET" not in caplog.text
