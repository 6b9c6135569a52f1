"""The worker's calls to the gateway: takes, stop orders, deliveries, and the heartbeat."""
