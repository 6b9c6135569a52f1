"""Files for their owner alone: whole or not there, also after a crash."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

__all__ = ["read_private", "sync_folder", "write_private"]

_log = logging.getLogger("novita_gateway")


def read_private(path: Path) -> bytes | None:
    """Reads a file; None where there is none. Where others could read it, that is ended and logged.

    Raises:
        OSError: It can't be read.
    """
    try:
        with path.open("rb") as stream:
            if os.name != "nt" and os.fstat(stream.fileno()).st_mode & 0o077:
                _log.warning("others could read %s; now they can't. What is in it is known to them: make it anew", path)
                path.chmod(0o600)
            return stream.read()
    except FileNotFoundError:
        return None


def write_private(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Writes a file that is on the disk, under its name, when this returns.

    Args:
        path: The file.
        content: All of it.
        replace: Whether it may take the place of another.

    Raises:
        FileExistsError: There is another, and `replace` is false.
        OSError: It can't be written; nothing is left of it.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # for its owner alone
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # not the name that was made up
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        if replace:
            Path(name).replace(path)
        else:
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive power loss."""
    if os.name == "nt":
        return  # folders can't be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
