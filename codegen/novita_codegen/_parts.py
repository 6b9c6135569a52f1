"""The messages, fields, oneofs and enums of a proto, with their paths in its source."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

__all__ = ["parts", "place"]

Path = tuple[int, ...]

# Field numbers of descriptor.proto, as the paths of a SourceCodeInfo use them.
_MESSAGE, _ENUM = 4, 5
_FIELD, _NESTED_MESSAGE, _NESTED_ENUM, _ONEOF = 2, 3, 4, 8


def parts(file: FileDescriptorProto) -> Iterator[tuple[str, str, Path]]:
    """Kind, full name and path of every message, field, oneof and enum."""
    scope = f"{file.package}." if file.package else ""
    for index, enum in enumerate(file.enum_type):
        yield "enum", f"{scope}{enum.name}", (_ENUM, index)
    for index, message in enumerate(file.message_type):
        yield from _inside(message, f"{scope}{message.name}", (_MESSAGE, index))


def place(file: FileDescriptorProto, *path: int) -> str:
    """`file:line:column` of a part; of the file's begin where its source is not known."""
    for location in file.source_code_info.location:
        if tuple(location.path) == path:
            return f"{file.name}:{location.span[0] + 1}:{location.span[1] + 1}"
    return f"{file.name}:1:1"


def _inside(message: DescriptorProto, name: str, path: Path) -> Iterator[tuple[str, str, Path]]:
    yield "message", name, path
    for index, field in enumerate(message.field):
        yield "field", f"{name}.{field.name}", (*path, _FIELD, index)
    for index, oneof in enumerate(message.oneof_decl):
        yield "oneof", f"{name}.{oneof.name}", (*path, _ONEOF, index)
    for index, enum in enumerate(message.enum_type):
        yield "enum", f"{name}.{enum.name}", (*path, _NESTED_ENUM, index)
    for index, inner in enumerate(message.nested_type):
        yield from _inside(inner, f"{name}.{inner.name}", (*path, _NESTED_MESSAGE, index))
