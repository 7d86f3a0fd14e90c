"""What a detector's answers are worth, in sentences for people: how often it was wrong where that was measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import Description, read_description
from rexnet_ai_real.detector.verdict import answers_nothing, promise
from rexnet_ai_real.labels import percent
from rexnet_ai_real.runs.identify import Checkpoint, Folds, NotADetector, Run, Saved, identify

MEASURED: Final = "measured"
"""Key in `Description.training` of what `summarised` keeps of a report."""
_REPORT: Final = "report"
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

    @classmethod
    def of(cls, description: Description, path: Path) -> "Worth":
        """What is stored with the detector that was loaded from `path`, or in the report beside it."""
        training = description.training
        first = next(iter(_mapping(training.get("networks")).values()), training)
        data = first.get("data")
        name = f"{first.get('name')}, trained on {data}" if data and first.get("name") else str(data or "")
        folder = _report(path, description)
        found = _mapping(training.get(MEASURED)) or (summarised(_metrics(folder)) if folder else {})
        error, n = found.get("error"), found.get("n", 0)
        if error is None:
            error, n = _of_training(training)
        page = folder / "report.html" if folder else None
        return cls(
            description.calibration,
            name,
            error,
            n,
            _mapping(found.get("elsewhere")) or None,
            page if page and page.is_file() else None,
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
        return (
            f"This detector was wrong on {_about(self.error)} images of its own kind"
            f"{', like a coin toss' if self.error > 0.45 else ''} ({wrong:,} of {self.n:,} that it had not seen)."
        )

    def _elsewhere(self) -> str:
        if self.elsewhere is None:
            return "On images from elsewhere it was not measured: expect more errors there."
        worst = min(self.elsewhere.values())
        words = "little better than a coin toss" if worst < 0.65 else "weaker" if worst < 0.85 else "still able"
        listed = ", ".join(f"{value:.2f} on {name}" for name, value in self.elsewhere.items())
        return f"On images from elsewhere it can be {words}: AUROC {listed} (0.5 is a coin toss, 1 is without error)."


def summarised(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of the metrics.json of a report: the share of wrong answers, on how many images, and AUROC elsewhere."""
    own = next((name for name in ("out_of_fold", "test") if name in report), None)
    found = _mapping(report.get(own)) if own else {}
    accuracy = _value(found.get("accuracy_at_threshold")) or _value(found.get("accuracy"))
    if accuracy is None:
        return {}
    elsewhere = {
        name: auroc
        for name, part in report.items()
        if name != own and "n_real" in _mapping(part) and (auroc := _value(part.get("auroc"))) is not None
    }
    n = int(found.get("n_real", 0)) + int(found.get("n_ai", 0))
    return {"error": 1 - accuracy, "n": n, "elsewhere": elsewhere or None}


def _of_training(training: Mapping[str, Any]) -> tuple[float | None, int]:
    """Of the test images of a run, or of all folds."""
    runs = [training, *_mapping(training.get("networks")).values()]
    tests = [test for run in runs if (test := _mapping(run.get("test"))).get("n") and test.get("accuracy") is not None]
    n = sum(int(test["n"]) for test in tests)
    return (sum((1 - test["accuracy"]) * test["n"] for test in tests) / n, n) if n else (None, 0)


def _report(path: Path, description: Description) -> Path | None:
    """The folder of the report on this very detector; None where there is none."""
    try:
        match identify(path):
            case Run(run) | Checkpoint(run=run) if run is not None:
                folder = run.path / _REPORT
            case Folds(multirun):
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
    try:
        return _mapping(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):  # a report is welcome, not needed
        return {}


def _about(error: float) -> str:
    """A share as people say it: "about 3 in 10"."""
    if error <= 0:
        return "none of the"
    if error < 0.08:
        return f"about 1 in {round(1 / error):,}"
    return f"about {min(_FRACTIONS, key=lambda words: abs(_FRACTIONS[words] - error))}"


def _value(estimate: object) -> float | None:
    value = _mapping(estimate).get("value")
    return None if value is None else float(value)


def _mapping(plain: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], plain) if isinstance(plain, Mapping) else {}
