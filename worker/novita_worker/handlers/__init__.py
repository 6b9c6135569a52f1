"""The user's handler: its specification, its context, how it is run, and what comes of it."""
