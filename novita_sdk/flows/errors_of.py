"""The errors of what went wrong: what happened, to which job, and what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from novita_sdk import errors
from novita_sdk._responses import response_of
from novita_sdk._settings import API_KEY_VARIABLE, BASE_URL_VARIABLE
from novita_sdk.flows.job_info import JobInfo
from novita_sdk.flows.remote_error import parse_remote_error
from novita_sdk.flows.steps import Broken, Reply
from novita_sdk.models import ApiError
from novita_sdk.wire import codec, states
from novita_sdk.wire.refusals import Refusal, clean, read_refusal
from novita_sdk.wire.retry import FailureKind

__all__ = ["Subject", "broken", "garbled", "job_error", "refused", "unreadable", "wait_over"]

_EXCERPT: Final = 80

_KEY_WORDS: Final = re.compile(r"(api|access|invalid|secret)[\s_-]*key|\btoken\b|credential|authenticat", re.IGNORECASE)
_BALANCE_WORDS: Final = re.compile(r"balance|credit|payment|billing|arrears|quota|top[ -]?up", re.IGNORECASE)
"""In the words of a 403."""


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
    proxy: str | None = None
    """The one that it went through, without its password."""

    @property
    def place(self) -> str:
        """The gateway, and the proxy before it."""
        return self.base_url if self.proxy is None else f"{self.base_url} (through the proxy {self.proxy})"


def refused(reply: Reply, subject: Subject, retry_after: float | None, *, secret: str = "") -> errors.APIError:
    """The error for an answer that is no success; the secret is not repeated, though the other side may."""
    row = errors.row_of_status(reply.status)
    said = _read(reply, secret)
    message = f"Could not {subject.action}: {_advice(reply, said, subject, retry_after)}"
    if words := str(said):
        message += f" {'The answer is not of the API, and says' if said.is_page else 'The gateway says'}: {words}"
    error = errors.AuthenticationError if reply.status == 403 and _is_about_key(said) else row.error
    if not issubclass(error, errors.APIError):
        raise TypeError(row)
    return error(
        message + _request(subject),
        code=said.code or row.code,
        job_id=subject.job_id or said.job_id,
        request_id=subject.request_id,
        status=reply.status,
        reason=said.reason,
        retry_after=retry_after,
        response=response_of(reply.status, reply.headers, reply.body, url=subject.base_url),
    )


def broken(outcome: Broken, subject: Subject) -> errors.TransportError | errors.ProtocolError:
    """The error for a request without an answer, or with one that can't be read."""
    if subject.idempotency_key is not None and outcome.kind is not FailureKind.UNSENT:
        return errors.SubmitUncertainError(
            f"Could not {subject.action}: {subject.place} did not answer ({outcome.reason}), so the job may or may "
            "not be queued. Look at the endpoint before you submit again; where the gateway recognises keys, a second "
            f"submit with idempotency_key={subject.idempotency_key!r} is safe." + _request(subject),
            request_id=subject.request_id,
            idempotency_key=subject.idempotency_key,
        )
    if outcome.kind in {FailureKind.GARBLED, FailureKind.OVERSIZED}:
        return errors.ProtocolError(
            f"Could not {subject.action}: the answer of {subject.place} can't be read; {outcome.reason}. A proxy "
            f"may stand in between; check the base URL (argument base_url or {BASE_URL_VARIABLE})." + _request(subject),
            job_id=subject.job_id,
            request_id=subject.request_id,
        )
    error = errors.RequestTimeoutError if outcome.timed_out else errors.TransportError
    advice = f"Check the network and the base URL (argument base_url or {BASE_URL_VARIABLE})."
    if "certificate" in outcome.reason.lower():
        advice = (
            "Its certificate is not trusted here: if it is of an authority of your own, or of a proxy, name the file "
            "with that authority's certificate in SSL_CERT_FILE or REQUESTS_CA_BUNDLE."
        )
    return error(
        f"Could not {subject.action}: {subject.place} did not answer ({outcome.reason}). {advice}" + _request(subject),
        job_id=subject.job_id,
        request_id=subject.request_id,
    )


def garbled(reply: Reply, subject: Subject, reason: str, *, secret: str = "") -> errors.ProtocolError:
    """The error for a success that does not say what it has to; the secret is not repeated."""
    kind = reply.headers.get("content-type", "").split(";")[0]
    if kind and "json" not in kind:
        reason = f"it is {kind}: {clean(reply.body.decode(errors='replace'), (secret,), length=_EXCERPT)!r}"
    return errors.ProtocolError(
        f"Could not {subject.action}: the answer of {subject.place} (HTTP {reply.status}) does not follow the "
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
    """The error of a job that ended without an output that can be read; None for others, and for one that goes on.

    Args:
        info: The job's state.
        endpoint: Its endpoint; empty where nobody said which.
    """
    where = f"Job {info.job_id} of endpoint {endpoint}" if endpoint else f"Job {info.job_id}"
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
    if info.status == states.COMPLETED and info.unreadable is not None:
        return unreadable(info.unreadable, info.raw_output or b"", where, info.job_id)
    return None


def unreadable(
    reason: str, data: bytes, where: str, job_id: str, *, chunk: int | None = None, advice: str = ""
) -> errors.UnreadableOutputError:
    """The error for an output, or for a chunk of one by its number, that nothing here can read."""
    what = "an output" if chunk is None else "a chunk"
    also = " (those of a whole output also in job.info().raw_output)" if chunk is None else ""
    text = (
        f"{where} has {what} that can't be read here: {reason}. It came whole: its {len(data):,} bytes are in this "
        f"error's `data`{also}, for a reader that takes them. {advice}"
    )
    error = errors.UnreadableOutputError(text.rstrip(), job_id=job_id, data=data)
    error.chunk = chunk
    return error


def _read(reply: Reply, secret: str) -> Refusal:
    """What an answer says, in the API's own form or another one."""
    said = read_refusal(reply.body, secrets=(secret,))
    try:
        told = codec.decode(ApiError, reply.body)
    except codec.WireError:
        return said
    return replace(
        said,
        message=clean(told.message, (secret,)),
        code=clean(told.code, (secret,)),
        job_id=told.job_id if told.HasField("job_id") else None,
    )


def _is_about_key(said: Refusal) -> bool:
    """Whether a 403 means that the key is not accepted; without a word it may."""
    words = f"{said.code} {said.reason} {said.message}"
    return not said.message or (not said.is_page and _KEY_WORDS.search(words) is not None)


def _forbidden(said: Refusal, where: str) -> str:
    if said.is_page:
        return (
            f"{where} or a proxy or firewall before it refuses this (403). The API does not answer with text or HTML: "
            f"check the base URL (argument base_url or {BASE_URL_VARIABLE}) and what this network lets through."
        )
    if _BALANCE_WORDS.search(str(said)):
        return f"{where} refuses this (403). Check the balance and the limits of the key's account."
    if said.message and not _is_about_key(said):
        return f"{where} refuses this (403), and not for want of a key. Check what the key's account may do there."
    return f"the API key may not do this at {where} (403). Check whose key it is and the endpoint's owner."


def _advice(reply: Reply, said: Refusal, subject: Subject, retry_after: float | None) -> str:
    status, where = reply.status, subject.place
    base_url_hint = f"the base URL (argument base_url or {BASE_URL_VARIABLE})"
    if status == 401:
        return f"{where} does not accept the API key (401). Check the argument api_key or {API_KEY_VARIABLE}."
    if status == 402:
        return f"{where} refuses this for want of payment (402). Check the balance of the key's account."
    if status == 403:
        return _forbidden(said, where)
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
