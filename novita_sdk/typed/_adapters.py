"""The adapters of types, which read and write their JSON."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Protocol, TypeGuard, TypeVar, is_typeddict

from google.protobuf.message import Message

from novita_sdk.typed._paths import OpenFile, expect_file
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Adapter", "find_adapter"]

T_co = TypeVar("T_co", covariant=True)


class Adapter(Protocol[T_co]):
    """Reads and writes the values of one type as JSON, and checks them both ways."""

    @property
    def name(self) -> str:
        """What errors call the type."""
        ...

    @property
    def has_paths(self) -> bool:
        """Whether the type has fields for files, annotated `Path`."""
        ...

    def parse(self, value: JSONValue, *, lenient: bool = False, open_file: OpenFile = expect_file) -> T_co:
        """Makes a checked value of parsed JSON.

        Args:
            value: What `json.loads` gave.
            lenient: Ignore members that the type doesn't know.
            open_file: Gives each file of a `Path` field its path; by default only its form is looked at.

        Raises:
            ContractError: Lists every violation.
        """
        ...

    def dump(self, value: object) -> bytes:
        """Checks that a value is of the type, and writes it as JSON.

        Raises:
            ContractError: Lists every violation.
        """
        ...

    def schema(self) -> dict[str, JSONValue]:
        """The JSON Schema of the type."""
        ...


_FOUND: dict[type, Adapter[object] | None] = {}
"""Filled at first use; an adapter depends on nothing but its type."""


def find_adapter(kind: object) -> Adapter[object] | None:
    """The adapter of a type: protobuf message, dataclass, TypedDict or pydantic model; None for all others.

    Raises:
        ModuleNotFoundError: The message has rules of `buf/validate`, and `protovalidate` is not installed.
        TypeError: A member of the type can't be read from JSON.
    """
    if not isinstance(kind, type):
        return None
    if kind not in _FOUND:
        _FOUND[kind] = _make_adapter(kind)
    return _FOUND[kind]


def _make_adapter(kind: type) -> Adapter[object] | None:
    if issubclass(kind, Message):
        from novita_sdk.typed._protobuf import MessageAdapter

        return MessageAdapter(kind)
    if is_typeddict(kind) or dataclasses.is_dataclass(kind):
        from novita_sdk.typed._records import RecordAdapter

        return RecordAdapter(kind)
    if _is_model(kind):
        from novita_sdk.typed._pydantic import ModelAdapter

        return ModelAdapter(kind)
    return None


def _is_model(kind: type) -> TypeGuard[type[BaseModel]]:
    # A pydantic model can't exist unless its module is loaded.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)
