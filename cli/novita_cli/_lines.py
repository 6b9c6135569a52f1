"""A file of inputs, one JSON object a line."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from novita_cli._input import parse_object
from novita_sdk.wire.payload import JSONValue

__all__ = ["InputLines", "open_lines"]


class InputLines:
    """Reads inputs as they are drawn, after all of them were checked; blank lines are left out.

    Args:
        name: What errors call the file.
        file: The file; it is read more than once.

    Raises:
        click.UsageError: A line is no JSON object; the message has its number.
    """

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self._count = sum(1 for _ in self.numbered())

    def __len__(self) -> int:
        return self._count

    def numbered(self) -> Iterator[tuple[int, JSONValue]]:
        """The inputs with the numbers of their lines."""
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if line.strip():
                yield number, parse_object(line, f"{self._name}:{number}")


@contextmanager
def open_lines(name: str) -> Iterator[InputLines]:
    """Opens a file of inputs, or standard input where the name is `-`, which is read to its end first.

    Raises:
        click.UsageError: It can't be read, or a line is no JSON object.
    """
    if name == "-":
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            yield InputLines(name, copy)
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise click.UsageError(f"can't read {name!r}: {error.strerror}") from None
    with file:
        yield InputLines(name, file)
