"""Reading the chunks of a generator's output as they come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from novita_sdk import errors
from novita_sdk.files._in_values import load_output
from novita_sdk.flows.call import Caller
from novita_sdk.flows.errors_of import job_error, unreadable
from novita_sdk.flows.handle import Handle
from novita_sdk.flows.identity import check_job
from novita_sdk.flows.steps import Emit, Feed, Flow
from novita_sdk.flows.wait import Waiting, Watch
from novita_sdk.models import ReadStreamRequest
from novita_sdk.rpc import JobsServiceMethods
from novita_sdk.wire import states
from novita_sdk.wire.http import parse_response
from novita_sdk.wire.payload import JSONValue, PayloadError

__all__ = ["stream"]

_ABSENT: Final = frozenset({404, 405, 501})
"""Answers of a gateway that has no such route. The platform's public pages don't mention one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    chunks: list[JSONValue]
    """As far as they can be read."""
    status: str
    unreadable: tuple[str, bytes] | None = None
    """Why the chunk after these can't be read, and its bytes."""


def stream(caller: Caller, waiting: Waiting, job: Handle, timeout: float | None) -> Feed[JSONValue]:
    """Emits chunks and ends with the job; raises its error if it did not complete."""
    with waiting.counted(job):
        watch = waiting.watch(job, timeout)
        quiet_since = caller.clock()
        while True:
            try:
                page = yield from _read(caller, waiting, watch, quiet_since)
            except errors.APIError as refusal:
                if refusal.status not in _ABSENT:
                    raise
                yield from _whole(caller, waiting, watch)
                return
            for chunk in page.chunks:
                yield Emit(chunk)
            if page.unreadable is not None:
                where = f"Job {job.job_id} of endpoint {job.endpoint_id}"
                raise unreadable(*page.unreadable, where, job.job_id)
            if page.chunks:
                quiet_since = caller.clock()
                if not states.is_final(page.status):
                    waiting.check_deadline(watch)
            elif states.is_final(page.status):
                break
            else:
                waiting.check_deadline(watch)
        if page.status != states.COMPLETED:
            info = yield from waiting.wait(job, watch.remaining(caller.clock()))
            if error := job_error(info, job.endpoint_id):
                raise error


def _read(caller: Caller, waiting: Waiting, watch: Watch, quiet_since: float) -> Flow[_Page]:
    """The chunks that came since the last call, perhaps none."""
    while True:
        yield from waiting.pause(watch)
        park = yield from waiting.park(watch)
        request = ReadStreamRequest(
            endpoint=watch.job.endpoint_id, id=watch.job.job_id, wait=round(park * 1000) or None
        )
        http = caller.build(JobsServiceMethods.READ_STREAM, request)
        asked = caller.clock()
        page = yield from waiting.question(watch, http, partial(_parse, watch.job.job_id), park=park)
        if page is not None:
            watch.delay = 0.0 if page.chunks else waiting.spacing(asked=asked, park=park, begin=quiet_since)
            return page


def _whole(caller: Caller, waiting: Waiting, watch: Watch) -> Feed[JSONValue]:
    """What a gateway without streams has: the output of the finished job, whose chunks are its items."""
    remaining = watch.remaining(caller.clock())
    info = yield from waiting.wait(watch.job, None if watch.timeout is None else remaining)
    if error := job_error(info, watch.job.endpoint_id):
        raise error
    output: object = info.output
    for chunk in output if isinstance(output, list) else [output]:
        yield Emit(chunk)


def _parse(job_id: str, body: bytes) -> _Page:
    reply = parse_response(JobsServiceMethods.READ_STREAM, body)
    check_job(reply.id, job_id)
    chunks: list[JSONValue] = []
    for chunk in reply.stream:
        try:
            chunks.append(load_output(chunk.output, "a chunk of it"))
        except PayloadError as reason:
            return _Page(chunks=chunks, status=reply.status, unreadable=(str(reason), chunk.output))
    return _Page(chunks=chunks, status=reply.status)
