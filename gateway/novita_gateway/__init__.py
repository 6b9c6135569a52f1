"""The embedded gateway: the platform's protocol on any machine, for every published client and worker.

>>> async with Gateway() as gateway:
...     print(gateway.url, gateway.api_key)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novita_gateway._clock import Clock, ManualClock, SystemClock
    from novita_gateway._errors import GatewayError, StoreError
    from novita_gateway._gateway import Gateway
    from novita_gateway._logs import JsonFormatter, log_to
    from novita_gateway._serve import serve_forever, serve_in_thread
    from novita_gateway._service import Waits
    from novita_gateway._worker_env import worker_env
    from novita_gateway.board.limits import Limits
    from novita_gateway.http.faults import Faults
    from novita_gateway.http.openapi import openapi
    from novita_gateway.store.copying import copy_jobs
    from novita_gateway.store.memory import MemoryStore
    from novita_gateway.store.postgres.database import migrate_database
    from novita_gateway.store.postgres.store import PostgresStore
    from novita_gateway.store.protocol import Store
    from novita_gateway.store.sqlite import SQLiteStore
    from novita_testing._embedded import embedded

__all__ = [
    "Clock",
    "Faults",
    "Gateway",
    "GatewayError",
    "JsonFormatter",
    "Limits",
    "ManualClock",
    "MemoryStore",
    "PostgresStore",
    "SQLiteStore",
    "Store",
    "StoreError",
    "SystemClock",
    "Waits",
    "copy_jobs",
    "embedded",
    "log_to",
    "migrate_database",
    "openapi",
    "serve_forever",
    "serve_in_thread",
    "worker_env",
]

_MODULES = {
    "Clock": "novita_gateway._clock",
    "Faults": "novita_gateway.http.faults",
    "Gateway": "novita_gateway._gateway",
    "GatewayError": "novita_gateway._errors",
    "JsonFormatter": "novita_gateway._logs",
    "Limits": "novita_gateway.board.limits",
    "ManualClock": "novita_gateway._clock",
    "MemoryStore": "novita_gateway.store.memory",
    "PostgresStore": "novita_gateway.store.postgres.store",
    "SQLiteStore": "novita_gateway.store.sqlite",
    "Store": "novita_gateway.store.protocol",
    "StoreError": "novita_gateway._errors",
    "SystemClock": "novita_gateway._clock",
    "Waits": "novita_gateway._service",
    "copy_jobs": "novita_gateway.store.copying",
    # Gateway and worker don't import each other; a third package combines them.
    "embedded": "novita_testing._embedded",
    "log_to": "novita_gateway._logs",
    "migrate_database": "novita_gateway.store.postgres.database",
    "openapi": "novita_gateway.http.openapi",
    "serve_forever": "novita_gateway._serve",
    "serve_in_thread": "novita_gateway._serve",
    "worker_env": "novita_gateway._worker_env",
}


def __getattr__(name: str) -> object:
    """Loads a public name at its first use, so that importing the package stays cheap."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
