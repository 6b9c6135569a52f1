"""The comments of a proto, put into the module of its messages: the JSON Schemas of contracts have them from there."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from novita_codegen._model import clean_comment
from novita_codegen._parts import parts

__all__ = ["render"]


def render(file: FileDescriptorProto) -> str:
    """A dict of comments by full name, as Python; empty where no message, field or enum has one."""
    comments = {
        tuple(location.path): clean_comment(location.leading_comments or location.trailing_comments)
        for location in file.source_code_info.location
    }
    found = [(name, text) for _, name, path in parts(file) if (text := comments.get(path))]
    if not found:
        return ""
    rows = (f"  {name!r}: {text!r},\n" for name, text in found)
    return f"# What the proto says of its parts.\n_novita_comments = {{\n{''.join(rows)}}}\n"
