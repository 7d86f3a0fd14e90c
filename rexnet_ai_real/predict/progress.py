"""How far a scan has come: rate, and time left once all files are counted."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Item = TypeVar("Item")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def shown(items: Iterable[Item], counted: Callable[[], Iterable[object]] | None, console: Console) -> Iterator[Item]:
    """The items as they come, with a progress bar where `console` is a terminal.

    Args:
        items: one for each file.
        counted: gives the same files anew: they are listed a second time beside the work, to know how many there
            are. None: the total stays unknown.
        console: where the bar goes.
    """
    if not console.is_terminal:
        yield from items
        return
    columns = (TextColumn("Images"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    stop = threading.Event()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

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
