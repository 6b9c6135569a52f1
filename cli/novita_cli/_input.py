"""Inputs of jobs as a command line gives them: as options, or as a file with one a line."""

from __future__ import annotations

import codecs
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from novita_cli._options import stacked
from novita_sdk.wire.payload import JSONValue, PayloadError, dump, load

__all__ = ["InputLines", "input_options", "open_lines", "read_input"]

input_options: Final = stacked(
    click.option(
        "--input", "text", metavar="JSON|@FILE|-", help="The input as JSON, from a file, or from standard input."
    ),
    click.option(
        "-i",
        "fields",
        multiple=True,
        metavar="KEY=VALUE",
        help="One key of the input; VALUE is JSON or else text, @FILE reads it from a file, @@ is an @. Repeatable.",
    ),
)
"""Adds --input and -i, which the command gets as `text` and `fields`."""


def read_input(text: str | None, fields: Sequence[str]) -> dict[str, JSONValue] | None:
    """Makes the input out of --input and the -i options, which win over its keys.

    Returns:
        The input, or None where neither option was given.

    Raises:
        click.UsageError: It is not a JSON object.
    """
    if text is None and not fields:
        return None
    value = {} if text is None else _parse_object(_read(text), "--input")
    for field in fields:
        key, equals, given = field.partition("=")
        if not equals or not key:
            raise click.UsageError(f"-i {field!r} is not KEY=VALUE")
        value[key] = _read_value(given)
    return value


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
                yield number, _parse_object(line, f"{self._name}:{number}")


@contextmanager
def open_lines(name: str) -> Iterator[InputLines]:
    """Opens a file of inputs, or standard input where the name is `-`, which is read to its end first.

    Raises:
        click.UsageError: It can't be read, or a line is no JSON object.
    """
    if name == "-":
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            with _in_utf_8(name, copy) as lines:
                yield InputLines(name, lines)
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise click.UsageError(f"can't read {name!r}: {error.strerror}") from None
    with file, _in_utf_8(name, file) as lines:
        yield InputLines(name, lines)


@contextmanager
def _in_utf_8(name: str, file: BinaryIO) -> Iterator[BinaryIO]:
    """The file, or a copy in UTF-8 of one in another encoding that JSON may have."""
    encoding = json.detect_encoding(file.read(4))
    file.seek(0)
    if encoding.startswith("utf-8"):
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        reader = io.TextIOWrapper(file, encoding, newline="")
        try:
            copy.writelines(text.encode() for text in reader)
        except UnicodeError:
            raise click.UsageError(f"{name!r} begins as {encoding} and is not") from None
        finally:
            reader.detach()  # else it closes the file
        copy.seek(0)
        yield copy


def _parse_object(text: bytes, what: str) -> dict[str, JSONValue]:
    """Reads a JSON object, which is what handlers expect.

    Raises:
        click.UsageError: It is something else; what shells make of quotes is refused here and not by a paid worker.
    """
    try:
        value = load(text)
    except PayloadError as error:
        raise click.UsageError(f"{what}: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(
            f'{what} must be a JSON object such as \'{{"prompt": "hello"}}\', not {type(value).__name__}'
        )
    return value


def _read(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return _read_file(text[1:]) if text.startswith("@") else _encode(text)


def _read_value(given: str) -> JSONValue:
    if given.startswith("@@"):
        return given[1:]
    data = _read_file(given[1:]) if given.startswith("@") else _encode(given)
    try:
        value = load(data)
        dump(value)
    except PayloadError:  # NaN among them, which is JSON for Python alone
        pass
    else:
        return value
    try:
        return data.decode(_encoding_of_text(data))
    except UnicodeDecodeError:
        raise click.UsageError(f"-i takes JSON or text, and {given!r} is neither; put binary data at a URL") from None


def _encoding_of_text(data: bytes) -> str:
    """What the mark at its begin says, as some editors and shells write one."""
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
    marks |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # the first begins as a mark of UTF-32 does
    return next((encoding for mark, encoding in marks.items() if data.startswith(mark)), "utf-8")


def _read_file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise click.UsageError(f"can't read {name!r}: {error.strerror}") from None


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise click.UsageError("the input is not valid text in the encoding of this shell") from None
