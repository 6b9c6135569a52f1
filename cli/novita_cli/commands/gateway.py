"""`novita-gpus gateway`: the embedded gateway as a server of its own."""

from __future__ import annotations

import errno
import logging
import shlex
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from novita_cli._failures import CommandError, ExitCode
from novita_cli._json import compact
from novita_cli._options import stacked
from novita_cli._session import AS_JSON
from novita_cli._stdout import write_stdout

if TYPE_CHECKING:
    from novita_gateway import Gateway, Store

__all__ = ["command"]

_PORTS: Final = range(8000, 8020)
"""Tried in turn where none was asked for."""

_DEFAULT_FILE: Final = Path("novita-gateway.db")
_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_KEY_VARIABLE: Final = "NOVITA_GATEWAY_API_KEY"
_TOKEN_VARIABLE: Final = "NOVITA_GATEWAY_WORKER_TOKEN"  # noqa: S105 - the variable's name
_URL_VARIABLE: Final = "NOVITA_GATEWAY_PUBLIC_URL"
_PROXIES_VARIABLE: Final = "NOVITA_GATEWAY_TRUSTED_PROXIES"
_STORE_VARIABLE: Final = "NOVITA_GATEWAY_STORE"
_SECRET_VARIABLE: Final = "NOVITA_GATEWAY_WEBHOOK_SECRET"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secrets:
    """What the caller gave; None for what is to be made anew."""

    api_key: str | None = field(repr=False)
    worker_token: str | None = field(repr=False)
    webhook_secret: str | None = field(repr=False)


_secret_options: Final = stacked(
    click.option(
        "--api-key",
        envvar=_KEY_VARIABLE,
        metavar="KEY",
        help=f"What clients send. Default: ${_KEY_VARIABLE}, or one that is made.",
    ),
    click.option(
        "--worker-token",
        envvar=_TOKEN_VARIABLE,
        metavar="TOKEN",
        help=f"What workers send. Default: ${_TOKEN_VARIABLE}, or one that is made.",
    ),
    click.option(
        "--webhook-secret",
        envvar=_SECRET_VARIABLE,
        metavar="SECRET",
        help=f"Signs webhooks (whsec_…). Default: ${_SECRET_VARIABLE}, or one that is made.",
    ),
)


_store_option: Final = click.option(
    "--store",
    envvar=_STORE_VARIABLE,
    metavar="DSN",
    help="Keep jobs in PostgreSQL, for any number of gateways: postgresql://USER@HOST[,HOST]/NAME?sslmode=verify-full. "
    f"All of them need the same keys and secret. Default: ${_STORE_VARIABLE}.",
)

_proxy_options: Final = stacked(
    click.option(
        "--public-url",
        envvar=_URL_VARIABLE,
        metavar="URL",
        help="Where others reach the gateway through a proxy, such as https://gateway.example.com; links of files lead "
        f"there. Default: ${_URL_VARIABLE}, or what each request names as its host.",
    ),
    click.option(
        "--trusted-proxy",
        "trusted_proxies",
        multiple=True,
        envvar=_PROXIES_VARIABLE,
        metavar="ADDRESS",
        help="Address or network of a proxy whose X-Forwarded-Proto and X-Forwarded-Host count for links; may be given "
        f"several times. Default: ${_PROXIES_VARIABLE} (with spaces between them), or this machine.",
    ),
)


