"""Processes that a handler forks: what they must not share with the worker, and how they end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NoReturn

__all__ = ["is_multiprocessing", "is_starting_up", "leave", "let_go_in_child"]

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_callbacks: Final[dict[object, Callable[[], object]]] = {}
_forking: Final = threading.local()


def let_go_in_child(callback: Callable[[], object]) -> Callable[[], object]:
    """Calls back in every process that is forked from now on, in the thread that survives there.

    Returns:
        Call it when that is no longer needed.
    """
    _listen()
    key = object()
    _callbacks[key] = callback
    return lambda: _callbacks.pop(key, None)


def leave(error: BaseException | None) -> NoReturn:
    """Ends a forked process that came to the end of its handler: the rest of the worker is not its business.

    Its exit code is that of a program that ended so.

    Args:
        error: What the handler raised, or None.
    """
    code = 0
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        code = error.code or 0
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # there is none, or it is closed
            continue
    os._exit(code & 0xFF)


def is_starting_up() -> bool:
    """Whether this is a process that `multiprocessing` spawned and that still imports its parent's main file."""
    module = sys.modules.get("multiprocessing.process")
    # What multiprocessing itself asks before it starts a process.
    return module is not None and getattr(module.current_process(), "_inheriting", False)


def is_multiprocessing(arguments: Sequence[str]) -> bool:
    """Whether a program's arguments are those that `multiprocessing` gives to what it takes for a Python."""
    return "--multiprocessing-fork" in arguments or any("from multiprocessing." in argument for argument in arguments)


@cache
def _listen() -> None:
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_let_go)


def _hold_signals() -> None:
    """A signal for a process that is hardly there must find it on its own."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _let_go() -> None:
    while _callbacks:
        _callbacks.popitem()[1]()
    _release_signals()
