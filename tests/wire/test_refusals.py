"""What the body of a refusal says is read in every form that carries words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.wire.refusals import Refusal, read_refusal

PAGE = b"""<!DOCTYPE html><html><head><title>403 Forbidden</title><style>p { color: red }</style></head>
<body><h1>403 Forbidden</h1><p>Blocked by policy &amp; rule 7</p><script>alert(1)</script></body></html>"""

PROBLEM = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "no GPU quota"}

FORMS: list[tuple[object, str]] = [
    ({"code": "CONFLICT", "message": "it runs", "jobId": "j1"}, "it runs"),
    ({"code": 403, "reason": "NO_MONEY", "message": "not enough", "metadata": {}}, "not enough (NO_MONEY)"),
    ({"code": 403, "reason": "NO_MONEY", "message": "", "metadata": {}}, "NO_MONEY"),
    ({"error": "no money"}, "no money"),
    ({"error": {"message": "no money", "type": "billing", "code": 7}}, "no money"),
    ({"error": {"errors": [{"message": "no money", "reason": "noMoney"}]}}, "no money"),
    ({"error": "invalid_scope", "error_description": "no such scope"}, "no such scope (invalid_scope)"),
    ({"detail": "Not found."}, "Not found."),
    ({"detail": [{"loc": ["body", "a"], "msg": "field required"}]}, "body.a: field required"),
    ({"errors": ["one", "two"]}, "one; two"),
    ({"errors": [{"message": "one"}, {"detail": "two"}]}, "one; two"),
    ({"errors": {"name": ["is required"], "size": ["is too large"]}}, "name: is required; size: is too large"),
    ({"message": "Forbidden"}, "Forbidden"),
    ({"Message": "denied", "__type": "AccessDenied"}, "denied"),
    ({"code": 16, "message": "denied", "details": [{"reason": "NO_SCOPE"}]}, "denied (NO_SCOPE)"),
    (PROBLEM, "no GPU quota"),
    ({"success": False, "why": "no money"}, '{"success": false, "why": "no money"}'),
    ("no money", "no money"),
    (["no", "money"], "no; money"),
    ({}, ""),
    ([], ""),
    (7, ""),
    (None, ""),
    ({"code": 403, "metadata": {}}, ""),
]


@pytest.mark.parametrize(("body", "said"), FORMS, ids=[json.dumps(body)[:40] for body, _ in FORMS])
def test_json_in_every_known_form(body: object, said: str) -> None:
    refusal = read_refusal(json.dumps(body).encode())
    assert str(refusal) == said
    assert not refusal.is_page


def test_what_machines_read_is_apart() -> None:
    body = b'{"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance", "metadata": {}}'
    assert read_refusal(body) == Refusal(message="not enough balance", reason="NOT_ENOUGH_BALANCE")
    body = b'{"error": {"code": "denied", "message": "no"}, "jobId": "j1"}'
    assert read_refusal(body) == Refusal(message="no", code="denied", job_id="j1")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PAGE, "403 Forbidden Blocked by policy & rule 7"),
        (b"<html><title>Sign in</title>", "Sign in"),
        (b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", "AccessDenied Access Denied"),
        (b"RBAC: access denied", "RBAC: access denied"),
        (b"\xef\xbb\xbfupstream\r\nfailed", "upstream failed"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"message": "cut o', '{"message": "cut o'),
        (b"[" * 5000, "[" * 299 + "…"),
    ],
)
def test_text_and_pages(body: bytes, said: str) -> None:
    refusal = read_refusal(body)
    assert refusal.message == said
    assert refusal.is_page


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_empty_one_says_nothing(body: bytes) -> None:
    assert read_refusal(body) == Refusal()


@pytest.mark.parametrize("wrap", ['{"message": %s}', "%s", '{"other": %s}'])
@pytest.mark.parametrize(
    "secret",
    [
        "my-api-key",
        "Bearer abc.def",
        "sk_0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "https://bucket/x?X-Amz-Signature=0123&token=abcdef",
    ],
)
def test_secrets_are_not_repeated(secret: str, wrap: str) -> None:
    refusal = read_refusal((wrap % json.dumps(f"bad key {secret} was sent")).encode(), secrets=("my-api-key",))
    assert "bad key" in refusal.message
    assert "***" in refusal.message
    for part in ("my-api-key", "abc.def", "0123456789", "c2ln", "=0123", "abcdef"):
        assert part not in refusal.message


@given(st.binary(max_size=300) | st.text().map(lambda text: json.dumps({"message": text * 50}).encode()))
def test_whatever_comes_is_one_printable_line_of_bounded_length(body: bytes) -> None:
    said = str(read_refusal(body))
    assert said.isprintable()
    assert len(said) <= 300 + 103


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "errors", "loc", "x"]), inner)
        ),
    )
)
def test_no_json_is_too_odd(value: object) -> None:
    assert not read_refusal(json.dumps(value).encode()).is_page
