"""The client's decisions, pure: each call is a generator of steps, and the drivers carry the steps out."""
