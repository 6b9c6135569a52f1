"""Outputs that are too large for the wire: the whole JSON value goes to the store, and a file stands for it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from novita_sdk.files._download import NO_LIMITS, download_file
from novita_sdk.files._file import File, LocalFile
from novita_sdk.files._stores import FileStore
from novita_sdk.wire.payload import OFFLOADED_TYPE, JSONValue, load

_SETUP: Final = 120.0
_SLOWEST: Final = 16 * 1024
"""Seconds for an output of no size, and bytes a second for the rest: somebody waits for it."""


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
    return value if file is None else load(fetch_bytes(file))


def fetch_bytes(file: File) -> bytes:
    """The JSON of an offloaded output: as much as it says it has, in a time that suits that.

    Raises:
        FileError: It could not be fetched.
    """
    policy = replace(NO_LIMITS, max_bytes=file.size, max_seconds=_SETUP + file.size / _SLOWEST)
    with tempfile.TemporaryDirectory(prefix="novita-") as folder:
        return download_file(file, Path(folder), policy=policy).read_bytes()
