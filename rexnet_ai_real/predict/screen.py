"""Results on standard output: a line each for people at a terminal, records for programs."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from rexnet_ai_real.cli.ending import close_stdout
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import ABSTENTIONS, OUT_OF_SCOPE, SHORT_WORDS, percent
from rexnet_ai_real.predict.records import CSV, JSON_LINES, Format
from rexnet_ai_real.predict.row import Row
from rexnet_ai_real.provenance.block import printable

_STYLES = {"ai": "bold dark_orange3", "real": "bold blue", "unsure": "bold", "out of scope": "bold magenta"}


_VERDICT = len("out of scope, leans real")
_PERCENT = len("> 99 % AI")


class Table:
    """A line per result for people: verdict, probability and file."""

    def __init__(self, console: Console) -> None:
        """Print the heading."""
        self.console = console
        self._print(Text(f"{'verdict':<{_VERDICT}}  {'P(AI)':>{_PERCENT}}  image", "dim"))

    def write(self, row: Row) -> None:
        """Print one line, without control characters."""
        line = Text()
        if row["error"]:
            line.append(f"{'error':<{_VERDICT}}  {'':>{_PERCENT}}  ", "red").append(printable(row["path"], 4000))
            line.append(f"  {printable(row['error'])}", "red")
        else:
            label = row["label"]
            words = SHORT_WORDS[label]
            if label in ABSTENTIONS and row["leaning"]:
                words += f", leans {SHORT_WORDS[row['leaning']]}"
            line.append(f"{words:<{_VERDICT}}", _STYLES[label]).append(f"  {percent(row['probability']):>{_PERCENT}}  ")
            line.append(printable(row["path"], 4000))
        if row["label"] == OUT_OF_SCOPE:
            line.append(f"  {row['reason']}", "dim")
        elif row["remark"]:
            line.append(f"  {row['remark']}", "dim")
        if row.get("provenance_says"):
            line.append(f"  metadata {row['provenance']}", "dim")
        self._print(line)

    def close(self, sentences: Sequence[str]) -> None:
        """Print what the answers are worth, below them."""
        for sentence in ("", *sentences):
            self._print(Text(sentence, "dim"))

    def _print(self, line: Text) -> None:
        with _explained_write_errors():
            self.console.print(line, highlight=False, soft_wrap=True)


class Stream:
    """CSV or JSON lines, flushed after each row. Programs read them: nothing is written besides."""

    def __init__(self, form: Format, columns: Sequence[str]) -> None:
        """Write what stands before the rows."""
        self.form = form
        self._write(form.header(columns))

    def write(self, row: Row) -> None:
        """Write one row."""
        self._write(self.form.record(row))

    def close(self, sentences: Sequence[str]) -> None:
        """Leave the sentences out."""

    def _write(self, record: bytes) -> None:
        with _explained_write_errors():
            sys.stdout.buffer.write(record)
            sys.stdout.buffer.flush()


class _Terminal(Console):
    """Standard output; when its reader stops, the command ends as it does for CSV and JSON lines."""

    def on_broken_pipe(self) -> None:
        """Leave the error to the command."""
        raise BrokenPipeError


def standard_output(form: str | None, columns: Sequence[str]) -> tuple[Table | Stream, Console]:
    """Where rows are written, and where a progress bar can be shown.

    Args:
        form: table, csv or jsonl; None: a table at a terminal, else CSV.
        columns: of every row.
    """
    at_terminal = sys.stdout.isatty()
    if form == "table" or (form is None and at_terminal):
        console = _Terminal()
        return Table(console), console
    # Records on a terminal show the progress themselves; a bar would be drawn between them.
    quiet = Console(stderr=True, force_terminal=False if at_terminal else None)
    return Stream(JSON_LINES if form == "jsonl" else CSV, columns), quiet


@contextmanager
def _explained_write_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        close_stdout()
        raise UserError(f"standard output cannot be written ({(error.strerror or '').lower()})") from error
