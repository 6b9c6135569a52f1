"""The commands: one module each, of the same name with `_` for `-`, whose `command` it is."""
