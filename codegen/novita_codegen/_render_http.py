"""The module for a service with HTTP bindings: method table, stubs for callers, a protocol for those who serve it."""

from __future__ import annotations

from collections.abc import Iterator

from novita_codegen._model import ServiceModel, snake_case
from novita_codegen._source import (
    INDENT,
    class_name,
    deprecation,
    docstring,
    header,
    imports,
    method_docstring,
    method_table,
    signature,
)


def render(source: str, service: ServiceModel) -> str:
    """The module's text.

    Args:
        source: The proto's path, for the header.
        service: Its service.
    """
    lines = header(source, f"{service.name}: its method table, stubs that call it, and what serves it.")
    lines += ["from typing import Final, Protocol, TypeVar", "", "from google.protobuf.message import Message", ""]
    names = ["AsyncCaller", "BoundMethod", "Method", "SyncCaller", "bind"]
    names += ["deprecated"] if any(rpc.deprecated for rpc in service.methods) else []
    lines += imports(service, [f"from novita_protocol.method import {', '.join(names)}"])
    lines += ["", 'ContextT = TypeVar("ContextT")', 'ContextT_contra = TypeVar("ContextT_contra", contravariant=True)']
    stubs = (_stub(service, "Sync"), _stub(service, "Async"))
    for block in (method_table(service), *stubs, _handler(service), _bind(service)):
        lines += ["", "", *block]
    return "\n".join(lines) + "\n"


def _stub(service: ServiceModel, kind: str) -> Iterator[str]:
    yield f"class {service.name}{kind}:"
    yield from docstring(service.comment or f"Calls {service.full_name}.", INDENT)
    yield ""
    yield f"    def __init__(self, caller: {kind}Caller) -> None:"
    yield "        self._caller = caller"
    define, answer = ("async def", "return await") if kind == "Async" else ("def", "return")
    for rpc in service.methods:
        yield ""
        arguments = f"self, request: {class_name(rpc.request)}, *, timeout: float | None = None"
        yield from deprecation(rpc)
        yield from signature(f"{define} {rpc.python_name}", arguments, class_name(rpc.response))
        yield from method_docstring(rpc, f"Calls {rpc.name}.")
        constant = f"{service.name}Methods.{rpc.constant}"
        yield f"        {answer} self._caller.call({constant}, request, timeout=timeout)"


def _handler(service: ServiceModel) -> Iterator[str]:
    yield f"class {service.name}Handler(Protocol[ContextT_contra]):"
    yield from docstring(service.comment or f"Serves {service.full_name}.", INDENT)
    for rpc in service.methods:
        yield ""
        arguments = f"self, request: {class_name(rpc.request)}, context: ContextT_contra, /"
        yield from signature(f"async def {rpc.python_name}", arguments, class_name(rpc.response))
        yield from method_docstring(rpc, f"Serves {rpc.name}.")
        yield "        ..."


def _bind(service: ServiceModel) -> Iterator[str]:
    handler = f"handler: {service.name}Handler[ContextT]"
    yield f"def bind_{snake_case(service.name)}({handler}) -> tuple[BoundMethod[ContextT], ...]:"
    yield from docstring(f"Binds each method of {service.full_name} to its handler, for a server to route by.", INDENT)
    yield "    return ("
    for rpc in service.methods:
        yield f"        bind({service.name}Methods.{rpc.constant}, handler.{rpc.python_name}),"
    yield "    )"
