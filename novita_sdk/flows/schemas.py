"""The schemas of endpoints: reading them, and checking an input before it is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from novita_sdk import errors, models
from novita_sdk.flows.call import Caller
from novita_sdk.flows.steps import Flow
from novita_sdk.rpc import JobsServiceMethods
from novita_sdk.wire import payload
from novita_sdk.wire.codec import decode
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk.typed import InputCheck

__all__ = ["Schemas"]

_ABSENT: Final = frozenset({404, 405, 410, 501})
"""The gateway has no such route, or no worker has told its types."""


class Schemas:
    """The schemas of one client's endpoints. Safe for any number of threads."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._known: dict[str, tuple[bytes | None, InputCheck]] = {}
        """By endpoint: the schema as it came, and what checks inputs by it."""

    def read(self, endpoint: str, timeout: float | None = None) -> Flow[JSONValue]:
        """The schema as the gateway words it, or None where there is none."""
        body = yield from self._fetch(endpoint, timeout)
        return None if body is None else payload.load(body)

    def check(self, endpoint: str, value: bytes, advice: str = "") -> Flow[None]:
        """Checks the JSON of an input; the advice ends the error.

        What was read once is used again, but an input is refused only by what the gateway says now.

        Raises:
            InvalidInputError: The input breaks its type; lists every violation.
        """
        given = payload.load(value)
        body, check = self._known.get(endpoint, (b"", None))
        if check is not None and not check(given):
            return
        newest = yield from self._fetch(endpoint, None)
        if check is None or newest != body:
            check = _make_check(endpoint, newest)
            self._known[endpoint] = newest, check
        if violations := check(given):
            text = "; ".join(map(str, violations))
            raise errors.InvalidInputError(
                f"Endpoint {endpoint} would refuse the input: {text}. No job was submitted. {advice}".rstrip(),
                violations=violations,
            )

    def _fetch(self, endpoint: str, timeout: float | None) -> Flow[bytes | None]:
        request = models.GetSchemaRequest(endpoint=endpoint)
        try:
            return (
                yield from self._caller.exchange(
                    self._caller.build(JobsServiceMethods.GET_SCHEMA, request),
                    _parse,
                    subject=self._caller.subject(f"read the schema of endpoint {endpoint}", request),
                    repeatable=True,
                    timeout=timeout,
                )
            )
        except errors.APIError as error:
            if error.status not in _ABSENT:
                raise
            return None


def _parse(body: bytes) -> bytes:
    decode(models.EndpointSchema, body)
    return body


def _make_check(endpoint: str, body: bytes | None) -> InputCheck:
    if body is None:
        return lambda _: []
    from novita_sdk.typed import input_check

    try:
        return input_check(decode(models.EndpointSchema, body))
    except ValueError as error:
        raise errors.ProtocolError(f"The schema of endpoint {endpoint} can't be used: {error}.") from None
