"""What the plugin's output is made from: services as plain records, read from descriptors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

_VERBS = {"get": "GET", "put": "PUT", "post": "POST", "delete": "DELETE", "patch": "PATCH"}
_IDEMPOTENCY = {
    MethodOptions.IDEMPOTENCY_UNKNOWN: "unknown",
    MethodOptions.NO_SIDE_EFFECTS: "no_side_effects",
    MethodOptions.IDEMPOTENT: "idempotent",
}
# Field numbers of descriptor.proto, as the paths of a SourceCodeInfo use them.
_FILE_SERVICE, _SERVICE_METHOD = 6, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRef:
    """A message class: the module it is in and its name there (`Outer.Inner` for a nested one)."""

    module: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodModel:
    """One rpc."""

    name: str
    comment: str
    request: TypeRef
    response: TypeRef
    verb: str
    path: str
    body: str
    response_body: str
    idempotency: str
    server_streaming: bool
    client_streaming: bool

    @property
    def python_name(self) -> str:
        """The name in snake case: `GetStatus` becomes `get_status`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", self.name).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceModel:
    """One service with its methods in the proto's order."""

    name: str
    full_name: str
    comment: str
    methods: tuple[MethodModel, ...]


def message_types(files: Iterable[FileDescriptorProto]) -> dict[str, TypeRef]:
    """All messages by their full name with a leading dot, as method descriptors refer to them."""
    types: dict[str, TypeRef] = {}

    def add(message: DescriptorProto, module: str, scope: str, outer: str) -> None:
        types[f"{scope}.{message.name}"] = TypeRef(module=module, name=f"{outer}{message.name}")
        for nested in message.nested_type:
            add(nested, module, f"{scope}.{message.name}", f"{outer}{message.name}.")

    for file in files:
        module = ".".join(PurePosixPath(file.name).with_suffix("").parts).replace("-", "_") + "_pb2"
        for message in file.message_type:
            add(message, module, f".{file.package}" if file.package else "", "")
    return types


def services(file: FileDescriptorProto, types: Mapping[str, TypeRef]) -> tuple[ServiceModel, ...]:
    """The services of one file."""
    comments = {tuple(place.path): _comment(place.leading_comments) for place in file.source_code_info.location}

    def method(service: int, index: int, rpc: MethodDescriptorProto) -> MethodModel:
        rule = rpc.options.Extensions[annotations_pb2.http]
        kind = rule.WhichOneof("pattern") or ""
        return MethodModel(
            name=rpc.name,
            comment=comments.get((_FILE_SERVICE, service, _SERVICE_METHOD, index), ""),
            request=types[rpc.input_type],
            response=types[rpc.output_type],
            verb=_VERBS.get(kind, rule.custom.kind),
            path=rule.custom.path if kind == "custom" else getattr(rule, kind) if kind else "",
            body=rule.body,
            response_body=rule.response_body,
            idempotency=_IDEMPOTENCY[rpc.options.idempotency_level],
            server_streaming=rpc.server_streaming,
            client_streaming=rpc.client_streaming,
        )

    def model(index: int, service: ServiceDescriptorProto) -> ServiceModel:
        return ServiceModel(
            name=service.name,
            full_name=f"{file.package}.{service.name}" if file.package else service.name,
            comment=comments.get((_FILE_SERVICE, index), ""),
            methods=tuple(method(index, number, rpc) for number, rpc in enumerate(service.method)),
        )

    return tuple(model(index, service) for index, service in enumerate(file.service))


def _comment(text: str) -> str:
    """A proto comment without its margins."""
    return "\n".join(line.strip() for line in text.strip().splitlines())
