"""What one training run leaves on disk, and how to read it back."""

# Commands look for runs where YAML, Hydra and pandas need not be installed, so these are imported where they are used.
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import write_csv, write_text

if TYPE_CHECKING:
    import pandas as pd

    from rexnet_ai_real.config import DataConfig


SECTIONS: Final = ("data", "model", "trainer")
"""What every config.yaml has, and an edited one may have lost."""
EVENTS: Final = "events.out.tfevents.*"
"""TensorBoard's, in the run folder and in the folders of its curves."""
TEMPORARY: Final = ".*-????????.*"
"""Files that `write_atomically` was about to put in place when the process was killed."""


class NotARun(UserError, ValueError):
    """The folder given is no training run."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, by name. Nothing is read before it is asked for."""

    path: Path

    @property
    def config_file(self) -> Path:
        """Every setting of the run, resolved."""
        return self.path / "config.yaml"

    @property
    def manifest_file(self) -> Path:
        """One row per image."""
        return self.path / "manifest.csv"

    @property
    def history_file(self) -> Path:
        """One row per epoch."""
        return self.path / "history.csv"

    @property
    def predictions_file(self) -> Path:
        """One row per validation and test image."""
        return self.path / "predictions.csv"

    @property
    def metrics_file(self) -> Path:
        """Metrics of the best checkpoint."""
        return self.path / "metrics.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """Lowest validation loss."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """End of the last epoch: where `resume` continues."""
        return self.checkpoints / "last.ckpt"

    @property
    def log_file(self) -> Path:
        """What was logged while it trained."""
        return self.path / "train.log"

    @property
    def figures(self) -> Path:
        """Folder of the figures, PNG and PDF."""
        return self.path / "figures"

    def write_config(self, plain: dict[str, Any]) -> None:
        """Save the resolved configuration."""
        import yaml

        write_text(self.config_file, yaml.safe_dump(plain, sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """The resolved configuration, as plain values.

        Raises:
            NotARun: no config.yaml here, or one that is empty or damaged.
        """
        import yaml

        if not self.config_file.is_file():
            raise NotARun(f"{self.path} is no run folder: it has no config.yaml")
        try:
            plain: Any = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            where = getattr(error, "problem_mark", None)
            line = f", at line {where.line + 1}" if where else ""
            raise NotARun(f"{self.config_file} is damaged{line}: expected the settings of the run as YAML") from error
        if not isinstance(plain, dict) or not all(isinstance(plain.get(name), dict) for name in SECTIONS):
            state = "damaged" if plain else "empty"
            raise NotARun(
                f"{self.config_file} is {state}: expected the settings of the run ({', '.join(SECTIONS)} ...); restore "
                "the file, or train again"
            )
        return plain

    def sweep(self) -> None:
        """Remove the temporary files of processes that were killed while they wrote."""
        for folder in (self.path, self.checkpoints, self.figures):
            for file in folder.glob(TEMPORARY):
                file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier attempt in this folder has written."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.figures, ignore_errors=True)
        named = (self.config_file, self.manifest_file, self.history_file, self.predictions_file, self.metrics_file)
        events = [*self.path.glob(EVENTS), *self.path.glob(f"*/{EVENTS}")]
        for file in (*named, self.log_file, self.path / "hparams.yaml", *events):
            file.unlink(missing_ok=True)
        for folder in {file.parent for file in events} - {self.path}:
            with suppress(OSError):  # something else lies there
                folder.rmdir()
        self.sweep()

    def write_predictions(self, rows: "pd.DataFrame") -> None:
        """Save path, label, split, logit, probability, source and collection of each image."""
        write_csv(self.predictions_file, rows)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Save the metrics of the best checkpoint."""
        write_text(self.metrics_file, json.dumps(metrics, indent=2, allow_nan=False) + "\n")

    def read_metrics(self) -> dict[str, Any]:
        """The metrics of the best checkpoint."""
        metrics: dict[str, Any] = json.loads(self.metrics_file.read_text(encoding="utf-8"))
        return metrics


def data_of(config: Mapping[str, Any], moved: str | None) -> "DataConfig":
    """The data settings of a run, with the folder of the images replaced where it has moved."""
    from rexnet_ai_real.config import DataConfig, SyntheticConfig

    known = {f.name for f in fields(DataConfig)}
    plain = {key: value for key, value in config["data"].items() if key in known}
    data = DataConfig(**{**plain, "synthetic": SyntheticConfig(**plain["synthetic"])})
    return replace(data, root=moved) if moved else data
