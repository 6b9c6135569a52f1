"""Protobuf messages: the proto3 JSON mapping, and the rules of `buf/validate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

import msgspec
from google.protobuf.message import DecodeError, Message

from novita_sdk.files._in_messages import linked_files, may_hold_files
from novita_sdk.files._local_links import LINK
from novita_sdk.typed._fields import descriptor, has_required
from novita_sdk.typed._paths import OpenFile, expect_file
from novita_sdk.typed._reading import message_reader
from novita_sdk.typed._rules import find_check
from novita_sdk.typed._scalars import Mismatch
from novita_sdk.typed._schema import message_schema
from novita_sdk.typed._violations import LOCAL_FILE, ContractError, Violation, cut, too_deep
from novita_sdk.typed._writing import message_writer
from novita_sdk.wire.payload import JSONValue

__all__ = ["MessageAdapter"]

_LOCAL: Final = f'"{LINK}'.encode()

_GONE: Final = "must be there"

MessageT = TypeVar("MessageT", bound=Message)


class MessageAdapter(Generic[MessageT]):
    """Reads and writes one message type."""

    def __init__(self, kind: type[MessageT]) -> None:
        self.name = kind.DESCRIPTOR.name
        self.descriptor = descriptor(kind)
        self._kind = kind
        self._check = find_check(kind)
        self._write = message_writer(kind)
        self._has_required = has_required(self.descriptor)
        self._may_hold_files = may_hold_files(self.descriptor)
        self.has_paths = False

    def parse(self, value: JSONValue, *, lenient: bool = False, open_file: OpenFile = expect_file) -> MessageT:  # noqa: ARG002  files in a message are messages
        """As `Adapter.parse`."""
        try:
            message = cast("MessageT", message_reader(self._kind, lenient=lenient)(value))
        except Mismatch as mismatch:
            raise ContractError(self.name, mismatch.violations) from None
        except (RecursionError, DecodeError):  # protobuf takes a hundred levels
            raise ContractError(self.name, [too_deep(value)]) from None
        self.check(message)
        return message

    def dump(self, value: object) -> bytes:
        """As `Adapter.dump`."""
        if not isinstance(value, self._kind):
            message = f"must be a {self.name} message"
            raise ContractError(self.name, [Violation(field="", rule="type", message=message, value=cut(value))])
        self.check(value)
        try:
            data = msgspec.json.encode(self._write(value))
            if self._may_hold_files and _LOCAL in data and (unsent := _unsent(value)):
                raise ContractError(self.name, unsent)
            return data
        except Mismatch as mismatch:
            raise ContractError(self.name, mismatch.violations) from None
        except RecursionError:
            raise ContractError(self.name, [too_deep(value)]) from None

    def schema(self) -> dict[str, JSONValue]:
        """As `Adapter.schema`."""
        return message_schema(self._kind)

    def check(self, message: MessageT) -> None:
        """Looks for what proto2 requires, and applies the rules of the proto.

        Raises:
            ContractError: Lists every violation.
        """
        if self._has_required and (missing := _missing(message)):
            raise ContractError(self.name, [Violation(field=path, rule="required", message=_GONE) for path in missing])
        if self._check is not None and (violations := self._check(message)):
            raise ContractError(self.name, violations)


def _unsent(message: Message) -> list[Violation]:
    """What is wrong with files that nobody else could open."""
    return [
        Violation(
            field=path, rule="file", message="is a file of another process, which alone can send it", value=file.name
        )
        if local is None
        else Violation(field=path, rule=LOCAL_FILE, message="must be uploaded first", value=file.name)
        for path, file, local in linked_files(message)
    ]


def _missing(message: Message) -> list[str]:
    """The paths of required fields that are not there; the stubs of messages know nothing of the method."""
    find: Callable[[], list[str]] = getattr(message, "FindInitializationErrors")  # noqa: B009
    return find()
