"""The replies to a worker's calls: their JSON read as messages, and what is good in them kept."""

from __future__ import annotations

import re
from typing import Final

from novita_sdk.models import Job, WatchStopsResponse
from novita_sdk.wire.codec import WireError, salvage
from novita_sdk.wire.payload import PayloadError, load
from novita_sdk.wire.retry import Failure, FailureKind
from novita_worker.desk.actions import TakenJob
from novita_worker.link.protocol import EMPTY, CallFailure, TakeReply

__all__ = ["read_jobs", "read_stops", "says_no_jobs"]

NO_LIMIT: Final = 10**15
"""A time limit in milliseconds that is none."""
_NO_JOBS: Final = re.compile(r"\bno (\w+ ){0,2}(jobs?|work|tasks?|requests?)\b|\bempty\b|flash ?boot", re.IGNORECASE)


def read_jobs(body: bytes) -> TakeReply | CallFailure:
    """Reads one job or a list of them; either shape may come from either route of a take."""
    if not body.strip():
        return EMPTY
    try:
        # The worker looks into messages; a handler gets what came, unknown members, their order and all.
        value, messages = load(body), salvage(Job, body)
    except (PayloadError, WireError) as error:
        return _garbled(f"the reply to a take is not JSON: {error}")
    jobs: list[TakenJob] = []
    broken: list[tuple[str | None, str]] = []
    for job, members in zip(messages, value if isinstance(value, list) else [value], strict=True):
        job_id = "" if job is None else job.id
        if job is None or not job_id:
            broken.append((None, "it has no id"))
        elif not job_id.isprintable():
            broken.append((None, "its id is not text"))
        elif not job.input:
            broken.append((job_id, "it has no input"))
        else:
            jobs.append(TakenJob(job_id, members, _time_limit(job)))
    return TakeReply(jobs=tuple(jobs), broken=tuple(broken))


def read_stops(body: bytes) -> list[str] | CallFailure:
    """Reads the ids; what stands between them and is none is no reason to let the others run on."""
    if not body.strip():
        return []
    try:
        replies = salvage(WatchStopsResponse, body)
    except WireError as error:
        return _garbled(str(error))
    ids = [job_id for reply in replies if reply is not None for job_id in reply.jobs_to_stop]
    return _garbled("the reply is no JSON object") if None in replies else ids


def says_no_jobs(said: str) -> bool:
    """Whether the words of a 400 are those of a platform that has no job, and not of one that refuses the take."""
    return said in {"", "null", "{}", "[]"} or _NO_JOBS.search(said) is not None


def _time_limit(job: Job) -> float | None:
    """The job's own limit in seconds; on the wire it is in milliseconds."""
    limit = job.policy.execution_timeout if job.HasField("policy") else 0
    return limit / 1000 if 0 < limit < NO_LIMIT else None


def _garbled(reason: str) -> CallFailure:
    return CallFailure(failure=Failure(kind=FailureKind.GARBLED), reason=reason)
