"""The stores of files: a bucket, or the gateway's own. Each keeps one copy of a content, whatever it is called."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, assert_never

from novita_sdk.files._errors import FileError
from novita_sdk.files._file import File, LocalFile, with_members
from novita_sdk.files._progress import OnProgress
from novita_sdk.storage import s3
from novita_sdk.storage.places import Bucket, GatewayFiles, Place, client_place, worker_place
from novita_sdk.wire.payload import JSONValue, PayloadError, load
from novita_sdk.wire.refusals import read_refusal
from novita_sdk.wire.retry import Failure, FailureKind, RetryPolicy, next_delay

if TYPE_CHECKING:
    import requests

_Place: TypeAlias = tuple[int, str]
"""A value by its identity, and the path of a file in it where it is a message."""

_PARALLEL: Final = 4
_RETRIES: Final = RetryPolicy(budget=60.0)
_WEEK: Final = 7 * 24 * 3600
_REMEMBERED: Final = 10_000
_ASKED_AGAIN: Final = 60.0
"""Seconds after which a store is asked whether it still has a content: stores are emptied, and gateways start anew."""


class FileStore(Protocol):
    """Keeps files and makes links to them."""

    def put(self, file: LocalFile, *, on_progress: OnProgress | None = None) -> File:
        """Uploads the file, unless its content is there already, and returns it with a link.

        Raises:
            FileError, UploadError, OSError: It could not be uploaded.
        """


class BucketStore:
    """Files in an S3 bucket, under ``files/<sha256><extension>``."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put(self, file: LocalFile, *, on_progress: OnProgress | None = None) -> File:
        """See `FileStore.put`."""
        key, size = s3.content_key(file.sha256, file.name), file.size
        if not s3.has(self._bucket, key, size):
            counter = None if on_progress is None else s3.ByteCounter(size, on_progress)
            with file.open() as stream:
                s3.put(self._bucket, key, stream, content_type=file.media_type, on_bytes=counter)
        url = s3.presign(self._bucket, key, _WEEK, file_name=file.name)
        return File(url=url, name=file.name, media_type=file.media_type, size=size, sha256=file.sha256)


class GatewayStore:
    """Files in the store of a gateway that has one, as the embedded one does.

    The exchange: ``POST url`` with name, mediaType, size and sha256; the answer has the ``file`` with its link and,
    unless the content is there already, the ``upload`` link that takes it with one PUT.

    Args:
        url: Where files are announced.
        authorization: Value of the ``Authorization`` header.
    """

    def __init__(self, url: str, authorization: str) -> None:
        self._url = url
        self._authorization = authorization

    def put(self, file: LocalFile, *, on_progress: OnProgress | None = None) -> File:
        """See `FileStore.put`."""
        from novita_sdk.files._guard import DirectSession

        wanted = {"name": file.name, "mediaType": file.media_type, "size": file.size, "sha256": file.sha256}
        with DirectSession() as session:
            headers = {"Authorization": self._authorization}
            reply = self._send(lambda: session.post(self._url, json=wanted, headers=headers, timeout=30)).content
            stored, upload = self._read(reply)
            if upload:

                def send_content() -> requests.Response:
                    with file.open() as stream:
                        body = _Reader(stream.read, file.size, on_progress) if file.size else b""
                        return session.put(upload, data=body, timeout=(10, 300))

                self._send(send_content)
        return stored

    def _read(self, reply: bytes) -> tuple[File, str]:
        try:
            answer: object = load(reply)
        except PayloadError:
            answer = None
        if isinstance(answer, dict):
            stored, upload = File.of(answer.get("file")), answer.get("upload") or ""
            if stored is not None and isinstance(upload, str):
                return stored, upload
        raise self._not_a_store()

    def _not_a_store(self) -> FileError:
        return FileError(f"{self._url} does not answer as a file store does", code="NO_STORE")

    def _send(self, send: Callable[[], requests.Response]) -> requests.Response:
        import requests

        begin, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            try:
                answer = send()
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failure, cause = Failure(kind=FailureKind.LOST), str(type(error).__name__)
            except requests.RequestException:
                raise self._not_a_store() from None
            else:
                if answer.ok:
                    return answer
                if answer.status_code in {404, 405}:
                    raise _no_store(self._url)
                failure = Failure(kind=FailureKind.STATUS, status=answer.status_code)
                said = read_refusal(answer.content, secrets=(self._authorization.rpartition(" ")[2],))
                cause = f"{answer.status_code} {said}".rstrip()
            elapsed = time.monotonic() - begin
            delay = next_delay(_RETRIES, failure, attempt=attempt, elapsed=elapsed, random=random.random())
            if delay is None:
                raise FileError(f"the gateway's file store did not take a file: {cause}", code="UNREACHABLE")
            time.sleep(delay)


