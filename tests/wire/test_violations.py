"""A rule that is broken is told in words that fit it."""

from __future__ import annotations

import pytest

from novita_sdk.wire.violations import Violation


@pytest.mark.parametrize(
    ("field", "rule", "message", "value", "said"),
    [
        (
            "a.b",
            "string.min_len",
            "must be at least 1 characters",
            "",
            "a.b must be at least 1 characters (string.min_len), not ''",
        ),
        ("", "type", "must be an object", 7, "must be an object (type), not 7"),
        ("a.b", "unknown_field", "is not known", 1, "a.b is not known (unknown_field)"),
        ("a", "unknown_field", "is not known; did you mean b?", 1, "a is not known; did you mean b? (unknown_field)"),
        ("", "depth", "is nested too deeply", "[[…", "is nested too deeply (depth)"),
        ("a", "required", "must be there", None, "a must be there (required)"),
        ("a", "oneof", "can't be there together with b", 1, "a can't be there together with b (oneof)"),
        ("a", "type", "does not fit: too large", 7, "a does not fit: too large (type); it is 7"),
    ],
)
def test_it_reads_as_a_sentence(field: str, rule: str, message: str, value: object, said: str) -> None:
    assert str(Violation(field=field, rule=rule, message=message, value=value)) == said
