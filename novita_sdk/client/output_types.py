"""The types that outputs may be asked for."""

from __future__ import annotations

from typing import TypeVar, cast

from novita_sdk.typed._adapters import Adapter, find_adapter

__all__ = ["output_adapter"]

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
