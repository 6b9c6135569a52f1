"""The protocol's messages, made from a board's rows and payloads."""

from __future__ import annotations

from novita_gateway.board.ledger import Counters
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import Part, Payloads
from novita_sdk.models import EndpointHealth, Job, JobCounts, JobRequest, JobStatus, WorkerCounts

__all__ = ["bare_status", "endpoint_health", "job_status", "taken_job"]


def bare_status(row: Row) -> JobStatus:
    """What is known of a job without its payloads."""
    status = JobStatus(id=row.id, status=row.status, retries=row.retries, revision=row.revision)
    if row.taken is not None:
        status.delay_time = row.taken - row.created
        if row.finished is not None:
            status.execution_time = row.finished - row.taken
    if row.worker_id is not None:
        status.worker_id = row.worker_id
    return status


def job_status(row: Row, payloads: Payloads) -> JobStatus:
    """What is known of a job."""
    status = bare_status(row)
    if row.has_output:
        status.output = payloads.get(row, Part.OUTPUT)
    elif row.has_progress and not row.is_final:
        status.output = payloads.get(row, Part.PROGRESS)
    if row.has_error:
        status.error = payloads.get(row, Part.ERROR)
    return status


def taken_job(row: Row, payloads: Payloads) -> Job:
    """A job as a worker takes it."""
    request = JobRequest.FromString(payloads.get(row, Part.REQUEST))
    return Job(
        id=row.id,
        input=request.input,
        webhook=request.webhook if request.HasField("webhook") else None,
        policy=request.policy if request.HasField("policy") else None,
        s3_config=request.s3_config if request.HasField("s3_config") else None,
        attempt=row.attempt,
        take=row.takes,
        extra=request.extra,
    )


def endpoint_health(counters: Counters) -> EndpointHealth:
    """An endpoint's counters."""
    return EndpointHealth(
        jobs=JobCounts(
            completed=counters.completed,
            failed=counters.failed,
            in_progress=counters.running,
            in_queue=counters.queued,
            retried=counters.retried,
        ),
        workers=WorkerCounts(idle=counters.idle_workers, running=counters.running_workers),
    )
