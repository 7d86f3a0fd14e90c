"""Searches with first points and pruning: through Hydra with the stub of the sweeps' tests, and in a training."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import tests.test_sweep as sweeps
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.jobs import PRUNED_FILE, read_jobs
from rexnet_ai_real.sweep.pruning import Pruned, current_judge, judged_by
from rexnet_ai_real.sweep.report import markdown
from rexnet_ai_real.sweep.summary import summarise
from rexnet_ai_real.train.run import train
from tests.conftest import Compose
from tests.test_sweep import conf, drawless, multirun, no_debugger  # noqa: F401

RATES = "optimizer.lr=tag(log, interval(1e-5, 1e-1))"
optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stub asks after each epoch, as training does; its loss is the distance of the learning rate from 1e-3."""

    def leave_run(run: RunFolder, config: Any) -> float:
        judge, lr = current_judge(), float(config["optimizer"]["lr"])
        if judge:
            for epoch in range(1, 5):
                if judge(epoch, abs(lr - 1e-3) + 0.1 / epoch):
                    raise Pruned(f"after epoch {epoch}, it was worse")
        return original(run, config)

    original = sweeps.leave_run
    monkeypatch.setattr(sweeps, "leave_run", leave_run)


def test_bad_jobs_are_pruned_and_no_failures(multirun: Any, judged: None) -> None:  # noqa: F811
    rates = [0.001, 0.0011, 0.0012, 0.0013, 0.0014, 0.09]
    first = f"hydra.sweeper.first=[{','.join(f'{{optimizer.lr:{rate}}}' for rate in rates)}]"
    folder = multirun("+sweep=optuna", "hydra.sweeper.pruner=median", "hydra.sweeper.trials=6", RATES, first)
    jobs = read_jobs(folder)
    assert [float(job.settings["optimizer.lr"]) for job in jobs] == rates
    assert [job.status for job in jobs] == ["finished"] * 5 + ["pruned"]
    assert "after epoch 3" in (folder / "5" / PRUNED_FILE).read_text()  # the first two epochs are spared
    summary = summarise(folder)
    assert not summary.problems
    assert "5 finished, 1 pruned" in markdown(summary, [])
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "study.log")))
    trials = optuna.load_study(study_name="rexnet_ai_real", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 5 + ["PRUNED"]
    # The same search again: the first points are not run twice, and pruned jobs count.
    multirun("+sweep=optuna", "hydra.sweeper.pruner=median", "hydra.sweeper.trials=7", RATES, first)
    assert len(read_jobs(folder)) == 7


def test_without_a_pruner_nobody_judges(multirun: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    seen = []
    original = sweeps.leave_run

    def leave_run(run: RunFolder, config: Any) -> float:
        seen.append(current_judge())
        return original(run, config)

    monkeypatch.setattr(sweeps, "leave_run", leave_run)
    multirun("+sweep=optuna", "hydra.sweeper.trials=1", RATES)
    assert seen == [None]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("hydra.sweeper.first=[{optimizer.lr:0.5}]", r"optimizer\.lr=0\.5 is outside of its range"),
        ("hydra.sweeper.first=[{model.depth:2}]", r"model\.depth is not searched.*hydra\.sweeper\.first=\[\]"),
        ("hydra.sweeper.pruner=best", "pruner=best: expected null or one of median, hyperband"),
    ],
)
def test_impossible_searches_are_named(
    setting: str,
    message: str,
    multirun: Any,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        multirun("+sweep=optuna", RATES, setting)
    assert re.search(message, capsys.readouterr().err)


def test_tuning_begins_with_the_grid_of_the_study(multirun: Any, conf: Path) -> None:  # noqa: F811
    """All keys that it searches are settings of training; here they only have to be there for the stub."""
    file = conf / "train.yaml"
    text = file.read_text().replace("model: {dropout: 0.2}", "model: {dropout: 0.2, freeze: 0}")
    file.write_text(text + "augment: {crop_scale: 1.0}\nloss: {label_smoothing: 0.0}\n")
    folder = multirun("+sweep=tuning", "hydra.sweeper.trials=7")
    settings = [job.settings for job in read_jobs(folder)]
    grid = {(float(s["optimizer.lr"]), s["early_stopping.patience"]) for s in settings[:6]}
    assert grid == {(lr, patience) for lr in (1e-4, 3e-4, 1e-3) for patience in ("3", "5")}
    study = yaml.safe_load((sweeps.REPOSITORY / "conf" / "sweep" / "lr_patience.yaml").read_text())
    assert study["hydra"]["sweeper"]["params"] == {"optimizer.lr": "1e-4,3e-4,1e-3", "early_stopping.patience": "3,5"}
    assert all(float(s["augment.crop_scale"]) == 1 and s["model.freeze"] == "0" for s in settings[:6])


def test_a_training_ends_when_it_is_told(compose_tiny: Compose, tmp_path: Path) -> None:
    run, seen = RunFolder(tmp_path / "run"), []

    def judge(epoch: int, loss: float) -> bool:
        seen.append((epoch, loss))
        return True

    with judged_by(judge), pytest.raises(Pruned, match="after epoch 1, its validation loss of"):
        train(compose_tiny(), run)
    history = pd.read_csv(run.history_file)
    (told,) = seen
    assert told == pytest.approx((1, history["val_loss"].item()))
    assert not run.metrics_file.exists()
    assert current_judge() is None
