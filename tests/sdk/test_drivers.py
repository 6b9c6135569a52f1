"""However a flow is driven, its steps are carried out alike: blocking, on an event loop, in the threads of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeAlias

import pytest

from novita_sdk._settings import resolve
from novita_sdk.batches import tasks, threads
from novita_sdk.drivers.aio import AsyncDriver
from novita_sdk.drivers.sync import SyncDriver
from novita_sdk.flows.steps import Done, Emit, Feed, Flow, Log, Sleep, Work

SETTINGS = resolve(
    api_key="k",
    base_url="http://127.0.0.1:9/v1",
    timeout=10.0,
    retry_budget=5.0,
    max_connections=4,
    on_request=(),
    on_response=(),
)

Run: TypeAlias = Callable[[Flow[object]], object]


def run_blocking(flow: Flow[object]) -> object:
    return SyncDriver(SETTINGS, None).run(flow)


def run_in_threads(flow: Flow[object]) -> object:
    (result,) = threads.run_many(SyncDriver(SETTINGS, None), [flow], concurrency=1, ordered=True)
    return result.unwrap()


def run_on_a_loop(flow: Flow[object]) -> object:
    async def main() -> object:
        driver = AsyncDriver(SETTINGS, None)
        try:
            return await driver.run(flow)
        finally:
            await driver.close()

    return asyncio.run(main())


def run_as_tasks(flow: Flow[object]) -> object:
    async def main() -> object:
        async def flows() -> AsyncIterator[Flow[object]]:
            yield flow

        driver = AsyncDriver(SETTINGS, None)
        try:
            (result,) = [item async for item in tasks.run_many(driver, flows(), concurrency=1, ordered=True)]
            return result.unwrap()
        finally:
            await driver.close()

    return asyncio.run(main())


@pytest.fixture(params=[run_blocking, run_in_threads, run_on_a_loop, run_as_tasks])
def run(request: pytest.FixtureRequest) -> Run:
    driven: Run = request.param
    return driven


def fail() -> object:
    raise ValueError("the work failed")


def test_every_step_has_its_outcome(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def flow() -> Flow[object]:
        outcomes = [(yield Log("WARNING", "trouble with %s", ("this",))), (yield Sleep(0.001))]
        outcomes.append((yield Work(lambda: "done")))
        return outcomes

    assert run(flow()) == [None, None, Done("done")]
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("novita_sdk", "WARNING", "trouble with this")
    ]


def test_a_flow_may_recover_from_a_step_that_fails(run: Run) -> None:
    def flow() -> Flow[object]:
        try:
            yield Work(fail)
        except ValueError as error:
            outcome = yield Work(lambda: "instead")
            return str(error), outcome
        return None

    assert run(flow()) == ("the work failed", Done("instead"))


def test_an_error_that_a_flow_lets_through_is_raised(run: Run) -> None:
    def flow() -> Flow[object]:
        yield Sleep(0.0)
        yield Work(fail)
        return None

    with pytest.raises(ValueError, match="the work failed"):
        run(flow())


def test_a_flow_without_steps_has_a_result(run: Run) -> None:
    def flow() -> Flow[object]:
        yield from ()
        return "at once"

    assert run(flow()) == "at once"


def feed(ended: list[str]) -> Feed[int]:
    try:
        for number in range(3):
            yield Work(lambda: None)
            yield Emit(number)
    finally:
        ended.append("ended")


def test_a_feed_is_ended_with_its_iteration() -> None:
    ended: list[str] = []
    assert list(SyncDriver(SETTINGS, None).iterate(feed(ended))) == [0, 1, 2]
    for number in SyncDriver(SETTINGS, None).iterate(feed(ended)):
        assert number == 0
        break
    assert ended == ["ended", "ended"]


async def test_a_feed_is_ended_with_its_async_iteration() -> None:
    ended: list[str] = []
    driver = AsyncDriver(SETTINGS, None)
    assert [number async for number in driver.iterate(feed(ended))] == [0, 1, 2]
    iteration = driver.iterate(feed(ended))
    assert isinstance(iteration, AsyncGenerator)
    assert await anext(iteration) == 0
    await iteration.aclose()
    assert ended == ["ended", "ended"]
    await driver.close()
