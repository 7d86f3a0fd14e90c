"""What must be unchanged for a run to be resumed: settings and images."""

import csv
from pathlib import Path

import pandas as pd

from rexnet_ai_real.config import ConfigError, TrainConfig, all_settings, differing_keys, to_plain
from rexnet_ai_real.data.manifest import read_manifest, usable
from rexnet_ai_real.models.checkpoint import read_plain
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.checkpoints import checkpoint_to_resume
from rexnet_ai_real.train.schedule import Plan

MAY_DIFFER = (
    *("resume", "output_dir", "figures", "trainer.", "early_stopping.", "schedule.on_resume"),
    *("data.workers", "data.root", "data.cache"),
)
"""Beginnings of keys: a resumed run may be longer, run elsewhere, and show more or less."""


def check_same_run(config: TrainConfig, folder: RunFolder, manifest: pd.DataFrame) -> tuple[Path, Plan]:
    """A resumed run has the images, the network and the optimizer with which it began.

    Returns:
        The checkpoint to continue from, and the plan of the learning rate from there on.

    Raises:
        ConfigError: names the keys or the images that differ, or the file that cannot be read.
    """
    resume = config.resume or str(folder.path)
    checkpoint, trained = checkpoint_to_resume(resume, folder)
    if trained > config.trainer.max_epochs:
        raise ConfigError(
            f"trainer.max_epochs={config.trainer.max_epochs}: {resume} has {trained}; expected {trained} or more"
        )
    plan = Plan.of_checkpoint(read_plain(checkpoint)).continued(config.schedule, trained, config.trainer.max_epochs)
    plan.check(config.schedule, config.trainer.max_epochs, resumed=True)
    before, now = all_settings(folder.read_config()), all_settings(to_plain(config))
    if differing := differing_keys(before, now, may_differ=MAY_DIFFER):
        changes = ", ".join(f"{key} was {before.get(key)}, now {now.get(key)}" for key in differing)
        raise ConfigError(f"resume={resume}: give the settings with which the run began ({changes})")
    # A file more or less may move others to another split: images used in training would be used in the test.
    changed = sorted({row[0] for row in _images(_manifest(folder)) ^ _images(manifest)})
    if changed:
        raise ConfigError(
            f"resume={resume}: {len(changed)} images are not as they were when the run began, such as "
            f"{changed[0]} (compare {folder.manifest_file}); restore them, or begin a new run"
        )
    return checkpoint, plan


def _manifest(folder: RunFolder) -> pd.DataFrame:
    file = folder.manifest_file
    try:
        return read_manifest(file)
    except FileNotFoundError as error:
        raise ConfigError(f"{file} is missing, and tells which images are held out; begin a new run") from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(f"{file} is damaged or was edited ({error}); restore it, or begin a new run") from error


def _images(manifest: pd.DataFrame) -> set[tuple[str, str, str]]:
    used = manifest[usable(manifest)]
    return set(zip(used["path"], used["sha256"], used["split"], strict=True))
