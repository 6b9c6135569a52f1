"""Results on disk, from before their first post until they are acknowledged.

Each process has a folder of its own below the spool's and holds a lock on it; the system drops the lock when the
process dies, however that happens, and whoever gets it next delivers what is left there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from novita_worker._outbox import PostKind

__all__ = ["Spool", "Spooled"]

_LOCK: Final = "lock"
_SUFFIX: Final = ".result"
_log: Final = logging.getLogger("novita_worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """What a job still had to post when its worker died.

    Attributes:
        job_id: The job.
        worker_id: Who ran it.
        is_stream: Whether its result closes a generator's output.
        posts: In their order; the result is the last.
        path: The file.
    """

    job_id: str
    worker_id: str
    is_stream: bool
    posts: tuple[tuple[PostKind, bytes], ...]
    path: Path


class Spool:
    """Keeps results of one process. All methods block; call them in a thread.

    Args:
        folder: Shared by the processes of a machine, now and later; made if it is missing.
        worker_id: Who this process is.

    Raises:
        OSError: The folder can't be made or locked.
    """

    def __init__(self, folder: Path, worker_id: str) -> None:
        self._folder = folder
        self._worker_id = worker_id
        self._own = folder / uuid.uuid4().hex
        self._own.mkdir(parents=True, mode=0o700)
        lock = _lock(self._own)
        if lock is None:
            raise OSError(f"the new folder {self._own} is locked already")
        self._locks: dict[Path, IO[str]] = {self._own: lock}

    def put(self, job_id: str, posts: Sequence[tuple[PostKind, bytes]], *, is_stream: bool) -> None:
        """Writes what the job has to post; when this returns it survives the process and a power cut.

        Raises:
            OSError: The disk refused.
        """
        head = {"job_id": job_id, "worker_id": self._worker_id, "is_stream": is_stream}
        lines = [json.dumps(head).encode(), *(kind.value.encode() + b" " + body for kind, body in posts)]
        path = self._path(job_id)
        draft = path.with_suffix(".tmp")
        with draft.open("wb") as file:
            file.write(b"\n".join(lines))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(self._own)

    def remove(self, job_id: str) -> None:
        """Forgets a job of this process, because its result was acknowledged or refused for good."""
        self._path(job_id).unlink(missing_ok=True)

    def recover(self) -> list[Spooled]:
        """Takes over what processes that are gone have left; they stay on disk until `discard`."""
        found: list[Spooled] = []
        for folder in sorted(self._folder.iterdir()):
            if folder in self._locks or not folder.is_dir():
                continue
            lock = _lock(folder)
            if lock is None:
                continue
            self._locks[folder] = lock
            found.extend(_read_all(folder.glob(f"*{_SUFFIX}")))
            self._clear(folder)
        return found

    def discard(self, spooled: Spooled) -> None:
        """Forgets a recovered job, and its folder with the last one."""
        spooled.path.unlink(missing_ok=True)
        self._clear(spooled.path.parent)

    def close(self) -> None:
        """Gives up the locks; what is left here is another process's to deliver."""
        for folder in list(self._locks):
            self._clear(folder)
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def _path(self, job_id: str) -> Path:
        return self._own / (hashlib.sha256(job_id.encode()).hexdigest()[:32] + _SUFFIX)

    def _clear(self, folder: Path) -> None:
        """Removes the folder if no result is in it."""
        if any(folder.glob(f"*{_SUFFIX}")):
            return
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        folder.rmdir()
        if lock := self._locks.pop(folder, None):
            lock.close()


def _lock(folder: Path) -> IO[str] | None:
    """The lock of a folder, or None while another process has it."""
    try:
        file = (folder / _LOCK).open("w")
    except FileNotFoundError:  # its process has just removed it
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _read_all(paths: Iterable[Path]) -> Iterator[Spooled]:
    for path in paths:
        try:
            head, *lines = path.read_bytes().split(b"\n")
            fields = json.loads(head)
            posts = tuple(_read_post(line) for line in lines)
            yield Spooled(**fields, posts=posts, path=path)
        except (ValueError, TypeError):
            _log.exception("the spooled result %s can't be read; it stays where it is", path)


def _read_post(line: bytes) -> tuple[PostKind, bytes]:
    kind, _, body = line.partition(b" ")
    return PostKind(kind.decode()), body


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
