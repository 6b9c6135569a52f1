"""The checks of a database before a gateway works with it: its version, its pooler, what a failover may lose."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from novita_gateway._errors import StoreError

if TYPE_CHECKING:
    import asyncpg

__all__ = ["check_durability", "check_server", "refuse_shared_sessions"]

OLDEST: Final = 150_000
"""PostgreSQL 15, as `server_version_num` has it."""

_POOLER: Final = (
    "the database is behind a pooler that hands out its connections by transaction, as PgBouncer does with"
    " pool_mode=transaction: gateways listen for notifications and set up their sessions; use pool_mode=session, or"
    " connect to PostgreSQL itself (a gateway keeps about a dozen connections)"
)

_log = logging.getLogger("novita_gateway")


async def check_server(connection: asyncpg.Connection[Any]) -> None:
    """Raises StoreError for a server that is too old."""
    number = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if number < OLDEST:
        raise StoreError(f"the database is PostgreSQL {number // 10_000}; use 15 or newer")


async def refuse_shared_sessions(first: asyncpg.Connection[Any], second: asyncpg.Connection[Any]) -> None:
    """Raises StoreError where two open connections meet the same session of the server, or one meets several."""
    import asyncpg

    try:
        seen = [await connection.fetchval("SELECT pg_backend_pid()") for connection in (first, second) * 3]
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        raise StoreError(_POOLER) from None
    if len(set(seen[::2])) > 1 or len(set(seen[1::2])) > 1 or seen[0] == seen[1]:
        raise StoreError(_POOLER)


async def check_durability(connection: asyncpg.Connection[Any], *, require_synchronous: bool) -> None:
    """Says loudly what may lose acknowledged work.

    Args:
        connection: To the primary.
        require_synchronous: Refuse it.

    Raises:
        StoreError: It may, and that is refused.
    """
    record = await connection.fetchrow(
        "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,"
        " current_setting('synchronous_standby_names') AS standbys"
    )
    risks = []
    if record["fsync"] == "off" or record["full_page_writes"] == "off":
        risks.append("fsync or full_page_writes is off: a machine that stops may lose or damage everything")
    if not record["standbys"].strip():
        risks.append(
            "synchronous_standby_names is empty: a failover to a standby may lose jobs and results that were"
            " acknowledged (a managed service may replicate in another way; see its documentation)"
        )
    if risks and require_synchronous:
        raise StoreError(f"refused, because acknowledged work could be lost: {'; '.join(risks)}")
    for risk in risks:
        _log.warning("ACKNOWLEDGED WORK CAN BE LOST: %s", risk)
