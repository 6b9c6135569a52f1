"""The changes of an endpoint's schema, as its worker publishes it, that break its callers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from novita_codegen._change import REFUSED, UNREADABLE, BreakingChange
from novita_codegen._narrower import Schema, narrower
from novita_codegen._protoc import GenerateError

__all__ = ["read_schema", "schema_changes"]


def read_schema(path: Path) -> Schema | None:
    """The schema in a file, as `novita-gpus schema` prints it; None for a folder or a file of another kind.

    Raises:
        GenerateError: It is JSON, and no schema of an endpoint.
    """
    content = b"" if path.is_dir() else path.read_bytes()
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        schema: object = json.loads(content)
    except ValueError as error:
        raise GenerateError(f"{path} is no JSON: {error}") from None
    if not isinstance(schema, Mapping) or not isinstance(schema.get("methods"), list):
        raise GenerateError(f"{path} is not what `novita-gpus schema ENDPOINT` prints: it has no methods")
    return schema


def schema_changes(old: Schema, new: Schema, place: str) -> Iterator[BreakingChange]:
    """Compares two schemas: inputs break where they are narrower, outputs where they are wider.

    Args:
        old: What `read_schema` gave.
        new: Likewise.
        place: The file of the new one.
    """
    strict = not new.get("allowsUnknownFields")
    methods = _methods(new)
    for name, before in _methods(old).items():
        after, where = methods.get(name), f"{place}: {name}." if name else f"{place}: "
        if after is None:
            change = f"Method {name} is not there any more." if name else "The one method has a name now."
            yield BreakingChange(place=place, rule="METHOD_GONE", change=change, effect="jobs that name it fail")
            continue
        if bool(before.get("isStream")) != bool(after.get("isStream")):
            change = f"The output {'is a stream now' if after.get('isStream') else 'is no stream any more'}."
            effect = "callers wait for one output and get a stream, or the other way round"
            yield BreakingChange(place=f"{where}output", rule="STREAM", change=change, effect=effect)
        for path, text in narrower(_part(before, "input"), _part(after, "input"), strict=strict):
            change = f"{path or 'The input'}: {text}."
            yield BreakingChange(place=f"{where}input", rule="RULE_STRICTER", change=change, effect=REFUSED)
        for path, text in narrower(_part(after, "output"), _part(before, "output"), strict=False):
            change = f"{path or 'The output'} is no longer held to a rule: {text.replace('(before', '(now')}."
            yield BreakingChange(place=f"{where}output", rule="RULE_LOOSER", change=change, effect=UNREADABLE)


def _methods(schema: Schema) -> dict[str, Schema]:
    methods = schema.get("methods")
    found = [item for item in methods if isinstance(item, Mapping)] if isinstance(methods, list) else []
    return {str(item.get("name") or ""): item for item in found}


def _part(method: Schema, name: str) -> Schema:
    part = method.get(name)
    return part if isinstance(part, Mapping) else {}
