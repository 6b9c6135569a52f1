"""Webhooks: signed, repeated until they arrive, and never sent to private addresses unasked."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from novita_gateway import Gateway, Limits, ManualClock, MemoryStore, SQLiteStore
from novita_gateway.webhooks.addresses import PublicResolver, is_public
from novita_gateway.webhooks.sender import RETRIES
from novita_sdk.errors import JobFailedError, ProtocolError
from novita_sdk.models import JobRequest, RunRequest
from novita_sdk.typed import OutputError
from novita_sdk.webhooks import WebhookVerificationError, receive, sign, verify
from tests.support.gateway_api import Connect
from tests.support.waiting import DEADLINE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """A server that notes what it gets, and answers as it is told."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(({**request.headers}, await request.read()))
        self.arrived.set()
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": self.url, "Retry-After": "0"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


def submit_body(receiver: Receiver, **fields: Any) -> bytes:
    return json.dumps({"input": 1, "webhook": receiver.url, **fields}).encode()


async def test_a_webhook_carries_the_final_status_and_its_signature(connect: Connect, receiver: Receiver) -> None:
    api = await connect(Gateway(allow_private_webhooks=True, webhook_secret=SECRET))
    job_id = await api.submit(submit_body(receiver))
    job = await api.take()
    assert job["webhook"] == receiver.url
    await api.done(job_id, b'{"output": {"seed": 1125899906842624123}}')
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    ((headers, body),) = receiver.requests
    assert verify(body, headers, secret=SECRET).startswith(f"{job_id}-")
    assert json.loads(body) == await api.status(job_id)
    with pytest.raises(WebhookVerificationError, match="secret differs"):
        verify(body + b" ", headers, secret=SECRET)


@dataclass
class Picture:
    seed: int


@pytest.mark.parametrize("result", [b'{"output": {"seed": 1125899906842624123}}', b'{"error": "no paint"}'])
async def test_what_a_webhook_says_looks_as_the_client_has_it(
    connect: Connect, receiver: Receiver, result: bytes
) -> None:
    gateway = Gateway(allow_private_webhooks=True, webhook_secret=SECRET)
    api = await connect(gateway)
    job_id = await api.submit(submit_body(receiver))
    await api.take()
    await api.done(job_id, result)
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    ((headers, body),) = receiver.requests
    received = receive(body, headers, secret=SECRET)
    assert received.message_id == verify(body, headers, secret=SECRET)
    status = await api.status(job_id)
    assert (received.info.job_id, received.info.delay_time) == (job_id, status["delayTime"] / 1000)
    if b"error" in result:
        with pytest.raises(JobFailedError, match=rf"^Job {job_id} failed: no paint$"):
            received.output(Picture)
    else:
        assert received.output() == status["output"]
        assert received.output(Picture) == Picture(seed=1125899906842624123)
        with pytest.raises(OutputError, match="numbers"):
            received.output(Numbers)
    with pytest.raises(WebhookVerificationError):
        receive(body + b" ", headers, secret=SECRET)


@dataclass
class Numbers:
    numbers: list[int]


def test_a_signed_body_that_is_no_state_of_a_job_is_named() -> None:
    headers = sign(b"{}", message_id="m-1", secret=SECRET, timestamp=1)
    with pytest.raises(ProtocolError, match=r"^Webhook m-1 is signed, but its body is no state of a job: "):
        receive(b"{}", headers, secret=SECRET, now=1)


@pytest.mark.parametrize("end", ["failed", "cancelled", "timed out"])
async def test_every_final_state_calls_the_webhook(connect: Connect, receiver: Receiver, end: str) -> None:
    clock = ManualClock()
    api = await connect(Gateway(store=MemoryStore(clock=clock), allow_private_webhooks=True))
    job_id = await api.submit(submit_body(receiver, policy={"ttl": 60_000}))
    if end == "failed":
        await api.take()
        await api.done(job_id, b'{"error": "e"}')
    elif end == "cancelled":
        await api.client("POST", f"/v1/ep/cancel/{job_id}")
    else:
        clock.advance(61)
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    assert json.loads(receiver.requests[0][1]) == await api.status(job_id)


async def test_a_webhook_is_tried_again_with_the_same_id_until_it_is_taken(
    connect: Connect, receiver: Receiver
) -> None:
    receiver.answers = [503, 429, 404, 302, 200]
    api = await connect(Gateway(allow_private_webhooks=True, webhook_secret=SECRET))
    api.gateway._sender._retries = replace(RETRIES, first_delay=0.001)
    await api.client("POST", f"/v1/ep/cancel/{await api.submit(submit_body(receiver))}")
    async with asyncio.timeout(DEADLINE):
        while len(receiver.requests) < 5:
            receiver.arrived.clear()
            await receiver.arrived.wait()
    assert len({verify(body, headers, secret=SECRET) for headers, body in receiver.requests}) == 1


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "xn--", "example.com:0", "\u2603.invalid"])
async def test_a_webhook_that_can_not_be_called_keeps_no_other_from_its_receiver(
    connect: Connect, receiver: Receiver, host: str
) -> None:
    store = MemoryStore()
    # Past the check of the submit, as one that an earlier version let in.
    request = RunRequest(endpoint="ep", request=JobRequest(input=b"1", webhook=f"http://{host}/"))
    await store.cancel("ep", (await store.submit(request)).id)
    api = await connect(Gateway(store=store, allow_private_webhooks=True))
    await api.client("POST", f"/v1/ep/cancel/{await api.submit(submit_body(receiver))}")
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)


