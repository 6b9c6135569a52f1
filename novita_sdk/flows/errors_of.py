"""The errors of what went wrong: what happened, to which job, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from novita_sdk import errors
from novita_sdk._settings import API_KEY_VARIABLE, BASE_URL_VARIABLE
from novita_sdk.flows.job_info import JobInfo
from novita_sdk.flows.remote_error import parse_remote_error
from novita_sdk.flows.steps import Broken, Reply
from novita_sdk.models import ApiError
from novita_sdk.wire import codec, states
from novita_sdk.wire.retry import FailureKind

__all__ = ["Subject", "broken", "garbled", "job_error", "refused", "wait_over"]

_EXCERPT: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a call is about, for its errors."""

    action: str
    """What was tried, in words: `submit to endpoint ep1`."""
    base_url: str
    endpoint: str = ""
    job_id: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    """Set where the call is a submit."""


def refused(reply: Reply, subject: Subject, retry_after: float | None) -> errors.APIError:
    """The error for an answer that is no success."""
    row = errors.row_of_status(reply.status)
    told = _told(reply)
    message = f"Could not {subject.action}: {_advice(reply, subject, retry_after)}"
    if told is not None and told.message:
        message += f" The gateway says: {told.message}"
    if not issubclass(row.error, errors.APIError):
        raise TypeError(row)
    return row.error(
        message + _request(subject),
        code=told.code if told is not None else row.code,
        job_id=subject.job_id or (told.job_id if told is not None and told.HasField("job_id") else None),
        request_id=subject.request_id,
        status=reply.status,
        retry_after=retry_after,
        response=errors.response_of(reply.status, reply.headers, reply.body, url=subject.base_url),
    )


def broken(outcome: Broken, subject: Subject) -> errors.TransportError:
    """The error for a request without an answer."""
    if subject.idempotency_key is not None and outcome.kind is not FailureKind.UNSENT:
        return errors.SubmitUncertainError(
            f"Could not {subject.action}: {subject.base_url} did not answer ({outcome.reason}), so the job may or may "
            "not be queued. Look at the endpoint before you submit again; where the gateway recognises keys, a second "
            f"submit with idempotency_key={subject.idempotency_key!r} is safe." + _request(subject),
            request_id=subject.request_id,
            idempotency_key=subject.idempotency_key,
        )
    error = errors.RequestTimeoutError if outcome.timed_out else errors.TransportError
    return error(
        f"Could not {subject.action}: {subject.base_url} did not answer ({outcome.reason}). Check the network and the "
        f"base URL (argument base_url or {BASE_URL_VARIABLE})." + _request(subject),
        job_id=subject.job_id,
        request_id=subject.request_id,
    )


def garbled(reply: Reply, subject: Subject, reason: str) -> errors.ProtocolError:
    """The error for a success that does not say what it has to."""
    kind = reply.headers.get("content-type", "").split(";")[0]
    if kind and "json" not in kind:
        reason = f"it is {kind}: {reply.body[:_EXCERPT].decode(errors='replace')!r}"
    return errors.ProtocolError(
        f"Could not {subject.action}: the answer of {subject.base_url} (HTTP {reply.status}) does not follow the "
        f"protocol; {reason}. A proxy or a login page may stand in between; check the base URL (argument base_url or "
        f"{BASE_URL_VARIABLE})." + _request(subject),
        job_id=subject.job_id,
        request_id=subject.request_id,
    )


def wait_over(info: JobInfo | None, subject: Subject, timeout: float) -> errors.WaitTimeoutError:
    """The error for a wait that ended before the job."""
    state = f"It was {info.status} when last seen" if info is not None else "Its state could not be read in that time"
    return errors.WaitTimeoutError(
        f"Job {subject.job_id} of endpoint {subject.endpoint} is not final after {timeout:g} s. {state}, and it goes "
        f"on. Wait again on the same job, re-attach with endpoint.job({subject.job_id!r}), or cancel it.",
        job_id=subject.job_id,
    )


def job_error(info: JobInfo, endpoint: str) -> errors.JobError | None:
    """The error of a job that ended without an output; None for a completed one and for one that goes on."""
    where = f"Job {info.job_id} of endpoint {endpoint}"
    if info.status == states.FAILED:
        remote = parse_remote_error(info.error)
        hint = " The worker's traceback is in remote_traceback." if remote.traceback else ""
        return errors.JobFailedError(
            f"{where} failed: {remote}" + hint,
            code=remote.code,
            job_id=info.job_id,
            output=info.output,
            error=info.error,
            remote_type=remote.type,
            remote_message=remote.message,
            remote_traceback=remote.traceback,
            violations=remote.violations,
        )
    if info.status == states.CANCELLED:
        return errors.JobCancelledError(
            f"{where} was cancelled. Submit it again to run it.",
            job_id=info.job_id,
            status=info.status,
            output=info.output,
        )
    if info.status == states.TIMED_OUT:
        reason = f" ({parse_remote_error(info.error)})" if info.error is not None else ""
        return errors.JobTimedOutError(
            f"{where} ran into its time limit{reason}. Submit it again, with a larger policy.executionTimeout or "
            "policy.ttl if it needs longer.",
            job_id=info.job_id,
            status=info.status,
            output=info.output,
        )
    return None


def _told(reply: Reply) -> ApiError | None:
    try:
        return codec.decode(ApiError, reply.body)
    except codec.WireError:
        return None


def _advice(reply: Reply, subject: Subject, retry_after: float | None) -> str:
    status, where = reply.status, subject.base_url
    base_url_hint = f"the base URL (argument base_url or {BASE_URL_VARIABLE})"
    if status == 401:
        return f"{where} does not accept the API key (401). Check the argument api_key or {API_KEY_VARIABLE}."
    if status == 403:
        return f"the API key may not do this at {where} (403). Check whose key it is and the endpoint's owner."
    if status in {404, 410} and subject.job_id is not None:
        return (
            f"{where} knows no such job ({status}). Its result may have expired (the platform keeps results for 6 "
            f"hours); else check the job id, the endpoint name and {base_url_hint}."
        )
    if status in {404, 410}:
        return f"{where} knows no such endpoint ({status}). Check its name and {base_url_hint}."
    if status == 413:
        return f"the request is too large for {where} (413). Put large data into object storage and pass its URL."
    if status == 429:
        patience = "" if retry_after is None else f", which asks for {retry_after:g} s of patience"
        return f"too many requests for {where} (429){patience}. Try again later, or lower the concurrency."
    if status < 400:
        return (
            f"{where} redirects ({status}) to {reply.headers.get('location', 'an unnamed place')}. Redirects are not "
            f"followed, because they drop the request's body or its key; set {base_url_hint} to the final place."
        )
    if status >= 500:
        return f"{where} failed (HTTP {status}). Try again later."
    return f"{where} refused it (HTTP {status})."


def _request(subject: Subject) -> str:
    return f" [request {subject.request_id}]" if subject.request_id else ""
