"""What one training run leaves on disk, and how to read it back."""

# Commands look for runs where YAML, Hydra and pandas need not be installed, so these are imported where they are used.
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import write_csv, write_text

if TYPE_CHECKING:
    import pandas as pd

    from rexnet_ai_real.config import DataConfig


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
            NotARun: no config.yaml here.
        """
        import yaml

        if not self.config_file.is_file():
            raise NotARun(f"{self.path} is no run folder: it has no config.yaml")
        plain: dict[str, Any] = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        return plain

    def write_predictions(self, rows: "pd.DataFrame") -> None:
        """Save path, label, split, logit and probability of each image."""
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
