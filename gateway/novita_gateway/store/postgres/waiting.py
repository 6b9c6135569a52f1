"""The requests that wait at one gateway: each is woken when one of the things that it watches happens."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from novita_gateway._clock import Clock

__all__ = ["Waiters", "Watch"]

KeyT = TypeVar("KeyT", bound=Hashable)


class Watch:
    """One request that watches. What happens between its look and its wait wakes it at once.

    Args:
        clock: Tells the time.
        waiters: Counts it while it waits.

    Attributes:
        seen: What it has seen, for who looks whether that is outdated.
    """

    def __init__(self, clock: Clock, waiters: Waiters[Any]) -> None:
        self._clock = clock
        self._waiters = waiters
        self._event = asyncio.Event()
        self.seen: object = None

    def wake(self) -> None:
        """Something happened."""
        self._event.set()

    async def until(self, when: int, *, is_request: bool = True) -> bool:
        """Waits for something to happen; False when it is that time, or the gateway stops.

        Args:
            when: The time.
            is_request: It is a request, and counted among those that are parked.
        """
        if self._waiters.is_closed or (self._clock.now() >= when and not self._event.is_set()):
            return False
        timer = self._clock.call_at(when, self._event.set)
        self._waiters.parked += is_request
        try:
            await self._event.wait()
        finally:
            self._waiters.parked -= is_request
            timer.cancel()
        self._event.clear()
        return not self._waiters.is_closed and self._clock.now() < when


class Waiters(Generic[KeyT]):
    """Who watches what.

    Args:
        clock: Tells the time.

    Attributes:
        parked: Requests that wait right now.
        is_closed: Nobody may wait any more.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watches: dict[KeyT, dict[Watch, None]] = {}
        self.parked = 0
        self.is_closed = False

    @contextmanager
    def watch(self, *keys: KeyT) -> Iterator[Watch]:
        """Watches these as long as a block lasts; look at how they are inside it."""
        watch = Watch(self._clock, self)
        for key in keys:
            self._watches.setdefault(key, {})[watch] = None
        try:
            yield watch
        finally:
            for key in keys:
                others = self._watches[key]
                del others[watch]
                if not others:
                    del self._watches[key]

    def __contains__(self, key: KeyT) -> bool:
        return key in self._watches

    def __iter__(self) -> Iterator[KeyT]:
        """What is watched."""
        return iter(list(self._watches))

    def watches(self, key: KeyT) -> Iterable[Watch]:
        """Those who watch that."""
        return list(self._watches.get(key, ()))

    def call(self, keys: Iterable[KeyT]) -> None:
        """Wakes all who watch one of these."""
        for key in keys:
            for watch in self.watches(key):
                watch.wake()

    def close(self) -> None:
        """Wakes everybody, for good."""
        self.is_closed = True
        self.call(self)
