"""The places that keep files, a bucket or the gateway's own store, and how a process finds its own."""
