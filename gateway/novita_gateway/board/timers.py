"""The board's timers: when to look at which row again, in buckets of wake-up times."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from novita_gateway.board.rows import NEVER, Row, WorkerRow

__all__ = ["Timers"]

_BITS: Final = 7
"""Leading bits of the time left that count. More make more buckets, fewer make more looks at a row."""


class Timers:
    """Remembers when to look at which row again.

    A time that is far away is rounded down, by no more than a 64th of the time left: whoever is looked at too early is
    scheduled again, and more exactly. So there are a few thousand buckets at most, however many items there are, and
    nothing that this does takes longer where there are more items.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Row | WorkerRow, None]] = {}
        self._wakes: list[int] = []
        """The keys of the buckets, as a heap."""

    def schedule(self, item: Row | WorkerRow, due: int, now: int) -> None:
        """Makes sure that the item comes up no later than `due`.

        A time that moves later costs nothing here: it is noticed when the item comes up.
        """
        if due >= item.wake:
            return
        if item.wake != NEVER:
            del self._buckets[item.wake][item]
        wake = _rounded(due, now)
        bucket = self._buckets.get(wake)
        if bucket is None:
            bucket = self._buckets[wake] = {}
            heapq.heappush(self._wakes, wake)
        bucket[item] = None
        item.wake = wake

    def next_wake(self) -> int | None:
        """When the next item comes up; None where there is none."""
        while self._wakes and not self._buckets[self._wakes[0]]:
            del self._buckets[heapq.heappop(self._wakes)]
        return self._wakes[0] if self._wakes else None

    def pop_due(self, now: int) -> Iterator[Row | WorkerRow]:
        """Takes out the items whose time has come. They have to be scheduled again."""
        while (wake := self.next_wake()) is not None and wake <= now:
            item, _ = self._buckets[wake].popitem()
            item.wake = NEVER
            yield item


def _rounded(due: int, now: int) -> int:
    shift = max(0, (due - now).bit_length() - _BITS)
    return due >> shift << shift
