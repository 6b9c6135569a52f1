"""The API's description, OpenAPI 3.1, made from the method tables and the messages' descriptors."""

from __future__ import annotations

import re
from typing import Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from novita_sdk._version import __version__
from novita_sdk.models import ApiError, header, json_extra, json_payload, required
from novita_sdk.rpc import JobsServiceMethods, Method, WorkerServiceMethods
from novita_sdk.wire.payload import JSONValue

__all__ = ["openapi"]

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-\"$&-.0->@-\[\]-~]+$"}
"""What can stand in a path: ASCII without controls, space, slash, backslash, `?`, `#` and `%`."""

_SCALARS: Final[dict[int, object]] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
_SECURITY: Final = {"clientKey": "The gateway's API key.", "workerToken": "The gateway's worker token."}
_EMPTY: Final = {"TakeJob", "TakeJobs", "WatchStops"}
"""Methods that answer 204 where there is nothing."""
_REUSED: Final = {"422": "The idempotency key came before with another request"}
_ERRORS_OF: Final = {"Run": _REUSED, "RunSync": _REUSED, "Retry": {"409": "Not FAILED or TIMED_OUT"}}
_ERRORS: Final = {
    "400": "Bad request",
    "401": "No key",
    "403": "Wrong key",
    "404": "Not found",
    "408": "The body did not arrive in time",
    "413": "Too large",
    "503": "The store could not write; ask again",
}


def openapi(base_url: str = "/v1") -> dict[str, JSONValue]:
    """Describes every route of both services.

    Args:
        base_url: Where the API is.
    """
    schemas: dict[str, object] = {}
    paths: dict[str, dict[str, object]] = {}
    for methods, security in ((JobsServiceMethods.ALL, "clientKey"), (WorkerServiceMethods.ALL, "workerToken")):
        for method in methods:
            paths.setdefault(method.path, {})[method.verb.lower()] = _operation(method, security, schemas)
    _schema(ApiError, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Async Serverless Endpoints", "version": __version__},
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": text} for name, text in _SECURITY.items()
            },
        },
    }


def _operation(method: Method[Message, Message], security: str, schemas: dict[str, object]) -> dict[str, object]:
    fields = {field.name: field for field in _fields(method.request)}
    in_path = _PARAMETER.findall(method.path)
    responses: dict[str, object] = {"200": _success(method, schemas)}
    if method.name in _EMPTY:
        responses["204"] = {"description": "There is nothing"}
    codes = {**_ERRORS, **_ERRORS_OF.get(method.name, {})}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/ApiError"}}}
    responses |= {code: {"description": text, "content": error} for code, text in codes.items()}
    operation: dict[str, object] = {
        "operationId": method.name,
        "tags": [method.service.rpartition(".")[2]],
        "security": [{security: []}],
        "parameters": [_parameter(field, in_path) for field in fields.values() if field.name != method.body],
        "responses": responses,
    }
    if method.body:
        content = {"application/json": {"schema": _value(fields[method.body], schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameter(field: FieldDescriptor, in_path: list[str]) -> dict[str, object]:
    if field.name in in_path:
        return {"name": field.name, "in": "path", "required": True, "schema": _NAME}
    if name := field.GetOptions().Extensions[header]:
        return {"name": name, "in": "header", "schema": {"type": "string"}}
    return {"name": field.json_name, "in": "query", "schema": _SCALARS[field.cpp_type]}


def _success(method: Method[Message, Message], schemas: dict[str, object]) -> dict[str, object]:
    if method.response_body:
        field = next(field for field in _fields(method.response) if field.name == method.response_body)
        schema = _value(field, schemas)
    else:
        schema = _schema(method.response, schemas)
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _schema(message: type[Message], schemas: dict[str, object]) -> object:
    """Adds the message to the schemas, and what it is made of; returns a reference."""
    return _descriptor_schema(_descriptor(message), schemas)


def _descriptor_schema(descriptor: Descriptor, schemas: dict[str, object]) -> object:
    reference = {"$ref": f"#/components/schemas/{descriptor.name}"}
    if descriptor.name in schemas:
        return reference
    properties: dict[str, object] = {}
    schema: dict[str, object] = {"type": "object", "properties": properties}
    schemas[descriptor.name] = schema  # before its fields, one of which may be of its kind
    for field in descriptor.fields:
        if not field.GetOptions().Extensions[json_extra]:
            properties[field.json_name] = _value(field, schemas)
    needed = [field.json_name for field in descriptor.fields if field.GetOptions().Extensions[required]]
    if needed:
        schema["required"] = needed
    return reference


def _value(field: FieldDescriptor, schemas: dict[str, object]) -> object:
    if field.GetOptions().Extensions[json_payload]:
        return {"description": "Any JSON value, at most 4 MiB."}
    inner = field.message_type
    schema = _SCALARS[field.cpp_type] if inner is None else _descriptor_schema(inner, schemas)
    return {"type": "array", "items": schema} if _is_repeated(field) else schema


def _is_repeated(field: FieldDescriptor) -> bool:
    # `label` is deprecated in protobuf 7, and `is_repeated` is absent from 5.29.
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(getattr(field, "label") == FieldDescriptor.LABEL_REPEATED)  # noqa: B009 - the stubs lack it


def _fields(message: type[Message]) -> list[FieldDescriptor]:
    return list(_descriptor(message).fields)


def _descriptor(message: type[Message]) -> Descriptor:
    return cast("Descriptor", message.DESCRIPTOR)  # the stubs also name the C type, which has the same attributes
