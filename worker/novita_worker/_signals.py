"""SIGTERM and SIGINT, heard by the I/O thread even while the main thread is stuck in native code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["Interrupted", "Signals"]

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log: Final = logging.getLogger("novita_worker")


class Interrupted(BaseException):
    """A signal came while the main thread did something that need not be finished."""


class Signals:
    """Turns the first signal into a call and the second into the end of the process.

    Python runs a signal's handler in the main thread, when that thread gets to it. The wakeup descriptor is written at
    once, so the I/O loop reads the signals from there.

    Args:
        on_first: Called on the I/O loop.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self._count = 0
        self._is_interrupting = False
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_fd = -1

    def __enter__(self) -> Signals:
        """Starts to listen, if this is the main thread; Python hears signals nowhere else."""
        if threading.current_thread() is threading.main_thread():
            self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        else:
            _log.info("the worker runs outside the main thread: SIGTERM and SIGINT are not handled")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals back to whoever had them."""
        if self._previous:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._previous_fd)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """A signal raises `Interrupted` in the main thread while this lasts."""
        self._is_interrupting = True
        try:
            yield
        finally:
            self._is_interrupting = False

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listens on this loop."""
        loop.add_reader(self._reader, self._read)

    def unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stops to listen and frees the descriptors."""
        loop.remove_reader(self._reader)
        self._reader.close()
        self._writer.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Keeps the default action away; what else there is to do is done by the I/O loop."""
        del number, frame
        if self._is_interrupting:
            raise Interrupted

    def _read(self) -> None:
        for number in self._reader.recv(64):
            if number not in _SIGNALS:
                continue
            self._count += 1
            name = signal.Signals(number).name
            if self._count == 1:
                _log.info("%s: taking no more jobs; a second signal ends the worker at once", name)
                self._on_first()
            else:
                _log.warning("%s again: the worker ends now", name)
                logging.shutdown()
                os._exit(128 + number)
