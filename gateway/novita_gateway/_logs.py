"""Structured logs: one JSON object a line, and few of a kind."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

__all__ = ["BoundedLog", "JsonFormatter", "log_to"]

LINES: Final = 20
"""Of one kind in a second; the rest is counted."""

_log = logging.getLogger("novita_gateway")

_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class JsonFormatter(logging.Formatter):
    """Writes time, level, message, and what the call passed as `extra`: endpoint, job_id, worker_id and the like."""

    def format(self, record: logging.LogRecord) -> str:
        """Makes the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class BoundedLog:
    """Writes what may happen to very many jobs at once: a few lines of every kind in a second, and one for the rest.

    It belongs to one event loop.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def info(self, kind: str, message: str, *values: object, extra: Mapping[str, object]) -> None:
        """Writes the line, unless there were enough of its kind."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(1, self.flush)
        self._counts[kind] += 1
        if self._counts[kind] <= LINES:
            _log.info(message, *values, extra=extra)

    def flush(self) -> None:
        """Says how many lines were left out, and begins anew."""
        counts, self._counts = self._counts, Counter()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kind, count in counts.items():
            if count > LINES:
                _log.info("%s: %s more in the same second", kind, f"{count - LINES:,}", extra={"count": count - LINES})


def log_to(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Sends the gateway's logs to a stream, by default stderr, in JSON; in place of what an earlier call asked for."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("novita_gateway")
    for other in list(logger.handlers):
        if isinstance(other.formatter, JsonFormatter):
            logger.removeHandler(other)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
