"""A progress bar on stderr, for a person who looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TextIO

__all__ = ["batch_bar"]


@contextmanager
def batch_bar(inputs: object, *, wanted: bool | None) -> Iterator[Callable[[], None]]:
    """Gives a function that counts one item as done.

    Args:
        inputs: Its length is the total, if it has one.
        wanted: None shows a bar where stderr is a terminal and `rich` is installed.
    """
    if wanted is False or (wanted is None and not (_is_terminal(sys.stderr) and find_spec("rich"))):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    # What the caller prints goes above the bar, but only where both share a terminal: a file or pipe gets it as it is.
    bar = Progress(*columns, console=Console(stderr=True), redirect_stdout=_is_terminal(sys.stdout))
    with bar as progress:
        task = progress.add_task("jobs", total=len(inputs) if isinstance(inputs, Sized) else None)
        yield lambda: progress.advance(task)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
