"""The replies to a worker's calls: their JSON read as messages, and what is good in them kept."""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

from novita_sdk.models import Job, WatchStopsResponse
from novita_sdk.wire.codec import WireError, salvage
from novita_sdk.wire.payload import JSONValue, PayloadError, load
from novita_sdk.wire.retry import Failure, FailureKind
from novita_worker.desk.actions import TakenJob
from novita_worker.link.protocol import EMPTY, CallFailure, TakeReply
from novita_worker.link.rescue import explain, first_members, first_text, items, may_repeat

__all__ = ["read_jobs", "read_stops", "says_no_jobs"]

NO_LIMIT: Final = 10**15
"""A time limit in milliseconds that is none."""
_Broken: TypeAlias = tuple[str | None, str]
_NO_JOBS: Final = re.compile(r"\bno (\w+ ){0,2}(jobs?|work|tasks?|requests?)\b|\bempty\b|flash ?boot", re.IGNORECASE)


def read_jobs(body: bytes) -> TakeReply | CallFailure:
    """Reads one job or a list of them; either shape may come from either route of a take."""
    if not body.strip():
        return EMPTY
    try:
        # The worker looks into messages; a handler gets what came, unknown members, their order and all.
        value, messages = load(body), salvage(Job, body)
        jobs = list(zip(messages, value if isinstance(value, list) else [value], strict=True))
    except (PayloadError, WireError) as error:
        reads = [_read_alone(piece) for piece in items(body)]
        if not reads:
            return _garbled(f"the reply to a take is not JSON: {error}")
    else:
        if may_repeat(body, ("id", "attempt", "take"), len(jobs)):
            reads = [_read_alone(piece) for piece in items(body)]
        else:
            reads = [_check(message, members) for message, members in jobs]
    return TakeReply(
        jobs=tuple(read for read in reads if isinstance(read, TakenJob)),
        broken=tuple(read for read in reads if not isinstance(read, TakenJob)),
    )


def _read_alone(piece: bytes) -> TakenJob | _Broken:
    """Reads one job of a reply that holds something odd.

    Of members that stand twice the first counts: it is the gateway's, whatever a submit may have added.
    """
    try:
        members = first_members(piece)
        message = salvage(Job, json.dumps(members).encode())[0] if isinstance(members, dict) else None
    except (WireError, ValueError, RecursionError) as error:
        job_id = first_text(piece, "id") or ""
        return job_id if job_id.isprintable() and job_id else None, f"it can't be read: {explain(error)}"
    return _check(message, members)


def _check(job: Job | None, members: JSONValue) -> TakenJob | _Broken:
    job_id = "" if job is None else job.id
    if job is None or not job_id:
        return None, "it has no id"
    if not job_id.isprintable():
        return None, "its id is not text"
    if not job.input:
        return job_id, "it has no input"
    return TakenJob(job_id, members, _time_limit(job), job.take if job.HasField("take") else None)


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
