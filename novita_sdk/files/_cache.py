"""A folder of files under their hashes, shared by threads and processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from novita_sdk.files._errors import FileError
from novita_sdk.files._half import in_work, remove_unless_in_work

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_UNFINISHED: Final = 24 * 3600
"""Seconds after which it is looked whether somebody is still at what was begun and not finished."""
_LOOKED_THROUGH: Final = 1 << 30
"""Bytes that come between two searches for such things, where there is no limit."""


class ContentFolder:
    """Files named by their SHA-256, at most so many bytes of them; those that were used last stay.

    Safe for threads and processes that share the directory: a file appears whole or not at all.

    Args:
        directory: Made, for this user alone, when it is first needed.
        max_bytes: What all files together may take; None has no limit.
    """

    def __init__(self, directory: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
        self.directory = Path(directory).absolute()
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._room = 0
        self._making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def path(self, sha256: str) -> Path:
        """Where the file with this hash is or would be.

        Raises:
            ValueError: This is not a SHA-256.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256[:80]!r}")
        return self.directory / sha256[:2] / sha256

    def get(self, sha256: str) -> Path | None:
        """The file with this hash, marked as just used, or None."""
        path = self.path(sha256)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def add(self, sha256: str, write: Callable[[Path], object]) -> Path:
        """The file with this hash; if it is not there, `write` makes it, once however many threads ask for it.

        Args:
            sha256: The hash.
            write: Writes the content to the path it gets.

        Raises:
            FileError: What was written has another hash.
        """
        with self._lock:
            making = self._making[sha256]
        with making:
            if (path := self.get(sha256)) is not None:
                return path
            path = self.path(sha256)
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=self.directory, prefix=".new-") as folder, in_work(Path(folder)):
                made = Path(folder, "content")
                write(made)
                with made.open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                        raise FileError("what came is not the file that was sent: its SHA-256 differs", code="CORRUPT")
                self.adopt(sha256, made)
        with self._lock:
            self._making.pop(sha256, None)
        return path

    def adopt(self, sha256: str, made: Path) -> Path:
        """Moves a file, whose hash the caller has checked, into the folder; it has to be on the same file system."""
        path = self.path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = made.stat().st_size
        made.replace(path)
        with self._lock:
            self._room -= size
            is_full = self._room <= 0
        if is_full:
            self._evict(keep=path)
        return path

    def remove(self, sha256: str) -> None:
        """Drops the file with this hash, if it is there."""
        self.path(sha256).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what a process that was killed has left half written."""
        for path in (*self.directory.glob(".new-*"), *self.directory.glob(".upload-*")):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime >= _UNFINISHED:
                    remove_unless_in_work(path)

    def _evict(self, keep: Path) -> None:
        self.sweep()
        if self.max_bytes is None:
            self._room = _LOOKED_THROUGH
            return
        found = []
        for path in self.directory.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        if total > self.max_bytes:
            # Some more than need be, so that the next file doesn't find it full again.
            wanted = self.max_bytes - self.max_bytes // 16
            for _, size, path in sorted(found):
                if total <= wanted:
                    break
                if path != keep:
                    path.unlink(missing_ok=True)
                    total -= size
        # Looking through many files takes long, and other processes add theirs meanwhile.
        self._room = min((self.max_bytes - total) // 2, self.max_bytes // 64)
