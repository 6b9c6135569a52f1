"""What happened to jobs, and whether it may have: a checker of histories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Change", "History", "Run", "Seen", "Submitted", "violations"]

FINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})
WAITS: Final = "PENDING"
RUNS: Final = "IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A gateway acknowledged a submit."""

    key: str
    """Its idempotency key."""
    id: str
    input: object


@dataclass(frozen=True, slots=True)
class Seen:
    """A gateway told a client the state of a job; None where it knows of no such job."""

    id: str
    status: str | None
    output: object = None


@dataclass(frozen=True, slots=True)
class Run:
    """A worker began to run a job."""

    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """The database noted another state of a job, in the transaction that made it."""

    id: str
    before: str
    after: str
    was_due: bool = False
    """Its lease was over by then."""
    was_given_back: bool = False
    """The take was undone, because its answer could not be written."""


@dataclass
class History:
    """What happened, each kind in its order."""

    submits: list[Submitted] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    """Empty where the database was not asked for them."""


def violations(history: History, output_of: Callable[[object], object]) -> list[str]:
    """What must not be, a sentence each.

    Args:
        history: What happened; every acknowledged job was looked at after the load.
        output_of: The right output of an input.
    """
    return [
        *_one_id_for_a_key(history),
        *_one_right_final_state(history, output_of),
        *_final_states_stay(history),
        *_no_run_without_a_lease(history),
    ]


def _one_id_for_a_key(history: History) -> Iterator[str]:
    ids: Mapping[str, set[str]] = defaultdict(set)
    keys: Mapping[str, set[str]] = defaultdict(set)
    for submit in history.submits:
        ids[submit.key].add(submit.id)
        keys[submit.id].add(submit.key)
    for key, some in ids.items():
        if len(some) > 1:
            yield f"key {key} has several jobs: {sorted(some)}"
    for job_id, some in keys.items():
        if len(some) > 1:
            yield f"job {job_id} has several keys: {sorted(some)}"


def _one_right_final_state(history: History, output_of: Callable[[object], object]) -> Iterator[str]:
    last = {seen.id: seen for seen in history.seen}
    for submit in {submit.id: submit for submit in history.submits}.values():
        seen = last.get(submit.id)
        if seen is None or seen.status is None:
            yield f"acknowledged job {submit.id} is lost"
        elif seen.status not in FINAL:
            yield f"job {submit.id} is still {seen.status}"
        elif (seen.status, seen.output) != ("COMPLETED", right := output_of(submit.input)):
            yield f"job {submit.id} is {seen.status} with {seen.output!r}, and not COMPLETED with {right!r}"


def _final_states_stay(history: History) -> Iterator[str]:
    final: dict[str, Seen] = {}
    for seen in history.seen:
        known = final.get(seen.id)
        if known is None and seen.status in FINAL:
            final[seen.id] = seen
        elif known is not None and known != seen:
            yield f"job {seen.id} was {known.status} with {known.output!r}, then {seen.status} with {seen.output!r}"
    for change in history.changes:
        if change.before in FINAL:
            yield f"the final state {change.before} of job {change.id} became {change.after}"
    ends = Counter(change.id for change in history.changes if change.after in FINAL)
    for job_id, count in ends.items():
        if count > 1:
            yield f"job {job_id} ended {count} times"


def _no_run_without_a_lease(history: History) -> Iterator[str]:
    lost: Counter[str] = Counter()
    for change in history.changes:
        if change.before == RUNS and change.after == WAITS and not change.was_given_back:
            lost[change.id] += 1
            if not change.was_due:
                yield f"job {change.id} was offered again while its lease lasted"
    for job_id, count in Counter(run.id for run in history.runs).items():
        if count > 1 + lost[job_id]:
            yield f"job {job_id} ran {count} times, with {lost[job_id]} lost leases"
