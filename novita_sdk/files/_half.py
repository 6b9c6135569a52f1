"""Files and folders that are half written: a lock, which goes with its process, shows who is at them, and no clock."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["in_work", "remove_unless_in_work"]


@contextlib.contextmanager
def in_work(path: Path) -> Iterator[None]:
    """Keeps a file or folder from being removed as what a killed process left, where the system has file locks."""
    lock = _lock(path)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def remove_unless_in_work(path: Path) -> None:
    """Removes a file or folder that no process is at.

    Raises:
        FileNotFoundError: It is gone already.
    """
    lock = _lock(path)
    if lock is None:
        return
    try:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(lock)


def _lock(path: Path) -> int | None:
    """A descriptor that has the lock; None where another one has it, or there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None  # Windows, where nothing that is open can be removed, nor a folder be opened
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
