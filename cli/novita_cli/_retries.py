"""The lines on stderr about what the client tries again, while it does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from novita_cli._display import ProgressMode
from novita_cli._words import in_options

__all__ = ["retries_shown"]

_PAUSE: Final = 1.0
"""Seconds between two lines; the jobs of a batch have the same trouble at the same time."""


@contextmanager
def retries_shown(mode: ProgressMode) -> Iterator[None]:
    """Shows what the client logs of failures that may pass.

    Args:
        mode: A quiet command tells only of a wait that goes on although the job's state can't be read.
    """
    log = logging.getLogger("novita_sdk")
    lines = _RetryLines(logging.WARNING if mode is ProgressMode.QUIET else logging.INFO)
    level, propagate = log.level, log.propagate
    log.addHandler(lines)
    log.setLevel(lines.level)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.setLevel(level)
        log.propagate = propagate


class _RetryLines(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._last = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.created - self._last >= _PAUSE:
            self._last = record.created
            click.echo(f"novita-gpus: {in_options(record.getMessage())}", err=True)
