"""What is measured of collections and generators that folds held out whole, against scikit-learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from rexnet_ai_real.data.manifest import COLUMNS, write_manifest
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.jobs import Job
from rexnet_ai_real.sweep.cross_validation import CrossValidation
from rexnet_ai_real.sweep.left_out import LeftOut, left_out
from rexnet_ai_real.sweep.left_out_text import left_out_text

CUT = 0.7
"""The 38th smallest logit of the 39 real validation images: the next real one lies above with probability 2 / 40. The
threshold is a little higher, half-way to the next one."""


def job_of(folder: Path, fold: int, *, validation: int = 39, copies: int = 0) -> Job:
    """A job with real validation images: 38 with a logit of 0.7 or less, the others above.

    Near-duplicates of the last, `copies` of them, lie higher.
    """
    run = RunFolder(folder / str(fold))
    logits = np.r_[np.linspace(-3, CUT, min(validation, 38)), [0.8] * max(validation - 38, 0), [5.0] * copies]
    run.path.mkdir(parents=True)
    groups = [f"g{min(n, validation - 1)}" for n in range(len(logits))]
    rows = pd.DataFrame({"path": [f"v{n}" for n in range(len(logits))], "group": groups, "logit": logits})
    rows = rows.assign(label=REAL, split="val", probability=0.5)
    generated = rows.assign(path="ai-" + rows["path"], group="ai", label=AI, logit=9.0)
    everything = pd.concat([rows, generated, generated.assign(path="test", label=REAL, split="test")[:1]])
    run.write_predictions(everything.drop(columns="group"))
    write_manifest(
        everything.reindex(columns=list(COLUMNS), fill_value="").assign(width=1, height=1, bytes=1), run.manifest_file
    )
    run.write_config({"data": {"fold": fold, "folds": 2}, "model": {}, "optimizer": {}, "trainer": {}})
    return Job(run, ())


def rows_of(collection: str, fold: int, source: str, label: int, *logits: float) -> pd.DataFrame:
    rows = pd.DataFrame({"label": label, "logit": logits, "fold": fold, "source": source, "collection": collection})
    return rows.assign(path=[f"{collection}{label}{source}{n}" for n in range(len(logits))])


@pytest.fixture
def images() -> pd.DataFrame:
    rows = [
        rows_of("both", 0, "sd-1", AI, 2.0, 0.5, -1.0),
        rows_of("both", 0, "", REAL, 0.6, -2.0),
        rows_of("photos", 0, "flickr", REAL, 1.0, -3.0),
        rows_of("art", 1, "SD_1", AI, 1.0, -0.5),
        rows_of("art", 1, "", AI, 3.0),
        rows_of("camera", 1, "", REAL, 0.0, -1.0, -2.0),
    ]
    return pd.concat(rows, ignore_index=True).assign(group=lambda table: table["path"], probability=0.5)


def by_name(found: LeftOut) -> pd.DataFrame:
    return found.table.set_index("name")


def test_collections_are_measured_within_their_fold(images: pd.DataFrame, tmp_path: Path) -> None:
    found = left_out([job_of(tmp_path, 0), job_of(tmp_path, 1)], images, "collection")
    table = by_name(found)
    own = images[images["collection"] == "both"]
    assert table.loc["both", "auroc"] == pytest.approx(roc_auc_score(own["label"], own["logit"]))
    against = images[(images["collection"] == "photos") | ((images["fold"] == 0) & (images["label"] == AI))]
    assert table.loc["photos", "auroc"] == pytest.approx(roc_auc_score(against["label"], against["logit"]))
    assert table["against"].to_dict() == {"both": 0, "photos": 3, "art": 3, "camera": 3}
    assert (table["auroc_low"] <= table["auroc"]).all()
    assert (table["auroc"] <= table["auroc_high"]).all()
    assert found.table["auroc"].is_monotonic_increasing
    assert found.mean.value == pytest.approx(table["auroc"].mean())
    assert found.mean.low < found.mean.value < found.mean.high


def test_shares_at_both_thresholds(images: pd.DataFrame, tmp_path: Path) -> None:
    """At 0.5: logit 0 and above. At 5 %: above 0.7."""
    found = left_out([job_of(tmp_path, 0), job_of(tmp_path, 1)], images, "collection")
    both = by_name(found).loc["both"]
    assert [both[f"{rate}_at_half"] for rate in ("accuracy", "tpr", "fpr")] == pytest.approx([3 / 5, 2 / 3, 1 / 2])
    assert [both[f"{rate}_at_fpr"] for rate in ("accuracy", "tpr", "fpr")] == pytest.approx([3 / 5, 1 / 3, 0])
    assert np.isnan(by_name(found).loc["photos", "tpr_at_half"])
    assert by_name(found).loc["photos", "fpr_at_fpr"] == pytest.approx(1 / 2)
    assert found.total["fpr_at_half"] == pytest.approx(3 / 7)
    assert found.total["tpr_at_fpr"] == pytest.approx(3 / 6)


def test_near_duplicates_count_once_for_the_threshold(images: pd.DataFrame, tmp_path: Path) -> None:
    """The 38th smallest of 39 + 40 logits would be a higher one."""
    one, other = (
        left_out([job_of(tmp_path / str(n), 0, copies=n), job_of(tmp_path / str(n), 1)], images, "collection")
        for n in (0, 40)
    )
    assert other.total["fpr_at_fpr"] == one.total["fpr_at_fpr"]


def test_too_few_validation_images_give_no_threshold(images: pd.DataFrame, tmp_path: Path) -> None:
    found = left_out([job_of(tmp_path, 0, validation=18), job_of(tmp_path, 1)], images, "collection")
    assert np.isnan(by_name(found).loc["both", "tpr_at_fpr"])
    assert by_name(found).loc["art", "tpr_at_fpr"] == pytest.approx(2 / 3)
    assert np.isnan(found.total["accuracy_at_fpr"])


def test_generators_are_measured_against_the_real_images_of_the_fold(images: pd.DataFrame, tmp_path: Path) -> None:
    images = images[~((images["fold"] == 0) & (images["source"] == "sd-1"))]
    images = pd.concat([images, rows_of("both", 0, "gan", AI, -2.5).assign(group="g")], ignore_index=True)
    found = left_out([job_of(tmp_path, 0), job_of(tmp_path, 1)], images, "source")
    assert by_name(found)["against"].to_dict() == {"gan": 4, "SD_1": 3, "art": 3}
    real = images[(images["fold"] == 1) & (images["label"] == REAL)]
    compared = pd.concat([images[images["source"] == "SD_1"], real])
    expected = roc_auc_score(compared["label"], compared["logit"])
    assert by_name(found).loc["SD_1", "auroc"] == pytest.approx(expected)


def test_the_text_names_mean_worst_and_what_each_was_compared_with(images: pd.DataFrame, tmp_path: Path) -> None:
    jobs = (job_of(tmp_path, 0), job_of(tmp_path, 1))
    found = left_out(jobs, images, "collection")
    result = CrossValidation(jobs, 2, images, None, found)  # type: ignore[arg-type]
    text = "\n".join(left_out_text([result], ["data.fold"]))
    assert f"| 4 | {found.mean} | {found.table['auroc'][0]:.3f} | {found.table['name'][0]} |" in text
    assert "| photos | 0 | (3) + 2 |" in text
    assert "| both | 0 | 3 + 2 |" in text
    assert "`collections.csv`" in text
    assert left_out_text([CrossValidation(jobs, 2, images, None)], ["data.fold"]) == []  # type: ignore[arg-type]
