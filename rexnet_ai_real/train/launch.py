"""From what Hydra composed to a run: settings, cheap checks, the run folder, and then the training."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    with prepared(composed) as (settings, folder):
        # PyTorch and Lightning take seconds to import: nothing before this line needs them.
        from rexnet_ai_real.train.run import train

        return train(settings, folder)


@contextmanager
def prepared(composed: DictConfig) -> Iterator[tuple[TrainConfig, RunFolder]]:
    """The settings, checked, and the folder of the run, claimed. What goes wrong within is said in one sentence.

    Raises:
        SystemExit: of a single run. A job of a multirun raises the error itself, since a failed job must not end the
            others: the sweep's summary names it.
    """
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        with system_errors_in_words(), _job(composed, Path(HydraConfig.get().runtime.output_dir)) as job:
            yield job
        return
    interrupted = "resume=FOLDER continues after the last complete epoch, if there is one."
    with ending(interrupted), system_errors_in_words(), _single(composed) as single:
        yield single


@contextmanager
def _single(composed: DictConfig) -> Iterator[tuple[TrainConfig, RunFolder]]:
    settings = load(composed)
    folder = RunFolder(Path(settings.output_dir))
    if not is_first_process():  # under DDP, the first process has checked everything and made the folder
        if is_fresh(composed):
            raise ConfigError("several processes share one run folder: give output_dir=PATH, which all of them reach")
        yield settings, folder
        return
    check_inputs(settings)
    if settings.trainer.fast_dev_run:  # leaves nothing
        yield settings, folder
    elif settings.resume:
        folder.sweep()
        with written_to(folder.log_file):
            yield settings, folder
    else:
        with claimed(folder.path, rename=is_fresh(composed)) as folder:
            if settings.trainer.devices > 1:  # the other processes repeat the command line, at another time
                sys.argv.append(override("output_dir", str(folder.path)))
            yield replace(settings, output_dir=str(folder.path)), folder


@contextmanager
def _job(composed: DictConfig, path: Path) -> Iterator[tuple[TrainConfig, RunFolder]]:
    with claimed(path, rename=False) as folder:
        keep_record(path)
        settings = load(composed)
        if settings.resume:
            raise ConfigError(f"resume={settings.resume}: one run is resumed at a time; leave out -m and sweeps")
        check_inputs(settings)
        yield settings, folder
