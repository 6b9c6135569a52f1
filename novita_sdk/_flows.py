"""What the client can do with endpoints and jobs, each written once as a flow."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import msgspec
from google.protobuf.message import Message

from novita_sdk import models
from novita_sdk._calls import Caller
from novita_sdk._config import Settings
from novita_sdk._diagnosis import Subject, job_error
from novita_sdk._handle import Handle
from novita_sdk._records import JobInfo
from novita_sdk._steps import Flow
from novita_sdk._submission import prepare
from novita_sdk._waiting import Waiting, parse_info
from novita_sdk.rpc import JobsServiceMethods, Method
from novita_sdk.wire import payload
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.payload import JSONValue
from novita_sdk.wire.retry import RetryPolicy

__all__ = ["Flows", "make_flows"]

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


class _Started(msgspec.Struct):
    """All that is needed of the answer to a submit, so that no queued job is lost over the rest of it."""

    id: str


class Flows:
    """Makes the flows of one client. Safe for any number of threads."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.waiting = Waiting(caller)

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
        value: JSONValue,
        *,
        options: Mapping[str, JSONValue],
        key: str | None,
        timeout: float | None,
    ) -> Flow[str]:
        """Queues a job and returns its id."""
        submission = prepare(value, options)
        own_key = key or uuid.uuid4().hex
        request = models.RunRequest(endpoint=endpoint, request=submission.request, idempotency_key=own_key)
        subject = Subject(
            action=f"submit to endpoint {endpoint}",
            base_url=self.caller.base_url,
            endpoint=endpoint,
            idempotency_key=own_key,
        )
        http = replace(self.caller.build(JobsServiceMethods.RUN, request), body=submission.body)
        # A key that the caller chose is the caller's word that repeating does no harm.
        started = yield from self.caller.exchange(
            http, _parse_started, subject=subject, repeatable=True if key else None, timeout=timeout
        )
        return started.id

    def info(self, job: Handle) -> Flow[JobInfo]:
        """The job's state now; a final one is asked for only once."""
        if job.final is not None:
            return job.final
        request = models.GetStatusRequest(endpoint=job.endpoint_id, id=job.job_id)
        info = yield from self.caller.exchange(
            self.caller.build(JobsServiceMethods.GET_STATUS, request),
            parse_info,
            subject=self.caller.subject(f"read the state of job {job.job_id} of endpoint {job.endpoint_id}", request),
            repeatable=True,
        )
        job.remember(info)
        return info

    def output(self, job: Handle, timeout: float | None) -> Flow[JSONValue]:
        """The output; with a timeout of 0, whatever there is now."""
        info = (yield from self.info(job)) if timeout == 0 else (yield from self.waiting.wait(job, timeout))
        if error := job_error(info, job.endpoint_id):
            raise error
        return info.output

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
        self, method: Method[RequestT, ResponseT], request: RequestT, action: str, timeout: float | None
    ) -> Flow[JSONValue]:
        """A call whose answer is handed on as it is, because platforms add members of their own."""
        return self.caller.exchange(
            self.caller.build(method, request),
            lambda body: payload.load(body) if body else {},
            subject=self.caller.subject(action, request),
            repeatable=True,
            timeout=timeout,
        )


def make_flows(settings: Settings) -> Flows:
    """The flows of a client, on the clocks of this machine."""
    return Flows(
        Caller(
            base_url=settings.base_url,
            timeout=settings.timeout,
            retry=RetryPolicy(budget=settings.retry_budget),
            clock=time.monotonic,
            wall_clock=time.time,
            random=random.random,
        )
    )


def _parse_started(body: bytes) -> _Started:
    try:
        return msgspec.json.decode(body, type=_Started)
    except ValueError as error:
        raise WireError(f"the answer to a submit has no job id: {error}") from None
