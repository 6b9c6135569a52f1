"""Requests and replies of the HTTP/JSON API, made from the method tables.

The client side is `build_request` and `parse_response`, the server side `parse_request` and `build_response`. A field
of a request message travels in the path where the path names it, in a header where its `header` option says so, in the
body where the method's body names it, and else in the query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar, cast
from urllib.parse import quote, urlencode

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from novita_sdk.models import header
from novita_sdk.rpc import Method
from novita_sdk.wire import codec
from novita_sdk.wire.holes import Holes
from novita_sdk.wire.readable import check_readable

__all__ = ["HttpRequest", "build_query", "build_request", "build_response", "parse_request", "parse_response"]

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_SEGMENT_SAFE: Final = "-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What goes over the wire, but for authentication and other headers of the transport."""

    verb: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    """None where the method has no body; such a POST goes out with Content-Length: 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Binding:
    path: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    """Field name and its key in the query."""
    headers: tuple[tuple[str, str], ...]
    """Field name and its header."""
    body: type[Message] | None
    response_body: type[Message] | None
    response_is_array: bool


def build_request(method: Method[RequestT, ResponseT], request: RequestT, base_url: str) -> HttpRequest:
    """Makes the HTTP request of a call.

    Args:
        method: From a generated method table.
        request: Its request message.
        base_url: For example `https://async-public.serverless.novita.ai/v1`, without a trailing slash.

    Raises:
        WireError: A required field is empty.
    """
    url = base_url + _PARAMETER.sub(
        lambda match: quote(str(getattr(request, match.group(1))), safe=_SEGMENT_SAFE), method.path
    )
    if query := build_query(method, request):
        url += f"?{query}"
    return HttpRequest(
        verb=method.verb,
        url=url,
        headers={key: getattr(request, name) for name, key in _binding(method).headers if request.HasField(name)},
        body=codec.encode(getattr(request, method.body)) if method.body else None,
    )


def build_query(method: Method[RequestT, ResponseT], request: RequestT) -> str:
    """The query of a call, encoded; empty where no field that travels there is set."""
    return urlencode(
        [(key, _text(getattr(request, name))) for name, key in _binding(method).query if request.HasField(name)]
    )


def parse_response(method: Method[RequestT, ResponseT], body: bytes) -> ResponseT:
    """Reads the body of a successful reply; an empty one gives the empty message.

    It is read leniently (see `codec`), because a finished job must not be lost over a NaN in its output; nor does a
    payload that nobody here can read hide the rest, such as the state.

    Raises:
        WireError: The body is not the method's response.
    """
    if not body:
        return method.response()
    try:
        return _read_response(method, body)
    except codec.WireError:
        holes = Holes()
        try:
            patched = holes.patch(_binding(method).response_body or method.response, body)
        except (RecursionError, ValueError):
            patched = body
        if patched == body:
            raise
        response = _read_response(method, patched)
        holes.fill(response)
        return response


def _read_response(method: Method[RequestT, ResponseT], body: bytes) -> ResponseT:
    binding = _binding(method)
    if binding.response_body is None:
        return codec.decode(method.response, body, lenient=True)
    decode = codec.decode_array if binding.response_is_array else codec.decode
    return method.response(**{method.response_body: decode(binding.response_body, body, lenient=True)})


def parse_request(
    method: Method[RequestT, ResponseT],
    *,
    path: Mapping[str, str],
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
) -> RequestT:
    """Reads a request that a server received.

    Args:
        method: The method that the route belongs to.
        path: The parameters of the path, decoded.
        query: The query, decoded; keys that no field has are ignored.
        headers: Looked up by the name in the proto, so case-insensitive mappings are expected.
        body: The whole body.

    Raises:
        WireError: A parameter or the body is not what the contract says, or not everybody could read it.
    """
    binding = _binding(method)
    values: dict[str, object] = {name: codec.parse_scalar(method.request, name, path[name]) for name in binding.path}
    for name, key in binding.query:
        if (text := query.get(key)) is not None:
            values[name] = codec.parse_scalar(method.request, name, text)
    for name, key in binding.headers:
        if (text := headers.get(key)) is not None:
            values[name] = _header_text(key, text)
    if binding.body is not None:
        check_readable(body, binding.body.DESCRIPTOR.name)
        values[method.body] = codec.decode(binding.body, body)
    return method.request(**values)


def _header_text(key: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise codec.WireError(f"the header {key} is not UTF-8") from None
    return text


def build_response(method: Method[RequestT, ResponseT], response: ResponseT) -> bytes:
    """Writes the body of a successful reply; empty where the response's body field is not set."""
    if not method.response_body:
        return codec.encode(response)
    value = getattr(response, method.response_body)
    if isinstance(value, Message):
        return codec.encode(value) if response.HasField(method.response_body) else b""
    return b"[" + b",".join(codec.encode(item) for item in value) + b"]"


@cache
def _binding(method: Method[RequestT, ResponseT]) -> _Binding:
    path = tuple(_PARAMETER.findall(method.path))
    query: list[tuple[str, str]] = []
    headers: list[tuple[str, str]] = []
    request, response = _fields(method.request), _fields(method.response)
    for field in request.values():
        if field.name in path or field.name == method.body:
            continue
        if name := field.GetOptions().Extensions[header]:
            headers.append((field.name, name))
        else:
            query.append((field.name, field.json_name))
    return _Binding(
        path=path,
        query=tuple(query),
        headers=tuple(headers),
        body=_message_type(request.get(method.body)),
        response_body=_message_type(response.get(method.response_body)),
        response_is_array=bool(method.response_body) and not response[method.response_body].has_presence,
    )


def _fields(message_type: type[Message]) -> dict[str, FieldDescriptor]:
    return {field.name: field for field in cast("Descriptor", message_type.DESCRIPTOR).fields}


def _message_type(field: FieldDescriptor | None) -> type[Message] | None:
    if field is None or field.message_type is None:
        return None
    return GetMessageClass(field.message_type)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
