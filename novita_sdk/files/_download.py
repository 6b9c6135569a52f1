"""One resumable, checked download."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urljoin

from novita_sdk.files._errors import FileError, without_secrets
from novita_sdk.files._part import held
from novita_sdk.files._policy import FetchPolicy
from novita_sdk.files._progress import OnProgress
from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay

if TYPE_CHECKING:
    import requests

    from novita_sdk.files._guard import StepwiseSession

CHUNK: Final = 1024 * 1024
_COMPRESSED_CHUNK: Final = 16 * 1024
"""What is unpacked at once: a byte may become a thousand, before anybody can count them."""
_READ_TIMEOUT: Final = 30.0
_FRUITLESS: Final = RetryPolicy(first_delay=0.2, max_delay=5.0, budget=None, max_attempts=6)
"""Retries in a row that bring no byte; each byte starts the count anew."""

NO_LIMITS: Final = FetchPolicy(max_bytes=1 << 62, max_seconds=24 * 3600.0, max_redirects=10, allow_private=True)


@dataclass(slots=True, kw_only=True)
class Download:
    """A download and how far it is.

    Attributes:
        url: Where from.
        part: The file that grows.
        policy: Limits on size, time and redirects.
        size: Bytes in all, where known.
        is_checked: Whether the caller compares the hash, so that a wrong rest would be found out.
        on_progress: Told about every chunk.
        disposition: The server's Content-Disposition, when it has answered.
    """

    url: str
    part: Path
    policy: FetchPolicy
    size: int | None = None
    is_checked: bool = False
    on_progress: OnProgress | None = None
    done: int = 0
    version: str | None = None
    disposition: str = ""
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def run(self, session: StepwiseSession) -> str:
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
            if session.is_over:
                raise self._too_slow(f"{self.done} bytes came")
            if failure is None:
                return self.digest.hexdigest()
            attempt = 1 if self.done > furthest else attempt + 1
            furthest = max(furthest, self.done)
            delay = next_delay(_FRUITLESS, failure, attempt=attempt, elapsed=0.0, random=random.random())
            came = f"{self.done} bytes came, then: {cause}"
            if delay is None:
                raise FileError(f"{self._where()} could not be fetched; {came}", code="UNREACHABLE", retryable=True)
            if time.monotonic() + delay > deadline:
                raise self._too_slow(came)
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
        self.part.open("wb").close()
        self.done, self.version, self.digest = 0, None, hashlib.sha256()

    def _attempt(self, session: StepwiseSession, deadline: float) -> tuple[Failure | None, object]:
        import requests
        from urllib3.exceptions import HTTPError

        if self.size is not None and self.done == self.size and self.part.exists():
            return None, None
        if self.done and not self.is_checked and not self.version:
            self._start_over()
        headers = {"Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if self.version:
                headers["If-Range"] = self.version
        try:
            with self._get(session, headers) as answer:
                if answer.status_code >= 300:
                    return self._refused(answer.status_code), f"status {answer.status_code}"
                return self._receive(answer, deadline)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            return Failure(kind=FailureKind.LOST), type(error).__name__

    def _get(self, session: StepwiseSession, headers: dict[str, str]) -> requests.Response:
        url = self.url
        for _ in range(self.policy.max_redirects + 1):
            with contextlib.ExitStack() as unwanted:
                try:
                    answer = session.get(url, headers=headers, stream=True, timeout=(10.0, _READ_TIMEOUT))
                    unwanted.callback(answer.close)
                    target = session.redirect_of(answer)
                    url = urljoin(url, target or "")
                except ValueError:
                    raise FileError(f"{self._where()} is not a URL that can be fetched", code="INVALID") from None
                if target is None:
                    unwanted.pop_all()
                    return answer
        raise FileError(f"{self._where()} redirects more than {self.policy.max_redirects} times", code="REFUSED")

    def _receive(self, answer: requests.Response, deadline: float) -> tuple[Failure | None, object]:
        encoding = answer.headers.get("Content-Encoding", "")
        if "," in encoding:
            raise FileError(f"{self._where()} is compressed more than once", code="REFUSED")
        # Some S3-compatible servers send a range with status 200; the header tells it from the whole file.
        is_rest = answer.headers.get("Content-Range", "").startswith(f"bytes {self.done}-")
        if self.done and (encoding or not is_rest):
            # The server does not do ranges, or has another file by now, or sends a rest that can't be unpacked alone.
            self._start_over()
            if is_rest:
                return Failure(kind=FailureKind.LOST), "a part of a compressed file"
        self.disposition = answer.headers.get("Content-Disposition", "")
        version = answer.headers.get("ETag", "")
        self.version = version if version.startswith('"') else None
        # Of a compressed answer the length says nothing about the file.
        length = "" if encoding else answer.headers.get("Content-Length", "")
        total = self.done + int(length) if length.isdecimal() else None
        if self.size is None:
            self.size = total
        expected = self.size if self.size is not None else total
        with self.part.open("ab", buffering=0) as part:
            for chunk in _pieces(answer, _COMPRESSED_CHUNK if encoding else CHUNK):
                self._take(chunk, part, expected, deadline)
        if expected is not None and self.done < expected:
            return Failure(kind=FailureKind.LOST), f"the end of the answer at {self.done} of {expected} bytes"
        return None, None

    def _take(self, chunk: bytes, part: FileIO, expected: int | None, deadline: float) -> None:
        self.done += len(chunk)
        if self.done > min(self.policy.max_bytes, expected if expected is not None else self.done):
            raise self._too_large(self.done)
        if time.monotonic() > deadline:
            raise self._too_slow(f"{self.done} bytes came")
        self._write(part, chunk)
        self.digest.update(chunk)
        if self.on_progress:
            self.on_progress(self.done, expected)

    def _write(self, part: FileIO, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[part.write(left) :]
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.part)) from error

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

    def _too_slow(self, came: str) -> FileError:
        return FileError(
            f"{self._where()} took longer than {self.policy.max_seconds:g} seconds; {came}", code="TOO_SLOW"
        )

    def _where(self) -> str:
        return without_secrets(self.url)


def _pieces(answer: requests.Response, size: int) -> Iterator[bytes]:
    """The body in the pieces that it comes in, so that a server which sends a byte now and then meets the deadline."""
    if hasattr(answer.raw, "read1"):
        while piece := answer.raw.read1(size, decode_content=True):
            yield piece
    else:
        yield from answer.raw.stream(8192, decode_content=True)


class RemoteFile(Protocol):
    """What is known of a file before it is fetched; see `File`."""

    @property
    def url(self) -> str:
        """Where it is."""

    @property
    def name(self) -> str:
        """What to call it here."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal hash of the content."""


