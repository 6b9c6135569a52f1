from __future__ import annotations


class FileError(Exception):
    """A file that could not be moved.

    Attributes:
        code: What happened: ``EXPIRED``, ``NOT_FOUND``, ``REFUSED``, ``TOO_LARGE``, ``TOO_SLOW``, ``CORRUPT``,
            ``UNREACHABLE``, ``NO_STORE`` or ``INVALID``.
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, code: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
