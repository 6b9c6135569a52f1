"""The board: which job is in which state, who holds it, and until when. No I/O, no clock, no payloads."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice, takewhile
from typing import Final, assert_never

from novita_gateway.board import commands, rules
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
        self._seq += 1
        row = rules.submitted(command, seq=self._seq, rank=self._back(), now=now, limits=self.limits)
        self.ledger.add(row).queue_of(row).append(row)
        self._schedule(row)
        return [Event(EventKind.QUEUED, row)]

    def _cancel(self, command: commands.Cancel, now: int) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        return [] if row is None else self._moved(row, row.status, rules.cancel(row, now=now))

    def _retry(self, command: commands.Retry, now: int) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        if row is None or not rules.may_retry(row):
            return []
        self.ledger.count_final(self.ledger.endpoint(row.endpoint), row, -1)
        events = rules.retry(row, notify=command.notify, rank=self._back(), now=now)
        self.ledger.endpoint(row.endpoint).queue_of(row).append(row)
        self._schedule(row)
        return events

    def _purge(self, command: commands.Purge, now: int) -> list[Event]:
        endpoint = self.ledger.known_endpoint(command.endpoint)
        if endpoint is None:
            return []
        queued = (takewhile(lambda row: row.rank <= command.until, queue) for queue in endpoint.queues)
        waiting = list(islice(chain.from_iterable(queued), command.limit))
        reason = "the queue was purged"
        ends = ((row, rules.end(row, states.CANCELLED, now, reason=reason)) for row in waiting)
        return [event for row, events in ends for event in self._moved(row, states.PENDING, events)]

    def _read_chunks(self, command: commands.ReadChunks) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        return [] if row is None else rules.read_chunks(row, command.end)

    def _restore_chunks(self, command: commands.RestoreChunks) -> list[Event]:
        row = self.find(command.endpoint, command.id)
        return [] if row is None else rules.restore_chunks(row, first=command.first, retries=command.retries)

    # Workers

    def _take(self, command: commands.TakeJobs, now: int) -> list[Event]:
        endpoint = self.ledger.endpoint(command.endpoint)
        worker = self._worker(endpoint, command.worker_id, now)
        events: list[Event] = []
        while len(events) < command.count and (queue := endpoint.queue or endpoint.low_queue):
            row = queue.pop_first()
            rules.take(row, worker.id, now=now, limits=self.limits)
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
                self.ledger.endpoint(row.endpoint).retried -= row.takes > 1
                events += self._moved(row, states.IN_PROGRESS, rules.give_back(row, rank=self._before()))
        return events

    def _ping(self, command: commands.Ping, now: int) -> list[Event]:
        worker = self._worker(self.ledger.endpoint(command.endpoint), command.worker_id, now)
        events: list[Event] = []
        for job_id in command.ids:
            if self._held(command.endpoint, worker.id, job_id, now) is not None:
                continue
            row = self.find(command.endpoint, job_id)
            if row is not None and rules.is_behind_the_worker(row.status):
                events += self._order_stop(row, worker)
        return events

    def _report(self, command: commands.Report, now: int) -> list[Event]:
        row = self._held(command.endpoint, command.worker_id, command.id, now)
        return [] if row is None else rules.report(row)

    def _append(self, command: commands.Append, now: int) -> list[Event]:
        row = self._held(command.endpoint, command.worker_id, command.id, now)
        return [] if row is None else rules.append(row, command.take, command.number)

    def _finish_job(self, command: commands.Finish, now: int) -> list[Event]:
        worker = self._worker(self.ledger.endpoint(command.endpoint), command.worker_id, now)
        worker.stops.pop(command.id, None)
        row = worker.running.get(command.id)
        return [] if row is None else self._moved(row, states.IN_PROGRESS, rules.finish(row, command, now=now))

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
        return [] if row is None else rules.mark_notified(row, command.revision)

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
        status, resumed = row.status, self._pulse.resumed
        events = rules.look_at(row, resumed=resumed, rank=self._front - 1, now=now, limits=self.limits)
        if not events:
            self._schedule(row)
        elif events[0].kind is EventKind.FORGOTTEN:
            self.ledger.forget(row)
        else:
            self._front = min(self._front, row.rank)
            events = self._moved(row, status, events)
        return events

    def _look_at_worker(self, worker: WorkerRow, now: int) -> None:
        if worker.running:
            self._timers.schedule(worker, now + self.limits.worker_memory, now)
        elif worker.seen + self.limits.worker_memory <= now:
            endpoint = self.ledger.endpoint(worker.endpoint)
            del endpoint.workers[worker.id]
            self.ledger.forget_empty(endpoint)
        else:
            self._timers.schedule(worker, worker.seen + self.limits.worker_memory, now)

    def _moved(self, row: Row, before: str, events: list[Event]) -> list[Event]:
        """Takes a job, which a rule moved out of the state `before`, to where it belongs now."""
        if row.status == before:
            return events
        endpoint = self.ledger.endpoint(row.endpoint)
        worker = endpoint.workers.get(row.worker_id or "")
        if before == states.IN_PROGRESS and worker is not None:
            del worker.running[row.id]
            endpoint.running -= 1
            self._pulse.held -= 1
        if before == states.PENDING:
            endpoint.queue_of(row).remove(row)
        if row.is_queued:
            endpoint.queue_of(row).prepend(row)
        else:
            self.ledger.count_final(endpoint, row, 1)
        self._schedule(row)
        if worker is not None and any(event.kind is EventKind.STOP_ORDERED for event in events):
            worker.stops[row.id] = row
        return events

    def _back(self) -> int:
        self.last_rank += 1
        return self.last_rank

    def _before(self) -> int:
        self._front -= 1
        return self._front

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

    def _schedule(self, row: Row) -> None:
        self._timers.schedule(row, row.due(self.limits.retention), self._pulse.now)

    def _worker(self, endpoint: EndpointRows, id: str, now: int) -> WorkerRow:
        worker = endpoint.workers.get(id)
        if worker is None:
            worker = endpoint.workers[id] = WorkerRow(endpoint=endpoint.name, id=id, seen=now)
            self._timers.schedule(worker, now + self.limits.worker_memory, now)
        worker.seen = now
        return worker