def download_file(
    file: RemoteFile,
    directory: Path,
    *,
    on_progress: OnProgress | None = None,
    policy: FetchPolicy = NO_LIMITS,
    session: StepwiseSession | None = None,
) -> Path:
    """Fetches a file and checks it; see `File.download`. Safe for threads and processes that share the directory."""
    from novita_sdk.files._guard import StepwiseSession

    directory.mkdir(parents=True, exist_ok=True)
    with held(directory / f".{file.sha256[:16]}.part") as part:
        if (found := _find(directory, file)) is not None:
            return found
        with session or StepwiseSession() as open_session:
            for is_last in (False, True):
                download = Download(
                    url=file.url, part=part, policy=policy, size=file.size, is_checked=True, on_progress=on_progress
                )
                resumed = part.stat().st_size > 0
                if download.run(open_session) == file.sha256:
                    return _place(part, directory, file)
                part.open("wb").close()
                if is_last or not resumed:
                    break
    raise FileError(f"{file.name} is not the file that was sent: its SHA-256 differs", code="CORRUPT", retryable=True)


def _find(directory: Path, file: RemoteFile) -> Path | None:
    """Where the file is already."""
    for path in itertools.takewhile(Path.exists, _paths(directory, file)):
        if path.is_file() and path.stat().st_size == file.size:
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256:
                    return path
    return None


def _place(part: Path, directory: Path, file: RemoteFile) -> Path:
    """Gives a whole file its name, or the first one behind it that nobody has."""
    for path in _paths(directory, file):
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        return part.replace(path)
    raise AssertionError("numbers do not end")


def _paths(directory: Path, file: RemoteFile) -> Iterator[Path]:
    yield directory / file.name
    stem, suffix = Path(file.name).stem, Path(file.name).suffix
    for number in itertools.count(1):
        yield directory / f"{stem}-{number}{suffix}"
