"""The body of a submit, made of what the user passed; what can't be right is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from novita_sdk import errors
from novita_sdk.files._in_values import has_files
from novita_sdk.flows.options import Explicit, SubmitOptions
from novita_sdk.models import ExecutionPolicy, Job, JobRequest
from novita_sdk.tracing import CARRIER_KEYS
from novita_sdk.wire import payload
from novita_sdk.wire.codec import WireError, decode
from novita_sdk.wire.nearest import did_you_mean
from novita_sdk.wire.payload import PayloadError
from novita_sdk.wire.violations import shorten

__all__ = ["Submission", "prepare", "upload_helps"]

_PLAIN: Final = (dict, list, tuple, str, int, float, bool, type(None))
"""What JSON has; anything else may have a type of its own that knows how to write it."""

_MEMBERS: Final = (("webhook", "webhook"), ("policy", "policy"), ("s3_config", "s3Config"))
"""Options and the members of the body that carry them."""

_POLICY: Final = tuple(field.json_name for field in ExecutionPolicy.DESCRIPTOR.fields)
_BUCKET: Final = ("endpointUrl", "accessId", "accessSecret", "bucketName", "region")

_OURS: Final = frozenset(field.json_name for field in JobRequest.DESCRIPTOR.fields if field.name != "extra")
_GATEWAYS: Final = frozenset(field.json_name for field in Job.DESCRIPTOR.fields) - _OURS - {"extra"}
"""Members of a job as a worker takes it that its gateway sets, and no submit may: `id` and `attempt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A body that is known to be good."""

    request: JobRequest
    body: bytes
    beside: tuple[str, ...] = ()
    """Members beside `input` that the user put there and no option has; the worker finds them beside its input."""
    dropped: tuple[str, ...] = ()
    """Members that were left out because they are the gateway's."""

    @property
    def remarks(self) -> Iterator[str]:
        """What its user should know of it, a sentence each."""
        if self.dropped:
            names = " and ".join(self.dropped)
            were, them = ("was", "it") if len(self.dropped) == 1 else ("were", "them")
            yield f"{names} beside `input` {were} left out: the gateway alone sets {them}, and no submit can"
        if self.beside:
            yield self.advice

    @property
    def advice(self) -> str:
        """The sentence for an input that may have been taken for a whole request; empty where none was."""
        if not self.beside:
            return ""
        named = ", ".join(shorten(name, 40) for name in self.beside[:5])
        return (
            f"An object with a key `input` is a whole request: its `input` alone is the input, and {named} went beside "
            'it. To send all of it as the input, wrap it, as in {"input": {"input": …}}, or pass it as run(input=…).'
        )

    def traced(self, carrier: Mapping[str, str]) -> bytes:
        """The body with a trace context beside the input, unless the user put one there."""
        if not carrier or "traceparent" in self.request.extra:
            return self.body
        return self.body[:-1] + b"," + payload.dump(dict(carrier))[1:]


def prepare(value: object, options: SubmitOptions) -> Submission:
    """Checks and serialises.

    Args:
        value: The input: a JSON value, a message, dataclass or pydantic model, or a call of a service's method. As in
            the published package, an object with the key `input` is the whole body and sent as it is, but for members
            that are the gateway's; an `Explicit` one is always the input.
        options: What goes beside the input.

    Raises:
        InvalidInputError: The value can't travel as JSON, with the path to what can't; or it breaks the rules of its
            type, with every violation; or an option is none.
        PayloadTooLargeError: The input is over the limit.
    """
    beside = _beside(options)
    named = isinstance(value, Explicit)
    value = value.value if isinstance(value, Explicit) else value
    try:
        if isinstance(value, Mapping) and "input" in value and not named:
            submission = _whole(value, beside)
        else:
            data = payload.dump(value) if isinstance(value, _PLAIN) else _dump_typed(value)
            body = b'{"input":%b%b' % (data, b"," + payload.dump(beside)[1:] if beside else b"}")
            request = decode(JobRequest, body) if beside else JobRequest(input=data)
            submission = Submission(request=request, body=body)
        payload.check_size(submission.request.input, "input")
    except payload.PayloadTooLargeError as error:
        raise errors.PayloadTooLargeError(f"{error} Nothing was sent.") from None
    except (PayloadError, WireError) as error:
        raise errors.InvalidInputError(f"{error}. Nothing was sent.") from None
    return submission


def _whole(value: Mapping[object, object], beside: Mapping[str, object]) -> Submission:
    """A body that the user made."""
    policy = value.get("policy")
    _check_members("policy", policy, _POLICY)
    members: dict[object, object] = {key: item for key, item in value.items() if key not in _GATEWAYS}
    members.update(beside)
    if isinstance(policy, Mapping) and isinstance(added := beside.get("policy"), Mapping):
        members["policy"] = {**policy, **added}
    body = payload.dump(members, "the request")
    return Submission(
        request=decode(JobRequest, body),
        body=body,
        beside=tuple(str(name) for name in value if name not in _OURS | _GATEWAYS and name not in CARRIER_KEYS),
        dropped=tuple(sorted(str(name) for name in value if name in _GATEWAYS)),
    )


def _beside(options: SubmitOptions) -> dict[str, object]:
    """The members of the body that carry options."""
    beside = {member: given for name, member in _MEMBERS if (given := options.get(name)) is not None}
    for name, known in (("policy", _POLICY), ("s3_config", _BUCKET)):
        _check_members(name, options.get(name), known)
    low_priority = options.get("low_priority")
    if low_priority is not None:
        policy = options.get("policy") or {}
        if policy.get("lowPriority", low_priority) != low_priority:
            raise errors.InvalidInputError("low_priority and the policy's lowPriority differ. Nothing was sent.")
        beside["policy"] = {**policy, "lowPriority": low_priority}
    return beside


def _check_members(name: str, given: object, known: Sequence[str]) -> None:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise errors.InvalidInputError(f"{name} must be an object, not {type(given).__name__}. Nothing was sent.")
    for member in given:
        if member not in known:
            hint = did_you_mean(str(member), known)
            raise errors.InvalidInputError(f"{name} has no member {str(member)!r:.60}; {hint} Nothing was sent.")


def upload_helps(value: object, error: errors.InvalidInputError) -> bool:
    """Whether a value that can't be sent can be with links in the place of its files; a message says so itself."""
    from novita_sdk.typed import Call
    from novita_sdk.typed._violations import LOCAL_FILE

    value = value.value if isinstance(value, Explicit) else value
    if isinstance(value, (Message, Call)):
        return any(violation.rule == LOCAL_FILE for violation in error.violations)
    return has_files(value)


def _dump_typed(value: object) -> bytes:
    from novita_sdk.typed import Call, ContractError, find_adapter

    try:
        if isinstance(value, Call):
            return value.dump()
        adapter = find_adapter(type(value))
        return payload.dump(value) if adapter is None else adapter.dump(value)
    except ContractError as error:
        raise errors.InvalidInputError(f"{error}. Nothing was sent.", violations=error.violations) from None
