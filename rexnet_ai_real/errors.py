"""Errors that the user can put right."""


def one_line(text: str, most: int = 1000) -> str:
    """Text for a terminal that quotes a stranger's file: in one line, without control characters, and not endless."""
    return "".join(character if character.isprintable() else " " for character in text)[:most]


def visible(text: str) -> str:
    """Text that quotes names, which may hold anything: characters that steer a terminal are written out as their codes.

    So are bytes that are no UTF-8.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class UserError(Exception):
    """Its message says what was wrong, what was expected and what to do; commands print it without a traceback."""
