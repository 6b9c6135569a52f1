"""The inside of a store, for what only it can be asked."""

from __future__ import annotations

import sqlite3

from novita_gateway import Store
from novita_gateway.store.board_store import BoardStore
from novita_gateway.store.sqlite import SqliteJournal


def writer_of(store: Store) -> sqlite3.Connection:
    """The connection that an SQLite store writes over."""
    assert isinstance(store, BoardStore)
    assert isinstance(store._journal, SqliteJournal)
    connection: sqlite3.Connection = store._journal._file._writer
    return connection
