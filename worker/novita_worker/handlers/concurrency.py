"""The user's `concurrency_modifier`, asked in a thread of its own, so that the I/O loop never waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from novita_worker._errors import describe, quoted

__all__ = ["Modifier"]

_log: Final = logging.getLogger("novita_worker")


class Modifier:
    """Calls the modifier in a thread of its own.

    Args:
        modifier: Takes the current concurrency and returns the next.
        answer: Called from that thread with the number, or None where the modifier's answer is of no use.
    """

    def __init__(self, modifier: Callable[[int], int], answer: Callable[[int | None], None]) -> None:
        self._modifier = modifier
        self._answer = answer
        self._queue: SimpleQueue[int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._complained: set[str] = set()

    def ask(self, current: int) -> None:
        """Asks; the answer comes later."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="novita-concurrency", daemon=True)
            self._thread.start()
        self._queue.put(current)

    def stop(self) -> None:
        """Ends the thread."""
        self._queue.put(None)

    def _work(self) -> None:
        while (current := self._queue.get()) is not None:
            self._answer(self._call(current))

    def _call(self, current: int) -> int | None:
        try:
            value = self._modifier(current)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
                return int(value)
        except BaseException as error:  # noqa: BLE001  user code; the last good value stays
            self._complain(f"raised {describe(error)}", current)
            return None
        self._complain(f"returned {quoted(lambda: repr(value))}, not a whole number of at least 1", current)
        return None

    def _complain(self, what: str, current: int) -> None:
        """Once for each kind of mistake, because it is asked before every take."""
        if what not in self._complained and len(self._complained) < 10:
            self._complained.add(what)
            _log.error("concurrency_modifier %s; concurrency stays %d", what, current)
