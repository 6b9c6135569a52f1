"""The checker of histories: it passes a good one, and rejects each bad one that was made up for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.ha.history import Change, History, Run, Seen, Submitted, violations

pytestmark = pytest.mark.core


def double(input: object) -> object:
    assert isinstance(input, int)
    return 2 * input


def good() -> History:
    """Two jobs; the second lost a lease, and one take of it was undone."""
    return History(
        submits=[Submitted("k1", "a", 1), Submitted("k2", "b", 2), Submitted("k2", "b", 2)],
        seen=[Seen("b", "PENDING"), Seen("a", "COMPLETED", 2), Seen("a", "COMPLETED", 2), Seen("b", "COMPLETED", 4)],
        runs=[Run("a"), Run("b"), Run("b"), Run("never acknowledged")],
        changes=[
            Change("a", "PENDING", "IN_PROGRESS"),
            Change("a", "IN_PROGRESS", "COMPLETED"),
            Change("b", "PENDING", "IN_PROGRESS"),
            Change("b", "IN_PROGRESS", "PENDING", was_given_back=True),
            Change("b", "PENDING", "IN_PROGRESS"),
            Change("b", "IN_PROGRESS", "PENDING", was_due=True),
            Change("b", "PENDING", "IN_PROGRESS"),
            Change("b", "IN_PROGRESS", "COMPLETED"),
        ],
    )


def test_a_good_history_passes() -> None:
    assert violations(good(), double) == []
    assert violations(History(), double) == []


def without_the_database(history: History) -> None:
    history.changes.clear()
    history.runs.remove(Run("b"))


def test_a_history_of_clients_and_workers_alone_can_pass() -> None:
    history = good()
    without_the_database(history)
    assert violations(history, double) == []


BAD: list[tuple[Callable[[History], object], str]] = [
    (lambda h: h.submits.append(Submitted("k1", "c", 1)), "key k1 has several jobs: ['a', 'c']"),
    (lambda h: h.submits.append(Submitted("k3", "a", 1)), "job a has several keys: ['k1', 'k3']"),
    (lambda h: h.submits.append(Submitted("k3", "c", 1)), "acknowledged job c is lost"),
    (lambda h: h.seen.append(Seen("a", None)), "acknowledged job a is lost"),
    (lambda h: h.seen.remove(Seen("b", "COMPLETED", 4)), "job b is still PENDING"),
    (lambda h: h.seen.append(Seen("a", "COMPLETED", 3)), "job a is COMPLETED with 3, and not COMPLETED with 2"),
    (lambda h: h.seen.append(Seen("a", "FAILED")), "job a is FAILED with None, and not COMPLETED with 2"),
    (lambda h: h.seen.insert(1, Seen("a", "FAILED")), "job a was FAILED with None, then COMPLETED with 2"),
    (lambda h: h.seen.insert(2, Seen("a", "IN_PROGRESS")), "job a was COMPLETED with 2, then IN_PROGRESS with None"),
    (lambda h: h.seen.insert(2, Seen("a", None)), "job a was COMPLETED with 2, then None with None"),
    (
        lambda h: h.changes.append(Change("a", "COMPLETED", "PENDING")),
        "the final state COMPLETED of job a became PENDING",
    ),
    (lambda h: h.changes.append(Change("a", "IN_PROGRESS", "COMPLETED")), "job a ended 2 times"),
    (lambda h: h.runs.append(Run("a")), "job a ran 2 times, with 0 lost leases"),
    (lambda h: h.runs.append(Run("b")), "job b ran 3 times, with 1 lost leases"),
    (lambda h: h.changes.clear(), "job b ran 2 times, with 0 lost leases"),
    (
        lambda h: h.changes.append(Change("b", "IN_PROGRESS", "PENDING")),
        "job b was offered again while its lease lasted",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_a_bad_history_is_rejected(spoil: Callable[[History], object], sentence: str) -> None:
    history = good()
    spoil(history)
    assert sentence in violations(history, double)
