"""Files as values: of this machine on the way out, of a URL on the way in."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import mimetypes
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeGuard

from novita_sdk.files._download import download_file
from novita_sdk.files._named import SMALL, NamedFile
from novita_sdk.files._progress import OnProgress
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from novita_sdk.models import File as FileMessage

UNKNOWN_TYPE: Final = "application/octet-stream"

_KEYS: Final = frozenset({"url", "name", "mediaType", "size", "sha256"})
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_MAX_NAME: Final = 200
"""In bytes; file systems take 255, and a number or a suffix may still be added."""
_MAX_SUFFIX: Final = 20
_MAX_SIZE: Final = (1 << 63) - 1


class LocalFile:
    """A file or bytes of this machine, to be passed as an input or returned as an output.

    The content is what the file holds when this is made. It is uploaded, unless the store has it already, when the
    value that holds it is sent.

    Attributes:
        name: File name, without folders.
        media_type: For example ``image/png``.

    Raises:
        FileError: The path is no regular file's.
        OSError: The file can't be read.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        data: bytes | bytearray | memoryview | None = None,
        name: str | None = None,
        media_type: str | None = None,
    ) -> None:
        if (path is None) == (data is None):
            raise ValueError("a file is made from a path or from bytes, not both or none")
        self._file = NamedFile(path) if path is not None and not isinstance(path, NamedFile) else path
        self._data = b"" if data is None else bytes(data)
        self.name = safe_name(name or (self._file.path.name if self._file else "file"))
        self.media_type = media_type or mimetypes.guess_type(self.name)[0] or UNKNOWN_TYPE
        self._sha256 = ""

    def __repr__(self) -> str:
        return f"LocalFile({self.name!r})"

    @property
    def path(self) -> Path | None:
        """Where it was when it was named, absolute; None for bytes."""
        return None if self._file is None else self._file.path

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self._data) if self._file is None else self._file.size

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal hash of the content, computed once."""
        if not self._sha256:
            with self.open() as stream:
                self._sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return self._sha256

    def to_message(self) -> FileMessage:
        """The protocol message, for a field of a message of yours: `Draw(image=File.from_path("in.png").to_message())`.

        Its link means something in this process alone. The file is uploaded when the message is sent as an input, or
        returned by a handler. One of more than 1 MiB has to stay as it is until then; if it is changed, moved or
        deleted, an error names it.
        """
        from novita_sdk.files._local_links import data_link, path_link
        from novita_sdk.models import File as FileMessage

        file = self._file
        url = data_link(self.read()) if file is None or self.size <= SMALL else path_link(file.path, file.state)
        return FileMessage(url=url, name=self.name, media_type=self.media_type)

    def open(self) -> io.BytesIO | io.BufferedReader:
        """The content, from its start.

        Raises:
            FileError: The file has changed since it was named.
            OSError: It can't be read.
        """
        return io.BytesIO(self._data) if self._file is None else self._file.open()

    def read(self) -> bytes:
        """The content; raises as `open` does."""
        with self.open() as stream:
            return stream.read()


class File(dict[str, JSONValue]):
    """A file at a URL: the JSON form of ``novita_protocol.v1.File``, as inputs and outputs hold it, with methods.

    Args:
        url: Where it is.
        name: File name, without folders.
        media_type: For example ``image/png``.
        size: In bytes.
        sha256: Lower-case hexadecimal hash of the content.
    """

    def __init__(self, *, url: str, name: str, media_type: str = UNKNOWN_TYPE, size: int, sha256: str) -> None:
        super().__init__(url=url, name=name, mediaType=media_type, size=size, sha256=sha256)

    @staticmethod
    def from_path(path: str | os.PathLike[str], *, name: str | None = None, media_type: str | None = None) -> LocalFile:
        """A file of this machine as it is now, to be sent.

        One of up to 1 MiB is read at once. A larger one is kept open instead: it may be moved or deleted, but to write
        to it before it was sent is an error, which names it.

        Raises:
            FileError: It is no regular file.
            OSError: It can't be read.
        """
        return LocalFile(path=path, name=name, media_type=media_type)

    @staticmethod
    def from_bytes(
        data: bytes | bytearray | memoryview, *, name: str = "file", media_type: str | None = None
    ) -> LocalFile:
        """Bytes to be sent as a file."""
        return LocalFile(data=data, name=name, media_type=media_type)

    @classmethod
    def of(cls, value: object) -> File | None:
        """The file that a value stands for: a message, or an object with ``url`` and ``sha256`` and no other keys."""
        if isinstance(value, cls):
            return value
        if _is_message(value):
            value = {
                "url": value.url,
                "name": value.name,
                "mediaType": value.media_type,
                "size": value.size,
                "sha256": value.sha256,
            }
        if not isinstance(value, Mapping) or not _KEYS.issuperset(value):
            return None
        members: Mapping[object, object] = value
        url, sha256, size = members.get("url"), members.get("sha256"), members.get("size", 0)
        if not isinstance(url, str) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            return None
        # protobuf's own JSON form writes 64-bit integers as text.
        if isinstance(size, bool) or not _NUMBER.fullmatch(str(size)) or int(str(size)) > _MAX_SIZE:
            return None
        name, media_type = members.get("name") or "file", members.get("mediaType") or UNKNOWN_TYPE
        return cls(url=url, name=str(name), media_type=str(media_type), size=int(str(size)), sha256=sha256)

    @classmethod
    def from_message(cls, message: FileMessage) -> File:
        """The file that a protocol message stands for."""
        return cls(
            url=message.url,
            name=message.name,
            media_type=message.media_type,
            size=message.size,
            sha256=message.sha256,
        )

    def to_message(self) -> FileMessage:
        """The protocol message."""
        from novita_sdk.models import File as FileMessage

        return FileMessage(url=self.url, name=self.name, media_type=self.media_type, size=self.size, sha256=self.sha256)

    def __repr__(self) -> str:
        # A link is a key to the content for as long as it works.
        return f"File({self.name!r}, {self.size} bytes, {self.media_type})"

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self["url"])

    @property
    def name(self) -> str:
        """File name, fit for this machine's disk whatever the sender called it."""
        return safe_name(str(self["name"]))

    @property
    def media_type(self) -> str:
        """For example ``image/png``."""
        return str(self["mediaType"])

    @property
    def size(self) -> int:
        """Size in bytes."""
        return int(self["size"])

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal hash of the content."""
        return str(self["sha256"])

    def read(self, *, on_progress: OnProgress | None = None) -> bytes:
        """Fetches the content.

        Raises:
            FileError: It could not be fetched, or is not what was sent.
        """
        import tempfile

        with tempfile.TemporaryDirectory(prefix="novita-") as folder:
            return self.download(folder, on_progress=on_progress).read_bytes()

    def download(self, directory: str | os.PathLike[str], *, on_progress: OnProgress | None = None) -> Path:
        """Fetches the file into a directory, which is made if need be; size and hash are checked.

        A download that was cut off goes on where it stopped. A file that is there already is not fetched again; another
        file of the same name is left alone, and a number is put behind the name.

        Args:
            directory: Where to.
            on_progress: Called with bytes done and bytes in all.

        Returns:
            The path of the file.

        Raises:
            FileError: It could not be fetched, or is not what was sent.
        """
        return download_file(self, Path(directory), on_progress=on_progress)


def _is_message(value: object) -> TypeGuard[FileMessage]:
    """Whether it is a message that stands for a file, of whatever version of the protocol."""
    kind: object = getattr(getattr(value, "DESCRIPTOR", None), "full_name", None)
    return kind == "novita_protocol.v1.File"


def safe_name(name: str) -> str:
    """A name that stays in its folder and that every file system takes."""
    last = PurePosixPath(name.replace("\\", "/")).name
    cleaned = _UNSAFE.sub("_", last).encode("utf-8", "replace").decode().strip(" .")
    if len(cleaned.encode()) > _MAX_NAME:
        path = PurePosixPath(cleaned)
        cleaned = f"{_cut(path.stem, _MAX_NAME - _MAX_SUFFIX)}{_cut(path.suffix, _MAX_SUFFIX)}".strip(" .")
    return cleaned or "file"


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def with_members(record: DataclassInstance, change: Callable[[object], object]) -> JSONValue:
    """A dataclass with changed members; the same object where nothing changes."""
    members = {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.init}
    changed = {name: new for name, old in members.items() if (new := change(old)) is not old}
    return dataclasses.replace(record, **changed) if changed else record


def revive(value: object) -> JSONValue:
    """The value with a `File` in place of every object that stands for one."""
    if (file := File.of(value)) is not None:
        return file
    if isinstance(value, dict):
        return {key: revive(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revive(item) for item in value]
    return value
