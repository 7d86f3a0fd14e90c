"""Report how far a detector can be trusted: report.html, report.md, metrics.json, predictions.csv, figures.

  python -m rexnet_ai_real.evaluate run=PATH                       a run, a checkpoint, a multirun of folds, a detector
  python -m rexnet_ai_real.evaluate run=PATH others=[PATH,PATH]    and on other collections
  python -m rexnet_ai_real.evaluate run=PATH against=PATH          and beside another run on the same images
  python -m rexnet_ai_real.evaluate run=PATH sections=[metrics,calibration]
  python -m rexnet_ai_real.evaluate run=PATH data=folder data.root=PATH    on other images than the run's own

Every key with its type and meaning: rexnet_ai_real/config/evaluation.py.
"""

import sys
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.hydra_help import CONF, show_help

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """The command."""
    if show_help(__doc__, ("data",)):
        return
    import hydra

    import rexnet_ai_real.config.compose  # noqa: F401  # registers the schema that evaluate.yaml begins with

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")(run)()


def run(composed: "DictConfig") -> None:
    """Write one report. Ends with status 1 where a part of it could not be made; the other parts are written."""
    from rexnet_ai_real import config
    from rexnet_ai_real.errors import UserError

    try:
        settings = config.load_evaluation(composed)
        from rexnet_ai_real.evaluate.report.write import write_report  # PyTorch takes seconds

        failures = write_report(settings)
    except UserError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error
    except KeyboardInterrupt:
        words = "Interrupted. The same command goes on where this one stopped: finished predictions are kept."
        print(f"\n{words}", file=sys.stderr)
        raise SystemExit(130) from None
    if failures:
        raise SystemExit("\n".join(["These parts of the report could not be made:", *failures]))


if __name__ == "__main__":
    main()
