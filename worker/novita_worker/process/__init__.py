"""The worker's process: its signals, forks and memory."""
