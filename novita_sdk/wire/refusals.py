"""The words of a refusal, in whatever form a gateway, a platform or a proxy on the way puts them.

Known forms: the API's own `{"code", "message", "jobId"}`; the platform's `{"code": 403, "reason", "message"}`; `error`,
`errors`, `detail` and `message` as text, objects or arrays, as frameworks write them; plain text; pages of proxies.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Refusal", "clean", "read_refusal"]

_SHOWN: Final = 300
"""Characters of the words that an error shows."""

_READ: Final = 16 * 1024
"""Bytes of a page that are looked at."""

_LARGEST: Final = 256 * 1024
"""Bytes of JSON that are parsed; a larger refusal is read as text."""

_DEEPEST: Final = 6
_MOST: Final = 5
"""Levels of an object, and items of an array, that are looked at."""

_WORDS: Final = (
    *("message", "error_message", "errormessage", "error_description", "msg", "detail", "details"),
    *("description", "error", "errors", "title", "reason", "faultstring"),
)
"""Members that carry words, the more telling ones first; in lower case."""

_NAME: Final = re.compile(r"[A-Za-z][\w.-]{0,99}")
"""A machine-readable word, as codes and reasons are."""

_QUIET: Final = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]*>")

_SECRETS: Final = (
    (re.compile(r"\b(bearer)\s+[^\s\"',;<>]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"\b(sk[-_])[\w-]{8,}"), r"\1***"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w.-]+"), "***"),
    (re.compile(r"(\w{0,40}(?:key|token|secret|password|signature))=[^\s\"',;&<>]+", re.IGNORECASE), r"\1=***"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the body of a refusal says.

    Attributes:
        message: Its words, in one line of bounded length; empty where it has none.
        code: Its machine-readable code, where that is a word; numbers repeat the HTTP status.
        reason: Its machine-readable reason, such as `NOT_ENOUGH_BALANCE`.
        job_id: The job that it names.
        is_page: It is text or HTML, as proxies and firewalls answer and the API does not.
    """

    message: str = ""
    code: str | None = None
    reason: str | None = None
    job_id: str | None = None
    is_page: bool = False

    def __str__(self) -> str:
        if self.reason is None or self.reason in self.message:
            return self.message
        return f"{self.message} ({self.reason})" if self.message else self.reason


def read_refusal(body: bytes, *, secrets: Sequence[str] = ()) -> Refusal:
    """Reads the body of an answer that is no success.

    Args:
        body: As it came.
        secrets: What must not be repeated, though the other side may.
    """
    try:
        value: object = json.loads(body[: _LARGEST + 1])
    except (ValueError, RecursionError):
        message = clean(_text_of(body[:_READ].decode("utf-8-sig", "replace")), secrets)
        return Refusal(message=message, is_page=bool(message))
    message = clean(_words(value), secrets)
    if not message and _has_text(value):
        message = clean(json.dumps(value, ensure_ascii=False), secrets)
    code = reason = job_id = None
    for members in _objects(value):
        code = code or _name(members, "code")
        reason = reason or _name(members, "reason") or _name(members, "error")
        job_id = job_id or _name(members, "jobid")
    return Refusal(message=message, code=code, reason=None if reason == message else reason, job_id=job_id)


def clean(text: str, secrets: Sequence[str] = (), *, length: int = _SHOWN) -> str:
    """Another side's text in one line: without control characters and secrets, cut where it is long."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    # Cut once before, because a body may be large, and once after, because masks may be longer than what they hide.
    text = text[: length * 20]
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _words(value: object, depth: int = 0) -> str:
    if depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(item, depth + 1) for item in value[:_MOST])))
    if not isinstance(value, dict):
        return ""
    members = {str(key).lower(): item for key, item in value.items()}
    said = next(filter(None, (_words(members[key], depth + 1) for key in _WORDS if key in members)), "")
    if said:
        return f"{_path(members['loc'])}: {said}" if members.get("loc") else said
    # Messages by the name of a field, as form validators have them.
    named = [(key, _words(item, depth + 1)) for key, item in list(value.items())[:_MOST]] if depth else []
    return "; ".join(f"{key}: {text}" for key, text in named if text)


def _path(location: object) -> str:
    return ".".join(map(str, location)) if isinstance(location, list) else str(location)


def _objects(value: object) -> Iterator[dict[str, object]]:
    """The object itself, and those where frameworks put what they say, with keys in lower case."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return
    members = {str(key).lower(): item for key, item in value.items()}
    yield members
    for key in ("error", "errors", "detail", "details"):
        inner = members.get(key)
        if isinstance(inner, list):
            inner = inner[0] if inner else None
        if isinstance(inner, dict):
            yield {str(key).lower(): item for key, item in inner.items()}


def _name(members: dict[str, object], key: str) -> str | None:
    value = members.get(key)
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def _has_text(value: object, depth: int = 0) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return depth < _DEEPEST and any(_has_text(item, depth + 1) for item in value)
    return isinstance(value, str) and bool(value.strip())


def _text_of(page: str) -> str:
    """The text of a page: its title, and what stands in it."""
    if not page.lstrip().startswith("<"):
        return page
    title = _TITLE.search(page)
    text = html.unescape(_TAG.sub(" ", _QUIET.sub(" ", page)))
    name = html.unescape(title[1]) if title else ""
    return text if " ".join(name.split()) in " ".join(text.split()) else f"{name}: {text}"
