"""The gateway's side of `GatewayStore`: the answers of three routes, and the signed links that carry permission."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote, urlencode

from novita_gateway._private_file import sync_folder
from novita_sdk.files import ContentFolder, File, FileError
from novita_sdk.files._half import in_work
from novita_sdk.wire.payload import JSONValue

__all__ = ["LinkSigner", "LinkedStore", "StoredFile", "announced_file"]

GIB: Final = 1024**3
_UNKNOWN_TYPE: Final = "application/octet-stream"
_EXPIRES: Final = "expires"
_SIGNATURE: Final = "signature"
_PATH: Final = re.compile(r".*/blobs/([0-9a-f]{64})")
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(;[\x20-\x7e]*)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """What a GET of a link answers: the content of `path`, with these headers."""

    path: Path
    headers: Mapping[str, str]


def announced_file(wanted: JSONValue, *, url: str, max_bytes: int = 4 * GIB) -> File:
    """The file that the body of an announcement means.

    Args:
        wanted: ``name``, ``mediaType``, ``size``, ``sha256``.
        url: Its URL, until it has its link.
        max_bytes: Largest file.

    Raises:
        FileError: The body says no file, or one that is too large.
    """
    file = File.of({**wanted, "url": url}) if isinstance(wanted, dict) else None
    if file is None:
        raise FileError("a file is announced with name, mediaType, size and sha256", code="INVALID")
    if file.size > max_bytes:
        raise FileError(f"files may have up to {max_bytes} bytes, not {file.size}", code="TOO_LARGE")
    return file


class LinkedStore:
    """Files under their hashes, reached by links that carry their own permission.

    The routes, relative to a base URL: ``POST /{endpoint}/files`` answers `announce`, ``PUT /blobs/{sha256}`` feeds
    `receive`, and ``GET /blobs/{sha256}`` sends what `find` gives. Announcing needs the authorization of a submit or of
    a worker; the links need none. Of a `FileError` the codes stand for 400 (``INVALID``, ``CORRUPT``), 403
    (``EXPIRED``, ``REFUSED``), 404 (``NOT_FOUND``) and 413 (``TOO_LARGE``).

    Args:
        folder: Keeps the contents.
        secret: Makes the links; they stop working when it changes.
        lifetime: How long links work, in seconds.
        max_bytes: Largest file.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        folder: ContentFolder,
        *,
        secret: bytes,
        lifetime: float = 7 * 24 * 3600,
        max_bytes: int = 4 * GIB,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._signer = LinkSigner(secret)
        self._lifetime = lifetime
        self._max_bytes = max_bytes
        self._clock = clock

    def announce(self, wanted: JSONValue, *, base_url: str) -> dict[str, JSONValue]:
        """What to answer to a client that has a file.

        Args:
            wanted: The request's body: ``name``, ``mediaType``, ``size``, ``sha256``.
            base_url: Where the blob routes are, as the client reaches them, for example ``http://127.0.0.1:8000/v1``.

        Returns:
            ``file``, with its link, and ``upload``, a link, unless the content is there already.

        Raises:
            FileError: The body says no file, or one that is too large.
        """
        url = f"{base_url.rstrip('/')}/blobs/"
        file = announced_file(wanted, url=url, max_bytes=self._max_bytes)
        url += file.sha256
        file["url"] = self._link("GET", url, name=file.name, type=file.media_type)
        reply: dict[str, JSONValue] = {"file": file}
        if self._folder.get(file.sha256) is None:
            reply["upload"] = self._link("PUT", url, size=str(file.size))
        return reply

    def receive(self, path: str, query: Mapping[str, str]) -> Upload:
        """Takes the content of a file: use it as a context, `write` what comes, then `finish`.

        Args:
            path: The path of the request, as it came.
            query: Its query.

        Raises:
            FileError: The link is not one to upload with.
        """
        said = self._signer.check("PUT", _signed(path), query, now=self._clock())
        return Upload(self._folder, _sha256(path), int(said["size"]))

    def find(self, path: str, query: Mapping[str, str]) -> StoredFile:
        """The content that a link leads to.

        Raises:
            FileError: The link has expired or was changed, or the content is gone.
        """
        said = self._signer.check("GET", _signed(path), query, now=self._clock())
        sha256 = _sha256(path)
        content = self._folder.get(sha256)
        if content is None:
            raise FileError("this file is no longer kept", code="NOT_FOUND")
        media_type = said["type"] if _MEDIA_TYPE.fullmatch(said["type"]) else _UNKNOWN_TYPE
        file = File(url=path, name=said["name"], media_type=media_type, size=content.stat().st_size, sha256=sha256)
        headers = {
            "Content-Type": file.media_type,
            # An attachment, so that a browser never runs what somebody uploaded.
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
            "X-Content-Type-Options": "nosniff",
        }
        return StoredFile(path=content, headers=headers)

    def _link(self, verb: str, url: str, **parameters: str) -> str:
        expires = int(self._clock() + self._lifetime)
        return f"{url}?{self._signer.query(verb, _signed(url), expires=expires, **parameters)}"