class OncePerContent:
    """A store that asks another one once per content, and gives the same link for a while.

    Threads that put the same content at the same time wait for one upload.

    Args:
        store: The other one.
        lifetime: How long an answer counts, in seconds.
        clock: Seconds since any fixed moment.
    """

    def __init__(
        self, store: FileStore, *, lifetime: float = _ASKED_AGAIN, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Known] = {}

    def put(self, file: LocalFile, *, on_progress: OnProgress | None = None) -> File:
        """See `FileStore.put`."""
        key = (file.sha256, file.name)
        with self._lock:
            entry = self._entries.pop(key, None) or _Known()
            self._entries[key] = entry
            if len(self._entries) > _REMEMBERED:
                del self._entries[next(iter(self._entries))]
        with entry.lock:
            if entry.file is None or self._clock() > entry.until:
                entry.file = self._store.put(file, on_progress=on_progress)
                entry.until = self._clock() + self._lifetime
            return entry.file


class _Known:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.file: File | None = None
        self.until = 0.0


def client_store(base_url: str, endpoint: str, api_key: str) -> FileStore:
    """Where a client puts inputs: its bucket if the environment names one, else the gateway."""
    return _store_at(client_place(base_url, endpoint, api_key))


def worker_store() -> FileStore:
    """Where a worker puts outputs: the job's bucket, the environment's, or the gateway that NOVITA_FILES_URL names.

    Raises:
        FileError: There is none of them.
    """
    if (place := worker_place()) is None:
        raise _no_store("this worker")
    return _store_at(place)


def _store_at(place: Place) -> FileStore:
    match place:
        case Bucket():
            return BucketStore(place)
        case GatewayFiles():
            return GatewayStore(place.url, place.authorization)
        case _:
            assert_never(place)


def has_local_files(value: object) -> bool:
    """Whether a value holds files or bytes that have to be uploaded before it is JSON."""
    return bool(_find(value))


def send_files(value: object, store: FileStore, *, on_progress: OnProgress | None = None) -> JSONValue:
    """Uploads every file and all bytes in a value, in parallel, and puts their links in their place.

    Args:
        value: An input or output; it is not changed.
        store: Where the files go.
        on_progress: Called for each file on its own.

    Raises:
        FileError, UploadError, OSError: One could not be uploaded.
    """
    found = _find(value)
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="files") as pool:
        files = pool.map(lambda file: store.put(file, on_progress=on_progress), found.values())
        sent = dict(zip(found, files, strict=True))
    return _replace(value, sent)


def _find(value: object) -> dict[_Place, LocalFile]:
    from google.protobuf.message import Message

    from novita_sdk.files._in_messages import local_files

    found: dict[_Place, LocalFile] = {}
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, LocalFile):
            found[id(item), ""] = item
        elif isinstance(item, Message):
            found |= {(id(item), path): file for path, file in local_files(item)}
        elif isinstance(item, bytes | bytearray | memoryview):
            found[id(item), ""] = LocalFile(data=item)
        elif is_dataclass(item) and not isinstance(item, type):
            # Its bytes are base64.
            members = (getattr(item, field.name) for field in fields(item))
            stack.extend(member for member in members if not isinstance(member, bytes | bytearray | memoryview))
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(item.values() if isinstance(item, dict) else item)
    return found


def _replace(value: object, sent: dict[_Place, File]) -> JSONValue:
    from google.protobuf.message import Message

    from novita_sdk.files._in_messages import with_files

    if (file := sent.get((id(value), ""))) is not None and not isinstance(value, Message):
        return file
    if isinstance(value, Message):
        return with_files(value, lambda path, _: sent[id(value), path])
    if is_dataclass(value) and not isinstance(value, type):
        return with_members(value, lambda item: _replace(item, sent))
    if isinstance(value, dict):
        return {key: _replace(item, sent) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, sent) for item in value]
    return value


def _no_store(who: str) -> FileError:
    return FileError(
        f"{who} has no store for files: set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY, "
        "or pass a URL",
        code="NO_STORE",
    )


class _Reader:
    """A request body of known length that reports what was read of it."""

    def __init__(self, read: Callable[[int], bytes], size: int, on_progress: OnProgress | None) -> None:
        self._read, self._size, self._on_progress, self._done = read, size, on_progress, 0

    def __len__(self) -> int:
        return self._size

    def read(self, count: int = -1) -> bytes:
        data = self._read(count)
        self._done += len(data)
        if self._on_progress and data:
            self._on_progress(self._done, self._size)
        return data
