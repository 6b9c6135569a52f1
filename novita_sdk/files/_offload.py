"""Outputs that are too large for the wire: the whole JSON value goes to the store, and a file stands for it."""

from __future__ import annotations

from novita_sdk.files._file import File, LocalFile
from novita_sdk.files._stores import FileStore
from novita_sdk.wire.payload import OFFLOADED_TYPE, JSONValue, load


def offload(output: bytes, store: FileStore) -> File:
    """Stores an output.

    Args:
        output: The value as JSON, too large to send.
        store: Where it goes.

    Returns:
        What to send instead.

    Raises:
        FileError, UploadError: It could not be stored.
    """
    return store.put(LocalFile(data=output, name="output.json", media_type=OFFLOADED_TYPE))


def offloaded(value: object) -> File | None:
    """The file that an output stands for if it was offloaded, else None."""
    file = File.of(value)
    return file if file is not None and file.media_type == OFFLOADED_TYPE else None


def fetch_offloaded(value: object) -> JSONValue:
    """The value itself, fetched if it was offloaded.

    Raises:
        FileError: It could not be fetched.
        PayloadError: It is not JSON.
    """
    file = offloaded(value)
    return value if file is None else load(file.read())