class Upload(AbstractContextManager["Upload"]):
    """A content that is coming in."""

    def __init__(self, folder: ContentFolder, sha256: str, size: int) -> None:
        folder.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=folder.directory, prefix=".upload-")
        self._stream = os.fdopen(descriptor, "wb")
        self._path = Path(name)
        self._hold = ExitStack()
        self._hold.enter_context(in_work(self._path))
        self._folder, self._sha256, self._size = folder, sha256, size
        self._digest = hashlib.sha256()
        self._received = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()  # writes what is left, which a full disk refuses
        finally:
            self._path.unlink(missing_ok=True)
            self._hold.close()

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes.

        Raises:
            FileError: There are more than were announced.
        """
        self._received += len(chunk)
        if self._received > self._size:
            raise FileError(f"more than the {self._size} bytes that were announced", code="INVALID")
        self._digest.update(chunk)
        self._stream.write(chunk)

    def finish(self) -> None:
        """Keeps the content; it survives power loss when this returns.

        Raises:
            FileError: It is not what was announced.
        """
        if self._received != self._size or self._digest.hexdigest() != self._sha256:
            raise FileError("the content is not the one that was announced", code="CORRUPT")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        kept = self._folder.adopt(self._sha256, self._path)
        for folder in kept.parents[:3]:  # its name, and the folders that may be new
            sync_folder(folder)


def _signed(path: str) -> str:
    """What a signature covers of a path: not what a proxy may put before it or take away."""
    return path[path.rfind("/blobs/") :]


def _sha256(path: str) -> str:
    found = _PATH.fullmatch(path)
    if found is None:
        raise FileError("there is no such file", code="NOT_FOUND")
    return found[1]


class LinkSigner:
    """Signs and checks the query of a link, bound to its verb and path.

    Args:
        secret: Known to the store alone; links stop working when it changes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def query(self, verb: str, path: str, *, expires: int, **parameters: str) -> str:
        """The signed query of a link.

        Args:
            verb: GET or PUT.
            path: The link's path, percent-encoded as it will be asked for.
            expires: When it stops working, in seconds since the epoch.
            parameters: What else it says.
        """
        signed = {**parameters, _EXPIRES: str(expires)}
        return urlencode({**signed, _SIGNATURE: self._signature(verb, path, signed)})

    def check(self, verb: str, path: str, query: Mapping[str, str], *, now: float) -> dict[str, str]:
        """The parameters of a link that may be used.

        Raises:
            FileError: The link has expired (``EXPIRED``) or was not made here (``REFUSED``).
        """
        signed = {name: value for name, value in query.items() if name != _SIGNATURE}
        expected = self._signature(verb, path, signed)
        if not hmac.compare_digest(expected.encode(), query.get(_SIGNATURE, "").encode()):
            raise FileError("this link was not made by this store", code="REFUSED")
        if int(signed.pop(_EXPIRES)) < now:
            raise FileError("this link has expired", code="EXPIRED")
        return signed

    def _signature(self, verb: str, path: str, signed: Mapping[str, str]) -> str:
        text = "\n".join((verb, path, urlencode(sorted(signed.items()))))
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
