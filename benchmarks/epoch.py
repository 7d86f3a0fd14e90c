"""A whole epoch of training, against the same number of bare steps: `python -m benchmarks.epoch IMAGES`.

After every epoch of a real run, all of Lightning, metrics, progress bar and TensorBoard included, as many steps are
taken on one batch in memory. What is more than 1 is what data and bookkeeping cost.
"""

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from torch.nn import functional as F

from benchmarks.side_by_side import median_of, write_section
from rexnet_ai_real import config
from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.detector.engines.device import autocast, best_precision
from rexnet_ai_real.detector.engines.memory import keep_freed_memory
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.callbacks import History
from rexnet_ai_real.train.classifier import Classifier, new_classifier
from rexnet_ai_real.train.trainer import new_trainer

CPU = torch.device("cpu")


class BareSteps(L.Callback):
    """Seconds of each epoch's training, and of as many steps without anything around them."""

    def __init__(self, data: ImageDataModule) -> None:
        """`data`: that of the run."""
        self.data = data
        self.pairs: list[tuple[float, float]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note how far it has come."""
        self.ended, self.steps = time.perf_counter(), batch_idx + 1

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the bare steps, on a copy."""
        classifier = cast(Classifier, pl_module)
        network = copy.deepcopy(classifier.network).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
        batch = next(iter(self.data.train_dataloader()))
        images, labels, _ = self.data.on_after_batch_transfer(batch, 0)
        bare = time.perf_counter()
        for _ in range(self.steps):
            with autocast(CPU, best_precision(CPU)):
                logits = network(images)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.pairs.append((self.ended - self.started, time.perf_counter() - bare))


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description="Time whole epochs.")
    parser.add_argument("images", help="data.root of the baseline")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    overrides = [
        *("+experiment=baseline", "model=rexnet_100", "model.weights=null", f"data.root={options.images}"),
        *(f"data.batch_size={options.batch_size}", f"data.image_size={options.image_size}"),
        *(f"trainer.max_epochs={options.epochs}", "early_stopping.patience=99"),
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = config.load(compose("train", overrides=overrides))
    keep_freed_memory()
    data = ImageDataModule(settings.data, settings.augment, seed=0)
    data.prepare_data()
    data.setup("fit")
    steps = BareSteps(data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary))
        trainer = new_trainer(settings, folder, History(folder.history_file), [steps])
        trainer.fit(new_classifier(settings), datamodule=data)
    later = [(whole, bare) for whole, bare in steps.pairs[1:]]
    ratios = [whole / bare for whole, bare in later]
    text = (
        f"Training part of an epoch, data included, against as many bare steps ({steps.steps} of {options.batch_size} "
        f"images of {options.image_size} px), epochs 2 to {options.epochs}: **{median_of(ratios)}** times as long "
        f"({statistics.median(whole for whole, _ in later):.1f} against "
        f"{statistics.median(bare for _, bare in later):.1f} s)."
    )
    write_section("Whole epoch", text, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
