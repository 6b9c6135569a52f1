"""The client's settings: from the argument, then the environment, then the default, read when asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from novita_sdk._hooks import RequestHook, ResponseHook

__all__ = ["API_KEY_VARIABLE", "BASE_URL_VARIABLE", "DEFAULT_BASE_URL", "Settings", "api_key", "base_url", "resolve"]

API_KEY_VARIABLE = "NOVITA_API_KEY"
BASE_URL_VARIABLE = "NOVITA_ENDPOINT_BASE_URL"

DEFAULT_BASE_URL = "https://async-public.serverless.novita.ai/v1"
"""As the platform's public pages give it."""

_QUOTES = "\"'"


def api_key(given: str | None = None) -> str | None:
    """The API key, or None where there is none; an empty one counts as none."""
    return (given or os.environ.get(API_KEY_VARIABLE) or "").strip() or None


def base_url(given: str | None = None) -> str:
    """The gateway's URL up to and including the API version, without a trailing slash."""
    return ((given or os.environ.get(BASE_URL_VARIABLE) or "").strip() or DEFAULT_BASE_URL).rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client works with. Durations are seconds."""

    api_key: str = field(repr=False)
    base_url: str
    timeout: float
    retry_budget: float
    max_connections: int
    on_request: Sequence[RequestHook]
    on_response: Sequence[ResponseHook]


def resolve(
    *,
    api_key: str | None,
    base_url: str | None,
    timeout: float,
    retry_budget: float,
    max_connections: int,
    on_request: Sequence[RequestHook],
    on_response: Sequence[ResponseHook],
) -> Settings:
    """Fills in what the caller left out.

    Raises:
        AuthenticationError: There is no API key, or it can't stand in a header.
        InvalidInputError: The base URL is none, or a number is none or not positive.
    """
    numbers: dict[str, object] = {"timeout": timeout, "retry_budget": retry_budget, "max_connections": max_connections}
    for name, number in numbers.items():
        if not isinstance(number, Real):
            _refuse_argument(f"{name} must be a number, not {type(number).__name__}")
    settings = Settings(
        api_key=_checked_key(api_key),
        base_url=_checked_url(base_url),
        timeout=timeout,
        retry_budget=retry_budget,
        max_connections=max_connections,
        on_request=tuple(on_request),
        on_response=tuple(on_response),
    )
    if not timeout > 0 or not retry_budget >= 0 or not max_connections > 0:
        _refuse_argument("timeout and max_connections must be positive, and retry_budget must not be negative")
    return settings


def _checked_key(given: str | None) -> str:
    key = (api_key(given) or "").removeprefix("Bearer ").strip()
    if not key:
        _refuse_key(f"There is no API key. Pass api_key=… or set {API_KEY_VARIABLE}")
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        _refuse_key(f"The API key is in quotes, which env files keep; write it without them ({API_KEY_VARIABLE})")
    if not key.isascii() or not key.isprintable():
        _refuse_key("The API key holds characters that no key has; copy it again")
    return key


def _checked_url(given: str | None) -> str:
    url = base_url(given)
    if re.match(r"\w+://[^/]*@", url):
        _refuse_argument("The base URL must not hold a user or a password, because errors and logs show it")
    if not re.match(r"https?://[^/\s?#]+[^\s?#]*$", url):
        _refuse_argument(f"{url!r} is no base URL; it looks like {DEFAULT_BASE_URL} (argument or {BASE_URL_VARIABLE})")
    return url


def _refuse_key(reason: str) -> NoReturn:
    from novita_sdk.errors import AuthenticationError

    raise AuthenticationError(f"{reason}. Nothing was sent.")


def _refuse_argument(reason: str) -> NoReturn:
    from novita_sdk.errors import InvalidInputError

    raise InvalidInputError(f"{reason}. Nothing was sent.")
