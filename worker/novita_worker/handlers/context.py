"""The context of a job: all that its handler may ask and say while it works."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from novita_sdk.wire.payload import JSONValue, PayloadError, dump
from novita_worker._errors import JobCancelled, log_failure
from novita_worker.handlers import children
from novita_worker.process.child_calls import GO_ON, OVER

if TYPE_CHECKING:
    from novita_sdk.files import JobFiles

__all__ = ["JobContext", "Reports", "answer_child", "current_context", "progress_update"]

ItemT = TypeVar("ItemT")

current_context: Final[ContextVar[JobContext | None]] = ContextVar("novita_job", default=None)
"""The job of the running code, in whichever thread or task it runs."""

running_contexts: Final[dict[str, JobContext]] = {}
"""The jobs whose handlers run in this process, for calls from threads that a handler started itself."""

_log: Final = logging.getLogger("novita_worker")


class Reports(Protocol):
    """Takes what a handler reports; never blocks."""

    def progress(self, context: JobContext) -> None:
        """The context has progress to send; see `JobContext.take_progress`."""


class JobContext:
    """One job, as its handler sees it.

    Attributes:
        id: The job's id.
        input: What the client submitted.
        job: The whole job, as `handler(job)` gets it.
        attempt: Counted from 1; a job that was taken from a lost worker comes with a higher one.
        deadline: When the job's time is over, in seconds since the epoch, or None.
        worker_id: The worker that runs the job.
        log: A logger whose lines carry the ids of job and worker.
    """

    def __init__(
        self,
        job: dict[str, JSONValue],
        *,
        reports: Reports,
        deadline: float | None = None,
        worker_id: str = "",
        folder: Path | None = None,
    ) -> None:
        self.id: str = job["id"]
        self.input: JSONValue = job.get("input")
        self.job = job
        attempt = job.get("attempt")
        self.attempt: int = attempt if isinstance(attempt, int) else 1
        self.deadline = deadline
        self.worker_id = worker_id
        self._reports = reports
        self._lock = threading.Lock()
        self._progress: bytes | None = None
        self._cancel_reason: str | None = None
        self._files: JobFiles | None = None
        self._folder = folder
        self._is_over = False
        self._hooks: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f"JobContext(id={self.id!r}, attempt={self.attempt})"

    def __reduce__(self) -> tuple[Callable[..., JobContext], tuple[object, ...]]:
        """For a spawned process, whose reports and questions go to the worker."""
        return _context_of, (self.job, self.deadline, self.worker_id, self._folder)

    @property
    def log(self) -> logging.Logger:
        """A logger; its lines carry the ids of job and worker."""
        return logging.getLogger("novita_worker.job")

    @property
    def cancelled(self) -> bool:
        """Whether the job is to end. Look at it in long loops, or call `checkpoint`."""
        return self.cancel_reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why the job is to end, or None while it isn't."""
        if self._cancel_reason is None and children.is_child():
            return children.stop_reason(self.id)
        return self._cancel_reason

    def checkpoint(self) -> None:
        """Ends the handler here if the job is to end.

        Raises:
            JobCancelled: The job was stopped, ran out of time, or the worker shuts down.
        """
        if (reason := self.cancel_reason) is not None:
            raise JobCancelled(reason)

    def on_cancel(self, hook: Callable[[], object]) -> None:
        """Calls the hook, in a thread of its own, when the job is to end; at once if that is known already."""
        children.warn_in_child(
            self.id, "on_cancel calls nothing", "look at cancelled there, or end it from the handler"
        )
        with self._lock:
            if self._cancel_reason is None:
                self._hooks.append(hook)
                return
        self._run_hooks([hook])

    def progress(self, *, fraction: float | None = None, message: str | None = None, data: JSONValue = None) -> None:
        """Reports how far the job is. Returns at once; of many reports in a row only the newest is sent.

        Args:
            fraction: Between 0 and 1.
            message: For people.
            data: Any JSON value.

        Raises:
            JobCancelled: The job is to end.
            ValueError: The fraction is not between 0 and 1.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"fraction must be between 0 and 1, not {fraction!r}")
        self._report(lambda: _encode_progress(fraction, message, data))

    def report(self, progress: JSONValue) -> None:
        """Reports any JSON value as progress, as the published `progress_update` does.

        Raises:
            JobCancelled: The job is to end.
        """
        self._report(lambda: dump(progress, "progress"))

    def _report(self, write: Callable[[], bytes]) -> None:
        self.checkpoint()
        try:
            body = write()
        except PayloadError as error:
            _log.warning("progress not sent: %s", error)
            return
        if children.is_child():
            children.report(self.id, body)
        else:
            self.report_encoded(body)

    def report_encoded(self, body: bytes) -> None:
        """Reports what is JSON already. For the runtime."""
        with self._lock:
            is_first = self._progress is None
            self._progress = body
        if is_first:
            self._reports.progress(self)

    def track(
        self, iterable: Iterable[ItemT], *, total: int | None = None, description: str | None = None
    ) -> Iterator[ItemT]:
        """Yields the items and reports progress on the way: a drop-in for a tqdm loop.

        Args:
            iterable: What to loop over.
            total: Number of items, where the iterable has no length.
            description: Message of the reports.

        Raises:
            JobCancelled: The job is to end.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self.progress(fraction=0.0 if total else None, message=description, data={"done": 0, "total": total})
        for done, item in enumerate(iterable, 1):
            yield item
            fraction = min(1.0, done / total) if total else None
            self.progress(fraction=fraction, message=description, data={"done": done, "total": total})

    def upload_image(self, image_path: str | os.PathLike[str]) -> str:
        """Uploads an image beside the job's other files; see `novita_sdk.uploads.upload_image`."""
        from novita_sdk.uploads import upload_image

        with self._own_bucket():
            return upload_image(self.id, image_path)

    def upload_images(self, image_paths: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Uploads images in parallel; see `novita_sdk.uploads.upload_images`."""
        from novita_sdk.uploads import upload_images

        with self._own_bucket():
            return upload_images(self.id, image_paths)

    def upload_file(self, file_name: str, file_path: str | os.PathLike[str]) -> str:
        """Uploads a file of any size under the job's id; see `novita_sdk.uploads.upload_file`."""
        from novita_sdk.uploads import upload_file

        with self._own_bucket():
            return upload_file(file_name, file_path, prefix=self.id)

    def upload_bytes(self, file_name: str, data: bytes | bytearray | memoryview) -> str:
        """Uploads bytes under the job's id; see `novita_sdk.uploads.upload_bytes`."""
        from novita_sdk.uploads import upload_bytes

        with self._own_bucket():
            return upload_bytes(file_name, data, prefix=self.id)

    def _own_bucket(self) -> AbstractContextManager[None]:
        """Sends uploads to the bucket that the job brought along, also from a thread that the handler started."""
        from novita_sdk.uploads import use_s3_config

        return use_s3_config(self.job.get("s3Config"))

    def open(self, file: JSONValue) -> Path:
        """The local path of an input file; the copy is the job's own and goes when the job ends.

        Args:
            file: A file as it stands in the input (`novita_sdk.files.File`, or in a message `novita_protocol.v1.File`),
                or an http(s) URL.

        Raises:
            FileError: It could not be fetched, may not be, or is not what was sent.
        """
        from novita_sdk.files import FetchPolicy, JobFiles, default_cache

        with self._lock:
            if self._files is None:
                self._files = JobFiles(default_cache(self._folder), FetchPolicy.from_environment())
                if self._is_over:
                    self._files.close()
        return self._files.open(file)

    def close_files(self) -> None:
        """Removes what `open` fetched. For the runtime."""
        with self._lock:
            self._is_over = True
        if self._files is not None:
            self._files.close()

    def take_progress(self) -> bytes | None:
        """The newest progress that was not taken yet. For the runtime."""
        with self._lock:
            body, self._progress = self._progress, None
        return body

    def cancel(self, reason: str) -> None:
        """Marks the job as one that is to end and runs its hooks. For the runtime and for tests."""
        with self._lock:
            if self._cancel_reason is not None:
                return
            self._cancel_reason = reason
            hooks, self._hooks = self._hooks, []
        self._run_hooks(hooks)

    def _run_hooks(self, hooks: list[Callable[[], object]]) -> None:
        for hook in hooks:
            thread = threading.Thread(target=self._run_hook, args=(hook,), name=f"on-cancel-{self.id}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                _log.error("an on_cancel hook could not run: %s", error)

    def _run_hook(self, hook: Callable[[], object]) -> None:
        current_context.set(self)
        try:
            hook()
        except BaseException as error:  # noqa: BLE001  user code; whatever it raises belongs into the log
            log_failure(_log, "an on_cancel hook failed", error)


def start_folder() -> Path | None:
    """The working directory, for what is relative to the one of the start; None where it is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _encode_progress(fraction: float | None, message: str | None, data: JSONValue) -> bytes:
    # Here, because they load protobuf, which importing the worker must not.
    from novita_sdk.models import Progress
    from novita_sdk.wire.codec import encode

    payload = None if data is None else dump(data, "progress.data")
    try:
        return encode(Progress(fraction=fraction, message=None if message is None else str(message), data=payload))
    except (TypeError, ValueError) as error:
        raise PayloadError(f"progress can't be written: {error}") from None


def progress_update(job: dict[str, JSONValue], progress: JSONValue) -> None:
    """Reports progress of a running job, from any thread.

    Args:
        job: The job that the handler was called with.
        progress: Any JSON value.

    Raises:
        JobCancelled: The job is to end.
    """
    context = running_contexts.get(job["id"])
    if context is None and children.is_child():
        context = _context_of(job)
    if context is None:
        _log.debug("progress of a job that does not run in this process is not sent")
        return
    context.report(progress)


def answer_child(job_id: str, progress: bytes) -> str:
    """What a process that a handler started is told of a job whose progress it brings, if it brings any."""
    context = running_contexts.get(job_id)
    if context is None:
        return OVER
    if progress and not context.cancelled:
        context.report_encoded(progress)
    return context.cancel_reason or GO_ON


class _Nobody:
    """Takes the reports of a context that is only a name for the worker's."""

    def progress(self, context: JobContext) -> None:
        """A child has told its worker already."""


def _context_of(
    job: dict[str, JSONValue], deadline: float | None = None, worker_id: str = "", folder: Path | None = None
) -> JobContext:
    """The context of a job that runs here, or else in the process that started this one."""
    running = running_contexts.get(job["id"])
    return running or JobContext(job, reports=_Nobody(), deadline=deadline, worker_id=worker_id, folder=folder)
