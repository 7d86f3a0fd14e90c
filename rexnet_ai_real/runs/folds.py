"""Out-of-fold predictions: what each fold's network says of the images that it did not see."""

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.data.split import GROUP
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.runs.jobs import Job

COLUMNS: Final = ("path", "label", "group", "fold", "logit", "probability", "source", "collection")


class FoldsDiffer(UserError, ValueError):
    """Jobs that are no cross-validation of one set of images."""


def out_of_fold(jobs: Sequence[Job]) -> pd.DataFrame:
    """The test predictions of finished jobs in one table (COLUMNS), in the order of the manifest.

    Raises:
        FoldsDiffer: the jobs saw different images, cut them differently, or an image was held out twice or, with all
            folds there, never.
    """
    config: dict[str, Any] = jobs[0].config["data"]
    manifest = read_manifest(jobs[0].run.manifest_file)
    parts = [_held_out(job) for job in jobs]
    for job in jobs[1:]:
        _check_same_images(jobs[0], job)
    merged = pd.concat(parts, ignore_index=True)
    twice = merged["path"][merged["path"].duplicated()]
    if len(twice):
        raise FoldsDiffer(f"{len(twice)} images were held out by more than one fold, {twice.iloc[0]} among them")
    used = manifest.loc[manifest["split"].isin(["train", "val", "test"]), "path"]
    never = used[~used.isin(merged["path"])]
    if len(jobs) == config["folds"] and len(never):
        raise FoldsDiffer(f"{len(never)} images were held out by no fold, {never.iloc[0]} among them")
    # The inner merge keeps the manifest's order, so that the file does not depend on the order of the jobs.
    images = manifest[["path", "group", "source", "collection"]]
    return images.merge(merged, on="path", how="inner", validate="one_to_one")[list(COLUMNS)]


def _held_out(job: Job) -> pd.DataFrame:
    rows = pd.read_csv(job.run.predictions_file, keep_default_na=False)
    rows = rows.loc[rows["split"] == "test", ["path", "label", "logit", "probability"]]
    return rows.assign(fold=job.config["data"]["fold"])


def split_by(job: Job) -> str:
    """What the folds hold out whole: group, collection or source. Runs of older versions know groups alone."""
    return str(job.config["data"].get("split_by", GROUP))


def _cut(job: Job) -> tuple[int, str, int]:
    data = job.config["data"]
    seed = data.get("split_seed")
    return data["folds"], split_by(job), job.config["seed"] if seed is None else seed


def _check_same_images(first: Job, other: Job) -> None:
    if _cut(first) != _cut(other):
        differing = "data.folds, data.split_by, data.split_seed or seed differ"
        raise FoldsDiffer(f"jobs {first.name} and {other.name} cut the images differently ({differing})")
    facts = [read_manifest(job.run.manifest_file).set_index("path")[["sha256", "label"]] for job in (first, other)]
    if not facts[0].equals(facts[1]):
        raise FoldsDiffer(
            f"jobs {first.name} and {other.name} saw different images ({len(facts[0])} and {len(facts[1])} files; "
            "compare their manifest.csv): run both again on the same folder"
        )
