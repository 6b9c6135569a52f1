"""The names and media types of objects, fit for a bucket and a disk alike."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath

from novita_sdk.storage.errors import UploadError

MAX_KEY_BYTES = 1024

_UNKNOWN_TYPE = "application/octet-stream"


def object_key(name: str, prefix: str | None = None) -> str:
    """Joins prefix and name to the key of an object.

    Raises:
        UploadError: The name is empty, absolute, too long, no text, holds a control character, or climbs out.
    """
    key = f"{prefix}/{name}" if prefix else name
    parts = PurePosixPath(key.replace("\\", "/")).parts
    if not name or key.endswith("/") or not parts:
        problem = "is empty"
    elif ".." in parts or parts[0].startswith("/") or (len(key) > 1 and key[1] == ":"):
        problem = "leads out of its folder"
    elif any(ord(character) < 32 or ord(character) == 127 for character in key):
        problem = "holds a control character"
    elif any("\ud800" <= character <= "\udfff" for character in key):
        problem = "is not Unicode text"
    elif len(key.encode()) > MAX_KEY_BYTES:
        problem = f"is longer than {MAX_KEY_BYTES} bytes"
    else:
        return key
    raise UploadError(f"the name {key[:200]!r} {problem}", code="InvalidName")


def media_type(name: str) -> str:
    """The media type that a file name stands for."""
    return mimetypes.guess_type(name)[0] or _EXTRA_TYPES.get(PurePosixPath(name).suffix.lower(), _UNKNOWN_TYPE)


# Outputs of generative models that Python's own table lacks, or lacks on some systems.
_EXTRA_TYPES = {
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".glb": "model/gltf-binary",
    ".jxl": "image/jxl",
    ".mkv": "video/x-matroska",
    ".safetensors": _UNKNOWN_TYPE,
}
