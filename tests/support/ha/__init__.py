"""Many gateways on a database that fails: the parts of such a test."""
