"""Pieces of Python source that all generated modules share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from novita_codegen._model import MethodModel, ServiceModel, TypeRef
from novita_codegen._tree import MARK

VERSION = "1.2"
"""Goes up whenever the same proto would give other output."""

INDENT = "    "

_WIDTH = 120


def header(source: str, title: str) -> list[str]:
    """The first lines of a module; `source` is the proto's path."""
    mark = f"# {MARK} {VERSION} from {source}. Do not edit."
    return [mark, *docstring(title, ""), "", "from __future__ import annotations", ""]


def docstring(text: str, indent: str) -> list[str]:
    """Text as a docstring, whatever it holds."""
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if safe.endswith('"'):
        safe = f'{safe[:-1]}\\"'
    first, *rest = safe.splitlines()
    if not rest:
        return [f'{indent}"""{first}"""']
    return [f'{indent}"""{first}', *(f"{indent}{line}".rstrip() for line in rest), f'{indent}"""']


def method_docstring(rpc: MethodModel, otherwise: str) -> list[str]:
    """What a method does, in the proto's words where it has some, and whether to use it still."""
    text = rpc.comment or otherwise
    return docstring(f"{text}\n\nDeprecated." if rpc.deprecated else text, INDENT * 2)


def deprecation(rpc: MethodModel) -> list[str]:
    """The decorator of a method that nobody should call any more: type checkers and a warning tell."""
    return [f'    @deprecated("{rpc.name} is deprecated")'] if rpc.deprecated else []


def signature(head: str, arguments: str, result: str) -> list[str]:
    """The first lines of a method: one where it fits."""
    line = f"    {head}({arguments}) -> {result}:"
    return [line] if len(line) <= _WIDTH else [f"    {head}(", f"        {arguments}", f"    ) -> {result}:"]


def imports(service: ServiceModel, others: Iterable[str]) -> list[str]:
    """Import lines for the messages of a service, sorted among others."""
    refs = {ref for rpc in service.methods for ref in (rpc.request, rpc.response)}
    return sorted({*others, *map(_import, refs)})


def class_name(ref: TypeRef) -> str:
    """A message class as the module refers to it."""
    return f"{ref.alias or ref.module.rpartition('.')[2]}.{ref.name}"


def method_table(service: ServiceModel) -> Iterator[str]:
    """The class with one constant per method, and all of them."""
    yield f"class {service.name}Methods:"
    yield from docstring(f"Method table of {service.full_name}.", INDENT)
    for rpc in service.methods:
        yield ""
        yield f"    {rpc.constant}: Final = Method("
        yield f'        service="{service.full_name}",'
        yield f'        name="{rpc.name}",'
        yield f'        python_name="{rpc.python_name}",'
        yield f"        request={class_name(rpc.request)},"
        yield f"        response={class_name(rpc.response)},"
        options = {
            "verb": rpc.verb,
            "path": rpc.path,
            "body": rpc.body,
            "response_body": rpc.response_body,
            "idempotency": rpc.idempotency,
        }
        yield from (f'        {name}="{value}",' for name, value in options.items() if value not in ("", "unknown"))
        if rpc.server_streaming:
            yield "        server_streaming=True,"
        yield "    )"
        yield from docstring(rpc.comment, INDENT) if rpc.comment else ()
    yield ""
    yield "    ALL: Final[tuple[Method[Message, Message], ...]] = ("
    yield from (f"        {rpc.constant}," for rpc in service.methods)
    yield "    )"


def _import(ref: TypeRef) -> str:
    package, _, module = ref.module.rpartition(".")
    line = f"from {package} import {module}" if package else f"import {module}"
    return f"{line} as {ref.alias}" if ref.alias else line
