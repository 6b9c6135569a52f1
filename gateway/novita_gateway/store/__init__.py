"""The stores: what they promise, a board with a journal beneath it, memory and SQLite."""
