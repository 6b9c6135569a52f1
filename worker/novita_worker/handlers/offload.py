"""Files that a handler returns, and outputs that are too large for the wire: they go to a store, and links travel.

Everything here blocks while something is uploaded.
"""

from __future__ import annotations

from collections.abc import Callable

from novita_sdk.wire.payload import MAX_PAYLOAD, JSONValue, PayloadError, PayloadTooLargeError, check_size

__all__ = ["NeedsStoreError", "can_move", "move"]


class NeedsStoreError(Exception):
    """A value can be sent once its files, or it as a whole, are in a store."""


def can_move(value: JSONValue, problem: PayloadError) -> bool:
    """Whether a store may help with a value that could not be written."""
    if isinstance(problem, PayloadTooLargeError):
        return True
    from novita_sdk.files import has_local_files

    return has_local_files(value)


def move(value: JSONValue, dump: Callable[[JSONValue, str], bytes], what: str) -> JSONValue:
    """Uploads the files in a value, and the value itself if it still is too large.

    Args:
        value: What a handler returned or yielded.
        dump: Writes a value as JSON.
        what: How an error calls the value.

    Returns:
        What to send in its place.

    Raises:
        PayloadError: JSON can't hold it, or it is too large and there is no store.
        FileError, UploadError, OSError: A file could not be read or uploaded.
    """
    from novita_sdk.files import FileError, has_local_files, offload, send_files, worker_store

    try:
        if has_local_files(value):
            value = send_files(value, worker_store())
        data = dump(value, what)
        return value if len(data) <= MAX_PAYLOAD else offload(data, worker_store())
    except FileError as error:
        if error.code != "NO_STORE":
            raise
        try:
            check_size(dump(value, what), what)
        except PayloadTooLargeError:
            raise
        except PayloadError as problem:
            raise PayloadError(f"{problem}; {error}") from None
        raise
