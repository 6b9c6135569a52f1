"""What the gateway does not accept, and how it says so."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from novita_gateway import Gateway, Limits, MemoryStore
from novita_gateway.http.auth import Keys, Role
from novita_sdk.wire.payload import MAX_PAYLOAD
from tests.support.gateway_api import Api, Connect, Reply, raw_connection


def check_error(reply: Reply, status: int, code: str, *words: str) -> None:
    assert (reply.status, reply.json["code"]) == (status, code)
    for word in words:
        assert word in reply.json["message"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"nonsense", "not JSON"),
        (b"[]", "object"),
        (b"{}", "input"),
        (b'{"input": NaN}', "not JSON"),
        (b'{"input": "\xff"}', "UTF-8"),
        (b'{"input": 1, "policy": {"ttl": 0}}', "ttl"),
        (b'{"input": 1, "policy": {"executionTimeout": -5}}', "execution_timeout"),
        (b'{"input": 1, "policy": {"ttl": "soon"}}', "ttl"),
        (b'{"input": 1, "webhook": "ftp://example.com"}', "webhook"),
        (b'{"input": 1, "webhook": "http://127.0.0.1/x"}', "private"),
        (b'{"input": 1, "webhook": "http://[::ffff:10.0.0.1]/x"}', "private"),
        (b'{"input": 1, "webhook": "http://localhost:80/x"}', "private"),
        (b'{"input": 1, "webhook": "http://localhost./x"}', "private"),
        (b'{"input": 1, "webhook": "http://127.0.0.1./x"}', "private"),
        (b'{"input": 1, "webhook": "http://127.1/x"}', "private"),
        (b'{"input": 1, "webhook": "http://0177.0.0.1/x"}', "private"),
        (b'{"input": 1, "webhook": "http://0x7f000001/x"}', "private"),
        (b'{"input": 1, "webhook": "http://2130706433/x"}', "private"),
        (b'{"input": 1, "webhook": "http://0/x"}', "private"),
        (b'{"input": 1, "webhook": "http://user:pw@example.com/"}', "user name"),
        (b'{"input": 1, "webhook": "http://xn--/"}', "webhook"),
        (b'{"input": 1, "webhook": "http://a..b/"}', "webhook"),
        (b'{"input": 1, "webhook": 5}', "webhook"),
    ],
)
async def test_a_bad_submit_is_refused(api: Api, body: bytes, word: str) -> None:
    check_error(await api.client("POST", "/v1/ep/run", body), 400, "BAD_REQUEST", word)
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 0


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/v1/ep/status/unknown", 404, "JOB_NOT_FOUND"),
        ("POST", "/v1/ep/cancel/unknown", 404, "JOB_NOT_FOUND"),
        ("POST", "/v1/ep/retry/unknown", 404, "JOB_NOT_FOUND"),
        ("GET", "/v1/ep/stream/unknown", 404, "JOB_NOT_FOUND"),
        ("GET", "/v3/ep/health", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/v1/ep", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/v1/ep/status", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/v1/ep/status/a/b", 404, "ROUTE_NOT_FOUND"),
        ("DELETE", "/v1/ep/run", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/healthz", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/ep/status/x?wait=soon", 400, "BAD_REQUEST"),
        ("GET", "/v1/ep/requests?cursor=nowhere", 400, "BAD_REQUEST"),
        ("GET", "/v1/ep/requests?limit=99999999999", 400, "BAD_REQUEST"),
        ("GET", "/v1/a%2Fb/health", 400, "BAD_REQUEST"),
        ("GET", "/v1/%C3%A9/health", 400, "BAD_REQUEST"),
        ("GET", "/v1/a%20b/health", 400, "BAD_REQUEST"),
        ("GET", f"/v1/{'x' * 300}/health", 400, "BAD_REQUEST"),
    ],
)
async def test_a_bad_path_or_parameter_is_refused(api: Api, verb: str, path: str, status: int, code: str) -> None:
    check_error(await api.client(verb, path), status, code)


@pytest.mark.parametrize(
    "path", ["/v1/ep/job-take/a%2Fb", "/v1/ep/job-take-batch/w?batch_size=0", "/v1/ep/ping/w?job_id=%0A"]
)
async def test_a_bad_worker_call_is_refused(api: Api, path: str) -> None:
    check_error(await api.worker("GET", path), 400, "BAD_REQUEST")


async def test_errors_carry_the_job_id(api: Api) -> None:
    assert (await api.client("GET", "/v1/ep/status/j7")).json["jobId"] == "j7"


async def test_keys_are_for_their_own_side(api: Api) -> None:
    check_error(await api.call("GET", "/v1/ep/health"), 401, "UNAUTHORIZED", "API key")
    check_error(await api.call("GET", "/v1/ep/health", Authorization="Bearer wrong"), 401, "UNAUTHORIZED")
    check_error(await api.worker("GET", "/v1/ep/health"), 403, "FORBIDDEN", "API key")
    check_error(await api.client("GET", "/v1/ep/job-take/w"), 403, "FORBIDDEN", "worker token")
    check_error(await api.call("GET", "/v1/ep/job-take/w"), 401, "UNAUTHORIZED", "worker token")
    check_error(await api.call("GET", "/metrics"), 401, "UNAUTHORIZED")


async def test_a_worker_sends_its_token_with_or_without_bearer(api: Api) -> None:
    for value in (api.gateway.worker_token, f"Bearer {api.gateway.worker_token}", f"bearer {api.gateway.worker_token}"):
        assert (await api.call("GET", "/v1/ep/ping/w", Authorization=value)).status == 200


def test_keys_are_kept_hashed_and_shown_nowhere() -> None:
    keys = Keys(api_keys=["visible-secret"], worker_tokens=["other-secret"])
    assert "secret" not in repr(vars(keys))
    keys.check("Bearer visible-secret", Role.CLIENT)
    gateway = Gateway(api_key="visible-secret", worker_token="other-secret")
    assert "secret" not in repr(gateway)


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="lease must be at least 1"):
        Limits(lease=0)


def test_workers_ping_often_enough_for_a_short_lease() -> None:
    gateway = Gateway(store=MemoryStore(limits=Limits(lease=6000)))
    assert gateway.worker_env("ep")["NOVITA_PING_INTERVAL"] == "2000"
    assert Gateway().worker_env("ep", flavour="runpod")["RUNPOD_PING_INTERVAL"] == "10000"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_listening_beyond_loopback_needs_both_keys(host: str) -> None:
    with pytest.raises(ValueError, match="api_key and worker_token"):
        Gateway(host=host)
    with pytest.raises(ValueError, match="api_key and worker_token"):
        Gateway(host=host, api_key="k")
    Gateway(host=host, api_key="k", worker_token="w")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (partial(Gateway, api_key=""), "api_key"),
        (partial(Gateway, worker_token=" "), "worker_token"),
        (partial(Gateway, api_key="k\n"), "api_key"),
        (partial(Gateway, api_key="same", worker_token="same"), "differ"),
        (partial(Gateway, webhook_secret="whsec_"), "webhook secret"),
    ],
)
def test_keys_that_are_none_are_refused(make: Callable[[], Gateway], word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        make()
    assert "same" not in str(caught.value)


async def test_a_sender_that_is_slow_with_the_head_is_cut_off(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novita_gateway.http.connections.KEEPALIVE", 0.1)
    api = await connect(Gateway())
    async with raw_connection(api.gateway) as (reader, writer):
        writer.write(b"GET /v1/ep/health HTTP/1.1\r\nHos")
        assert await reader.read() == b""


async def test_a_body_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    async with raw_connection(api.gateway) as (reader, writer):
        writer.write(
            b"POST /v1/ep/run HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % api.gateway.api_key.encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 413 " in head
        assert b"900,000,000 bytes" in await reader.read(500)


async def test_a_compressed_body_counts_by_what_is_in_it(api: Api) -> None:
    bomb = gzip.compress(b"[" + b" " * 100_000_000 + b"]", compresslevel=1)
    reply = await api.client("POST", "/v1/ep/run", bomb, Content_Encoding="gzip")
    assert reply.status == 413
    small = await api.client("POST", "/v1/ep/run", gzip.compress(b'{"input": 1}'), Content_Encoding="gzip")
    assert small.status == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_an_idempotency_key_has_a_length(api: Api, key: str) -> None:
    check_error(await api.client("POST", "/v1/ep/run", b'{"input": 1}', Idempotency_Key=key), 400, "BAD_REQUEST", "255")


async def test_a_chunked_body_over_the_limit_is_refused(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1024 * 1024

    async with api.session.post(
        f"{api.gateway.url}/ep/run", data=pieces(), headers={"Authorization": f"Bearer {api.gateway.api_key}"}
    ) as response:
        assert response.status == 413


async def test_an_input_over_the_limit_names_size_and_limit(api: Api) -> None:
    body = b'{"input": "' + b"x" * MAX_PAYLOAD + b'"}'
    check_error(
        await api.client("POST", "/v1/ep/run", body),
        413,
        "PAYLOAD_TOO_LARGE",
        f"{MAX_PAYLOAD + 2:,} bytes",
        f"{MAX_PAYLOAD:,} bytes",
    )


async def test_an_input_at_the_limit_travels(api: Api) -> None:
    body = b'{"input": "' + b"x" * (MAX_PAYLOAD - 2) + b'"}'
    job_id = await api.submit(body)
    assert len((await api.take())["input"]) == MAX_PAYLOAD - 2
    await api.done(job_id, b'{"output": "' + b"y" * (MAX_PAYLOAD - 2) + b'"}')
    assert len((await api.status(job_id))["output"]) == MAX_PAYLOAD - 2


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b'{"output": "' + b"x" * MAX_PAYLOAD + b'"}', 413, "limit"),
        (b'{"output": "' + b"x" * 2 * MAX_PAYLOAD + b'"}', 413, "limit"),
        (b'{"output": NaN}', 400, "not JSON"),
    ],
)
async def test_a_result_that_can_not_be_kept_fails_its_job_at_once(
    api: Api, body: bytes, status: int, word: str
) -> None:
    job_id = await api.submit()
    await api.take()
    assert (await api.done(job_id, body)).status == status
    job = await api.status(job_id)
    assert job["status"] == "FAILED"
    assert "refused the worker's result" in job["error"]
    assert word in job["error"]


async def test_a_bad_result_of_a_stranger_fails_nothing(api: Api) -> None:
    job_id = await api.submit()
    await api.take()
    assert (await api.done(job_id, b"nonsense", worker="stranger")).status == 400
    assert (await api.status(job_id))["status"] == "IN_PROGRESS"


async def test_a_result_with_a_final_status_is_refused(api: Api) -> None:
    job_id = await api.submit()
    await api.take()
    check_error(await api.done(job_id, b'{"status": "COMPLETED", "output": 1}'), 400, "BAD_REQUEST", "COMPLETED")
    assert (await api.status(job_id))["status"] == "IN_PROGRESS"


async def test_a_slow_sender_is_cut_off() -> None:
    async with Gateway(body_timeout=0.1) as gateway, raw_connection(gateway) as (reader, writer):
        writer.write(
            b"POST /v1/ep/run HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
            b"Authorization: Bearer %s\r\n\r\n{" % gateway.api_key.encode()
        )
        reply = await reader.read()
        assert b" 408 " in reply
        assert b"REQUEST_TIMEOUT" in reply


async def test_a_client_that_waits_for_100_continue_gets_it(api: Api) -> None:
    async with raw_connection(api.gateway) as (reader, writer):
        writer.write(
            b"POST /v1/ep/run HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % api.gateway.api_key.encode()
        )
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b'{"input":1}')
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")


async def test_the_port_being_taken_is_an_os_error(api: Api) -> None:
    with pytest.raises(OSError, match=r"address already in use|in use"):
        await Gateway(port=api.gateway.port).start()


async def test_operators_pages(api: Api) -> None:
    await api.submit(endpoint="metered")
    health = await api.call("GET", "/healthz")
    assert (health.status, json.loads(health.body)) == (200, {"status": "ok"})
    metrics = (await api.client("GET", "/metrics")).body.decode()
    assert 'novita_gateway_jobs{endpoint="metered",state="in_queue"} 1' in metrics
    assert 'novita_gateway_requests_total{method="Run",status="200"} 1' in metrics
