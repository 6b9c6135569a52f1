"""runpod's asynchronous client by its names."""

from __future__ import annotations

from novita_gpus.endpoint.asyncio.asyncio_runner import Endpoint, Job

__all__ = ["Endpoint", "Job"]
