"""Results on standard output: a line each for people at a terminal, records for programs."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from rexnet_ai_real.cli.ending import close_stdout
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.predict.records import CSV, JSON_LINES, Format
from rexnet_ai_real.predict.row import Row
from rexnet_ai_real.provenance.block import printable

_STYLES = {"ai": ("AI", "bold dark_orange3"), "real": ("real", "bold blue"), "unsure": ("unsure", "bold")}


class Table:
    """Columns of verdict, probability and name, as the results come."""

    def __init__(self, console: Console) -> None:
        """Print the heading."""
        self.console = console
        self._print(Text("verdict  P(AI)  image", "dim"))

    def write(self, row: Row) -> None:
        """Print one line; characters that would move the cursor are left out."""
        line = Text()
        if row["error"]:
            line.append(f"{'error':<7}  {'':>5}  ", "red").append(printable(row["path"], 4000))
            line.append(f"  {printable(row['error'])}", "red")
        else:
            word, style = _STYLES[row["label"]]
            line.append(f"{word:<7}", style).append(f"  {row['probability']:5.1%}  ")
            line.append(printable(row["path"], 4000))
        if row.get("provenance_says"):
            line.append(f"  metadata {row['provenance']}", "dim")
        self._print(line)

    def _print(self, line: Text) -> None:
        with _told():
            self.console.print(line, highlight=False, soft_wrap=True)


class Stream:
    """CSV or JSON lines, each row on its way when `write` returns."""

    def __init__(self, form: Format, columns: Sequence[str]) -> None:
        """Write what stands before the rows."""
        self.form = form
        self._write(form.header(columns))

    def write(self, row: Row) -> None:
        """Write one row."""
        self._write(self.form.record(row))

    def _write(self, record: bytes) -> None:
        with _told():
            sys.stdout.buffer.write(record)
            sys.stdout.buffer.flush()


class _Terminal(Console):
    """Standard output; a reader that has gone ends the command as it does for every other output."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command."""
        raise BrokenPipeError


def standard_output(form: str | None, columns: Sequence[str]) -> tuple[Table | Stream, Console]:
    """Where rows go, and where a progress bar can be shown meanwhile.

    Args:
        form: table, csv or jsonl; None: a table at a terminal, else CSV.
        columns: of every row.
    """
    at_terminal = sys.stdout.isatty()
    if form == "table" or (form is None and at_terminal):
        console = _Terminal()
        return Table(console), console
    # Records that run over a terminal show how far they are; a bar would stand between them.
    quiet = Console(stderr=True, force_terminal=False if at_terminal else None)
    return Stream(JSON_LINES if form == "jsonl" else CSV, columns), quiet


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        close_stdout()
        raise UserError(f"standard output cannot be written ({(error.strerror or '').lower()})") from error
