"""The content of a file as it was when it was named, whatever becomes of its path until it is sent."""

from __future__ import annotations

import io
import os
import stat
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from novita_sdk.files._errors import FileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SMALL: Final = 1024 * 1024
"""Bytes up to which a file is read when it is named."""
MOST_READ: Final = 256
"""How many contents are kept so at once."""
MOST_OPEN: Final = 128
"""How many larger files are kept open at once, of the thousand that a process may often have."""

_read: Final[weakref.WeakSet[NamedFile]] = weakref.WeakSet()
_open: Final[weakref.WeakSet[NamedFile]] = weakref.WeakSet()


class NamedFile:
    """A regular file of this machine.

    A small one is read at once. A larger one is kept open, so that it may be moved or deleted, and is not copied: one
    that is written to, or another one at its path where too many are open already, is refused when it is read.

    Args:
        path: Where it is; may be relative to the working directory as it is now.

    Attributes:
        path: Where it was, absolute.
        size: In bytes.

    Raises:
        FileError: It is no regular file.
        OSError: It can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100  Path.absolute leaves the `..` that a link may move
        self._data: bytes | None = None
        self._descriptor: int | None = None
        # Asked before it is opened, because to open a pipe is to wait for its writer.
        if not stat.S_ISDIR(mode := self.path.stat().st_mode) and not stat.S_ISREG(mode):
            raise FileError(f"{self.path} is no regular file; read it, and use File.from_bytes", code="INVALID")
        with self.path.open("rb") as stream:
            self._state = _state_of(stream.fileno())
            self.size = self._state[2]
            if self.size <= SMALL and len(_read) < MOST_READ:
                self._data = stream.read(SMALL + 1)
                self.size = len(self._data)
                _read.add(self)
            elif hasattr(os, "pread") and len(_open) < MOST_OPEN:
                self._descriptor = os.dup(stream.fileno())
                weakref.finalize(self, os.close, self._descriptor)
                _open.add(self)

    @classmethod
    def as_it_was(cls, path: Path, state: str) -> Self:
        """A file that was named before, by its path and state; it is refused when it is read, if it has changed."""
        file = cls.__new__(cls)
        file.path, file._data, file._descriptor = path, None, None
        device, node, size, changed = map(int, state.split("-"))
        file._state, file.size = (device, node, size, changed), size
        return file

    @property
    def state(self) -> str:
        """What shows that it is still the same, in text."""
        return "-".join(map(str, self._state))

    def __fspath__(self) -> str:
        """The path."""
        return str(self.path)

    def __getstate__(self) -> dict[str, object]:
        """A copy, also in another process, has the path alone where the content was not read."""
        return {**self.__dict__, "_descriptor": None}

    def open(self) -> io.BytesIO | io.BufferedReader:
        """The content, from its start.

        Raises:
            FileError: The file is not what it was.
            OSError: It can't be read.
        """
        if self._data is not None:
            return io.BytesIO(self._data)
        if self._descriptor is not None:
            self._check(self._descriptor)
            return io.BufferedReader(_Reader(self, self._descriptor), SMALL)
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            raise self._changed("is gone") from None
        try:
            self._check(stream.fileno())
        except BaseException:
            stream.close()
            raise
        return stream

    def _check(self, descriptor: int) -> None:
        if _state_of(descriptor) != self._state:
            raise self._changed("has changed")

    def _changed(self, what: str) -> FileError:
        return FileError(
            f"{self.path} {what} since File.from_path named it: leave a file as it is until the value that holds it "
            "was sent, write each under a name of its own, or use File.from_bytes",
            code="CHANGED",
        )


class _Reader(io.RawIOBase):
    """Reads an open file from a position of its own, so that any number of readers share the descriptor."""

    def __init__(self, owner: NamedFile, descriptor: int) -> None:
        self._owner = owner  # who closes the descriptor when it goes
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = os.pread(self._descriptor, len(view), self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._owner.size}[whence]
        self._position = max(0, base + offset)
        return self._position


def _state_of(descriptor: int) -> tuple[int, int, int, int]:
    # Not the time of its last change of any kind, which a rename or a deletion is, too.
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
