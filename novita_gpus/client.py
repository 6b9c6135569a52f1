"""The published client classes: `novita_sdk`'s, with the published constructors and module-wide settings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import novita_gpus
from novita_sdk import Client, Job
from novita_sdk import Endpoint as _Endpoint

if TYPE_CHECKING:
    import requests

    from novita_sdk import JSONValue

__all__ = ["Endpoint", "HTTPClient", "Job"]


class HTTPClient(Client):
    """A client with the published constructor, and calls of any path.

    Args:
        api_key: The API key; None takes `NOVITA_API_KEY`.
        endpoint_url_base: The gateway, up to and including the API version.

    Raises:
        AuthenticationError: There is no API key. Also a RuntimeError, as published.
    """

    def __init__(self, api_key: str | None, endpoint_url_base: str | None) -> None:
        super().__init__(api_key=api_key, base_url=endpoint_url_base)

    @property
    def api_key(self) -> str:
        """The key in use."""
        return self._settings.api_key

    @property
    def endpoint_url_base(self) -> str:
        """The gateway's URL, without a trailing slash."""
        return self.base_url

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every call."""
        return {"Content-Type": "application/json", "Authorization": f"Bearer {self.api_key}"}

    @property
    def session(self) -> requests.Session:
        """The session in use."""
        return self._open().session

    def get(self, endpoint: str, timeout: float = 10) -> JSONValue:
        """Gets a path below the base URL and returns its JSON.

        Raises:
            NovitaError: As `novita_sdk.Client.call` does.
        """
        return self._request("GET", endpoint, None, timeout)

    def post(self, endpoint: str, data: JSONValue = None, timeout: float = 10) -> JSONValue:
        """Posts JSON to a path below the base URL, nothing where `data` is None, and returns the answer's JSON.

        Raises:
            NovitaError: As `novita_sdk.Client.call` does.
        """
        return self._request("POST", endpoint, data, timeout)

    def _request(self, verb: str, endpoint: str, data: JSONValue, timeout: float) -> JSONValue:
        from novita_sdk.wire import payload
        from novita_sdk.wire.http import HttpRequest

        driver = self._open()
        caller = driver.flows.caller
        request = HttpRequest(
            verb=verb,
            url=f"{self.base_url}/{endpoint}",
            headers={},
            body=None if data is None else payload.dump(data, "data"),
        )
        return driver.run(
            caller.exchange(
                request,
                payload.load,
                subject=caller.subject(f"{verb} {endpoint}"),
                repeatable=verb == "GET",
                timeout=timeout,
            )
        )


class Endpoint(_Endpoint):
    """An endpoint with the published constructor.

    Args:
        endpoint_id: `<endpoint-id>` or `<endpoint-id>-<app-name>`.
        api_key: Left out, `novita_gpus.api_key`, then `NOVITA_API_KEY`.
        endpoint_url_base: Left out, `novita_gpus.endpoint_url_base`, then `NOVITA_ENDPOINT_BASE_URL`.

    Raises:
        AuthenticationError: There is no API key. Also a RuntimeError, as published.
        InvalidInputError: The name can't stand in a URL.
    """

    def __init__(self, endpoint_id: str, api_key: str | None = None, endpoint_url_base: str | None = None) -> None:
        if sys._getframe(1).f_globals.get("runpod") is novita_gpus:  # the one trace of the other import
            from novita_gpus._differences import tell_once

            tell_once()
        super().__init__(
            endpoint_id,
            HTTPClient(
                novita_gpus.api_key if api_key is None else api_key,
                novita_gpus.endpoint_url_base if endpoint_url_base is None else endpoint_url_base,
            ),
        )
