"""Protos that a user may import without having them on disk, as descriptors from the installed packages."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Iterator
from importlib import import_module

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

BUNDLED = ("buf/validate/validate.proto",)
"""Known files whose Python no installed package has; it is generated beside the messages that import it."""


def known_files(on_disk: Collection[str]) -> FileDescriptorSet:
    """The importable files: google/api, buf/validate and our own protocol. protoc itself has google/protobuf.

    Args:
        on_disk: Names that the user has as files; those win over ours.
    """
    found: dict[str, FileDescriptorProto] = {}
    for file in _google_files(with_protocol=not any(name.startswith("novita_protocol/") for name in on_disk)):
        _collect(file, found)
    found |= _validation_files()
    return FileDescriptorSet(file=[file for name, file in found.items() if name not in on_disk])


def _google_files(*, with_protocol: bool) -> Iterator[FileDescriptor]:
    yield import_module("google.api.annotations_pb2").DESCRIPTOR
    if with_protocol:
        package = import_module("novita_protocol.v1")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2") and not module.name.endswith("_service_pb2"):
                yield import_module(f"{package.__name__}.{module.name}").DESCRIPTOR


def _collect(file: FileDescriptor, found: dict[str, FileDescriptorProto]) -> None:
    if file.name in found or file.name.startswith("google/protobuf/"):
        return
    for dependency in file.dependencies:
        _collect(dependency, found)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    found[file.name] = proto


def _validation_files() -> dict[str, FileDescriptorProto]:
    """What protovalidate knows of buf/validate, moved from its own message classes to google's."""
    import protovalidate

    file = protovalidate.ViolationPb.desc().file.proto
    return {file.name: FileDescriptorProto.FromString(file.to_binary())}
