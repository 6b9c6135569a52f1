"""One run of a handler, from the job to its outcome, on whichever thread or loop it is put."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, TypeGuard

from novita_sdk.threads import FILE_THREADS, Threads
from novita_sdk.tracing import job_span
from novita_worker._errors import JobCancelled, type_name
from novita_worker.desk.outbox import WorkerFault
from novita_worker.handlers.chunk_window import ChunkWindow
from novita_worker.handlers.context import JobContext, current_context
from novita_worker.handlers.offload import NeedsStoreError
from novita_worker.handlers.outcome import Outcome, Writer, yielded_error
from novita_worker.process.forks import leave

__all__ = ["JobRun", "Sink", "is_async"]

_GENERATORS: Final = Threads("novita-generator", 1024)
"""For those that an async handler gave: each has a thread to itself, for it may block."""


class Sink(Protocol):
    """Takes what comes out of a run, from any thread; never blocks."""

    def chunk(self, job_id: str, chunk: bytes) -> None:
        """A generator yielded."""

    def finished(self, job_id: str, outcome: Outcome) -> None:
        """The handler ended."""


class JobRun:
    """Runs a handler once. Exactly one `finished` comes out of it, whatever the handler does.

    Args:
        context: The job.
        writer: Writes the outcome.
        sink: Takes what comes out.
        aggregate: Whether a generator's chunks are repeated in its result.
        is_bounded: Whether a generator waits for `delivered` when it is too far ahead.
        limit: Seconds that the job may run, or None.
        own_loop: Whether what has to be awaited gets a loop of its own in the thread of its handler.

    Attributes:
        started_at: When it was told to start, on the clock of whoever did, or None while it is only prepared.
        has_begun: Whether the handler was called.
    """

    def __init__(
        self,
        context: JobContext,
        writer: Writer,
        sink: Sink,
        *,
        aggregate: bool = False,
        is_bounded: bool = True,
        limit: float | None = None,
        own_loop: bool = False,
    ) -> None:
        self.context = context
        self._own_loop = own_loop
        self._limit = limit
        self.started_at: float | None = None
        self._window: ChunkWindow | None = None
        self._writer = writer
        self._sink = sink
        self._aggregate = aggregate
        self._is_bounded = is_bounded
        self._is_stream = writer.spec.kind.is_stream
        self._task: asyncio.Task[object] | None = None
        self._claim = threading.Lock()
        self._process = os.getpid()
        self.has_begun = False

    def cancel(self, reason: str) -> None:
        """Asks the handler to end; callable from any thread."""
        self.context.cancel(reason)
        if self._window is not None:
            self._window.close()
        if self._task is not None:
            with contextlib.suppress(RuntimeError):  # the job has ended, and a loop of its own with it
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def claim(self) -> bool:
        """Whether the caller is the one to run it; only the first is."""
        return self._claim.acquire(blocking=False)

    def delivered(self, size: int) -> None:
        """A chunk of so many bytes arrived; the generator may go on."""
        if self._window is not None:
            self._window.remove(size)

    @property
    def is_stream(self) -> bool:
        """Whether the output comes in chunks, as known so far."""
        return self._is_stream

    def run(self) -> Coroutine[object, None, None] | None:
        """Calls the handler in this thread, and finishes the job unless its result has to be awaited.

        Returns:
            What is left to do then: to be run in this context, on the loop that all such jobs share.
        """
        return self._run(on_loop=False)

    def start(self) -> None:
        """Runs the handler as a task of the running loop."""
        # Not cancelled here: a task that is cancelled before its first step never gets to its `finally`.
        self._task = asyncio.get_running_loop().create_task(self.run_async())

    async def run_async(self) -> None:
        """Runs the handler in this task."""
        if (rest := self._run(on_loop=True)) is not None:
            await rest

    def _run(self, *, on_loop: bool) -> Coroutine[object, None, None] | None:
        span = contextlib.ExitStack()
        try:
            with span:
                self._begin()
                self.context.checkpoint()
                span.enter_context(self._span())
                result = self._writer.spec.call(self.context.job, self.context)
                # What the handler is shows in what it gives, whatever its function looks like behind decorators.
                if on_loop or (is_async(result) and not self._own_loop):
                    return self._go_on(result, span.pop_all())
                outcome = asyncio.run(self._finish(result)) if is_async(result) else self._finish_sync(result)
        except BaseException as error:  # noqa: BLE001  a handler's error never ends the worker
            outcome = self._raised(error)
        self._finished(outcome)
        return None

    async def _go_on(self, result: object, span: contextlib.ExitStack) -> None:
        try:
            with span:
                outcome = await self._finish(result)
        except BaseException as error:  # noqa: BLE001  a handler's error never ends the worker
            outcome = self._raised(error)
        self._finished(outcome)

    def _span(self) -> AbstractContextManager[None]:
        # Nothing can be recorded where nobody has loaded the API, and loading it is the application's to do.
        return job_span(self.context.job) if "opentelemetry" in sys.modules else nullcontext()

    def _begin(self) -> None:
        """Makes the job known to this context; uploads go to its bucket."""
        self.has_begun = True
        if self._limit is not None and self.context.deadline is None:
            # One that was prepared begins before the I/O thread says so.
            self.context.deadline = time.time() + self._limit
        current_context.set(self.context)
        if s3_config := self.context.job.get("s3Config"):
            from novita_sdk.uploads import set_s3_config

            set_s3_config(s3_config)

    def _finished(self, outcome: Outcome) -> None:
        if os.getpid() != self._process:
            leave(None)
        self.context.close_files()
        self._sink.finished(self.context.id, outcome)

    def _finish_sync(self, result: object) -> Outcome:
        if isinstance(result, Generator):
            return self._stream(result)
        try:
            return self._writer.returned(result)
        except NeedsStoreError:
            return self._writer.moved(result)

    async def _finish(self, result: object) -> Outcome:
        self._task = asyncio.current_task()
        if self.context.cancelled:
            # A cancel that came before there was a task.
            _drop(result)
            self.context.checkpoint()
        # More than once where a decorator's coroutine gives that of its function.
        while _is_awaitable(result):
            result = await result
        if isinstance(result, AsyncIterable):
            return await self._stream_async(result)
        if isinstance(result, Generator):
            # Its thread ends it at a `yield`; a task that is cancelled would leave it behind.
            self._task = None
            return await _GENERATORS.run(self._stream, result)
        try:
            return self._writer.returned(result)
        except NeedsStoreError:
            return await FILE_THREADS.run(self._writer.moved, result)

    def _stream(self, values: Generator[object, None, object]) -> Outcome:
        window = self._begin_stream()
        kept: list[bytes] = []
        with contextlib.closing(values):
            for value in values:
                if message := yielded_error(value):
                    return self._writer.stream_failed(message)
                try:
                    chunk = self._writer.dump_chunk(value)
                except NeedsStoreError:
                    chunk = self._writer.moved_chunk(value)
                self._emit(chunk, kept, window)
                window.wait()
                if self.context.cancelled:
                    # Inside the generator, at the yield where it waits, so that its `finally` blocks run.
                    values.throw(JobCancelled(self.context.cancel_reason))
        return self._writer.streamed(kept)

    async def _stream_async(self, values: AsyncIterable[object]) -> Outcome:
        window = self._begin_stream()
        kept: list[bytes] = []
        async with contextlib.AsyncExitStack() as stack:
            iterator = aiter(values)
            if isinstance(iterator, AsyncGenerator):
                stack.push_async_callback(iterator.aclose)
            async for value in iterator:
                if message := yielded_error(value):
                    return self._writer.stream_failed(message)
                try:
                    chunk = self._writer.dump_chunk(value)
                except NeedsStoreError:
                    chunk = await FILE_THREADS.run(self._writer.moved_chunk, value)
                self._emit(chunk, kept, window)
                await window.wait_async()
        return self._writer.streamed(kept)

    def _begin_stream(self) -> ChunkWindow:
        self._is_stream = True
        self._window = ChunkWindow(is_bounded=self._is_bounded)
        if self.context.cancelled:
            self._window.close()
        return self._window

    def _emit(self, chunk: bytes, kept: list[bytes], window: ChunkWindow) -> None:
        if self._aggregate:
            kept.append(chunk)
        window.add(len(chunk))
        self._sink.chunk(self.context.id, chunk)

    def _raised(self, error: BaseException) -> Outcome:
        if os.getpid() != self._process:
            try:
                leave(error)
            finally:  # its traceback could not be shown
                os._exit(1)
        if self.context.cancelled and issubclass(type(error), (JobCancelled, asyncio.CancelledError)):
            reason = self.context.cancel_reason or ""
            return Outcome(body=self._writer.failed(WorkerFault(code="CANCELLED", message=reason)), error=reason)
        try:
            return self._writer.raised(error)
        except BaseException:  # noqa: BLE001  code of the exception's own, and nothing may come between a job and its end
            return self._writer.raised(RuntimeError(f"{type_name(error)}: it can't be shown"))


def is_async(result: object) -> bool:
    """Whether a handler gave what only a loop can finish."""
    return isinstance(result, AsyncIterable) or _is_awaitable(result)


def _is_awaitable(value: object) -> TypeGuard[Awaitable[object]]:
    return inspect.isawaitable(value) and not isinstance(value, AsyncIterator)


def _drop(result: object) -> None:
    """Python warns of a coroutine that nobody ran."""
    if isinstance(result, Coroutine):
        result.close()
