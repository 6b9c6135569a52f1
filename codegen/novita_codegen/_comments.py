"""The comments of a proto, put into the module of its messages: the JSON Schemas of contracts have them from there."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from novita_codegen._model import clean_comment

__all__ = ["render"]

_Path = tuple[int, ...]

# Field numbers of descriptor.proto, as the paths of a SourceCodeInfo use them.
_MESSAGE, _ENUM = 4, 5
_FIELD, _NESTED_MESSAGE, _NESTED_ENUM = 2, 3, 4


def render(file: FileDescriptorProto) -> str:
    """A dict of comments by full name, as Python; empty where no message, field or enum has one."""
    comments = {
        tuple(location.path): clean_comment(location.leading_comments or location.trailing_comments)
        for location in file.source_code_info.location
    }
    found = [(name, text) for name, path in _parts(file) if (text := comments.get(path))]
    if not found:
        return ""
    rows = (f"  {name!r}: {text!r},\n" for name, text in found)
    return f"# What the proto says of its parts.\n_novita_comments = {{\n{''.join(rows)}}}\n"


def _parts(file: FileDescriptorProto) -> Iterator[tuple[str, _Path]]:
    """Full name and path of every message, field and enum."""
    scope = f"{file.package}." if file.package else ""
    for index, enum in enumerate(file.enum_type):
        yield f"{scope}{enum.name}", (_ENUM, index)
    for index, message in enumerate(file.message_type):
        yield from _inside(message, f"{scope}{message.name}", (_MESSAGE, index))


def _inside(message: DescriptorProto, name: str, path: _Path) -> Iterator[tuple[str, _Path]]:
    yield name, path
    for index, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, _FIELD, index)
    for index, enum in enumerate(message.enum_type):
        yield f"{name}.{enum.name}", (*path, _NESTED_ENUM, index)
    for index, inner in enumerate(message.nested_type):
        yield from _inside(inner, f"{name}.{inner.name}", (*path, _NESTED_MESSAGE, index))
