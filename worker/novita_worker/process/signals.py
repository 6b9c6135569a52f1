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

from novita_worker.process.forks import let_go_in_child

__all__ = ["Interrupted", "Signals"]

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log: Final = logging.getLogger("novita_worker")


class Interrupted(BaseException):
    """A signal came while the main thread did something that need not be finished."""


class Signals:
    """Turns the first signal into a call and the second into the end of the process.

    Python runs a signal's handler in the main thread, when that thread gets to it. The wakeup descriptor is written at
    once, so the I/O loop reads the signals from there. Code of the user that takes the descriptor, as an event loop
    does, makes it as late as any other Python program.

    Args:
        on_first: Called on the I/O loop.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self._count = 0
        self._is_signalled = False
        self._is_interrupting = False
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_fd = -1
        self._forget_forks: Callable[[], object] = lambda: None

    def __enter__(self) -> Signals:
        """Starts to listen, if this is the main thread; Python hears signals nowhere else."""
        if threading.current_thread() is threading.main_thread():
            self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
            self._forget_forks = let_go_in_child(self._give_back)
        else:
            _log.info("the worker runs outside the main thread: SIGTERM and SIGINT are not handled")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals back to whoever had them."""
        self._forget_forks()
        if self._previous:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._previous_fd)

    def renew(self) -> None:
        """Listens again after code of the user that may have dropped the handlers; those it has set stay."""
        for number in self._previous:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._on_signal)
        if self._previous:
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """A signal raises `Interrupted` in the main thread while this lasts, or at once if it came before."""
        self._is_interrupting = True
        try:
            if self._is_signalled:
                raise Interrupted
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
        del frame
        descriptor = self._writer.fileno()
        if signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False) != descriptor:
            self._writer.send(bytes([number]))
        self._is_signalled = True
        if self._is_interrupting:
            raise Interrupted

    def _give_back(self) -> None:
        """A forked process ends on a signal as any other, and its signals are not the worker's."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)

    def _read(self) -> None:
        for number in self._reader.recv(64):
            if number not in _SIGNALS:
                continue
            self._count += 1
            name = signal.Signals(number).name
            if self._count == 1:
                self._on_first()
                _log.info("%s: taking no more jobs; a second signal ends the worker at once", name)
            else:
                _log.warning("%s again: the worker ends now", name)
                logging.shutdown()
                os._exit(128 + number)
