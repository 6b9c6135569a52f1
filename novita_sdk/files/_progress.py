"""The progress of one transfer: the callback that is told of it, and a bar that shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeAlias

OnProgress: TypeAlias = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all, None where that is not known."""


@contextmanager
def progress_bar(description: str = "", *, stream: TextIO | None = None) -> Iterator[OnProgress]:
    """Shows a transfer on a terminal: pass what this gives as `on_progress`.

    >>> with progress_bar("out.mp4") as on_progress:
    ...     file.download("out", on_progress=on_progress)

    Args:
        description: Stands before the bar.
        stream: Where to; stderr where it is left out.

    Raises:
        ImportError: The `cli` extra is not installed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=stream) if stream else Console(stderr=True)
    lock = threading.Lock()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=None)

        def on_progress(done: int, total: int | None) -> None:
            with lock:
                progress.update(task, completed=done, total=total)

        yield on_progress
