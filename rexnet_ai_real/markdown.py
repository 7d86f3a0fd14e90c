"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Iterable[str]], *, right: Iterable[int] = ()) -> str:
    """A table, without a line break at its end. Cells may hold anything: they are put on one line, and bars escaped.

    Args:
        columns: the headings.
        rows: as many cells each.
        right: numbers of the columns that are aligned right.
    """
    aligned = set(right)
    rule = "".join(" ---: |" if index in aligned else " --- |" for index in range(len(columns)))
    return "\n".join([_row(columns), f"|{rule}", *map(_row, rows)])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
