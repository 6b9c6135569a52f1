"""The `novita-gpus` command line."""
