"""The job's input as it is given on a command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from novita_sdk.wire.payload import JSONValue

__all__ = ["DurationType", "input_options", "read_input"]

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def input_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --input and -i to a command."""
    command = click.option(
        "-i",
        "fields",
        multiple=True,
        metavar="KEY=VALUE",
        help="One key of the input; VALUE is JSON or else text, @FILE reads it from a file. Repeatable.",
    )(command)
    return click.option(
        "--input", "text", metavar="JSON|@FILE|-", help="The input as JSON, from a file, or from standard input."
    )(command)


def read_input(text: str | None, fields: Sequence[str]) -> JSONValue:
    """Makes the input out of --input and the -i options, which win over its keys.

    Returns:
        The input, or None where neither option was given.

    Raises:
        click.UsageError: It is not JSON, or keys were given for an input that is no object.
    """
    if text is None and not fields:
        return None
    value: JSONValue = {} if text is None else _parse(_read(text), "--input")
    for field in fields:
        key, equals, given = field.partition("=")
        if not equals or not key:
            raise click.UsageError(f"-i {field!r} is not KEY=VALUE")
        if not isinstance(value, dict):
            raise click.UsageError("-i adds keys, but --input is not a JSON object")
        value[key] = _read_value(given)
    return value


def _read(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    return _read_file(text[1:]) if text.startswith("@") else text


def _read_value(given: str) -> JSONValue:
    text = _read_file(given[1:]) if given.startswith("@") else given
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read_file(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"can't read {name!r}: {error}") from None


def _parse(text: str, what: str) -> JSONValue:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{what} is not JSON: {error}. Text needs its quotes: --input '\"text\"'") from None


class DurationType(click.ParamType[float]):
    """90s, 1.5m, 250ms, 2h, or plain seconds; gives seconds."""

    name = "DURATION"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parses the text."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", value)
        if match is None:
            self.fail(f"{value!r} is not a duration such as 90s, 1.5m or 250ms", param, ctx)
        return float(match.group(1)) * _SECONDS[match.group(2)]
