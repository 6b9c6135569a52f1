"""`novita-gpus gateway`: the embedded gateway as a server of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from novita_cli._exit import ExitCode
from novita_cli._failures import Failure
from novita_cli._json import compact, write_stdout
from novita_cli._session import AS_JSON

if TYPE_CHECKING:
    from novita_gateway import Gateway

__all__ = ["gateway_command"]

_FIRST_PORT: Final = 8000
_PORTS_TRIED: Final = 20
_DEFAULT_FILE: Final = Path("novita-gateway.db")
_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_KEY_VARIABLE: Final = "NOVITA_GATEWAY_API_KEY"
_TOKEN_VARIABLE: Final = "NOVITA_GATEWAY_WORKER_TOKEN"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    host: str
    port: int | None
    file: Path | None
    api_key: str | None = field(repr=False)
    worker_token: str | None = field(repr=False)
    as_json: bool


@click.command("gateway")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"0 for any free one. Default: {_FIRST_PORT}, or the next that is free.",
)
@click.option(
    "--db",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Where jobs are kept, so that a restart goes on with them. Default: {_DEFAULT_FILE} in this folder.",
)
@click.option("--memory", is_flag=True, help="Keep jobs in memory; they are gone when the gateway ends.")
@click.option(
    "--api-key",
    envvar=_KEY_VARIABLE,
    metavar="KEY",
    help=f"What clients send. Default: ${_KEY_VARIABLE}, or a new one.",
)
@click.option(
    "--worker-token",
    envvar=_TOKEN_VARIABLE,
    metavar="TOKEN",
    help=f"What workers send. Default: ${_TOKEN_VARIABLE}, or a new one.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is logged to stderr.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print url, api_key and worker_token as a line of JSON on stdout."
)
def gateway_command(
    host: str,
    port: int | None,
    file: Path | None,
    memory: bool,
    api_key: str | None,
    worker_token: str | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Run the embedded gateway until Ctrl-C. Needs no API key.

    It speaks the platform's protocol to every published client and worker. Keys that were not given are made anew at
    each start; an address other than loopback needs both. Ctrl-C or SIGTERM ends it with exit code 0.
    """
    click.get_current_context().meta[AS_JSON] = as_json
    if memory and file is not None:
        raise click.UsageError("--db and --memory exclude each other")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    settings = _Settings(
        host=host,
        port=port,
        file=None if memory else file or _DEFAULT_FILE,
        api_key=api_key,
        worker_token=worker_token,
        as_json=as_json,
    )
    asyncio.run(_serve(settings))


async def _serve(settings: _Settings) -> None:
    """Serves until a signal; a second one interrupts the end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stopped.set()
        for number in signals:
            loop.remove_signal_handler(number)

    async with AsyncExitStack() as stack:
        gateway = await _start(settings, stack)
        for number in signals:
            loop.add_signal_handler(number, stop)
        _introduce(gateway, settings)
        await stopped.wait()
        click.echo("gateway stops", err=True)


async def _start(settings: _Settings, stack: AsyncExitStack) -> Gateway:
    """Starts a gateway on the port, or on the first free one where none was asked for."""
    from novita_gateway._errors import StoreError

    ports = range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED) if settings.port is None else (settings.port,)
    for port in ports:
        try:
            return await stack.enter_async_context(_make(settings, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Failure(f"can't start on {settings.host}:{port}: {error}", reason="LISTEN") from None
        except StoreError as error:
            raise Failure(str(error), reason="STORE") from None
    span = f"port {ports[0]} is" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]} are"
    raise Failure(f"{span} taken; choose another with --port, or a free one with --port 0", reason="LISTEN")


def _make(settings: _Settings, port: int) -> Gateway:
    from novita_gateway import Gateway, MemoryStore, SQLiteStore

    store = MemoryStore() if settings.file is None else SQLiteStore(settings.file)
    try:
        return Gateway(
            store=store,
            host=settings.host,
            port=port,
            api_key=settings.api_key,
            worker_token=settings.worker_token,
        )
    except ValueError as error:
        raise Failure(f"{error} (--api-key, --worker-token)", ExitCode.USAGE, reason="USAGE") from None


def _introduce(gateway: Gateway, settings: _Settings) -> None:
    """Says where the gateway is and how to reach it; keys that the caller gave are not repeated."""
    url = gateway.url
    if settings.host in _ANY_ADDRESS:
        url = f"http://{socket.gethostname()}:{url.rpartition(':')[2]}"
    key = gateway.api_key if settings.api_key is None else "<the key you gave>"
    token = gateway.worker_token if settings.worker_token is None else "<the token you gave>"
    kept = "in memory" if settings.file is None else f"in {settings.file}"
    click.echo(
        f"gateway listens on {url}, and keeps jobs {kept}\n"
        "connect a client:\n"
        f"  export NOVITA_ENDPOINT_BASE_URL={url}\n"
        f"  export NOVITA_API_KEY={key}\n"
        "connect a worker:\n"
        f"  export {_TOKEN_VARIABLE}={token}\n"
        f'  eval "$(novita-gpus worker-env ENDPOINT --gateway {url})"\n'
        "  python handler.py\n"
        "Ctrl-C ends the gateway",
        err=True,
    )
    if settings.as_json:
        write_stdout(compact({"url": url, "api_key": gateway.api_key, "worker_token": gateway.worker_token}))
