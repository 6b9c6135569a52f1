"""What Python's audit hook hears of a thread: the connections that it opens, and the processes that it starts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_heard: list[str] = []
_wanted: Collection[str] = ()
_thread = 0
_is_installed = False


def _hear(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _wanted and threading.get_ident() == _thread:
        _heard.append(event)


@contextmanager
def watched(events: Collection[str]) -> Iterator[list[str]]:
    """Lists those of the events that happen while the block lasts, in this thread: servers of other tests go on."""
    global _wanted, _thread, _is_installed
    if not _is_installed:
        sys.addaudithook(_hear)  # for good: there is no way to take one away
        _is_installed = True
    _heard.clear()
    _wanted, _thread = events, threading.get_ident()
    try:
        yield _heard
    finally:
        _wanted = ()
