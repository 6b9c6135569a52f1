"""runpod's downloads: `novita_sdk.files`, into the folders that runpod's workers know."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypedDict

from novita_gpus._names import find
from novita_gpus.serverless.utils._folders import download_folder, file_folder
from novita_sdk.files import FetchPolicy, FileError
from novita_sdk.files._fetch import fetch

__all__ = ["DownloadedFile", "download_files_from_urls", "file"]

_PARALLEL: Final = 8
_log: Final = logging.getLogger("novita_worker.job")


class DownloadedFile(TypedDict):
    """What `file` returns.

    Attributes:
        file_path: Where it is, absolute.
        type: Its extension, without the dot.
        original_name: What the server, or the URL, calls it.
        extracted_path: The folder with the content of a zip file; None for others.
    """

    file_path: str
    type: str
    original_name: str
    extracted_path: str | None


def download_files_from_urls(job_id: str, urls: str | Sequence[str | None]) -> list[str | None]:
    """Fetches URLs in parallel into `jobs/<job id>/downloaded_files`.

    Args:
        job_id: The job's id.
        urls: One or more URLs; None stands for none.

    Returns:
        Absolute paths, in order. None where there was no URL, or where the file could not be fetched: the log says why.

    Raises:
        FileError: A URL leads to an address that is not public; see NOVITA_FETCH_ALLOW_HOSTS.
    """
    folder, policy = download_folder(job_id).absolute(), FetchPolicy.from_environment()

    def download(url: str | None) -> str | None:
        if url is None:
            return None
        try:
            return str(fetch(url, folder, policy).path)
        except FileError as error:
            if error.code == "REFUSED":
                raise
            _log.error("not downloaded: %s", error, extra={"job_id": job_id})
            return None

    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="download") as pool:
        return list(pool.map(download, [urls] if isinstance(urls, str) else urls))


def file(file_url: str) -> DownloadedFile:
    """Fetches a URL into `job_files`, and unpacks a zip file beside it.

    Raises:
        FileError: It could not be fetched, may not be, or its content is more than may be fetched.
        BadZipFile: It is no zip file, but called one.
    """
    policy = FetchPolicy.from_environment()
    fetched = fetch(file_url, file_folder(), policy)
    kind = fetched.path.suffix.removeprefix(".")
    extracted = _unpack(fetched.path, policy.max_bytes) if kind == "zip" else None
    return {
        "file_path": str(fetched.path),
        "type": kind,
        "original_name": fetched.name,
        "extracted_path": None if extracted is None else str(extracted),
    }


def __getattr__(name: str) -> object:
    return find(__name__, name, {})


def _unpack(archive: Path, max_bytes: int) -> Path:
    with zipfile.ZipFile(archive) as content:
        # No member gives more than it announces.
        if sum(member.file_size for member in content.infolist()) > max_bytes:
            raise FileError(f"{archive.name} unpacks to more than {max_bytes} bytes", code="TOO_LARGE")
        folder = archive.with_suffix("")
        content.extractall(folder)
    return folder
