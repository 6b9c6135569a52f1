"""The error of a file that could not be moved."""

from __future__ import annotations

import re


class FileError(Exception):
    """A file that could not be moved.

    Attributes:
        code: What happened: ``EXPIRED``, ``NOT_FOUND``, ``REFUSED``, ``TOO_LARGE``, ``TOO_SLOW``, ``CORRUPT``,
            ``UNREACHABLE``, ``NO_STORE``, ``CHANGED`` or ``INVALID``.
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


def without_secrets(url: str) -> str:
    """A URL as an error may show it: without the query, which is the key of a signed link, and without a password."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])
