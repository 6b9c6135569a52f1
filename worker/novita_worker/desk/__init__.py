"""The worker's decisions, pure: events in, actions out. Slots, leases, ordering and shutdown."""
