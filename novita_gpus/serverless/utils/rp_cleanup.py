"""`clean`: removes what a job left in the working directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from novita_gpus.serverless.utils._folders import folders_of_running_job

__all__ = ["clean"]


def clean(folder_list: Sequence[str | os.PathLike[str]] | None = None) -> None:
    """Removes what was downloaded for the job that runs here, and the given folders; what is not there is no matter.

    Args:
        folder_list: Further folders to remove.
    """
    shared = ["input_objects", "output_objects"]
    for folder in [*shared, *folders_of_running_job(), *(folder_list or [])]:
        shutil.rmtree(folder, ignore_errors=True)
    Path("output.zip").unlink(missing_ok=True)
