"""Values that JSON hasn't as those it has, exactly: what users' libraries give, without loading any of them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

__all__ = ["to_plain"]

_MOMENTS: Final = (datetime.datetime, datetime.date, datetime.time)
_EXACT_KINDS: Final = frozenset("?bBhHiIlLqQefdUO")
"""numpy's codes of the types whose values Python has, too; of the others some digits or the time zone would be lost."""


def to_plain(value: object) -> object:
    """The value with a JSON one in the place of every other that has one; what has none stays as it is.

    Raises:
        ValueError: Two keys of a mapping are the same as text.
        RecursionError: It is nested too deeply, or contains itself.
    """
    # A text or number of a class of its own is what JSON writes of it already, unless it is one of an enum.
    if isinstance(value, Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, Set):
        return _in_order([to_plain(item) for item in value])
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, _MOMENTS):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    return _plain_by_name(value)


def _plain_mapping(value: Mapping[object, object]) -> dict[object, object]:
    plain = {_plain_key(key): to_plain(item) for key, item in value.items()}
    if len(plain) != len(value):
        raise ValueError("two of its keys are the same as text")
    return plain


def _plain_key(key: object) -> object:
    plain = to_plain(key)
    # A key of several parts stays, to be refused.
    return key if isinstance(plain, (list, dict)) else plain


def _in_order(items: list[object]) -> list[object]:
    """The same set gives the same list, in every process."""
    keys: tuple[Callable[[object], object] | None, ...] = (None, json.dumps)
    for key in keys:
        try:
            return sorted(items, key=key)  # type: ignore[type-var, arg-type]  # what can't be compared raises
        except TypeError:
            continue
    return items


def _plain_by_name(value: Any) -> object:
    """Of a class that is known by its name: nothing is loaded, and whoever made the value has the package."""
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(value).__mro__}
    if not names.isdisjoint({("uuid", "UUID"), ("pathlib", "PurePath")}):
        return str(value)
    if not names.isdisjoint({("numpy", "generic"), ("numpy", "ndarray")}):
        if value.dtype.kind == "M":
            return value.astype("U").tolist()
        return to_plain(value.tolist()) if value.dtype.char in _EXACT_KINDS else value
    if ("torch", "Tensor") in names:
        return to_plain(value.tolist())
    return value
