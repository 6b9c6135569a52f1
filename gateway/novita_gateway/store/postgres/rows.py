"""Rows of the table `job`, and how they become the board's rows and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_sdk.wire import states

__all__ = ["CODES", "COLUMNS", "SAVE", "Parts", "row_columns", "row_of", "row_values", "saved", "status_code"]

CODES: Final = (
    states.PENDING,
    states.IN_PROGRESS,
    states.COMPLETED,
    states.FAILED,
    states.CANCELLED,
    states.TIMED_OUT,
)
"""The states, by their number in the table."""
_NUMBERS: Final = {status: number for number, status in enumerate(CODES)}

_KEPT: Final = ("endpoint", "id", "created", "ttl", "execution_timeout", "low_priority", "idempotency_key")
"""Columns that never change."""
_CHANGING: Final[Mapping[str, str]] = {
    "expires": "bigint",
    "rank": "bigint",
    "taken": "bigint",
    "finished": "bigint",
    "lease_until": "bigint",
    "wake": "bigint",
    "revision": "integer",
    "attempt": "integer",
    "takes": "integer",
    "chunks": "integer",
    "read": "integer",
    "status": "smallint",
    "notify": "boolean",
    "has_progress": "boolean",
    "has_output": "boolean",
    "has_error": "boolean",
    "worker_id": "text",
}
"""Types of the columns that rules change."""

COLUMNS: Final = ", ".join(f"job.{name}" for name in (*_KEPT, *_CHANGING))
"""Everything that a `Row` has, for a SELECT or RETURNING."""

_TYPES: Final = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(("text", "text", *_CHANGING.values()), 2))

SAVE: Final = f"""
WITH s AS (SELECT * FROM unnest({_TYPES})
    AS s(endpoint, id, {", ".join(_CHANGING)}))
UPDATE job SET {", ".join(f"{name} = s.{name}" for name in _CHANGING)}, token = $1::uuid,
    notice_until = CASE WHEN job.status >= 2 AND s.status = 0 THEN 0 ELSE notice_until END
FROM s WHERE job.endpoint = s.endpoint AND job.id = s.id
"""  # noqa: S608 - names of columns
"""Keeps rows as rules left them. Parameters: the token, then `saved`."""


class Parts:
    """Payloads of one job that were read with it."""

    def __init__(self) -> None:
        self._bodies: dict[int, bytes] = {}

    def add(self, part: int, body: bytes) -> None:
        """Takes one in."""
        self._bodies[part] = body

    def get(self, row: Row, part: int) -> bytes:  # noqa: ARG002 - of one job
        """The payload; raises KeyError where there is none."""
        return self._bodies[part]


def status_code(status: str) -> int:
    """The number of a state in the table."""
    return _NUMBERS[status]


def row_of(record: Mapping[str, Any]) -> Row:
    """The row of a record that has all `COLUMNS`."""
    values = {name: record[name] for name in (*_KEPT, *_CHANGING)}
    values["status"] = CODES[values["status"]]
    return Row(seq=0, **values)


def row_columns() -> tuple[str, ...]:
    """The columns of a whole row, for COPY."""
    return (*_KEPT, *_CHANGING)


def row_values(row: Row) -> tuple[object, ...]:
    """A row's values for `row_columns`."""
    return tuple(_NUMBERS[row.status] if name == "status" else getattr(row, name) for name in (*_KEPT, *_CHANGING))


def saved(rows: Sequence[Row], before: Sequence[str], limits: Limits) -> list[list[object]]:
    """The parameters of `SAVE`: one list for each column.

    Args:
        rows: Rows that changed.
        before: The state of each before that.
        limits: How long final ones are kept.
    """
    for row, status in zip(rows, before, strict=True):
        due = row.due(limits.retention)
        row.wake = due if row.status != status else min(row.wake, due)
    names = ("endpoint", "id", *_CHANGING)
    columns = [[getattr(row, name) for row in rows] for name in names]
    columns[names.index("status")] = [_NUMBERS[row.status] for row in rows]
    return columns
