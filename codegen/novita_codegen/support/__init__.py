"""Sources of modules that the generator copies into its output."""
