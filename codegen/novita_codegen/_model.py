"""The services of protos as plain records, which the plugin's output is made from."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

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
    alias: str = ""
    """What the module is imported as; empty for its own last name."""


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
    deprecated: bool
    """The method, its service or its file is."""

    @property
    def python_name(self) -> str:
        """The name in snake case: `GetStatus` becomes `get_status`, and `Import` becomes `import_`."""
        name = snake_case(self.name)
        return f"{name}_" if keyword.iskeyword(name) else name

    @property
    def constant(self) -> str:
        """Its name in the method table, where `ALL` is taken."""
        name = self.python_name.upper()
        return f"{name}_" if name == "ALL" else name


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceModel:
    """One service with its methods in the proto's order."""

    name: str
    full_name: str
    comment: str
    is_http: bool
    """Its methods have HTTP bindings; without them it is a contract for jobs."""
    place: str
    """`file:line:column` in the proto."""
    methods: tuple[MethodModel, ...]


class UnsupportedError(ValueError):
    """A service asks for something that can't be generated; the text begins with file, line and column."""


def snake_case(name: str) -> str:
    """`GetHTTPStatus` becomes `get_http_status`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def serves_http(file: FileDescriptorProto) -> bool:
    """Whether a file has a service with HTTP bindings."""
    return any(_is_http(service) for service in file.service)


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
    """The services of one file.

    Raises:
        UnsupportedError: A service has no methods, or one that can't be generated.
    """
    places = {tuple(location.path): location for location in file.source_code_info.location}

    def comment(*path: int) -> str:
        return clean_comment(places[path].leading_comments) if path in places else ""

    def place(*path: int) -> str:
        line, column = places[path].span[:2] if path in places else (0, 0)
        return f"{file.name}:{line + 1}:{column + 1}"

    def refuse(reason: str, *path: int) -> UnsupportedError:
        return UnsupportedError(f"{place(*path)}: {reason}")

    models = []
    for index, service in enumerate(file.service):
        if not service.method:
            raise refuse(f"{service.name} has no methods", _FILE_SERVICE, index)
        constants: set[str] = set()
        methods = []
        for number, rpc in enumerate(service.method):
            path = (_FILE_SERVICE, index, _SERVICE_METHOD, number)
            is_old = rpc.options.deprecated or service.options.deprecated or file.options.deprecated
            method = _method(rpc, types, comment(*path), deprecated=is_old)
            if rpc.client_streaming:
                raise refuse(f"{rpc.name} takes a stream of requests; only responses can be a stream", *path)
            if method.constant in constants:
                raise refuse(f"{rpc.name} would be a second method {method.python_name} in Python", *path)
            if rpc.name.startswith("_"):
                raise refuse(f"{rpc.name} would be private in Python; begin its name with a letter", *path)
            if not _is_http(service) and rpc.server_streaming != service.method[0].server_streaming:
                raise refuse("a service of jobs has either streams or single responses, not both", *path)
            constants.add(method.constant)
            methods.append(method)
        model = ServiceModel(
            name=service.name,
            full_name=f"{file.package}.{service.name}" if file.package else service.name,
            comment=comment(_FILE_SERVICE, index),
            is_http=_is_http(service),
            place=place(_FILE_SERVICE, index),
            methods=_told_apart(methods),
        )
        models.append(model)
    return tuple(models)


def _told_apart(methods: Iterable[MethodModel]) -> tuple[MethodModel, ...]:
    """The methods with aliases for modules that have the same last name, as `types_pb2` of two packages."""
    methods = tuple(methods)
    modules = {ref.module for method in methods for ref in (method.request, method.response)}
    count = Counter(module.rpartition(".")[2] for module in modules)

    def named(ref: TypeRef) -> TypeRef:
        clashes = count[ref.module.rpartition(".")[2]] > 1
        return replace(ref, alias=ref.module.replace(".", "_")) if clashes else ref

    return tuple(replace(method, request=named(method.request), response=named(method.response)) for method in methods)


def _method(rpc: MethodDescriptorProto, types: Mapping[str, TypeRef], comment: str, *, deprecated: bool) -> MethodModel:
    rule = rpc.options.Extensions[annotations_pb2.http]
    verb, path = _binding(rule)
    return MethodModel(
        name=rpc.name,
        comment=comment,
        request=types[rpc.input_type],
        response=types[rpc.output_type],
        verb=verb,
        path=path,
        body=rule.body,
        response_body=rule.response_body,
        idempotency=_IDEMPOTENCY[rpc.options.idempotency_level],
        server_streaming=rpc.server_streaming,
        deprecated=deprecated,
    )


def _binding(rule: http_pb2.HttpRule) -> tuple[str, str]:
    """Verb and path of a binding; both are empty without one."""
    match rule.WhichOneof("pattern"):
        case "get":
            return "GET", rule.get
        case "put":
            return "PUT", rule.put
        case "post":
            return "POST", rule.post
        case "delete":
            return "DELETE", rule.delete
        case "patch":
            return "PATCH", rule.patch
        case "custom":
            return rule.custom.kind, rule.custom.path
        case _:
            return "", ""


def _is_http(service: ServiceDescriptorProto) -> bool:
    return any(rpc.options.HasExtension(annotations_pb2.http) for rpc in service.method)


def clean_comment(text: str) -> str:
    """A proto comment without its margins and without words to linters."""
    lines = (line.strip() for line in text.strip().splitlines())
    return "\n".join(line for line in lines if not line.startswith("buf:lint:")).strip()
