"""Paths as people give them, and how commands end."""

import argparse
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rexnet_ai_real.cli.arguments import add_images, listed_paths
from rexnet_ai_real.cli.commands import COMMANDS, run
from rexnet_ai_real.cli.ending import WRONG, command
from rexnet_ai_real.cli.passed_over import is_result
from rexnet_ai_real.errors import UserError


def test_paths_stay_as_they_are_and_globs_are_expanded_in_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "deep/c.jpg", "d.png", "[x].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = listed_paths(["nowhere.jpg", str(tmp_path), f"{tmp_path}/**/[abc].jpg", f"{tmp_path}/[x].jpg"])
    assert list(found) == [
        "nowhere.jpg",
        str(tmp_path),
        *(f"{tmp_path}/{name}" for name in ("a.jpg", "b.jpg", "deep/c.jpg")),
        f"{tmp_path}/[x].jpg",
    ]
    with pytest.raises(UserError, match=r"\*\.webp matches no file"):
        listed_paths([f"{tmp_path}/*.webp"])


@pytest.mark.parametrize(
    ("given", "null", "names"),
    [
        (b"a.jpg\nb c.jpg\n\nlast", False, ["a.jpg", "b c.jpg", "last"]),
        (b"a.jpg\r\n\xff.jpg\r\n", False, ["a.jpg", "\udcff.jpg"]),
        (b"two\nlines.jpg\0plain.jpg\0", True, ["two\nlines.jpg", "plain.jpg"]),
        (b"", False, []),
        (b"\xef\xbb\xbfa.jpg\r\nb.jpg", False, ["a.jpg", "b.jpg"]),
        ("\ufeffa.jpg\r\n日本.jpg\r\n".encode("utf-16-le"), False, ["a.jpg", "日本.jpg"]),
        ("\ufeffa.jpg\nb.jpg".encode("utf-16-be"), False, ["a.jpg", "b.jpg"]),
    ],
)
def test_names_come_from_standard_input(given: bytes, null: bool, names: list[str]) -> None:
    assert list(listed_paths(["-"], null=null, stdin=io.BytesIO(given))) == names


@pytest.mark.parametrize(
    ("given", "null", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), False, "standard input holds an image itself (PNG): save it to a file"),
        (b"\xff\xd8\xff\xe0" + bytes(99), True, "standard input holds an image itself (JPEG)"),
        (b"a.jpg\0b.jpg\0", False, "add -0 if the names end"),
    ],
)
def test_an_image_on_standard_input_is_refused(given: bytes, null: bool, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        list(listed_paths(["-"], null=null, stdin=io.BytesIO(given)))


def test_what_systems_put_into_folders_is_no_match_of_a_wildcard(tmp_path: Path) -> None:
    for name in ("a.jpg", "Thumbs.db", "__MACOSX/._a.jpg", "desktop.ini"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(listed_paths([f"{tmp_path}/*"])) == [f"{tmp_path}/a.jpg"]
    assert list(listed_paths([f"{tmp_path}/Thumbs.db"])) == [f"{tmp_path}/Thumbs.db"]


@pytest.mark.parametrize("null", [False, True])
def test_names_are_read_as_they_come(null: bool) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as stdout:
        names = listed_paths(["-"], null=null, stdin=stdin)
        for name in ("a.jpg", "b.jpg"):
            stdout.write(name.encode() + (b"\0" if null else b"\n"))
            assert next(names) == name


def test_ends_are_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise UserError("nothing there: give something")

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert command(lambda: 1) == 1
    assert command(fails) == 2
    assert capsys.readouterr().err == "nothing there: give something\n"
    assert command(interrupted) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_names_in_errors_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise UserError("a\x1b[31mred/ is missing\nb\x07/ too")

    assert command(fails) == WRONG
    assert capsys.readouterr().err == "a\\x1b[31mred/ is missing\nb\\x07/ too\n"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.html", "explained.csv"])
def test_a_pipe_among_the_files_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    assert not is_result(str(tmp_path / name))


def test_a_missing_package_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def needs_torch() -> int:
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    def is_broken() -> int:
        raise ModuleNotFoundError("No module named 'rexnet_ai_real.gone'", name="rexnet_ai_real.gone")

    assert command(needs_torch) == 2
    said = capsys.readouterr().err
    assert "needs the Python package torch, which is not installed: pip install rexnet-ai-real" in said
    with pytest.raises(ModuleNotFoundError):  # a fault of this project keeps its traceback
        command(is_broken)


@pytest.mark.parametrize("name", ["train", "evaluate", "data"])
def test_commands_say_what_is_missing_where_little_is_installed(name: str, tmp_path: Path) -> None:
    hidden = ("torch", "hydra", "omegaconf", "pandas", "lightning", "yaml")
    code = (
        f"import sys; sys.modules |= dict.fromkeys({hidden!r}); sys.argv = ['rexnet-ai-real', {name!r}]\n"
        "from rexnet_ai_real.__main__ import main\nsys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "which is not installed: pip install rexnet-ai-real" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = (
        "import sys; from rexnet_ai_real.cli.ending import command\n"
        "def run():\n    while True: print('x' * 1000, flush=True)\n"
        "sys.exit(command(run))"
    )
    shell = f"'{sys.executable}' -c \"{program}\" | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_the_limit_of_pixels_is_that_of_the_decoder() -> None:
    from rexnet_ai_real.images.limits import MAX_PIXELS

    parser = argparse.ArgumentParser()
    add_images(parser)
    assert parser.parse_args(["a.jpg"]).max_pixels == MAX_PIXELS


# All commands under one name


def rexnet(*arguments: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", "rexnet_ai_real", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_every_command_has_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == run([]) == 0
    said = capsys.readouterr().out
    packages = {file.parent.name for file in Path(__file__).parents[1].glob("rexnet_ai_real/*/__main__.py")}
    assert set(COMMANDS) == packages
    assert all(f"  {name} " in said for name in packages)


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval"]) == 2
    assert capsys.readouterr().err == "eval is no command of rexnet-ai-real: did you mean evaluate?\n"
    assert run(["dance"]) == 2
    assert "expected one of data, train" in capsys.readouterr().err


def test_help_of_a_command_needs_no_heavy_import() -> None:
    heavy = ("torch", "torchvision", "pandas", "lightning", "matplotlib", "sklearn", "onnx", "onnxruntime")
    for name in COMMANDS:
        code = (
            f"import sys; sys.argv = ['rexnet-ai-real', {name!r}, '--help']\n"
            "from rexnet_ai_real.__main__ import main\n"
            f"try: main()\nfinally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "[]\n", name
        assert ("experiment=baseline" if name == "train" else name) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "+experiment=demo", "--cfg", "job"], 0, ""),
        (["evaluate", "run=nowhere"], 2, "nowhere does not exist: expected a run folder"),
        (["evaluate", "walk=nowhere"], 2, "walk"),
        (["evaluate"], 2, "run: no value given"),
        (["export", "nowhere", "out"], 2, "nowhere does not exist: expected a run folder"),
        (["predict", "nowhere", "a.jpg"], 2, "nowhere does not exist: expected a run folder"),
        (["explain", "nowhere", "a.jpg", "-o", "out"], 2, "nowhere does not exist: expected a run folder"),
        (["data", "--root", "nowhere"], 2, "nowhere"),
        (["provenance", "nowhere.jpg"], 1, ""),
    ],
)
def test_commands_end_with_the_codes_of_one_table(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = rexnet(*arguments, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Error:" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
