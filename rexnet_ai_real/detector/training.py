"""What a saved detector tells of its training: images, length and metrics of the run.

No paths, since it is passed on.
"""

from pathlib import Path
from typing import Any

from rexnet_ai_real.detector.description import SHORT_SIDE
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import require_plain
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.identify import NotADetector


def training_of(run: RunFolder, checkpoint: Path) -> dict[str, Any]:
    """The summary of a run.

    Args:
        run: as training left it.
        checkpoint: of the run, which is enough for a detector where the other files are damaged.

    Raises:
        NotADetector: config.yaml, manifest.csv or metrics.json is damaged.
    """
    try:
        return _summary(run)
    except UserError:
        raise
    except Exception as error:  # a hand that edits YAML, CSV or JSON can break each in a dozen ways
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NotADetector(
            f"{run.path} cannot be read: its config.yaml, manifest.csv or metrics.json was changed or cut off "
            f"({reason}). Restore the file, or give {checkpoint}, which holds the whole detector"
        ) from error


def _summary(run: RunFolder) -> dict[str, Any]:
    from rexnet_ai_real.data.manifest import read_manifest  # brings pandas along

    for file in (run.config_file, run.manifest_file, run.metrics_file):
        if file.exists():
            require_plain(file)
    config = run.read_config()
    summary: dict[str, Any] = {"name": config["name"], "data": config["data"]["name"], "seed": config["seed"]}
    if config["data"].get("pairs", {}).get("share"):
        summary["pairs"] = "reconstructions of real images by FLUX.2's tiny autoencoder (MIT), as AI images"
    if run.manifest_file.is_file():
        manifest = read_manifest(run.manifest_file)
        counts = manifest[manifest["split"] != ""].groupby(["split", "label"]).size()
        summary["images"] = {
            split: {LABELS[label]: int(count) for label, count in counts[split].items()}
            for split in ("train", "val", "test")
            if split in counts.index
        }
        train = manifest.loc[manifest["split"] == "train", ["width", "height"]]
        if len(train):
            summary[SHORT_SIDE] = int(train.min(axis=1).median())
    if run.metrics_file.is_file():
        metrics = run.read_metrics()
        summary |= {key: metrics[key] for key in ("epochs", "best_epoch", "seconds", "val", "test")}
    return summary
