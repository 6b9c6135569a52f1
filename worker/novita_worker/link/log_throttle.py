"""Log lines at a bounded rate, for what can happen a thousand times in a row."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Throttle"]

INTERVAL: Final = 30.0
LONGEST_INTERVAL: Final = 600.0


class Throttle:
    """Logs a failure when it begins, at most twice a minute and then ever less often while it lasts, and its end.

    Args:
        log: Where to.
        what: What fails, as the subject of the lines.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._count = 0
        self._next_at = 0.0
        self._interval = INTERVAL

    def failed(self, reason: str, now: float) -> None:
        """It failed."""
        self._count += 1
        if self._count == 1:
            self._interval = INTERVAL
        if self._count == 1 or now >= self._next_at:
            self._next_at = now + self._interval
            self._interval = min(LONGEST_INTERVAL, self._interval * 2)
            times = f" ({self._count} times so far)" if self._count > 1 else ""
            self._log.warning("%s failed%s: %s", self._what, times, reason)

    def worked(self) -> None:
        """It worked."""
        if self._count:
            self._log.info("%s works again after %d failures", self._what, self._count)
            self._count = 0
