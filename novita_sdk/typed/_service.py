"""Services of a user's own protos: the base of their workers, and the choice of the method that an input is for."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

from novita_sdk.rpc import Method
from novita_sdk.typed._adapters import Adapter, find_adapter
from novita_sdk.typed._annotations import FunctionKind, HandlerTypeError, kind_of
from novita_sdk.typed._checked import TypedHandler, advice_of, dump_output, parse_input
from novita_sdk.typed._violations import InputError, OutputError, Violation, cut
from novita_sdk.wire.payload import JSONValue

__all__ = ["METHOD_KEY", "Call", "ServiceWorker", "call", "choose", "read_service"]

_Functions: TypeAlias = dict[str, Callable[..., object]]
"""What carries out each method, by its name in the proto."""

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)

METHOD_KEY = "@method"
"""Member of an input that names the method, where a service has several. No field of a message can be called so."""


class ServiceWorker(ABC):  # noqa: B024  the generated classes have the abstract methods
    """Base of the generated worker classes; an instance is a handler.

    Attributes:
        METHODS: The method table of the service; each has its implementation under its name in snake case.
    """

    METHODS: ClassVar[dict[str, Method[Message, Message]]] = {}


@dataclass(frozen=True, slots=True)
class Call(Generic[RequestT]):
    """A request for one of several methods: what to pass to `run`."""

    method: Method[RequestT, Message]
    request: RequestT

    def dump(self) -> bytes:
        """Checks the request and writes the input of the job.

        Raises:
            ContractError: Lists every violation.
        """
        members = _adapter(self.method.request).dump(self.request)[1:]
        comma = b"" if members == b"}" else b","
        return b'{"%s":"%s"%s%s' % (METHOD_KEY.encode(), self.method.name.encode(), comma, members)


def call(method: Method[RequestT, ResponseT], request: RequestT) -> Call[RequestT]:
    """A request with the word of which method it is for."""
    return Call(method, request)


def read_service(worker: ServiceWorker, *, lenient: bool) -> TypedHandler:
    """Reads the types of a service's methods from its table.

    Raises:
        HandlerTypeError: Its methods are of different kinds, or of another kind than the table says.
        ModuleNotFoundError: A message has rules, and what checks them is not installed.
    """
    name = type(worker).__qualname__
    functions: _Functions = {method.name: getattr(worker, key) for key, method in worker.METHODS.items()}
    readers = {method.name: _adapter(method.request) for method in worker.METHODS.values()}
    writers = {method.name: _adapter(method.response) for method in worker.METHODS.values()}
    by_class = {method.response: writers[method.name] for method in worker.METHODS.values()}
    _check_kinds(name, worker.METHODS, functions)
    responses = {method.name: method.response for method in worker.METHODS.values()}

    def call(job: dict[str, JSONValue], context: object) -> object:
        advice = advice_of(job)
        method, value = choose(job.get("input"), list(functions), advice)
        result = functions[method](parse_input(readers[method], value, lenient=lenient, advice=advice), context)
        # Where all responses are of one type, writing them checks it.
        return result if len(by_class) == 1 else _guarded(result, responses[method])

    def dump(value: JSONValue, what: str) -> bytes:
        writer = by_class.get(type(value))
        if writer is None:
            message = f"must be {' or '.join(kind.DESCRIPTOR.name for kind in by_class)}"
            raise OutputError(what, [Violation(field="", rule="type", message=message, value=cut(value))])
        return dump_output(writer, value)

    first = next(iter(functions.values()))
    return TypedHandler(name=name, function=first, call=call, dump=dump, inputs=readers, outputs={**writers})


def _check_kinds(name: str, methods: dict[str, Method[Message, Message]], functions: _Functions) -> None:
    """Refuses methods of different kinds, and one of another kind than the table says."""
    kinds: dict[str, FunctionKind] = {}
    for method in methods.values():
        kind = kinds[method.name] = kind_of(functions[method.name])
        # A decorator's function may give what the one behind it gives.
        behind = kind_of(inspect.unwrap(functions[method.name])) if kind is FunctionKind.PLAIN else kind
        if method.server_streaming not in (kind.is_stream, behind.is_stream):
            verb = "yield" if method.server_streaming else "return"
            raise HandlerTypeError(f"{name} must {verb} the output of {method.name}, but its method is {kind.value}")
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{method} is {kind.value}" for method, kind in kinds.items())
        raise HandlerTypeError(f"the methods of {name} must be of one kind, but {found}")


def _guarded(result: object, response: type[Message]) -> object:
    """What a method gave, which is refused where it is, or turns out to be, the message of another method."""
    match result:
        case AsyncGenerator():
            return _expect_each_later(result, response)
        case Generator():
            return _expect_each(result, response)
        case Awaitable():
            return _expect_later(result, response)
        case _:
            return _expect(result, response)


def _expect(result: object, response: type[Message]) -> object:
    """Refuses the message of another method; what is no message is none of this function's."""
    if isinstance(result, Message) and not isinstance(result, response):
        name = response.DESCRIPTOR.name
        problem = Violation(field="", rule="type", message=f"must be a {name} message", value=cut(result))
        raise OutputError(name, [problem])
    return result


async def _expect_later(result: Awaitable[object], response: type[Message]) -> object:
    return _expect(await result, response)


def _expect_each(chunks: Generator[object], response: type[Message]) -> Generator[object]:
    with closing(chunks):
        for chunk in chunks:
            yield _expect(chunk, response)


async def _expect_each_later(chunks: AsyncGenerator[object], response: type[Message]) -> AsyncGenerator[object]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield _expect(chunk, response)


def choose(value: object, names: list[str], advice: str = "") -> tuple[str, object]:
    """The method that an input is for, and the input without that word; where there is one method, it need not say.

    Raises:
        InputError: It is for no method; the advice ends the message.
    """
    name: object = names[0] if len(names) == 1 else None
    if isinstance(value, dict) and METHOD_KEY in value:
        name = value[METHOD_KEY]
        value = {key: item for key, item in value.items() if key != METHOD_KEY}
    if not isinstance(name, str) or name not in names:
        message = f"must be one of {', '.join(names)}"
        raise InputError("input", [Violation(field=METHOD_KEY, rule="enum", message=message, value=cut(name))], advice)
    return name, value


def _adapter(kind: type[Message]) -> Adapter[object]:
    adapter = find_adapter(kind)
    if adapter is None:
        raise TypeError(kind)
    return adapter
