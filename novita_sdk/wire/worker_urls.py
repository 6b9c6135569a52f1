"""The worker's URLs, made from the templates in its environment and the method table.

Observed on the published packages: `$ID` means the worker in the take template and the job in the output and stream
templates; every parameter is appended to the template's own query, whose bytes must stay as they are (`+` stays `+`).
Hand the results to an HTTP library without letting it quote them again (`yarl.URL(url, encoded=True)`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from google.protobuf.message import Message

from novita_sdk.models import FinishJobRequest, PingRequest, StreamJobRequest, TakeJobRequest, TakeJobsRequest
from novita_sdk.rpc import Method, WorkerServiceMethods
from novita_sdk.wire.http import build_query

__all__ = ["WorkerUrls", "append_query"]

_WORKER_IDS: Final = ("$NOVITA_POD_ID", "$RUNPOD_POD_ID")
_ID: Final = "$ID"
_SEGMENT_SAFE: Final = "-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUrls:
    """The URLs of one worker. Make it with `from_templates`.

    The fields are templates whose worker tokens are expanded; the methods give finished URLs.
    """

    take_template: str
    done_template: str
    stream_template: str
    ping_template: str

    @classmethod
    def from_templates(cls, *, worker_id: str, take: str, done: str, stream: str, ping: str) -> WorkerUrls:
        """Expands the worker's tokens; an empty template stays empty and its call is not available."""
        return cls(
            take_template=_expand(take, worker_id).replace(_ID, _quote(worker_id)),
            done_template=_expand(done, worker_id),
            stream_template=_expand(stream, worker_id),
            ping_template=_expand(ping, worker_id).replace(_ID, _quote(worker_id)),
        )

    def take(self, *, busy: bool, count: int = 1) -> str:
        """URL of the next take; more than one job uses the batch route.

        Args:
            busy: Whether the worker has a job now.
            count: Jobs wanted, at least 1.
        """
        if count == 1:
            request = TakeJobRequest(job_in_progress=busy)
            return _with_query(self.take_template, build_query(WorkerServiceMethods.TAKE_JOB, request))
        batch = TakeJobsRequest(batch_size=count, job_in_progress=busy)
        url = self._sibling(WorkerServiceMethods.TAKE_JOBS) or self.take_template
        return _with_query(url, build_query(WorkerServiceMethods.TAKE_JOBS, batch))

    def stop(self) -> str | None:
        """URL of the stop channel, or None where the take template has no such sibling."""
        return self._sibling(WorkerServiceMethods.WATCH_STOPS)

    def schema(self) -> str | None:
        """URL to send the handler's schema to, or None where the take template has no such sibling."""
        return self._sibling(WorkerServiceMethods.PUBLISH_SCHEMA)

    def done(self, job_id: str, *, is_stream: bool, take: int | None = None) -> str:
        """URL for a result or for progress.

        Args:
            job_id: The job.
            is_stream: True only on the result that closes a generator's output.
            take: The take that it is of, where chunks went before it.
        """
        url = self.done_template.replace(_ID, _quote(job_id))
        request = FinishJobRequest(is_stream=is_stream, take=take)
        return _with_query(url, build_query(WorkerServiceMethods.FINISH_JOB, request))

    def stream(self, job_id: str, *, take: int | None = None, number: int | None = None) -> str:
        """URL for one chunk, with its place in the stream. Chunks carry isStream=false, as observed."""
        url = self.stream_template.replace(_ID, _quote(job_id))
        request = StreamJobRequest(is_stream=False, take=take, number=number)
        return _with_query(url, build_query(WorkerServiceMethods.STREAM_JOB, request))

    def ping(self, job_ids: Iterable[str], extra: Mapping[str, str] | None = None) -> str:
        """URL of a heartbeat: the ids in progress joined with commas, left out while there are none."""
        ids = ",".join(job_ids)
        query = build_query(WorkerServiceMethods.PING, PingRequest(job_id=ids or None))
        return append_query(_with_query(self.ping_template, query), extra or {})

    def _sibling(self, method: Method[Message, Message]) -> str | None:
        """The take template with another route in the take's place."""
        take = f"/{_route(WorkerServiceMethods.TAKE_JOB)}/"
        if take not in self.take_template:
            return None
        return self.take_template.replace(take, f"/{_route(method)}/")


def append_query(url: str, params: Mapping[str, str]) -> str:
    """Adds parameters to a URL and leaves the bytes that are there untouched."""
    return _with_query(url, urlencode(params))


def _with_query(url: str, query: str) -> str:
    if not query:
        return url
    base, mark, fragment = url.partition("#")
    joint = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    return f"{base}{joint}{query}{mark}{fragment}"


def _route(method: Method[Message, Message]) -> str:
    """The word that names the method's route; the segment before it is the endpoint's."""
    return method.path.split("/")[2]


def _expand(template: str, worker_id: str) -> str:
    for token in _WORKER_IDS:
        template = template.replace(token, _quote(worker_id))
    return template


def _quote(segment: str) -> str:
    return quote(segment, safe=_SEGMENT_SAFE)
