"""The news: what happens is told to those who wait here at once, and to the other gateways after that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from novita_gateway._logs import BoundedLog
from novita_gateway.board.commands import Event, EventKind
from novita_gateway.board.rows import Row
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.waiting import Waiters

__all__ = ["News"]


class News:
    """Tells.

    Args:
        waiters: Those who wait here for something about a job or worker.

    Attributes:
        ask: Looks for jobs of an endpoint, if a take waits here; told whether others are to hear of it, too.
        send: Sends words to the other gateways.
    """

    ask: Callable[[str, bool], None]
    send: Callable[[Iterable[str]], None]

    def __init__(self, waiters: Waiters[str]) -> None:
        self._waiters = waiters
        self._log = BoundedLog()

    def close(self) -> None:
        """Logs what is left to be logged."""
        self._log.flush()

    def happened(self, events: Sequence[Event]) -> None:
        """Rules did something to rows."""
        for event in events:
            if event.reason:
                row = event.row
                extra = {"endpoint": row.endpoint, "job_id": row.id, "worker_id": row.worker_id}
                kind = f"jobs of endpoint {row.endpoint} that are {row.status}"
                self._log.info(kind, "job %s is %s: %s", row.id, row.status, event.reason, extra=extra)
        self.tell(words.of_events(events))
        self.queued({event.row.endpoint for event in events if event.kind is EventKind.QUEUED})

    def queued(self, endpoints: Iterable[str]) -> None:
        """There are jobs that wait for a worker."""
        for endpoint in endpoints:
            self.ask(endpoint, True)  # noqa: FBT003 - a callable's

    def taken(self, rows: Sequence[Row]) -> None:
        """Jobs got a worker."""
        self.tell(words.revised(row.endpoint, row.id) for row in rows)

    def tell(self, told: Iterable[str]) -> None:
        """Tells everybody."""
        told = list(told)
        self.hear(told)
        self.send(told)

    def hear(self, told: Iterable[str]) -> None:
        """Tells those who wait here."""
        for word in told:
            if (endpoint := words.endpoint_of(word)) is not None:
                self.ask(endpoint, False)  # noqa: FBT003 - a callable's
            else:
                self._waiters.call(words.heard(word))
