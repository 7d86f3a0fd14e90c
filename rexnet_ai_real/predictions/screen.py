"""Results for people at a terminal: a line each, as they come."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from rexnet_ai_real.predictions.row import Row
from rexnet_ai_real.provenance.block import printable

_STYLES = {"ai": ("AI", "bold dark_orange3"), "real": ("real", "bold blue"), "unsure": ("unsure", "bold")}


def show_table(rows: Iterable[Row], console: Console | None = None) -> int:
    """Print the rows and say how many of them are errors."""
    console = console or Console()
    console.print("verdict  P(AI)  picture", style="dim", highlight=False)
    failed = 0
    for row in rows:
        line = Text(no_wrap=False)
        if row["error"]:
            failed += 1
            line.append(f"{'error':<7}  {'':>5}  ", "red").append(printable(row["path"], 4000))
            line.append(f"  {printable(row['error'])}", "red")
        else:
            word, style = _STYLES[row["label"]]
            line.append(f"{word:<7}", style).append(f"  {row['probability']:5.1%}  ").append(
                printable(row["path"], 4000)
            )
            if row.get("provenance_says"):
                line.append(f"  metadata {row['provenance']}", "dim")
        console.print(line, highlight=False, soft_wrap=True)
    return failed
