"""The lanes that handlers run in: the thread that called `start`, further threads, or an event loop of their own.

None of them is the I/O thread, so that a handler that blocks holds up nothing but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

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


class _Rest(NamedTuple):
    """What is left of a job whose handler gave something asynchronous, and the context to run it in."""

    work: Coroutine[object, None, None]
    context: Context


class ThreadLanes:
    """Runs handlers that look sync: at concurrency 1 in the main thread, as CUDA and signal-bound libraries expect.

    What they give that has to be awaited, as an async function behind a decorator does, runs on one event loop, so that
    jobs can share its sessions and locks. It is the main thread's, runs while that thread waits, and is made when
    something first needs it: a handler is always called outside of it, and may run loops of its own.
    """

    def __init__(self) -> None:
        self._context = copy_context()
        self._main: SimpleQueue[JobRun | _Rest | None] = SimpleQueue()
        self._queue: SimpleQueue[JobRun | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        self._runner = asyncio.Runner()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alone: asyncio.Task[None] | None = None
        self._waiter: asyncio.Task[JobRun | None] | None = None
        self._is_stopped = False

    @property
    def prepares(self) -> bool:
        """The main thread has a queue."""
        return True

    @property
    def blocked_at(self) -> str | None:
        """Jobs wait for nobody here."""
        return None

    def call(self, hook: Callable[[], object]) -> None:
        """Runs a hook to its end; an async one on the loop that the handlers share."""
        result = self._context.run(hook)
        if inspect.isawaitable(result):
            self._open_loop()
            self._runner.run(_wait_for(result), context=self._context)

    def serve(self) -> None:
        """Runs handlers in this thread until `stop`."""
        while (item := self._get()) is not None:
            if isinstance(item, _Rest):
                self._begin(item)
            elif (rest := self._run(item)) is not None:
                # The next one waits for it: nothing may run beside what has the main thread.
                self._alone = self._begin(rest)

    def submit(self, run: JobRun, *, alone: bool) -> None:
        """Hands the run to the main thread or to an idle one, which is started if there is none."""
        if alone:
            self._put(run)
            return
        with self._lock:
            has_thread = self._idle > 0
            self._idle -= has_thread
        # The main thread is the last resort where the system has no more threads.
        if has_thread or self._start_thread():
            self._queue.put(run)
        else:
            self._put(run)

    def stop(self) -> None:
        """Ends `serve` and the idle threads."""
        self._is_stopped = True
        self._put(None)
        for _ in range(self._threads):
            self._queue.put(None)

    def close(self) -> None:
        """Closes the loop, if there is one, after the last `call`."""
        self._runner.close()

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
            if (rest := self._run(run)) is not None:
                self._put(rest)
            with self._lock:
                self._idle += 1

    def _run(self, run: JobRun) -> _Rest | None:
        if not run.claim():
            return None
        context = self._context.copy()
        work = context.run(run.run)
        return None if work is None else _Rest(work, context)

    def _put(self, item: JobRun | _Rest | None) -> None:
        """Gives the main thread something to do; callable from any thread."""
        self._main.put(item)
        # Read after the item is there: who sets it looks for items next.
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: nobody serves any more
                loop.call_soon_threadsafe(self._changed.set)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        """The loop; for the main thread."""
        if self._loop is None:
            self._loop = self._runner.get_loop()
        return self._loop

    def _begin(self, rest: _Rest) -> asyncio.Task[None]:
        """Puts it on the loop, which goes on when this thread waits."""
        task = self._open_loop().create_task(rest.work, context=rest.context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task is self._alone:
            self._alone = None
            self._changed.set()

    def _get(self) -> JobRun | _Rest | None:
        """The next thing for the main thread; until there is one its loop runs, once there is a loop."""
        if self._loop is None:
            return self._main.get()
        # Code of the user that stops the loop leaves the task where it is.
        task = self._waiter = self._waiter or self._loop.create_task(self._next())
        self._runner.run(_wait_for(task))
        self._waiter = None
        return task.result()

    async def _next(self) -> JobRun | None:
        """Waits for what is to be done outside of the loop; begins what is to be done on it."""
        held: JobRun | None = None
        while not self._is_stopped:
            self._changed.clear()
            while held is None and not self._main.empty():
                item = self._main.get_nowait()
                if item is None:
                    return None
                if isinstance(item, _Rest):
                    self._begin(item)
                else:
                    held = item
            if held is not None and self._alone is None:
                return held
            await self._changed.wait()
        return None


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
        result = self._context.run(hook)
        if inspect.isawaitable(result):
            self._runner.run(_wait_for(result), context=self._context)

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


async def _wait_for(result: Awaitable[object]) -> None:
    await result
