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
from novita_sdk.wire.codec import WireError
from novita_sdk.wire.http import parse_response
from novita_sdk.wire.payload import JSONValue, PayloadError

__all__ = ["stream"]

_ABSENT: Final = frozenset({404, 405, 501})
"""Answers of a gateway that has no such route. The platform's public pages don't mention one."""

_START: Final = "0"
"""The cursor of a stream's first chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    chunks: list[JSONValue]
    """As far as they can be read."""
    status: str
    first: int
    """The number of the next chunk."""
    cursor: str | None
    unreadable: tuple[str, bytes] | None = None
    """Why the chunk after these can't be read, and its bytes."""


@dataclass(slots=True, kw_only=True)
class _Reader:
    """How far the caller is in the stream."""

    watch: Watch
    cursor: str | None
    """Where the next page begins; None for a gateway that gives each chunk out once, to whoever asks."""
    quiet_since: float
    count: int = 0
    """Chunks that were handed on."""


def stream(caller: Caller, waiting: Waiting, job: Handle, timeout: float | None) -> Feed[JSONValue]:
    """Emits chunks and ends with the job; raises its error if it did not complete."""
    with waiting.counted(job):
        watch = waiting.watch(job, timeout)
        # A gateway that was not heard of yet is asked with a cursor too: one that knows of none ignores it.
        cursor = None if caller.long_poll == 0 else _START
        reader = _Reader(watch=watch, cursor=cursor, quiet_since=caller.clock())
        while True:
            try:
                page = yield from _read(caller, waiting, reader)
            except errors.APIError as refusal:
                if refusal.status not in _ABSENT or reader.count:
                    raise
                yield from _whole(caller, waiting, watch)
                return
            if page.first < reader.count:
                raise _restarted(job, reader.count)
            reader.cursor = page.cursor
            for chunk in page.chunks:
                reader.count += 1
                yield Emit(chunk)
            if page.unreadable is not None:
                where = f"Job {job.job_id} of endpoint {job.endpoint_id}"
                raise unreadable(*page.unreadable, where, job.job_id)
            if page.chunks:
                reader.quiet_since = caller.clock()
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


def _read(caller: Caller, waiting: Waiting, reader: _Reader) -> Flow[_Page]:
    """The next chunks, perhaps none."""
    watch = reader.watch
    while True:
        yield from waiting.pause(watch)
        park = yield from waiting.park(watch)
        request = ReadStreamRequest(
            endpoint=watch.job.endpoint_id,
            id=watch.job.job_id,
            wait=round(park * 1000) or None,
            cursor=reader.cursor,
        )
        http = caller.build(JobsServiceMethods.READ_STREAM, request)
        asked = caller.clock()
        page = yield from waiting.question(watch, http, partial(_parse, reader), park=park)
        if page is not None:
            if not page.chunks:
                watch.delay = waiting.spacing(asked=asked, park=park, begin=reader.quiet_since)
            else:
                watch.delay = 0.0
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


def _parse(reader: _Reader, body: bytes) -> _Page:
    reply = parse_response(JobsServiceMethods.READ_STREAM, body)
    check_job(reply.id, reader.watch.job.job_id)
    chunks: list[JSONValue] = []
    bad: tuple[str, bytes] | None = None
    for chunk in reply.stream:
        try:
            chunks.append(load_output(chunk.output, "a chunk of it"))
        except PayloadError as reason:
            bad = str(reason), chunk.output
            break
    if reader.cursor is None or (reader.cursor == _START and not reply.HasField("next_cursor")):
        return _Page(chunks=chunks, status=reply.status, first=reader.count, cursor=None, unreadable=bad)
    # An answer to another question, out of a proxy's cache; the same cursor brings the right one.
    if not reply.HasField("next_cursor"):
        raise WireError("it has no cursor, and the one before had")
    if reply.first not in {0, reader.count}:
        raise WireError(f"it goes on with chunk {reply.first} of the stream, and {reader.count} is next")
    return _Page(chunks=chunks, status=reply.status, first=reply.first, cursor=reply.next_cursor, unreadable=bad)


def _restarted(job: Handle, count: int) -> errors.StreamRestartedError:
    return errors.StreamRestartedError(
        f"The stream of job {job.job_id} of endpoint {job.endpoint_id} began anew after {count} chunks: its worker was "
        "lost, or the job was queued again. Those chunks are void. Read it from its start with another stream().",
        job_id=job.job_id,
    )
