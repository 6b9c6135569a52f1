"""Webhooks of several gateways on one database: each is called by one of them, whatever becomes of that one."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from aiohttp import web

from novita_gateway import Gateway, PostgresStore, StoreError
from novita_gateway.store.protocol import Notice
from novita_gateway.webhooks import sender
from novita_sdk.webhooks import verify
from tests.gateway.conftest import WEBHOOK_SECRET
from tests.gateway.test_webhooks import Receiver, receiver, submit_body
from tests.support.gateway_api import Api, Connect
from tests.support.stores import dropped, execute, new_schema
from tests.support.waiting import DEADLINE, eventually_async

__all__ = ["receiver"]

PROGRAM = """
import sys
from novita_gateway import Gateway, PostgresStore, serve_forever
store = PostgresStore(sys.argv[1], schema=sys.argv[2])
serve_forever(
    lambda: Gateway(
        store=store, api_key="k", worker_token="w", webhook_secret=sys.argv[3], allow_private_webhooks=True
    ),
    on_start=lambda gateway: print(gateway.port, flush=True),
)
"""


@pytest.fixture
def schema(postgres: str) -> Iterator[str]:
    name = new_schema()
    with dropped(postgres, name):
        yield name


def start_process(postgres: str, schema: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, postgres, schema, WEBHOOK_SECRET]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def make(postgres: str, schema: str, store: type[PostgresStore] = PostgresStore) -> Gateway:
    return Gateway(
        store=store(postgres, schema=schema),
        api_key="k",
        worker_token="w",
        webhook_secret=WEBHOOK_SECRET,
        allow_private_webhooks=True,
    )


async def finish_one(api: Api, receiver: Receiver) -> str:
    job_id = await api.submit(submit_body(receiver))
    await api.take()
    await api.done(job_id, b'{"output": 1}')
    return job_id


async def test_each_final_state_calls_once_wherever_it_came_about(
    schema: str, connect: Connect, postgres: str, receiver: Receiver
) -> None:
    gateways = [await connect(make(postgres, schema)) for _ in range(3)]
    ids = [await finish_one(gateways[number % 3], receiver) for number in range(30)]

    async def all_marked() -> bool:
        (record,) = await execute(postgres, "SELECT count(*) FROM job WHERE notify", schema=schema)
        return int(record["count"]) == 0

    await eventually_async(all_marked)
    called = Counter(headers["webhook-id"] for headers, _ in receiver.requests)
    assert sorted(called) == sorted(f"{job_id}-3" for job_id in ids)
    assert set(called.values()) == {1}
    for headers, body in receiver.requests:  # by whichever gateway, with the same secret
        verify(body, headers, secret=WEBHOOK_SECRET)
    for each in gateways:
        await each.gateway.close()


async def test_what_a_killed_gateway_was_calling_is_called_by_another_with_the_same_id(
    schema: str, connect: Connect, postgres: str
) -> None:
    answers, ids = asyncio.Event(), list[str]()

    async def hang_then_answer(request: web.BaseRequest) -> web.Response:
        ids.append(request.headers["webhook-id"])
        await answers.wait()
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(hang_then_answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook = Receiver(url=f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
    process = start_process(postgres, schema)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline)
        store = PostgresStore(postgres, schema=schema)  # calls nobody itself
        await store.open()
        api = await connect(make(postgres, schema, NoNotices))
        job_id = await finish_one(api, hook)

        async def is_calling() -> bool:
            return bool(ids)

        await eventually_async(is_calling)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
        answers.set()
        # As if the claim's minute were over.
        await execute(postgres, "UPDATE job SET notice_until = 0", schema=schema)
        async with asyncio.timeout(DEADLINE):
            notice = await store.next_notice()
        await store.close()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    assert f"{notice.job_id}-{notice.revision}" == ids[0] == f"{job_id}-3"
    await api.gateway.close()
    await runner.cleanup()


class NoNotices(PostgresStore):
    """Calls nobody, so that another gateway has to."""

    async def next_notice(self) -> Notice:
        await asyncio.Event().wait()
        raise AssertionError


class Watched(PostgresStore):
    """Notes what is held, and refuses a few marks, as a database in a failover does."""

    held: list[Sequence[Notice]]
    refusals = 3

    async def hold_notices(self, notices: Sequence[Notice]) -> None:
        self.held = [*getattr(self, "held", []), notices]
        await super().hold_notices(notices)

    async def mark_notified(self, endpoint: str, job_id: str, revision: int) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the database is away")
        await super().mark_notified(endpoint, job_id, revision)


async def test_a_webhook_that_is_called_again_for_long_is_held_until_it_is_delivered(
    schema: str, connect: Connect, postgres: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "NOTICE_CLAIM", 150)
    api = await connect(make(postgres, schema, Watched))
    store = api.gateway.store
    assert isinstance(store, Watched)
    receiver.answers = [500]
    job_id = await finish_one(api, receiver)

    async def is_held() -> bool:
        return any([job_id] == [notice.job_id for notice in held] for held in getattr(store, "held", []))

    await eventually_async(is_held)
    (record,) = await execute(postgres, "SELECT notice_until FROM job", schema=schema)
    assert record["notice_until"] > time.time() * 1000

    async def is_let_go() -> bool:
        return list(store.held[-1]) == []

    await eventually_async(is_let_go)
    await api.gateway.close()


async def test_a_store_that_is_away_when_a_webhook_was_called_neither_ends_the_sender_nor_calls_twice(
    schema: str, connect: Connect, postgres: str, receiver: Receiver
) -> None:
    api = await connect(make(postgres, schema, Watched))
    first = await finish_one(api, receiver)

    async def all_marked() -> bool:
        (record,) = await execute(postgres, "SELECT count(*) FROM job WHERE notify", schema=schema)
        return int(record["count"]) == 0

    await eventually_async(all_marked)
    second = await finish_one(api, receiver)
    await eventually_async(all_marked)
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == [f"{first}-3", f"{second}-3"]
    await api.gateway.close()
