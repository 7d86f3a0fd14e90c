"""Train a detector: settings in, run folder out.

  python -m rexnet_ai_real.train +experiment=baseline              the study
  python -m rexnet_ai_real.train -m +experiment=baseline +sweep=lr_patience
  python -m rexnet_ai_real.train +experiment=demo                  minutes, no download
  python -m rexnet_ai_real.train +experiment=debug                 half a minute: does everything run?
  python -m rexnet_ai_real.train data=folder data.root=PATH        your own images, from ImageNet weights

Every key with its type and meaning: rexnet_ai_real/config/schema.py.
Exit code: 0 done, 1 some jobs of a sweep failed, 2 wrong command or settings, 130 interrupted.
"""

import sys

from rexnet_ai_real.cli.ending import DONE, ending
from rexnet_ai_real.cli.hydra_help import show_help


def main() -> int:
    """Exit code 0: done; 1: some jobs of a sweep failed; 2: a wrong command; 130: interrupted."""
    if show_help(__doc__, ("augment", "data", "experiment", "model", "optimizer", "sweep", "trainer")):
        return DONE
    with ending():  # a package may be missing
        from rexnet_ai_real.config.command import run_hydra  # --help needs neither Hydra nor NumPy
        from rexnet_ai_real.train.launch import run

        return run_hydra("train", run)


if __name__ == "__main__":
    sys.exit(main())
