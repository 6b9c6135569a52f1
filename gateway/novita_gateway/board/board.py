"""The board: which job is in which state, who holds it, and until when. No I/O, no clock, no payloads."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice, takewhile
from typing import Final, assert_never

from novita_gateway.board import commands
from novita_gateway.board.commands import Command, Event, EventKind
from novita_gateway.board.ledger import Ledger
from novita_gateway.board.limits import Limits
from novita_gateway.board.pulse import Pulse
from novita_gateway.board.rows import EndpointRows, Row, WorkerRow, by_rank
from novita_gateway.board.timers import Timers
from novita_sdk.wire import states

__all__ = ["Board"]

ROWS_PER_TICK: Final = 25
"""`next_wake` is in the past while there are more."""


class Board:
    """Every job of a gateway.

    `apply` is the only way to change something; `ledger` is for reading. A command about an unknown job, or from a
    worker that does not hold the job, has no events.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits: Final = limits
        self.ledger: Final = Ledger()
        self._timers = Timers()
        self._pulse = Pulse(limits.lease)
        self._seq = 0
        self._front = 0
        self.last_rank = 0

    def apply(self, command: Command, now: int) -> list[Event]:
        """Carries a command out and says what changed, in order.

        Args:
            command: What happens.
            now: Milliseconds of a clock that never goes back.
        """
        self._pulse.beat(now, self.next_wake())
        match command:  # the frequent ones first, for they are tried in this order
            case commands.TakeJobs():
                return self._take(command, now)
            case commands.Submit():
                return self._submit(command, now)
            case commands.Finish():
                return self._finish_job(command, now)
            case commands.Report():
                return self._report(command, now)
            case commands.Append():
                return self._append(command, now)
            case commands.ReadChunks():
                return self._read_chunks(command)
            case commands.Ping():
                return self._ping(command, now)
            case commands.Tick():
                return self._tick(now)
            case commands.CollectStops():
                return self._collect_stops(command, now)
            case commands.GiveBack():
                return self._give_back(command, now)
            case commands.Cancel():
                return self._cancel(command, now)
            case commands.Retry():
                return self._retry(command, now)
            case commands.Purge():
                return self._purge(command, now)
            case commands.RestoreStops():
                return self._restore_stops(command, now)
            case commands.RestoreChunks():
                return self._restore_chunks(command)
            case commands.MarkNotified():
                return self._mark_notified(command)
            case _:
                assert_never(command)

    def restore(self, rows: Iterable[Row], now: int) -> None:
        """Fills an empty board with the rows of an earlier one, by their `seq`.

        Running jobs get a fresh lease, for their workers could not ping while the gateway was away.
        """
        self._pulse.begin(now)
        queued: list[Row] = []
        for row in rows:
            self._seq = row.seq
            self._front = min(self._front, row.rank)
            self.last_rank = max(self.last_rank, row.rank)
            endpoint = self.ledger.add(row)
            endpoint.retried += row.retries
            if row.is_queued:
                queued.append(row)
            elif row.is_running and row.worker_id is not None:
                row.lease_until = now + self.limits.lease
                self._worker(endpoint, row.worker_id, now).running[row.id] = row
                endpoint.running += 1
                self._pulse.held += 1
            else:
                self.ledger.count_final(endpoint, row, 1)
            self._schedule(row)
        for row in by_rank(queued):
            self.ledger.endpoint(row.endpoint).queue_of(row).append(row)

    def find(self, endpoint: str, id: str) -> Row | None:
        """The job of that endpoint and id, if it is known."""
        return self.ledger.find(endpoint, id)

    def next_wake(self) -> int | None:
        """When the next `Tick` is due, or None."""
        return self._pulse.due(self._timers.next_wake())

    # Clients

    def _submit(self, command: commands.Submit, now: int) -> list[Event]:
        if command.idempotency_key is not None:
            known = self.ledger.find_key(command.endpoint, command.idempotency_key)
            if known is not None:
                return [Event(EventKind.DUPLICATE, known)]
        ttl = self.limits.ttl if command.ttl is None else command.ttl
        timeout = self.limits.execution_timeout if command.execution_timeout is None else command.execution_timeout
        self._seq += 1
        row = Row(
            seq=self._seq,
            id=command.id,
            endpoint=command.endpoint,
            created=now,
            expires=now + ttl,
            ttl=ttl,
            execution_timeout=timeout,
            low_priority=command.low_priority,
            idempotency_key=command.idempotency_key,
            notify=command.notify,
        )
        self.ledger.add(row)
        self._enqueue(row, at_front=False)
        return [Event(EventKind.QUEUED, row)]

    def _cancel(self, command: commands.Cancel, now: int) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        return [] if row is None else self._end(row, states.CANCELLED, now, reason="cancelled by a client")

    def _retry(self, command: commands.Retry, now: int) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        if row is None or row.status not in {states.FAILED, states.TIMED_OUT}:
            return []
        self.ledger.count_final(self.ledger.endpoint(row.endpoint), row, -1)
        row.finished = None
        row.notify = command.notify
        row.attempt = 0
        row.expires = now + row.ttl
        return self._requeue(row, at_front=False)

    def _purge(self, command: commands.Purge, now: int) -> list[Event]:
        endpoint = self.ledger.known_endpoint(command.endpoint)
        if endpoint is None:
            return []
        queued = (takewhile(lambda row: row.rank <= command.until, queue) for queue in endpoint.queues)
        waiting = list(islice(chain.from_iterable(queued), command.limit))
        reason = "the queue was purged"
        return [event for row in waiting for event in self._end(row, states.CANCELLED, now, reason=reason)]

    def _read_chunks(self, command: commands.ReadChunks) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        if row is None or row.read >= command.end:
            return []
        row.read = command.end
        return [Event(EventKind.READ, row)]

    def _restore_chunks(self, command: commands.RestoreChunks) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        if row is None or row.retries != command.retries or row.read <= command.first:
            return []
        row.read = command.first
        return [Event(EventKind.READ, row)]

    # Workers

    def _take(self, command: commands.TakeJobs, now: int) -> list[Event]:
        endpoint = self.ledger.endpoint(command.endpoint)
        worker = self._worker(endpoint, command.worker_id, now)
        events: list[Event] = []
        while len(events) < command.count and (queue := endpoint.queue or endpoint.low_queue):
            row = queue.pop_first()
            row.status = states.IN_PROGRESS
            row.revision += 1
            row.worker_id = worker.id
            row.taken = now
            row.attempt += 1
            row.takes += 1
            row.lease_until = now + self.limits.lease
            worker.running[row.id] = row
            worker.stops.pop(row.id, None)
            endpoint.running += 1
            self._pulse.held += 1
            endpoint.retried += row.takes > 1
            self._schedule(row)
            events.append(Event(EventKind.TAKEN, row))
        return events

    def _give_back(self, command: commands.GiveBack, now: int) -> list[Event]:
        events: list[Event] = []
        for job_id in reversed(command.ids):
            if (row := self._held(command.endpoint, command.worker_id, job_id, now)) is not None:
                endpoint = self._release(row)
                endpoint.retried -= row.takes > 1
                row.attempt -= 1
                row.takes -= 1
                events += self._requeue(row, at_front=True)
        return events

    def _ping(self, command: commands.Ping, now: int) -> list[Event]:
        worker = self._worker(self.ledger.endpoint(command.endpoint), command.worker_id, now)
        events: list[Event] = []
        for job_id in command.ids:
            if self._held(command.endpoint, worker.id, job_id, now) is not None:
                continue
            # Its stop order may have been lost, with an earlier process or on the way.
            row = self.find(command.endpoint, job_id)
            if row is not None and (row.is_running or row.status in {states.CANCELLED, states.TIMED_OUT}):
                events += self._order_stop(row, worker)
        return events

    def _report(self, command: commands.Report, now: int) -> list[Event]:
        row = self._held(command.endpoint, command.worker_id, command.id, now)
        if row is None:
            return []
        row.has_progress = True
        row.revision += 1
        return [Event(EventKind.PROGRESSED, row)]

    def _append(self, command: commands.Append, now: int) -> list[Event]:
        row = self._held(command.endpoint, command.worker_id, command.id, now)
        if row is None or command.take not in {None, row.takes} or command.number not in {None, row.chunks}:
            return []
        row.chunks += 1
        return [Event(EventKind.APPENDED, row)]

    def _finish_job(self, command: commands.Finish, now: int) -> list[Event]:
        worker = self._worker(self.ledger.endpoint(command.endpoint), command.worker_id, now)
        worker.stops.pop(command.id, None)
        row = worker.running.get(command.id)
        if row is None or command.take not in {None, row.takes}:
            return []
        self._release(row)
        row.has_output = command.has_output
        row.has_error = command.has_error
        return self._finalise(row, states.FAILED if command.has_error else states.COMPLETED, now)

    def _collect_stops(self, command: commands.CollectStops, now: int) -> list[Event]:
        worker = self._worker(self.ledger.endpoint(command.endpoint), command.worker_id, now)
        rows, worker.stops = worker.stops, {}
        return [Event(EventKind.STOP_COLLECTED, row, worker.id) for row in rows.values()]

    def _restore_stops(self, command: commands.RestoreStops, now: int) -> list[Event]:
        worker = self._worker(self.ledger.endpoint(command.endpoint), command.worker_id, now)
        events: list[Event] = []
        for job_id in command.ids:
            row = self.find(command.endpoint, job_id)
            if row is not None and job_id not in worker.running:
                events += self._order_stop(row, worker)
        return events

    # Time and bookkeeping

    def _mark_notified(self, command: commands.MarkNotified) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        if row is None or not row.notify or row.revision != command.revision:
            return []
        row.notify = False
        return [Event(EventKind.NOTIFIED, row)]

    def _tick(self, now: int) -> list[Event]:
        events: list[Event] = []
        for item in islice(self._timers.pop_due(now), ROWS_PER_TICK):
            if isinstance(item, WorkerRow):
                self._look_at_worker(item, now)
            else:
                events += self._look_at(item, now)
        return events

    def _look_at(self, row: Row, now: int) -> list[Event]:
        # As after a restart: nobody could ping, so every lease begins again when the process goes on.
        row.lease_until = max(row.lease_until, self._pulse.resumed + self.limits.lease)
        if row.due(self.limits.retention) > now:
            self._schedule(row)
            return []
        if row.is_final:
            self.ledger.forget(row)
            return [Event(EventKind.FORGOTTEN, row)]
        if row.expires <= now:
            return self._end(row, states.TIMED_OUT, now, reason=f"not final within its ttl of {row.ttl} ms")
        if row.taken is not None and row.execution_timeout is not None and row.taken + row.execution_timeout <= now:
            reason = f"ran longer than its executionTimeout of {row.execution_timeout} ms"
            return self._end(row, states.TIMED_OUT, now, reason=reason)
        return self._lose(row, now)

    def _lose(self, row: Row, now: int) -> list[Event]:
        """The worker was silent for too long."""
        worker_id = row.worker_id or ""
        if row.attempt >= self.limits.max_attempts:
            reason = f"lost {row.attempt} times, last with worker {worker_id!r}, which stopped pinging"
            return self._end(row, states.FAILED, now, reason=reason)
        endpoint = self._release(row)
        worker = endpoint.workers.get(worker_id)
        stop = self._order_stop(row, worker) if worker is not None else []
        reason = f"worker {worker_id!r} stopped pinging; the job is offered again"
        return stop + self._requeue(row, at_front=True, reason=reason)

    def _look_at_worker(self, worker: WorkerRow, now: int) -> None:
        if worker.running:
            self._timers.schedule(worker, now + self.limits.worker_memory, now)
        elif worker.seen + self.limits.worker_memory <= now:
            endpoint = self.ledger.endpoint(worker.endpoint)
            del endpoint.workers[worker.id]
            self.ledger.forget_empty(endpoint)
        else:
            self._timers.schedule(worker, worker.seen + self.limits.worker_memory, now)

    def _end(self, row: Row, status: str, now: int, *, reason: str) -> list[Event]:
        """Makes a job final that no result came for; tells its worker."""
        if row.is_final:
            return []
        events: list[Event] = []
        if row.is_running:
            worker = self.ledger.endpoint(row.endpoint).workers[row.worker_id or ""]
            self._release(row)
            events = self._order_stop(row, worker)
        else:
            self.ledger.endpoint(row.endpoint).queue_of(row).remove(row)
        return self._finalise(row, status, now, reason=reason) + events

    def _finalise(self, row: Row, status: str, now: int, *, reason: str = "") -> list[Event]:
        row.status = status
        row.revision += 1
        row.finished = now
        row.has_error = row.has_error or bool(reason and status != states.CANCELLED)
        self.ledger.count_final(self.ledger.endpoint(row.endpoint), row, 1)
        self._schedule(row)
        return [Event(EventKind.FINISHED, row, reason=reason)]

    def _requeue(self, row: Row, *, at_front: bool, reason: str = "") -> list[Event]:
        row.status = states.PENDING
        row.revision += 1
        row.has_output = row.has_error = row.has_progress = False
        row.chunks = row.read = 0
        self._enqueue(row, at_front=at_front)
        return [Event(EventKind.RESTARTED, row, reason=reason), Event(EventKind.QUEUED, row)]

    def _enqueue(self, row: Row, *, at_front: bool) -> None:
        queue = self.ledger.endpoint(row.endpoint).queue_of(row)
        if at_front:
            row.rank = self._front = self._front - 1
            queue.prepend(row)
        else:
            row.rank = self.last_rank = self.last_rank + 1
            queue.append(row)
        self._schedule(row)

    def _order_stop(self, row: Row, worker: WorkerRow) -> list[Event]:
        worker.stops[row.id] = row
        return [Event(EventKind.STOP_ORDERED, row, worker.id)]

    def _held(self, endpoint: str, worker_id: str, id: str, now: int) -> Row | None:
        """The row if that worker holds it; hearing of it extends the lease."""
        known = self.ledger.known_endpoint(endpoint)
        worker = None if known is None else known.workers.get(worker_id)
        row = None if worker is None else worker.running.get(id)
        if worker is None or row is None:
            return None
        row.lease_until = now + self.limits.lease
        worker.seen = now
        return row

    def _release(self, row: Row) -> EndpointRows:
        endpoint = self.ledger.endpoint(row.endpoint)
        del endpoint.workers[row.worker_id or ""].running[row.id]
        endpoint.running -= 1
        self._pulse.held -= 1
        return endpoint

    def _schedule(self, row: Row) -> None:
        self._timers.schedule(row, row.due(self.limits.retention), self._pulse.now)

    def _worker(self, endpoint: EndpointRows, id: str, now: int) -> WorkerRow:
        worker = endpoint.workers.get(id)
        if worker is None:
            worker = endpoint.workers[id] = WorkerRow(endpoint=endpoint.name, id=id, seen=now)
            self._timers.schedule(worker, now + self.limits.worker_memory, now)
        worker.seen = now
        return worker
