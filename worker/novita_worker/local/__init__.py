"""A worker without a gateway: one job from the command line, and tests of handlers."""
