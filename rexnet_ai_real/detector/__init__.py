"""A trained detector as users hold it."""
