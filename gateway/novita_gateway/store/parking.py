"""Requests that wait for an event."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from novita_gateway._clock import Clock
from novita_gateway.board.rows import Row

__all__ = ["Lot", "Taker"]

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
