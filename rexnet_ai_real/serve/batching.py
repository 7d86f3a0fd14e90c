"""Images of many requests through the network together: each thread runs whatever has come together.

A batch waits for more only while more are known to come, and not for long: a lone request is answered at once.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Given, Made]):
    given: Given
    answer: Future[Made] = field(default_factory=Future)


class Batcher(Generic[Given, Made]):
    """Runs a function on batches. A context: within it the threads live, and at its end all accepted is done."""

    def __init__(
        self,
        run: Callable[[Sequence[Given]], Sequence[Made]],
        *,
        batch_size: int,
        max_wait: float,
        coming: Callable[[], int],
        on_batch: Callable[[int], None] = lambda size: None,
        threads: int = 1,
    ) -> None:
        """What is run, and when.

        Args:
            run: one answer for each item, in order.
            batch_size: items at most.
            max_wait: seconds that a batch waits for those that are coming.
            coming: how many items are not answered yet, those in the batch among them.
            on_batch: hears the size of each batch.
            threads: that run batches at once; what is there is shared out among them.
        """
        self._run = run
        self._batch_size = batch_size
        self._max_wait = max_wait
        self._coming = coming
        self._on_batch = on_batch
        # Not bounded here: whoever submits bounds how many are on their way.
        self._waiting: queue.SimpleQueue[_Waiting[Given, Made] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"engine {n}", daemon=True) for n in range(threads)]

    def __enter__(self) -> "Batcher[Given, Made]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the threads work."""
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, given: Given) -> Future[Made]:
        """The answer to come. Whoever cancels it before its turn spares the work."""
        waiting: _Waiting[Given, Made] = _Waiting(given)
        self._waiting.put(waiting)
        return waiting.answer

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, is_last = self._gathered(first)
            wanted = [item for item in batch if item.answer.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)
            if is_last:
                return

    def _gathered(self, first: _Waiting[Given, Made]) -> tuple[list[_Waiting[Given, Made]], bool]:
        """A batch, and whether nothing comes after it."""
        batch, deadline = [first], time.monotonic() + self._max_wait
        while len(batch) < min(self._batch_size, self._share()):
            left = deadline - time.monotonic()
            try:
                item = self._waiting.get(timeout=left) if left > 0 else self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    def _share(self) -> int:
        """Of each thread in what is not answered yet, rounded up."""
        return -(-self._coming() // len(self._threads))

    def _answer(self, batch: list[_Waiting[Given, Made]]) -> None:
        self._on_batch(len(batch))
        try:
            made = self._run([item.given for item in batch])
        except Exception as error:  # told to those who wait; the thread goes on with the next batch
            for item in batch:
                item.answer.set_exception(error)
            return
        for item, answer in zip(batch, made, strict=True):
            item.answer.set_result(answer)
