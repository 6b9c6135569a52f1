"""The folders of a job's files, as runpod's helpers lay them out in the working directory."""

from __future__ import annotations

from pathlib import Path

from novita_sdk.files._file import safe_name
from novita_worker.handlers.context import current_context

__all__ = ["download_folder", "file_folder", "folders_of_running_job"]

_DOWNLOADS = "jobs"
_FILES = "job_files"


def download_folder(job_id: str) -> Path:
    """Where `download_files_from_urls` puts the files of a job."""
    return Path(_DOWNLOADS, safe_name(job_id), "downloaded_files")


def file_folder() -> Path:
    """Where `file` puts what it fetches: a folder of the job that runs here, if one does."""
    context = current_context.get()
    return Path(_FILES) if context is None else Path(_FILES, safe_name(context.id))


def folders_of_running_job() -> list[Path]:
    """The folders of the job that runs here; outside of a handler, those that are shared."""
    context = current_context.get()
    if context is None:
        return [Path(_FILES)]
    return [Path(_DOWNLOADS, safe_name(context.id)), Path(_FILES, safe_name(context.id))]
