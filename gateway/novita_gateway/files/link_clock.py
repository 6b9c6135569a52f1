"""The time by which links of files expire: it passes while a gateway runs, whatever a wall clock is set to."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["LinkClock"]

KEPT_EVERY: Final = 60.0
"""Seconds between two notes of the time; so much is lost with a process that is killed."""


class LinkClock:
    """Seconds since the epoch when the folder's first gateway asked, and the time that gateways have run since.

    Gateways that share the folder go by the one that is ahead.

    Args:
        file: Keeps the time. Where it can't be written, links live longer after a restart.
        monotonic: The time that passes, in seconds.
        wall: The time of the first gateway.
    """

    def __init__(
        self, file: Path, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._monotonic = monotonic
        last = self._read()
        self._offset = (wall() if last is None else last) - monotonic()
        self._kept = float("-inf")

    def __call__(self) -> float:
        """The time."""
        now = self._monotonic() + self._offset
        if now - self._kept < KEPT_EVERY:
            return now
        now = max(now, self._read() or 0.0)
        self._offset = now - self._monotonic()
        self._kept = now
        self._write(now)
        return now

    def _read(self) -> float | None:
        with contextlib.suppress(OSError, ValueError):
            return float(self._file.read_text(encoding="ascii"))
        return None

    def _write(self, now: float) -> None:
        made = self._file.with_name(f".{self._file.name}-{os.getpid()}")
        with contextlib.suppress(OSError):
            made.write_text(f"{now:.3f}", encoding="ascii")
            made.replace(self._file)
            return
        with contextlib.suppress(OSError):
            made.unlink(missing_ok=True)
