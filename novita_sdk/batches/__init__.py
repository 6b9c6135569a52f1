"""Many jobs at once: a window over the inputs, a manifest that survives a crash, threads or tasks."""
