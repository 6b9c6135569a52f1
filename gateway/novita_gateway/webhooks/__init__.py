"""Webhooks: sending them, and the addresses they may go to."""
