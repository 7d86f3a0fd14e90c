"""Train a detector: settings in, run folder out.

  python -m rexnet_ai_real.train +experiment=baseline              the study
  python -m rexnet_ai_real.train -m +experiment=baseline +sweep=lr_patience
  python -m rexnet_ai_real.train +experiment=demo                  minutes, no download

Every key with its type and meaning: rexnet_ai_real/config/schema.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.hydra_help import CONF, show_help

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """The command."""
    if show_help(__doc__, ("augment", "data", "experiment", "model", "optimizer", "sweep", "trainer")):
        return
    import hydra

    import rexnet_ai_real.config.compose  # noqa: F401  # registers the schema that train.yaml begins with

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(run)()


def run(composed: "DictConfig") -> float | None:
    """One run, or one job of a multirun; the lowest validation loss, which sweepers minimise."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from rexnet_ai_real.config.compose import load
    from rexnet_ai_real.config.rules import ConfigError
    from rexnet_ai_real.errors import UserError
    from rexnet_ai_real.runs.folder import RunFolder

    hydra_config = HydraConfig.get()
    try:
        settings = load(composed)
        if settings.resume and hydra_config.mode == RunMode.MULTIRUN:
            raise ConfigError(f"resume={settings.resume}: one run is resumed at a time; leave out -m and sweeps")
        # PyTorch and Lightning take seconds to import: --cfg job needs neither.
        from rexnet_ai_real.train.run import train

        return train(settings, RunFolder(Path(hydra_config.runtime.output_dir)))
    except UserError as error:
        if hydra_config.mode == RunMode.MULTIRUN:  # a failed job must not end the others: the sweep's summary names it
            raise
        raise SystemExit(f"{type(error).__name__}: {error}") from error
    except KeyboardInterrupt:
        print("\nInterrupted. resume=FOLDER continues from the end of the last complete epoch, if there is one.")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
