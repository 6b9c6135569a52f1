"""The state constants are the ones of the proto."""

from __future__ import annotations

import pytest

from novita_sdk.models import JobState, final, wire_name
from novita_sdk.wire import states

pytestmark = pytest.mark.core

SETS = {"FINAL", "KNOWN"}


def test_find_state_takes_a_word_as_people_write_it() -> None:
    assert {states.find_state(word) for word in ("failed", " FAILED", "Failed")} == {"FAILED"}
    assert states.find_state("timed out") == states.find_state("timed-out") == "TIMED_OUT"
    assert states.find_state("done") is None


def test_constants_and_final_states_are_those_of_the_proto() -> None:
    values = [value for value in JobState.DESCRIPTOR.values if value.number]
    words = {value.GetOptions().Extensions[wire_name] for value in values}
    assert words == {getattr(states, name) for name in states.__all__ if name.isupper() and name not in SETS}
    assert states.FINAL == {
        value.GetOptions().Extensions[wire_name] for value in values if value.GetOptions().Extensions[final]
    }


def test_an_unknown_state_is_not_final() -> None:
    assert not states.is_final("PAUSED")
    assert not states.is_final("completed")
    assert states.is_final("CANCELLED")


def test_each_constant_is_called_by_its_word() -> None:
    words = {name: getattr(states, name) for name in states.__all__ if name.isupper() and name not in SETS}
    assert list(words) == list(words.values())
