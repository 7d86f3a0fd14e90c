"""A detector for people who train none: a run on all collections, with figures of collections that were left out.

No image is new to networks that were trained on everything. So the figures, the temperature, the threshold and the
unsure band come from a multirun of the same settings in which each collection was left out of training once, and which
has been evaluated. Beside them is recorded what the weights were made of: counts and hashes by collection, the names of
generators, seed, revision of the code, settings, and where each collection comes from.

    make ready MODEL=outputs/general/... LEFT_OUT=outputs/general_left_out/...
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pandas as pd
import yaml

from rexnet_ai_real.config import all_settings, differing_keys
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.detector.worth import COLLECTIONS, LEFT_OUT, MEASURED, VERSION
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.request import Release
from rexnet_ai_real.export.source import ExportSource
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.folds import split_by
from rexnet_ai_real.runs.identify import Folds, identify
from rexnet_ai_real.runs.jobs import OVERRIDES_FILE, Job

COLUMNS: Final = ("collection", "repository", "commit", "licence", "trust")
"""Of the table that says where collections come from."""
MOST_BYTES: Final = 5_000_000
"""Of the folder: it is part of what everyone installs."""
MAY_DIFFER: Final = (
    *("data.root", "data.fold", "data.split_by", "data.val_fraction", "data.test_fraction"),
    *("data.workers", "data.cache", "output_dir", "seed", "name", "figures", "resume", "trainer.threads"),
)
"""Beginnings of keys: the multirun leaves images out, and may have run elsewhere."""
_SEEN: Final = ("train", "val")
"""Parts that weights and their choice have learned from."""


def released(source: ExportSource, release: Release) -> ExportSource:
    """The same weights under a name and a version, with the operating point and the report of collections left out.

    Args:
        source: one run.
        release: its name, the multirun and the table.

    Raises:
        UserError: no run; a multirun that left no collections out, of other settings or collections, or that has not
            been evaluated; a table that is damaged or lacks a collection.
    """
    if source.origin is None or not RunFolder(source.origin).config_file.is_file():
        raise UserError("--release takes the folder of one run, trained on all collections")
    run = RunFolder(source.origin)
    left_out = _evaluated(release.left_out, run)
    collections = made_of(read_manifest(run.manifest_file))
    figures: Mapping[str, Any] = left_out.report["out_of_fold"][COLLECTIONS]
    if different := sorted(set(figures) ^ set(collections)):
        raise UserError(
            f"{source.origin} and {release.left_out} were not trained on the same collections: {', '.join(different)} "
            "is in one of them only"
        )
    known = read_origins(release.collections, collections)
    description = source.stored.description
    training = {
        **description.training,
        **{"name": release.name, VERSION: release.version},
        COLLECTIONS: {name: facts | known[name] for name, facts in collections.items()},
        "revision": run.read_metrics()["environment"]["revision"],
        "settings": _settings(run),
        MEASURED: {
            **left_out.stored.description.training[MEASURED],
            "elsewhere": {name: found["auroc"]["value"] for name, found in figures.items()},
            LEFT_OUT: True,
        },
    }
    calibration = left_out.stored.description.calibration
    stored = replace(source.stored, description=replace(description, calibration=calibration, training=training))
    return replace(source, stored=stored, report=left_out.report)


def require_small(folder: Path) -> None:
    """Refuse a release that is too large to come along.

    Raises:
        UserError: it takes more than `MOST_BYTES`.
    """
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        raise UserError(
            f"the detector takes {size / 1e6:.1f} MB, and one that comes with this program at most "
            f"{MOST_BYTES / 1e6:.0f} MB: give --formats onnx-int8 alone, or train a smaller network"
        )


def made_of(manifest: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The images of each collection that weights, or their choice, have learned from.

    Returns:
        Collection -> count of each class, the SHA-256 over the sorted hashes of its files (one a line), and the names
        of its generators.
    """
    seen = manifest[manifest["split"].isin(_SEEN)]
    return {
        str(name): {
            "real": int((rows["label"] == REAL).sum()),
            "ai": int((rows["label"] == AI).sum()),
            "sha256": hashlib.sha256("\n".join(sorted(rows["sha256"])).encode()).hexdigest(),
            "generators": sorted(set(rows.loc[rows["label"] == AI, "source"]) - {""}),
        }
        for name, rows in seen.groupby("collection")
    }


def read_origins(file: Path, collections: Iterable[str]) -> dict[str, dict[str, str]]:
    """Where collections come from.

    Args:
        file: a CSV file with COLUMNS.
        collections: their names; of wild/yetter the table may know the last part alone.

    Returns:
        Collection -> the other columns.

    Raises:
        UserError: the file cannot be read, or lacks a column or a collection.
    """
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = [{name: row[name] or "" for name in COLUMNS} for row in csv.DictReader(opened)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise UserError(f"{file} cannot be read as a table with {', '.join(COLUMNS)} ({error})") from error
    known = {row.pop("collection"): row for row in rows}
    found = {name: known.get(name) or known.get(PurePosixPath(name).name) for name in collections}
    if missing := [name for name, origin in found.items() if origin is None]:
        raise UserError(f"{file} does not say where {', '.join(missing)} come from: add a line for each")
    return {name: origin for name, origin in found.items() if origin is not None}


def _evaluated(folder: Path, run: RunFolder) -> ExportSource:
    """The multirun with its report; it must have the settings of the run."""
    found = identify(folder)
    if not isinstance(found, Folds) or not _leaves_collections_out(found.finished):
        raise UserError(
            f"{folder} is no multirun of folds with data.split_by=collection: train one, +sweep=collections"
        )
    folds = int(found.finished[0].config["data"]["folds"])
    if missing := sorted(set(range(folds)) - {job.config["data"]["fold"] for job in found.finished}):
        raise UserError(
            f"{folder}: fold {', '.join(map(str, missing))} of {folds} is not finished, so that not every collection "
            "was judged: wait for it, or train it, and evaluate the multirun again"
        )
    left_out = ExportSource.open(folder)
    if COLLECTIONS not in left_out.report.get("out_of_fold", {}):
        raise UserError(
            f"{folder} has no report with figures by collection: python -m rexnet_ai_real.evaluate run={folder}"
        )
    ours, theirs = (all_settings(config) for config in (run.read_config(), found.finished[0].config))
    if differing := differing_keys(ours, theirs, may_differ=MAY_DIFFER):
        changes = ", ".join(f"{key} {ours.get(key)} and {theirs.get(key)}" for key in differing)
        raise UserError(
            f"{run.path} and {folder} were trained with other settings ({changes}): its figures say nothing "
            "about that run"
        )
    return left_out


def _leaves_collections_out(jobs: Iterable[Job]) -> bool:
    return all(split_by(job) == "collection" for job in jobs)


def _settings(run: RunFolder) -> list[str]:
    """What was typed to train it, without this machine's folders."""
    file = run.path / OVERRIDES_FILE
    typed = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else []
    settings = [str(override).partition("=") for override in typed or []]
    return [f"{key}={'PATH' if '/' in value else value}" for key, _, value in settings]
