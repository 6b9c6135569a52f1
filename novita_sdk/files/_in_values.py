"""Files of this machine in inputs, and outputs that were too large for the wire."""

from __future__ import annotations

import threading
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Final

from novita_sdk._settings import Settings
from novita_sdk.wire.json_scan import explain
from novita_sdk.wire.payload import OFFLOADED_TYPE, JSONValue, PayloadError, load

if TYPE_CHECKING:
    from novita_sdk.files._stores import FileStore

__all__ = ["Attachments", "UnreadableFileError", "fetch", "fingerprint", "has_files", "is_elsewhere", "load_output"]

_FILE_KEY: Final = b'"sha256"'
"""In the JSON of every file; looking for it is cheaper than looking through each output."""


class Attachments:
    """Uploads the files of inputs, each content once. Safe for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stores: dict[str, FileStore] = {}
        self._lock = threading.Lock()

    def upload(self, endpoint: str, value: object) -> JSONValue:
        """Returns the value with links in the place of files; blocks.

        Raises:
            FileError, UploadError, OSError: A file could not be read or uploaded.
        """
        from novita_sdk.files._stores import OncePerContent, client_store, send_files

        with self._lock:
            if endpoint not in self._stores:
                store = client_store(self._settings.base_url, endpoint, self._settings.api_key)
                self._stores[endpoint] = OncePerContent(store)
        return send_files(value, self._stores[endpoint])


def has_files(value: object) -> bool:
    """Whether files of this machine are in a value. Loose bytes are none: they are more often a mistake."""
    from google.protobuf.message import Message

    from novita_sdk.files._file import LocalFile
    from novita_sdk.files._in_messages import local_files

    stack, seen = [value], set[int]()
    while stack:
        item = stack.pop()
        if isinstance(item, LocalFile) or (isinstance(item, Message) and any(local_files(item))):
            return True
        if is_dataclass(item) and not isinstance(item, type):
            stack.extend(getattr(item, field.name) for field in fields(item))
        elif isinstance(item, (dict, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(item.values() if isinstance(item, dict) else item)
    return False


def fingerprint(value: object) -> JSONValue:
    """The value with contents in the place of files: what stays the same when links change. Reads the files."""
    from google.protobuf.message import Message

    from novita_sdk.files._file import File, LocalFile, with_members
    from novita_sdk.files._in_messages import with_files

    if isinstance(value, LocalFile):
        return {"url": "", "name": value.name, "sha256": value.sha256}
    if isinstance(value, Message):
        return with_files(value, lambda _, file: File(url="", name=file.name, size=file.size, sha256=file.sha256))
    if is_dataclass(value) and not isinstance(value, type):
        return with_members(value, fingerprint)
    if isinstance(value, dict):
        return {key: fingerprint(item) for key, item in value.items()}
    return [fingerprint(item) for item in value] if isinstance(value, (list, tuple)) else value


def load_output(data: bytes, what: str = "the output") -> JSONValue:
    """Parses an output, or a piece of one; the files in it can be read and downloaded.

    Raises:
        PayloadError: It can't be read; see `load`.
    """
    value = load(data, what)
    if _FILE_KEY not in data:
        return value
    from novita_sdk.files._file import revive

    try:
        return revive(value)
    except RecursionError as error:
        raise PayloadError(explain(data, what, error)) from None


def is_elsewhere(output: object) -> bool:
    """Whether an output only says where the real one is."""
    return isinstance(output, dict) and output.get("mediaType") == OFFLOADED_TYPE


class UnreadableFileError(PayloadError):
    """An output that was fetched and can't be read.

    Attributes:
        data: Its bytes.
    """

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


def fetch(output: object) -> JSONValue:
    """Fetches an output that is elsewhere; blocks.

    Raises:
        FileError: It could not be fetched.
        UnreadableFileError: It is not JSON that can be read here.
    """
    from novita_sdk.files._file import revive
    from novita_sdk.files._offload import fetch_bytes, offloaded

    file = offloaded(output)
    if file is None:
        return revive(output)
    data = fetch_bytes(file)
    try:
        return load_output(data, "output")
    except PayloadError as reason:
        raise UnreadableFileError(str(reason), data) from None
