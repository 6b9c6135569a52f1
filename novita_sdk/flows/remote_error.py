r"""The `error` of a failed job, read in any of the shapes that workers send.

As observed on the wire: the published workers send a JSON string whose text is an object with `error_type`,
`error_message` and `error_traceback`; their generators send `handler: boom \ntraceback: …`; a handler that returns an
`error` may put any JSON value there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from novita_sdk.wire.violations import Violation

__all__ = ["RemoteError", "parse_remote_error"]

_CLASS: Final = re.compile(r"<class '([^']+)'>")
_TRACEBACK_MARK: Final = re.compile(r"\s*\n\s*traceback:\s*", re.IGNORECASE)
_TRACEBACK_START: Final = "Traceback (most recent call last):"
_LAST_LINE: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)

_TYPE_KEYS: Final = ("error_type", "type")
_MESSAGE_KEYS: Final = ("error_message", "message", "error", "detail")
_TRACEBACK_KEYS: Final = ("error_traceback", "traceback")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteError:
    """What a worker said about a failure."""

    type: str | None = None
    message: str = ""
    traceback: str | None = None
    code: str | None = None
    violations: tuple[Violation, ...] = ()

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.type else self.message


def parse_remote_error(error: object) -> RemoteError:
    """Reads type, message and traceback where they can be told apart; what can't is the message."""
    if error is None:
        return RemoteError(message="the worker gave no reason")
    if isinstance(error, str):
        try:
            inner: object = json.loads(error)
        except ValueError:
            return _from_text(error)
        return _from_object(inner) if isinstance(inner, dict) else _from_text(error)
    return _from_object(error) if isinstance(error, dict) else RemoteError(message=json.dumps(error))


def _from_object(error: dict[str, object]) -> RemoteError:
    message = _first(error, _MESSAGE_KEYS)
    kind = _first(error, _TYPE_KEYS)
    return RemoteError(
        type=None if kind is None else _class_name(kind),
        message=json.dumps(error, ensure_ascii=False) if message is None else message,
        traceback=_first(error, _TRACEBACK_KEYS),
        code=_first(error, ("code",)),
        violations=_violations(error.get("violations")),
    )


def _violations(found: object) -> tuple[Violation, ...]:
    if not found:
        return ()
    try:
        return tuple(msgspec.convert(found, list[Violation]))
    except msgspec.ValidationError:
        return ()


def _from_text(text: str) -> RemoteError:
    if mark := _TRACEBACK_MARK.search(text):
        message, traceback = text[: mark.start()], text[mark.end() :]
        kind = _from_text(traceback).type if _TRACEBACK_START in traceback else None
        return RemoteError(type=kind, message=message.strip(), traceback=traceback.rstrip() or None)
    start = text.find(_TRACEBACK_START)
    if start < 0:
        return RemoteError(message=text.strip())
    traceback = text[start:].rstrip()
    last = _LAST_LINE.fullmatch(traceback.rsplit("\n", 1)[-1])
    if last is None:
        return RemoteError(message=text[:start].strip() or "see the traceback", traceback=traceback)
    return RemoteError(type=last[1], message=text[:start].strip() or last[2] or "", traceback=traceback)


def _first(error: dict[str, object], keys: tuple[str, ...]) -> str | None:
    return next((text for key in keys if isinstance(text := error.get(key), str)), None)


def _class_name(text: str) -> str:
    found = _CLASS.fullmatch(text.strip())
    return found[1].removeprefix("builtins.") if found else text
