"""The file that lets a batch go on after a crash of the client.

One JSON object a line, appended and never changed. The first names the endpoint and the batch; the batch's name is
part of every idempotency key, so that a new manifest means new jobs. Then, for every input, up to three lines: it is
about to be submitted, it has a job id, it has a final state. A line that a crash cut short is dropped.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from novita_sdk import errors
from novita_sdk.files._in_values import load_output
from novita_sdk.flows.job_info import JobInfo

__all__ = ["InputRecord", "Manifest"]

FORMAT: Final = 1
_HEAD: Final = b'{"manifest":'
_LONGEST_KEY: Final = 200


@dataclass(slots=True)
class InputRecord:
    """What earlier runs wrote about one input."""

    is_begun: bool = False
    """It was about to be submitted."""
    job_id: str | None = None
    final: JobInfo | None = None


class Manifest:
    """The record of one batch; without a path it is kept in memory alone. Safe for any number of threads.

    Entering it reads what earlier runs wrote, and raises InvalidInputError for a file that is no manifest, belongs to
    another endpoint or is in use by another process, and OSError for one that can't be read or written.

    Args:
        path: The file; made if it is not there.
        endpoint: The batch's endpoint.
        key: The batch's own idempotency key; None for a new one, or the one in the file.
    """

    def __init__(self, path: str | os.PathLike[str] | None, endpoint: str, key: str | None = None) -> None:
        self._endpoint = endpoint
        self._records: dict[str, InputRecord] = {}
        self._occurrences: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._given = None if key is None else _batch_of(key)
        self._batch = self._given or uuid.uuid4().hex
        self._path = None if path is None else Path(path)
        self._held: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._held = self._path.open("ab")
            try:
                self._claim(self._path, self._held.fileno())
                self._load(self._path)
            except BaseException:
                self._held.close()
                raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._held is not None:
            self._held.close()

    @property
    def is_kept(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    def key(self, body: bytes) -> str:
        """The idempotency key of an input; the same input has another one when it comes again in the same run."""
        digest = hashlib.sha256(body).hexdigest()[:32]
        self._occurrences[digest] += 1
        return f"{self._batch}-{digest}-{self._occurrences[digest]}"

    def known(self, key: str) -> InputRecord:
        """What is known of an input."""
        return self._records.get(key) or InputRecord()

    def begin(self, key: str) -> None:
        """Notes that an input is about to be submitted."""
        self._append({"key": key})

    def withdrawn(self, key: str) -> None:
        """Notes that an input was surely not queued."""
        self._append({"key": key, "refused": True})

    def queued(self, key: str, job_id: str) -> None:
        """Notes the job of an input."""
        self._append({"key": key, "job_id": job_id})

    def finished(self, key: str, info: JobInfo) -> None:
        """Notes a final state with its output, which the gateway keeps for hours only.

        One whose output can't be read is left to the next run, which may have a Python that reads it.
        """
        if info.unreadable is not None:
            return
        line: dict[str, object] = {"key": key, "job_id": info.job_id, "status": info.status}
        if info.output is not None:
            line["output"] = info.output
        if info.error is not None:
            line["error"] = info.error
        self._append(line)

    def _append(self, line: dict[str, object]) -> None:
        if self._path is None:
            return
        # In Python's JSON, for an output may hold NaN.
        data = json.dumps(line).encode() + b"\n"
        # Opened for each line, because requests that are under way when the caller leaves still bring news.
        with self._lock, self._path.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(data) < len(data):
                # The disk is full; half a line would spoil the next one.
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def _load(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        try:
            if whole:
                self._read(data[:whole].splitlines())
            elif not (data.startswith(_HEAD) or _HEAD.startswith(data)):
                raise ValueError
        except errors.InvalidInputError:
            raise
        except (ValueError, KeyError, TypeError):
            raise errors.InvalidInputError(
                f"{path} is no manifest of `map`; name a file that is not there yet. Nothing was sent."
            ) from None
        if whole < len(data):
            os.truncate(path, whole)
        if not whole:
            self._append({"manifest": FORMAT, "endpoint": self._endpoint, "batch": self._batch})

    def _read(self, lines: list[bytes]) -> None:
        head, *rest = map(_parse_line, lines)
        if head["manifest"] != FORMAT:
            raise ValueError
        if head["endpoint"] != self._endpoint:
            raise errors.InvalidInputError(
                f"The manifest belongs to endpoint {head['endpoint']}, not {self._endpoint}. Nothing was sent."
            )
        self._batch = _text(head, "batch")
        if self._given not in (None, self._batch):
            raise errors.InvalidInputError(
                "The manifest belongs to a batch with another idempotency_key; name a file that is not there yet. "
                "Nothing was sent."
            )
        for line in rest:
            self._note(line)

    def _note(self, line: dict[str, object]) -> None:
        record = self._records.setdefault(_text(line, "key"), InputRecord())
        record.is_begun = "refused" not in line
        record.job_id = _text(line, "job_id") if "job_id" in line else None
        if "status" in line:
            record.final = JobInfo(
                job_id=_text(line, "job_id"),
                status=_text(line, "status"),
                output=line.get("output"),
                error=line.get("error"),
            )

    def _claim(self, path: Path, descriptor: int) -> None:
        try:
            import fcntl
        except ImportError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.InvalidInputError(
                f"{path} is in use by another process. Wait for it, or name another file. Nothing was sent."
            ) from None
        except OSError:  # a file system without locks
            return


def _batch_of(key: str) -> str:
    """A key that leaves room in a header for what tells the inputs apart."""
    return key if len(key) <= _LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def _parse_line(data: bytes) -> dict[str, object]:
    # As outputs of a gateway are read, with what can be done with files in them.
    line: object = load_output(data)
    if not isinstance(line, dict):
        raise ValueError
    return line


def _text(line: dict[str, object], key: str) -> str:
    value = line[key]
    if not isinstance(value, str):
        raise ValueError
    return value
