"""The context of a request: what the HTTP side and the services tell each other beside its messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from novita_gateway.http.faults import Fate

__all__ = ["RequestContext"]


@dataclass(slots=True)
class RequestContext:
    """What is known of one request beside its message."""

    method: str = ""
    job_id: str | None = None
    """The job that the path names, if it names one."""
    fate: Fate = Fate.GOOD

    undo: Callable[[], Awaitable[None]] | None = None
    """Called if the reply can't be written."""
    job_ids: tuple[str, ...] = ()
    """Jobs that change hands with the reply."""
    is_last: bool = False
    """The connection is closed after the reply, without waiting for what the peer may still send."""
    is_empty: bool = False
    """There is nothing to tell, which is a 204."""
