"""Look into a data set before training on it: `python -m rexnet_ai_real.data --source kaggle --root DIR`.

Prints counts, formats, sizes, near-duplicates and problems, and saves summary.md, manifest.csv, contact_sheet.png.
"""

import argparse
import sys
from pathlib import Path

from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command


def main(arguments: list[str] | None = None) -> int:
    """Run the command: 0 with usable images of both classes, 1 without, 2 for a wrong command, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    return command(lambda: _look_into(options), "What was read is kept; the same command continues from there.")


def _look_into(options: argparse.Namespace) -> int:
    from rich.console import Console

    from rexnet_ai_real.config import DataConfig
    from rexnet_ai_real.data.contact_sheet import contact_sheet
    from rexnet_ai_real.data.manifest import build_manifest, usable, write_manifest
    from rexnet_ai_real.data.sources import listing, locate
    from rexnet_ai_real.data.summary import print_tables, summarize, to_markdown
    from rexnet_ai_real.files import write_atomically, write_text

    data = DataConfig(name=options.source, root=options.root, classes=dict(options.classes))
    root = locate(data)
    listed = listing(data, root)
    manifest = build_manifest(
        root,
        listed,
        workers=options.workers,
        max_pixels=data.max_pixels,
        duplicate_distance=data.duplicate_distance,
    )
    tables = summarize(manifest)
    print_tables(tables, Console())
    folder = Path(options.out or f"outputs/data/{options.source}")
    write_manifest(manifest, folder / "manifest.csv")
    write_text(folder / "summary.md", to_markdown(tables, f"Images of {options.source}"))
    with write_atomically(folder / "contact_sheet.png") as temporary:
        contact_sheet(root, manifest, per_class=options.per_class, max_pixels=data.max_pixels).save(temporary)
    print(f"Saved summary.md, manifest.csv and contact_sheet.png in {folder}")
    return DONE if manifest.loc[usable(manifest), "label"].nunique() == 2 else SOME_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.data", description="Look into a data set before training on it."
    )
    parser.add_argument(
        "--source",
        choices=("kaggle", "cifake", "folder", "synthetic"),
        default="folder",
        help="layout of the data set (default: folder, which takes any tree with a folder per class)",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="folder with the images; kaggle and cifake are downloaded if absent"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: outputs/data/SOURCE)")
    parser.add_argument(
        "--classes",
        metavar="FOLDER=CLASS",
        type=_folder_and_class,
        nargs="+",
        default=[],
        help="further folder names and their class, such as midjourney=ai flickr=real",
    )
    parser.add_argument(
        "--per-class", metavar="N", type=int, default=24, help="images of a class on the contact sheet (24)"
    )
    parser.add_argument("--workers", metavar="N", type=int, help="threads that decode (default: one per core)")
    return parser


def _folder_and_class(text: str) -> tuple[str, str]:
    folder, _, label = text.rpartition("=")
    if not folder or label not in ("ai", "real"):
        raise argparse.ArgumentTypeError(f"{text!r}: FOLDER=ai or FOLDER=real is expected")
    return folder, label


if __name__ == "__main__":
    sys.exit(main())
