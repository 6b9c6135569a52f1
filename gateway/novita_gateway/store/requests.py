"""The commands that requests stand for, the same in every store."""

from __future__ import annotations

from typing import Final

from novita_gateway.board import commands
from novita_sdk.models import JobResult, ListJobsRequest, RunRequest

__all__ = ["finish_command", "page_size", "submit_command"]

PAGE: Final = 100
MAX_PAGE: Final = 1000


def submit_command(request: RunRequest, job_id: str) -> commands.Submit:
    """A submit, under the id that the job gets if it is new."""
    policy = request.request.policy
    return commands.Submit(
        endpoint=request.endpoint,
        id=job_id,
        idempotency_key=request.idempotency_key if request.HasField("idempotency_key") else None,
        execution_timeout=policy.execution_timeout if policy.HasField("execution_timeout") else None,
        ttl=policy.ttl if policy.HasField("ttl") else None,
        low_priority=policy.low_priority,
        notify=request.request.HasField("webhook"),
    )


def finish_command(endpoint: str, worker_id: str, job_id: str, result: JobResult, take: int | None) -> commands.Finish:
    """A result; an error of `null` is none."""
    return commands.Finish(
        endpoint=endpoint,
        worker_id=worker_id,
        id=job_id,
        take=take,
        has_output=result.HasField("output"),
        has_error=result.HasField("error") and result.error != b"null",
    )


def page_size(request: ListJobsRequest) -> int:
    """Jobs of one page of a listing."""
    return min(max(1, request.limit), MAX_PAGE) if request.HasField("limit") else PAGE
