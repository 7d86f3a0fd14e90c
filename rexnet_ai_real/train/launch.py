"""From what Hydra composed to a run: settings, cheap checks, the run folder, and then the training."""

import sys
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from rexnet_ai_real.cli.ending import ending
from rexnet_ai_real.config import ConfigError, TrainConfig
from rexnet_ai_real.config.compose import is_fresh, load
from rexnet_ai_real.runs.claim import claimed, is_first_process, system_errors_in_words, written_to
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.record import keep_record, override
from rexnet_ai_real.train.checks import check_inputs


def run(composed: DictConfig) -> float | None:
    """One run, or one job of a multirun; the lowest validation loss, which sweepers minimise."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:  # a failed job must not end the others: the sweep's summary names it
        with system_errors_in_words():
            return _run_job(composed, Path(HydraConfig.get().runtime.output_dir))
    with ending("resume=FOLDER continues after the last complete epoch, if there is one."), system_errors_in_words():
        return _run_alone(composed)


def _run_alone(composed: DictConfig) -> float | None:
    settings = load(composed)
    folder = RunFolder(Path(settings.output_dir))
    if not is_first_process():  # under DDP, the first process has checked everything and made the folder
        if is_fresh(composed):
            raise ConfigError("several processes share one run folder: give output_dir=PATH, which all of them reach")
        return _train(settings, folder)
    check_inputs(settings)
    if settings.trainer.fast_dev_run:  # leaves nothing
        return _train(settings, folder)
    if settings.resume:
        folder.sweep()
        with written_to(folder.log_file):
            return _train(settings, folder)
    with claimed(folder.path, rename=is_fresh(composed)) as folder:
        if settings.trainer.devices > 1:  # the other processes repeat the command line, at another time
            sys.argv.append(override("output_dir", str(folder.path)))
        return _train(replace(settings, output_dir=str(folder.path)), folder)


def _run_job(composed: DictConfig, path: Path) -> float | None:
    with claimed(path, rename=False) as folder:
        keep_record(path)
        settings = load(composed)
        if settings.resume:
            raise ConfigError(f"resume={settings.resume}: one run is resumed at a time; leave out -m and sweeps")
        check_inputs(settings)
        return _train(settings, folder)


def _train(settings: TrainConfig, folder: RunFolder) -> float | None:
    # PyTorch and Lightning take seconds to import: nothing before this line needs them.
    from rexnet_ai_real.train.run import train

    return train(settings, folder)
