"""The input files of one job, as paths of its own."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from novita_sdk.files._cache import ContentFolder
from novita_sdk.files._download import Download, download_file
from novita_sdk.files._errors import FileError
from novita_sdk.files._fetch import name_in
from novita_sdk.files._file import File
from novita_sdk.files._policy import GIB, FetchPolicy

DEFAULT_CACHE_BYTES: Final = 10 * GIB


def default_cache(start: Path | None = None) -> ContentFolder:
    """A worker's cache: in NOVITA_FILE_CACHE, of NOVITA_FILE_CACHE_BYTES; else in the temporary folder, of 10 GiB.

    Args:
        start: What a relative folder is relative to; by default the working directory as it is now.

    Raises:
        FileError: The one in the temporary folder belongs to somebody else, or the size is no number.
    """
    directory = os.environ.get("NOVITA_FILE_CACHE", "").strip() or _own_temporary_folder()
    size = os.environ.get("NOVITA_FILE_CACHE_BYTES", "").strip() or str(DEFAULT_CACHE_BYTES)
    if not size.isdecimal():
        raise FileError(f"NOVITA_FILE_CACHE_BYTES must be a number of bytes, not {size!r}", code="INVALID_SETTING")
    return _cache_at(Path(start or "", directory).absolute(), int(size))


def _own_temporary_folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    directory = Path(tempfile.gettempdir(), f"novita-files-{user}")
    directory.mkdir(exist_ok=True, mode=0o700)
    # Everybody knows its name and may make one there, to read and change what comes in.
    if hasattr(os, "getuid") and directory.lstat().st_uid != user:
        raise FileError(f"{directory} is another user's: name a folder in NOVITA_FILE_CACHE", code="REFUSED")
    return directory


@functools.cache
def _cache_at(directory: Path, max_bytes: int) -> ContentFolder:
    """One object per folder, so that jobs which want the same file at the same time wait for one download."""
    return ContentFolder(directory, max_bytes=max_bytes)


class JobFiles:
    """The input files of one job, as paths. Safe for threads.

    Each path is the job's own: the cache may drop a file while the job works with it, and a handler that changes one
    changes it for nobody else.

    Args:
        cache: Keeps files by their hash, across jobs.
        policy: What may be fetched from where.
    """

    def __init__(self, cache: ContentFolder, policy: FetchPolicy) -> None:
        self._cache = cache
        self._policy = policy
        self._folder: Path | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> JobFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, value: object) -> Path:
        """The local path of a file.

        Args:
            value: A `File`, the JSON object that stands for one, or a URL.

        Raises:
            FileError: It could not be fetched, may not be, or is not what was sent.
        """
        file = File.of(value)
        if file is not None:
            return self._open_file(file)
        if isinstance(value, str):
            return self._open_url(value)
        kind = type(value).__name__
        if kind in {"File", "dict"}:
            reason = (
                f"the {kind} is not one of a file that can be fetched: it needs url and sha256, which uploading sets"
            )
        else:
            reason = f"a file is a File, its JSON object or message, or a URL, not a {kind}"
        raise FileError(reason, code="INVALID")

    def close(self) -> None:
        """Removes the job's copies; there will be no more."""
        with self._lock:
            folder, self._folder, self._is_closed = self._folder, None, True
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _open_file(self, file: File) -> Path:
        from novita_sdk.files._guard import GuardedSession

        def fetch(path: Path) -> None:
            session = GuardedSession(self._policy)
            download_file(file, path.parent / "fetch", policy=self._policy, session=session).replace(path)

        target = self._place(file.name)
        while True:
            try:
                shutil.copyfile(self._cache.add(file.sha256, fetch), target)
            except FileNotFoundError:
                if not target.parent.is_dir():
                    raise _job_has_ended() from None
                # Dropped by another process between the two calls.
                continue
            if target.stat().st_size == file.size:
                return target
            # A crash of the machine cut it short.
            self._cache.remove(file.sha256)

    def _open_url(self, url: str) -> Path:
        from novita_sdk.files._guard import GuardedSession

        target = self._place(name_in(url))
        with GuardedSession(self._policy) as session:
            Download(url=url, part=target, policy=self._policy).run(session)
        return target

    def _place(self, name: str) -> Path:
        with self._lock:
            if self._is_closed:
                raise _job_has_ended()
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="novita-job-"))
            return Path(tempfile.mkdtemp(dir=self._folder), name)


def _job_has_ended() -> FileError:
    return FileError("the job has ended, and its files went with it", code="INVALID")
