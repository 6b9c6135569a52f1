"""The HTTP headers that client, worker and gateway know by name. Their case does not count."""

from __future__ import annotations

from typing import Final

from novita_sdk._version import __version__

__all__ = ["LONG_POLL_HEADER", "REQUEST_ID_HEADER", "USER_AGENT"]

LONG_POLL_HEADER: Final = "Novita-Long-Poll"
"""On every reply of a gateway that offers `wait` in a status or stream call: the longest one, in milliseconds. Such a
gateway recognises `Idempotency-Key` too, and the cursors of a stream."""

REQUEST_ID_HEADER: Final = "X-Request-ID"
"""Names a request in the gateway's log, and the job on a worker's posts."""

USER_AGENT: Final = f"novita-gpus/{__version__}"
"""The `User-Agent` of client and worker."""
