"""Many flows at once, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import TypeVar

from novita_sdk.batches.batch import InputBatch
from novita_sdk.batches.progress_bar import batch_bar
from novita_sdk.batches.window import Failed, Result, Value, Window
from novita_sdk.drivers.aio import AsyncDriver
from novita_sdk.flows.handle import Handle
from novita_sdk.flows.steps import Flow
from novita_sdk.wire.payload import JSONValue

__all__ = ["map_inputs", "run_many", "wait_for_all"]

T = TypeVar("T")
U = TypeVar("U")
HandleT = TypeVar("HandleT", bound=Handle)


async def run_many(
    driver: AsyncDriver, flows: AsyncIterable[Flow[T]], *, concurrency: int, ordered: bool
) -> AsyncGenerator[Result[T], None]:
    """Yields the result of each flow; draws from `flows` only when there is room for another.

    Args:
        driver: Carries out the steps.
        flows: Any number of them.
        concurrency: Flows that are under way or whose results wait to be taken, at most.
        ordered: Yield in the order of `flows`, else as they end.
    """
    window: Window[T] = Window(concurrency, ordered=ordered)
    ended: asyncio.Queue[tuple[int, Result[T]]] = asyncio.Queue()
    source = aiter(flows)
    is_drained = False
    pull: asyncio.Task[Flow[T] | None] | None = None
    tasks: set[asyncio.Task[object]] = set()

    async def run(number: int, flow: Flow[T]) -> None:
        try:
            result: Result[T] = Value(await driver.run(flow))
        except Exception as error:  # noqa: BLE001 - it is the flow's result
            result = Failed(error)
        ended.put_nowait((number, result))

    def begin(work: Coroutine[object, object, U]) -> asyncio.Task[U]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    arrival = begin(ended.get())
    try:
        while True:
            if (result := window.pop()) is not None:
                yield result
                continue
            if is_drained and window.is_empty:
                return
            if pull is None and window.has_room and not is_drained:
                pull = begin(_next(source))
            # A slow source does not hold up results, nor the other way round.
            awaited: list[asyncio.Task[object]] = [arrival] if pull is None else [arrival, pull]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if pull is not None and pull.done():
                flow, pull = pull.result(), None
                if flow is None:
                    is_drained = True
                else:
                    begin(run(window.begin(), flow))
            if arrival.done():
                window.finish(*arrival.result())
                arrival = begin(ended.get())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def map_inputs(
    driver: AsyncDriver,
    batch: InputBatch,
    inputs: Iterable[JSONValue] | AsyncIterable[JSONValue],
    *,
    ordered: bool,
    return_exceptions: bool,
    progress: bool | None,
) -> AsyncIterator[JSONValue]:
    """Yields the output of each input's job; see `AsyncEndpoint.map`."""
    with batch, batch_bar(inputs, wanted=progress) as advance:
        results = run_many(driver, _flows(batch, inputs), concurrency=batch.concurrency, ordered=ordered)
        async with aclosing(results):
            async for result in results:
                advance()
                yield batch.hand_out(result, return_exceptions=return_exceptions)


async def wait_for_all(driver: AsyncDriver, jobs: Sequence[HandleT], timeout: float | None) -> AsyncIterator[HandleT]:
    """Yields each job as it ends; see `AsyncClient.as_completed`."""

    async def flows() -> AsyncIterator[Flow[HandleT]]:
        for job in jobs:
            yield driver.flows.waiting.completed(job, timeout)

    async with aclosing(run_many(driver, flows(), concurrency=max(1, len(jobs)), ordered=False)) as results:
        async for result in results:
            yield result.unwrap()


async def _flows(
    batch: InputBatch, inputs: Iterable[JSONValue] | AsyncIterable[JSONValue]
) -> AsyncIterator[Flow[JSONValue]]:
    if isinstance(inputs, AsyncIterable):
        async for value in inputs:
            yield batch.item(value)
    else:
        for value in inputs:
            yield batch.item(value)


async def _next(source: AsyncIterator[T]) -> T | None:
    return await anext(source, None)
