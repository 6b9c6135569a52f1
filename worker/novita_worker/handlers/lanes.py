"""Where handlers run: the thread that called `start`, further threads, or an event loop of their own.

None of them is the I/O thread, so that a handler that blocks holds up nothing but itself.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Final, Protocol

from novita_worker.handlers.run import JobRun

__all__ = ["Lanes", "LoopLanes", "ThreadLanes"]

_log: Final = logging.getLogger("novita_worker")


class Lanes(Protocol):
    """Runs handlers. `serve` occupies the thread that called `start`; the others are called from the I/O thread."""

    @property
    def prepares(self) -> bool:
        """Whether a run can be submitted while another one has the thread."""

    @property
    def blocked_at(self) -> str | None:
        """Where the code is that all jobs wait for, or None where they don't share a loop."""

    def call(self, hook: Callable[[], object]) -> None:
        """Runs a hook of the user to its end, in the thread that serves; before or after `serve`."""

    def serve(self) -> None:
        """Runs handlers until `stop`."""

    def submit(self, run: JobRun, *, alone: bool) -> None:
        """Starts a run, once however often it is submitted, when its thread is free.

        `alone` says that concurrency is 1, so that the main thread is the place for it.
        """

    def stop(self) -> None:
        """Ends `serve`. Idempotent; handlers that still run are left behind."""

    def close(self) -> None:
        """Frees what the lanes hold, after the last `call`."""


class ThreadLanes:
    """Runs sync handlers: at concurrency 1 in the main thread, as CUDA and signal-bound libraries expect."""

    def __init__(self) -> None:
        self._context = copy_context()
        self._main: SimpleQueue[JobRun | None] = SimpleQueue()
        self._queue: SimpleQueue[JobRun | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0

    @property
    def prepares(self) -> bool:
        """The main thread has a queue."""
        return True

    @property
    def blocked_at(self) -> str | None:
        """Jobs wait for nobody here."""
        return None

    def call(self, hook: Callable[[], object]) -> None:
        """Runs a hook to its end; an async one on a loop of its own."""
        result = hook()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
        self._context = copy_context()

    def serve(self) -> None:
        """Runs handlers in this thread until `stop`."""
        while (run := self._main.get()) is not None:
            if run.claim():
                self._context.copy().run(run.run)

    def submit(self, run: JobRun, *, alone: bool) -> None:
        """Hands the run to the main thread or to an idle one, which is started if there is none."""
        if alone:
            self._main.put(run)
            return
        with self._lock:
            has_thread = self._idle > 0
            self._idle -= has_thread
        # The main thread is the last resort where the system has no more threads.
        (self._queue if has_thread or self._start_thread() else self._main).put(run)

    def stop(self) -> None:
        """Ends `serve` and the idle threads."""
        self._main.put(None)
        for _ in range(self._threads):
            self._queue.put(None)

    def close(self) -> None:
        """There is nothing to free."""

    def _start_thread(self) -> bool:
        # A daemon: a handler that never ends must not keep the process alive.
        thread = threading.Thread(target=self._work, name=f"novita-handler-{self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            _log.warning("a job waits for the main thread: %s", error)
            return False
        self._threads += 1
        return True

    def _work(self) -> None:
        while (run := self._queue.get()) is not None:
            if run.claim():
                self._context.copy().run(run.run)
            with self._lock:
                self._idle += 1


class LoopLanes:
    """Runs async handlers on one event loop in the main thread, so that they can share its sessions and locks."""

    def __init__(self) -> None:
        self._context = copy_context()
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = threading.get_ident()
        self._stopped: asyncio.Event = asyncio.Event()

    @property
    def prepares(self) -> bool:
        """Everything that is submitted starts."""
        return False

    @property
    def blocked_at(self) -> str | None:
        """The line that the loop's thread is at."""
        frame = sys._current_frames().get(self._thread)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else None

    def call(self, hook: Callable[[], object]) -> None:
        """Runs a hook to its end, on the loop that the handlers have."""
        result = hook()
        if asyncio.iscoroutine(result):
            self._runner.run(result)
        self._context = copy_context()

    def serve(self) -> None:
        """Runs handlers in this thread until `stop`."""
        self._runner.run(self._wait())

    def submit(self, run: JobRun, *, alone: bool) -> None:
        """Starts the run as a task."""
        del alone
        self._loop.call_soon_threadsafe(run.start, context=self._context.copy())

    def stop(self) -> None:
        """Ends `serve`."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    def close(self) -> None:
        """Closes the loop, after the last `call`."""
        self._runner.close()

    async def _wait(self) -> None:
        await self._stopped.wait()
