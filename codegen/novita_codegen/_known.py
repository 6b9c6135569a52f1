"""Protos that a user may import without having them on disk, as descriptors from the installed packages."""

from __future__ import annotations

from collections.abc import Container, Iterable
from importlib import import_module

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_MODULES = ("google.api.annotations_pb2",)


def known_files(on_disk: Container[str]) -> FileDescriptorSet:
    """The importable files and what they import, each after its dependencies.

    Args:
        on_disk: Names that the user has as files; those win over ours.
    """
    found: dict[str, FileDescriptorProto] = {}
    for name in _MODULES:
        _collect(import_module(name).DESCRIPTOR, found)
    return FileDescriptorSet(file=_left_out(found.values(), on_disk))


def _collect(file: FileDescriptor, found: dict[str, FileDescriptorProto]) -> None:
    if file.name in found:
        return
    for dependency in file.dependencies:
        _collect(dependency, found)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    found[file.name] = proto


def _left_out(files: Iterable[FileDescriptorProto], names: Container[str]) -> list[FileDescriptorProto]:
    return [file for file in files if file.name not in names]
