"""Folders of runs: none is overwritten, none is shared, none is left behind by a command that did not begin."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from rexnet_ai_real.config import TrainConfig
from rexnet_ai_real.runs.claim import FolderTaken, begin, claim, claimed, is_first_process
from rexnet_ai_real.runs.folder import NotARun, RunFolder
from rexnet_ai_real.runs.jobs import read_jobs
from rexnet_ai_real.runs.record import override
from rexnet_ai_real.train.__main__ import main
from rexnet_ai_real.train.run import begin as begin_run

Command = Callable[..., int]


@pytest.fixture
def train_command(tiny: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """`train` on tiny images in an empty folder, with a stub in place of the training; the exit code."""
    monkeypatch.chdir(tmp_path)
    at_exit: list[Callable[[], None]] = []
    ends = Mock(register=at_exit.append, unregister=lambda function: at_exit.clear())
    monkeypatch.setattr("rexnet_ai_real.sweep.callback.atexit", ends)
    monkeypatch.setattr("rexnet_ai_real.sweep.report.draw", lambda summary: [])

    def stub(config: TrainConfig, folder: RunFolder) -> float:
        if config.optimizer.lr == 0.5:
            raise PermissionError(30, "Read-only file system", str(folder.path / "manifest.csv"))
        begin_run(config, folder)
        logging.getLogger("rexnet_ai_real").warning("begun")
        return 1.0

    monkeypatch.setattr("rexnet_ai_real.train.run.train", stub)

    def run(*arguments: str) -> int:
        GlobalHydra.instance().clear()
        given = {argument.partition("=")[0] for argument in arguments}
        rest = [setting for setting in tiny if setting.partition("=")[0] not in given]
        monkeypatch.setattr(sys, "argv", ["train", *arguments, *rest])
        try:
            return main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        finally:
            for function in at_exit:
                function()
            at_exit.clear()

    return run


def fail() -> None:
    logging.getLogger().warning("soon over")
    raise RuntimeError


def runs(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.rglob("config.yaml"))


# Claiming


def test_runs_that_start_in_the_same_second_get_a_folder_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: claim(tmp_path / "outputs" / "now", rename=True), range(6)))
    assert sorted(path.name for path in made) == ["now", "now-2", "now-3", "now-4", "now-5", "now-6"]


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert claim(tmp_path, rename=False) == tmp_path  # other things may lie there
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    with pytest.raises(
        FolderTaken, match=rf"output_dir={tmp_path} holds a run, .* resume={tmp_path} continues the run"
    ):
        claim(tmp_path, rename=False)


def test_of_two_runs_in_one_folder_only_the_first_begins(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, {"seed": 1})
    with pytest.raises(FolderTaken):
        begin(folder, {"seed": 2})
    assert yaml.safe_load(folder.config_file.read_text()) == {"seed": 1}


def test_a_run_that_fails_before_it_begins_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for path, rename in ((tmp_path / "a" / "b", True), (tmp_path / "a" / "b", False), (tmp_path / "mine", False)):
        with pytest.raises(RuntimeError), claimed(path, rename=rename):
            fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]  # it was there before


def test_a_run_that_fails_takes_no_folder_of_another_with_it(tmp_path: Path) -> None:
    with claimed(tmp_path / "now", rename=True) as first:
        with pytest.raises(RuntimeError), claimed(tmp_path / "now", rename=True):
            fail()
        assert first.path.is_dir()
        assert not (tmp_path / "now-2").exists()


def test_a_failed_job_may_be_run_again_in_its_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder, {})
    (tmp_path / "val_best").mkdir()
    names = (
        "error.txt",
        "events.out.tfevents.1.vm",
        "val_best/events.out.tfevents.2.vm",
        "hparams.yaml",
        "history.csv",
    )
    for name in (*names, "mine.txt"):
        (tmp_path / name).touch()
    claim(tmp_path, rename=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"RANK": "3", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "2"}, False),
        ({"NODE_RANK": "1"}, False),
    ],
)
def test_one_process_of_several_writes(
    environment: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is first


# The command


def test_a_run_has_its_record_and_its_log(train_command: Command, tmp_path: Path) -> None:
    assert train_command("seed=3") == 0
    (run,) = runs(tmp_path / "outputs" / "tiny")
    assert "seed=3" in yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text())
    assert RunFolder(run).read_config()["output_dir"] == str(run.relative_to(tmp_path))
    assert "begun" in (run / "train.log").read_text()


def test_the_same_folder_twice_is_refused_and_named_folders_are_new(
    train_command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command("output_dir=here") == 0
    before = RunFolder(tmp_path / "here").config_file.read_bytes()
    assert train_command("output_dir=here", "seed=1") == 2
    assert "output_dir=here holds a run, and nothing is overwritten" in capsys.readouterr().err
    assert RunFolder(tmp_path / "here").config_file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["optimizer.lr=0.5"],
        ["early_stopping.patience=-1"],
        ["data=folder", "data.root=nowhere"],
        ["resume=nowhere"],
        ["+trainer.max_epoch=1"],
        ["-m", "seed=1,2", "+trainer.max_epoch=1"],
        ["-m", "optimizer.lr=1e-3,abc"],
    ],
)
def test_a_command_that_fails_before_it_has_begun_leaves_no_folder(
    arguments: list[str], train_command: Command, tmp_path: Path
) -> None:
    assert train_command(*arguments) == 2
    assert not list(tmp_path.iterdir())


def test_what_the_system_refuses_is_one_line(
    train_command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command("optimizer.lr=0.5", "output_dir=run") == 2
    said = capsys.readouterr().err
    assert said.startswith("run/manifest.csv: Read-only file system. What was complete is kept.")
    assert said.count("\n") == 1


def test_a_quick_check_leaves_no_folder(
    train_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexnet_ai_real.train.run.train", lambda config, folder: None)
    assert train_command("trainer.fast_dev_run=true") == 0
    assert not list(tmp_path.iterdir())


def test_multiruns_have_a_folder_each_and_jobs_keep_their_record(train_command: Command, tmp_path: Path) -> None:
    for _ in range(2):
        assert train_command("-m", "seed=1,2", "name=a sweep") == 0
    sweeps = sorted((tmp_path / "outputs" / "a sweep").iterdir())
    assert len(sweeps) == 2
    for sweep in sweeps:
        jobs = read_jobs(sweep)
        assert [job.settings["seed"] for job in jobs] == ["1", "2"]
        assert [job.run.path for job in jobs] == runs(sweep)
        assert all(Path(job.config["output_dir"]) == sweep.relative_to(tmp_path) for job in jobs)


def test_a_multirun_in_the_folder_of_another_is_refused(
    train_command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command("-m", "seed=1,2", "output_dir=sweep") == 0
    assert train_command("-m", "seed=1,2", "output_dir=sweep") == 2
    assert "output_dir=sweep holds a multirun, and nothing is overwritten" in capsys.readouterr().err
    assert train_command("seed=1", "output_dir=sweep") == 2


def test_six_commands_at_once_get_six_folders(tiny: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, types\n"
        "from rexnet_ai_real.runs.claim import begin\n"
        "run = types.SimpleNamespace(train=lambda config, folder: begin(folder, {'seed': config.seed}))\n"
        "sys.modules['rexnet_ai_real.train.run'] = run  # without PyTorch, six times\n"
        "from rexnet_ai_real.train.__main__ import main; sys.exit(main())"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    commands = [
        subprocess.Popen([sys.executable, "-c", code, *tiny, f"seed={seed}"], cwd=tmp_path, env=environment)
        for seed in range(6)
    ]
    assert [command.wait(timeout=300) for command in commands] == [0] * 6
    found = runs(tmp_path)
    assert sorted(yaml.safe_load((run / "config.yaml").read_text())["seed"] for run in found) == list(range(6))


def test_values_with_any_character_survive_the_command_line() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    for value in ("plain", "with space", "it's", 'say "so"', "a,b=c", "${name}", "[x]{y}"):
        parsed = OverridesParser.create().parse_override(override("output_dir", value))
        assert str(parsed.value()) == value


# Reading back


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.yaml is empty"),
        ("data: [1, 2\nmodel: {", r"config.yaml is damaged, at line \d"),
        ("just words", "config.yaml is damaged"),
        ("data: 3\nmodel: {}\ntrainer: {}\n", "config.yaml is damaged"),
        ("\xff\xfe", "config.yaml is damaged"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    RunFolder(tmp_path).config_file.write_text(text, encoding="latin-1")
    with pytest.raises(NotARun, match=message) as told:
        RunFolder(tmp_path).read_config()
    assert "\n" not in str(told.value)
