"""The test suite: a package, so that its tests can import `tests.support`."""
