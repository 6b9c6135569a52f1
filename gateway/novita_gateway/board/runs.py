"""Containers that are made of short runs: nothing that they do takes longer where there are very many items."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator
from itertools import chain
from typing import Final, Generic, TypeVar

__all__ = ["Runs", "Shards"]

RUN: Final = 512
"""Items in one run."""

SHARDS: Final = 256

KeyT = TypeVar("KeyT", bound=Hashable)
ItemT = TypeVar("ItemT")


class Runs(Generic[ItemT]):
    """A sorted list that gets items at its ends and loses them anywhere.

    Args:
        place: Gives an item's place, which does not change while the item is here.
    """

    __slots__ = ("_count", "_firsts", "_place", "_runs")

    def __init__(self, place: Callable[[ItemT], int]) -> None:
        self._place = place
        self._runs: list[list[ItemT]] = []
        self._firsts: list[int] = []
        """For every run a place that is not behind its first item's, and behind the run before."""
        self._count = 0

    def __len__(self) -> int:
        """Items that are here."""
        return self._count

    def __iter__(self) -> Iterator[ItemT]:
        """The items in their order."""
        return chain.from_iterable(self._runs)

    def append(self, item: ItemT) -> None:
        """Adds an item whose place is behind those of all others."""
        if not self._runs or len(self._runs[-1]) >= RUN:
            self._runs.append([])
            self._firsts.append(self._place(item))
        self._runs[-1].append(item)
        self._count += 1

    def prepend(self, item: ItemT) -> None:
        """Adds an item whose place is in front of those of all others."""
        if not self._runs or len(self._runs[0]) >= RUN:
            self._runs.insert(0, [])
            self._firsts.insert(0, 0)
        self._runs[0].insert(0, item)
        self._firsts[0] = self._place(item)
        self._count += 1

    def pop_first(self) -> ItemT:
        """Takes out the first item; raises IndexError where there is none."""
        item = self._runs[0].pop(0)
        self._lost_one(0)
        return item

    def remove(self, item: ItemT) -> None:
        """Takes out an item that is here."""
        place = self._place(item)
        index = bisect_right(self._firsts, place) - 1
        run = self._runs[index]
        del run[bisect_left(run, place, key=self._place)]
        self._lost_one(index)

    def before(self, place: int | None) -> Iterator[ItemT]:
        """The items in front of that place, or all, the last first."""
        if place is None:
            index, end = len(self._runs) - 1, RUN
        else:
            index = bisect_left(self._firsts, place) - 1
            end = bisect_left(self._runs[index], place, key=self._place) if index >= 0 else 0
        while index >= 0:
            yield from reversed(self._runs[index][:end])
            index, end = index - 1, RUN

    def _lost_one(self, index: int) -> None:
        self._count -= 1
        if not self._runs[index]:
            del self._runs[index], self._firsts[index]


class Shards(Generic[KeyT, ItemT]):
    """A dict in many small ones: a large one holds everything up while it grows."""

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards: tuple[dict[KeyT, ItemT], ...] = tuple({} for _ in range(SHARDS))

    def __len__(self) -> int:
        """Keys that are here."""
        return sum(map(len, self._shards))

    def __setitem__(self, key: KeyT, item: ItemT) -> None:
        self._shards[hash(key) % SHARDS][key] = item

    def __delitem__(self, key: KeyT) -> None:
        del self._shards[hash(key) % SHARDS][key]

    def get(self, key: KeyT) -> ItemT | None:
        """The item of the key; None where there is none."""
        return self._shards[hash(key) % SHARDS].get(key)
