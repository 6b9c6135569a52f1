"""Files of this machine in messages: a `novita_protocol.v1.File` whose link only this process can have made.

A message holds text, no `LocalFile`, so its `url` says where the content is, or holds it (`_local_links.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from novita_sdk.files._file import File, LocalFile
from novita_sdk.files._local_links import LINK, follow
from novita_sdk.files._named import NamedFile
from novita_sdk.models import File as FileMessage

__all__ = ["linked_files", "local_files", "may_hold_files", "with_files"]

_NAME: Final = FileMessage.DESCRIPTOR.full_name

MessageT = TypeVar("MessageT", bound=Message)


def may_hold_files(kind: Descriptor) -> bool:
    """Whether messages of a type can have files in them."""
    waiting, seen = [kind], {kind.full_name}
    while waiting:
        kind = waiting.pop()
        if kind.full_name == _NAME:
            return True
        for item in (field.message_type for field in kind.fields):
            if item is not None and item.full_name not in seen:
                seen.add(item.full_name)
                waiting.append(item)
    return False


def linked_files(message: Message) -> Iterator[tuple[str, FileMessage, LocalFile | None]]:
    """The files in a message that have no link for others: path, message, and the file, if this process made it."""
    for path, file in _files(message, ""):
        if file.url.startswith(LINK):
            yield path, file, _local(file)


def local_files(message: Message) -> Iterator[tuple[str, LocalFile]]:
    """The files of this machine in a message, with their paths in it."""
    return ((path, local) for path, _, local in linked_files(message) if local is not None)


def with_files(message: MessageT, change: Callable[[str, LocalFile], File]) -> MessageT:
    """A copy of a message with links in the place of files of this machine; the same message where there are none.

    Args:
        message: It is not changed.
        change: Makes the link of a file; its path is what `local_files` gives.
    """
    sent = {path: change(path, file).to_message() for path, file in local_files(message)}
    if not sent:
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    for path, file in list(_files(copy, "")):
        if path in sent:
            file.ParseFromString(sent[path].SerializeToString())
    return copy


def _files(message: Message, path: str) -> Iterator[tuple[str, FileMessage]]:
    if message.DESCRIPTOR.full_name == _NAME:
        yield path, cast("FileMessage", message)
        return
    for field, value in message.ListFields():
        if field.message_type is None or not may_hold_files(field.message_type):
            continue
        place = f"{path}.{field.name}" if path else field.name
        if field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                yield from _files(item, f'{place}["{key}"]')
        elif isinstance(value, Message):
            yield from _files(value, place)
        else:
            for index, item in enumerate(value):
                yield from _files(item, f"{place}[{index}]")


def _local(file: FileMessage) -> LocalFile | None:
    match follow(file.url):
        case None:
            return None
        case (path, state):
            named = NamedFile.as_it_was(path, state)
            return LocalFile(path=named, name=file.name, media_type=file.media_type)
        case data:
            return LocalFile(data=data, name=file.name, media_type=file.media_type)
