"""Image files prepared for a network by threads, in batches; a file without an image gives the reason instead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rexnet_ai_real.images.decode import UnreadableImage
from rexnet_ai_real.images.walk import ImageFile

Given = TypeVar("Given")
Made = TypeVar("Made")


def made_ahead(
    make: Callable[[Given], Made], given: Iterable[Given], *, workers: int, ahead: int
) -> Iterator[tuple[Given, Made]]:
    """Each item with what `make` returns for it, in order; threads work on at most `ahead` items in advance.

    Items that wait are dropped when the reader stops early. An exception of `make` is raised at its turn.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="image")
    pending: deque[tuple[Given, Future[Made]]] = deque()
    try:
        for item in given:
            pending.append((item, pool.submit(make, item)))
            if len(pending) == ahead:
                first, made = pending.popleft()
                yield first, made.result()
        while pending:
            first, made = pending.popleft()
            yield first, made.result()
    finally:
        pool.shutdown(cancel_futures=True)


def prepared_batches(
    prepare: Callable[[Path], Made], files: Iterable[ImageFile], *, batch_size: int, workers: int
) -> Iterator[list[tuple[ImageFile, Made | str]]]:
    """Each file with what `prepare` returns for it, or with the reason why it failed; lazily and in order.

    At most two batches are prepared before they are asked for. Threads whose images together would need more than
    limits.MEMORY wait for each other, as everywhere: see `decode_then`.
    """

    def attempt(file: ImageFile) -> Made | str:
        if file.error is not None:
            return file.error
        try:
            return prepare(Path(file.path))
        except UnreadableImage as error:
            return str(error)
        except Exception as error:  # a name with a zero byte, an image larger than the memory left: one bad row
            return f"cannot be prepared: {type(error).__name__}: {' '.join(str(error).split())[:120]}"

    prepared = made_ahead(attempt, files, workers=workers, ahead=2 * batch_size)
    while batch := list(islice(prepared, batch_size)):
        yield batch
