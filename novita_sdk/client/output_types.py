"""The types that outputs may be asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._checked import parse_output
from novita_sdk.wire.payload import JSONValue

__all__ = ["output_adapter", "output_reader"]

OutputT = TypeVar("OutputT")


def output_adapter(output_type: type[OutputT]) -> Adapter[OutputT]:
    """What reads the outputs of a type.

    Raises:
        TypeError: Nothing does.
    """
    # The adapters of all types are kept in one dict, by their type.
    adapter = cast("Adapter[OutputT] | None", find_adapter(output_type))
    if adapter is None:
        raise TypeError(
            f"output_type must be a protobuf message, a dataclass, a TypedDict or a pydantic model, not {output_type!r}"
        )
    return adapter


def output_reader(output_type: type[OutputT]) -> Callable[[JSONValue], OutputT]:
    """A function that makes a value of the type of an output, or raises OutputError; raises as `output_adapter`."""
    return partial(parse_output, output_adapter(output_type))
