"""Train a detector: settings in, run folder out.

  python -m rexnet_ai_real.train +experiment=baseline              the study
  python -m rexnet_ai_real.train -m +experiment=baseline +sweep=lr_patience
  python -m rexnet_ai_real.train +experiment=demo                  minutes, no download

Every key with its type and meaning: rexnet_ai_real/config/schema.py.
Exit code: 0 done, 1 some jobs of a sweep failed, 2 wrong command or settings, 130 interrupted.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.ending import DONE, ending
from rexnet_ai_real.cli.hydra_command import run_hydra
from rexnet_ai_real.cli.hydra_help import show_help

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> int:
    """Exit code 0: done; 1: some jobs of a sweep failed; 2: a wrong command; 130: interrupted."""
    if show_help(__doc__, ("augment", "data", "experiment", "model", "optimizer", "sweep", "trainer")):
        return DONE
    import rexnet_ai_real.config.compose  # noqa: F401  # registers the schema that train.yaml begins with

    return run_hydra("train", run)


def run(composed: "DictConfig") -> float | None:
    """One run, or one job of a multirun; the lowest validation loss, which sweepers minimise."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from rexnet_ai_real.config.compose import load
    from rexnet_ai_real.config.rules import ConfigError
    from rexnet_ai_real.runs.folder import RunFolder

    hydra_config = HydraConfig.get()
    is_job = hydra_config.mode == RunMode.MULTIRUN  # a failed job must not end the others: the sweep's summary names it
    with nullcontext() if is_job else ending("resume=FOLDER continues after the last complete epoch, if there is one."):
        settings = load(composed)
        if settings.resume and is_job:
            raise ConfigError(f"resume={settings.resume}: one run is resumed at a time; leave out -m and sweeps")
        # PyTorch and Lightning take seconds to import: --cfg job needs neither.
        from rexnet_ai_real.train.run import train

        return train(settings, RunFolder(Path(hydra_config.runtime.output_dir)))


if __name__ == "__main__":
    sys.exit(main())
