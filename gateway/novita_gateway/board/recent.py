"""A list of many things in their order, in short runs: nothing takes longer where there are more of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

__all__ = ["Recent"]

RUN: Final = 512
"""Items in one run."""

ItemT = TypeVar("ItemT")


class Recent(Generic[ItemT]):
    """A sorted list that loses items anywhere, and gets them at its end.

    Args:
        place: Gives an item's place, which never changes.
    """

    __slots__ = ("_firsts", "_place", "_runs")

    def __init__(self, place: Callable[[ItemT], int]) -> None:
        self._place = place
        self._runs: list[list[ItemT]] = []
        self._firsts: list[int] = []
        """For every run a place that is not behind its first item's."""

    def __bool__(self) -> bool:
        """Whether there is an item."""
        return bool(self._runs)

    def append(self, item: ItemT) -> None:
        """Adds an item; its place is behind those of all others."""
        if not self._runs or len(self._runs[-1]) >= RUN:
            self._runs.append([])
            self._firsts.append(self._place(item))
        self._runs[-1].append(item)

    def remove(self, item: ItemT) -> None:
        """Takes out an item that is here."""
        place = self._place(item)
        index = bisect_right(self._firsts, place) - 1
        run = self._runs[index]
        del run[bisect_left(run, place, key=self._place)]
        if not run:
            del self._runs[index], self._firsts[index]

    def before(self, place: int | None) -> Iterator[ItemT]:
        """The items in front of that place, or all, the newest first."""
        if place is None:
            index, end = len(self._runs) - 1, RUN
        else:
            index = bisect_left(self._firsts, place) - 1
            end = bisect_left(self._runs[index], place, key=self._place) if index >= 0 else 0
        while index >= 0:
            yield from reversed(self._runs[index][:end])
            index, end = index - 1, RUN
