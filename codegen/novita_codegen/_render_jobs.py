"""The module for a service without HTTP bindings, a contract for jobs: method table, typed clients, typed worker."""

from __future__ import annotations

from collections.abc import Iterator

from novita_codegen._model import MethodModel, ServiceModel, snake_case
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
        service: Its service; all of its methods return streams, or none does.
    """
    is_stream = service.methods[0].server_streaming
    results = "AsyncIterator, Iterator" if is_stream else "Awaitable"
    typed = ["AsyncJobStream", "JobStream"] if is_stream else ["AsyncTypedJob", "TypedJob"]
    typed = sorted([*typed, "ServiceWorker"]) + (["call"] if len(service.methods) > 1 else [])
    table = "Method, deprecated" if any(rpc.deprecated for rpc in service.methods) else "Method"
    ours = [f"from novita_protocol.method import {table}", f"from novita_sdk.typed import {', '.join(typed)}"]
    lines = header(source, f"{service.name}: a typed client, a typed worker, and the method table of both.")
    lines += ["from abc import abstractmethod", f"from collections.abc import {results}"]
    lines += [
        "from typing import TYPE_CHECKING, ClassVar, Final, Unpack",
        "",
        "from google.protobuf.message import Message",
        "",
    ]
    lines += [*imports(service, ours), "", "if TYPE_CHECKING:"]
    lines += [
        "    from novita_sdk import AsyncEndpoint, Endpoint, RunOptions",
        "    from novita_worker import JobContext",
    ]
    clients = (_client(service, is_async=False), _client(service, is_async=True))
    for block in (method_table(service), *clients, _worker(service), _register(service)):
        lines += ["", "", *block]
    return "\n".join(lines) + "\n"


def _client(service: ServiceModel, *, is_async: bool) -> Iterator[str]:
    kind = "Async" if is_async else ""
    yield f"class {kind}{_base(service)}Client:"
    yield from docstring(service.comment or f"Submits jobs to a worker that serves {service.full_name}.", INDENT)
    yield ""
    yield f"    def __init__(self, endpoint: {kind}Endpoint) -> None:"
    yield "        self._endpoint = endpoint"
    for rpc in service.methods:
        result = "JobStream" if rpc.server_streaming else "TypedJob"
        job = f"self._endpoint.run({_payload(service, rpc)}, output_type={class_name(rpc.response)}, **options)"
        job = f"await {job}" if is_async else job
        yield ""
        head = f"{'async ' if is_async else ''}def {rpc.python_name}"
        result = f"{kind}{result}[{class_name(rpc.response)}]"
        yield from deprecation(rpc)
        yield from signature(head, f"self, request: {class_name(rpc.request)}, **options: Unpack[RunOptions]", result)
        yield from method_docstring(rpc, f"Submits a job for {rpc.name}.")
        yield f"        return {kind}JobStream({job})" if rpc.server_streaming else f"        return {job}"


def _payload(service: ServiceModel, rpc: MethodModel) -> str:
    """A service with one method needs no word in the input about which it is."""
    if len(service.methods) == 1:
        return "request"
    return f"call({service.name}Methods.{rpc.constant}, request)"


def _worker(service: ServiceModel) -> Iterator[str]:
    yield f"class {_base(service)}Worker(ServiceWorker):"
    yield from docstring(service.comment or f"Serves {service.full_name}.", INDENT)
    yield ""
    yield "    METHODS: ClassVar[dict[str, Method[Message, Message]]] = {"
    for rpc in service.methods:
        yield f'        "{rpc.python_name}": {service.name}Methods.{rpc.constant},'
    yield "    }"
    for rpc in service.methods:
        response = class_name(rpc.response)
        others = [f"Iterator[{response}]", f"AsyncIterator[{response}]"]
        yield ""
        yield "    @abstractmethod"
        result = " | ".join(others if rpc.server_streaming else [response, f"Awaitable[{response}]"])
        arguments = f"self, request: {class_name(rpc.request)}, context: JobContext"
        yield from signature(f"def {rpc.python_name}", arguments, result)
        yield from method_docstring(rpc, f"Works on a job for {rpc.name}.")


def _register(service: ServiceModel) -> Iterator[str]:
    yield f"def register_{snake_case(_base(service))}(worker: {_base(service)}Worker) -> dict[str, object]:"
    yield from docstring("Returns the config with which `novita_gpus.start` serves the worker.", INDENT)
    yield '    return {"handler": worker}'


def _base(service: ServiceModel) -> str:
    """`TextToImageService` without its last word."""
    return service.name.removesuffix("Service") or service.name
