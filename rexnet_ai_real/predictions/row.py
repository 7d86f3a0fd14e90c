"""One result: a verdict, and where it is asked for, what the file's metadata says."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from rexnet_ai_real.picture_files import made_ahead
from rexnet_ai_real.provenance import read_provenance
from rexnet_ai_real.verdict import Verdict

COLUMNS: Final = ("path", "label", "probability", "logit", "error")
PROVENANCE: Final = ("provenance_says", "provenance")
"""What metadata claims (ai, real, edited, unknown or nothing), and the reasons. It plays no part in the probability."""

Row = dict[str, Any]
"""By column. Numbers are None where there is no answer, texts are empty."""


def columns(provenance: bool) -> tuple[str, ...]:
    """Of a table of results."""
    return COLUMNS + PROVENANCE if provenance else COLUMNS


def rows(verdicts: Iterable[Verdict], *, provenance: bool, workers: int) -> Iterator[Row]:
    """In order and lazily; metadata is read by threads."""
    if not provenance:
        return (_row(verdict) for verdict in verdicts)
    return (
        _row(verdict) | found
        for verdict, found in made_ahead(_provenance, verdicts, workers=workers, ahead=4 * workers)
    )


def readable(text: str) -> str:
    """Valid UTF-8: bytes of a file's name that are not become backslash escapes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _row(verdict: Verdict) -> Row:
    probability = None if verdict.probability is None else round(verdict.probability, 6)
    logit = None if verdict.logit is None else round(verdict.logit, 6)
    return dict(zip(COLUMNS, (verdict.path, verdict.label or "", probability, logit, verdict.error or ""), strict=True))


def _provenance(verdict: Verdict) -> Row:
    try:
        found = read_provenance(Path(verdict.path))
    except ValueError as error:  # a name with a zero byte
        return dict(zip(PROVENANCE, ("", f"could not be read: {error}"), strict=True))
    return dict(zip(PROVENANCE, (found.says or "", found.verdict), strict=True))
