"""The local copy of an upload, where there is no bucket."""

from __future__ import annotations

import logging
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

from novita_sdk.storage.errors import UploadError
from novita_sdk.storage.places import missing_variables

DIRECTORY = "local_upload"

_log = logging.getLogger(__name__)


def save(name: str, source: BinaryIO) -> str:
    """Copies a file or bytes to the local directory and returns the path, as the published package does.

    The copy appears under its name at once and whole, and replaces what was there, also a link that leads elsewhere.

    Raises:
        UploadError: The name leads out of the directory over a symbolic link.
        OSError: The copy could not be written, for example because the disk is full.
    """
    _log.warning("No bucket is set: saving to %s/. For uploads set %s.", DIRECTORY, " and ".join(missing_variables()))
    root = Path(DIRECTORY)
    target = root / name
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise UploadError(f"the name {name!r} leads out of {DIRECTORY}/ over a symbolic link", code="InvalidName")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".upload-{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as copy:
            shutil.copyfileobj(source, copy)
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise type(error)(error.errno, f"{error.strerror}, while saving an upload", str(target)) from error
        raise
    return str(target)
