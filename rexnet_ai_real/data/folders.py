"""Labels by folders: the class of each file by the names above it, and what to type where these do not tell."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rexnet_ai_real.data.class_names import ClassNames, counted, settings_line, which_is_which
from rexnet_ai_real.data.listed import SHOWN, SUBSET_FOLDERS, AmbiguousFolders, Listed, MissingImagesError
from rexnet_ai_real.images.layouts import Layout
from rexnet_ai_real.labels import AI, LABELS, REAL


def of_folders(paths: Sequence[str], root: Path, names: ClassNames) -> list[Listed]:
    """The files with what their folders say; those in no class folder have no label.

    Raises:
        AmbiguousFolders: the folders on one path name both classes.
    """
    parents = [str(PurePosixPath(path).parent) for path in paths]
    counts = Counter(parents)
    _refuse_ambiguous(counts, root, names)
    listed = {parent: _listed(parent, names) for parent in counts}
    return [replace(listed[parent], path=path) for path, parent in zip(paths, parents, strict=True)]


def require_both_classes(listed: Sequence[Listed], root: Path) -> None:
    """Stop where no file has one of the classes, though folders with files in them have none: probably it is theirs.

    Raises:
        MissingImagesError: names those folders, and the setting that gives them a class.
    """
    advice = one_class_advice(listed)
    if advice:
        raise MissingImagesError(f"{root}: {advice}")


def one_class_advice(listed: Sequence[Listed]) -> str:
    """What to do where one class has no file and some folders have no class; empty where there is nothing to advise."""
    missing = [label for label in (REAL, AI) if not any(file.label == label for file in listed)]
    unknown = _folder_counts(listed)
    if len(missing) != 1 or not unknown:
        return ""
    return (
        f"no folder is known to hold the class {LABELS[missing[0]]!r}. Folders without a class: "
        f"{counted(unknown, 'file')}. {which_is_which(list(unknown), missing)}"
    )


def no_class_advice(listed: Sequence[Listed], layout: Layout) -> str:
    """What was found where no folder is known, and what to do."""
    folders = sorted(_folder_counts(listed))
    if folders:
        return f"found: {counted(_folder_counts(listed), 'file')}. {which_is_which(folders[:SHOWN], [REAL, AI])}"
    table = ", or list them in a table with the columns file_name and label: data.root=TABLE.csv"
    return f"found: no folders. Sort the images into ai and real{table if layout.reads_tables else ''}"


def _listed(parent: str, names: ClassNames) -> Listed:
    """What is known of the files in a folder; the path is still that of the folder."""
    folders = _folders(parent, names)
    known = [folder for folder in folders if names.label(folder) is not None]
    subset = next((folder for folder in folders if folder.casefold() in SUBSET_FOLDERS), "")
    no_source = {*SUBSET_FOLDERS, *(folder.casefold() for folder in known[:1])}
    source = dict.fromkeys(f for f in folders if f.casefold() not in no_source or names.is_own(f))
    label = names.label(known[0]) if known else None
    return Listed(parent, label, "/".join(source), SUBSET_FOLDERS.get(subset.casefold()))


def _folders(parent: str, names: ClassNames) -> list[str]:
    """The names of the folders down to `parent`; one of a subset and a class, such as training_fake, counts as two."""
    folders: list[str] = []
    for folder in PurePosixPath(parent).parts:
        first, _, rest = re.sub(r"[ \-]", "_", folder, count=1).partition("_")
        both = first.casefold() in SUBSET_FOLDERS and names.label(rest) is not None and not names.is_own(folder)
        folders += [first, rest] if both else [folder]
    return folders


def _refuse_ambiguous(parents: "Counter[str]", root: Path, names: ClassNames) -> None:
    counts: Counter[str] = Counter()
    outer, inner = dict[str, None](), dict[str, None]()
    for parent, count in parents.items():
        known = {folder: label for folder in _folders(parent, names) if (label := names.label(folder)) is not None}
        if len(set(known.values())) > 1:
            counts[parent] = count
            first, last = next(iter(known.values())), list(known.values())[-1]
            outer |= {folder: None for folder, label in known.items() if label != last}
            inner |= {folder: None for folder, label in known.items() if label != first}
    if not counts:
        return
    found = counted(counts, "file")
    message = f"{root}: the folders on one path name both classes: {found}. "
    if outer.keys() & inner.keys():
        raise AmbiguousFolders(message + "Rename folders so that only one on each path is that of a class")
    raise AmbiguousFolders(
        f"{message}If the last folder is right, add {settings_line(outer)}. "  # a name with None means no class
        f"If the first is, add {settings_line(inner)}"
    )


def _folder_counts(listed: Iterable[Listed]) -> "Counter[str]":
    """Folders that hold files of no known class, the fullest first: by their own names, or the topmost if too many."""
    paths = [PurePosixPath(file.path).parent for file in listed if file.label is None]
    named = [[folder for folder in path.parts if folder.casefold() not in SUBSET_FOLDERS] for path in paths]
    lowest = Counter(folders[-1] for folders in named if folders)
    return lowest if len(lowest) <= SHOWN else Counter(folders[0] for folders in named if folders)
