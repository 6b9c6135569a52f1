"""A heap of wake-up times in which a time that moves later costs nothing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from novita_gateway.board.rows import NEVER, Row, WorkerRow

__all__ = ["Timers"]


class Timers:
    """Remembers when to look at which row again.

    An item has at most one live entry, the one at its `wake`. A due time that moves earlier gets a new entry and leaves
    a dead one; a due time that moves later is noticed when the old entry comes up.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Row | WorkerRow]] = []
        self._count = 0
        self._dead = 0

    def schedule(self, item: Row | WorkerRow, due: int) -> None:
        """Makes sure that the item comes up no later than `due`."""
        if due >= item.wake:
            return
        if item.wake != NEVER:
            self._dead += 1
        item.wake = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, item))
        if self._dead > len(self._heap) // 2 + 64:
            self._sweep()

    def next_wake(self) -> int | None:
        """When the next entry comes up, live or dead; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> Iterator[Row | WorkerRow]:
        """Takes out the items whose time has come. They have to be scheduled again."""
        while self._heap and self._heap[0][0] <= now:
            when, _, item = heapq.heappop(self._heap)
            if item.wake == when:
                item.wake = NEVER
                yield item
            else:
                self._dead -= 1

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].wake == entry[0]]
        heapq.heapify(self._heap)
        self._dead = 0
