"""Report how far a detector can be trusted: report.html, report.md, metrics.json, predictions.csv, figures.

  python -m rexnet_ai_real.evaluate run=PATH                       a run, checkpoint, multirun of folds or seeds
  python -m rexnet_ai_real.evaluate run=PATH others=[PATH,PATH]    also on other collections
  python -m rexnet_ai_real.evaluate run=PATH against=PATH          compared with another run on the same images
  python -m rexnet_ai_real.evaluate run=PATH against=python:my_detector:probability      with any other detector
  python -m rexnet_ai_real.evaluate run=timm:NETWORK@WEIGHTS data=folder data.root=PATH output_dir=OUT    that one alone
  python -m rexnet_ai_real.evaluate run=PATH sections=[metrics,calibration]           only some parts, in seconds
  python -m rexnet_ai_real.evaluate run=PATH data=folder data.root=PATH               on other images than the run's own
  python -m rexnet_ai_real.evaluate run=EXPORTED data=folder data.root=PATH backend=onnx-int8     an exported detector

Every key with its type and meaning: rexnet_ai_real/config/evaluation.py.
Exit code: 0 written, 1 some parts could not be made, 2 wrong command or nothing to evaluate, 130 interrupted.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, ending
from rexnet_ai_real.cli.hydra_help import show_help

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> int:
    """Exit code 0: the report is written; 1: without some of its parts; 2: a wrong command; 130: interrupted."""
    if show_help(__doc__, ("data",)):
        return DONE
    with ending():  # a package may be missing
        from rexnet_ai_real.config.command import run_hydra  # --help needs neither Hydra nor NumPy

        return run_hydra("evaluate", run)


def run(composed: "DictConfig") -> None:
    """Write one report.

    Raises:
        SystemExit: some parts of it could not be made, nothing could be evaluated, or it was interrupted.
    """
    from rexnet_ai_real import config

    with ending("The same command continues where this one stopped: finished predictions are kept."):
        settings = config.load_evaluation(composed)
        from rexnet_ai_real.detector.hub import locate
        from rexnet_ai_real.evaluate.rivals.rival import is_rival
        from rexnet_ai_real.runs.identify import identify

        if not is_rival(settings.run):
            located = locate(Path(settings.run).expanduser(), settings.backend)
            identify(located.path)
            if located.origin:
                if not settings.output_dir:
                    raise config.ConfigError(
                        f"run={settings.run} lies in the Hub's cache or in this program: say where the report goes "
                        "with output_dir=PATH"
                    )
                print(f"Detector: {located.origin}", file=sys.stderr)
            settings = replace(settings, run=str(located.path))
        from rexnet_ai_real.evaluate.report.write import write_report  # PyTorch takes seconds: refusals come first

        failures = write_report(settings)
    if failures:
        from rexnet_ai_real.evaluate.report.formatting import visible

        lines = ["These parts of the report could not be made:", *map(visible, failures)]
        print("\n".join(lines), file=sys.stderr)
        raise SystemExit(SOME_FAILED)


if __name__ == "__main__":
    sys.exit(main())
