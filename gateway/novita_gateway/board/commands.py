"""The board's commands and events: what can happen to it, and what it says has happened."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from novita_gateway.board.rows import NEVER, Row

__all__ = [
    "Append",
    "Cancel",
    "CollectStops",
    "Command",
    "Event",
    "EventKind",
    "Finish",
    "GiveBack",
    "MarkNotified",
    "Ping",
    "Purge",
    "ReadChunks",
    "Report",
    "RestoreChunks",
    "RestoreStops",
    "Retry",
    "Submit",
    "TakeJobs",
    "Tick",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A client queues a job. With an idempotency key that is known, nothing but a DUPLICATE event comes of it."""

    endpoint: str
    id: str
    idempotency_key: str | None = None
    execution_timeout: int | None = None
    """Milliseconds one attempt may run; None for the board's default."""
    ttl: int | None = None
    """Milliseconds from the submit to a final state; None for the board's default."""
    low_priority: bool = False
    notify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeJobs:
    """A worker takes up to `count` jobs."""

    endpoint: str
    worker_id: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """A take's reply could not be written: its jobs go back to the front, and the attempt does not count."""

    endpoint: str
    worker_id: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A worker is alive and still has these jobs; it is told to stop those that went on without it."""

    endpoint: str
    worker_id: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A worker reports progress."""

    endpoint: str
    worker_id: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """A worker adds a piece of streamed output; nothing comes of a repeat, or of one of an earlier take."""

    endpoint: str
    worker_id: str
    id: str
    take: int | None = None
    """The take that it is of, if the worker tells."""
    number: int | None = None
    """Pieces before it in that take, if the worker tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """A worker delivers a result; one with an error makes the job FAILED."""

    endpoint: str
    worker_id: str
    id: str
    take: int | None = None
    """The take that it is of, if the job streamed and the worker tells: the pieces of an earlier one are gone."""
    has_output: bool = False
    has_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A client cancels a job that waits or runs."""

    endpoint: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A client queues a FAILED or TIMED_OUT job again."""

    endpoint: str
    id: str
    notify: bool = False
    """Its webhook, which may have been called, waits for the next final state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """A client cancels jobs that wait: at most `limit`, and none that was queued after the one of rank `until`."""

    endpoint: str
    until: int = NEVER
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectStops:
    """A worker fetches the ids it is to stop."""

    endpoint: str
    worker_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreStops:
    """The reply with these ids could not be written."""

    endpoint: str
    worker_id: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadChunks:
    """A client fetches the pieces that it has not got yet, up to number `end`, which it does not get."""

    endpoint: str
    id: str
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChunks:
    """The reply with the pieces from number `first` on, of this many retries, could not be written."""

    endpoint: str
    id: str
    first: int
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkNotified:
    """The webhook was called with the final state of this revision, or given up."""

    endpoint: str
    id: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed: leases, timeouts and retention are looked at."""


Command: TypeAlias = (
    Submit
    | TakeJobs
    | GiveBack
    | Ping
    | Report
    | Append
    | Finish
    | Cancel
    | Retry
    | Purge
    | CollectStops
    | RestoreStops
    | ReadChunks
    | RestoreChunks
    | MarkNotified
    | Tick
)


class EventKind(enum.Enum):
    """What happened to a row."""

    QUEUED = "queued"
    """It waits for a worker: submitted, given back, taken from a lost worker, or retried."""
    RESTARTED = "restarted"
    """What an earlier attempt left behind (output, error, progress, chunks) is void; a QUEUED follows."""
    DUPLICATE = "duplicate"
    """It was submitted before, under the same idempotency key."""
    TAKEN = "taken"
    PROGRESSED = "progressed"
    APPENDED = "appended"
    """Its newest piece has the number `row.chunks - 1`."""
    READ = "read"
    FINISHED = "finished"
    """It is final now; `reason` says why where no result made it so."""
    NOTIFIED = "notified"
    STOP_ORDERED = "stop_ordered"
    """`worker_id` is to be told to stop it."""
    STOP_COLLECTED = "stop_collected"
    FORGOTTEN = "forgotten"
    """Its retention is over; the store drops it."""


class Event(NamedTuple):
    """One thing that happened."""

    kind: EventKind
    row: Row
    worker_id: str = ""
    reason: str = ""
