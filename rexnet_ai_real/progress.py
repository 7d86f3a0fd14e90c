"""One look for every progress bar over things that are counted, on stderr."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def progress_bar(*, shown: bool = True, transient: bool = False, console: Console | None = None) -> Progress:
    """A bar to add tasks to, with their description, count, rate, time taken and time left.

    Args:
        shown: False draws nothing.
        transient: the bar vanishes when the work is done.
        console: where it is drawn; None: stderr.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeElapsedColumn())
    console = console or Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown, transient=transient)


def track(
    items: Iterable[Item], description: str, total: int, *, shown: bool = True, transient: bool = True
) -> Iterator[Item]:
    """The items as they come, `total` of them, with a bar; the other arguments are those of `progress_bar`."""
    with progress_bar(shown=shown, transient=transient) as bar:
        yield from bar.track(items, total=total, description=description)


def track_and_count(
    items: Iterable[Item], description: str, counted: Callable[[], Iterable[object]] | None, console: Console
) -> Iterator[Item]:
    """The items as they come, whose number is not known yet, with a bar if `console` is a terminal.

    Args:
        items: one for each file.
        description: beside the bar.
        counted: lists the same files again: a thread counts them while the work goes on. None: the total stays unknown.
        console: where the bar is drawn.
    """
    if not console.is_terminal:
        yield from items
        return
    stop = threading.Event()
    with progress_bar(console=console, transient=True) as bar:
        task = bar.add_task(description, total=None)

        def count(files: Callable[[], Iterable[object]]) -> None:
            total = 0
            for _ in files():
                total += 1
                if stop.is_set():
                    return
            bar.update(task, total=total)

        if counted is not None:
            threading.Thread(target=count, args=(counted,), daemon=True).start()
        try:
            for item in items:
                yield item
                bar.advance(task)
        finally:
            stop.set()
