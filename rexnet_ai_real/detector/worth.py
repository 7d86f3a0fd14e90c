"""What a detector's answers are worth, in sentences for people: how often it was wrong where that was measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import Description, read_description
from rexnet_ai_real.detector.verdict import answers_nothing, promise
from rexnet_ai_real.errors import one_line
from rexnet_ai_real.files import require_plain
from rexnet_ai_real.labels import percent
from rexnet_ai_real.runs.identify import Checkpoint, Folds, NotADetector, Run, Saved, Seeds, identify

MEASURED: Final = "measured"
"""Key in `Description.training` of what `summarised` keeps of a report."""
LEFT_OUT: Final = "left_out"
"""Key in what was measured: true where it is of collections that were left out of training."""
COLLECTIONS: Final = "collections"
"""Key in `Description.training` of the images of each collection."""
_FACTS: Final[Mapping[str, Any]] = {
    **{"real": 0, "ai": 0, "generators": []},
    **dict.fromkeys(("repository", "commit", "licence", "trust", "sha256"), ""),
}
"""What is recorded of a collection, and what stands where nothing is."""
VERSION: Final = "version"
"""Key in `Description.training` beside its name, of a detector that is released."""
_MOST_LISTED: Final = 6
"""Collections whose AUROC is told one by one."""
_REPORT: Final = "report"
_MOST_IMAGES: Final = 10**12
"""A larger count is taken for damage."""
_FRACTIONS: Final = {
    **{"1 in 10": 1 / 10, "1 in 5": 1 / 5, "1 in 4": 1 / 4, "3 in 10": 3 / 10, "1 in 3": 1 / 3, "4 in 10": 4 / 10},
    **{"1 in 2": 1 / 2, "6 in 10": 6 / 10, "7 in 10": 7 / 10, "8 in 10": 8 / 10, "9 in 10": 9 / 10, "10 in 10": 1.0},
}
_NO_PROOF: Final = "An answer is no proof."


@dataclass(frozen=True)
class Worth:
    """What is known of a detector's errors."""

    calibration: Calibration
    name: str = ""
    """Of its training and its images; empty where they are unknown."""
    error: float | None = None
    """Share of wrong answers on images of the same origin as those it has learned from; None: not known."""
    n: int = 0
    """Images on which that was measured."""
    elsewhere: Mapping[str, float] | None = None
    """AUROC by collection; None: not measured."""
    report: Path | None = None
    """The page of the evaluation, where it lies beside the detector."""
    left_out: bool = False
    """Whether errors and AUROC are of whole collections, each measured on networks that were trained without it."""

    @classmethod
    def of(cls, description: Description, path: Path) -> "Worth":
        """What is stored with the detector that was loaded from `path`, or in the report beside it."""
        training = description.training
        first = next(iter(_networks(training)), training)
        data = first.get("data")
        collections = collections_of(training)
        data = f"{len(collections):,} collections" if collections else data
        title = " ".join(str(first[key]) for key in ("name", VERSION) if first.get(key))
        name = f"{title}, trained on {data}" if data and title else str(data or "")
        folder = _report(path, description)
        found = _mapping(training.get(MEASURED)) or (summarised(_metrics(folder)) if folder else {})
        error, n = _number(found.get("error")), int(_number(found.get("n"), _MOST_IMAGES) or 0)
        if error is None:
            error, n = _of_training(training)
        elsewhere = {name: _number(auroc) for name, auroc in _mapping(found.get("elsewhere")).items()}
        page = folder / "report.html" if folder else None
        return cls(
            description.calibration,
            one_line(name, 500),
            error,
            n,
            {name: auroc for name, auroc in elsewhere.items() if auroc is not None} or None,
            page if page and page.is_file() else None,
            is_left_out(training | {MEASURED: found}),
        )

    @property
    def sentences(self) -> list[str]:
        """For the reader of any answer."""
        return [_NO_PROOF, self._own(), self._elsewhere()]

    def rule(self, *, always: bool) -> str:
        """When the detector gives which answer."""
        point = self.calibration
        threshold = f"AI-generated from {percent(point.threshold)} on, and real below"
        if point.unsure_low >= point.unsure_high:
            return f"The answer is {threshold}."
        if always:
            return f"The answer is {threshold}, also where this detector cannot promise {promise(point)}."
        if answers_nothing(point):
            return (
                f'This detector cannot promise {promise(point)} on any images, so its answer is always "unsure". '
                f"Beside it stands which way an image leans: {threshold}."
            )
        promised = "" if point.error_target is None else f", where {promise(point)} cannot be promised"
        return (
            f"The answer is AI-generated from {percent(point.unsure_high)} on, real below {percent(point.unsure_low)}, "
            f'and "unsure" between{promised}. An unsure image leans {threshold}.'
        )

    def _own(self) -> str:
        if self.error is None:
            return "How often this detector is wrong was not measured, or is not stored with it."
        wrong = round(self.error * self.n)
        kind, seen = "its own kind", "it had not seen"
        if self.left_out:
            kind, seen = "collections left out of its training", "networks like it had not seen"
        return (
            f"This detector was wrong on {_about(self.error)} images of {kind}"
            f"{', like a coin toss' if self.error > 0.45 else ''} ({wrong:,} of {self.n:,} that {seen})."
        )

    def _elsewhere(self) -> str:
        if self.elsewhere is None:
            return "On images from elsewhere it was not measured: expect more errors there."
        worst = min(self.elsewhere.values())
        words = "little better than a coin toss" if worst < 0.65 else "weaker" if worst < 0.85 else "still able"
        listed = ", ".join(f"{value:.2f} on {name}" for name, value in self.elsewhere.items())
        if len(self.elsewhere) > _MOST_LISTED:
            mean = sum(self.elsewhere.values()) / len(self.elsewhere)
            where = min(self.elsewhere, key=self.elsewhere.__getitem__)
            listed = f"{mean:.2f} in the mean of {len(self.elsewhere):,} collections, {worst:.2f} on {where}, the worst"
        return f"On images from elsewhere it can be {words}: AUROC {listed} (0.5 is a coin toss, 1 is without error)."


