"""One resumable, checked download."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from novita_sdk.files._errors import FileError
from novita_sdk.files._file import File, OnProgress
from novita_sdk.files._policy import FetchPolicy
from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay

if TYPE_CHECKING:
    import requests

CHUNK: Final = 1024 * 1024
_READ_TIMEOUT: Final = 30.0
_FRUITLESS: Final = RetryPolicy(first_delay=0.2, max_delay=5.0, budget=None, max_attempts=6)
"""Retries in a row that bring no byte; each byte starts the count anew."""

_NO_LIMITS: Final = FetchPolicy(max_bytes=1 << 62, max_seconds=24 * 3600.0, max_redirects=10, allow_private=True)


@dataclass(slots=True, kw_only=True)
class Download:
    """A download and how far it is.

    Attributes:
        url: Where from.
        part: The file that grows.
        policy: Limits on size, time and redirects.
        size: Bytes in all, where known.
        on_progress: Told about every chunk.
    """

    url: str
    part: Path
    policy: FetchPolicy
    size: int | None = None
    on_progress: OnProgress | None = None
    done: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def run(self, session: requests.Session) -> str:
        """Fetches until the file is whole; returns its SHA-256.

        Raises:
            FileError: The server refuses, a limit is met, or nothing comes any more.
        """
        if self.size is not None and self.size > self.policy.max_bytes:
            raise self._too_large(self.size)
        self._pick_up()
        deadline = time.monotonic() + self.policy.max_seconds
        attempt, furthest = 0, self.done
        while True:
            failure, cause = self._attempt(session, deadline)
            if failure is None:
                return self.digest.hexdigest()
            attempt = 1 if self.done > furthest else attempt + 1
            furthest = max(furthest, self.done)
            delay = next_delay(_FRUITLESS, failure, attempt=attempt, elapsed=0.0, random=random.random())
            if delay is None or time.monotonic() + delay > deadline:
                raise FileError(
                    f"{self._where()} could not be fetched; {self.done} bytes came, then: {cause}",
                    code="UNREACHABLE",
                    retryable=True,
                )
            time.sleep(delay)

    def _pick_up(self) -> None:
        if not self.part.exists():
            return
        with self.part.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                self.digest.update(chunk)
                self.done += len(chunk)
        if self.size is not None and self.done > self.size:
            self._start_over()

    def _start_over(self) -> None:
        self.part.unlink(missing_ok=True)
        self.done, self.digest = 0, hashlib.sha256()

    def _attempt(self, session: requests.Session, deadline: float) -> tuple[Failure | None, object]:
        import requests
        from urllib3.exceptions import HTTPError

        if self.size is not None and self.done == self.size and self.part.exists():
            return None, None
        headers = {"Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
        try:
            with session.get(self.url, headers=headers, stream=True, timeout=(10.0, _READ_TIMEOUT)) as answer:
                if answer.status_code >= 300:
                    return self._refused(answer.status_code), f"status {answer.status_code}"
                return self._receive(answer, deadline)
        except requests.TooManyRedirects:
            limit = self.policy.max_redirects
            raise FileError(f"{self._where()} redirects more than {limit} times", code="REFUSED") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.exceptions.MissingSchema):
            raise FileError(f"{self._where()} is not a URL that can be fetched", code="INVALID") from None
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            HTTPError,
        ) as error:
            return Failure(kind=FailureKind.LOST), type(error).__name__

    def _receive(self, answer: requests.Response, deadline: float) -> tuple[Failure | None, object]:
        # Some S3-compatible servers send a range with status 200; the header tells it from the whole file.
        is_rest = answer.headers.get("Content-Range", "").startswith(f"bytes {self.done}-")
        if self.done and not is_rest:
            # The server does not do ranges, or has another file by now.
            self._start_over()
        # Of a compressed answer the length says nothing about the file.
        length = "" if answer.headers.get("Content-Encoding") else answer.headers.get("Content-Length", "")
        total = self.done + int(length) if length.isdecimal() else None
        if self.size is None:
            self.size = total
        expected = self.size if self.size is not None else total
        with self.part.open("ab") as part:
            for chunk in _pieces(answer):
                self.done += len(chunk)
                if self.done > min(self.policy.max_bytes, expected if expected is not None else self.done):
                    raise self._too_large(self.done)
                if time.monotonic() > deadline:
                    raise FileError(
                        f"{self._where()} took longer than {self.policy.max_seconds:g} seconds", code="TOO_SLOW"
                    )
                part.write(chunk)
                self.digest.update(chunk)
                if self.on_progress:
                    self.on_progress(self.done, expected)
        if expected is not None and self.done < expected:
            return Failure(kind=FailureKind.LOST), f"the end of the answer at {self.done} of {expected} bytes"
        self.part.touch()
        return None, None

    def _refused(self, status: int) -> Failure:
        if status == 416:
            self._start_over()
            return Failure(kind=FailureKind.LOST)
        if status in {400, 401, 403}:
            raise FileError(
                f"{self._where()} answers {status}: the link has expired or never worked. Links to outputs are made "
                "anew where the job is run again",
                code="EXPIRED",
            )
        if status in {404, 410}:
            raise FileError(f"{self._where()} answers {status}: the file is gone", code="NOT_FOUND")
        return Failure(kind=FailureKind.STATUS, status=status)

    def _too_large(self, size: int) -> FileError:
        limit = self.size if self.size is not None and size > self.size else self.policy.max_bytes
        self.part.unlink(missing_ok=True)
        return FileError(f"{self._where()} is larger than {limit} bytes", code="TOO_LARGE")

    def _where(self) -> str:
        # Without the query, which is the key of a signed link.
        return self.url.partition("?")[0]


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """The body in the pieces that it comes in, so that a server which sends a byte now and then meets the deadline."""
    if hasattr(answer.raw, "read1"):
        while piece := answer.raw.read1(CHUNK, decode_content=True):
            yield piece
    else:
        yield from answer.iter_content(8192)


def download_file(
    file: File,
    directory: Path,
    *,
    on_progress: OnProgress | None = None,
    policy: FetchPolicy = _NO_LIMITS,
    session: requests.Session | None = None,
) -> Path:
    """Fetches a file and checks it; see `File.download`."""
    import requests

    directory.mkdir(parents=True, exist_ok=True)
    target = _free_path(directory, file)
    if target.exists():
        return target
    part = directory / f".{file.sha256[:16]}.part"
    with session or requests.Session() as open_session:
        open_session.max_redirects = policy.max_redirects
        for is_last in (False, True):
            download = Download(url=file.url, part=part, policy=policy, size=file.size, on_progress=on_progress)
            resumed = part.exists()
            if download.run(open_session) == file.sha256:
                return part.replace(target)
            part.unlink()
            if is_last or not resumed:
                break
    raise FileError(f"{file.name} is not the file that was sent: its SHA-256 differs", code="CORRUPT", retryable=True)


def _free_path(directory: Path, file: File) -> Path:
    """The path under which the file is there already, or the first that is free."""
    stem, suffix = Path(file.name).stem, Path(file.name).suffix
    number = 0
    while True:
        path = directory / (f"{stem}-{number}{suffix}" if number else file.name)
        if not path.exists():
            return path
        if path.is_file() and path.stat().st_size == file.size:
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256:
                    return path
        number += 1
