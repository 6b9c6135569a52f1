"""The schema of an endpoint: the types of a handler as its worker tells them, and the check of an input by them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from novita_sdk.models import EndpointSchema, MethodSchema
from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._annotations import kind_of, unwrap
from novita_sdk.typed._checked import TypedHandler
from novita_sdk.typed._protobuf import MessageAdapter
from novita_sdk.typed._service import choose
from novita_sdk.typed._violations import ContractError, Violation, cut, join
from novita_sdk.wire import payload
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    import jsonschema

__all__ = ["InputCheck", "describe", "input_check"]

InputCheck: TypeAlias = Callable[[JSONValue], list[Violation]]
"""Lists what is wrong with an input."""


def describe(handler: TypedHandler, *, lenient: bool) -> EndpointSchema:
    """What there is to tell of a handler's types.

    Args:
        handler: The handler.
        lenient: Whether inputs may have members that their type doesn't know.

    Raises:
        PayloadError: A type has a schema that JSON can't hold.
    """
    files: dict[str, FileDescriptorProto] = {}
    is_stream = kind_of(unwrap(handler.function)).is_stream
    methods = [
        MethodSchema(
            name=name or None,
            input=_schema(reader),
            input_message=_message_name(reader, files),
            output=None if writer is None else _schema(writer),
            output_message=_message_name(writer, files),
            is_stream=is_stream,
        )
        for name, reader in handler.inputs.items()
        for writer in [handler.outputs[name]]
    ]
    found = FileDescriptorSet(file=files.values()).SerializeToString(deterministic=True)
    return EndpointSchema(
        methods=methods,
        descriptors=base64.b64encode(found).decode() if found else None,
        allows_unknown_fields=lenient,
    )


def input_check(schema: EndpointSchema) -> InputCheck:
    """What checks inputs as the worker of the schema does.

    Messages are checked by all of their rules; dataclasses, TypedDicts and pydantic models by their JSON Schema.

    Raises:
        ValueError: The schema is damaged.
        ModuleNotFoundError: What checks it is not installed.
    """
    pool = _pool(schema.descriptors)
    parsers = {method.name: _parser(method, pool, lenient=schema.allows_unknown_fields) for method in schema.methods}

    def check(value: JSONValue) -> list[Violation]:
        if not parsers:
            return []
        try:
            name, value = ("", value) if list(parsers) == [""] else choose(value, list(parsers))
            parsers[name](value)
        except ContractError as error:
            return list(error.violations)
        return []

    return check


def _schema(adapter: Adapter[object]) -> bytes:
    return payload.dump(adapter.schema(), "schema")


def _message_name(adapter: Adapter[object] | None, files: dict[str, FileDescriptorProto]) -> str | None:
    if not isinstance(adapter, MessageAdapter):
        return None
    _collect(adapter.descriptor.file, files)
    return adapter.descriptor.full_name


def _collect(file: FileDescriptor, files: dict[str, FileDescriptorProto]) -> None:
    """Adds a file after those that it imports."""
    if file.name in files:
        return
    for dependency in file.dependencies:
        _collect(dependency, files)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    files[file.name] = proto


def _pool(descriptors: str) -> DescriptorPool:
    """A pool of its own, because the caller may have another version of the same messages."""
    pool = DescriptorPool()
    try:
        for file in FileDescriptorSet.FromString(base64.b64decode(descriptors, validate=True)).file:
            pool.Add(file)
    except (TypeError, ValueError, DecodeError) as error:
        raise ValueError(f"the descriptors of its types are damaged: {error}") from None
    return pool


def _parser(method: MethodSchema, pool: DescriptorPool, *, lenient: bool) -> Callable[[object], object]:
    if not method.HasField("input_message"):
        return _schema_parser(method.input)
    try:
        adapter = find_adapter(GetMessageClass(pool.FindMessageTypeByName(method.input_message)))
    except KeyError:
        raise ValueError(f"there is no descriptor of {method.input_message}") from None
    if adapter is None:
        raise TypeError(method.input_message)
    return lambda value: adapter.parse(value, lenient=lenient)


def _schema_parser(schema: bytes) -> Callable[[object], object]:
    try:
        import jsonschema
        import referencing
    except ModuleNotFoundError as error:
        reason = "checking an input against a JSON Schema needs jsonschema: pip install 'novita-gpus[typed]'"
        raise ModuleNotFoundError(reason, name=error.name) from None
    # An empty registry: a schema refers to its own parts, and nothing is fetched for it.
    validator = jsonschema.Draft202012Validator(msgspec.json.decode(schema), registry=referencing.Registry())

    def parse(value: object) -> None:
        violations = [
            Violation(
                field=_path(error.absolute_path),
                rule=str(error.validator),
                message=_sentence(error),
                value=cut(error.instance),
            )
            for error in validator.iter_errors(value)
        ]
        if violations:
            raise ContractError("input", violations)

    return parse


def _sentence(error: jsonschema.ValidationError) -> str:
    """What jsonschema says, as it goes on after the path of a field; it begins with the value where that is short."""
    value, message = repr(error.instance), str(error.message)
    if message.startswith(f"{value} "):
        message = message.removeprefix(f"{value} ")
    return message if message.startswith(("is ", "does ", "has ")) else f"does not follow the schema: {message}"


def _path(parts: Iterable[int | str]) -> str:
    path = ""
    for part in parts:
        path = join(path, f"[{part}]" if isinstance(part, int) else part)
    return path
