"""Following a job to its end: when to ask, what a failed question means, when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from novita_sdk import errors
from novita_sdk.flows.absence import Absence
from novita_sdk.flows.call import Caller, Problem
from novita_sdk.flows.errors_of import Subject, wait_over
from novita_sdk.flows.handle import Handle
from novita_sdk.flows.identity import check_job
from novita_sdk.flows.job_info import JobInfo
from novita_sdk.flows.poll_spacing import park_seconds, poll_delay
from novita_sdk.flows.steps import Done, Emit, Feed, Flow, Log, Sleep, Turn
from novita_sdk.flows.timeouts import check_timeout
from novita_sdk.models import GetStatusRequest
from novita_sdk.rpc import JobsServiceMethods
from novita_sdk.wire.http import HttpRequest, parse_response
from novita_sdk.wire.retry import FailureKind, RetryPolicy, next_delay

__all__ = ["Waiting", "Watch", "parse_info"]

T = TypeVar("T")
HandleT = TypeVar("HandleT", bound=Handle)

_TRANSIENT: Final = RetryPolicy(first_delay=0.1, max_delay=2.0, budget=None)
"""Between failed questions. The caller's deadline is the only end; what is not transient ends the wait at once."""

_DOUBTED: Final = RetryPolicy(first_delay=0.1, max_delay=2.0, budget=None, max_attempts=5)
"""Between answers about another job: a proxy may mix up one, but who does nothing else is not waited for."""

_LONGEST_PAUSE: Final = 300.0
"""Seconds between failed questions at most, whatever `Retry-After` names: nobody may notice that a wait hangs."""

_SAID_AGAIN: Final = 40
"""Failed questions in a row after which the log tells of them again, which is about once a minute."""

_LAST_QUESTION: Final = 1.0
"""Seconds beyond the deadline in which the answer to the last question may still come."""

_HELD: Final = 1.0
"""Seconds after which a question counts as held, however long the gateway was asked to: a proxy may cut it short."""

_GLANCE: Final = 0.5
"""Seconds between questions of a caller who wants every change, from a gateway that parks them until the end."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """One wait for one job. Durations are seconds."""

    job: Handle
    timeout: float | None
    begin: float
    delay: float
    """Seconds before the next question."""
    failures: int = 0
    """Questions in a row without an answer."""
    mistakes: int = 0
    """Answers about another job, since the last one about this one."""
    last: JobInfo | None = None
    every_change: bool = False
    """Not only the final state matters."""

    def remaining(self, now: float) -> float:
        """Until the caller's deadline."""
        return float("inf") if self.timeout is None else max(0.0, self.begin + self.timeout - now)


