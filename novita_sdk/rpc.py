"""The method tables, typed stubs and handler protocols, and what binds them: the one door to import them through."""

from __future__ import annotations

from novita_protocol.method import AsyncCaller, BoundMethod, Method, SyncCaller
from novita_protocol.v1.jobs_service_novita import (
    JobsServiceAsync,
    JobsServiceHandler,
    JobsServiceMethods,
    JobsServiceSync,
    bind_jobs_service,
)
from novita_protocol.v1.worker_service_novita import (
    WorkerServiceAsync,
    WorkerServiceHandler,
    WorkerServiceMethods,
    WorkerServiceSync,
    bind_worker_service,
)

__all__ = [
    "AsyncCaller",
    "BoundMethod",
    "JobsServiceAsync",
    "JobsServiceHandler",
    "JobsServiceMethods",
    "JobsServiceSync",
    "Method",
    "SyncCaller",
    "WorkerServiceAsync",
    "WorkerServiceHandler",
    "WorkerServiceMethods",
    "WorkerServiceSync",
    "bind_jobs_service",
    "bind_worker_service",
]
