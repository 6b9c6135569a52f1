"""`AsyncioEndpoint` and `AsyncioJob`: the asynchronous client, with runpod's constructors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import novita_gpus
from novita_gpus._differences import tell_once
from novita_sdk import AsyncClient, AsyncEndpoint, AsyncJob

if TYPE_CHECKING:
    import aiohttp

    from novita_sdk import JSONValue

__all__ = ["Endpoint", "Job"]


class Job(AsyncJob):
    """A job, with runpod's constructor.

    Args:
        endpoint_id: Name of the endpoint.
        job_id: The job's id.
        session: What sends: the caller's own session, which is left open, or a client of this package.
        headers: The API key is read off `Authorization`; left out, `novita_gpus.api_key`, then `NOVITA_API_KEY`.

    Raises:
        AuthenticationError: There is no API key. Also a RuntimeError, as with runpod.
    """

    def __init__(
        self,
        endpoint_id: str,
        job_id: str,
        session: aiohttp.ClientSession | AsyncClient,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(session, AsyncClient):
            session = _client(session, (headers or {}).get("Authorization", "").removeprefix("Bearer ") or None)
        super().__init__(endpoint_id, job_id, session)


class Endpoint:
    """An endpoint, with runpod's constructor.

    Args:
        endpoint_id: `<endpoint-id>` or `<endpoint-id>-<app-name>`.
        session: Sends the calls, and is left open.
        api_key: Left out, `novita_gpus.api_key`, then `NOVITA_API_KEY`.

    Attributes:
        endpoint_id: Name of the endpoint.

    Raises:
        AuthenticationError: There is no API key. Also a RuntimeError, as with runpod.
        InvalidInputError: The name can't stand in a URL.
    """

    def __init__(self, endpoint_id: str, session: aiohttp.ClientSession, api_key: str | None = None) -> None:
        tell_once()
        self._client = _client(session, api_key)
        self._endpoint = AsyncEndpoint(endpoint_id, self._client)
        self.endpoint_id = self._endpoint.endpoint_id

    async def run(self, endpoint_input: JSONValue) -> Job:
        """Queues a job with this input, whatever keys it has; raises as `AsyncEndpoint.run` does."""
        queued = await self._endpoint.run(input=endpoint_input)
        return Job(self.endpoint_id, queued.job_id, self._client)

    async def health(self) -> dict[str, JSONValue]:
        """Counters of jobs and workers; raises as `AsyncEndpoint.health` does."""
        return await self._endpoint.health()

    async def purge_queue(self) -> dict[str, JSONValue]:
        """Removes the jobs that wait; raises as `AsyncEndpoint.purge_queue` does."""
        return await self._endpoint.purge_queue()


def _client(session: aiohttp.ClientSession, api_key: str | None) -> AsyncClient:
    return AsyncClient(api_key=api_key or novita_gpus.api_key, base_url=novita_gpus.endpoint_url_base, session=session)