class Waiting:
    """The waits of one client. Safe for any number of threads."""

    def __init__(self, caller: Caller, *, max_parked: int) -> None:
        self.max_parked: Final = max_parked
        self._caller = caller
        self._absence = Absence(caller)
        # A token for each wait: to add and to remove one is atomic, as counting up and down is not.
        self._under_way: set[object] = set()

    def wait(self, job: Handle, timeout: float | None) -> Flow[JobInfo]:
        """Returns the final state, or raises when the timeout is over."""
        if job.final is None:
            with self.counted(job):
                watch = self.watch(job, timeout)
                while job.final is None:
                    yield from self._ask(watch)
        return job.final

    def completed(self, job: HandleT, timeout: float | None) -> Flow[HandleT]:
        """As `wait`, but returns the job."""
        yield from self.wait(job, timeout)
        return job

    def updates(self, job: Handle, timeout: float | None) -> Feed[JobInfo]:
        """Emits the state at once, every change of it that is seen, and the final one."""
        if job.final is None:
            with self.counted(job):
                watch = self.watch(job, timeout)
                watch.every_change, watch.delay = True, 0.0
                while job.final is None:
                    info = yield from self._ask(watch)
                    if not info.is_final:
                        yield Emit(info)
        yield Emit(job.final)

    @contextmanager
    def counted(self, job: Handle) -> Iterator[None]:
        """Counts a wait among those that share the client, and says how to go on if it is interrupted."""
        token = object()
        self._under_way.add(token)
        attributes = {"novita.endpoint": job.endpoint_id, "novita.job_id": job.job_id}
        try:
            with self._caller.span("novita wait", "CLIENT", attributes, parent=job.trace):
                yield
        except BaseException as interrupt:
            if not isinstance(interrupt, (Exception, GeneratorExit)):
                interrupt.add_note(
                    f"Job {job.job_id} of endpoint {job.endpoint_id} goes on. Wait again on the same job, re-attach "
                    f"with endpoint.job({job.job_id!r}), or cancel it."
                )
            raise
        finally:
            self._under_way.remove(token)

    def watch(self, job: Handle, timeout: float | None) -> Watch:
        """Begins a wait; raises InvalidInputError for a timeout that is no number."""
        if timeout is not None:
            check_timeout(timeout)
        # A gateway that parks takes the first question at once; elsewhere a new job is not done yet.
        is_early = job.is_new and not self._caller.long_poll
        job.is_new = False
        return Watch(
            job=job,
            timeout=timeout,
            begin=self._caller.clock(),
            delay=self.poll_delay(0.0) if is_early else 0.0,
        )

    def _ask(self, watch: Watch) -> Flow[JobInfo]:
        """Asks until there is news; raises a refusal, and when the timeout is over."""
        while True:
            yield from self.pause(watch)
            due = self._absence.due(watch.job, watch.last.status if watch.last is not None else None, watch.begin)
            if not due and watch.last is not None:
                yield from self._absence.look(watch.job, watch.begin, watch.remaining(self._caller.clock()))
            park = yield from self.park(watch, due or float("inf"))
            asked = self._caller.clock()
            since = watch.last.revision if watch.every_change and watch.last is not None and park else None
            request = GetStatusRequest(
                endpoint=watch.job.endpoint_id, id=watch.job.job_id, wait=round(park * 1000) or None, since=since
            )
            info = yield from self.question(
                watch,
                self._caller.build(JobsServiceMethods.GET_STATUS, request),
                partial(parse_info, watch.job.job_id),
                park=park,
            )
            if info is None:
                continue
            is_news, watch.last = info != watch.last, info
            watch.job.remember(info)
            has_changed = since is not None and info.revision != since
            watch.delay = 0.0 if has_changed else self.spacing(asked=asked, park=park, begin=watch.begin)
            if is_news:
                return info
            self.check_deadline(watch)

    def pause(self, watch: Watch) -> Flow[None]:
        """Waits before the next question."""
        if watch.delay:
            yield Sleep(min(watch.delay, watch.remaining(self._caller.clock())))

    def question(
        self, watch: Watch, request: HttpRequest, parse: Callable[[bytes], T], *, park: float
    ) -> Flow[T | None]:
        """Asks once. None means that it failed in a way that may pass; a refusal is raised, and so is a deadline.

        Args:
            watch: The wait that it belongs to.
            request: The question.
            parse: Reads the answer.
            park: Seconds the gateway was asked to hold the answer; 0 for at once.
        """
        caller = self._caller
        within = watch.remaining(caller.clock()) + _LAST_QUESTION
        result = yield from caller.attempt(
            request,
            parse,
            subject=self._subject(watch.job),
            timeout=min(park + caller.timeout, within),
            within=within,
            is_parked=park > 0,
        )
        if not isinstance(result, Problem):
            watch.failures = watch.mistakes = 0
            return result
        watch.failures += 1
        policy, attempt = _TRANSIENT, watch.failures
        if result.failure.kind is FailureKind.MISTAKEN:
            watch.mistakes += 1
            policy, attempt = _DOUBTED, watch.mistakes
        delay = next_delay(policy, result.failure, attempt=attempt, elapsed=0.0, random=caller.random())
        if delay is None:
            raise result.error
        yield Log(
            "WARNING" if watch.failures % _SAID_AGAIN == 1 else "DEBUG",
            "job %s: its state could not be read, the wait goes on: %s",
            (watch.job.job_id, result.error),
        )
        watch.delay = min(delay, _LONGEST_PAUSE)
        self.check_deadline(watch, result.error)
        return None

    def check_deadline(self, watch: Watch, cause: errors.NovitaError | None = None) -> None:
        """Raises WaitTimeoutError once the caller's timeout is over."""
        if not watch.remaining(self._caller.clock()):
            raise wait_over(watch.last, self._subject(watch.job), watch.timeout or 0.0) from cause

    def park(self, watch: Watch, longest: float = float("inf")) -> Flow[float]:
        """Seconds the gateway is asked to hold the next question; 0 where it can't, or all places are taken."""
        now = self._caller.clock()
        if not self._caller.long_poll or watch.failures:
            return 0.0
        longest = min(longest, self._caller.long_poll, watch.remaining(now))
        if watch.every_change:
            if watch.last is None:
                return 0.0
            if watch.last.revision is None:
                longest = min(longest, _GLANCE, self.poll_delay(now - watch.begin))
        if round(longest * 1000) == 0:
            return 0.0
        turn = yield Turn(min(longest, self.poll_delay(now - watch.begin)))
        if turn != Done(value=True):
            return 0.0
        left = min(longest, max(0.001, watch.remaining(self._caller.clock())))
        return park_seconds(left, waiting=len(self._under_way), max_parked=self.max_parked)

    def spacing(self, *, asked: float, park: float, begin: float) -> float:
        """Seconds before the next question, after one that brought nothing new.

        None are needed where the gateway held that one, or where it waited for its turn; a gateway that promises to
        park, and comes back at once all the same, is asked as one that doesn't.

        Args:
            asked: When the question was sent.
            park: Seconds the gateway was asked to hold it; 0 for at once.
            begin: Since when nothing new has come.
        """
        now = self._caller.clock()
        is_spaced = self._caller.long_poll and (not park or now - asked > min(park / 2, _HELD))
        return 0.0 if is_spaced else self.poll_delay(now - begin)

    def poll_delay(self, waited: float) -> float:
        """Seconds until the next question where the gateway does not park."""
        return poll_delay(waited, waiting=len(self._under_way), random=self._caller.random())

    def _subject(self, job: Handle) -> Subject:
        return Subject(
            action=f"read the state of job {job.job_id} of endpoint {job.endpoint_id}",
            base_url=self._caller.base_url,
            endpoint=job.endpoint_id,
            job_id=job.job_id,
        )


def parse_info(job_id: str, body: bytes) -> JobInfo:
    """Reads the answer to a status request for a job; raises WireError or PayloadError."""
    job = parse_response(JobsServiceMethods.GET_STATUS, body).job
    check_job(job.id, job_id)
    return JobInfo.from_message(job)
