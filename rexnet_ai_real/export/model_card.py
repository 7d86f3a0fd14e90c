"""README.md of an exported detector: what it is, what was measured, and what it must not be used for."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rexnet_ai_real.detector.backends import BACKENDS
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.worth import COLLECTIONS, VERSION, collections_of, is_left_out
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS
from rexnet_ai_real.evaluate.report.formatting import visible
from rexnet_ai_real.evaluate.report.markdown import inline
from rexnet_ai_real.export.graph import has_exact_map
from rexnet_ai_real.export.int8 import CALIBRATION
from rexnet_ai_real.export.parity import ACCURACY, AUROC, LOGIT, Parity
from rexnet_ai_real.export.sample import Sample
from rexnet_ai_real.export.source import ExportSource
from rexnet_ai_real.images.tiers import TIERS
from rexnet_ai_real.metrics.binary import METRICS
from rexnet_ai_real.metrics.bootstrap import FEW
from rexnet_ai_real.metrics.left_out import RANKED_AGAINST
from rexnet_ai_real.models.factory import build_trained

TEMPLATE: Final = "model_card.md.jinja"
_MOST_KINDS: Final = 6
_TAGS: Final = ("image-classification", "ai-generated-image-detection", "rexnet")


def model_card(
    source: ExportSource,
    sample: Sample,
    parities: Sequence[Parity],
    sizes: Mapping[str, int],
    license: str | None,
    pixel_type: str,
) -> str:
    """The text of README.md.

    Args:
        source: detector and, where it was evaluated, its report.
        sample: on which the parities were measured.
        parities: of the graphs.
        sizes: format -> bytes.
        license: for the front matter, if any.
        pixel_type: of the graphs' input.
    """
    description = source.stored.description
    learned = collections_of(description.training)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_harmless
    )
    environment.filters |= {"estimate": _estimate, "known": _known, "percent": lambda share: f"{share:.1%}"}
    environment.filters["cell"] = lambda words: str(words).replace("|", "\\|")
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:.3f}"
    template = files("rexnet_ai_real.export").joinpath(TEMPLATE).read_text(encoding="utf-8")
    network = build_trained(description.architecture, source.stored.states[0]).eval()
    return environment.from_string(template).render(
        front_matter=Markup(_front_matter(source, license)),
        description=description,
        preprocessing=description.preprocessing,
        calibration=description.calibration,
        calibrated=description.calibration.n_real + description.calibration.n_ai > 0,
        parameters=sum(weight.numel() for weight in network.parameters()),
        has_map=has_exact_map(network, description.preprocessing.image_size),
        trainings=_trainings(description),
        training=description.training,
        report=source.report,
        measured=_measured(source.report),
        own=_own(source.report),
        headlines=[metric for metric in METRICS.values() if metric.headline],
        collections=_collections(source.report),
        worst=_worst_corruption(source.report),
        ranked_against=RANKED_AGAINST,
        groups=_by_auroc(_measured(source.report).get(COLLECTIONS, {})),
        alarms=_most_alarms(_measured(source.report).get("false_alarms", {})),
        tiers=_tiers(source.report),
        unlicensed=_unlicensed(learned),
        learned=learned,
        left_out=is_left_out(description.training),
        title=_title(description),
        settings=_list(description.training.get("settings")),
        sample=sample,
        calibrated_on=min(CALIBRATION, len(sample.training_like)),
        parities=parities,
        sizes=sizes,
        files={backend.format: [f"`{file}`" for file in backend.files] for backend in BACKENDS.values()},
        pixel_type=pixel_type,
        bounds={"logit": LOGIT, "points": ACCURACY * 100, "auroc": AUROC},
    )


def _harmless(value: Any) -> Any:
    """Words that cannot become HTML or a link: names of folders and networks come from outside."""
    if type(value) is not str or not value.strip():
        return value
    return f"{' ' * value.startswith(' ')}{inline(value)}{' ' * value.endswith(' ')}"


def _front_matter(source: ExportSource, license: str | None) -> str:
    """Metadata as the Hub reads it."""
    report = source.report
    plain: dict[str, Any] = {
        **({"license": license} if license else {}),
        "library_name": "rexnet-ai-real",
        "pipeline_tag": "image-classification",
        "tags": list(_TAGS),
        "metrics": ["accuracy", "f1", "roc_auc"],
    }
    found = report.get(_own(report) or "", {})
    if found:
        _, first = _trainings(source.stored.description)[0]
        name = visible(str(first.get("data", "unknown")))
        types = {"accuracy": "accuracy", "f1": "f1", "auroc": "roc_auc"}
        values = [
            {"type": type_, "value": round(found[key]["value"], 4)}
            for key, type_ in types.items()
            if _known(found[key])
        ]
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": f"{name}, {_own(report)}", "type": name},
            "metrics": values,
        }
        plain["model-index"] = [{"name": "rexnet-ai-real", "results": [result]}]
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text


def _title(description: Description) -> str:
    """Name and version of a release; otherwise the network."""
    named = [description.training.get(key) for key in ("name", VERSION)]
    return " ".join(map(str, named)) if all(named) else str(description.architecture["name"])


def _trainings(description: Description) -> list[tuple[str, dict[str, Any]]]:
    """Each network's name and what is known of its training."""
    named = _mapping(description.training.get("networks")).items()
    kind = "seed" if "seeds" in description.training else "fold"
    several = [(f"{kind} {number}", _fitting(training)) for number, training in named if isinstance(training, Mapping)]
    return several or [("", _fitting(description.training))]


