"""The Python files that a worker may be made of, watched for changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

__all__ = ["Sources"]

_Stamps: TypeAlias = dict[Path, tuple[int, int]]


class Sources:
    """The Python files that a script can import from its own folder: those in it, and in packages below it.

    A folder counts as a package where its name can be imported and it has Python files of its own, so that
    environments and data are not searched.

    Args:
        folder: The script's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps = self._read()

    def changed(self) -> Path | None:
        """A file that was written, made or removed since this was last asked; None where all is as it was."""
        before, self._stamps = self._stamps, self._read()
        changes = (path for path in before.keys() | self._stamps.keys() if before.get(path) != self._stamps.get(path))
        return min(changes, default=None)

    def _read(self) -> _Stamps:
        stamps: _Stamps = {}
        for path in _python_files(self._folder, is_top=True):
            with suppress(FileNotFoundError):
                status = path.stat()
                stamps[path] = (status.st_mtime_ns, status.st_size)
        return stamps


def _python_files(folder: Path, *, is_top: bool) -> Iterator[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    files = [path for path in found if path.suffix == ".py"]
    if not files and not is_top:
        return
    yield from files
    for path in found:
        if path.name.isidentifier() and path.is_dir() and not path.is_symlink():
            yield from _python_files(path, is_top=False)
