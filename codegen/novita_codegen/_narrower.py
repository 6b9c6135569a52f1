"""The comparison of two JSON Schemas: everything that one refuses and the other accepts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, cast

__all__ = ["Schema", "narrower"]

Schema: TypeAlias = Mapping[str, object]
_Found: TypeAlias = tuple[str, str]
"""The path of a member, and what is different there, in words."""

_LOWER: Final = (("minimum", "exclusiveMinimum"), ("minLength",), ("minItems",), ("minProperties",))
_UPPER: Final = (("maximum", "exclusiveMaximum"), ("maxLength",), ("maxItems",), ("maxProperties",))
_EXACT: Final = ("pattern", "format", "multipleOf", "uniqueItems", "contentEncoding", "not")
_TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def narrower(old: Schema, new: Schema, *, strict: bool) -> Iterator[_Found]:
    """The places where values of the old schema may be refused by the new one.

    Args:
        old: A whole schema, whose references are to its own parts.
        new: Likewise.
        strict: Whether members that the new schema doesn't know are refused wherever it doesn't say.
    """
    yield from _Comparison(old, new, strict=strict).compare(old, new, "")


class _Comparison:
    def __init__(self, old: Schema, new: Schema, *, strict: bool) -> None:
        self._old, self._new, self._strict = old, new, strict
        self._seen: set[tuple[str, str]] = set()

    def compare(self, old: object, new: object, path: str) -> Iterator[_Found]:
        pair = (repr(_reference(old)), repr(_reference(new)))
        if pair != ("None", "None"):
            if pair in self._seen:
                return
            self._seen.add(pair)
        before, after = _resolved(old, self._old), _resolved(new, self._new)
        if after is False and before is not False:
            yield path, "nothing is accepted any more"
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            before = before if isinstance(before, Mapping) else {}
            if not isinstance(after, Mapping):
                return
        choices = [options if (options := _choices(schema)) else [schema] for schema in (before, after)]
        if len(choices[0]) > 1 or len(choices[1]) > 1:
            for choice in choices[0]:
                found = [list(self.compare(choice, other, path)) for other in choices[1]]
                if all(found):
                    yield from min(found, key=len)
            return
        yield from ((path, text) for text in _limits(before, after))
        yield from self._members(before, after, path)
        yield from self._items(before, after, path)

    def _members(self, before: Schema, after: Schema, path: str) -> Iterator[_Found]:
        olds, news = _mapping(before, "properties"), _mapping(after, "properties")
        required = [name for name in _list(after, "required") if name not in _list(before, "required")]
        yield from ((_join(path, str(name)), "must be there now") for name in required)
        others, others_now = before.get("additionalProperties", True), after.get("additionalProperties", True)
        refuses = others_now is False or (self._strict and bool(news) and "additionalProperties" not in after)
        for name, schema in olds.items():
            place = _join(path, name)
            if name in news:
                yield from self.compare(schema, news[name], place)
            elif refuses:
                yield place, "is not known any more"
            else:
                yield from self.compare(schema, others_now, place)
        if others_now is False and others is True and not self._strict and "object" in _types(before):
            yield path, "other members are refused"
        elif isinstance(others_now, Mapping):
            yield from self.compare(others, others_now, f"{path}[…]")

    def _items(self, before: Schema, after: Schema, path: str) -> Iterator[_Found]:
        firsts, firsts_now = _list(before, "prefixItems"), _list(after, "prefixItems")
        for index, schema in enumerate(firsts_now):
            old = firsts[index] if index < len(firsts) else before.get("items", True)
            yield from self.compare(old, schema, f"{path}[{index}]")
        if "items" in after:
            yield from self.compare(before.get("items", True), after["items"], f"{path}[]")


def _limits(before: Schema, after: Schema) -> Iterator[str]:
    lost = _types(before) - _types(after)
    if lost:
        yield f"type {', '.join(sorted(lost))} is refused"
    allowed, allowed_now = _allowed(before), _allowed(after)
    if allowed_now is not None and (allowed is None or any(value not in allowed_now for value in allowed)):
        yield _change("enum", allowed_now, allowed)
    for sign, groups in ((1, _LOWER), (-1, _UPPER)):
        for names in groups:
            if _bound(after, names, sign) > _bound(before, names, sign):
                now = next(name for name in names if name in after)
                was = next((before[name] for name in names if name in before), None)
                yield _change(now, after[now], was)
    for name in _EXACT:
        if after.get(name) not in (None, False) and after[name] != before.get(name):
            yield _change(name, after[name], before.get(name))


def _bound(schema: Schema, names: tuple[str, ...], sign: int) -> tuple[float, bool]:
    limits = [(-math.inf if names[0] in ("minimum", "maximum") or sign < 0 else 0.0, False)]
    for name in names:
        value = schema.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            limits.append((sign * value, name.startswith("exclusive")))
    return max(limits)


def _types(schema: Schema) -> frozenset[str]:
    kinds = schema.get("type")
    if kinds is None:
        return _TYPES
    names = {kinds} if isinstance(kinds, str) else set(cast("list[str]", kinds))
    return frozenset(names | ({"integer"} if "number" in names else set()))


def _allowed(schema: Schema) -> list[object] | None:
    if "const" in schema:
        return [schema["const"]]
    return _list(schema, "enum") if "enum" in schema else None


def _choices(schema: Schema) -> list[object]:
    return _list(schema, "anyOf") or _list(schema, "oneOf")


def _reference(schema: object) -> object:
    return schema.get("$ref") if isinstance(schema, Mapping) else None


def _resolved(schema: object, root: Schema) -> object:
    """The schema that is meant, with what stands beside the reference."""
    if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
        return schema
    found: object = root
    for word in schema["$ref"].removeprefix("#").strip("/").split("/"):
        found = found.get(word.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    found = _resolved(found, root)
    if not isinstance(found, Mapping):
        return found
    return {**found, **{key: value for key, value in schema.items() if key not in ("$ref", "$defs")}}


def _mapping(schema: Schema, key: str) -> Mapping[str, object]:
    value = schema.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(schema: Schema, key: str) -> list[object]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _change(name: str, value: object, was: object) -> str:
    return f"{name} is {value!r}" + (", and was not there" if was is None else f" (before: {was!r})")
