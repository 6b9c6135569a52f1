"""The error of an upload."""

from __future__ import annotations

from collections.abc import Mapping


class UploadError(Exception):
    """An upload that did not happen, with what to do about it.

    Trouble with the local file itself stays an ``OSError`` (``FileNotFoundError``, …).

    Attributes:
        code: The store's own error code (``NoSuchBucket``, ``SignatureDoesNotMatch``, …), or one of ``NotConfigured``,
            ``Unreachable``, ``InvalidName``, ``InvalidSettings``, ``SomeFailed``.
        failed: For `upload_images`: what went wrong, by path.
    """

    def __init__(self, message: str, *, code: str, failed: Mapping[str, Exception] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.failed: dict[str, Exception] = dict(failed or {})