async def test_receivers_that_are_away_keep_no_other_from_its_webhook(connect: Connect, receiver: Receiver) -> None:
    api = await connect(Gateway(allow_private_webhooks=True))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        away = json.dumps({"input": 1, "webhook": f"http://127.0.0.1:{closed.getsockname()[1]}/"}).encode()
        for _ in range(40):
            await api.client("POST", f"/v1/ep/cancel/{await api.submit(away)}")
        await api.client("POST", f"/v1/ep/cancel/{await api.submit(submit_body(receiver))}")
        await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)


async def test_a_job_that_is_retried_calls_its_webhook_with_each_final_state(
    connect: Connect, receiver: Receiver
) -> None:
    api = await connect(Gateway(allow_private_webhooks=True))
    job_id = await api.submit(submit_body(receiver))
    await api.take()
    await api.done(job_id, b'{"error": "e"}')
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    receiver.arrived.clear()
    await api.client("POST", f"/v1/ep/retry/{job_id}")
    await api.take()
    await api.done(job_id, b'{"output": 1}')
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    assert [json.loads(body)["status"] for _, body in receiver.requests] == ["FAILED", "COMPLETED"]
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert len(set(ids)) == 2, "a receiver that knows the first would drop the second"


async def test_a_retry_while_the_webhook_is_repeated_calls_it_with_the_last_state(
    connect: Connect, receiver: Receiver
) -> None:
    receiver.answers = [503]
    api = await connect(Gateway(allow_private_webhooks=True))
    job_id = await api.submit(submit_body(receiver))
    await api.take()
    await api.done(job_id, b'{"error": "e"}')
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    await api.client("POST", f"/v1/ep/retry/{job_id}")
    await api.take()
    await api.done(job_id, b'{"output": 1}')
    async with asyncio.timeout(DEADLINE):
        while json.loads(receiver.requests[-1][1])["status"] != "COMPLETED":
            receiver.arrived.clear()
            await receiver.arrived.wait()


async def test_redirects_are_not_followed(connect: Connect, receiver: Receiver) -> None:
    receiver.answers = [302]
    store = MemoryStore()
    api = await connect(Gateway(store=store, allow_private_webhooks=True))
    job_id = await api.submit(submit_body(receiver))
    await api.client("POST", f"/v1/ep/cancel/{job_id}")
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    receiver.arrived.clear()
    other_id = await api.submit(submit_body(receiver))
    await api.client("POST", f"/v1/ep/cancel/{other_id}")
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    assert [json.loads(body)["id"] for _, body in receiver.requests] == [job_id, other_id]


async def test_a_webhook_that_was_not_delivered_is_called_after_a_restart(
    tmp_path: Path, connect: Connect, receiver: Receiver
) -> None:
    store = SQLiteStore(tmp_path / "jobs.db", limits=Limits())
    await store.open()  # a store without a gateway delivers nothing
    request = RunRequest(endpoint="ep", request=JobRequest(input=b"1", webhook=receiver.url))
    job = await store.submit(request)
    await store.cancel("ep", job.id)
    await store.close()
    await connect(Gateway(store=SQLiteStore(tmp_path / "jobs.db"), allow_private_webhooks=True))
    await asyncio.wait_for(receiver.arrived.wait(), DEADLINE)
    assert json.loads(receiver.requests[0][1])["id"] == job.id


async def test_names_of_private_addresses_are_not_called() -> None:
    resolver = PublicResolver()
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("localhost", 80)
    await resolver.close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:192.168.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
    ],
)
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


def test_the_signature_is_that_of_the_published_example() -> None:
    # From the specification's reference tests.
    headers = sign(
        b'{"test": 2432232314}', message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", secret=SECRET, timestamp=1614265330
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    verify(b'{"test": 2432232314}', headers, secret=SECRET, now=1614265330)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"webhook-signature": "v1,AAAA v2,x v1,%%"}, "signature is not right"),
        ({"webhook-timestamp": "1614265331"}, "signature is not right"),
        ({"webhook-timestamp": "soon"}, "not a number"),
        ({"webhook-id": "other"}, "signature is not right"),
    ],
)
def test_a_changed_header_is_noticed(change: dict[str, str], match: str) -> None:
    headers = {**sign(b"{}", message_id="m", secret=SECRET, timestamp=1614265330), **change}
    with pytest.raises(WebhookVerificationError, match=match):
        verify(b"{}", headers, secret=SECRET, now=1614265330)


def test_an_old_or_unsigned_webhook_is_refused() -> None:
    headers = sign(b"{}", message_id="m", secret=SECRET, timestamp=1614265330)
    with pytest.raises(WebhookVerificationError, match="seconds old"):
        verify(b"{}", headers, secret=SECRET, now=1614265330 + 301)
    with pytest.raises(WebhookVerificationError, match="webhook-signature"):
        verify(b"{}", {"Webhook-Id": "m", "Webhook-Timestamp": "1"}, secret=SECRET)
    with pytest.raises(ValueError, match="whsec_"):
        verify(b"{}", headers, secret="")
