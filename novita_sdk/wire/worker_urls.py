"""The worker's URLs, made from the templates in its environment.

Observed on the published packages: `$ID` means the worker in the take template and the job in the output and stream
templates; every parameter is appended to the template's own query, whose bytes must stay as they are (`+` stays `+`).
Hand the results to an HTTP library without letting it quote them again (`yarl.URL(url, encoded=True)`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

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
        job_in_progress = "1" if busy else "0"
        if count == 1:
            return append_query(self.take_template, {"job_in_progress": job_in_progress})
        batch = self.take_template.replace("/job-take/", "/job-take-batch/")
        return append_query(batch, {"batch_size": str(count), "job_in_progress": job_in_progress})

    def stop(self) -> str | None:
        """URL of the stop channel, or None where the take template has no such sibling."""
        if "/job-take/" not in self.take_template:
            return None
        return self.take_template.replace("/job-take/", "/job-stop/")

    def schema(self) -> str | None:
        """URL to send the handler's schema to, or None where the take template has no such sibling."""
        if "/job-take/" not in self.take_template:
            return None
        return self.take_template.replace("/job-take/", "/job-schema/")

    def done(self, job_id: str, *, is_stream: bool) -> str:
        """URL for a result or for progress; is_stream is True only on the result that closes a generator's output."""
        url = self.done_template.replace(_ID, _quote(job_id))
        return append_query(url, {"isStream": "true" if is_stream else "false"})

    def stream(self, job_id: str) -> str:
        """URL for one chunk. Chunks carry isStream=false, as observed."""
        return append_query(self.stream_template.replace(_ID, _quote(job_id)), {"isStream": "false"})

    def ping(self, job_ids: Iterable[str], extra: Mapping[str, str] | None = None) -> str:
        """URL of a heartbeat: the ids in progress joined with commas, left out while there are none."""
        ids = ",".join(job_ids)
        params = {"job_id": ids} if ids else {}
        return append_query(self.ping_template, {**params, **(extra or {})})


def append_query(url: str, params: Mapping[str, str]) -> str:
    """Adds parameters to a URL and leaves the bytes that are there untouched."""
    if not params:
        return url
    base, mark, fragment = url.partition("#")
    joint = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    return f"{base}{joint}{urlencode(params)}{mark}{fragment}"


def _expand(template: str, worker_id: str) -> str:
    for token in _WORKER_IDS:
        template = template.replace(token, _quote(worker_id))
    return template


def _quote(segment: str) -> str:
    return quote(segment, safe=_SEGMENT_SAFE)
