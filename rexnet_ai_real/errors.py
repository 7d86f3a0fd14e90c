"""Errors that the user can put right."""


class UserError(Exception):
    """Its message says what was wrong, what was expected and what to do; commands print it without a traceback."""
