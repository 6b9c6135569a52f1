"""What several tests use: servers, workers, clients and processes, typed and importable. Nothing here is a test."""