def _fitting(training: Mapping[str, Any]) -> dict[str, Any]:
    """What the card tells of a training; what does not fit, as in a stranger's file, is left out."""
    images = {
        part: counts
        for part, counts in _mapping(training.get("images")).items()
        if isinstance(counts, Mapping) and {"real", "ai"} <= counts.keys()
    }
    test = _mapping(training.get("test"))
    figures = {key: test[key] if type(test.get(key)) in (int, float) else None for key in ("accuracy", "f1", "auroc")}
    return {
        "data": training.get("data", "unknown"),
        "images": images,
        "best_epoch": training.get("best_epoch", "unknown"),
        "pairs": training.get("pairs"),
        "test": {"n": test["n"], **figures} if "n" in test else None,
    }


def _mapping(plain: object) -> Mapping[str, Any]:
    return plain if isinstance(plain, Mapping) else {}


def _list(plain: object) -> list[str]:
    return [str(entry) for entry in plain] if isinstance(plain, list) else []


def _own(report: Mapping[str, Any]) -> str | None:
    return next((name for name in ("out_of_fold", "test") if name in report), None)


def _measured(report: Mapping[str, Any]) -> Mapping[str, Any]:
    own = _own(report)
    return report[own] if own else {}


def _collections(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Metrics on images from elsewhere."""
    return {
        name: found
        for name, found in report.items()
        if name != _own(report) and isinstance(found, dict) and "auroc" in found and "n_real" in found
    }


def _by_auroc(groups: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Collections left out of training, the worst first."""
    return sorted(groups.items(), key=lambda item: (not _known(item[1]["auroc"]), item[1]["auroc"]["value"] or 0.0))


def _most_alarms(kinds: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The kinds of real image that are called AI most often, among those with enough images to say so."""
    large = [(name, kind) for name, kind in kinds.items() if kind["n"] >= FEW and _known(kind["fpr"])]
    return sorted(large, key=lambda item: -item[1]["fpr"]["value"])[:_MOST_KINDS]


def _tiers(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Mapping[str, Any]]]]]:
    """At each threshold, in words: the title of each way of delivery, and its figures."""
    found = report.get("delivery", {})
    chosen = found.get("threshold")
    by_threshold = {
        "At the detector's threshold": found.get("at_detector_threshold", {} if chosen else found.get("tiers"))
    }
    if chosen:
        words = f"At one threshold that was set on the worst way, P(AI) {chosen['probability']:.3f}"
        by_threshold[f"{words}, which is not the detector's own"] = found["tiers"]
    return [
        (words, [(tier.title, tiers[name]) for name, tier in TIERS.items() if name in tiers])
        for words, tiers in by_threshold.items()
        if tiers
    ]


def _unlicensed(collections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Collections that state no licence, or of which none is recorded."""
    return [name for name, facts in collections.items() if facts["licence"].partition(" ")[0] in ("", "none", "not")]


def _worst_corruption(report: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Mapping[str, Any]] | None:
    """Title of the worst corruption, accuracy without and with it."""
    found = report.get("robustness", {})
    accuracies = {
        c.title: found[c.name]["accuracy"] for c in CORRUPTIONS if _known(found.get(c.name, {}).get("accuracy"))
    }
    if "none" not in found or not accuracies:
        return None
    title = min(accuracies, key=lambda name: float(accuracies[name]["value"]))
    return title, found["none"]["accuracy"], accuracies[title]


def _known(estimate: Mapping[str, Any] | None) -> bool:
    return bool(estimate) and estimate.get("value") is not None  # type: ignore[union-attr]


def _estimate(estimate: Mapping[str, Any]) -> str:
    """A value with its 95 % interval."""
    if not _known(estimate):
        return f"– ({estimate.get('reason', 'not defined')})"
    interval = "" if estimate.get("low") is None else f" [{estimate['low']:.3f}, {estimate['high']:.3f}]"
    return f"{estimate['value']:.3f}{interval}"
