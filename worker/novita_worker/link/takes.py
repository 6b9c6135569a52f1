"""The worker's takes: one request at a time, which may stay parked for long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from novita_sdk.wire.retry import Failure, FailureKind
from novita_worker._errors import describe
from novita_worker.desk.actions import BeginTake
from novita_worker.link.log_throttle import Throttle
from novita_worker.link.protocol import EMPTY, CallFailure, GatewayCalls, TakeReply

__all__ = ["Takes"]

END_GRACE: Final = 0.2
"""How long a parked take may still bring a job after the worker decided to stop, in seconds."""

_log: Final = logging.getLogger("novita_worker")


class Takes:
    """The takes of one worker. Belongs to the I/O loop.

    Args:
        gateway: Where jobs come from.
        answer: Called with what a take brought, and the seconds that it took.
    """

    def __init__(self, gateway: GatewayCalls, answer: Callable[[TakeReply | CallFailure, float], None]) -> None:
        self._gateway = gateway
        self._answer = answer
        self._has_batch_route = True
        self._failures = Throttle(_log, "asking for jobs")
        self._task: asyncio.Task[None] | None = None

    def begin(self, take: BeginTake) -> None:
        """Sends a take; the one before it has been answered."""
        self._task = asyncio.get_running_loop().create_task(self._run(take))

    def end_soon(self) -> None:
        """Hangs up in a moment, unless an answer has begun to arrive: it may hold a job."""
        loop = asyncio.get_running_loop()
        loop.call_later(END_GRACE, loop.call_soon, self._hang_up)

    async def close(self) -> None:
        """Hangs up now."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, take: BeginTake) -> None:
        began = time.monotonic()
        try:
            reply = await self._ask(take)
        except asyncio.CancelledError:
            self._answer(EMPTY, time.monotonic() - began)
            return
        except Exception as error:  # noqa: BLE001  whatever it is, the slots must not stay reserved
            reply = CallFailure(failure=Failure(kind=FailureKind.GARBLED), reason=describe(error))
        now = time.monotonic()
        if (problem := _problem(reply)) is not None:
            self._failures.failed(problem, now)
        else:
            self._failures.worked()
        self._answer(reply, now - began)

    async def _ask(self, take: BeginTake) -> TakeReply | CallFailure:
        count = take.count if self._has_batch_route else 1
        reply = await self._gateway.take(count=count, busy=take.busy)
        if count > 1 and isinstance(reply, CallFailure) and reply.failure.status in (404, 405):
            self._has_batch_route = False
            return await self._gateway.take(count=1, busy=take.busy)
        return reply

    def _hang_up(self) -> None:
        if self._task is not None and not self._gateway.take_is_answered:
            self._task.cancel()


def _problem(reply: TakeReply | CallFailure) -> str | None:
    """What is to be said of a reply, at a bounded rate: it may come with every take, for ever."""
    if isinstance(reply, CallFailure):
        return reply.reason
    nameless = (f"the gateway gave a job that can't run: {reason}" for job_id, reason in reply.broken if job_id is None)
    return reply.remark or next(nameless, None)
