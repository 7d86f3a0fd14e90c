"""The trained detector as users hold it."""
