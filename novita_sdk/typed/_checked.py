"""A handler as the runtime calls it: values are checked on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from novita_sdk.models import Job
from novita_sdk.tracing import CARRIER_KEYS
from novita_sdk.typed._adapters import Adapter
from novita_sdk.typed._paths import OpenFile, expect_file
from novita_sdk.typed._violations import ContractError, InputError, OutputError
from novita_sdk.wire.payload import JSONValue
from novita_sdk.wire.violations import shorten

__all__ = ["TypedHandler", "advice_of", "dump_output", "parse_input", "parse_output"]

T = TypeVar("T")

_MEMBERS: Final = frozenset({*(field.json_name for field in Job.DESCRIPTOR.fields), *CARRIER_KEYS})
"""What a job has of its gateway; everything else its submit put there."""


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


def parse_input(
    adapter: Adapter[T], value: JSONValue, *, lenient: bool, open_file: OpenFile = expect_file, advice: str = ""
) -> T:
    """Makes the input of a handler; the advice ends the error.

    Raises:
        InputError: Lists every violation.
    """
    try:
        return adapter.parse(value, lenient=lenient, open_file=open_file)
    except ContractError as error:
        raise InputError(error.type_name, error.violations, advice) from None


def advice_of(job: Mapping[str, JSONValue]) -> str:
    """What to say of a job whose input does not fit, where it may be a part of what was meant as the input."""
    beside = [shorten(name, 40) for name in job if name not in _MEMBERS]
    if not beside:
        return ""
    return (
        f"The job has {', '.join(beside[:5])} beside its `input`. If these are fields of the input, the request was "
        'taken as a whole one for its key `input`: wrap it, as in {"input": {"input": …}}, or submit it as run(input=…)'
    )


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
