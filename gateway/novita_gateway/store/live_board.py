"""A board at work: what happens on it goes to the journal, and to the requests that are parked for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final, assert_never

from novita_gateway._clock import BoardClock, Clock
from novita_gateway._errors import StoreError
from novita_gateway._logs import BoundedLog
from novita_gateway.board.board import Board
from novita_gateway.board.commands import Command, Event, EventKind, TakeJobs, Tick
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import Journal, Part
from novita_gateway.store.parking import Alarm, Lot, NoticeQueue, Taker
from novita_sdk.threads import GATEWAY_THREADS
from novita_sdk.wire.payload import dump

__all__ = ["LiveBoard"]

SLICE: Final = 0.005
"""Seconds of a turn of the event loop for what falls due: on a busy machine that is less, and takes no longer."""


class LiveBoard:
    """Acts on every event of a board in the turn of the event loop in which it happens.

    Args:
        journal: Is told what changed.
        limits: Leases, attempts, retention.
        clock: Tells the time.

    Attributes:
        board: For reading.
        takers: Takes that wait for a job, by endpoint.
        watchers: Who waits for the final state of a job, by its id.
        followers: Who waits for the next revision of a job, by its id.
        readers: Who waits for the next chunk of a job, by its id.
        stoppers: Who waits for a stop order, by endpoint and worker.
        notices: Webhooks that are to be called.
        is_open: Whether requests may be parked.
    """

    def __init__(self, journal: Journal, *, limits: Limits, clock: Clock) -> None:
        self.board: Final = Board(limits)
        self.takers: Final[Lot[str, Taker]] = Lot(clock)
        self.watchers: Final[Lot[str, object]] = Lot(clock)
        self.followers: Final[Lot[str, object]] = Lot(clock)
        self.readers: Final[Lot[str, object]] = Lot(clock)
        self.stoppers: Final[Lot[tuple[str, str], object]] = Lot(clock)
        self._lots: tuple[Lot[Any, Any], ...] = (
            self.takers,
            self.watchers,
            self.followers,
            self.readers,
            self.stoppers,
        )
        self.notices: Final = NoticeQueue()
        self.is_open = False
        self._journal = journal
        self._log = BoundedLog()
        self._clock = BoardClock(clock)
        self._alarm = Alarm(self._clock, self._tick)
        self._catching_up: asyncio.Task[None] | None = None

    @property
    def parked(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._lots))

    async def open(self, rows: Sequence[Row], last: int | None) -> None:
        """Takes up the rows of an earlier process, and its time."""
        if last is not None:
            self._clock.resume(last)
        # There may be very many; nobody but that thread knows the board so far.
        self.notices.add(await GATEWAY_THREADS.run(self._restore, rows, self._clock.now()))
        self.is_open = True
        self._set_alarm(self._clock.now())

    def _restore(self, rows: Sequence[Row], now: int) -> list[Row]:
        """Fills the board; returns the rows whose webhooks wait."""
        self.board.restore(rows, now)
        return [row for row in rows if row.notify and row.is_final]

    def close(self) -> None:
        """Wakes everybody who is parked."""
        self.is_open = False
        self._journal.pass_time(self._clock.now())
        self._alarm.cancel()
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._log.flush()
        for lot in self._lots:
            lot.clear()

    def apply(self, command: Command, request: bytes | None = None) -> list[Event]:
        """Carries a command out, and says what changed.

        Args:
            command: What happens.
            request: The `JobRequest` of a submit, in protobuf's binary form.
        """
        now = self._clock.now()
        events = self.board.apply(command, now)
        if events:
            self._journal.pass_time(now)
        for event in events:
            self._act(event, request)
        self._set_alarm(now)
        return events

    async def undo(self, command: Command) -> None:
        """Carries out what takes a reply back, in this turn of the event loop, unless the board is closed."""
        if self.is_open:
            self.apply(command)

    def _tick(self) -> None:
        if not self._journal.is_behind:
            end = time.perf_counter() + SLICE
            self.apply(Tick())
            while self._is_due() and time.perf_counter() < end:
                self.apply(Tick())
        elif self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())

    def _is_due(self) -> bool:
        wake = self.board.next_wake()
        return wake is not None and wake <= self._clock.now() and not self._journal.is_behind

    async def _catch_up(self) -> None:
        with contextlib.suppress(StoreError):  # the journal says so, and tries again with the next commit
            await self._journal.commit()
        self.apply(Tick())

    def _set_alarm(self, now: int) -> None:
        if (wake := self.board.next_wake()) is not None:
            self._alarm.set(max(wake, now))

    def _act(self, event: Event, request: bytes | None) -> None:
        row = event.row
        if event.reason:
            extra = {"endpoint": row.endpoint, "job_id": row.id, "worker_id": row.worker_id}
            kind = f"jobs of endpoint {row.endpoint} that are {row.status}"
            self._log.info(kind, "job %s is %s: %s", row.id, row.status, event.reason, extra=extra)
        match event.kind:
            case EventKind.QUEUED:
                self._journal.save(row)
                self.followers.call_all(row.id)
                if request is not None:
                    self._journal.put(row, Part.REQUEST, request)
                self._offer(row.endpoint)
            case EventKind.TAKEN | EventKind.PROGRESSED:
                self._journal.save(row)
                self.followers.call_all(row.id)
            case EventKind.FINISHED:
                self._journal.save(row)
                if row.has_error and event.reason:
                    self._journal.put(row, Part.ERROR, dump(f"job {row.id}: {event.reason}"))
                for lot in (self.followers, self.watchers, self.readers):
                    lot.call_all(row.id)
                if row.notify:
                    self.notices.add([row])
            case EventKind.APPENDED:
                self._journal.save(row)
                self.readers.call_all(row.id)
            case EventKind.READ | EventKind.NOTIFIED:
                self._journal.save(row)
            case EventKind.RESTARTED:
                self._journal.save(row)
                self._journal.clear(row)
                self.readers.call_all(row.id)
            case EventKind.STOP_ORDERED:
                self.stoppers.call_all((row.endpoint, event.worker_id))
            case EventKind.FORGOTTEN:
                self._journal.drop(row)
            case EventKind.DUPLICATE | EventKind.STOP_COLLECTED:
                pass  # the row is as it was
            case _:
                assert_never(event.kind)

    def _offer(self, endpoint: str) -> None:
        """Hands what waits to the take that was parked first."""
        taker = self.takers.call_first(endpoint)
        if taker is not None:
            take = TakeJobs(endpoint=endpoint, worker_id=taker.worker_id, count=taker.count)
            taker.rows = [event.row for event in self.apply(take)]
