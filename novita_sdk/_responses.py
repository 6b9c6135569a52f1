"""Answers as `requests` has them, for code written against the published client's errors."""

from __future__ import annotations

from collections.abc import Mapping

import requests

__all__ = ["response_of"]


def response_of(status: int, headers: Mapping[str, str], body: bytes, *, url: str) -> requests.Response:
    """An answer as code written for `requests.HTTPError` looks at it, whatever library brought it."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    response.url = url
    response._content = body
    return response
