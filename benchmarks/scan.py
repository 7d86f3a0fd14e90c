"""`predict` as a whole, against a plain PyTorch script doing the same: `python -m benchmarks.scan DETECTOR FOLDER...`.

Both decode files, prepare and classify; model and libraries are loaded before the clock starts.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.images import readable_images
from benchmarks.side_by_side import table, take_turns, write_section
from rexnet_ai_real import Detector
from rexnet_ai_real.detector.backends import BACKENDS

USUAL = "a plain PyTorch script"


def main() -> None:
    """Measure every folder, and write a section each."""
    parser = argparse.ArgumentParser(description="Time predictions on files.")
    parser.add_argument("detector", type=Path, help="folder that export wrote")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=112, help="images of each folder")
    options = parser.parse_args()
    detectors = {
        name: Detector.load(options.detector, backend=name)
        for name, entry in BACKENDS.items()
        if (options.detector / entry.file).is_file()
    }
    for folder in options.folders:
        files = readable_images(folder, options.count)
        things: dict[str, Callable[[], object]] = {USUAL: _script(files)}
        things |= {name: _scan(detector, files) for name, detector in detectors.items()}
        timings = take_turns(things, items=len(files), pairs=5)
        text = f"{len(files)} files of `{folder.name}`, decoding included.\n\n{table(timings, USUAL)}"
        write_section(f"Scanning files: {folder.name}", text, threads=torch.get_num_threads())


def _script(files: list[Path]) -> Callable[[], None]:
    """What one would write: a loop over files, Pillow, torchvision's transforms, timm's model, an image at a time."""
    network = timm.create_model("rexnet_100", num_classes=2).eval()
    prepare = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def run() -> None:
        with torch.no_grad():
            for file in files:
                network(prepare(Image.open(file).convert("RGB"))[None]).softmax(1)

    return run


def _scan(detector: Detector, files: list[Path]) -> Callable[[], object]:
    return lambda: list(detector.predict(files))


if __name__ == "__main__":
    main()
