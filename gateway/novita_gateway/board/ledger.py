"""The board's ledger: its jobs, endpoints and workers, with counters and order. The board decides; this remembers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from novita_gateway.board.rows import EndpointRows, Row
from novita_gateway.board.runs import Shards
from novita_sdk.wire import states

__all__ = ["Counters", "Ledger"]

SCAN: Final = 10_000
"""Rows that one page of a filtered listing looks at, so that a listing can't hold up the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The health of an endpoint: its jobs that are still known, and its workers that were heard of lately."""

    queued: int
    running: int
    completed: int
    failed: int
    retried: int
    idle_workers: int
    running_workers: int


class Ledger:
    """The rows of a board, by id, by idempotency key and by endpoint."""

    def __init__(self) -> None:
        self._rows: Shards[str, Row] = Shards()
        self._keys: Shards[tuple[str, str], Row] = Shards()
        self._endpoints: dict[str, EndpointRows] = {}

    def __len__(self) -> int:
        """Jobs that are known."""
        return len(self._rows)

    def find(self, endpoint: str, id: str) -> Row | None:
        """The job of that endpoint and id, if it is known."""
        row = self._rows.get(id)
        return row if row is not None and row.endpoint == endpoint else None

    def find_key(self, endpoint: str, key: str) -> Row | None:
        """The job that was submitted with that idempotency key, if it is known."""
        return self._keys.get((endpoint, key))

    def endpoints(self) -> Iterable[str]:
        """Names of the endpoints that have jobs or workers."""
        return self._endpoints

    def known_endpoint(self, name: str) -> EndpointRows | None:
        """The endpoint of that name, if it has jobs or workers."""
        return self._endpoints.get(name)

    def endpoint(self, name: str) -> EndpointRows:
        """The endpoint of that name, made where there is none."""
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            endpoint = self._endpoints[name] = EndpointRows(name=name)
        return endpoint

    def add(self, row: Row) -> EndpointRows:
        """Takes a new row in; returns its endpoint."""
        self._rows[row.id] = row
        if row.idempotency_key is not None:
            self._keys[row.endpoint, row.idempotency_key] = row
        endpoint = self.endpoint(row.endpoint)
        endpoint.recent.append(row)
        return endpoint

    def forget(self, row: Row) -> None:
        """Lets a final row go."""
        endpoint = self._endpoints[row.endpoint]
        del self._rows[row.id]
        if row.idempotency_key is not None:
            del self._keys[row.endpoint, row.idempotency_key]
        self.count_final(endpoint, row, -1)
        endpoint.retried -= row.retries
        endpoint.recent.remove(row)
        self.forget_empty(endpoint)

    def forget_empty(self, endpoint: EndpointRows) -> None:
        """Lets an endpoint go that has neither jobs nor workers."""
        if not endpoint.recent and not endpoint.workers:
            del self._endpoints[endpoint.name]

    def count_final(self, endpoint: EndpointRows, row: Row, change: int) -> None:
        """Counts a final row in, or out."""
        if row.status == states.COMPLETED:
            endpoint.completed += change
        elif row.status in {states.FAILED, states.TIMED_OUT}:
            endpoint.failed += change

    def counters(self, name: str) -> Counters:
        """Counts an endpoint's jobs and workers; one that was never seen has none."""
        endpoint = self._endpoints.get(name) or EndpointRows(name=name)
        busy = sum(1 for worker in endpoint.workers.values() if worker.running)
        return Counters(
            queued=endpoint.queued,
            running=endpoint.running,
            completed=endpoint.completed,
            failed=endpoint.failed,
            retried=endpoint.retried,
            idle_workers=len(endpoint.workers) - busy,
            running_workers=busy,
        )

    def page(self, name: str, *, status: str | None, limit: int, before: int | None) -> tuple[list[Row], int | None]:
        """Lists an endpoint's jobs, newest first.

        Args:
            name: The endpoint.
            status: Only jobs in this state.
            limit: At most this many.
            before: Only jobs submitted before this `seq`: what the page before gave as its cursor.

        Returns:
            The rows and the cursor of the next page, None on the last one. A page of a filtered listing may be short.
        """
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return [], None
        rows: list[Row] = []
        for count, row in enumerate(endpoint.recent.before(before)):
            if len(rows) == limit or count == SCAN:
                return rows, row.seq + 1
            if status is None or row.status == status:
                rows.append(row)
        return rows, None
