"""The HTTP side: routes, keys, connections, metrics, and the pages for operators."""
