"""Many jobs at once: order, back-pressure, errors, and what both clients share."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novita_gateway import Gateway
from novita_sdk import Endpoint, RequestEvent, errors
from novita_sdk.batches.window import Value, Window
from tests.support.hand_worker import HandWorker
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker
from tests.support.waiting import eventually

Meanwhile = Callable[[Callable[[], object]], None]


def echo(worker: HandWorker, count: int, *, fail: object = "nothing") -> None:
    for _ in range(count):
        job = worker.take()
        if job["input"] == fail:
            worker.finish(job["id"], error=f"no {fail}")
        else:
            worker.finish(job["id"], output={"echo": job["input"]})


def test_outputs_come_in_the_order_of_the_inputs(endpoint: Endpoint, worker: HandWorker, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: echo(worker, 30))
    assert list(endpoint.map(range(30), concurrency=8)) == [{"echo": number} for number in range(30)]


def test_outputs_come_as_jobs_end_if_asked_to(endpoint: Endpoint, worker: HandWorker, meanwhile: Meanwhile) -> None:
    def work() -> None:
        jobs = [worker.take() for _ in range(3)]
        for job in reversed(jobs):
            worker.finish(job["id"], output=job["input"])

    meanwhile(work)
    assert sorted(endpoint.map([1, 2, 3], concurrency=3, ordered=False)) == [1, 2, 3]


@pytest.mark.parametrize("concurrency", [1, 2, 50])
def test_nothing_to_do_is_done_at_once(endpoint: Endpoint, concurrency: int) -> None:
    assert list(endpoint.map([], concurrency=concurrency)) == []


@pytest.mark.parametrize("concurrency", [0, -1])
def test_no_concurrency_is_refused(endpoint: Endpoint, concurrency: int) -> None:
    with pytest.raises(errors.InvalidInputError, match="at least 1"):
        endpoint.map([1], concurrency=concurrency)


def test_inputs_are_drawn_only_as_there_is_room(endpoint: Endpoint, worker: HandWorker) -> None:
    drawn: list[int] = []

    def inputs() -> Iterator[int]:
        for number in range(1_000_000):
            drawn.append(number)
            yield number

    def work() -> None:
        # All are taken before the first is finished, for nothing is submitted once the output was handed out.
        for job in [worker.take() for _ in range(4)]:
            worker.finish(job["id"], output={"echo": job["input"]})

    outputs = endpoint.map(inputs(), concurrency=4)
    assert isinstance(outputs, Generator)
    taken = threading.Thread(target=work)
    taken.start()
    assert next(outputs) == {"echo": 0}
    taken.join()
    assert len(drawn) <= 5
    outputs.close()


def test_the_first_error_is_raised(endpoint: Endpoint, worker: HandWorker, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: echo(worker, 4, fail=2))
    outputs = endpoint.map([1, 2, 3, 4], concurrency=4)
    assert next(outputs) == {"echo": 1}
    with pytest.raises(errors.JobFailedError, match="no 2"):
        next(outputs)


def test_errors_stand_in_their_places_if_asked_to(endpoint: Endpoint, worker: HandWorker, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: echo(worker, 3, fail=2))
    first, second, third, fourth = endpoint.map([1, 2, object(), 4], concurrency=4, return_exceptions=True)
    assert (first, fourth) == ({"echo": 1}, {"echo": 4})
    assert isinstance(second, errors.JobFailedError)
    assert isinstance(third, errors.InvalidInputError)


async def test_an_async_source_does_not_hold_up_outputs(
    gateway: Gateway, endpoint_name: str, worker: HandWorker, meanwhile: Meanwhile
) -> None:
    import asyncio

    import novita_sdk

    released = asyncio.Event()

    async def inputs() -> AsyncIterator[int]:
        yield 1
        await released.wait()
        yield 2

    meanwhile(lambda: echo(worker, 2))
    async with novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url) as client:
        outputs = client.endpoint(endpoint_name).map(inputs())
        assert await anext(outputs) == {"echo": 1}
        released.set()
        assert [output async for output in outputs] == [{"echo": 2}]


def test_many_waits_share_few_connections(
    gateway: Gateway, endpoint_name: str, make_client: ClientMaker, worker: HandWorker, meanwhile: Meanwhile
) -> None:
    client = make_client(api_key=gateway.api_key, base_url=gateway.url, max_connections=4)
    endpoint = client.endpoint(endpoint_name)
    jobs = [endpoint.run(number) for number in range(100)]
    meanwhile(lambda: echo(worker, 100))
    ended = {job.job_id: job.output() for job in client.as_completed(jobs, timeout=60)}
    assert ended == {job.job_id: {"echo": number} for number, job in enumerate(jobs)}


@pytest.mark.parametrize("headers", [{}, {"Novita-Long-Poll": "60000"}])
def test_hundreds_of_waits_use_no_more_connections_than_they_may_and_use_them_again(
    scripted: ScriptedGateway, make_client: ClientMaker, headers: dict[str, str]
) -> None:
    pending, done = (Answer(body={"id": "j", "status": status}, headers=headers) for status in ("PENDING", "COMPLETED"))
    scripted.script("status", *[pending] * 100, done)
    endpoint = (client := make_client(base_url=scripted.url, max_connections=6)).endpoint("x")
    jobs = [endpoint.job("j") for _ in range(300)]
    assert len(list(client.as_completed(jobs, timeout=60))) == 300
    assert len(scripted.calls("status")) == 400
    assert len({call.peer for call in scripted.seen}) <= 6


def test_a_short_job_is_noticed_while_long_ones_hold_every_place(
    gateway: Gateway, endpoint_name: str, make_client: ClientMaker, worker: HandWorker, meanwhile: Meanwhile
) -> None:
    asked: list[str] = []

    def note(event: RequestEvent) -> None:
        asked.append(event.url)

    client = make_client(api_key=gateway.api_key, base_url=gateway.url, max_connections=4, on_request=[note])
    endpoint = client.endpoint(endpoint_name)
    jobs = [endpoint.run(number) for number in range(3)]
    taken = [worker.take() for _ in jobs]

    def work() -> None:
        eventually(lambda: all(any(job.job_id in url for url in asked) for job in jobs))
        worker.finish(taken[2]["id"], output="short")

    meanwhile(work)
    first = next(iter(client.as_completed(jobs, timeout=60)))
    assert first.output() == "short"
    for job in taken[:2]:
        worker.finish(job["id"], output=1)


def test_waiting_for_many_ends_with_its_timeout(gateway: Gateway, endpoint: Endpoint, make_client: ClientMaker) -> None:
    client = make_client(api_key=gateway.api_key, base_url=gateway.url)
    jobs = [endpoint.run(number) for number in range(3)]
    with pytest.raises(errors.WaitTimeoutError):
        list(client.as_completed([client.endpoint(endpoint.endpoint_id).job(job.job_id) for job in jobs], timeout=0.2))


@settings(deadline=None)
@given(
    size=st.integers(1, 8),
    count=st.integers(0, 40),
    ordered=st.booleans(),
    data=st.data(),
)
def test_a_window_hands_out_everything_once_and_never_begins_too_much(
    size: int, count: int, ordered: bool, data: st.DataObject
) -> None:
    window: Window[int] = Window(size, ordered=ordered)
    under_way: list[int] = []
    handed_out: list[int] = []
    begun = 0
    while begun < count or not window.is_empty:
        if begun < count and window.has_room:
            under_way.append(window.begin())
            begun += 1
            assert begun - len(handed_out) <= size
        elif under_way:
            number = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            window.finish(number, Value(number))
        while (result := window.pop()) is not None:
            handed_out.append(result.unwrap())
    assert sorted(handed_out) == list(range(count))
    if ordered:
        assert handed_out == list(range(count))
