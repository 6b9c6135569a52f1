"""The keyword arguments of `map`, for its overloads."""

from __future__ import annotations

import os

from novita_sdk.flows.options import SubmitOptions

__all__ = ["MapOptions"]


class MapOptions(SubmitOptions, total=False):
    """Keyword arguments of `map`, but for those that change what it yields; see `Endpoint.map`."""

    concurrency: int
    ordered: bool
    timeout: float | None
    manifest: str | os.PathLike[str] | None
    progress: bool | None
