"""Reading: jobs with the payloads that are asked for, many at once; pages of streams and listings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from novita_gateway._errors import BadRequestError, JobNotFoundError, SchemaNotFoundError
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import FIRST_CHUNK, Part
from novita_gateway.store.messages import bare_status
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.connections import Connections
from novita_gateway.store.postgres.rows import COLUMNS, Parts, row_of, status_code
from novita_gateway.store.postgres.statements import LIST, LIST_STATUS, READ
from novita_gateway.store.requests import page_size
from novita_gateway.store.streams import CHUNKS
from novita_sdk.models import EndpointSchema, ListJobsRequest, ListJobsResponse
from novita_sdk.wire.payload import MAX_PAYLOAD

__all__ = ["Reads"]

SCAN: Final = 10_000
"""Rows that one page of a filtered listing looks at."""
_CURSOR: Final = re.compile(r"[0-9a-f]{24}")
_END: Final = "~"
"""Behind every id."""

_STREAM: Final = f"""
SELECT {COLUMNS}, c.part, c.body FROM job LEFT JOIN LATERAL (
    SELECT part, body FROM (
        SELECT part, body, sum(octet_length(body)) OVER (ORDER BY part) - octet_length(body) AS before
        FROM body WHERE body.endpoint = $1 AND body.id = $2 AND part >= $3 ORDER BY part LIMIT $4) AS c
    WHERE before <= $5
    UNION ALL SELECT part, body FROM body WHERE body.endpoint = $1 AND body.id = $2 AND part = 2) AS c ON true
WHERE job.endpoint = $1 AND job.id = $2
"""  # noqa: S608 - constants


class Reads:
    """Reads.

    Args:
        connections: For reading.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._batches: Batches[tuple[str, str, tuple[Part, ...]], tuple[Row, Parts] | None] = Batches(self._read)

    async def job(self, endpoint: str, job_id: str, *parts: Part) -> tuple[Row, Parts]:
        """A job with those payloads that it has of the ones named.

        Raises:
            JobNotFoundError: There is none.
        """
        found = await self._batches.call((endpoint, job_id, parts))
        if found is None:
            raise JobNotFoundError(endpoint, job_id)
        return found

    async def stream(self, endpoint: str, job_id: str, first: int) -> tuple[Row, Parts]:
        """A job with as many chunks from number `first` on as fit into one reply, and its error.

        Raises:
            JobNotFoundError: There is none.
        """
        records = await self._connections.fetch(_STREAM, endpoint, job_id, FIRST_CHUNK + first, CHUNKS, MAX_PAYLOAD)
        if not records:
            raise JobNotFoundError(endpoint, job_id)
        parts = Parts()
        for record in records:
            if record["part"] is not None:
                parts.add(record["part"], record["body"])
        return row_of(records[0]), parts

    async def page(self, request: ListJobsRequest) -> ListJobsResponse:
        """A page of jobs, newest first.

        Raises:
            BadRequestError: A cursor of nowhere.
        """
        before = _END
        if request.HasField("cursor"):
            if not _CURSOR.fullmatch(request.cursor):
                raise BadRequestError(f"cursor {request.cursor[:40]!r} is not one that this gateway gave out")
            before = request.cursor
        limit = page_size(request)
        if not request.HasField("status"):
            records = await self._connections.fetch(LIST, request.endpoint, before, limit + 1)
            rows = [row_of(record) for record in records[:limit]]
            cursor = rows[-1].id if len(records) > limit else None
        else:
            rows, cursor = await self._filtered(request, before, limit)
        return ListJobsResponse(jobs=[bare_status(row) for row in rows], next_cursor=cursor)

    async def _filtered(self, request: ListJobsRequest, before: str, limit: int) -> tuple[list[Row], str | None]:
        try:
            code = status_code(request.status)
        except KeyError:
            return [], None
        records = await self._connections.fetch(LIST_STATUS, request.endpoint, before, limit + 1, code, SCAN)
        rows = [row_of(record) for record in records[:limit] if record["id"] is not None]
        if len(records) > limit:
            return rows, rows[-1].id
        return rows, records[0]["last"] if records[0]["seen"] == SCAN else None

    async def schema(self, endpoint: str) -> EndpointSchema:
        """The schema that a worker told last; raises SchemaNotFoundError where none has."""
        records = await self._connections.fetch("SELECT body FROM endpoint_schema WHERE endpoint = $1", endpoint)
        if not records:
            raise SchemaNotFoundError(endpoint)
        return EndpointSchema.FromString(records[0]["body"])

    async def last_rank(self) -> int:
        """The last place that a queue has."""
        return int((await self._connections.fetch("SELECT last_value FROM rank"))[0]["last_value"])

    async def _read(self, jobs: Sequence[tuple[str, str, tuple[Part, ...]]]) -> Sequence[tuple[Row, Parts] | None]:
        endpoints, ids, asked = zip(*jobs, strict=True)
        parts = sorted({int(part) for some in asked for part in some})
        found: dict[int, tuple[Row, Parts]] = {}
        for record in await self._connections.fetch(READ, endpoints, ids, parts):
            index = record["i"] - 1
            if index not in found:
                found[index] = (row_of(record), Parts())
            if record["part"] is not None:
                found[index][1].add(record["part"], record["body"])
        return [found.get(index) for index in range(len(jobs))]
