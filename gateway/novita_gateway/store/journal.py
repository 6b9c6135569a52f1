"""The journal of a board: its rows and payloads, so that it survives its process, or doesn't."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from novita_gateway.board.rows import Row

__all__ = ["FIRST_CHUNK", "Journal", "Kept", "MemoryJournal", "Part", "Payloads"]


class Part(enum.IntEnum):
    """The payloads of a job; chunk number n of its stream is part `FIRST_CHUNK + n`."""

    REQUEST = 0
    """The `JobRequest`, in protobuf's binary form."""
    OUTPUT = 1
    ERROR = 2
    PROGRESS = 3


FIRST_CHUNK: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an earlier process left.

    Attributes:
        rows: Its jobs, by their `seq`.
        now: Its board's time when it wrote last; None where there was no such process.
    """

    rows: Sequence[Row] = ()
    now: int | None = None


class Payloads(Protocol):
    """Has the payloads of jobs."""

    def get(self, row: Row, part: int) -> bytes:
        """Reads a payload; raises KeyError where there is none."""
        ...


class Journal(Protocol):
    """Keeps what it is told, in that order. All methods are called on one event loop.

    A row is known by its `seq`, and its payloads by that and the number of their part. What was put can be read at
    once; it is durable when `commit` returned.
    """

    async def open(self) -> Kept:
        """Gets ready; returns what an earlier process kept."""
        ...

    async def close(self) -> None:
        """Finishes writing."""
        ...

    def pass_time(self, now: int, /) -> None:
        """Keeps the board's time with the next batch, or in the end; by itself it is no reason to write."""
        ...

    def save(self, row: Row) -> None:
        """Keeps the row as it is now."""
        ...

    def drop(self, row: Row) -> None:
        """Removes the row and its payloads."""
        ...

    def put(self, row: Row, part: int, body: bytes) -> None:
        """Keeps a payload in place of the part's last one."""
        ...

    def clear(self, row: Row) -> None:
        """Removes every payload but the request."""
        ...

    def get(self, row: Row, part: int) -> bytes:
        """Reads a payload; raises KeyError where there is none."""
        ...

    def put_schema(self, endpoint: str, schema: bytes) -> None:
        """Keeps an endpoint's schema in place of its last one."""
        ...

    def get_schema(self, endpoint: str) -> bytes | None:
        """Reads an endpoint's schema; None where there is none."""
        ...

    def is_settled(self, row: Row, /) -> bool:
        """Whether all that was said about this row is durable."""
        ...

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be written that who needs no answer should wait for a commit first."""
        ...

    async def commit(self) -> None:
        """Returns when all that was said so far is durable; raises StoreError where that failed."""
        ...


class MemoryJournal:
    """Keeps payloads in a dict and rows not at all, for the board has them."""

    def __init__(self) -> None:
        self._bodies: dict[int, dict[int, bytes]] = {}
        self._schemas: dict[str, bytes] = {}

    async def open(self) -> Kept:
        """Starts empty."""
        return Kept()

    async def close(self) -> None:
        """Lets go of everything."""
        self._bodies.clear()

    def pass_time(self, _: int, /) -> None:
        """Does nothing."""

    def save(self, row: Row) -> None:
        """Does nothing."""

    def drop(self, row: Row) -> None:
        """Removes the payloads."""
        self._bodies.pop(row.seq, None)

    def put(self, row: Row, part: int, body: bytes) -> None:
        """Keeps a payload."""
        self._bodies.setdefault(row.seq, {})[part] = body

    def clear(self, row: Row) -> None:
        """Removes every payload but the request."""
        bodies = self._bodies[row.seq]
        self._bodies[row.seq] = {Part.REQUEST: bodies[Part.REQUEST]}

    def get(self, row: Row, part: int) -> bytes:
        """Reads a payload."""
        return self._bodies[row.seq][part]

    def put_schema(self, endpoint: str, schema: bytes) -> None:
        """Keeps the schema."""
        self._schemas[endpoint] = schema

    def get_schema(self, endpoint: str) -> bytes | None:
        """Reads the schema."""
        return self._schemas.get(endpoint)

    def is_settled(self, _: Row, /) -> bool:
        """Says yes: nothing here outlives the process, whatever is waited for."""
        return True

    @property
    def is_behind(self) -> bool:
        """Says no."""
        return False

    async def commit(self) -> None:
        """Returns at once."""
