"""Python source of one `*_novita.py` module. Text in order, no templates: the output reads like the functions below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novita_codegen._model import ServiceModel, TypeRef
from novita_codegen._tree import MARK

VERSION = "1.0"
"""Goes up whenever the same proto would give other output."""

_INDENT = "    "


def render(source: str, services: Sequence[ServiceModel]) -> str:
    """The module for one proto file.

    Args:
        source: The proto's path, for the header.
        services: Its services; at least one.
    """
    lines = [f"# {MARK} {VERSION} from {source}. Do not edit."]
    lines += _docstring(f"Method tables, stubs and handlers of {source}.", "")
    lines += ["", "from __future__ import annotations", "", "from typing import Final, Protocol, TypeVar", ""]
    lines += [
        "from google.protobuf.message import Message",
        "from novita_protocol.method import AsyncCaller, Method, SyncCaller",
        "",
    ]
    lines += sorted(
        {_import(ref) for service in services for rpc in service.methods for ref in (rpc.request, rpc.response)}
    )
    lines += ["", 'ContextT_contra = TypeVar("ContextT_contra", contravariant=True)']
    for service in services:
        for block in (_table(service), _stub(service, "Sync"), _stub(service, "Async"), _handler(service)):
            lines += ["", "", *block]
    return "\n".join(lines) + "\n"


def _table(service: ServiceModel) -> Iterator[str]:
    yield f"class {service.name}Methods:"
    yield from _docstring(f"Method table of {service.full_name}.", _INDENT)
    for rpc in service.methods:
        yield ""
        yield f"    {rpc.python_name.upper()}: Final = Method("
        yield f'        service="{service.full_name}",'
        yield f'        name="{rpc.name}",'
        yield f"        request={_name(rpc.request)},"
        yield f"        response={_name(rpc.response)},"
        for field in ("verb", "path", "body", "response_body", "idempotency"):
            value = getattr(rpc, field)
            if value not in ("", "unknown"):
                yield f'        {field}="{value}",'
        if rpc.server_streaming:
            yield "        server_streaming=True,"
        yield "    )"
        yield from _docstring(rpc.comment, _INDENT) if rpc.comment else ()
    yield ""
    names = [rpc.python_name.upper() for rpc in service.methods]
    yield "    ALL: Final[tuple[Method[Message, Message], ...]] = ("
    yield from (f"        {name}," for name in names)
    yield "    )"


def _stub(service: ServiceModel, kind: str) -> Iterator[str]:
    yield f"class {service.name}{kind}:"
    yield from _docstring(service.comment or f"Calls {service.full_name}.", _INDENT)
    yield ""
    yield f"    def __init__(self, caller: {kind}Caller) -> None:"
    yield "        self._caller = caller"
    define, answer = ("async def", "return await") if kind == "Async" else ("def", "return")
    for rpc in service.methods:
        yield ""
        yield f"    {define} {rpc.python_name}("
        yield f"        self, request: {_name(rpc.request)}, *, timeout: float | None = None"
        yield f"    ) -> {_name(rpc.response)}:"
        yield from _docstring(rpc.comment or f"Calls {rpc.name}.", _INDENT * 2)
        constant = f"{service.name}Methods.{rpc.python_name.upper()}"
        yield f"        {answer} self._caller.call({constant}, request, timeout=timeout)"


def _handler(service: ServiceModel) -> Iterator[str]:
    yield f"class {service.name}Handler(Protocol[ContextT_contra]):"
    yield from _docstring(service.comment or f"Serves {service.full_name}.", _INDENT)
    for rpc in service.methods:
        yield ""
        yield f"    async def {rpc.python_name}("
        yield f"        self, request: {_name(rpc.request)}, context: ContextT_contra, /"
        yield f"    ) -> {_name(rpc.response)}:"
        yield from _docstring(rpc.comment or f"Serves {rpc.name}.", _INDENT * 2)
        yield "        ..."


def _docstring(text: str, indent: str) -> list[str]:
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if safe.endswith('"'):
        safe = f'{safe[:-1]}\\"'
    first, *rest = safe.splitlines()
    if not rest:
        return [f'{indent}"""{first}"""']
    return [f'{indent}"""{first}', *(f"{indent}{line}".rstrip() for line in rest), f'{indent}"""']


def _import(ref: TypeRef) -> str:
    package, _, module = ref.module.rpartition(".")
    return f"from {package} import {module}" if package else f"import {module}"


def _name(ref: TypeRef) -> str:
    return f"{ref.module.rpartition('.')[2]}.{ref.name}"
