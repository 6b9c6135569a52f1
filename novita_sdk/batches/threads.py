"""Many flows at once, in a few threads."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Generic, Never, TypeVar, assert_never

from novita_sdk.batches.batch import InputBatch
from novita_sdk.batches.progress_bar import batch_bar
from novita_sdk.batches.window import Failed, Result, Value, Window
from novita_sdk.drivers.sync import LATER, Later, SyncDriver, advance
from novita_sdk.flows.handle import Handle
from novita_sdk.flows.steps import Done, Emit, End, Flow, Log, Outcome, Send, Sleep, Step, Turn, Work
from novita_sdk.wire.payload import JSONValue

__all__ = ["map_inputs", "run_many", "wait_for_all"]

T = TypeVar("T")
HandleT = TypeVar("HandleT", bound=Handle)


def run_many(
    driver: SyncDriver, flows: Iterable[Flow[T]], *, concurrency: int, ordered: bool
) -> Generator[Result[T], None, None]:
    """Yields the result of each flow; draws from `flows` only when there is room for another.

    Args:
        driver: Carries out the steps.
        flows: Any number of them.
        concurrency: Flows that are under way or whose results wait to be taken, at most.
        ordered: Yield in the order of `flows`, else as they end.
    """
    window: Window[T] = Window(concurrency, ordered=ordered)
    pool: _Pool[T] = _Pool(driver, threads=min(concurrency, driver.max_connections))
    source = iter(flows)
    is_drained = False
    try:
        while True:
            while window.has_room and not is_drained:
                flow = next(source, None)
                if flow is None:
                    is_drained = True
                else:
                    pool.start(window.begin(), flow)
            while (result := window.pop()) is not None:
                yield result
                if not is_drained and window.has_room:
                    break
            else:
                if is_drained and window.is_empty:
                    return
                window.finish(*pool.ended.get())
    finally:
        pool.close()


def map_inputs(
    driver: SyncDriver,
    batch: InputBatch,
    inputs: Iterable[JSONValue],
    *,
    ordered: bool,
    return_exceptions: bool,
    progress: bool | None,
) -> Iterator[JSONValue]:
    """Yields the output of each input's job; see `Endpoint.map`."""
    with batch, batch_bar(inputs, wanted=progress) as advance:
        results = run_many(driver, map(batch.item, inputs), concurrency=batch.concurrency, ordered=ordered)
        with closing(results):
            for result in results:
                advance()
                yield batch.hand_out(result, return_exceptions=return_exceptions)


def wait_for_all(driver: SyncDriver, jobs: Sequence[HandleT], timeout: float | None) -> Iterator[HandleT]:
    """Yields each job as it ends; see `Client.as_completed`."""
    flows = (driver.flows.waiting.completed(job, timeout) for job in jobs)
    with closing(run_many(driver, flows, concurrency=max(1, len(jobs)), ordered=False)) as results:
        for result in results:
            yield result.unwrap()


@dataclass(slots=True, eq=False)
class _Task(Generic[T]):
    number: int
    flow: Flow[T]
    due: float
    outcome: Outcome = None
    """What the step that it waits for came to."""

    def __lt__(self, other: _Task[T]) -> bool:
        return (self.due, self.number) < (other.due, other.number)


class _Pool(Generic[T]):
    """Threads that take the flow that is due and carry out its steps until it sleeps, awaits its turn or ends."""

    def __init__(self, driver: SyncDriver, *, threads: int) -> None:
        self.ended: queue.SimpleQueue[tuple[int, Result[T]]] = queue.SimpleQueue()
        self._driver = driver
        self._threads: list[threading.Thread] = []
        self._size = threads
        self._due: list[_Task[T]] = []
        self._turns: dict[_Task[T], None] = {}
        """Those that wait for a place, in the order in which they came; they are in `_due` as well."""
        self._free_places = driver.flows.waiting.max_parked
        self._is_closing = False
        self._changed = threading.Condition()

    def start(self, number: int, flow: Flow[T]) -> None:
        """Begins a flow; its result comes out of `ended` under its number."""
        with self._changed:
            heapq.heappush(self._due, _Task(number, flow, time.monotonic()))
            self._changed.notify()
        if len(self._threads) < self._size:
            # A daemon, because a request that the gateway holds would hold up the end of the process.
            name = f"novita-batch-{len(self._threads)}"
            thread = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Lets the threads go; what is being sent is still finished, and nothing after it is begun."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (task := self._take()) is not None:
            self._advance(task)

    def _take(self) -> _Task[T] | None:
        with self._changed:
            while not self._is_closing:
                if not self._due:
                    self._changed.wait()
                elif (pause := self._due[0].due - time.monotonic()) > 0:
                    self._changed.wait(pause)
                else:
                    task = heapq.heappop(self._due)
                    self._turns.pop(task, None)
                    return task
        return None

    def _advance(self, task: _Task[T]) -> None:
        try:
            news: Emit[Never] | End[T] | Later = advance(task.flow, partial(self._perform, task), task.outcome)
        except Exception as error:  # noqa: BLE001 - it is the flow's result
            self.ended.put((task.number, Failed(error)))
        else:
            if isinstance(news, End):
                self.ended.put((task.number, Value(news.value)))

    def _perform(self, task: _Task[T], step: Step) -> Outcome | Later:
        match step:
            case Send():
                try:
                    return self._driver.send(step)
                finally:
                    if step.is_parked:
                        self._give_place_back()
            case Sleep():
                with self._changed:
                    self._wait(task, step.seconds, None)
                return LATER
            case Turn():
                return Done(value=True) if self._has_place(task, step) else LATER
            case Work() | Log():
                return self._driver.perform(step)
            case _:
                assert_never(step)

    def _has_place(self, task: _Task[T], turn: Turn) -> bool:
        with self._changed:
            if self._free_places:
                self._free_places -= 1
                return True
            self._turns[task] = None
            self._wait(task, turn.seconds, Done(value=False))
            return False

    def _give_place_back(self) -> None:
        with self._changed:
            if not self._turns:
                self._free_places += 1
                return
            task = next(iter(self._turns))
            del self._turns[task]
            self._due.remove(task)
            heapq.heapify(self._due)
            self._wait(task, 0.0, Done(value=True))

    def _wait(self, task: _Task[T], seconds: float, outcome: Outcome) -> None:
        """Lets a flow go on after so many seconds, with this outcome of the step that it waits for."""
        task.outcome = outcome
        task.due = time.monotonic() + seconds
        heapq.heappush(self._due, task)
        self._changed.notify()