@click.group("gateway", invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"0 for any free one. Default: {_PORTS[0]}, or the next that is free.",
)
@click.option(
    "--db",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where jobs are kept, so that a restart goes on with them, and beside it, in FILE-files, the files that "
    f"travel with them, and in FILE-keys the keys that were not given. Default: {_DEFAULT_FILE} in this folder.",
)
@_store_option
@click.option(
    "--require-synchronous",
    is_flag=True,
    help="With --store: refuse a database that could lose acknowledged work in a failover.",
)
@click.option(
    "--no-migrate", is_flag=True, help="With --store: refuse older tables instead of bringing them up to date."
)
@click.option(
    "--files",
    "files",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Where files that travel with jobs are kept. With --store a directory that all gateways share. Default: "
    "FILE-files; with --store the bucket of $BUCKET_ENDPOINT_URL and the like, or nowhere.",
)
@click.option("--memory", is_flag=True, help="Keep jobs in memory; they are gone when the gateway ends.")
@_secret_options
@_proxy_options
@click.option("--allow-private-webhooks", is_flag=True, help="Let webhooks reach private and loopback addresses.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is logged to stderr, as JSON.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print url, api_key and worker_token as a line of JSON on stdout."
)
@click.pass_context
def command(
    context: click.Context,
    host: str,
    port: int | None,
    file: Path | None,
    store: str | None,
    require_synchronous: bool,
    no_migrate: bool,
    files: Path | None,
    memory: bool,
    api_key: str | None,
    worker_token: str | None,
    webhook_secret: str | None,
    public_url: str | None,
    trusted_proxies: tuple[str, ...],
    allow_private_webhooks: bool,
    log_level: str,
    as_json: bool,
) -> None:
    """Run the embedded gateway until Ctrl-C.

    Needs no API key. It speaks the platform's protocol to every published client and worker. Keys that were not given
    are made, and kept beside the jobs in FILE-keys; an address other than loopback needs both. Ctrl-C or SIGTERM ends
    it with exit code 0.
    """
    if context.invoked_subcommand is not None:
        return
    context.meta[AS_JSON] = as_json
    if context.get_parameter_source("store") is ParameterSource.ENVIRONMENT and (memory or file is not None):
        store = None
    if memory + (file is not None) + (store is not None) > 1:
        raise click.UsageError("--db, --memory and --store exclude each other")
    from novita_gateway import Gateway, log_to

    log_to(level=logging.getLevelNamesMapping()[log_level.upper()])
    secrets = _Secrets(api_key=api_key, worker_token=worker_token, webhook_secret=webhook_secret)
    if store is not None:
        _check_shared(secrets)
    kept = None if memory or store is not None else file or _DEFAULT_FILE
    keys = None if kept is None else kept.with_name(f"{kept.name}-keys")

    def make_gateway(port: int) -> Gateway:
        return Gateway(
            store=_make_store(kept, store, require_synchronous=require_synchronous, migrate=not no_migrate),
            host=host,
            port=port,
            api_key=secrets.api_key,
            worker_token=secrets.worker_token,
            webhook_secret=secrets.webhook_secret,
            allow_private_webhooks=allow_private_webhooks,
            files=files or (None if kept is None else kept.with_name(f"{kept.name}-files")),
            public_url=public_url,
            trusted_proxies=trusted_proxies or None,
            keys_file=keys,
        )

    def introduce(gateway: Gateway) -> None:
        place = "in PostgreSQL" if store is not None else "in memory" if kept is None else f"in {kept}"
        click.echo(_introduction(gateway, host, place, keys, secrets), err=True)
        if as_json:
            told = {"url": gateway.url, "api_key": gateway.api_key, "worker_token": gateway.worker_token}
            write_stdout(compact(told))

    _serve(make_gateway, introduce, _PORTS if port is None else (port,))


@command.command("migrate")
@_store_option
def migrate(store: str | None) -> None:
    """Bring the tables of a database up to date, which a gateway does when it starts as well.

    It is said which files were applied. Gateways of the version before may go on meanwhile.
    """
    if store is None:
        raise click.UsageError(f"name the database with --store or ${_STORE_VARIABLE}")
    import asyncio

    from novita_gateway import StoreError, migrate_database

    try:
        applied = asyncio.run(migrate_database(store))
    except StoreError as error:
        raise CommandError(str(error), reason="STORE") from None
    numbers = ", ".join(f"{number:04}" for number in applied)
    click.echo(f"applied {numbers}" if applied else "the tables are up to date", err=True)


