"""A detector by its name on the Hugging Face Hub: OWNER/NAME or OWNER/NAME@REVISION to a folder on this machine.

A revision is a branch, a tag or a commit. What it stands for now is pinned: every file comes from that one commit,
whose hash is given back. Files are kept in the Hub's own cache, and found there without a network.
"""

import logging
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rexnet_ai_real.detector.description import MOST_BYTES
from rexnet_ai_real.detector.engines.engine import choose_backend
from rexnet_ai_real.detector.ready import NAME, ready_detector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.runs.identify import DETECTOR_FILE, EXPECTED, NotADetector

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MOST_DOWNLOAD: Final = 4 << 30
"""Bytes of one form of a detector."""
TIMEOUT: Final = 10
"""Seconds to wait for the first answer."""
_NAME: Final = re.compile(r"(?P<repository>(?P<owner>\w[\w.-]*)/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")
FILES: Final = (".ckpt", ".pt", ".pth", ".safetensors", ".onnx", ".json", ".xml")
"""Suffixes of what is meant as a file even where there is none."""

log = logging.getLogger(__name__)


class NotOnTheHub(NotADetector):
    """The Hub has no such detector, or cannot be reached and no copy is in the cache."""


@dataclass(frozen=True)
class Located:
    """Where a detector lies on this machine."""

    path: Path
    origin: str | None = None
    """OWNER/NAME@COMMIT, where it comes from the Hub; "ready", where it comes with this program."""


def locate(path: str | Path | None, backend: str) -> Located:
    """The path itself, the detector that comes with this program, or the local copy of one on the Hub.

    What exists on this machine wins: a name is looked up on the Hub only where there is no such file or folder, nor a
    folder named as its owner.

    Args:
        path: path, OWNER/NAME or OWNER/NAME@REVISION; None, or "ready" where there is no such file or folder: the
            detector that comes with this program.
        backend: as `choose_backend` takes it: only its files are downloaded.

    Raises:
        NotADetector: no detector comes with this installation.
        NotOnTheHub: no such repository or revision, no detector in it, or no connection and no copy in the cache.
        UserError: huggingface_hub is not installed; or as `choose_backend`.
    """
    if path is None or (str(path) == NAME and not Path(path).exists()):
        return Located(ready_detector(), NAME)
    here = Path(path)
    name = hub_name(here)
    if name is None:
        return Located(here)
    if find_spec("huggingface_hub") is None:
        raise UserError(
            f"{path} does not exist here; to look on the Hugging Face Hub: pip install 'rexnet-ai-real[hub]' "
            f"({EXPECTED})"
        )
    folder = _folder(name["repository"], name["revision"], backend)
    return Located(folder, f"{name['repository']}@{folder.name}")


def hub_name(path: Path) -> re.Match[str] | None:
    """The parts of a detector's name on the Hub; None where the path is something on this machine or meant as such."""
    name = _NAME.fullmatch(str(path))
    is_here = name is None or path.exists() or Path(name["owner"]).is_dir() or path.suffix in FILES
    return None if is_here else name


def _folder(repository: str, revision: str | None, backend: str) -> Path:
    """The snapshot of one commit in the Hub's cache, named by the commit's hash."""
    from huggingface_hub import HfApi

    cached = _cached(repository, revision)
    if cached and cached.name == revision and _is_complete(cached, backend):
        return cached
    try:
        return _downloaded(HfApi(), repository, revision, backend)
    except UserError:
        raise
    except Exception as error:  # the client raises errors of several libraries, which have changed between versions
        reason = _reason(error)
        if reason is None and cached and _is_complete(cached, backend):
            log.warning("The Hub was not reached: the copy of %s in the cache is used", repository)
            return cached
        asked = f"{repository}@{revision}" if revision else repository
        because = reason or f"the Hub was not reached, and no copy is in the cache that can run here ({_line(error)})"
        raise NotOnTheHub(f"{asked} does not exist here, and cannot be had from the Hub: {because}") from error


def _downloaded(api: "HfApi", repository: str, revision: str | None, backend: str) -> Path:
    # Asked first: without a network, a download tries six times in 25 s.
    info = api.model_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if DETECTOR_FILE not in sizes:
        raise NotOnTheHub(f"{repository} on the Hub has no {DETECTOR_FILE}: it is no detector of this program")
    chosen = choose_backend(Path(repository), backend, sizes.__contains__)
    for file, most in ((DETECTOR_FILE, MOST_BYTES), *((file, MOST_DOWNLOAD) for file in chosen.files)):
        if sizes.get(file, 0) > most:
            raise NotOnTheHub(f"{repository} on the Hub: {file} has {sizes[file]:,} bytes; at most {most:,} are read")
    # By the revision's own name, so that the cache notes which commit it stands for; all else by that commit.
    folder = Path(api.hf_hub_download(repository, DETECTOR_FILE, revision=revision)).parent
    if folder.name != info.sha:  # of which the sizes are
        raise NotOnTheHub(f"{repository} changed on the Hub at this moment: give the command again")
    for file in chosen.files:
        api.hf_hub_download(repository, file, revision=folder.name)
    return folder


def _cached(repository: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, DETECTOR_FILE, revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _is_complete(folder: Path, backend: str) -> bool:
    """Whether all files of the backend are there, not only the main one: a download may have been cut short."""
    try:
        chosen = choose_backend(folder, backend)
    except UserError:
        return False
    return all((folder / file).is_file() for file in chosen.files)


def _reason(error: Exception) -> str | None:
    """What the Hub answered, in words; None where it did not answer."""
    from huggingface_hub import errors

    known: dict[type[Exception], str] = {
        errors.GatedRepoError: "its owner must grant access: ask on its page, then log in with `hf auth login`",
        errors.RevisionNotFoundError: "the repository has no such revision: give a branch, a tag or a commit",
        errors.RepositoryNotFoundError: "there is no such repository, or it is private (then log in: `hf auth login`)",
        errors.HFValidationError: "this is no name of a repository: expected OWNER/NAME",
    }
    for kind, words in known.items():
        if isinstance(error, kind):
            return words
    answer: Any = getattr(error, "response", None) if isinstance(error, errors.HfHubHTTPError) else None
    status = getattr(answer, "status_code", None)
    return None if status is None or status >= 500 else f"it answered {status} ({_line(error)})"


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
