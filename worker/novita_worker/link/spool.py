"""Results on disk, from before their first post until they are acknowledged.

Each process has a folder of its own below the spool's and holds a lock on it; the system drops the lock when the
process dies, however that happens, and whoever gets it next delivers what is left there. Nothing else that lies in the
spool's folder is looked at.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from novita_worker.desk.outbox import NOWHERE, Place, PostKind
from novita_worker.process.forks import let_go_in_child

__all__ = ["Spool", "Spooled"]

_LOCK: Final = "lock"
_SUFFIX: Final = ".result"
_DRAFT: Final = ".tmp"
_SENT: Final = ".sent"
"""Beside a result: one byte for each of its chunks that was acknowledged."""
_DAMAGED: Final = ".damaged"
_FOLDER: Final = re.compile(r"worker-[0-9a-f]{32}")
_TRIES: Final = 5
_log: Final = logging.getLogger("novita_worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """What a job still had to post when its worker died.

    Attributes:
        job_id: The job.
        worker_id: Who ran it.
        is_stream: Whether its result closes a generator's output.
        posts: What was not acknowledged yet, in its order; the result is the last.
        path: The file.
        take: The take of the job, where its posts have places in a stream.
        number: The first post's there, if it is a chunk.
    """

    job_id: str
    worker_id: str
    is_stream: bool
    posts: tuple[tuple[PostKind, bytes], ...]
    path: Path
    take: int | None = None
    number: int | None = None


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
        self._own, lock = _make_own(folder)
        self._locks: dict[Path, IO[str]] = {self._own: lock}
        # Else a forked process that outlives this one keeps the next from what is left here.
        self._forget_forks = let_go_in_child(self._unlock)

    def put(
        self, job_id: str, posts: Sequence[tuple[PostKind, bytes]], *, is_stream: bool, place: Place = NOWHERE
    ) -> None:
        """Writes what the job has to post; when this returns it survives the process and a power cut.

        Args:
            job_id: The job.
            posts: Its chunks and its result, in their order.
            is_stream: Whether the result closes a generator's output.
            place: The first post's in the stream.

        Raises:
            OSError: The disk refused.
        """
        path = self._path(job_id)
        path.with_suffix(_SENT).unlink(missing_ok=True)
        text = b"\n".join(kind.value.encode() + b" " + body for kind, body in posts)
        head = {
            "job_id": job_id,
            "worker_id": self._worker_id,
            "is_stream": is_stream,
            **place._asdict(),
            "crc": zlib.crc32(text),
        }
        draft = path.with_suffix(_DRAFT)
        try:
            with draft.open("wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):  # a full disk needs the room
                draft.unlink(missing_ok=True)
            raise
        _sync_folder(self._own)

    def mark_sent(self, job_id: str) -> None:
        """Notes that the first chunk of the job that was not acknowledged yet now is."""
        _mark_sent(self._path(job_id))

    def remove(self, job_id: str) -> None:
        """Forgets a job of this process, because its result was acknowledged or refused for good.

        Raises:
            OSError: The disk refused; a next process will deliver it again.
        """
        _remove(self._path(job_id))

    def recover(self) -> list[Spooled]:
        """Takes over what processes that are gone have left; they stay on disk until `discard`."""
        found: list[Spooled] = []
        for folder in sorted(self._folder.iterdir()):
            if folder in self._locks or not _FOLDER.fullmatch(folder.name):
                continue
            try:
                if lock := _lock(folder):
                    self._locks[folder] = lock
                    found.extend(_read_all(folder))
                    self._clear(folder)
            except OSError as error:
                _log.error("what an earlier process has left in %s can't be read: %s", folder, error)
        return found

    def mark_recovered_sent(self, spooled: Spooled) -> None:
        """Does for a recovered job what `mark_sent` does for one of this process."""
        _mark_sent(spooled.path)

    def discard(self, spooled: Spooled) -> None:
        """Forgets a recovered job, and its folder with the last one.

        Raises:
            OSError: The disk refused; a next process will deliver it again.
        """
        _remove(spooled.path)
        self._clear(spooled.path.parent)

    def close(self) -> None:
        """Gives up the locks; what is left here is another process's to deliver."""
        self._forget_forks()
        for folder in list(self._locks):
            with contextlib.suppress(OSError):  # it is another process's to remove then
                self._clear(folder)
        self._unlock()

    def _unlock(self) -> None:
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()

    def _path(self, job_id: str) -> Path:
        return self._own / (hashlib.sha256(job_id.encode()).hexdigest()[:32] + _SUFFIX)

    def _clear(self, folder: Path) -> None:
        """Removes the folder if no result is in it."""
        if any(folder.glob(f"*{_SUFFIX}")):
            return
        for pattern in (f"*{_DRAFT}", f"*{_SENT}", _LOCK):
            for file in folder.glob(pattern):
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another process was quicker, or something else is in it
            folder.rmdir()
        if lock := self._locks.pop(folder, None):
            lock.close()


def _make_own(folder: Path) -> tuple[Path, IO[str]]:
    """A new folder and its lock. A process that starts at the same time may clear the folder away before that."""
    for _ in range(_TRIES):
        own = folder / f"worker-{uuid.uuid4().hex}"
        own.mkdir(parents=True, mode=0o700)
        if lock := _lock(own):
            _sync_folder(folder)
            return own, lock
    raise OSError(f"files in {folder} can't be locked")


def _lock(folder: Path) -> IO[str] | None:
    """The lock of a folder, or None while another process has it."""
    path = folder / _LOCK
    try:
        file = path.open("w")
    except FileNotFoundError:  # its process has just removed it
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it until now may have removed the folder, and this file with it.
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except OSError:
        pass
    file.close()
    return None


def _mark_sent(path: Path) -> None:
    with path.with_suffix(_SENT).open("ab") as file:
        file.write(b".")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(_SENT).unlink(missing_ok=True)


def _read_all(folder: Path) -> Iterator[Spooled]:
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            yield _read(path)
        except (ValueError, TypeError, KeyError):  # whose text may hold a part of the result
            damaged = path.replace(path.with_suffix(_DAMAGED))
            _log.error("a spooled result is damaged and can't be delivered; it stays in %s", damaged)


def _read(path: Path) -> Spooled:
    head, _, text = path.read_bytes().partition(b"\n")
    fields = json.loads(head)
    if fields.pop("crc") != zlib.crc32(text):
        raise ValueError("it is not what was written")
    posts = tuple(_read_post(line) for line in text.split(b"\n"))
    sent = path.with_suffix(_SENT)
    acknowledged = min(sent.stat().st_size if sent.exists() else 0, len(posts) - 1)
    if fields.get("number") is not None:
        fields["number"] += acknowledged
    return Spooled(**fields, posts=posts[acknowledged:], path=path)


def _read_post(line: bytes) -> tuple[PostKind, bytes]:
    kind, _, body = line.partition(b" ")
    return PostKind(kind.decode()), body


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