@command.command("copy")
@click.option(
    "--from",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of a gateway that was stopped.",
)
@click.option(
    "--to",
    "store",
    envvar=_STORE_VARIABLE,
    required=True,
    metavar="DSN",
    help=f"The database, without jobs so far; see --store. Default: ${_STORE_VARIABLE}.",
)
def copy(file: Path, store: str) -> None:
    """Copy the jobs of a gateway's file into a database, all of them or none.

    Ids, states, results, streams, places in the queue and webhooks that are to be called stay; no time passes for ttl
    and retention meanwhile. Refused while a gateway has the file open, and where the database has jobs already.
    """
    import asyncio

    from novita_gateway import StoreError, copy_jobs

    try:
        copied = asyncio.run(copy_jobs(file, store))
    except StoreError as error:
        raise CommandError(str(error), reason="STORE") from None
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(copied.jobs.items()))
    count = sum(copied.jobs.values())
    click.echo(f"copied {count:,} jobs{f' ({states})' if states else ''}, {copied.payloads:,} payloads", err=True)
    for name, use in (
        ("keys", "its keys, for all gateways: source it"),
        ("files", "its files: give --files of all gateways a copy"),
    ):
        if (beside := file.with_name(f"{file.name}-{name}")).exists():
            click.echo(f"not copied: {beside} ({use})", err=True)


def _make_store(kept: Path | None, dsn: str | None, *, require_synchronous: bool, migrate: bool) -> Store:
    from novita_gateway import MemoryStore, PostgresStore, SQLiteStore

    if dsn is not None:
        return PostgresStore(dsn, require_synchronous=require_synchronous, migrate=migrate)
    return MemoryStore() if kept is None else SQLiteStore(kept)


def _check_shared(secrets: _Secrets) -> None:
    """Raises UsageError for what would be made anew, and so differ from gateway to gateway."""
    given = {
        _KEY_VARIABLE: secrets.api_key,
        _TOKEN_VARIABLE: secrets.worker_token,
        _SECRET_VARIABLE: secrets.webhook_secret,
    }
    if missing := [f"${name}" for name, value in given.items() if value is None]:
        raise click.UsageError(
            f"gateways with one --store need the same keys and secret: give each {' and '.join(missing)}"
        )


def _serve(make_gateway: Callable[[int], Gateway], introduce: Callable[[Gateway], None], ports: Sequence[int]) -> None:
    """Serves on the first port that is free."""
    from novita_gateway import StoreError, serve_forever

    for port in ports:
        try:
            serve_forever(partial(make_gateway, port), on_start=introduce)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CommandError(f"the gateway can't run: {error}", reason="GATEWAY") from None
        except StoreError as error:
            raise CommandError(str(error), reason="STORE") from None
        except ValueError as error:
            raise CommandError(str(error), ExitCode.USAGE, reason="USAGE") from None
        else:
            return
    span = f"port {ports[0]} is" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]} are"
    raise CommandError(f"{span} taken; choose another with --port, or a free one with --port 0", reason="GATEWAY")


def _introduction(gateway: Gateway, host: str, place: str, keys: Path | None, secrets: _Secrets) -> str:
    """Where the gateway is and how to reach it; secrets that the caller gave, or that a file keeps, are not told."""
    url = gateway.public_url
    if host in _ANY_ADDRESS and url == gateway.url:
        url = f"http://{socket.gethostname()}:{gateway.port}/v1"

    def shown(given: str | None, made: str, variable: str) -> str:
        if given is not None:
            return f"<the {variable.rpartition('_')[2].lower()} you gave>"
        return made if keys is None else f'"${variable}"'

    def sourced(given: str | None) -> list[str]:
        return [] if given is not None or keys is None else [f"  . {shlex.quote(str(keys.absolute()))}"]

    secret = shown(secrets.webhook_secret, gateway.webhook_secret, _SECRET_VARIABLE)
    lines = [
        f"gateway listens on {url}, and keeps jobs {place}",
        "connect a client:",
        *sourced(secrets.api_key),
        f"  export NOVITA_ENDPOINT_BASE_URL={url}",
        f"  export NOVITA_API_KEY={shown(secrets.api_key, gateway.api_key, _KEY_VARIABLE)}",
        "connect a worker:",
        *sourced(secrets.worker_token),
        f"  export {_TOKEN_VARIABLE}={shown(secrets.worker_token, gateway.worker_token, _TOKEN_VARIABLE)}",
        f'  eval "$(novita-gpus worker-env ENDPOINT --gateway {url})"',
        "  python handler.py",
        f"webhooks are signed with {secret}",
        "Ctrl-C ends the gateway",
    ]
    return "\n".join(lines)
