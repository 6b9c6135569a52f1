"""A handler as the runtime calls it: values are checked on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from novita_sdk.typed._adapters import Adapter
from novita_sdk.typed._paths import OpenFile, expect_file
from novita_sdk.typed._violations import ContractError, InputError, OutputError
from novita_sdk.wire.payload import JSONValue

__all__ = ["TypedHandler", "dump_output", "parse_input", "parse_output"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedHandler:
    """A handler whose input has a type, and its output where that has one.

    Attributes:
        name: What errors and logs call it.
        function: What works on a job; tells whether it is async, a generator, or both.
        call: Parses and checks the input of a job, and calls the function with it and the job's context.
        dump: Checks and writes an output, or one chunk of it; the second argument is what errors call it.
        inputs: What reads the input, by method of a service; "" for a plain function.
        outputs: What writes the output, likewise; None for plain JSON.
    """

    name: str
    function: Callable[..., object]
    call: Callable[[dict[str, JSONValue], object], object]
    dump: Callable[[JSONValue, str], bytes]
    inputs: dict[str, Adapter[object]]
    outputs: dict[str, Adapter[object] | None]


def parse_input(adapter: Adapter[T], value: JSONValue, *, lenient: bool, open_file: OpenFile = expect_file) -> T:
    """Makes the input of a handler.

    Raises:
        InputError: Lists every violation.
    """
    try:
        return adapter.parse(value, lenient=lenient, open_file=open_file)
    except ContractError as error:
        raise InputError(error.type_name, error.violations) from None


def dump_output(adapter: Adapter[object], value: object) -> bytes:
    """Writes what a handler returned.

    Raises:
        OutputError: Lists every violation.
    """
    try:
        return adapter.dump(value)
    except ContractError as error:
        raise OutputError(error.type_name, error.violations) from None


def parse_output(adapter: Adapter[T], value: JSONValue) -> T:
    """Reads what a worker sent; members that the type doesn't know are ignored.

    Raises:
        OutputError: Lists every violation.
    """
    try:
        return adapter.parse(value, lenient=True)
    except ContractError as error:
        raise OutputError(error.type_name, error.violations) from None
