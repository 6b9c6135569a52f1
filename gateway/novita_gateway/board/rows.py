"""The board's rows: a job, a worker, an endpoint. Times are milliseconds of the board's own clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Final

from novita_gateway.board.runs import Runs
from novita_sdk.wire import states

__all__ = ["NEVER", "NOT_KEPT", "EndpointRows", "Row", "WorkerRow", "by_rank"]

_seq = attrgetter("seq")
_rank = attrgetter("rank")

NEVER: Final = 1 << 62
"""A time that never comes."""
NOT_KEPT: Final = {"is_kept": False}
"""Metadata of a field of Row that begins anew with the process. A store keeps every other one."""


@dataclass(slots=True, eq=False)
class Row:
    """One job. Its payloads are not here: `has_…` says which of them the store keeps.

    A store that reads very many gives the kept fields in their order; everybody else names them.
    """

    seq: int
    """Order of submission; also the key of the job's payloads."""
    id: str
    endpoint: str
    created: int
    expires: int
    """When the job times out if it is not final by then."""
    ttl: int
    """Milliseconds; counts again from a retry."""
    execution_timeout: int | None = None
    """Milliseconds that one attempt may run."""
    low_priority: bool = False
    idempotency_key: str | None = None
    notify: bool = False
    """A webhook waits for the final state."""

    rank: int = 0
    """Place in the queue: lower ones are taken first."""
    status: str = states.PENDING
    revision: int = 1
    """Counts the changes of state and progress."""
    worker_id: str | None = None
    """Who runs the job, or who ran it last."""
    attempt: int = 0
    """Attempts since the submit or the last retry."""
    takes: int = 0
    """Attempts since the submit; they tell the streams of a job apart."""
    taken: int | None = None
    finished: int | None = None
    has_progress: bool = False
    has_output: bool = False
    has_error: bool = False
    chunks: int = 0
    """Pieces of streamed output there are."""
    read: int = 0
    """Pieces that clients without a cursor have fetched."""

    lease_until: int = field(default=0, metadata=NOT_KEPT)
    wake: int = field(default=NEVER, metadata=NOT_KEPT)
    """When the board looks at this row again; no later than `due`."""

    @property
    def is_final(self) -> bool:
        """Whether the state never changes again."""
        return self.status in states.FINAL

    @property
    def is_queued(self) -> bool:
        """Whether the job waits for a worker."""
        return self.status == states.PENDING

    @property
    def is_running(self) -> bool:
        """Whether a worker holds the job."""
        return self.status == states.IN_PROGRESS

    @property
    def retries(self) -> int:
        """Attempts after the very first."""
        return max(0, self.takes - 1)

    def due(self, retention: int) -> int:
        """The next time at which something happens to this row by itself."""
        if self.finished is not None:
            return self.finished + retention
        if self.taken is None or self.status != states.IN_PROGRESS:  # `is_running`, without a call
            return self.expires
        timeout = NEVER if self.execution_timeout is None else self.taken + self.execution_timeout
        return min(self.lease_until, self.expires, timeout)


def by_rank(rows: list[Row]) -> list[Row]:
    """In the order of the queue. They mostly are, and a sort of very many holds every other thread up."""
    if all(one.rank < other.rank for one, other in pairwise(rows)):
        return rows
    return sorted(rows, key=_rank)


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerRow:
    """One worker of one endpoint, known while it calls or holds jobs."""

    endpoint: str
    id: str
    seen: int
    running: dict[str, Row] = field(default_factory=dict)
    stops: dict[str, Row] = field(default_factory=dict)
    """Jobs that the worker is to be told to stop."""
    wake: int = NEVER


@dataclass(slots=True, kw_only=True, eq=False)
class EndpointRows:
    """The queues and counters of one endpoint."""

    name: str
    queue: Runs[Row] = field(default_factory=lambda: Runs(_rank))
    low_queue: Runs[Row] = field(default_factory=lambda: Runs(_rank))
    workers: dict[str, WorkerRow] = field(default_factory=dict)
    recent: Runs[Row] = field(default_factory=lambda: Runs(_seq))
    """In order of submission."""
    running: int = 0
    completed: int = 0
    failed: int = 0
    retried: int = 0

    def queue_of(self, row: Row) -> Runs[Row]:
        """The queue in which the row waits."""
        return self.low_queue if row.low_priority else self.queue

    @property
    def queues(self) -> tuple[Runs[Row], Runs[Row]]:
        """Both queues, in the order in which they are taken."""
        return self.queue, self.low_queue

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return len(self.queue) + len(self.low_queue)
