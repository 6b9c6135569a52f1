"""The ids of jobs: made by the gateway, so that a submit can be said again, and growing with the database's time."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

__all__ = ["IdMaker"]

_RANDOM_BITS: Final = 48
_STEP_BITS: Final = 32


class _Last:
    """The last id of this process, whichever gateway in it made it."""

    def __init__(self) -> None:
        self.number = 0
        self.lock = threading.Lock()


_last: Final = _Last()


class IdMaker:
    """Makes ids of 24 hexadecimal digits: 48 bits of milliseconds and 48 of chance.

    They grow within a process, and across gateways as far as their estimates of the database's time agree.
    """

    def __init__(self) -> None:
        self._offset = time.time() * 1000 - time.monotonic() * 1000

    def set_time(self, now: int) -> None:
        """It is that time in the database, in milliseconds since the epoch."""
        self._offset = now - time.monotonic() * 1000

    def __call__(self) -> str:
        """The next one."""
        milliseconds = int(time.monotonic() * 1000 + self._offset)
        number = milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with _last.lock:
            if number <= _last.number:
                number = _last.number + 1 + secrets.randbits(_STEP_BITS)
            _last.number = number
        return f"{number:024x}"