def collections_of(training: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is recorded of each collection that a detector was trained on, every key of `_FACTS`.

    What does not fit, as in a stranger's file, is left out.
    """
    return {
        str(name): {key: facts[key] if type(facts.get(key)) is type(no) else no for key, no in _FACTS.items()}
        for name, facts in _mapping(training.get(COLLECTIONS)).items()
        if isinstance(facts, Mapping)
    }


def is_left_out(training: Mapping[str, Any]) -> bool:
    """Whether what was measured is of collections that were left out of training."""
    return _mapping(training.get(MEASURED)).get(LEFT_OUT) is True


def summarised(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of the metrics.json of a report: the share of wrong answers, on how many images, and AUROC elsewhere."""
    own = next((name for name in ("out_of_fold", "test") if name in report), None)
    found = _mapping(report.get(own)) if own else {}
    accuracy = _value(found.get("accuracy_at_threshold"))
    if accuracy is None:
        accuracy = _value(found.get("accuracy"))
    if accuracy is None:
        return {}
    elsewhere = {
        one_line(name, 200): auroc
        for name, part in report.items()
        if name != own and "n_real" in _mapping(part) and (auroc := _value(part.get("auroc"))) is not None
    }
    is_of_others = found.get("split_by") == "collection"
    if is_of_others:
        left_out = _mapping(found.get(COLLECTIONS)).items()
        elsewhere |= {
            one_line(name, 200): auroc
            for name, part in left_out
            if (auroc := _value(_mapping(part).get("auroc"))) is not None
        }
    n = sum(int(_number(found.get(key), _MOST_IMAGES) or 0) for key in ("n_real", "n_ai"))
    measured = {"error": 1 - accuracy, "n": n, "elsewhere": elsewhere or None}
    return measured | ({LEFT_OUT: True} if is_of_others else {})


def _of_training(training: Mapping[str, Any]) -> tuple[float | None, int]:
    """Of the test images of a run, or of all folds."""
    tests = [_mapping(run.get("test")) for run in (training, *_networks(training))]
    found = [(_number(test.get("accuracy")), int(_number(test.get("n"), _MOST_IMAGES) or 0)) for test in tests]
    measured = [(accuracy, n) for accuracy, n in found if accuracy is not None]
    total = sum(n for _, n in measured)
    return (sum((1 - accuracy) * n for accuracy, n in measured) / total, total) if total else (None, 0)


def _report(path: Path, description: Description) -> Path | None:
    """The folder of the report on this very detector; None where there is none."""
    try:
        match identify(path):
            case Run(run) | Checkpoint(run=run) if run is not None:
                folder = run.path / _REPORT
            case Folds(multirun) | Seeds(multirun):
                folder = multirun / _REPORT
            case Saved(saved) if saved.resolve().name == "detector":
                folder = saved.resolve().parent
            case _:
                return None
        is_of_it = read_description(folder / "detector").fingerprint == description.fingerprint
    except NotADetector:
        return None
    return folder if is_of_it else None


def _metrics(folder: Path) -> Mapping[str, Any]:
    file = folder / "metrics.json"
    try:
        require_plain(file)
        return _mapping(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):  # a report is welcome, not needed
        return {}


def _about(error: float) -> str:
    """A share as people say it: "about 3 in 10"."""
    if error < 1 / _MOST_IMAGES:
        return "none of the"
    if error < 0.08:
        return f"about 1 in {round(1 / error):,}"
    return f"about {min(_FRACTIONS, key=lambda words: abs(_FRACTIONS[words] - error))}"


def _value(estimate: object) -> float | None:
    return _number(_mapping(estimate).get("value"))


def _number(plain: object, most: float = 1) -> float | None:
    """A share, or a count of at most `most`; None where a stranger's file has something else."""
    is_one = isinstance(plain, int | float) and not isinstance(plain, bool) and 0 <= plain <= most
    return float(cast(float, plain)) if is_one else None


def _networks(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is known of the training of each network, where there are several."""
    return [network for network in _mapping(training.get("networks")).values() if isinstance(network, Mapping)]


def _mapping(plain: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], plain) if isinstance(plain, Mapping) else {}
