"""Report how far a detector can be trusted: a trained thing in, report.html, report.md, metrics.json and figures out.

    python -m rexnet_ai_real.evaluate run=outputs/baseline/2026-11-22_10-00-00
    python -m rexnet_ai_real.evaluate run=PATH others=[PATH,PATH] against=PATH

Every setting stands in config.py (EvaluateConfig); `--help` shows the usual commands.
"""

import sys

import hydra
from omegaconf import DictConfig

from rexnet_ai_real import config
from rexnet_ai_real.errors import UserError


@hydra.main(version_base="1.3", config_path=str(config.FOLDER), config_name="evaluate")
def main(composed: DictConfig) -> None:
    """Write one report. Ends with status 1 where a part of it could not be made; the other parts are written."""
    try:
        settings = config.load_evaluation(composed)
        from rexnet_ai_real.evaluation.report import write_report  # PyTorch takes seconds: --help needs it not

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
