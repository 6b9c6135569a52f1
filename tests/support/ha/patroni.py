"""Three PostgreSQL servers that Patroni watches and etcd votes for, all on one machine."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.ha.cluster import kill_tree, open_folder, signal_receivers
from tests.support.postgres_server import IS_ROOT, NOBODY, binaries
from tests.support.processes import free_port, is_alive
from tests.support.waiting import eventually

__all__ = ["PatroniCluster", "patroni_cluster"]

NODES: Final = 3
AS_NOBODY: Final = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # PostgreSQL refuses root, and this Python may lie where only root can read.
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)

CONFIGURATION: Final = """
scope: novita
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
etcd3: {{hosts: ["127.0.0.1:{etcd}"]}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    primary_start_timeout: 0
    maximum_lag_on_failover: 1000000000
    synchronous_mode: {is_synchronous}
    synchronous_mode_strict: {is_synchronous}
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 100, wal_log_hints: "on", shared_buffers: 32MB, fsync: "off"}}
  initdb: [{{encoding: UTF8}}, {{auth: trust}}, {{locale: C}}, {{username: postgres}}, no-sync]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {data}
  bin_dir: {binaries}
  pgpass: {data}.pgpass
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: postgres}}
    rewind: {{username: postgres}}
  parameters: {{unix_socket_directories: "{folder}"}}
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  basebackup: [{{checkpoint: fast}}]
"""


@dataclass
class Node:
    """A server and its Patroni."""

    name: str
    folder: Path
    port: int
    rest: int
    patroni: subprocess.Popen[bytes] | None = None

    @property
    def postmaster(self) -> int | None:
        """The server's first process, if it lives."""
        try:
            pid = int((self.folder / self.name / "postmaster.pid").read_text().split()[0])
        except (OSError, IndexError):
            return None
        return pid if is_alive(pid) else None

    def state(self) -> dict[str, Any]:
        """What Patroni says of it; nothing where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=2) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.load(error))
        except (OSError, ValueError):
            return {}

    @property
    def is_primary(self) -> bool:
        """Whether it takes writes."""
        state = self.state()
        return state.get("role") in {"primary", "master"} and state.get("state") == "running"

    @property
    def follows(self) -> bool:
        """Whether it receives from a primary."""
        state = self.state()
        return state.get("role") == "replica" and state.get("replication_state") == "streaming"


class PatroniCluster:
    """Three servers, of which Patroni promotes another one when the primary is gone.

    Args:
        folder: For all of them.
        is_synchronous: A commit waits for a standby, and goes on waiting where there is none.
    """

    def __init__(self, folder: Path, *, is_synchronous: bool) -> None:
        self._folder = folder
        self._is_synchronous = is_synchronous
        self._etcd, self._peer = free_port(), free_port()
        self.nodes = [Node(f"node{n}", folder, free_port(), free_port()) for n in range(NODES)]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.dsn = f"postgresql://postgres@{hosts}/postgres"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Returns when both standbys follow."""
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peer}"
        self._run(
            *("etcd", "--name", "e0", "--data-dir", str(self._folder / "etcd"), "--initial-cluster", f"e0={peer}"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            log="etcd",
        )
        for node in self.nodes:
            file = self._folder / f"{node.name}.yml"
            file.write_text(
                CONFIGURATION.format(
                    name=node.name,
                    rest=node.rest,
                    etcd=self._etcd,
                    port=node.port,
                    is_synchronous=str(self._is_synchronous).lower(),
                    data=self._folder / node.name,
                    folder=self._folder,
                    binaries=binaries(),
                )
            )
            node.patroni = self._run(sys.executable, "-m", "patroni", str(file), log=node.name)
        eventually(self._is_whole, self._words)

    def stop(self) -> None:
        """Ends everything."""
        for node in self.nodes:
            self._kill(node, machine=True)
        for process in self._processes:
            process.kill()
            process.wait()

    def hold_standbys(self) -> None:
        """What the primary sends from now on reaches no standby, though it leaves the primary."""
        held = [signal_receivers(node.postmaster, signal.SIGSTOP) for node in self._standbys() if node.postmaster]
        assert sum(held) == NODES - 1

    def kill_primary(self, *, machine: bool = False) -> None:
        """Ends the primary, with its Patroni where its machine dies; returns when another server takes writes."""
        primary, standbys = self.primary, self._standbys()
        self._kill(primary, machine=machine)
        for node in standbys:
            if node.postmaster:
                signal_receivers(node.postmaster, signal.SIGKILL)
        eventually(lambda: any(node.is_primary for node in standbys), self._words)

    def kill_standby(self) -> None:
        """Ends the standby that the primary waits for, and its Patroni; another one takes its place."""
        standbys = self._standbys()
        (node,) = [node for node in standbys if node.state().get("sync_standby")] or standbys[:1]
        self._kill(node, machine=True)

    @property
    def primary(self) -> Node:
        """The server that takes writes."""
        found = eventually(lambda: [node for node in self.nodes if node.is_primary], self._words)
        return found[0]

    def _standbys(self) -> list[Node]:
        primary = self.primary
        return [node for node in self.nodes if node is not primary]

    def _is_whole(self) -> bool:
        assert all(process.poll() is None for process in self._processes), self._words()
        states = [node.state() for node in self.nodes]
        return (
            sum(node.follows for node in self.nodes) == NODES - 1
            and any(node.is_primary for node in self.nodes)
            and (not self._is_synchronous or any(state.get("sync_standby") for state in states))
        )

    def _kill(self, node: Node, *, machine: bool) -> None:
        if machine and node.patroni is not None:
            with suppress(ProcessLookupError):
                os.killpg(node.patroni.pid, signal.SIGKILL)
            node.patroni.wait()
        if node.postmaster is not None:
            kill_tree(node.postmaster)

    def _run(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                [*(AS_NOBODY if IS_ROOT else ()), *command],
                stdout=file,
                stderr=file,
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "HOME": str(self._folder)},
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _words(self) -> str:
        logs = [f"{node.name}: {node.state()}\n{self._tail(node.name)}" for node in self.nodes]
        return "\n".join([*logs, self._tail("etcd")])

    def _tail(self, name: str) -> str:
        file = self._folder / f"{name}.log"
        return file.read_text(errors="replace")[-1500:] if file.exists() else ""


@contextmanager
def patroni_cluster(is_synchronous: bool) -> Iterator[PatroniCluster]:
    """Three servers, while a block lasts; skips the test where Patroni or etcd are not at hand."""
    if shutil.which("etcd") is None:
        pytest.skip("no etcd here; Debian's package is etcd-server")
    if importlib.util.find_spec("patroni") is None:
        pytest.skip("no Patroni here; the dependency group `dev` has it")
    if IS_ROOT and shutil.which("setpriv") is None:
        pytest.skip("the tests run as root, and there is no setpriv to run PostgreSQL as somebody else")
    with open_folder() as folder:
        if IS_ROOT:
            os.chown(folder, NOBODY, NOBODY)
        made = PatroniCluster(folder, is_synchronous=is_synchronous)
        try:
            made.start()
            yield made
        finally:
            made.stop()
