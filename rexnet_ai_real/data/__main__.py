"""Look into a data set before training on it: `python -m rexnet_ai_real.data --name kaggle --root DIR`.

Prints counts, formats, sizes, near-duplicates and problems, and saves summary.md, manifest.csv, contact_sheet.png.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.arguments import positive
from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command
from rexnet_ai_real.errors import UserError, visible
from rexnet_ai_real.images.layouts import LAYOUTS
from rexnet_ai_real.labels import LABELS

if TYPE_CHECKING:
    import pandas as pd

    from rexnet_ai_real.data.summary import Table


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: usable images of both classes; 1: of one class or none; 2: a wrong command; 130: interrupted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.name = options.name or ("collections" if options.roots else "folder")
    if bool(options.roots) != LAYOUTS[options.name].has_roots or (options.roots and options.root):
        parser.error("--roots PATH ... goes with --name collections, which is then the default, and without --root")
    return command(lambda: summarise(options), "What was read is kept; the same command continues from there.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.data",
        description="Look into a data set before training on it: counts, formats, sizes, near-duplicates, problems.",
        epilog="Exit code: 0 usable images of both classes, 1 of one class or none, 2 wrong command or no such folder, "
        "130 interrupted.",
    )
    parser.add_argument(
        "--name",
        choices=tuple(LAYOUTS),
        help="layout of the data set, as data.name in training (default: folder, any tree with a folder per class; "
        "with --roots, collections)",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="folder with the images, or a table of file names and labels (.csv, .tsv, .jsonl, .parquet) "
        "(default: data/NAME); kaggle and cifake are downloaded there if it is empty",
    )
    parser.add_argument(
        "--roots",
        metavar="PATH",
        nargs="+",
        action="extend",
        default=[],
        help="in place of --root: the folder or table of each collection, where there are several",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the results; results in it are replaced (default: a new outputs/data/NAME, NAME-2, ...)",
    )
    parser.add_argument(
        "--classes",
        metavar="FOLDER=CLASS",
        type=_folder_and_class,
        nargs="+",
        action="extend",
        default=[],
        help="further folder names (or labels of a table) and the class of each, such as midjourney=ai flickr=real; "
        "human=null takes a known name's meaning away",
    )
    parser.add_argument(
        "--cache", metavar="DIR", help="folder that keeps what was read of each file (default: the user's own)"
    )
    parser.add_argument(
        "--per-class",
        metavar="N",
        type=positive,
        default=24,
        help="images of each class on the contact sheet (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", metavar="N", type=positive, help="threads that decode images (default: one per core)"
    )
    return parser


def summarise(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    from rich.console import Console

    from rexnet_ai_real.config import DataConfig
    from rexnet_ai_real.data.folders import one_class_advice
    from rexnet_ai_real.data.manifest import build_manifest, usable
    from rexnet_ai_real.data.sources import listing, locate
    from rexnet_ai_real.data.summary import print_tables, summarize
    from rexnet_ai_real.files import cache_folder

    data = DataConfig(
        name=options.name,
        root=options.root,
        classes=dict(options.classes),
        cache=options.cache,
        roots=options.roots,
    )
    root = locate(data)
    listed = listing(data, root)
    manifest = build_manifest(
        root,
        listed,
        workers=options.workers,
        cache=cache_folder(data.cache),
        max_pixels=data.max_pixels,
        duplicate_distance=data.duplicate_distance,
    )
    tables = summarize(manifest)
    print_tables(tables, Console())
    folder = _saved(options, root, manifest, tables)
    print(visible(f"Saved summary.md, manifest.csv and contact_sheet.png in {folder}"))
    if advice := one_class_advice(listed):
        print(visible(advice), file=sys.stderr)
    return DONE if manifest.loc[usable(manifest), "label"].nunique() == 2 else SOME_FAILED


def _saved(options: argparse.Namespace, root: Path, manifest: "pd.DataFrame", tables: "list[Table]") -> Path:
    """Write the results, and return their folder.

    Raises:
        UserError: the folder cannot be written.
    """
    from rexnet_ai_real.data.contact_sheet import contact_sheet
    from rexnet_ai_real.data.manifest import write_manifest
    from rexnet_ai_real.data.summary import to_markdown
    from rexnet_ai_real.files import claim_folder, write_atomically, write_text

    folder: Path = options.out or Path("outputs/data") / options.name
    sheet = contact_sheet(root, manifest, per_class=options.per_class)
    try:
        if options.out is None:
            folder = claim_folder(folder)
        elif (folder / "manifest.csv").exists():
            print(visible(f"Replacing the earlier results in {folder}"))
        write_manifest(manifest, folder / "manifest.csv")
        write_text(folder / "summary.md", to_markdown(tables, f"Images of {options.name}: {root}"))
        with write_atomically(folder / "contact_sheet.png") as temporary:
            sheet.save(temporary)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(f"{folder} cannot be written ({reason}): give a folder that can be as --out DIR") from error
    return folder


def _folder_and_class(text: str) -> tuple[str, str | None]:
    folder, _, label = text.rpartition("=")
    if not folder or label not in (*LABELS, "null"):
        raise argparse.ArgumentTypeError(f"{text!r}: FOLDER=ai or FOLDER=real is expected, or FOLDER=null")
    return folder, None if label == "null" else label


if __name__ == "__main__":
    sys.exit(main())
