"""The gateway's decisions, pure: commands over job rows give events."""
