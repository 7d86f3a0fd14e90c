"""The manifest: one row per file of a data set, with its facts, or the reason why it is left out."""

import csv
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Final

import pandas as pd

from rexnet_ai_real.data.duplicates import fingerprints, linked, near_duplicate_groups
from rexnet_ai_real.data.facts import ImageFacts, measure
from rexnet_ai_real.data.facts_cache import FactsCache
from rexnet_ai_real.data.listed import Listed
from rexnet_ai_real.files import cache_folder, write_csv
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.progress import progress_bar

COLUMNS: Final = (
    *("path", "label", "source", "sha256", "dhash", "group", "width", "height", "format", "bytes", "split", "problem"),
    *("part", "thumbnail", "collection"),
)
"""`path` is relative to the data set's folder, with forward slashes. `label` is 0 (real), 1 (AI) or -1 (unknown: the
file is in no class folder). Near-duplicates share a `group`. `split` is empty until the split is made. `problem` is the
reason why a file is left out, empty for images in use. `part` is the data set's own subset, if it has any. `thumbnail`
holds the colours that confirm near-duplicates. `collection` is that of `Listed`. Manifests of older versions lack
these last two."""

_LATER: Final = ("thumbnail", "collection")
"""Columns that older versions did not write; read as empty."""
UNKNOWN: Final = -1
_INTEGERS: Final = ("label", "width", "height", "bytes")


def build_manifest(
    root: Path,
    listed: Sequence[Listed],
    *,
    workers: int | None = None,
    cache: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    duplicate_distance: int | None = 4,
    progress: bool = True,
) -> pd.DataFrame:
    """Read every listed file and return the manifest, sorted by path; an unusable file keeps its row, with the reason.

    Facts are kept between calls, and measured again only for files whose size or time of change differ. Ctrl-C keeps
    the facts measured so far.

    Args:
        root: folder of the data set.
        listed: files in it, see `sources.listing`.
        workers: threads that decode; None: one per core. (Threads, since Pillow decodes outside the interpreter's lock:
            two took half the time of one even on 32 x 32 images, and processes would import the caller again.)
        cache: folder that keeps the measurements; None: `cache_folder()`.
        max_pixels: an image with more is a problem.
        duplicate_distance: bits in which the hashes of near-duplicates may differ; None: only identical files are
            grouped.
        progress: show a progress bar on stderr.

    Raises:
        ValueError: duplicate_distance is out of range.
    """
    files = sorted(listed, key=lambda file: file.path)
    facts = _measure_all(root, files, workers or os.cpu_count() or 1, cache or cache_folder(), max_pixels, progress)
    rows = [
        {
            "path": file.path,
            "label": UNKNOWN if file.label is None else file.label,
            "source": file.source,
            **{field.name: value for field, value in zip(fields(ImageFacts), astuple(fact), strict=True)},
            **{"group": "", "split": "", "part": file.subset or "", "collection": file.collection},
        }
        for file, fact in zip(files, facts, strict=True)
    ]
    manifest = _typed(rows)
    unlabelled = (manifest["label"] == UNKNOWN) & (manifest["problem"] == "")
    manifest.loc[unlabelled, "problem"] = "in no class folder"
    _leave_out_contradictions(manifest)
    manifest["group"] = _groups(manifest, duplicate_distance)
    return manifest


def write_manifest(manifest: pd.DataFrame, path: Path) -> None:
    """Write as CSV. File names that are not valid UTF-8 keep their bytes (surrogateescape)."""
    write_csv(path, manifest)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read what `write_manifest` wrote.

    Raises:
        ValueError: columns are missing.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    missing = [name for name in COLUMNS if name not in (*(reader.fieldnames or ()), *_LATER)]
    if missing:
        raise ValueError(f"{path} is no manifest: it lacks the columns {', '.join(missing)}")
    return _typed([{**dict.fromkeys(_LATER, ""), **row} for row in rows])


def usable(manifest: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are images in use: those without a problem."""
    return manifest["problem"] == ""


def _typed(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    # Plain objects, not Arrow strings, which cannot hold file names that are not valid UTF-8.
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(dict.fromkeys(_INTEGERS, "int64"))


def _measure_all(
    root: Path, files: Sequence[Listed], workers: int, cache: Path, max_pixels: int, progress: bool
) -> list[ImageFacts]:
    with FactsCache(cache, root, max_pixels) as known:
        facts = [known.get(file.path) for file in files]
        waiting = [index for index, fact in enumerate(facts) if fact is None]

        def measured(index: int) -> ImageFacts:
            path = files[index].path
            stamp = known.stamp(path)
            fact = measure(root / path, max_pixels=max_pixels)
            known.put(path, stamp, fact)
            return fact

        bar = progress_bar(shown=progress and bool(waiting), transient=True)
        with bar, ThreadPoolExecutor(workers) as pool:
            task = bar.add_task("Reading images", total=len(files), completed=len(files) - len(waiting))
            try:
                jobs = {pool.submit(measured, index): index for index in waiting}
                for job in as_completed(jobs):
                    facts[jobs[job]] = job.result()
                    bar.advance(task)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [fact for fact in facts if fact is not None]


def _leave_out_contradictions(manifest: pd.DataFrame) -> None:
    """The same bytes under both labels teach nothing: all such files are left out, each naming one of the others."""
    images = manifest[usable(manifest)]
    for _, same in images[images.duplicated("sha256", keep=False)].groupby("sha256", sort=False):
        if same["label"].nunique() > 1:
            for index, row in same.iterrows():
                other = same.loc[same["label"] != row["label"], "path"].iloc[0]
                manifest.loc[index, "problem"] = f"also under the other label: {other}"


def near_groups(images: pd.DataFrame, distance: int | None) -> "pd.Series[int]":
    """Number of the group of each image: near-duplicates have the same.

    Where a thumbnail is missing, as in manifests of older versions, the hashes alone decide.

    Args:
        images: rows of a manifest; sha256, dhash and thumbnail are used.
        distance: bits in which hashes may differ; None: identical files only.
    """
    images = images.sort_values("sha256", kind="stable")  # so that the order of the rows does not matter
    if distance is None:
        numbers = images["sha256"].factorize()[0]
    else:
        thumbnails = images["thumbnail"] if (images["thumbnail"] != "").all() else []
        hashes, colours = fingerprints(images["dhash"], thumbnails)
        numbers = near_duplicate_groups(hashes, colours, distance) if len(colours) else linked(hashes, distance)
    return pd.Series(numbers, index=images.index, dtype="int64")


def _groups(manifest: pd.DataFrame, distance: int | None) -> "pd.Series[str]":
    """Name of each image's group: the first 16 digits of the smallest SHA-256 in it, so that order does not matter."""
    images = manifest.loc[usable(manifest), ["sha256", "dhash", "thumbnail"]]
    images = images.assign(number=near_groups(images, distance))
    smallest = images.sort_values("sha256").drop_duplicates("number").set_index("number")["sha256"].str[:16]
    return images["number"].map(smallest).reindex(manifest.index, fill_value="").astype(object)
