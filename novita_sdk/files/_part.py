"""The lock on a file that a download grows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def held(part: Path) -> Iterator[Path]:
    """Lets one download at a time write to a file, of all threads and processes, where the system has file locks.

    The file is there, and stays if something was written to it and not moved away.
    """
    stream = _acquire(part)
    try:
        yield part
    finally:
        if (stream is None or _is_at(stream, part)) and part.exists() and not part.stat().st_size:
            part.unlink()
        if stream is not None:
            stream.close()


def _acquire(part: Path) -> BinaryIO | None:
    try:
        import fcntl
    except ImportError:
        # Windows, which would not let an open file be moved either.
        part.touch()
        return None
    while True:
        stream = part.open("ab")
        # A network file system may have no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        if _is_at(stream, part):
            return stream
        # Who held it before has moved it away.
        stream.close()


def _is_at(stream: BinaryIO, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    return False
