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
    """As far as they can be read; None for those that were not asked for."""
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
    start: int
    """The number of the first chunk that is wanted."""
    count: int = 0
    """Chunks that were handed on, or passed over."""


def stream(caller: Caller, waiting: Waiting, job: Handle, timeout: float | None, start: int) -> Feed[JSONValue]:
    """Emits chunks from that number on and ends with the job; raises its error if it did not complete."""
    if start < 0:
        raise ValueError(f"start is the number of a chunk, from 0 on, not {start}")
    with waiting.counted(job):
        watch = waiting.watch(job, timeout)
        # A gateway that was not heard of yet is asked with a cursor too: one that knows of none ignores it.
        cursor = None if caller.long_poll == 0 else _START
        reader = _Reader(watch=watch, cursor=cursor, quiet_since=caller.clock(), start=start)
        while True:
            try:
                page = yield from _read(caller, waiting, reader)
            except errors.APIError as refusal:
                if refusal.status not in _ABSENT or reader.count:
                    raise
                yield from _whole(caller, waiting, watch, start)
                return
            if page.first < reader.count:
                raise _restarted(job, reader.count)
            reader.cursor = page.cursor
            for chunk in page.chunks:
                reader.count += 1
                if page.cursor is None or reader.count > start:
                    yield Emit(chunk)
            if page.unreadable is not None:
                raise _unreadable(job, reader, *page.unreadable)
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


def _whole(caller: Caller, waiting: Waiting, watch: Watch, start: int) -> Feed[JSONValue]:
    """What a gateway without streams has: the output of the finished job, whose chunks are its items."""
    remaining = watch.remaining(caller.clock())
    info = yield from waiting.wait(watch.job, None if watch.timeout is None else remaining)
    if error := job_error(info, watch.job.endpoint_id):
        raise error
    output: object = info.output
    for chunk in (output if isinstance(output, list) else [output])[start:]:
        yield Emit(chunk)


def _parse(reader: _Reader, body: bytes) -> _Page:
    reply = parse_response(JobsServiceMethods.READ_STREAM, body)
    check_job(reply.id, reader.watch.job.job_id)
    has_no_cursors = reader.cursor is None or (reader.cursor == _START and not reply.HasField("next_cursor"))
    chunks: list[JSONValue] = []
    bad: tuple[str, bytes] | None = None
    for number, chunk in enumerate(reply.stream, 0 if reply.HasField("first") and not reply.first else reader.count):
        if number < reader.start and not has_no_cursors:
            chunks.append(None)
            continue
        try:
            chunks.append(load_output(chunk.output, f"chunk {number}"))
        except PayloadError as reason:
            bad = str(reason), chunk.output
            break
    if has_no_cursors:
        return _Page(chunks=chunks, status=reply.status, first=reader.count, cursor=None, unreadable=bad)
    # An answer to another question, out of a proxy's cache; the same cursor brings the right one.
    if not reply.HasField("next_cursor"):
        raise WireError("it has no cursor, and the one before had")
    if reply.first not in {0, reader.count}:
        raise WireError(f"it goes on with chunk {reply.first} of the stream, and {reader.count} is next")
    return _Page(chunks=chunks, status=reply.status, first=reply.first, cursor=reply.next_cursor, unreadable=bad)


def _unreadable(job: Handle, reader: _Reader, reason: str, data: bytes) -> errors.UnreadableOutputError:
    advice = f"stream(start={reader.count + 1}) goes on behind it."
    if reader.cursor is None:
        advice = "This gateway hands each chunk out once: stream() goes on behind those that came with it."
    where = f"Job {job.job_id} of endpoint {job.endpoint_id}"
    return unreadable(reason, data, where, job.job_id, chunk=reader.count, advice=advice)


def _restarted(job: Handle, count: int) -> errors.StreamRestartedError:
    return errors.StreamRestartedError(
        f"The stream of job {job.job_id} of endpoint {job.endpoint_id} began anew after {count} chunks: its worker was "
        "lost, or the job was queued again. Those chunks are void. Read it from its start with another stream().",
        job_id=job.job_id,
    )
