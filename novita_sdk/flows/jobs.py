"""The flows of everything that the client can do with endpoints and jobs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import msgspec
from google.protobuf.message import Message

from novita_sdk import errors, models
from novita_sdk.files._in_values import Attachments, UnreadableFileError, fetch, is_elsewhere
from novita_sdk.flows.call import Caller
from novita_sdk.flows.errors_of import Subject, job_error, unreadable
from novita_sdk.flows.handle import Handle, Queued
from novita_sdk.flows.identity import check_job
from novita_sdk.flows.job_info import JobInfo
from novita_sdk.flows.listing import list_jobs
from novita_sdk.flows.options import Explicit, RunOptions, SubmitOptions
from novita_sdk.flows.schemas import Schemas
from novita_sdk.flows.steps import Feed, Flow, Log, work
from novita_sdk.flows.stream import stream
from novita_sdk.flows.submit import Submission, prepare, upload_helps
from novita_sdk.flows.timeouts import check_timeout
from novita_sdk.flows.wait import Waiting, parse_info
from novita_sdk.rpc import JobsServiceMethods, Method
from novita_sdk.wire import payload, states
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.names import check_job_id
from novita_sdk.wire.payload import JSONValue
from novita_sdk.wire.retry import RetryPolicy

__all__ = ["Flows", "check_key"]

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)

_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
"""What a header can hold, and a gateway takes as a key."""


_REMARKS: Final = 100
"""Remarks on whole requests that a client makes, each once."""


class _Started(msgspec.Struct):
    """All that is needed of the answer to a submit, so that no queued job is lost over the rest of it."""

    id: str


class Flows:
    """Makes the flows of one client. Safe for any number of threads."""

    def __init__(self, caller: Caller, attachments: Attachments, *, max_parked: int) -> None:
        self.caller = caller
        self._attachments = attachments
        self._remarked: set[str] = set()
        self.schemas = Schemas(caller)
        self.waiting = Waiting(caller, max_parked=max_parked)

    def call(self, method: Method[RequestT, ResponseT], request: RequestT, timeout: float | None) -> Flow[ResponseT]:
        """Any method of the table, with its messages."""
        has_key = bool(getattr(request, "idempotency_key", ""))
        return self.caller.call(
            method,
            request,
            action=f"call {method.name}",
            repeatable=has_key or method.idempotency != "unknown",
            timeout=timeout,
        )

    def submit(
        self,
        endpoint: str,
        value: object,
        *,
        options: RunOptions,
    ) -> Flow[Queued]:
        """Queues a job."""
        key, timeout = options.get("idempotency_key"), options.get("timeout")
        if key is not None:
            check_key(key)
        if timeout is not None:
            check_timeout(timeout, least="positive")
        submission = yield from self.prepare(endpoint, value, options)
        # A key that the caller chose is the caller's word that repeating does no harm.
        return (
            yield from self.queue(
                endpoint,
                submission,
                key=self.caller.new_id() if key is None else key,
                repeatable=None if key is None else True,
                timeout=timeout,
            )
        )

    def prepare(self, endpoint: str, value: object, options: SubmitOptions) -> Flow[Submission]:
        """Checks and serialises an input; files of this machine are uploaded first."""
        try:
            submission = prepare(value, options)
        except errors.InvalidInputError as error:
            if not upload_helps(value, error):
                raise
            named = isinstance(value, Explicit)
            inner = value.value if isinstance(value, Explicit) else value
            sent = yield from work(partial(self._attachments.upload, endpoint, inner))
            submission = prepare(Explicit(sent) if named else sent, options)
        yield from self.admit(endpoint, submission, options)
        return submission

    def admit(self, endpoint: str, submission: Submission, options: SubmitOptions) -> Flow[None]:
        """Tells what was made of a whole request, and checks the input by the endpoint's schema where that is asked."""
        for remark in submission.remarks:
            if remark not in self._remarked and len(self._remarked) < _REMARKS:
                self._remarked.add(remark)
                yield Log("WARNING", "submit to endpoint %s: %s", (endpoint, remark))
        if options.get("check"):
            yield from self.schemas.check(endpoint, submission.request.input, submission.advice)

    def queue(
        self,
        endpoint: str,
        submission: Submission,
        *,
        key: str,
        repeatable: bool | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> Flow[Queued]:
        """Queues a job whose input is checked."""
        request = models.RunRequest(endpoint=endpoint, request=submission.request, idempotency_key=key)
        subject = Subject(
            action=f"submit to endpoint {endpoint}",
            base_url=self.caller.base_url,
            endpoint=endpoint,
            idempotency_key=key,
        )
        http = self.caller.build(JobsServiceMethods.RUN, request)
        with self.caller.span("novita submit", "PRODUCER", {"novita.endpoint": endpoint}) as carrier:
            http = replace(http, headers={**http.headers, **carrier}, body=submission.traced(carrier))
            started = yield from self.caller.exchange(
                http, _parse_started, subject=subject, repeatable=repeatable, timeout=timeout, retry=retry
            )
            return Queued(started.id, carrier)

    def run_sync(
        self,
        endpoint: str,
        value: object,
        *,
        options: RunOptions,
        timeout: float | None,
        cancel_on_timeout: bool,
    ) -> Flow[JSONValue]:
        """Queues a job and waits for its output."""
        if timeout is not None:
            check_timeout(timeout)
        queued = yield from self.submit(endpoint, value, options=options)
        job = Handle(endpoint, queued.job_id).begin(queued)
        try:
            return (yield from self.output(job, timeout))
        except errors.WaitTimeoutError as late:
            if not cancel_on_timeout:
                raise
            info = yield from self._cancel_late(job, late)
            if info is None or info.status != states.COMPLETED:
                raise
        # The output came before the cancel.
        return (yield from self.output_of(info, endpoint))

    def _cancel_late(self, job: Handle, late: errors.WaitTimeoutError) -> Flow[JobInfo | None]:
        """Cancels a job whose wait is over, tells so in that error, and returns the state that this made."""
        try:
            yield from self.cancel(job, None)
            info = yield from self.info(job)
        except errors.NovitaError as failure:
            late.add_note(f"It could not be cancelled: {failure}")
            return None
        late.add_note(f"It was cancelled; its state is {info.status}.")
        return info

    def info(self, job: Handle) -> Flow[JobInfo]:
        """The job's state now; a final one is asked for only once."""
        if job.final is not None:
            return job.final
        request = models.GetStatusRequest(endpoint=job.endpoint_id, id=job.job_id)
        info = yield from self.caller.exchange(
            self.caller.build(JobsServiceMethods.GET_STATUS, request),
            partial(parse_info, job.job_id),
            subject=self.caller.subject(f"read the state of job {job.job_id} of endpoint {job.endpoint_id}", request),
            repeatable=True,
        )
        job.remember(info)
        return info

    def output(self, job: Handle, timeout: float | None) -> Flow[JSONValue]:
        """The output; with a timeout of 0, whatever there is now."""
        if timeout is not None:
            check_timeout(timeout)
        info = (yield from self.info(job)) if timeout == 0 else (yield from self.waiting.wait(job, timeout))
        return (yield from self.output_of(info, job.endpoint_id))

    def output_of(self, info: JobInfo, endpoint: str) -> Flow[JSONValue]:
        """The output of a job that was seen, or its error; an output that is elsewhere is fetched."""
        if error := job_error(info, endpoint):
            raise error
        if is_elsewhere(info.output):
            try:
                return (yield from work(partial(fetch, info.output)))
            except UnreadableFileError as reason:
                where = f"Job {info.job_id} of endpoint {endpoint}"
                raise unreadable(str(reason), reason.data, where, info.job_id) from None
        return info.output

    def stream(self, job: Handle, timeout: float | None, start: int) -> Feed[JSONValue]:
        """The chunks of a generator's output, from that number on."""
        return stream(self.caller, self.waiting, job, timeout, start)

    def retry(self, job: Handle, timeout: float | None) -> Flow[JSONValue]:
        """Queues a failed job again."""
        request = models.RetryRequest(endpoint=job.endpoint_id, id=job.job_id)
        action = f"retry job {job.job_id} of endpoint {job.endpoint_id}"
        answer = yield from self._raw(JobsServiceMethods.RETRY, request, action, timeout, repeatable=False)
        job.forget()
        return answer

    def jobs(self, endpoint: str, status: str | None) -> Feed[JobInfo]:
        """Emits the jobs that the gateway lists; raises InvalidInputError for a status that is none."""
        yield from list_jobs(self.caller, endpoint, None if status is None else _checked_state(status))

    def health(self, endpoint: str, timeout: float | None) -> Flow[JSONValue]:
        """Counters of the endpoint, as the gateway words them."""
        request = models.GetHealthRequest(endpoint=endpoint)
        return self._raw(JobsServiceMethods.GET_HEALTH, request, f"read the health of endpoint {endpoint}", timeout)

    def purge_queue(self, endpoint: str, timeout: float | None) -> Flow[JSONValue]:
        """Removes what waits, and returns the gateway's words."""
        request = models.PurgeQueueRequest(endpoint=endpoint)
        return self._raw(JobsServiceMethods.PURGE_QUEUE, request, f"purge the queue of endpoint {endpoint}", timeout)

    def cancel(self, job: Handle, timeout: float | None) -> Flow[JSONValue]:
        """Orders a stop, and returns the gateway's words."""
        request = models.CancelRequest(endpoint=job.endpoint_id, id=job.job_id)
        action = f"cancel job {job.job_id} of endpoint {job.endpoint_id}"
        return self._raw(JobsServiceMethods.CANCEL, request, action, timeout)

    def _raw(
        self,
        method: Method[RequestT, ResponseT],
        request: RequestT,
        action: str,
        timeout: float | None,
        *,
        repeatable: bool = True,
    ) -> Flow[JSONValue]:
        """A call whose answer is handed on as it is, because platforms add members of their own."""
        return self.caller.exchange(
            self.caller.build(method, request),
            partial(_parse_object, getattr(request, "id", "")),
            subject=self.caller.subject(action, request),
            repeatable=repeatable,
            timeout=timeout,
        )


def check_key(key: object) -> None:
    """Refuses an idempotency key that no header can hold; raises InvalidInputError."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise errors.InvalidInputError(
            f"idempotency_key must be a string of 1 to 255 visible ASCII characters, not {key!r:.40}. Nothing was sent."
        )


def _checked_state(word: object) -> str:
    state = states.find_state(word) if isinstance(word, str) else None
    if state is None:
        raise errors.InvalidInputError(
            f"{word!r:.60} is no state of a job; the states are {', '.join(states.KNOWN)}. Nothing was sent."
        )
    return state


def _parse_started(body: bytes) -> _Started:
    try:
        started = msgspec.json.decode(body, type=_Started)
        check_job_id(started.id)
    except (ValueError, msgspec.MsgspecError) as error:  # no ValueError before msgspec 0.21
        raise WireError(f"the answer to a submit has no job id: {error}") from None
    return started


def _parse_object(job_id: str, body: bytes) -> dict[str, JSONValue]:
    value: object = payload.load(body)
    if not isinstance(value, dict):
        raise WireError(f"it is no JSON object but {type(value).__name__}")
    if job_id:
        check_job(value.get("id"), job_id)
    return value
