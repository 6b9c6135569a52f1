"""The metrics for operators, in Prometheus' text format."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from novita_gateway.store.protocol import Store

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

ENDPOINTS: Final = 100
"""Endpoints that one turn of the event loop writes about."""


class Metrics:
    """Counts requests, and asks the store for the rest."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._requests: Counter[tuple[str, int]] = Counter()
        self.in_flight = 0
        """Requests that are being answered, parked ones included."""

    def count(self, method: str, status: int) -> None:
        """Counts one answered request."""
        self._requests[method, status] += 1

    async def text(self) -> bytes:
        """The whole page."""
        jobs: list[str] = []
        workers: list[str] = []
        for index, (endpoint, health) in enumerate((await self._store.endpoints()).items()):
            if index % ENDPOINTS == ENDPOINTS - 1:
                await asyncio.sleep(0)
            for lines, name, counts in (
                (jobs, "novita_gateway_jobs", health.jobs),
                (workers, "novita_gateway_workers", health.workers),
            ):
                states = (field.name for field in counts.DESCRIPTOR.fields)
                lines.extend(_line(name, getattr(counts, state), endpoint=endpoint, state=state) for state in states)
        requests = [
            _line("novita_gateway_requests_total", count, method=method, status=str(status))
            for (method, status), count in sorted(self._requests.items())
        ]
        in_flight = [_line("novita_gateway_requests_in_flight", self.in_flight)]
        return "".join(
            [
                *_family("novita_gateway_jobs", "gauge", "Jobs that are kept, by state.", jobs),
                *_family("novita_gateway_workers", "gauge", "Workers heard of lately.", workers),
                *_family("novita_gateway_requests_total", "counter", "Requests answered.", requests),
                *_family("novita_gateway_requests_in_flight", "gauge", "Requests open, parked ones too.", in_flight),
            ]
        ).encode()


def _family(name: str, kind: str, text: str, lines: Iterable[str]) -> Iterable[str]:
    return (f"# HELP {name} {text}\n# TYPE {name} {kind}\n", *lines)


def _line(name: str, value: int, **labels: str) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
