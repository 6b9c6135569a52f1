"""The wire contract as pure functions: bytes to messages and back, states, retries, URLs, names.

Client, worker and gateway share this package. Nothing in it waits, reads a clock or the environment, or logs.
"""
