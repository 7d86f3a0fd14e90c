"""One look for every progress bar over things that are counted, on stderr."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bar(*, shown: bool = True, transient: bool = False) -> Progress:
    """A bar to add tasks to, with their description, count, time taken and time left.

    Args:
        shown: False draws nothing.
        transient: it vanishes when the work is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown, transient=transient)
