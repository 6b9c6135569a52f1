"""Fields of the type `Path`: a file or a URL in JSON, a path on this machine for the handler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from novita_sdk.typed._violations import Violation, cut, join
from novita_sdk.wire.payload import JSONValue

__all__ = ["FILE_SCHEMA", "OpenFile", "expect_file", "file_schema", "has_paths", "open_paths", "without_key"]

OpenFile: TypeAlias = Callable[[JSONValue], Path]
"""Makes a local path of a file; a ValueError says what is wrong with it."""

FILE_SCHEMA: Final[dict[str, JSONValue]] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "url": {"type": "string"},
                "name": {"type": "string"},
                "mediaType": {"type": "string"},
                "size": {"type": ["integer", "string"]},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            },
            "required": ["url", "sha256"],
            "additionalProperties": False,
        },
        {"type": "string", "format": "uri", "pattern": "^[hH][tT][tT][pP][sS]?://"},
    ]
}


def expect_file(value: object) -> Path:
    """Looks at the form of a file without opening it.

    Returns:
        A path with the file's name, where nothing is.

    Raises:
        ValueError: It is neither the JSON object of a file nor an http(s) URL.
    """
    from novita_sdk.files import File

    if (file := File.of(value)) is not None:
        return Path(file.name)
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in {"http", "https"} and parts.hostname:
            return Path(Path(parts.path).name)
    raise ValueError("must be a file (novita_protocol.v1.File) or an http(s) URL")


def without_key(value: object) -> object:
    """A value as an error may show it: the query of a link is its key."""
    if isinstance(value, dict) and isinstance(value.get("url"), str):
        return {**value, "url": without_key(value["url"])}
    return value.partition("?")[0] if isinstance(value, str) and "://" in value else value


def has_paths(schema: object) -> bool:
    """Whether pydantic's schema of a type has paths."""
    if isinstance(schema, dict):
        return _is_path(schema) or any(map(has_paths, schema.values()))
    return isinstance(schema, list) and any(map(has_paths, schema))


def file_schema(schema: dict[str, JSONValue]) -> dict[str, JSONValue]:
    """Pydantic's schema of a type, with files in the place of paths."""
    if _is_path(schema):
        return {key: item for key, item in schema.items() if key not in {"type", "format"}} | FILE_SCHEMA
    return {key: _with_files(item) for key, item in schema.items()}


def open_paths(
    value: JSONValue, schema: dict[str, JSONValue], open_file: OpenFile
) -> tuple[JSONValue, list[Violation]]:
    """Opens the files in a value.

    Args:
        value: Parsed JSON; it is not changed.
        schema: Pydantic's schema of its type, which says where the paths are.
        open_file: Gives each its path.

    Returns:
        The value with `Path` objects in the place of files, and what could not be opened.
    """
    violations: list[Violation] = []

    def read(value: object, schema: object, place: str) -> object:
        if not isinstance(schema, dict):
            return value
        if "$ref" in schema:
            return read(value, definitions[schema["$ref"].rpartition("/")[2]], place)
        if _is_path(schema) and isinstance(value, (str, dict)):
            try:
                return open_file(value)
            except ValueError as error:
                violations.append(
                    Violation(field=place, rule="type", message=str(error), value=cut(without_key(value)))
                )
        for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
            value = read(value, option, place)
        if isinstance(value, dict):
            members, others = schema.get("properties", {}), schema.get("additionalProperties")
            return {key: read(item, members.get(key, others), join(place, key)) for key, item in value.items()}
        if isinstance(value, list):
            first, rest = schema.get("prefixItems", []), schema.get("items")
            kinds = [*first[: len(value)], *[rest] * (len(value) - len(first))]
            return [
                read(item, kind, f"{place}[{index}]")
                for index, (item, kind) in enumerate(zip(value, kinds, strict=True))
            ]
        return value

    definitions = schema.get("$defs", {})
    return read(value, schema, ""), violations


def _with_files(part: object) -> object:
    match part:
        case dict():
            return file_schema(part)
        case list():
            return [_with_files(item) for item in part]
        case _:
            return part


def _is_path(schema: dict[str, JSONValue]) -> bool:
    return schema.get("format") == "path" and schema.get("type") == "string"
