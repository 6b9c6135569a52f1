"""The moving line on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Spinner"]


class Spinner:
    """A spinner on stderr with a text and the time since it began; it is gone when it ends."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, force_terminal=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, text: str) -> None:
        """Changes the text."""
        self._progress.update(self._task, description=text)

    def say(self, text: str) -> None:
        """Prints lines above the spinner."""
        self._console.print(text, markup=False)
