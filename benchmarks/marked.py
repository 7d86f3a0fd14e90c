"""A part of a text file that a command writes anew, between two marks; what people wrote around it stays."""

from pathlib import Path

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import write_text


def write_between_marks(file: Path, name: str, text: str, *, title: str) -> None:
    """Replace what stands between the marks of `name`; without marks it is added at the end of the file.

    Args:
        file: Markdown; made with its title where it is missing.
        name: of the part, in its marks.
        text: Markdown.
        title: heading of a new file.

    Raises:
        UserError: only one of the two marks is there, or they are in the wrong order.
    """
    begin, end = f"<!-- {name}: begin, written by a command -->", f"<!-- {name}: end -->"
    old = file.read_text(encoding="utf-8") if file.is_file() else f"# {title}\n"
    before, has_begin, rest = old.partition(begin)
    _, has_end, after = (rest if has_begin else old).partition(end)
    if bool(has_begin) != bool(has_end):
        raise UserError(
            f"{file}: expected {begin} and, below it, {end}; restore the one that is missing, or remove both"
        )
    if not has_begin:
        before, after = f"{old.rstrip()}\n\n", "\n"
    write_text(file, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
