"""What belongs to the worker's process: signals, forks and memory."""
