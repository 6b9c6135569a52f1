"""Where the client's settings come from: the argument, then the environment, then the default, read when asked for."""

from __future__ import annotations

import os

__all__ = ["API_KEY_VARIABLE", "BASE_URL_VARIABLE", "DEFAULT_BASE_URL", "api_key", "base_url"]

API_KEY_VARIABLE = "NOVITA_API_KEY"
BASE_URL_VARIABLE = "NOVITA_ENDPOINT_BASE_URL"

DEFAULT_BASE_URL = "https://async-public.serverless.novita.ai/v1"
"""As the platform's public pages give it."""


def api_key(given: str | None = None) -> str | None:
    """The API key, or None where there is none; an empty one counts as none."""
    return given or os.environ.get(API_KEY_VARIABLE) or None


def base_url(given: str | None = None) -> str:
    """The gateway's URL up to and including the API version, without a trailing slash."""
    return (given or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL).rstrip("/")
