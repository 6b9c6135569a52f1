"""Reading an answer round the payloads in it that nobody here can read, so that they don't hide whose it is."""

from __future__ import annotations

import json
from typing import cast

import msgspec
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from novita_sdk.models import json_payload
from novita_sdk.wire.json_scan import split

__all__ = ["Holes"]


class Holes:
    """Takes payloads out of JSON and puts them back into the message that the rest of it makes."""

    def __init__(self) -> None:
        self._taken: dict[bytes, bytes] = {}
        self._mark = b"hole"

    def patch(self, message_type: type[Message], data: bytes) -> bytes:
        """The JSON of a message, or of an array of them, with words in the place of what can't be read.

        Raises:
            ValueError: It is no such JSON.
        """
        while self._mark in data:
            self._mark += b"'"
        return self._patch(cast("Descriptor", message_type.DESCRIPTOR), data)

    def fill(self, message: Message) -> None:
        """Puts the payloads in, wherever they belong."""
        for field, value in message.ListFields():
            if field.message_type is not None:
                for item in [value] if isinstance(value, Message) else value:
                    self.fill(item)
            elif isinstance(value, bytes) and value in self._taken:
                setattr(message, field.name, self._taken[value])

    def _patch(self, descriptor: Descriptor, data: bytes) -> bytes:
        found = split(data)
        if isinstance(found, list):
            return b"[" + b",".join([self._patch(descriptor, item) for item in found]) + b"]"
        members: list[bytes] = []
        for key, value in found.items():
            field = next((each for each in descriptor.fields if each.json_name == key), None)
            if field is None:
                continue
            kept = value
            if not _is_readable(value):
                if field.GetOptions().Extensions[json_payload]:
                    kept = b'"%b %d"' % (self._mark, len(self._taken))
                    self._taken[kept] = value
                elif field.message_type is not None:
                    kept = self._patch(field.message_type, value)
            members.append(msgspec.json.encode(key) + b":" + kept)
        return b"{" + b",".join(members) + b"}"


def _is_readable(data: bytes) -> bool:
    try:
        json.loads(data)
    except (RecursionError, ValueError):
        return False
    return True
