"""What the gateway says about itself."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from novita_gateway import Gateway, Limits, ManualClock, MemoryStore, log_to


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
    connect: Any, log: io.StringIO
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
