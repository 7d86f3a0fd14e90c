"""Distillation: the loss, what teaches, what is refused, and a run that is taught."""

import logging
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from rexnet_ai_real.config import ConfigError, TrainConfig
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.storage import read_detector, torch_engine
from rexnet_ai_real.models.checkpoint import read_plain
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.distillation import Distillation, Networks, OutOfFold, check_teacher, new_distillation
from rexnet_ai_real.train.run import train
from tests.conftest import Compose
from tests.test_ablation import leave_multirun, predictions


def taught_by(compose_tiny: Compose, teacher: Path, *overrides: str) -> TrainConfig:
    return compose_tiny(f"distill.teacher={teacher}", *overrides)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_is_hintons(temperature: float) -> None:
    torch.manual_seed(0)
    teacher, student, labels = torch.randn(6, 2), torch.randn(6, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    log_odds = teacher[:, 1] - teacher[:, 0]
    loss = F.cross_entropy(student, labels)
    found = Distillation(lambda images, rows: log_odds, 0.3, temperature)(loss, student, torch.empty(6), labels)
    soft = [Categorical(logits=logits / temperature) for logits in (teacher, student)]
    expected = 0.7 * loss + 0.3 * temperature**2 * kl_divergence(*soft).mean()
    torch.testing.assert_close(found, expected)


def test_networks_teach_their_mean_on_the_images_given(tiny_run: RunFolder) -> None:
    network = torch_engine(read_detector(tiny_run.path), tiny_run.path, "cpu", "32-true").networks[0]
    other = torch_engine(read_detector(tiny_run.path), tiny_run.path, "cpu", "32-true").networks[0]
    with torch.no_grad():
        next(iter(other.parameters())).mul_(0.5)
        images = torch.randn(3, 3, 32, 32)
        logits = [n(images) for n in (network, other)]
    taught = Networks((network, other))(images, torch.arange(3))
    torch.testing.assert_close(taught, torch.stack([x[:, 1] - x[:, 0] for x in logits]).mean(0))
    assert not taught.requires_grad


def test_copies_of_the_network_share_the_teacher() -> None:
    made = Distillation(OutOfFold(torch.zeros(3)), 0.5, 2.0)
    assert deepcopy({"distillation": made})["distillation"] is made


def test_a_taught_run_learns_from_its_teacher_and_resumes(
    compose_tiny: Compose, tiny_run: RunFolder, tmp_path: Path
) -> None:
    whole, part = (RunFolder(tmp_path / name) for name in ("whole", "part"))
    settings = ("distill.weight=1", "schedule.epochs=2")
    train(taught_by(compose_tiny, tiny_run.path, *settings), whole)
    train(taught_by(compose_tiny, tiny_run.path, *settings, "trainer.max_epochs=1"), part)
    train(taught_by(compose_tiny, tiny_run.path, *settings, f"resume={part.path}"), part)
    resumed, kept, plain = (read_plain(run.last_checkpoint)["state_dict"] for run in (part, whole, tiny_run))
    assert kept.keys() == resumed.keys() == plain.keys()  # the teacher is in no checkpoint
    assert all(torch.equal(value, resumed[key]) for key, value in kept.items())
    assert any(not torch.equal(value, plain[key]) for key, value in kept.items())


def test_out_of_fold_answers_are_found_by_content(compose_tiny: Compose, tmp_path: Path) -> None:
    table = predictions(1.0, 0)
    config = taught_by(compose_tiny, leave_multirun(tmp_path / "folds", table), "distill.out_of_fold=true")
    manifest = pd.DataFrame(
        {"path": "elsewhere/" + table["path"], "sha256": table["path"], "split": ["train", "val", "test"] * 40}
    ).sample(frac=1, random_state=0)
    made = new_distillation(config, manifest)
    assert made is not None
    assert isinstance(made.teacher, OutOfFold)
    rows = torch.tensor(manifest.index[manifest["split"] == "train"].to_numpy())
    expected = torch.tensor(table["logit"].to_numpy()[rows.numpy()], dtype=torch.float32)
    torch.testing.assert_close(made.teacher(torch.empty(len(rows)), rows), expected)
    new = pd.concat([manifest, pd.DataFrame([{"path": "new.png", "sha256": "new", "split": "train"}], index=[120])])
    with pytest.raises(ConfigError, match=r"no answer to 1 of 41 training images, such as new\.png"):
        new_distillation(config, new)


def test_test_images_that_the_teacher_has_learned_from_are_counted(
    compose_tiny: Compose, tiny_run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    manifest, config = read_manifest(tiny_run.manifest_file), taught_by(compose_tiny, tiny_run.path)
    with caplog.at_level(logging.WARNING):
        new_distillation(config, manifest)
        assert not caplog.records  # the same split
        new_distillation(config, manifest.assign(split=manifest["split"].replace({"val": "test"})))
    seen, test = (int((manifest["split"] == part).sum()) for part in ("val", "test"))
    assert f"{seen} of the {seen + test} test images" in caplog.text
    assert "distill.teacher='FOLDER/${data.fold}'" in caplog.text


def test_what_cannot_be_told_of_a_teacher_is_said(
    compose_tiny: Compose, tiny_run: RunFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Detector.load(tiny_run.path).save(tmp_path / "saved")
    with caplog.at_level(logging.WARNING):
        new_distillation(taught_by(compose_tiny, tmp_path / "saved"), read_manifest(tiny_run.manifest_file))
    assert "it cannot be told whether it was trained on the test images" in caplog.text


def test_teachers_that_cannot_teach_are_refused(compose_tiny: Compose, tiny_run: RunFolder, tmp_path: Path) -> None:
    config = taught_by(compose_tiny, tiny_run.path)
    check_teacher(config)
    check_teacher(compose_tiny())
    check_teacher(taught_by(compose_tiny, tiny_run.path, "data.views=[frame,flip]"))  # training sees the frame alone
    with pytest.raises(ConfigError, match=r"data.image_size=48 here, 32 there"):
        check_teacher(replace(config, data=replace(config.data, image_size=48)))
    with pytest.raises(ConfigError, match=r"distill.teacher=.*does not exist"):
        check_teacher(taught_by(compose_tiny, tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="no multirun of folds"):
        check_teacher(taught_by(compose_tiny, tiny_run.path, "distill.out_of_fold=true"))
    folds = leave_multirun(tmp_path / "folds", predictions(1.0, 0))
    check_teacher(taught_by(compose_tiny, folds, "distill.out_of_fold=true"))
    with pytest.raises(ConfigError, match=r"data\.pairs\.share=0\.5: there are answers to images"):
        check_teacher(taught_by(compose_tiny, folds, "distill.out_of_fold=true", "data.pairs.share=0.5"))
    with pytest.raises(ConfigError, match=r"augment\.mixup and augment\.cutmix mix two"):
        check_teacher(taught_by(compose_tiny, folds, "distill.out_of_fold=true", "augment.cutmix=1"))
