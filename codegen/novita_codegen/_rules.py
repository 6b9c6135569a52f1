"""The comparison of the rules of `buf/validate` in two versions of a contract: everything that only one refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from google.protobuf.message import Message

__all__ = ["stricter"]

_AXES: Final = (
    (("gt", "gte"), ("lt", "lte"), -math.inf),
    (("min_len", "len"), ("max_len", "len"), 0),
    (("min_bytes", "len_bytes"), ("max_bytes", "len_bytes"), 0),
    (("min_items",), ("max_items",), 0),
    (("min_pairs",), ("max_pairs",), 0),
)
"""Rules that limit the same thing: from below, from above, and the least that there is without them."""
_ON_AXES: Final = frozenset(name for lower, upper, _ in _AXES for name in (*lower, *upper))
_STRICT: Final = frozenset({"gt", "lt"})
_IGNORE_ALWAYS: Final = 3

_Rules = Mapping[str, object]


def stricter(old: Message | None, new: Message | None, kind: str = "") -> Iterator[str]:
    """The rules that are new or stricter, in words.

    Args:
        old: The rules of a field, message or oneof, as buf/validate has them; None for none.
        new: Likewise; the messages may be of two pools.
        kind: What stands before the names of the rules, as `int32.`.
    """
    before, after = _members(old), _members(new)
    if after.get("ignore") == _IGNORE_ALWAYS:
        return
    if before.get("ignore") == _IGNORE_ALWAYS:
        before = {}
    elif before.get("ignore") and not after.get("ignore"):
        yield "the rules are no longer ignored where there is no value"
    yield from _limits(before, after, kind)
    for name, value in after.items():
        was = before.get(name)
        if name in _ON_AXES or name in ("ignore", "example") or value is False or value == was:
            continue
        match value:
            case Message():
                yield from stricter(was if isinstance(was, Message) else None, value, f"{kind}{name}.")
            case list() if name == "in" and isinstance(was, list) and set(was) <= set(value):
                continue
            case list() if name == "not_in" and isinstance(was, list) and set(value) <= set(was):
                continue
            case list() if name not in ("in", "not_in"):
                known = was if isinstance(was, list) else []
                yield from (f"{kind}{name} {_shown(item)} is new or different" for item in value if item not in known)
            case _:
                yield _change(f"{kind}{name}", value, {} if was is None else {name: was})


def _limits(before: _Rules, after: _Rules, kind: str) -> Iterator[str]:
    for lower, upper, least in _AXES:
        limits = [
            (rules, _bound(rules, lower, 1, least), _bound(rules, upper, -1, -math.inf)) for rules in (before, after)
        ]
        (_, low, high), (_, new_low, new_high) = limits
        # A lower limit above the upper one means what is outside of them.
        inverted = any(first[0] > -second[0] for _, first, second in limits)
        for names, old_limit, new_limit in ((lower, low, new_low), (upper, high, new_high)):
            if new_limit > old_limit or (inverted and (low, high) != (new_low, new_high)):
                was = {name: before[name] for name in names if name in before}
                yield from (_change(f"{kind}{name}", after[name], was) for name in names if name in after)


def _bound(rules: _Rules, names: tuple[str, ...], sign: int, least: float) -> tuple[float, bool]:
    """The limit that some rules set, greater where it is narrower, and whether it is outside itself."""
    limits = [(least, False)]
    for name in names:
        if name in rules:
            number = _number(rules[name])
            is_whole = isinstance(number, int) and name in _STRICT
            limits.append((sign * number + 1, False) if is_whole else (sign * number, name in _STRICT))
    return max(limits)


def _number(value: object) -> float:
    if isinstance(value, Message):  # a Duration or Timestamp
        members = _members(value)
        seconds, nanos = members.get("seconds", 0), members.get("nanos", 0)
        return seconds * 10**9 + nanos if isinstance(seconds, int) and isinstance(nanos, int) else 0
    return value if isinstance(value, (int, float)) else 0


def _members(rules: Message | None) -> dict[str, object]:
    """The rules that are set; lists of messages as text, which messages of two pools are compared by."""
    if rules is None:
        return {}
    members: dict[str, object] = {}
    for field, value in rules.ListFields():
        if isinstance(value, (Message, str, bytes, int, float)):
            members[field.name] = value
        else:
            members[field.name] = [str(item).strip() if isinstance(item, Message) else item for item in value]
    return members


def _change(name: str, value: object, was: _Rules) -> str:
    before = ", ".join(f"{old} {_shown(item)}" for old, item in was.items())
    return f"{name} is {_shown(value)}" + (f" (before: {before})" if before else ", and was not there")


def _shown(value: object) -> str:
    return " ".join(str(value).split()) if isinstance(value, (Message, str)) else repr(value)
