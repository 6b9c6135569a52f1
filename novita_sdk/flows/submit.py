"""The body of a submit, made of what the user passed; what can't be right is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from novita_sdk import errors
from novita_sdk.flows.options import SubmitOptions
from novita_sdk.models import JobRequest
from novita_sdk.wire import payload
from novita_sdk.wire.codec import WireError, decode
from novita_sdk.wire.payload import PayloadError

__all__ = ["Submission", "prepare"]

_PLAIN: Final = (dict, list, tuple, str, int, float, bool, type(None))
"""What JSON has; anything else may have a type of its own that knows how to write it."""

_MEMBERS: Final = (("webhook", "webhook"), ("policy", "policy"), ("s3_config", "s3Config"))
"""Options and the members of the body that carry them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A body that is known to be good."""

    request: JobRequest
    body: bytes

    def traced(self, carrier: Mapping[str, str]) -> bytes:
        """The body with a trace context beside the input, unless the user put one there."""
        if not carrier or "traceparent" in self.request.extra:
            return self.body
        return self.body[:-1] + b"," + payload.dump(dict(carrier))[1:]


def prepare(value: object, options: SubmitOptions) -> Submission:
    """Checks and serialises.

    Args:
        value: The input: a JSON value, a message, dataclass or pydantic model, or a call of a service's method. As in
            the published package, an object with the key `input` is the whole body and sent exactly as it is.
        options: What goes beside the input.

    Raises:
        InvalidInputError: The value can't travel as JSON, with the path to what can't; or it breaks the rules of its
            type, with every violation.
        PayloadTooLargeError: The input is over the limit.
    """
    beside = {member: given for name, member in _MEMBERS if (given := options.get(name)) is not None}
    try:
        if isinstance(value, Mapping) and "input" in value:
            body = payload.dump({**value, **beside}, "the request")
            request = decode(JobRequest, body)
        else:
            data = payload.dump(value) if isinstance(value, _PLAIN) else _dump_typed(value)
            body = b'{"input":%b%b' % (data, b"," + payload.dump(beside)[1:] if beside else b"}")
            request = decode(JobRequest, body) if beside else JobRequest(input=data)
        payload.check_size(request.input, "input")
    except payload.PayloadTooLargeError as error:
        raise errors.PayloadTooLargeError(f"{error} Nothing was sent.") from None
    except (PayloadError, WireError) as error:
        raise errors.InvalidInputError(f"{error}. Nothing was sent.") from None
    return Submission(request=request, body=body)


def _dump_typed(value: object) -> bytes:
    from novita_sdk.typed import Call, ContractError, find_adapter

    try:
        if isinstance(value, Call):
            return value.dump()
        adapter = find_adapter(type(value))
        return payload.dump(value) if adapter is None else adapter.dump(value)
    except ContractError as error:
        raise errors.InvalidInputError(f"{error}. Nothing was sent.", violations=error.violations) from None
