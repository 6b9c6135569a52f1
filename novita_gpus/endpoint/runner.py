"""runpod's synchronous client by its names."""

from __future__ import annotations

import novita_gpus
from novita_gpus._differences import tell_once
from novita_gpus.client import Endpoint, HTTPClient, Job

__all__ = ["Endpoint", "Job", "RunPodClient"]


class RunPodClient(HTTPClient):
    """A client with runpod's constructor.

    Args:
        api_key: Left out, `novita_gpus.api_key`, then `NOVITA_API_KEY`.

    Raises:
        AuthenticationError: There is no API key. Also a RuntimeError, as with runpod.
    """

    def __init__(self, api_key: str | None = None) -> None:
        tell_once()
        super().__init__(novita_gpus.api_key if api_key is None else api_key, novita_gpus.endpoint_url_base)
