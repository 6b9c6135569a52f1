"""The waiting of a board store: parked requests, the board's next time, webhooks that are to be called."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from novita_gateway._clock import Clock, Timer
from novita_gateway.board.rows import Row

__all__ = ["Alarm", "Lot", "NoticeQueue", "Taker"]

KeyT = TypeVar("KeyT", bound=Hashable)
TicketT = TypeVar("TicketT", bound=Hashable)


class Taker:
    """A parked take; `rows` are what it got."""

    __slots__ = ("count", "rows", "worker_id")

    def __init__(self, worker_id: str, count: int) -> None:
        self.worker_id = worker_id
        self.count = count
        self.rows: list[Row] = []


class Lot(Generic[KeyT, TicketT]):
    """A line of parked requests under every key; the first to come is the first to go."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[KeyT, OrderedDict[TicketT, asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Requests that are parked."""
        return sum(map(len, self._lines.values()))

    async def park(self, key: KeyT, ticket: TicketT, wait: int) -> None:
        """Returns when the ticket was called, or after `wait` milliseconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(key, OrderedDict())[ticket] = future
        timer = self._clock.call_at(self._clock.now() + wait, lambda: self._leave(key, ticket))
        try:
            await future
        finally:
            timer.cancel()
            self._leave(key, ticket)

    def call_first(self, key: KeyT) -> TicketT | None:
        """Wakes the first in the line and returns its ticket; None where nobody waits."""
        line = self._lines.get(key)
        if line is None:
            return None
        ticket = next(iter(line))
        self._leave(key, ticket)
        return ticket

    def call_all(self, key: KeyT) -> None:
        """Wakes everybody in the line."""
        for future in self._lines.pop(key, {}).values():
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        """Wakes everybody."""
        for key in list(self._lines):
            self.call_all(key)

    def _leave(self, key: KeyT, ticket: TicketT) -> None:
        line = self._lines.get(key)
        future = line.pop(ticket, None) if line is not None else None
        if not line:
            self._lines.pop(key, None)
        if future is not None and not future.done():
            future.set_result(None)


TURNS: Final = 16
"""Turns of the event loop in which all is read that had arrived: a connection that waits to be accepted takes six."""


class Alarm:
    """One timer, set to the earliest of the times that were asked for.

    Where it comes late, as it does by a millisecond at least on a clock that moves, what arrived until then is read
    before it rings: a ping or a result that was sent in time counts, however long this process had no time for it.

    Args:
        clock: Tells the time.
        ring: Called at that time; it asks again for the next one.
    """

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: Timer | None = None
        self._when: int | None = None

    def set(self, when: int | None) -> None:
        """Makes it ring no later than that; None asks for nothing."""
        if when is None or (self._when is not None and self._when <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._when = when
        self._timer = self._clock.call_at(when, self._run)

    def cancel(self) -> None:
        """Makes it never ring."""
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        is_late = self._when is not None and self._clock.now() > self._when
        self._read_first(TURNS if is_late else 0)

    def _read_first(self, turns: int) -> None:
        if turns > 0:
            self._timer = asyncio.get_running_loop().call_soon(self._read_first, turns - 1)
            return
        self._timer = self._when = None
        self._ring()


class NoticeQueue:
    """Final jobs whose webhooks wait, in the order in which they became final."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self._added = asyncio.Event()

    def add(self, rows: Iterable[Row]) -> None:
        """Puts final jobs at the end."""
        self._rows.extend(rows)
        self._added.set()

    async def first(self) -> Row:
        """The job at the front, where it stays; waits until there is one."""
        while not self._rows:
            self._added.clear()
            await self._added.wait()
        return self._rows[0]

    def remove_first(self) -> None:
        """Lets the job at the front go."""
        self._rows.popleft()
