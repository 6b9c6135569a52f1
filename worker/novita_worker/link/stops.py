"""The stop channel: hears which running jobs are to be stopped.

The published gateways of one kind have it and those of the other don't; it is asked for only while there are jobs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from novita_sdk.wire.retry import RetryPolicy, next_delay
from novita_worker.link.log_throttle import Throttle
from novita_worker.link.protocol import CallFailure, GatewayCalls

__all__ = ["StopWatch"]

PAUSE: Final = RetryPolicy(first_delay=0.5, max_delay=15.0, budget=None)
QUICK: Final = 0.5
"""An empty reply within so many seconds is not the end of a parked request: the next one waits."""
_ABSENT: Final = frozenset({404, 405, 501})

_log: Final = logging.getLogger("novita_worker")


class StopWatch:
    """Parks one request on the stop route while jobs run.

    Args:
        gateway: Where to ask.
        stop: Called with the ids of the jobs to stop.
    """

    def __init__(self, gateway: GatewayCalls, stop: Callable[[list[str]], None]) -> None:
        self._gateway = gateway
        self._stop = stop
        self._is_absent = not gateway.has_stop_route
        self._wanted = asyncio.Event()
        self._refusals = Throttle(_log, "asking which jobs to stop")

    def want(self, *, wanted: bool) -> None:
        """Says whether there are jobs to stop; a parked request stays where it is."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def run(self) -> None:
        """Watches until cancelled, or until the gateway turns out not to have the route."""
        failures = 0
        while not self._is_absent:
            await self._wanted.wait()
            started = asyncio.get_running_loop().time()
            reply = await self._gateway.stops()
            if isinstance(reply, CallFailure):
                if reply.failure.status in _ABSENT:
                    _log.debug("the gateway has no stop channel")
                    self._is_absent = True
                    return
                failures += 1
                delay = next_delay(PAUSE, reply.failure, attempt=failures, elapsed=0.0, random=random.random())
                if delay is None:  # refused for good, where the take that it goes with may not be
                    self._refusals.failed(reply.reason, asyncio.get_running_loop().time())
                await asyncio.sleep(PAUSE.max_delay if delay is None else delay)
                continue
            failures = 0
            self._refusals.worked()
            if reply:
                self._stop(reply)
            elif asyncio.get_running_loop().time() - started < QUICK:
                await asyncio.sleep(1.0)
