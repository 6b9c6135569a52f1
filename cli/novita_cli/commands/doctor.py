"""`novita-gpus doctor`: what this machine has, and whether the gateway answers."""

from __future__ import annotations

from typing import Final

import click

from novita_cli._failures import ExitCode, exit_code_of
from novita_cli._session import Session, session_options
from novita_cli._words import in_options
from novita_sdk._version import __version__

__all__ = ["command"]

_PACKAGES: Final = ("aiohttp", "boto3", "click", "msgspec", "protobuf", "requests", "rich")
_EXTRAS: Final = {"codegen": "grpc_tools", "grpc": "grpc", "typed": "protovalidate"}
_NOBODY: Final = "novita-gpus-doctor"
"""An endpoint that need not exist: that the gateway knows no such endpoint is an answer too."""


@click.command("doctor")
@session_options
def command(session: Session) -> None:
    """Print versions, and whether the gateway answers.

    The exit code is 3 if it does not, or does not take the API key.
    """
    import importlib.util
    import platform
    from importlib.metadata import version

    code, gateway = _ask(session)
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


def _ask(session: Session) -> tuple[ExitCode, dict[str, str]]:
    from novita_sdk.errors import NotFoundError, NovitaError

    try:
        with session.client() as client:
            try:
                client.endpoint(_NOBODY).health()
            except NotFoundError:
                pass
            except NovitaError as error:
                return exit_code_of(type(error)), {"url": client.base_url, "problem": in_options(str(error))}
            return ExitCode.OK, {"url": client.base_url, "state": "answers and takes the API key"}
    except NovitaError as error:
        return exit_code_of(type(error)), {"problem": in_options(str(error))}
