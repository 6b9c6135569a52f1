"""The worker's log lines, which say what job and what worker they are about."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Final, TextIO

from novita_worker.handlers.context import current_context

__all__ = ["JsonLogFormatter", "TextLogFormatter", "keep_logging", "set_up_logging"]

_OURS: Final = ("novita_worker", "novita_worker.job", "novita_sdk")

_LEVELS: Final = {
    "NOTSET": logging.CRITICAL + 1,
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
}
"""The published packages' words; their NOTSET means silence."""


class _JobFilter(logging.Filter):
    """Adds the ids of the job and worker whose code writes the line."""

    def __init__(self, worker_id: str | None) -> None:
        super().__init__()
        self._worker_id = worker_id

    def filter(self, record: logging.LogRecord) -> bool:
        context = current_context.get()
        if not hasattr(record, "job_id"):  # the runtime's own lines name the job they are about
            record.job_id = context.id if context is not None else None
        record.worker_id = self._worker_id
        return True


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; a stream that a handler has closed takes none, and is no reason for the worker to fail."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        with contextlib.suppress(ValueError):
            super().handleError(record)


class TextLogFormatter(logging.Formatter):
    """One readable line: time, level, job and worker where there are some, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Writes the line."""
        moment = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        job_id = getattr(record, "job_id", None)
        worker_id = getattr(record, "worker_id", None)
        named = [f"worker={worker_id}"] * bool(worker_id) + [f"job={job_id}"] * bool(job_id)
        where = f" [{' '.join(named)}]" if named else ""
        line = f"{moment} {record.levelname:<7} {record.name}{where}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLogFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Writes the line."""
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "job_id": getattr(record, "job_id", None),
            "worker_id": getattr(record, "worker_id", None),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in fields.items() if value is not None})


def keep_logging() -> None:
    """Lets our loggers speak again after a `dictConfig` or `fileConfig`, which disable all that they don't name."""
    for name in _OURS:
        logging.getLogger(name).disabled = False


def set_up_logging(level: str | None, environ: Mapping[str, str], worker_id: str | None = None) -> None:
    """Writes logs to stderr, unless the program has set up logging itself; then only the worker's level is set.

    Args:
        level: From the command line, or None for `NOVITA_LOG_LEVEL`, or INFO.
        environ: `NOVITA_LOG_FORMAT` is `text` (default) or `json`.
        worker_id: Named in every line.
    """
    word = (level or _word("NOVITA_LOG_LEVEL", environ) or _word("RUNPOD_LOG_LEVEL", environ) or "INFO").upper()
    form = _word("NOVITA_LOG_FORMAT", environ).lower() or "text"
    number = _LEVELS.get(word, logging.INFO)
    logging.getLogger("novita_worker").setLevel(number)
    keep_logging()
    root = logging.getLogger()
    if not root.handlers:
        handler = _Lines(sys.stderr)
        handler.setFormatter(JsonLogFormatter() if form == "json" else TextLogFormatter())
        handler.addFilter(_JobFilter(worker_id))
        root.addHandler(handler)
        # Other libraries have a lot to say below INFO.
        root.setLevel(max(number, logging.INFO))
    if word not in _LEVELS:
        logging.getLogger("novita_worker").warning("unknown log level %r; using INFO", word)
    if form not in {"text", "json"}:
        logging.getLogger("novita_worker").warning("NOVITA_LOG_FORMAT is %r, not text or json; using text", form)


def _word(name: str, environ: Mapping[str, str]) -> str:
    """A variable's value, without the quotes and the line break that an env file may leave."""
    return environ.get(name, "").strip().strip("\"'")
