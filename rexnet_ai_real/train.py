"""Train a detector: settings in, run folder out.

    python -m rexnet_ai_real.train +experiment=baseline
    python -m rexnet_ai_real.train -m +experiment=baseline +sweep=lr_patience

Every setting stands in config.py; `--help` lists the groups, `--cfg job` prints what would be used.
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from rexnet_ai_real import config
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.run_folder import RunFolder


@hydra.main(version_base="1.3", config_path=str(config.FOLDER), config_name="train")
def main(composed: DictConfig) -> float | None:
    """One run, or one job of a multirun. Returns the lowest validation loss, which sweepers minimise."""
    hydra_config = HydraConfig.get()
    try:
        settings = config.load(composed)
        if settings.resume and hydra_config.mode == RunMode.MULTIRUN:
            raise config.ConfigError(f"resume={settings.resume}: one run is resumed at a time; leave out -m and sweeps")
        # PyTorch and Lightning take seconds to import: --help needs neither.
        from rexnet_ai_real.training.run import train

        return train(settings, RunFolder(Path(hydra_config.runtime.output_dir)))
    except UserError as error:
        if hydra_config.mode == RunMode.MULTIRUN:  # one failed job must not end the others: the sweep's summary tells
            raise
        raise SystemExit(f"{type(error).__name__}: {error}") from error
    except KeyboardInterrupt:
        print("\nInterrupted. From the end of the last whole epoch, if there is one, resume=FOLDER goes on.")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
