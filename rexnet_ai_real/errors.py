"""Errors that are the user's to mend."""


class UserError(Exception):
    """Its message says what was wrong, what was expected and what to do; commands print it without a traceback."""
