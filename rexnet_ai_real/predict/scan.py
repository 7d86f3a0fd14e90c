"""A scan: one row for every file below the paths, lazily and in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from rexnet_ai_real.cli.passed_over import PassedOver
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.name import detector_name
from rexnet_ai_real.detector.verdict import Verdict
from rexnet_ai_real.images.walk import ImageFile, image_files
from rexnet_ai_real.predict.row import Row, rows
from rexnet_ai_real.predict.summary import Summary


class Sink(Protocol):
    """Anything that rows are written to."""

    def write(self, row: Row) -> None:
        """Write one row."""


@dataclass(frozen=True)
class Scan:
    """The files to scan, and how. Memory does not grow with the number of files."""

    detector: Detector
    listed: Callable[[], Iterable[str]]
    """Lists the files and folders, from the beginning at every call."""
    batch_size: int
    workers: int
    max_pixels: int
    provenance: bool
    is_left_out: Callable[[str], bool] = lambda path: False
    """Whether a file gets no row."""
    always: bool = False
    """Whether the answer at the threshold stands in place of none."""
    redeliver: bool = False
    """Whether re-compressed copies are judged, too."""
    passed_over: PassedOver = field(default_factory=PassedOver)
    """What `rows` has passed over so far."""

    def files(self, passed_over: PassedOver | None = None) -> Iterator[ImageFile]:
        """The files that get a row; those passed over are counted in `passed_over`."""
        found = passed_over or PassedOver()
        files = image_files(
            self.listed(),
            is_passed_over=lambda path: not self.is_left_out(path) and found(path),
            on_empty=found.empty.append,
        )
        return (file for file in files if not self.is_left_out(file.path))

    def rows(self) -> Iterator[Row]:
        """One row for each of `files`."""
        files = self.files(self.passed_over)
        # The first image goes alone: its answer took 0.7 s, and 2 to 4 s when two batches were read ahead first.
        verdicts = chain(self._verdicts(islice(files, 1), 1), self._verdicts(files, self.batch_size))
        name = detector_name(self.detector.description, always=self.always, redeliver=self.redeliver)
        return rows(verdicts, name, provenance=self.provenance)

    def _verdicts(self, files: Iterable[ImageFile], batch_size: int) -> Iterator[Verdict]:
        verdicts = self.detector.predict_files(
            files, batch_size, self.workers, max_pixels=self.max_pixels, redeliver=self.redeliver
        )
        return (verdict.always() for verdict in verdicts) if self.always else verdicts


def write_rows(rows: Iterable[Row], sink: Sink, summary: Summary) -> None:
    """Write all rows, and count them in `summary`."""
    for row in rows:
        sink.write(row)
        summary.add(row)
