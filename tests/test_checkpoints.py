"""Checkpoints: a kill or a full disk costs at most one epoch, and a damaged file is named rather than traced."""

import errno
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from rexnet_ai_real.config import ConfigError
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.runs.folder import NotARun, RunFolder
from rexnet_ai_real.train.__main__ import main
from rexnet_ai_real.train.checkpoints import AtomicCheckpoints, checkpoint_to_resume
from rexnet_ai_real.train.resume import check_same_run
from rexnet_ai_real.train.run import train
from tests.conftest import Compose


def full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def run(tiny_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the tiny run, to be damaged. It has two epochs, and the best is the first or the second."""
    return RunFolder(Path(shutil.copytree(tiny_run.path, tmp_path / "run")))


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def with_epoch(file: Path, epoch: int, **changes: Any) -> None:
    """Give a checkpoint another epoch, from 0."""
    torch.save({**torch.load(file, weights_only=True), "epoch": epoch, **changes}, file)


# Writing


def test_a_checkpoint_never_passes_through_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "does-not-exist"))
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, tmp_path / "checkpoints" / "last.ckpt")
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True) == {"epoch": 1}


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, file)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpoints().save_checkpoint({"epoch": 2}, file)
    assert torch.load(file, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_the_bytes_are_on_the_disk_before_the_former_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str, function: Any) -> Any:
        def called(*arguments: Any) -> Any:
            done.append(name)
            return function(*arguments)

        return called

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    AtomicCheckpoints().save_checkpoint({}, tmp_path / "last.ckpt")
    assert done == ["fsync", "replace", "fsync"]  # the last one: the folder's entry


def test_training_ends_in_one_line_when_the_disk_is_full(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fsync, calls = os.fsync, iter([True] * 4)  # best and last of the first epoch, each with its folder

    def full_later(descriptor: int) -> None:
        if not next(calls, False):
            full_disk(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_later)
    monkeypatch.setattr(sys, "argv", ["train", *tiny, "optimizer.lr=1e-4", "output_dir=run"])
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as end:
        main()
    logging.getLogger().handlers.clear()  # Hydra's, which write to what pytest is about to close
    assert end.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("No space left on device. What was complete is kept.")
    assert "resume=FOLDER" in said
    assert checkpoint_to_resume("run", RunFolder(tmp_path / "run"))[1] == 1
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


# Reading


def test_resume_opens_the_checkpoint_that_is_named(run: RunFolder) -> None:
    with_epoch(run.best_checkpoint, 0)
    assert checkpoint_to_resume(str(run.path), run) == (run.last_checkpoint, 2)
    assert checkpoint_to_resume(str(run.best_checkpoint), run) == (run.best_checkpoint, 1)
    assert checkpoint_to_resume(str(run.last_checkpoint), run) == (run.last_checkpoint, 2)


def test_a_run_continues_from_its_best_checkpoint(run: RunFolder, compose_tiny: Compose) -> None:
    best = torch.load(run.best_checkpoint, weights_only=True)["epoch"] + 1
    first = pd.read_csv(run.history_file)
    train(compose_tiny(f"resume={run.best_checkpoint}", "trainer.max_epochs=3", "schedule.on_resume=stretch"), run)
    history = pd.read_csv(run.history_file)
    assert history["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(history[:best], first[:best])
    assert run.read_metrics()["val"]["loss"] == pytest.approx(history["val_loss"].min(), abs=1e-5)


def test_a_damaged_last_checkpoint_falls_back_to_the_best_and_says_so(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(run.last_checkpoint)
    file, epochs = checkpoint_to_resume(str(run.path), run)
    assert (file, epochs) == (run.best_checkpoint, torch.load(file, weights_only=True)["epoch"] + 1)
    assert f"{run.last_checkpoint} is damaged (cut off, or not a checkpoint); continuing from" in caplog.text


def test_a_run_goes_on_after_its_last_checkpoint_was_cut_off(run: RunFolder, compose_tiny: Compose) -> None:
    cut_off(run.last_checkpoint)
    for name in (".last-abcd1234.ckpt", ".best-0_zzzzzz.ckpt"):
        (run.checkpoints / name).touch()
    train(compose_tiny(f"resume={run.path}", "trainer.max_epochs=3", "schedule.on_resume=stretch"), run)
    assert run.read_metrics()["epochs"] == 3
    assert checkpoint_to_resume(str(run.path), run) == (run.last_checkpoint, 3)


def test_a_run_from_before_a_setting_existed_goes_on(run: RunFolder, compose_tiny: Compose) -> None:
    settings, manifest = compose_tiny(f"resume={run.path}"), read_manifest(run.manifest_file)
    config = run.read_config()
    del config["averaging"], config["model"]["freeze"]
    run.write_config(config)
    assert check_same_run(settings, run, manifest)[0] == run.last_checkpoint
    with pytest.raises(ConfigError, match=r"averaging\.name was None, now ema"):
        check_same_run(compose_tiny(f"resume={run.path}", "averaging.name=ema"), run, manifest)


def test_temporary_files_of_earlier_kills_are_swept_and_others_are_not(run: RunFolder) -> None:
    kept = {path for path in run.path.rglob("*") if path.is_file()}
    swept = [run.checkpoints / ".last-abcd1234.ckpt", run.path / ".history-x1y2z3_4.csv"]
    for file in swept:
        file.touch()
    run.sweep()
    assert {path for path in run.path.rglob("*") if path.is_file()} == kept


def test_damaged_checkpoints_are_one_sentence(run: RunFolder) -> None:
    cut_off(run.best_checkpoint)
    with pytest.raises(ConfigError, match=r"best\.ckpt is damaged"):
        checkpoint_to_resume(str(run.best_checkpoint), run)
    run.last_checkpoint.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"last\.ckpt is damaged .*, and .*best\.ckpt is damaged") as told:
        checkpoint_to_resume(str(run.path), run)
    assert "\n" not in str(told.value)
    torch.save({"stem.conv.weight": torch.zeros(1)}, run.last_checkpoint)
    with pytest.raises(ConfigError, match="holds no training to continue"):
        checkpoint_to_resume(str(run.last_checkpoint), RunFolder(run.path.parent))


def test_a_checkpoint_of_the_middle_of_an_epoch_is_refused(run: RunFolder) -> None:
    loops = torch.load(run.best_checkpoint, weights_only=True)["loops"]
    loops["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False
    with_epoch(run.best_checkpoint, 1, loops=loops)
    with pytest.raises(ConfigError, match="in the middle of an epoch"):
        checkpoint_to_resume(str(run.best_checkpoint), run)


def test_a_damaged_run_is_refused_in_one_sentence(run: RunFolder, compose_tiny: Compose) -> None:
    settings, manifest = compose_tiny(f"resume={run.path}"), read_manifest(run.manifest_file)
    check_same_run(settings, run, manifest)
    whole = run.manifest_file.read_text()
    for text in ("path,label\na,1\n", whole.replace(",0,", ",zero,", 1)):
        run.manifest_file.write_text(text)
        with pytest.raises(ConfigError, match=r"manifest\.csv is damaged or was edited"):
            check_same_run(settings, run, manifest)
    run.manifest_file.unlink()
    with pytest.raises(ConfigError, match=r"manifest\.csv is missing"):
        check_same_run(settings, run, manifest)
    run.config_file.write_text("")
    with pytest.raises(NotARun, match=r"config\.yaml is empty"):
        check_same_run(settings, run, manifest)
