"""The rules of one job: what a command, or time, makes of its row. Every store follows them.

No other row, no queue and no clock: times, and a requeued job's place in its queue, are arguments. A rule changes the
row and says what happened; one that doesn't apply changes nothing.
"""

from __future__ import annotations

from novita_gateway.board import commands
from novita_gateway.board.commands import Event, EventKind
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import NEVER, Row
from novita_sdk.wire import states

__all__ = [
    "append",
    "cancel",
    "end",
    "finish",
    "give_back",
    "holds",
    "is_behind_the_worker",
    "look_at",
    "mark_notified",
    "may_retry",
    "read_chunks",
    "report",
    "restore_chunks",
    "retry",
    "submitted",
    "take",
]

RETRYABLE = frozenset({states.FAILED, states.TIMED_OUT})


def submitted(command: commands.Submit, *, seq: int, rank: int, now: int, limits: Limits) -> Row:
    """The row of a new job."""
    ttl = limits.ttl if command.ttl is None else command.ttl
    timeout = limits.execution_timeout if command.execution_timeout is None else command.execution_timeout
    return Row(
        seq=seq,
        id=command.id,
        endpoint=command.endpoint,
        created=now,
        expires=now + ttl,
        ttl=ttl,
        execution_timeout=timeout,
        low_priority=command.low_priority,
        idempotency_key=command.idempotency_key,
        notify=command.notify,
        rank=rank,
    )


def take(row: Row, worker_id: str, *, now: int, limits: Limits) -> None:
    """A worker gets a job that waits."""
    row.status = states.IN_PROGRESS
    row.revision += 1
    row.worker_id = worker_id
    row.taken = now
    row.attempt += 1
    row.takes += 1
    row.lease_until = now + limits.lease


def holds(row: Row, worker_id: str, *, now: int, limits: Limits) -> bool:
    """Whether that worker holds the job; hearing of it extends the lease."""
    if not row.is_running or row.worker_id != worker_id:
        return False
    row.lease_until = now + limits.lease
    return True


def is_behind_the_worker(status: str) -> bool:
    """Whether a worker that pings for a job in this state, and doesn't hold it, is to be told to stop.

    Its stop order may have been lost, with an earlier process or on the way.
    """
    return status in {states.IN_PROGRESS, states.CANCELLED, states.TIMED_OUT}


def give_back(row: Row, *, rank: int) -> list[Event]:
    """A take's reply could not be written: the attempt does not count. The worker holds the job."""
    row.attempt -= 1
    row.takes -= 1
    return _requeue(row, rank)


def report(row: Row) -> list[Event]:
    """Its worker tells progress."""
    row.has_progress = True
    row.revision += 1
    return [Event(EventKind.PROGRESSED, row)]


def append(row: Row, take: int | None, number: int | None) -> list[Event]:
    """Its worker adds a piece; nothing comes of a repeat, of one of an earlier take, or of one after a hole."""
    if take not in {None, row.takes} or number not in {None, row.chunks}:
        return []
    row.chunks += 1
    return [Event(EventKind.APPENDED, row)]


def finish(row: Row, command: commands.Finish, *, now: int) -> list[Event]:
    """Its worker delivers a result; one of an earlier take changes nothing."""
    if command.take not in {None, row.takes}:
        return []
    row.has_output = command.has_output
    row.has_error = command.has_error
    return _finalise(row, states.FAILED if command.has_error else states.COMPLETED, now)


def cancel(row: Row, *, now: int) -> list[Event]:
    """A client cancels the job."""
    return end(row, states.CANCELLED, now, reason="cancelled by a client")


def end(row: Row, status: str, now: int, *, reason: str) -> list[Event]:
    """Makes a job final that no result came for; its worker is told to stop."""
    if row.is_final:
        return []
    was_running = row.is_running
    events = _finalise(row, status, now, reason=reason)
    if was_running:
        events.append(Event(EventKind.STOP_ORDERED, row, row.worker_id or ""))
    return events


def may_retry(row: Row) -> bool:
    """Whether a client may queue the job again."""
    return row.status in RETRYABLE


def retry(row: Row, *, notify: bool, rank: int, now: int) -> list[Event]:
    """A client queues a job again that `may_retry`."""
    row.finished = None
    row.notify = notify
    row.attempt = 0
    row.expires = now + row.ttl
    return _requeue(row, rank)


def read_chunks(row: Row, end: int) -> list[Event]:
    """A client without a cursor fetched the pieces up to number `end`, without that."""
    if row.read >= end:
        return []
    row.read = end
    return [Event(EventKind.READ, row)]


def restore_chunks(row: Row, *, first: int, retries: int) -> list[Event]:
    """The reply with the pieces from `first` on could not be written."""
    if row.retries != retries or row.read <= first:
        return []
    row.read = first
    return [Event(EventKind.READ, row)]


def mark_notified(row: Row, revision: int) -> list[Event]:
    """The webhook was called with the final state of that revision, or given up."""
    if not row.notify or row.revision != revision:
        return []
    row.notify = False
    return [Event(EventKind.NOTIFIED, row)]


def look_at(row: Row, *, resumed: int, rank: int, now: int, limits: Limits) -> list[Event]:
    """What time makes of the job.

    Args:
        row: The job.
        resumed: Since when workers could be heard without a break: every lease begins again then.
        rank: Its place in the queue, if it is offered again.
        now: The time; what is due later is left alone.
        limits: Leases, attempts, retention.
    """
    row.lease_until = max(row.lease_until, resumed + limits.lease)
    if row.due(limits.retention) > now:
        return []
    if row.is_final:
        return [Event(EventKind.FORGOTTEN, row)]
    if row.expires <= now:
        return end(row, states.TIMED_OUT, now, reason=f"not final within its ttl of {row.ttl} ms")
    timeout = NEVER if row.execution_timeout is None else row.execution_timeout
    if row.taken is not None and row.taken + timeout <= now:
        return end(row, states.TIMED_OUT, now, reason=f"ran longer than its executionTimeout of {timeout} ms")
    return _lose(row, rank, now, limits)


def _lose(row: Row, rank: int, now: int, limits: Limits) -> list[Event]:
    """The worker was silent for too long."""
    worker_id = row.worker_id or ""
    if row.attempt >= limits.max_attempts:
        reason = f"lost {row.attempt} times, last with worker {worker_id!r}, which stopped pinging"
        return end(row, states.FAILED, now, reason=reason)
    reason = f"worker {worker_id!r} stopped pinging; the job is offered again"
    return [Event(EventKind.STOP_ORDERED, row, worker_id), *_requeue(row, rank, reason=reason)]


def _requeue(row: Row, rank: int, *, reason: str = "") -> list[Event]:
    row.status = states.PENDING
    row.revision += 1
    row.has_output = row.has_error = row.has_progress = False
    row.chunks = row.read = 0
    row.rank = rank
    return [Event(EventKind.RESTARTED, row, reason=reason), Event(EventKind.QUEUED, row)]


def _finalise(row: Row, status: str, now: int, *, reason: str = "") -> list[Event]:
    row.status = status
    row.revision += 1
    row.finished = now
    row.has_error = row.has_error or bool(reason and status != states.CANCELLED)
    return [Event(EventKind.FINISHED, row, reason=reason)]
