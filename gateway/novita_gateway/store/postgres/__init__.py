"""The store of many gateways: PostgreSQL keeps the jobs, and no gateway has state of its own."""
