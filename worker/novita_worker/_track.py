"""Progress of a loop, without a word in the loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

from novita_sdk.wire.payload import JSONValue

__all__ = ["Progress", "track"]

ItemT = TypeVar("ItemT")


class Progress(Protocol):
    """Something that takes progress reports."""

    def progress(self, *, fraction: float | None = None, message: str | None = None, data: JSONValue = None) -> None:
        """Reports how far a job is."""


def track(
    progress: Progress, iterable: Iterable[ItemT], *, total: int | None = None, description: str | None = None
) -> Iterator[ItemT]:
    """Yields the items and reports after each how many are done."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    progress.progress(fraction=0.0 if total else None, message=description, data={"done": 0, "total": total})
    for done, item in enumerate(iterable, 1):
        yield item
        fraction = min(1.0, done / total) if total else None
        progress.progress(fraction=fraction, message=description, data={"done": done, "total": total})
