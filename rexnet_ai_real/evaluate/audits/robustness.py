"""How the detector holds up when pictures are compressed, resized, blurred, cropped and passed on.

Both classes go through every corruption, at full size and before preprocessing; the threshold is fixed beforehand.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import PIL
from PIL.Image import Image
from rich.progress import Progress, TaskID

from rexnet_ai_real.images.decode import UnreadablePicture, decode
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE, VERSION, Corruption
from rexnet_ai_real.metrics.binary import METRICS, evaluate_scores, resampled_metrics
from rexnet_ai_real.metrics.scores import FloatArray, Scores
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.progress import progress_bar

CELL_METRICS: Final = ("accuracy", "auroc", "recall", "specificity")
"""What the table tells of each corruption; recall and specificity are TPR and TNR at the fixed threshold."""

Prepare = Callable[[Image], Any]
Predict = Callable[[Iterable[Any]], FloatArray]

# Pictures per cached piece: 16 x 47 predictions are lost at most, some ten seconds of work on two cores.
_PIECE: Final = 16
# Prepared pictures that may wait for the network: two batches of 32, 40 MB at 224 px.
_AHEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the evaluation: where it is, what it is, its duplicate group and the digest of its bytes."""

    path: Path
    label: int
    group: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What `evaluate_robustness` found.

    `table` has one row per corruption and metric: corruption, family, severity, setting, n, metric, value, low, high,
    and drop, drop_low, drop_high: by how much the metric is lower than on the untouched pictures (paired bootstrap).
    """

    table: pd.DataFrame
    logits: FloatArray
    """(pictures, corruptions)"""
    worst: Corruption
    """The corruption under which the accuracy is lowest."""

    @property
    def verdict(self) -> str:
        """The finding in words."""
        accuracy = self._of("accuracy")
        others = [name for name in accuracy.index if name != NONE.name]
        before, after = accuracy.loc[NONE.name], accuracy.loc[self.worst.name]
        rates = "; ".join(
            f"{said} from {rows.value[NONE.name]:.2f} to {rows.value[self.worst.name]:.2f}"
            for said, rows in (("TPR", self._of("recall")), ("TNR", self._of("specificity")))
            if rows.value.notna().all()
        )
        clearly = int((accuracy.drop_low[others] > 0).sum())
        return (
            f"Accuracy on {before.n} pictures is {_interval(before)} untouched and lowest under {self.worst.title}, "
            f"{_interval(after)}{f' ({rates})' if rates else ''}. "
            f"The 95% interval of the loss lies above zero under {clearly} of {len(others)} corruptions."
        )

    def _of(self, metric: str) -> pd.DataFrame:
        return self.table[self.table.metric == metric].set_index("corruption")


def evaluate_robustness(
    pictures: Sequence[Picture],
    predict: Predict,
    *,
    threshold: float,
    fingerprint: str,
    cache: Path,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    prepare: Prepare = lambda picture: picture,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    resamples: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> Robustness:
    """Accuracy, AUROC, TPR and TNR with 95 % intervals under every corruption, all at the same threshold.

    Args:
        pictures: what to look at; both classes for a full table, metrics that need a missing class are NaN.
        predict: takes what `prepare` gives, lazily and in order; returns one calibrated logit of "AI-generated" for
            each, (n,).
        threshold: on the probability; chosen before, on other pictures.
        fingerprint: of weights, preprocessing and temperature; predictions are kept under it.
        cache: folder of finished predictions; an interrupted call goes on where it stopped.
        corruptions: the grid; must hold `NONE`, which the others are compared with.
        prepare: from a corrupted RGB picture to what `predict` takes; runs in the worker threads. Up to 64 of its
            results wait for `predict`, so let it make large pictures small.
        workers: threads that decode, corrupt and prepare ahead of the network; None: one per core.
        max_pixels: most pixels that a picture may have.
        resamples: of the bootstrap by duplicate group.
        seed: of the bootstrap; the corruptions depend on each picture's sha256 only.
        progress: show a bar on stderr.

    Raises:
        UnreadablePicture: a picture cannot be decoded; the message begins with its path.
        ValueError: no pictures, a grid without `NONE` or another corruption, or `predict` returned the wrong number of
            logits or non-finite ones.
    """
    if not pictures:
        raise ValueError("no pictures to corrupt: the part of the data that is evaluated is empty")
    if NONE not in corruptions or len(corruptions) < 2:
        raise ValueError(f"the grid needs {NONE.name!r}, which the others are compared with, and at least one other")
    logits = corrupted_logits(
        pictures,
        predict,
        fingerprint=fingerprint,
        cache=cache,
        corruptions=corruptions,
        prepare=prepare,
        workers=workers,
        max_pixels=max_pixels,
        progress=progress,
    )
    return summarise_robustness(
        pictures, logits, corruptions=corruptions, threshold=threshold, resamples=resamples, seed=seed
    )


def summarise_robustness(
    pictures: Sequence[Picture],
    logits: FloatArray,
    *,
    threshold: float,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    resamples: int = 2000,
    seed: int = 0,
) -> Robustness:
    """What `evaluate_robustness` finds, from logits (pictures, corruptions) that are there already."""
    labels, groups = [picture.label for picture in pictures], [picture.group for picture in pictures]
    table = robustness_table(
        labels, logits, groups, corruptions=corruptions, threshold=threshold, resamples=resamples, seed=seed
    )
    accuracy = dict(table[table.metric == "accuracy"][["corruption", "value"]].itertuples(index=False))
    worst = min((corruption for corruption in corruptions if corruption != NONE), key=lambda each: accuracy[each.name])
    return Robustness(table, logits, worst)


def corrupted_logits(
    pictures: Sequence[Picture],
    predict: Predict,
    *,
    fingerprint: str,
    cache: Path,
    corruptions: Sequence[Corruption],
    prepare: Prepare,
    workers: int | None,
    max_pixels: int,
    enough: int | None = None,
    progress: bool,
    title: str = "Corrupted pictures",
) -> FloatArray:
    """Logits of every picture under every corruption, (pictures, corruptions); arguments as in `evaluate_robustness`.

    `title` stands beside the progress bar; `enough` is as in `decode`. Each picture is decoded once. At most `_AHEAD`
    corrupted pictures are in memory, whatever the number of pictures.
    """
    pieces = [pictures[start : start + _PIECE] for start in range(0, len(pictures), _PIECE)]
    found: list[FloatArray] = []
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="corruption")
    try:
        with progress_bar(shown=progress) as bar:
            task = bar.add_task(title, total=len(pictures) * len(corruptions))
            for piece in pieces:
                kept = cache / f"{_digest(piece, corruptions, fingerprint)}.npy"
                if kept.exists():
                    bar.advance(task, len(piece) * len(corruptions))
                else:
                    stream = _stream(piece, corruptions, prepare, pool, max_pixels, enough)
                    logits = predict(_counted(stream, bar, task))
                    with write_atomically(kept) as temporary:
                        np.save(temporary, _checked(logits, piece, corruptions))
                found.append(np.load(kept))
    finally:  # on Ctrl-C too: finished pieces are on disk, waiting work is dropped
        pool.shutdown(cancel_futures=True)
    return np.concatenate(found)


def robustness_table(
    labels: Sequence[int],
    logits: FloatArray,
    groups: Sequence[str],
    *,
    corruptions: Sequence[Corruption],
    threshold: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """The table of `Robustness` from labels (n,), logits (n, corruptions) and groups (n,)."""

    def measured(column: int) -> tuple[dict[str, Estimate], FloatArray]:
        scores = Scores.of(labels, logits[:, column], groups)
        metrics = evaluate_scores(scores, threshold=threshold, resamples=resamples, seed=seed)
        samples = resampled_metrics(scores, threshold=threshold, resamples=resamples, seed=seed)
        return metrics.estimates(), samples

    base, base_samples = measured(list(corruptions).index(NONE))
    rows = []
    for column, corruption in enumerate(corruptions):
        estimates, samples = measured(column)
        # The same groups and seed give the same resamples, so the differences are paired.
        lows, highs = percentile_interval(np.subtract(base_samples, samples))
        for metric in CELL_METRICS:
            value, low, high = (getattr(estimates[metric], end) for end in ("value", "low", "high"))
            drop, at = base[metric].value - value, METRICS.index(metric)
            named = (corruption.name, corruption.family, corruption.severity, corruption.setting, len(labels), metric)
            rows.append((*named, value, low, high, drop, lows[at], highs[at]))
    columns = "corruption family severity setting n metric value low high drop drop_low drop_high"
    return pd.DataFrame(rows, columns=columns.split())


def _stream(
    pictures: Sequence[Picture],
    corruptions: Sequence[Corruption],
    prepare: Prepare,
    pool: ThreadPoolExecutor,
    max_pixels: int,
    enough: int | None,
) -> Iterator[Any]:
    """Every picture under every corruption, in order, made by the pool ahead of the reader.

    Threads suffice: Pillow's filters and codecs and NumPy's noise run outside the interpreter lock. The pool takes work
    in order, so a decode has always begun before the first corruption waits for it.
    """
    pending: deque[Future[Any]] = deque()
    for picture in pictures:
        decoded = pool.submit(_decoded, picture.path, max_pixels, enough)
        for corruption in corruptions:
            pending.append(pool.submit(_corrupted, decoded, corruption, picture.sha256, prepare))
            if len(pending) == _AHEAD:
                yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _counted(stream: Iterator[Any], bar: Progress, task: TaskID) -> Iterator[Any]:
    for item in stream:
        yield item
        bar.advance(task)


def _decoded(path: Path, max_pixels: int, enough: int | None) -> Image:
    try:
        return decode(path, max_pixels=max_pixels, enough=enough)
    except UnreadablePicture as problem:
        raise UnreadablePicture(f"{path}: {problem}") from problem


def _corrupted(decoded: "Future[Image]", corruption: Corruption, key: str, prepare: Prepare) -> Any:
    return prepare(corruption(decoded.result(), key))


def _checked(logits: FloatArray, pictures: Sequence[Picture], corruptions: Sequence[Corruption]) -> FloatArray:
    """Logits (n,) of the stream -> (pictures, corruptions), float64."""
    flat = np.asarray(logits, dtype=np.float64)
    shape = (len(pictures), len(corruptions))
    if flat.shape != (shape[0] * shape[1],):
        raise ValueError(f"predict returned logits of shape {flat.shape} for {shape[0] * shape[1]} pictures")
    table = flat.reshape(shape)
    broken = np.argwhere(~np.isfinite(table))
    if broken.size:
        row, column = broken[0]
        raise ValueError(
            f"the logit of {pictures[row].path} under {corruptions[column].name} is {table[row, column]}; a trained "
            "detector gives finite logits: look at its weights and at the precision that it runs in"
        )
    return table


def _digest(pictures: Sequence[Picture], corruptions: Sequence[Corruption], fingerprint: str) -> str:
    """Everything that the logits depend on; Pillow's version stands for its codecs and filters."""
    parts = [fingerprint, str(VERSION), PIL.__version__, *(corruption.name for corruption in corruptions)]
    return hashlib.sha256("\0".join([*parts, "", *(picture.sha256 for picture in pictures)]).encode()).hexdigest()


def _interval(row: "pd.Series[Any]") -> str:
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
