"""`novita-gpus doctor`: what this machine has, and whether the gateway answers."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

import click

from novita_cli._failures import ExitCode, exit_code_of
from novita_cli._session import Session, session_options
from novita_cli._words import in_options
from novita_sdk._version import __version__
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import Client
    from novita_sdk.errors import APIError

__all__ = ["command"]

_PACKAGES: Final = ("aiohttp", "boto3", "click", "msgspec", "protobuf", "requests", "rich")
_EXTRAS: Final = {"codegen": "grpc_tools", "grpc": "grpc", "typed": "protovalidate"}
_NOBODY: Final = "novita-gpus-doctor"
"""An endpoint that need not exist: that the gateway knows no such endpoint is an answer too."""
_MADE_UP: Final = "made-up-by-novita-gpus-doctor"
_VERSION: Final = re.compile(r"/v\d+(/|$)")
_TAKES_KEY: Final = "answers and takes the API key, and refuses one that is made up"
_TAKES_ANY: Final = "answers; whether the API key is right can't be told, for a made-up one gets the same answer"


@click.command("doctor")
@click.option("--endpoint", default=_NOBODY, metavar="NAME", help="One of yours to ask about; else a made-up one.")
@session_options
def command(session: Session, endpoint: str) -> None:
    """Print versions, and whether the gateway answers.

    It is asked twice: with the API key, and with one that is made up. The exit code is 3 if there is no answer of the
    API, or the key is refused.
    """
    import importlib.util
    import platform
    from importlib.metadata import version

    code, gateway = _ask(session, endpoint)
    session.emit(
        {
            "novita-gpus": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: version(name) for name in _PACKAGES},
            "extras": [name for name, module in _EXTRAS.items() if importlib.util.find_spec(module)],
            "gateway": gateway,
        }
    )
    click.get_current_context().exit(code)


class _Kind(enum.Enum):
    """What an answer is."""

    API = "answers as the API does"
    NO_ENDPOINT = "answers as the API does, and knows no such endpoint"
    REFUSED = "refuses the key"
    ELSEWHERE = "is something else than the API"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was seen of a gateway; `words` are those of the error, where it was one."""

    kind: _Kind
    words: str = ""


def _ask(session: Session, endpoint: str) -> tuple[ExitCode, dict[str, JSONValue]]:
    """What a gateway is seen to do; nothing is said of it that was not."""
    from novita_sdk import Client
    from novita_sdk.errors import NovitaError

    gateway: dict[str, JSONValue] = {}
    try:
        with session.client() as client:
            gateway["url"] = url = client.base_url
            seen = _look(client, endpoint)
        match seen.kind:
            case _Kind.REFUSED:
                return ExitCode.UNREACHABLE, {**gateway, "problem": in_options(seen.words)}
            case _Kind.ELSEWHERE:
                problem = f"{url} {seen.kind.value}: {seen.words}"
                if not _VERSION.search(url):
                    with Client(api_key=session.api_key, base_url=f"{url}/v1") as client:
                        if _look(client, endpoint).kind is not _Kind.ELSEWHERE:
                            problem = f"{url} lacks the API version; {url}/v1 answers as the API does"
                return ExitCode.UNREACHABLE, {**gateway, "problem": in_options(problem)}
            case _Kind.API | _Kind.NO_ENDPOINT:
                with Client(api_key=_MADE_UP, base_url=url) as client:
                    is_checked = _look(client, endpoint).kind is _Kind.REFUSED
            case _:
                assert_never(seen.kind)
    except NovitaError as error:
        return exit_code_of(type(error)), {**gateway, "problem": in_options(str(error))}
    if endpoint != _NOBODY:
        gateway["endpoint"] = f"{endpoint}: {'known' if seen.kind is _Kind.API else 'not known, or not to this key'}"
    gateway["state"] = _TAKES_KEY if is_checked else _TAKES_ANY
    return ExitCode.OK, gateway


def _look(client: Client, endpoint: str) -> _Seen:
    """Asks how an endpoint is."""
    from novita_sdk.errors import APIError, AuthenticationError, NotFoundError, ProtocolError

    try:
        health = client.endpoint(endpoint).health()
    except AuthenticationError as error:
        return _Seen(kind=_Kind.REFUSED if error.status in {401, 403} else _Kind.ELSEWHERE, words=str(error))
    except NotFoundError as error:
        return _Seen(kind=_Kind.NO_ENDPOINT if _is_of_api(error) else _Kind.ELSEWHERE, words=str(error))
    except (APIError, ProtocolError) as error:
        if isinstance(error, APIError) and error.status not in {400, 405, 410, 501}:
            raise
        return _Seen(kind=_Kind.ELSEWHERE, words=str(error))
    if isinstance(health.get("jobs"), dict) or isinstance(health.get("workers"), dict):
        return _Seen(kind=_Kind.API)
    return _Seen(kind=_Kind.ELSEWHERE, words="its answer counts neither jobs nor workers")


def _is_of_api(error: APIError) -> bool:
    """Whether it is an endpoint that is not found, and not the place where to ask for it."""
    from novita_sdk.wire.refusals import read_refusal

    body = b"" if error.response is None else error.response.content
    said = read_refusal(body)
    return bool(str(said)) and not said.is_page and said.code != "ROUTE_NOT_FOUND"
