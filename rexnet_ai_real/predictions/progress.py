"""How far a scan has come, on stderr: rate, and time left once all files are counted."""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from rexnet_ai_real.picture_files import picture_files

Item = TypeVar("Item")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def shown(items: Iterable[Item], counted: Iterable[str] | None) -> Iterator[Item]:
    """The items as they come, with a progress bar.

    Args:
        items: one for each file.
        counted: the paths that they come from, walked a second time beside the work to know the total; None: it stays
            unknown.
    """
    columns = (TextColumn("Pictures"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    stop = threading.Event()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def count(paths: Iterable[str]) -> None:
            total = 0
            for _ in picture_files(paths):
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
