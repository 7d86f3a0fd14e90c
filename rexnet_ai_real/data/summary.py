"""What a data set holds, in tables: counts, formats, sizes, near-duplicates and problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from rexnet_ai_real.data.manifest import usable
from rexnet_ai_real.errors import visible
from rexnet_ai_real.labels import AI, LABELS, REAL
from rexnet_ai_real.markdown import markdown_table

LISTED: Final = 30
"""Rows of a list of files that are shown; the manifest holds all of them."""

EXTENSIONS: Final = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "TIFF": {".tif", ".tiff"},
    "JPEG2000": {".jp2", ".j2k", ".jpx"},
    "HEIC": {".heic", ".heif"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
}
"""Usual extensions of a format; of a format not named here, its own name."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title, and a note below it. Cells are plain text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def summarize(manifest: pd.DataFrame) -> list[Table]:
    """All tables of a manifest, the most general first. A table without rows says so in its note."""
    several = (_collections,) if (manifest["collection"] != "").any() else ()
    tables = _counts, *several, _formats, _sizes, _mismatches, _repeats, _problems
    return [table(manifest) for table in tables]


def lying_extension(path: str, kind: str) -> bool:
    """Whether a file's extension is not one of those of its format; a missing one counts as wrong."""
    return PurePosixPath(path).suffix.lower() not in EXTENSIONS.get(kind, {f".{kind.lower()}"})


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Print tables to a terminal. Numbers are aligned right."""
    for table in tables:
        shown = RichTable(header_style="bold")
        for index, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if _numeric(table, index) else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*(escape(visible(cell)) for cell in row))
        console.print(f"[bold]{table.title}[/]")
        if table.rows:
            console.print(shown)
        console.print(f"{table.note}\n" if table.note else "", highlight=False)


def to_markdown(tables: Sequence[Table], title: str) -> str:
    """The tables as a Markdown page."""
    lines = [f"# {title}", ""]
    for table in tables:
        lines += [f"## {table.title}", ""]
        if table.rows:
            numeric = [index for index in range(len(table.columns)) if _numeric(table, index)]
            rows = ([visible(cell) for cell in row] for row in table.rows)
            lines += [markdown_table(table.columns, rows, right=numeric), ""]
        if table.note:
            lines += [table.note, ""]
    return "\n".join(lines)


def _numeric(table: Table, column: int) -> bool:
    return all(row[column][:1].isdigit() or row[column] in ("", "-") for row in table.rows)


def _classes(manifest: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(LABELS[label], manifest[manifest["label"] == label]) for label in (AI, REAL)]


def _counts(manifest: pd.DataFrame) -> Table:
    images = manifest[usable(manifest)]
    rows = []
    for name, ours in _classes(images):
        for (source, part), block in ours.groupby(["source", "part"]):
            share = f"{len(block) / len(images):.1%}"
            rows.append((name, str(source) or "-", str(part) or "-", f"{len(block):,}", share))
    larger = max((len(ours) for _, ours in _classes(images)), default=0)
    note = f"{len(images):,} images in use, {len(manifest) - len(images):,} files left out."
    if len(images):
        note += f" Always naming the larger class is right for {larger / len(images):.1%}."
    return Table("Images", ("class", "source", "own part", "images", "share"), tuple(rows), note)


def _collections(manifest: pd.DataFrame) -> Table:
    images = manifest[usable(manifest)]
    ai, real = (ours["collection"].value_counts() for _, ours in _classes(images))
    names = sorted(set(images["collection"]))
    rows = tuple((name, f"{ai.get(name, 0):,}", f"{real.get(name, 0):,}") for name in names)
    spanning = images.groupby("group")["collection"].nunique().gt(1).sum()
    note = f"{len(names)} collections; {spanning} groups of near-duplicates have images in more than one."
    return Table("Collections", ("collection", LABELS[AI], LABELS[REAL]), rows, note)


def _formats(manifest: pd.DataFrame) -> Table:
    images = manifest[usable(manifest)]
    rows = []
    for kind in images["format"].value_counts().index:
        counts = [(ours["format"] == kind).sum() for _, ours in _classes(images)]
        shares = [f"{count / max(len(ours), 1):.1%}" for count, (_, ours) in zip(counts, _classes(images), strict=True)]
        rows.append((str(kind), f"{counts[0]:,}", shares[0], f"{counts[1]:,}", shares[1]))
    note = "By content, not by extension. Where the shares differ, the format alone says something about the class."
    return Table("Formats", ("format", LABELS[AI], "of all", LABELS[REAL], "of all"), tuple(rows), note)


def _sizes(manifest: pd.DataFrame) -> Table:
    images = manifest[usable(manifest)]
    measures = {
        "width, px": images["width"],
        "height, px": images["height"],
        "short side, px": images[["width", "height"]].min(axis=1),
        "megapixels": images["width"] * images["height"] / 1e6,
        "bytes per pixel": images["bytes"] / (images["width"] * images["height"]),
    }
    rows = []
    for measure, values in measures.items():
        for name, ours in _classes(images):
            if len(ours):
                lowest, low, middle, high, highest = values[ours.index].quantile([0, 0.25, 0.5, 0.75, 1])
                rows.append((measure, name, *(_short(value) for value in (lowest, low, middle, high, highest))))
    squares = [
        f"{(ours['width'] == ours['height']).mean():.1%} of {name}" for name, ours in _classes(images) if len(ours)
    ]
    note = f"Square: {', '.join(squares)}." if squares else ""
    return Table("Sizes", ("", "class", "lowest", "25 %", "median", "75 %", "highest"), tuple(rows), note)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _mismatches(manifest: pd.DataFrame) -> Table:
    known = manifest[manifest["format"] != ""]
    wrong = [
        (path, kind) for path, kind in zip(known["path"], known["format"], strict=True) if lying_extension(path, kind)
    ]
    note = f"{len(wrong):,} of {len(known):,} files; nothing here goes by the extension."
    return Table(
        "Extensions that do not fit the content", ("content", "file"), _first([(k, p) for p, k in wrong]), note
    )


def _repeats(manifest: pd.DataFrame) -> Table:
    images = manifest[usable(manifest)]
    repeated = images[images.duplicated("group", keep=False)]
    groups = [block for _, block in repeated.groupby("group", sort=False)]
    groups.sort(key=lambda block: (block["label"].nunique() == 1, -len(block), block["path"].iloc[0]))
    across = sum(block["label"].nunique() > 1 for block in groups)
    rows = [
        (
            str(len(block)),
            " + ".join(name for name, ours in _classes(block) if len(ours)),
            "yes" if block["sha256"].nunique() == 1 else "no",
            _shortened(block["path"].tolist()),
        )
        for block in groups
    ]
    largest = ", ".join(f"{size:,}" for size in sorted(map(len, groups), reverse=True)[:3])
    note = (
        f"{len(groups):,} groups with {sum(map(len, groups)):,} images, {across} across the classes, the largest of "
        f"{largest or 0} images. A group stays on one side of every split."
    )
    return Table("Near-duplicates", ("images", "class", "same bytes", "files"), _first(rows), note)


def _shortened(paths: list[str]) -> str:
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")


def _problems(manifest: pd.DataFrame) -> Table:
    bad = manifest[~usable(manifest)]
    rows = list(zip(bad["problem"], bad["path"], strict=True))  # no str dtype: it refuses names that are not UTF-8
    note = f"{len(bad):,} files are left out." if len(bad) else "None: every file is an image in use."
    return Table("Problems", ("reason", "file"), _first(rows), note)


def _first(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    if len(rows) <= LISTED:
        return tuple(rows)
    blank = ("",) * (len(rows[0]) - 1)
    return (*rows[:LISTED], (*blank, f"... {len(rows) - LISTED:,} more in manifest.csv"))
