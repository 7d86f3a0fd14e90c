"""One answer to what lies at a path, and the same refusal by every command that takes one."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rexnet_ai_real import Detector
from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.subject import open_subject
from rexnet_ai_real.export.source import ExportSource
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.identify import Checkpoint, Folds, NotADetector, Run, Saved, Seeds, Sweep, identify


def leave(folder: Path, *names: str) -> Path:
    """Empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def job(folder: Path, *overrides: str, ends: str = "metrics.json") -> Path:
    """A job of a multirun: what was typed, and the file that says how it ended."""
    leave(folder, ".hydra/overrides.yaml", "config.yaml", ends)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    (folder / ends).write_text('{"n": 1}')
    return folder


def test_a_run_a_checkpoint_and_a_saved_detector(tmp_path: Path) -> None:
    run = leave(tmp_path / "run", "config.yaml", "manifest.csv", "checkpoints/best.ckpt")
    assert identify(run) == Run(RunFolder(run))
    best = run / "checkpoints" / "best.ckpt"
    assert identify(best) == Checkpoint(best, RunFolder(run))
    alone = leave(tmp_path / "elsewhere", "model.ckpt") / "model.ckpt"
    assert identify(alone) == Checkpoint(alone, None)
    # Both a run and a saved detector: the one that was saved last.
    assert identify(leave(run, "detector.json")) == Saved(run)


def test_multiruns_are_told_apart(tmp_path: Path) -> None:
    folds = [job(tmp_path / "folds" / str(fold), f"data.fold={fold}", "seed=3") for fold in (1, 0)]
    job(tmp_path / "folds" / "2", "data.fold=2", "seed=3", ends="error.txt")
    found = identify(tmp_path / "folds")
    assert isinstance(found, Folds)
    assert [each.run.path for each in found.finished] == folds[::-1]
    assert len(found.jobs) == 3
    for number, rate in enumerate(("0.1", "0.2")):
        job(tmp_path / "rates" / str(number), f"optimizer.lr={rate}")
        job(tmp_path / "twice" / str(number), "data.fold=0")
        job(tmp_path / "mixed" / str(number), f"data.fold={number}", f"optimizer.lr={rate}")
        job(tmp_path / "seeds" / str(number), f"seed={number}", "data.split_seed=0")
        job(tmp_path / "repeated" / str(number), "seed=1")
        job(tmp_path / "widths" / str(number), f"seed={number}", f"model.width={rate}")
    seeds = identify(tmp_path / "seeds")
    assert isinstance(seeds, Seeds)
    assert len(seeds.finished) == 2
    for name, words in {
        "repeated": "jobs with the same settings",
        "widths": r"differ in seed, model\.width",
        "rates": r"differ in optimizer\.lr \(lr=0\.1; lr=0\.2\); .* such as .*rates/0",
        "twice": "several jobs of one fold",
        "mixed": r"differ in optimizer\.lr",
    }.items():
        sweep = identify(tmp_path / name)
        assert isinstance(sweep, Sweep)
        with pytest.raises(NotADetector, match=words):
            raise sweep.refusal()
    single = job(tmp_path / "single" / "0", "optimizer.lr=0.1")
    assert identify(tmp_path / "single") == Run(RunFolder(single))


REFUSED: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "an empty folder": lambda path: path.mkdir(),
    "a run that ended too early": lambda path: leave(path, "config.yaml"),
    "a file of a saved detector": lambda path: leave(path.parent, "detector.json", path.name),
    "folds of which none is finished": lambda path: job(path / "0", "data.fold=0", ends="error.txt"),
    "a sweep": lambda path: [job(path / rate, f"optimizer.lr={rate}") for rate in ("1", "2")],
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_command_refuses_in_the_same_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    REFUSED[name](path)
    asked: list[Callable[[], object]] = [
        lambda: Detector.load(path),
        lambda: ExportSource.open(path),
        lambda: open_subject(path, DataConfig(name="own")),
    ]
    said = set()
    for ask in asked:
        with pytest.raises(UserError) as caught:
            ask()
        said.add(f"{type(caught.value).__name__}: {caught.value}")
    assert len(said) == 1, said
    assert said.pop().startswith(f"NotADetector: {path}")


@pytest.mark.parametrize("file", [".hydra/overrides.yaml", "metrics.json"])
def test_a_multirun_with_a_damaged_file_is_one_sentence(file: str, tmp_path: Path) -> None:
    folder = job(tmp_path / "folds" / "0", "data.fold=0")
    for content in (b"[1, {", b"\xff\xfe"):
        (folder / file).write_bytes(content)
        with pytest.raises(NotADetector, match=r"folds cannot be read: .*give the folder of one job"):
            identify(tmp_path / "folds")


def test_an_exported_detector_is_found_with_the_standard_library_alone(tmp_path: Path) -> None:
    leave(tmp_path, "detector.json")
    program = (
        "import sys, pathlib; from rexnet_ai_real.runs.identify import identify; identify(pathlib.Path(sys.argv[1]))\n"
        "assert not {'torch', 'pandas', 'numpy', 'yaml', 'omegaconf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
