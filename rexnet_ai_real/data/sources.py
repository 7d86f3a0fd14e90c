"""Where the images are: finds a data set's folder, downloads it where it can, lists its files with their labels."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rexnet_ai_real.config import ConfigError, DataConfig
from rexnet_ai_real.data.class_names import ClassNames
from rexnet_ai_real.data.folders import no_class_advice, of_folders
from rexnet_ai_real.data.listed import Listed, MissingImagesError
from rexnet_ai_real.data.roots import collection_roots, common_parent
from rexnet_ai_real.data.table_labels import of_tables, tables_in
from rexnet_ai_real.data.tables import is_table
from rexnet_ai_real.images.layouts import LAYOUTS, Layout
from rexnet_ai_real.images.walk import image_files
from rexnet_ai_real.labels import LABELS


def locate(data: DataConfig) -> Path:
    """The folder with the images of `data`: the one configured, else the usual one, filled first where it is empty.

    Raises:
        MissingImagesError: there is none, and it cannot be downloaded, or `data.roots` cannot be used.
        SyntheticError: the synthetic images cannot be made there.
    """
    layout = LAYOUTS[data.name]
    root = root_of(data)
    if layout.is_generated:
        from rexnet_ai_real.data.synthetic import make_images

        return make_images(root, count=data.synthetic.count, size=data.synthetic.size, seed=data.synthetic.seed)
    if root.is_file() and layout.reads_tables and is_table(root):
        return root.parent
    if root.exists() and not root.is_dir():
        tables = ", or a table (.csv, .tsv, .jsonl, .parquet)" if layout.reads_tables else ""
        raise MissingImagesError(
            f"data.root={root} is a file; the folder that holds {layout.expected} is expected{tables}"
        )
    if holds_anything(root):
        return root
    if layout.kaggle_id is None:
        given = f"data.root={data.root}" if data.root else f"data.root is not given, so {root} is used"
        raise MissingImagesError(
            f"{given}: no such folder, or an empty one. Expected: {layout.expected} in it. "
            "Give the folder as data.root=PATH, or try the program with data=synthetic"
        )
    return _download(layout.kaggle_id, layout.expected, root)


def listing(data: DataConfig, root: Path) -> list[Listed]:
    """All files under `root`, hidden ones too, sorted by path, with the label that their folders or a table give them.

    The class is that of the folders whose name is known: from `data.classes`, or from the layout. The other folders on
    the path are the source, except the names of subsets (train, val, test) and repetitions. A name from `data.classes`
    is part of the source as well, since it often is a generator's. Links to folders are followed, each folder once.

    A table gives the labels where `data.root` names one, or where no folder's name is known and there is a
    metadata.csv (.jsonl, .parquet) somewhere or a train.csv on top. Files that it does not name are not listed.

    Of several collections each is read so by itself. All their images are one pool: a part that a collection calls its
    own test or validation part counts like the rest.

    Args:
        data: name, root, roots and classes are used.
        root: as `locate` gives it.

    Raises:
        MissingImagesError: no file has a class, or none of a collection, or two collections list the same file.
        AmbiguousFolders: the folders on one path name both classes.
        TableError: a table cannot be used.
    """
    layout = LAYOUTS[data.name]
    names = ClassNames(_own_names(data.classes), layout.class_folders)
    if layout.has_roots:
        if data.root:
            raise MissingImagesError(f"data.root={data.root}: data.roots names the collections; leave data.root out")
        return _of_collections(collection_roots(data.roots), root, layout, names)
    return _of_one(Path(data.root).expanduser() if data.root else root, root, layout, names)


def _of_collections(collections: list[Path], root: Path, layout: Layout, names: ClassNames) -> list[Listed]:
    listed: dict[str, Listed] = {}
    for given in collections:
        folder = given.parent if given.is_file() else given
        if folder == given and not holds_anything(folder):
            raise MissingImagesError(f"data.roots: {folder} is an empty folder; leave it out, or fill it")
        start, collection = folder.relative_to(root).as_posix(), given.relative_to(root).as_posix()
        for file in _of_one(given, folder, layout, names):
            path = os.path.normpath(PurePosixPath(start) / file.path).replace(os.sep, "/")
            mine = replace(file, path=path, subset=None, collection=collection)
            if (other := listed.setdefault(path, mine)) is not mine:
                raise MissingImagesError(f"data.roots: {other.collection} and {collection} both list {path}")
    return sorted(listed.values(), key=lambda file: file.path)


def _of_one(given: Path, root: Path, layout: Layout, names: ClassNames) -> list[Listed]:
    """Of one folder `root`, or of the table `given` in it."""
    if layout.reads_tables and given.is_file():
        return of_tables([given], root, names)
    paths = _files(root)
    listed = of_folders(paths, root, names)
    if any(file.label is not None for file in listed):
        return listed
    tables = tables_in(paths, root) if layout.reads_tables else []
    if tables:
        return of_tables(tables, root, names)
    raise MissingImagesError(
        f"{root}: no file lies in a folder of a known class. Expected: {layout.expected}; "
        f"{no_class_advice(listed, layout)}"
    )


def _own_names(classes: Mapping[str, str | None]) -> dict[str, str | None]:
    for folder, label in classes.items():
        if label is not None and label not in LABELS:
            raise ConfigError(
                f"data.classes: {folder} is given the class {label!r}; expected {' or '.join(LABELS)}, or null"
            )
    return {str(folder): label for folder, label in classes.items()}


def _files(root: Path) -> list[str]:
    """Paths below `root`, with forward slashes, of all that is no folder, and of folders that cannot be opened."""
    start = len(str(root))
    return sorted(file.path[start:].lstrip(os.sep).replace(os.sep, "/") for file in image_files(root))


def root_of(data: DataConfig) -> Path:
    """The folder for the images of `data`, whether it exists or not; of several collections their common parent.

    Raises:
        MissingImagesError: `data.roots` cannot be used.
    """
    if LAYOUTS[data.name].has_roots and not data.root:
        return common_parent(collection_roots(data.roots))
    return Path(data.root or f"data/{data.name}").expanduser()


def holds_anything(root: Path) -> bool:
    """Whether `root` is a folder with something in it."""
    return root.is_dir() and any(root.iterdir())


def _download(kaggle_id: str, expected: str, root: Path) -> Path:
    """Fill `root` from Kaggle, atomically: a download that is cut off leaves nothing that passes for the data."""
    import kagglehub
    import requests

    partial = root.with_name(f".{root.name}-download")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        downloaded = Path(kagglehub.dataset_download(kaggle_id, output_dir=str(partial)))
    except Exception as error:  # kagglehub lets errors of requests, of its own and of the system through
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        if isinstance(error, requests.ConnectionError):
            reason = "no connection to kaggle.com"
        raise MissingImagesError(
            f"data.root={root} holds no images, and they cannot be downloaded ({reason}). Fetch "
            f"https://www.kaggle.com/datasets/{kaggle_id} by hand and unpack it so that {root} holds {expected}; "
            "or try the program without it: data=synthetic"
        ) from error
    if downloaded != partial:  # inside Kaggle's and Colab's notebooks the data is mounted elsewhere
        return downloaded
    shutil.rmtree(partial / ".complete", ignore_errors=True)  # kagglehub's own note that it has finished
    return partial.replace(root)
